#pragma once

/* Between the server (server.c) and its connections (server_conn.c). */

#include "common/http/server.h"
#include "common/net/tls.h"
#include "common/wheel.h"

enum { READ_MAX = 64 * 1024, LISTENERS_MAX = 4 };

struct http_conn {
    struct list link;
    struct http_server *server;
    uv_tcp_t tcp;
    uv_write_t write;
    uint8_t state; /* enum conn_state; conn_enter() sets it */
    bool keep_alive, refused, writing, read_stopped, in_input, sent_continue;
    bool bodiless;            /* the request being answered was a HEAD */
    struct http_request *req; /* being read, or with the handler */
    struct buf early;         /* bytes of the next request that came too soon */
    struct buf sending;
    struct tls *tls; /* NULL: none */
    bool is_shaking; /* its handshake is not complete */
    uint64_t begun_ns, body_ns, progress_ns, linger_ns;
    size_t lingered;
    struct timer timer;
    char ip[46];
};

struct http_server {
    struct http_server_options o;
    uv_tcp_t listener[LISTENERS_MAX];
    unsigned n_listeners, n_open; /* handles not yet closed */
    uv_timer_t tick;
    struct wheel wheel;
    struct bufpool bufs;
    struct list conns;
    unsigned n_conns;
    bool draining, closing;
    char read[READ_MAX];
    char *plain; /* of `read`, with TLS */
};

/* Takes what waits at the listener; it closes itself. */
void http_conn_accept(struct http_server *s, uv_stream_t *listener);
void http_conn_close(struct http_conn *c);
/* Nothing of a request came since the last answer. */
bool http_conn_is_idle(const struct http_conn *c);

/* One of the server's handles is no more. */
void http_server_handle_closed(struct http_server *s);
