#pragma once

/*
 * The upstream's request body as splices of the client's: ranges of the original replaced by small
 * texts, everything else byte for byte. Compiled edits of the deployment, the gateway's own
 * members, the model name and stream_options come together here. Pure.
 */

#include "common/jout.h"

#include "dialect/nested_edit.h"

struct body_edit {
    struct arena *arena;
    struct splice *splice;
    uint32_t n, cap;
    uint64_t length; /* of the result, what fills holes included */
    const char *body;
    size_t body_n;
    const struct jout_hole *hole; /* in the body, ordered; a translated one has them */
    uint32_t n_holes;
    const struct request_scan *scan;
    struct str refused; /* the members that make the request a 400, between them "', '" */
    bool failed;        /* arena or SPLICES_MAX */
};

enum body_edit_result {
    BODY_EDIT_OK,
    BODY_EDIT_UNSUPPORTED, /* `refused` is not supported by the provider and drop_params is off */
    BODY_EDIT_LIMIT,
};

struct body_edit_options {
    enum api api;              /* of this body */
    enum api client, upstream; /* of the request; equal where nothing is translated */
    uint32_t can;              /* enum capability, of the model */
    struct str model;          /* sent upstream; already without escapes to make */
    struct str response_id;    /* replaces previous_response_id when not empty */
    bool model_in_path;        /* then "model" stays as it is when absent and is still replaced when
                                  present */
    bool inject_usage;         /* stream_options.include_usage: true */
    bool drop_params;
    const struct str *drop;  /* the request's additional_drop_params, */
    size_t n_drop;           /* as paths of provider/edit.h */
    const struct str *allow; /* its allowed_openai_params */
    size_t n_allow;
    bool keep_model; /* the body is read here again before it is sent: the model is nobody's */
};

/* No edit at all: the body as it is. */
struct body_edit body_edit_none(struct str body);

/* Computes the splices of one exchange over `body` (complete, scanned without fault). The result
 * borrows from it. */
MUST_CHECK enum body_edit_result body_edit_make(struct body_edit *b,
                                                const struct request_scan *scan, const char *body,
                                                size_t body_n, const struct snapshot *s,
                                                const struct snap_deployment *d,
                                                const struct body_edit_options *o, struct arena *a);

/* What fills the holes of the body; borrowed. A hole inside what an edit takes away goes with it.
 */
void body_edit_fill(struct body_edit *b, const struct jout_hole *hole, size_t n_holes);

/* The result in pieces: calls fn for each run of bytes in order; for writing without a copy. */
typedef void (*body_piece_fn)(void *ctx, const char *p, size_t n);
void body_edit_emit(const struct body_edit *b, body_piece_fn fn, void *ctx);
