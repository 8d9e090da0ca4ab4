#pragma once

/*
 * An HTTP/1.1 request read from bytes: framing by llhttp without any leniency, limits counted here
 * (threats section 2). Pure: no sockets, no clock; resumable at any byte. One request at a time:
 * what follows it is left to the caller.
 */

#include <llhttp.h>

#include "common/bufpool.h"

enum { H1_HEADERS_MAX = 100 };

enum h1_got {
    H1_MORE, /* all bytes used, more are needed */
    H1_DONE, /* the request is complete */
    H1_BAD,  /* refused: `status` says how; the connection cannot go on */
};

struct h1_header {
    uint32_t name_at, value_at;
    uint16_t name_n, value_n;
};

struct h1_in {
    struct buf head; /* target, header names and values, back to back */
    struct buf body;
    uint32_t target_n, n_headers;
    struct h1_header header[H1_HEADERS_MAX];
    uint16_t status; /* of H1_BAD: 400, 413, 414, 417, 431, 503, 505 */
    bool begun;      /* a first byte of the request has come */
    bool in_body;    /* the head is complete */
    bool keep_alive, wants_continue;
    bool is_1_0; /* chunks are unknown there */

    /* private */
    struct bufpool *pool;
    size_t max_body;
    bool chunked, in_trailers, whole;
    uint64_t framing_bytes;
    uint32_t chunk_extension, chunk_framing;
    const char *framing_from;
    llhttp_t parser;
};

/* `pool` is borrowed for the life of `in`. A body beyond `max_body` bytes is 413. */
void h1_in_init(struct h1_in *in, struct bufpool *pool, size_t max_body);

/* Frees head and body; ready for the next request. Safe to repeat. */
void h1_in_reset(struct h1_in *in);

/* Reads [p, p + n); *ret_used is how many bytes belonged to this request. */
enum h1_got h1_in_feed(struct h1_in *in, const char *p, size_t n, size_t *ret_used);

/* Of a request whose head is complete. */
struct str h1_in_method(const struct h1_in *in); /* "GET" */
struct str h1_in_target(const struct h1_in *in);

/* A header by lower-case name: the first, empty when absent. *ret_repeated (may be NULL): it came
 * again with another value. */
struct str h1_in_header(const struct h1_in *in, struct str lower_name, bool *ret_repeated);
