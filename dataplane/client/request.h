#pragma once

/*
 * A request from its head to its record: route, credential, body, model, deployment, exchange,
 * reply. The stages of design section 2, as functions called by the connection and by the exchange.
 */

#include "proto/errors.h"

#include "api/route.h"
#include "dialect/body_edit.h"
#include "dialect/embedding.h"
#include "dialect/envelope.h"
#include "dialect/relay.h"
#include "policy/caller.h"
#include "policy/limits.h"
#include "policy/refusal.h"
#include "route/plan.h"
#include "upstream/exchange.h"

struct conn;
struct transcript;
struct translation;

enum request_reply { REPLY_NONE, REPLY_HELD, REPLY_STREAM, REPLY_PIECES, REPLY_ERROR };

enum { REQUEST_ID = 36 };

struct request {
    struct conn *conn;
    struct context *cx;
    struct snapshot *snapshot;     /* a reference */
    struct identities *identities; /* a reference, or NULL */
    uint32_t key_slot;             /* of the key that calls; SNAP_NONE: the master key's, or none */
    struct arena arena;
    enum route route;
    struct str placeholder; /* decoded, of the path */
    struct str query;
    struct route_forward forward; /* of ROUTE_FORWARDED */
    struct str detail;            /* what completes the text of a refusal */
    struct str path;              /* below the root path, as sent */
    struct str presented;         /* the credential of a key */
    struct caller caller;
    struct refusal refusal;
    const struct limits *limits; /* as they stood; in the arena; NULL: none */
    struct charges *charges;     /* in the arena; NULL: nothing is charged */
    struct inflight *hold;       /* with what runs at once; NULL: nothing is limited so */
    bool routed, authorised, scanned, active, is_forwarded;
    enum request_scan_result scan_result;
    bool accounted, out_failed;
    /* what was decided */
    struct str model;      /* as the client asked */
    struct str dispatched; /* what aliases of key and team make of it */
    struct snap_found found;
    const struct snap_deployment *deployment;
    struct str previous_id; /* upstream's id of the response asked for or continued */
    const struct response_owner *previous_owner;        /* ... under whom the caller may have it */
    uint32_t asked_timeout_ms, asked_stream_timeout_ms; /* SNAP_NONE: not asked */
    struct route_plan plan;                             /* candidates and what was tried */
    struct str upstream_model, quoted_model;
    enum api upstream_api;           /* what this attempt speaks */
    struct translation *translation; /* the client speaks another; in the arena */
    struct transcript *transcript;   /* prompts are stored; in the arena; NULL: they are not */
    bool is_stream;
    /* the attempt that runs */
    struct buf head; /* request head, with what of the body is small */
    bool relay_open, client_head_sent;
    bool is_orphan;        /* its client is gone */
    bool held_failed;      /* events of a reply that is held could not be read */
    uint8_t reply;         /* enum request_reply */
    struct buf reply_body; /* non-streamed reply or error body so far; of events what they became */
    enum client_error
        stop_error; /* why the exchange was stopped; CLIENT_ERRORS: its reply was an error event */
    struct embedding_encoder *embeddings; /* in the arena; NULL: as they come */
    struct buf encoded;                   /* what it made of the bytes at hand */
    struct str reply_ref;                 /* ... or all of it, still in the read buffer */
    struct timer retry; /* waits before the next attempt; pings while it streams */
    struct inflight *meter;
    struct probe_run *probes; /* of /health */
    /* times, monotonic */
    uint64_t head_ns, body_ns, replied_ns;
    uint64_t upstream_ns, connect_ns, waited_ns, wait_from_ns;
    uint64_t bytes_in, bytes_out;
    char id[REQUEST_ID];
    /* the rest is made ready before use */
    struct request_scan scan;
    struct exchange exchange;
    struct relay relay;
};

static inline enum api request_api(const struct request *r)
{
    return (enum api)route_rows[r->route].api;
}

/* What the upstream is spoken to in: a deployment of OpenAI's dialect may serve Messages beside it.
 */
static inline enum dialect request_dialect(const struct request *r)
{
    return r->upstream_api == API_MESSAGES || r->upstream_api == API_COUNT_TOKENS
               ? DIALECT_ANTHROPIC
               : (enum dialect)r->deployment->dialect;
}

/* It asks about a response made before: it reads no model and costs nothing. */
static inline bool request_is_item(const struct request *r)
{
    return route_rows[r->route].handler == HANDLER_RESPONSE_ITEM;
}

/* A header of the connection's request: bearer_header_fn. */
struct str request_header(const void *conn, struct str name, bool *ret_repeated);

/* Bytes of body it may have. */
uint64_t request_body_max(const struct request *r);

/* A first byte came. */
void request_begin(struct request *r, struct conn *c, struct context *cx);

/* The head is parsed: false when it was refused and answered. Called inside the parser: sends
 * nothing itself. */
bool request_head(struct request *r);

/* More of the body is in conn->body, from offset `from`. False: stop reading, request_complete()
 * will answer. */
bool request_body(struct request *r, size_t from);

/* All of the request is there: decide and act. */
void request_complete(struct request *r);

/* Answers with an error before or instead of anything else; the connection is closed behind it when
 * `close`. */
void request_refuse(struct request *r, enum client_error error, struct str detail, bool close);

/* The client is gone. */
void request_abandon(struct request *r);

/* Likewise; true when the reply is read on for what it costs, as weir.client_gone says: then what
 * is sent is dropped, and it ends as if the client were there. */
bool request_orphan(struct request *r);

/* The identities are others now: a request whose key, or whoever stands behind it, may not call any
 * more is cut. */
void request_recheck(struct request *r, const struct identities *i);

/* The client took what was queued: an upstream that was paused may go on. */
void request_on_drained(struct request *r);

/* Frees what the request holds. The connection is done with it. */
void request_reset(struct request *r);
