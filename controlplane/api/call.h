#pragma once

/*
 * One request on its way through a pool thread: what it says, who asks, the unit of work, the
 * answer. A handler is straight-line code over it:
 *
 *     void api_thing_update(struct call *c)
 *     {
 *         yyjson_mut_val *was = store_lock(&c->store, TABLE_THING, in_text(c, "thing_id"));
 *         if (!was) {
 *             refuse(c, 404, "Thing not found");
 *             return;
 *         }
 *         ...
 *         yyjson_mut_val *now = store_update(&c->store, TABLE_THING, id, changes);
 *         audit_updated(c, TABLE_THING, id, was, changes);
 *         reply(c, now);
 *     }
 *
 * It runs inside one transaction, which api_run() begins, commits when the handler neither refused
 * nor met a fault, and runs again after a deadlock: so it has no effect but through c->store.
 * Faults of the database need no look in between: reads give nothing, and the answer is then 503
 * whatever the handler said. Rows, texts and the answer lie in c->store.arena.
 */

#include "common/gateway/settings.h"

#include "api/route.h"

struct daemon;
struct http_request;

struct call {
    struct daemon *d;
    struct http_request *http; /* read-only here */
    const struct route_row *route;
    struct route_match match;
    struct caller caller;
    struct store store;
    yyjson_mut_val *in; /* the members of the route's list that were sent, in their type */
    struct arena arena;
    yyjson_mut_val *settings[SECTIONS]; /* rows of LiteLLM_Config read so far: api/settings.h */

    /* the answer: api/reply.h */
    unsigned status; /* 0: none yet */
    struct str type, body, headers;
    bool is_refused;
    struct str refusal;   /* its text */
    bool commits_refused; /* what was written stays, though the answer is a refusal */
    bool is_unchanged;    /* said by a handler that found nothing to change: no entry is due */

    struct stream *stream; /* its body goes out in pieces (stream.h), or NULL */

    bool on_replica, avoid_replica; /* api/report.c */
    unsigned n_audits;              /* entries written: audit/audit.c */
    uint64_t kick;                  /* of publish_kick(), behind what it wrote */
    char request_id[37];
    struct db_wait wait;
    atomic_bool cancelled;
    /* of the lane: lane.c */
    struct call *next;
    struct lane_thread *thread;
    uint64_t who; /* whose report it is */
    bool is_aside;
    /* of daemon.c: calls with a piece for the loop */
    struct call *next_piece;
    bool has_piece;
};

/* NULL without memory. */
struct call *call_new(struct daemon *d, struct http_request *http);
struct call *call_free(struct call *c);

/* ---- what the request says; the name must be one of the route's list ---- */
bool in_sent(const struct call *c, const char *name); /* also as null */
bool in_set(const struct call *c, const char *name);  /* and not null */
/* The value, else the list's default, else NULL. */
yyjson_mut_val *in_val(const struct call *c, const char *name);
struct str in_text(const struct call *c, const char *name); /* p NULL: absent or null */
double in_num(const struct call *c, const char *name);      /* 0 without */
int64_t in_int(const struct call *c, const char *name);
bool in_bool(const struct call *c, const char *name);

/* A part of the path, decoded: {name} number i. Empty for a bad escape. */
struct str in_param(struct call *c, unsigned i);
/* A parameter behind '?' that is in no list, decoded. */
struct str in_query(struct call *c, struct str name);
struct str in_header(const struct call *c, struct str lower_name);
/* Whence it came: a data plane on this machine says for whom it asks. */
struct str call_ip(const struct call *c);
struct str call_body(const struct call *c);
