#pragma once

/* The management API over HTTP, one request at a time on one connection (libcurl). */

#include "common/arena.h"
#include "common/err.h"

struct client;

struct client_reply {
    unsigned status;
    struct str body;    /* in the arena */
    struct str applied; /* x-weir-applied, or empty */
};

/* `url` without a path or with one that stands before each; `key` empty: none is sent. */
MUST_CHECK enum errc client_new(struct client **ret_c, const char *url, struct str key,
                                struct err *e);
struct client *client_free(struct client *c);

/* ERRC_CLOSED: no connection; ERRC_TIMEOUT; ERRC_LIMIT: the reply is too large; ERRC_PROTO. `path`
 * with its query; an empty body: none. */
MUST_CHECK enum errc client_call(struct client *c, struct arena *a, const char *method,
                                 struct str path, struct str body, struct client_reply *ret,
                                 struct err *e);

const char *client_url(const struct client *c);

/* `s` as a part of a path or query. */
struct str client_escaped(struct arena *a, struct str s);
