#pragma once

/*
 * A request and its reply on their way between two APIs (design.md section 2). Pure: the caller
 * brings bytes, memory and time.
 *
 *   client's body -- tape -- request_read --> neutral -- request_write --> upstream's body
 *   client's bytes <-- write -- events <-- read_event, read_reply -- tape -- upstream's bytes
 */

#include "dialect/event.h"
#include "dialect/openai_responses.h"
#include "dialect/sse.h"

/*
 * What one turn of the loop has to do at most, beside what the client's body is bounded by: bytes
 * of arguments that are an object in one API and text in the other; bytes of a whole reply, an
 * event (SSE_EVENT_MAX) or the texts of a stream that becomes a whole reply.
 */
enum {
    TRANSLATE_ARGUMENTS_MAX = 4 * 1024 * 1024,
    TRANSLATE_REPLY_MAX = SSE_EVENT_MAX,
    TRANSLATE_LEND_MIN = 16 * 1024, /* texts of this size are not copied: JOUT_HOLES of them are all
                                       that a body can hold */
};

struct translate {
    const struct dialect_ops *client, *upstream;
    struct neutral request;
    struct fault fault; /* why the request cannot be carried */
    uint64_t events;    /* of the upstream's stream, read */
    bool done;          /* the reply is complete: the client has all of it */
    bool failed;        /* the upstream said an error ... */
    bool first_failed;  /* ... before anything went out: it is in `error`, nothing was written */
    struct error_facts error;
    bool unreadable; /* bytes could not be passed since they are no JSON, else for their size */
    size_t folded;   /* bytes of texts so far, where the reply becomes a whole one */
    /* of a Responses client whose upstream keeps no responses; set before translate_read() */
    struct str history;  /* items of the conversation the request goes on from; borrowed */
    struct jout *keep;   /* where those and the request's are written, to be kept; may be NULL */
    uint64_t keep_id[2]; /* the id this response gets; seed[] of its reply, so that items can be
                            referred to */
    responses_find_fn find_item; /* of an item_reference; may be NULL */
    void *find_ctx;
    /* private */
    struct arena request_arena; /* of `request`; ends with translate_forget() */
    struct arena *arena;
    struct json_tape tape;
    struct buf mended; /* the body or reply, where something had to be mended */
    struct buf raw;    /* of an event */
    struct sse sse;
    struct jout out;
    void *reader, *writer;
    uint64_t seed;
    size_t whole;        /* bytes of `out` that are complete events */
    struct buf resolved; /* the body with its references replaced */
    size_t body_bytes;   /* of the client's */
    bool replying, read_done, written, folds;
};

/* `pool`, `blocks` and `arena` are borrowed until translate_deinit(); `arena` keeps what the reply
 * needs. */
void translate_init(struct translate *t, enum api client, enum api upstream, struct bufpool *pool,
                    struct arena_pool *blocks, struct arena *arena);

/* Safe on a zeroed one. */
void translate_deinit(struct translate *t);

/* Reads the client's whole body, which it borrows. False: t->fault. */
MUST_CHECK bool translate_read(struct translate *t, struct str body);

/* Writes the upstream's body to `o`; it borrows from the client's. False: t->fault. */
MUST_CHECK bool translate_write(struct translate *t, struct jout *o,
                                const struct upstream_model *m);

struct translate_reply {
    struct reply_scan *scan; /* what the meter reads; initialised */
    struct str model;        /* the client's name of it, a JSON string with quotes */
    struct jstr response_id; /* of a Responses reply; empty: any */
    struct str secret;       /* masked in what the upstream says of errors; may be empty */
    uint64_t now_s, seed[2];
    bool stream; /* the client asked for events */
};

/* A reply begins; *r itself is not kept. False when memory ended. */
MUST_CHECK bool translate_reply_begin(struct translate *t, const struct translate_reply *r);

/* The request will not be sent again: frees what only it needed; the body it borrowed may go. */
void translate_forget(struct translate *t);

/* The next bytes of a stream of events; what the client gets is appended to `out`. False when
 * memory ended, an event was no JSON, larger than SSE_EVENT_MAX or nothing the client's API could
 * say; what came before it was appended. */
MUST_CHECK bool translate_events(struct translate *t, const char *p, size_t n, struct buf *out);

/* The upstream ended its stream. Without t->done or t->failed it was cut, which the client was not
 * told. False when memory ended. */
MUST_CHECK bool translate_events_end(struct translate *t, struct buf *out);

/* A whole reply: becomes one document, or events where the client asked for them. False when it is
 * no JSON object, larger than TRANSLATE_REPLY_MAX, or memory ended. */
MUST_CHECK bool translate_whole(struct translate *t, struct str reply, struct buf *out);

/* The reply is complete (t->done): its items end what t->keep holds, the Response object is written
 * to `response`. */
void translate_keep(struct translate *t, struct jout *response);

/* An error of the caller's in the words of the client's stream. */
void translate_error(struct translate *t, const struct error_facts *f, struct buf *out);
