#pragma once

/*
 * One client connection: HTTP/1.1 server side. Reads a head, then its body, then lets request.c
 * work and writes what it says; one request at a time (threats section 2).
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> REPLY -> IDLE           any -> LINGER -> CLOSING
 *
 *   IDLE     nothing of a next request yet          BUSY    request.c works, nothing sent yet or a
 * stream runs HEAD     request line and headers               REPLY   the last byte is queued, not
 * all sent BODY     reading the body                       LINGER  answered early: drop what still
 * comes, then close
 */

#include <llhttp.h>

#include "client/request.h"
#include "policy/auth.h"

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_BUSY,
    CONN_REPLY,
    CONN_LINGER,
    CONN_CLOSING,
    CONN_STATES
};

enum { CONN_HEADERS_MAX = 100 };

struct conn_header {
    uint32_t name_at, value_at;
    uint16_t name_n, value_n;
};

struct conn {
    struct list link; /* of all connections of the worker */
    struct context *cx;
    uv_tcp_t tcp;
    uv_write_t write;
    uint8_t state; /* enum conn_state; conn_enter() sets it */
    bool keep_alive, http_1_0;
    bool has_served; /* a request, at least one */
    bool chunked, in_trailers, body_refused;
    bool whole;   /* all of the request was read */
    bool writing; /* `sending` is with libuv */
    bool read_stopped, in_input, wants_continue;
    bool gone; /* the client; its request is read on for what it costs, what is sent is dropped */
    struct buf head; /* request target, header names and values, back to back */
    struct buf body;
    struct buf early;   /* bytes of the next request that came too soon */
    struct buf sending; /* with libuv */
    struct buf queued;  /* behind it */
    uint32_t target_n;
    uint32_t n_headers;
    uint64_t
        name_lengths; /* of headers, a bit each (modulo 64): most that are asked for are absent */
    struct conn_header header[CONN_HEADERS_MAX];
    uint64_t body_expected; /* UINT64_MAX with `chunked` */
    uint64_t framing_bytes; /* of a chunked body, beside its data */
    uint32_t chunk_extension;
    uint32_t chunk_framing;   /* since the last data byte */
    const char *framing_from; /* where in the bytes being read it goes on */
    uint64_t lingered;
    uint64_t begun_ns;    /* first byte of the request */
    uint64_t progress_ns; /* last byte read or written */
    uint64_t linger_ns;   /* since when */
    uint64_t gone_ns;     /* likewise */
    uint16_t refused;     /* enum client_error + 1 decided inside the parser */
    struct timer timer;
    char ip[46];
    struct auth_cache auth;
    llhttp_t parser;
    struct request req;
};

enum { CONN_HIGH_WATER = 256 * 1024, CONN_LOW_WATER = 64 * 1024 };

/* Takes an accepted, non-blocking socket; on failure it is closed. */
void conn_accept(struct context *cx, int fd, const struct sockaddr_storage *peer);

/* A header of the request by name (any case): the first, empty when absent. *ret_repeated (may be
 * NULL): it came again with another value. */
struct str conn_header(const struct conn *c, struct str lower_name, bool *ret_repeated);
struct str conn_target(const struct conn *c);

/*
 * Sends bytes after those already queued; they are copied unless they go at once. False: the
 * connection is broken and closing. conn_backlog() tells how much waits.
 */
bool conn_send(struct conn *c, const char *p, size_t n);
size_t conn_backlog(const struct conn *c);

/* Frees head and body of the request: nobody will ask for them again. */
void conn_forget_request(struct conn *c);

/* The reply is complete: keep the connection for the next request, or close it behind the last
 * byte. */
void conn_finish(struct conn *c);

/* Ends the connection now: what is queued is lost. For a stream that must not look complete. */
void conn_abort(struct conn *c);

/* Draining: closes it when it is idle and has served, or is not to wait for a request; else behind
 * its reply. */
void conn_drain(struct conn *c, bool no_more);
