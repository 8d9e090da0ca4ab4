#pragma once

/*
 * An HTTP/1.1 server on one libuv loop for short exchanges: a request is read whole, given to the
 * handler, and answered whole or in pieces, now or later. Keep-alive, one request at a time on a
 * connection; strict framing (h1_in.h); every state has an end. Everything here runs on the loop's
 * thread; other threads may read a request between on_request and its answer.
 */

#include <uv.h>

#include "common/err.h"
#include "common/http/h1_in.h"

struct http_server;
struct http_conn;
struct tls_identity;

struct http_request {
    struct str method, target, body;
    char ip[46];
    uint64_t at_ns;             /* monotonic, when it was complete */
    void *ctx;                  /* the handler's own */
    struct h1_in in;            /* private: http_header() */
    struct http_server *server; /* private */
    struct http_conn *conn;     /* private: NULL once the client is gone */
};

struct http_server_options {
    uv_loop_t *loop;
    struct tls_identity *tls; /* borrowed; NULL: without TLS */
    unsigned max_connections;
    size_t max_body, max_memory; /* bytes: of one body; of all heads and bodies */
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms, write_timeout_ms;
    /* Takes the request, which is then the handler's until http_answer(), http_end(), http_drop().
     */
    void (*on_request)(void *ctx, struct http_request *r);
    /* The client of a request not yet answered went away; it must still be dropped. */
    void (*on_gone)(void *ctx, struct http_request *r);
    /* The piece that http_piece() left waiting is with the kernel: the next one may come. */
    void (*on_sent)(void *ctx, struct http_request *r);
    void (*on_closed)(void *ctx); /* after http_server_close(): the server may be freed */
    void *ctx;
};

struct http_answer {
    unsigned status;
    struct str type;    /* Content-Type; empty: none */
    struct str headers; /* further ones, each with its line end */
    struct str body;
    bool close; /* no further request on this connection */
};

MUST_CHECK enum errc http_server_new(struct http_server **ret_s,
                                     const struct http_server_options *o, struct err *e);

/* Listens; port 0: any. *ret_port (may be NULL) is the one taken. */
MUST_CHECK enum errc http_server_listen(struct http_server *s, const char *host, uint16_t port,
                                        uint16_t *ret_port, struct err *e);

/* No new connections; idle ones close, others behind their answer. */
void http_server_drain(struct http_server *s);

/* Closes everything; on_gone for what is unanswered, then on_closed once. */
void http_server_close(struct http_server *s);

/* Requests must have been answered or dropped. */
struct http_server *http_server_free(struct http_server *s);

unsigned http_server_connections(const struct http_server *s);

/* A request header by lower-case name, as h1_in_header(). */
struct str http_header(const struct http_request *r, struct str lower_name, bool *ret_repeated);

/* Sends the answer, copied; the request is gone afterwards. Without a client it is a drop. */
void http_answer(struct http_request *r, const struct http_answer *a);
void http_drop(struct http_request *r);

/*
 * An answer in pieces: the head, whose body is not looked at, then pieces, then the end. Without a
 * client they are dropped. An end that is not whole cuts the connection, so that the client sees
 * it.
 */
void http_begin(struct http_request *r, const struct http_answer *a);
/* Copied. True: the next one may follow at once; false: it waits for on_sent(). */
bool http_piece(struct http_request *r, struct str piece);
/* Nothing may be waiting. The request is gone afterwards. */
void http_end(struct http_request *r, bool is_whole);
