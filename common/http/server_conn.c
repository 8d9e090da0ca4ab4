/*
 * One connection.
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> STREAM -> REPLY -> IDLE     any -> LINGER -> CLOSING
 *
 *   IDLE     nothing of a next request yet           BUSY    the handler works
 *            (with TLS, at first its handshake)      STREAM  the answer goes out in pieces
 *   HEAD     request line and headers                REPLY   it, or its end, is on its way
 *   BODY     reading the body                        LINGER  refused early: what still comes is
 *                                                            dropped for a while, then closed
 */

#include <arpa/inet.h>

#include "common/clock.h"
#include "common/http/server_priv.h"

enum { /* threats section 1 */
       EARLY_MAX = 64 * 1024,
       LINGER_MAX = 64 * 1024,
       LINGER_MS = 2000,
       BODY_RATE_MIN = 1024, /* bytes a second, body_timeout aside */
};

enum conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_BUSY,
    CONN_STREAM,
    CONN_REPLY,
    CONN_LINGER,
    CONN_CLOSING,
    CONN_STATES
};

static const struct {
    const char *name;
    uint32_t next; /* states that may follow, as bits */
} conn_states[CONN_STATES] = {
    [CONN_IDLE] = {"idle", BIT(CONN_HEAD) | BIT(CONN_REPLY) | BIT(CONN_CLOSING)},
    [CONN_HEAD] = {"head", BIT(CONN_BODY) | BIT(CONN_BUSY) | BIT(CONN_REPLY) | BIT(CONN_CLOSING)},
    [CONN_BODY] = {"body", BIT(CONN_BUSY) | BIT(CONN_REPLY) | BIT(CONN_CLOSING)},
    [CONN_BUSY] = {"busy", BIT(CONN_STREAM) | BIT(CONN_REPLY) | BIT(CONN_CLOSING)},
    [CONN_STREAM] = {"stream", BIT(CONN_REPLY) | BIT(CONN_CLOSING)},
    [CONN_REPLY] = {"reply", BIT(CONN_IDLE) | BIT(CONN_LINGER) | BIT(CONN_CLOSING)},
    [CONN_LINGER] = {"linger", BIT(CONN_CLOSING)},
    [CONN_CLOSING] = {"closing", 0},
};

static const struct {
    uint16_t status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {303, "See Other"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

static const char *reason_of(unsigned status)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

static void conn_input(struct http_conn *c, const char *p, size_t n);
static void conn_send(struct http_conn *c, const struct http_answer *a);

static void conn_enter(struct http_conn *c, enum conn_state to)
{
    ASSERT(conn_states[c->state].next & BIT(to));
    c->state = (uint8_t)to;
}

/* Until when the current state may last; 0: its end is somebody else's. */
static uint64_t conn_deadline(const struct http_conn *c)
{
    const struct http_server_options *o = &c->server->o;

    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        if (c->is_shaking)
            return c->begun_ns + clock_ms(o->header_timeout_ms);
        return c->progress_ns + clock_ms(o->idle_timeout_ms);
    case CONN_HEAD: /* all of it: bytes that trickle in do not help */
        return c->begun_ns + clock_ms(o->header_timeout_ms);
    case CONN_BODY: /* neither silent nor trickling */
        return clock_ms(o->body_timeout_ms) +
               MIN(c->progress_ns,
                   c->body_ns + c->req->in.body.n * (UINT64_C(1000000000) / BODY_RATE_MIN));
    case CONN_LINGER:
        return c->linger_ns + clock_ms(LINGER_MS);
    case CONN_STREAM: /* between two pieces it is the handler's turn */
        return c->writing ? c->progress_ns + clock_ms(o->write_timeout_ms) : 0;
    case CONN_REPLY:
        return c->progress_ns + clock_ms(o->write_timeout_ms);
    case CONN_BUSY:
    case CONN_CLOSING:
    case CONN_STATES:
        break;
    }
    return 0;
}

static void conn_arm(struct http_conn *c)
{
    uint64_t deadline = conn_deadline(c);

    if (deadline)
        timer_arm(&c->server->wheel, &c->timer, deadline);
    else
        timer_disarm(&c->timer);
}

/* ---- requests ---- */

static struct http_request *request_free(struct http_request *r)
{
    if (r)
        h1_in_reset(&r->in);
    free(r);
    return NULL;
}

struct str http_header(const struct http_request *r, struct str lower_name, bool *ret_repeated)
{
    return h1_in_header(&r->in, lower_name, ret_repeated);
}

void http_drop(struct http_request *r)
{
    struct http_conn *c = r->conn;

    if (c) {
        c->req = NULL;
        conn_send(c, &(struct http_answer){.status = 503, .close = true});
    }
    request_free(r);
}

void http_answer(struct http_request *r, const struct http_answer *a)
{
    struct http_conn *c = r->conn;

    if (c) {
        c->req = NULL;
        c->keep_alive = r->in.keep_alive && !a->close && !c->server->draining;
        conn_send(c, a);
    }
    request_free(r);
}

/* ---- ends ---- */

static void conn_on_closed(uv_handle_t *h)
{
    struct http_conn *c = h->data;
    struct http_server *s = c->server;

    buf_free(&s->bufs, &c->sending); /* libuv had it until now */
    c->tls = tls_free(c->tls);
    free(c);
    s->n_conns--;
    http_server_handle_closed(s);
}

void http_conn_close(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct http_request *r = c->req;
    bool busy = c->state == CONN_BUSY || c->state == CONN_STREAM;

    if (c->state == CONN_CLOSING)
        return;
    conn_enter(c, CONN_CLOSING);
    timer_disarm(&c->timer);
    buf_free(&s->bufs, &c->early);
    list_drop(&c->link);
    c->req = NULL;
    uv_close((uv_handle_t *)&c->tcp, conn_on_closed);
    if (!busy) {
        request_free(r);
    } else if (r) {
        r->conn = NULL;
        s->o.on_gone(s->o.ctx, r);
    }
}

static void conn_refuse(struct http_conn *c, unsigned status)
{
    char body[64];
    int n = snprintf(body, sizeof body, "{\"detail\":\"%s\"}", reason_of(status));

    c->keep_alive = false;
    c->refused = true;
    c->req = request_free(c->req);
    conn_send(c, &(struct http_answer){.status = status,
                                       .type = STR("application/json"),
                                       .body = {body, (size_t)n},
                                       .close = true});
}

static void conn_on_timer(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);
    uint64_t deadline = conn_deadline(c);

    if (!deadline)
        return;
    if (clock_mono_ns() < deadline)
        conn_arm(c);
    else if (c->state == CONN_HEAD || c->state == CONN_BODY)
        conn_refuse(c, 408);
    else
        http_conn_close(c);
}

/* ---- reading ---- */

static void conn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct http_conn *c = h->data;

    (void)suggested;
    *buf = uv_buf_init(c->server->read, sizeof c->server->read);
}

/* Nothing more will come. */
static void conn_input_ended(struct http_conn *c)
{
    if (c->state == CONN_REPLY) {
        c->keep_alive = false; /* half-closed behind its last request: it still gets the answer */
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    } else {
        http_conn_close(c); /* whoever asked is gone */
    }
}

/* A few bytes at once; false: the socket, empty as it is, does not take them: nobody is there. */
static bool conn_write_now(struct http_conn *c, const char *p, size_t n)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);

    return !n || uv_try_write((uv_stream_t *)&c->tcp, &buf, 1) == (int)n;
}

/* Ciphertext: a part of the handshake, or of requests. */
static void conn_decrypt(struct http_conn *c, const char *p, size_t n)
{
    char flight[TLS_FLIGHT_MAX];
    struct tls_io io = {.in = p, .in_n = n, .out = flight, .out_cap = sizeof flight};
    enum tls_got got = TLS_READY;
    size_t n_plain = 0;

    if (c->is_shaking) {
        got = tls_handshake(c->tls, &io);
        c->is_shaking = got != TLS_READY;
        c->progress_ns = clock_mono_ns();
    }
    if (got == TLS_READY && io.in_n)
        got = tls_read(c->tls, &io, c->server->plain, READ_MAX + TLS_RECORD, &n_plain);
    bool sent = conn_write_now(c, flight, io.out_n); /* of a failure: the alert */
    if (n_plain)
        conn_input(c, c->server->plain, n_plain);
    if (c->state == CONN_CLOSING)
        return;
    if (got == TLS_CLOSED)
        conn_input_ended(c);
    else if (got == TLS_FAILED || !sent)
        http_conn_close(c);
    else if (c->state == CONN_IDLE)
        conn_arm(c);
}

/* What is to be sent becomes records, and the end behind the last ones. */
static bool conn_encrypt(struct http_conn *c)
{
    struct bufpool *bufs = &c->server->bufs;
    char record[TLS_RECORD_MAX];
    struct tls_io io = {.out = record, .out_cap = sizeof record};
    struct buf plain = c->sending;
    bool ok = true;

    c->sending = (struct buf){0};
    for (size_t at = 0, n; ok && at < plain.n; at += n) {
        n = MIN(plain.n - at, (size_t)TLS_PIECE);
        io.out_n = 0;
        ok =
            tls_write(c->tls, &io, plain.p + at, n) && buf_add(bufs, &c->sending, record, io.out_n);
    }
    buf_free(bufs, &plain);
    if (ok && !c->keep_alive && c->state == CONN_REPLY) {
        io.out_n = 0;
        tls_end(c->tls, &io);
        ok = buf_add(bufs, &c->sending, record, io.out_n);
    }
    return ok;
}

static void conn_on_read(uv_stream_t *st, ssize_t n, const uv_buf_t *buf)
{
    struct http_conn *c = st->data;

    if (n > 0 && c->tls && c->state != CONN_LINGER)
        conn_decrypt(c, buf->base, (size_t)n);
    else if (n > 0)
        conn_input(c, buf->base, (size_t)n);
    else if (n == UV_EOF)
        conn_input_ended(c);
    else if (n < 0)
        http_conn_close(c); /* whoever asked is gone */
}

static void conn_read_start(struct http_conn *c)
{
    c->read_stopped = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, conn_on_alloc, conn_on_read))
        http_conn_close(c);
}

/* Puts aside bytes that are not yet wanted; beyond EARLY_MAX they stay in the kernel. */
static void conn_early(struct http_conn *c, const char *p, size_t n)
{
    if (!n)
        return;
    if (!buf_add(&c->server->bufs, &c->early, p, n)) {
        http_conn_close(c);
        return;
    }
    if (c->early.n >= EARLY_MAX && !c->read_stopped) {
        c->read_stopped = true;
        (void)uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

/* The request is complete: the handler's turn. */
static void conn_dispatch(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct http_request *r = c->req;

    conn_enter(c, CONN_BUSY);
    conn_arm(c);
    r->method = h1_in_method(&r->in);
    c->bodiless = str_eq(r->method, STR("HEAD"));
    r->target = h1_in_target(&r->in);
    r->body = (struct str){r->in.body.p, r->in.body.n};
    r->at_ns = clock_mono_ns();
    memcpy(r->ip, c->ip, sizeof r->ip);
    s->o.on_request(s->o.ctx, r);
}

static bool conn_begin(struct http_conn *c)
{
    struct http_server *s = c->server;

    c->req = calloc(1, sizeof *c->req);
    if (!c->req)
        return false;
    h1_in_init(&c->req->in, &s->bufs, s->o.max_body);
    c->req->server = s;
    c->req->conn = c;
    c->begun_ns = c->progress_ns;
    c->sent_continue = false;
    return true;
}

static void conn_send_continue(struct http_conn *c)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char record[256];
    struct tls_io io = {.out = record, .out_cap = sizeof record};

    c->sent_continue = true;
    if (c->tls
            ? !tls_write(c->tls, &io, text, sizeof text - 1) || !conn_write_now(c, record, io.out_n)
            : !conn_write_now(c, text, sizeof text - 1))
        http_conn_close(c);
}

/* Parses until the request is complete or the bytes end; returns how many were used. */
static size_t conn_parse(struct http_conn *c, const char *p, size_t n)
{
    size_t used;

    if (!c->req && !conn_begin(c)) {
        http_conn_close(c);
        return n;
    }
    struct h1_in *in = &c->req->in;
    enum h1_got got = h1_in_feed(in, p, n, &used);
    if (in->begun && c->state == CONN_IDLE)
        conn_enter(c, CONN_HEAD);
    if (in->in_body && c->state == CONN_HEAD) {
        conn_enter(c, CONN_BODY);
        c->body_ns = c->progress_ns;
    }
    switch (got) {
    case H1_MORE:
        conn_arm(c);
        if (in->in_body && in->wants_continue && !c->sent_continue)
            conn_send_continue(c);
        break;
    case H1_DONE:
        conn_dispatch(c);
        break;
    case H1_BAD:
        conn_refuse(c, in->status);
        break;
    }
    return used;
}

/* Takes bytes in whatever state the connection is. */
static void conn_input(struct http_conn *c, const char *p, size_t n)
{
    c->progress_ns = clock_mono_ns();
    c->in_input = true;
    while (n && c->state <= CONN_BODY) {
        size_t used = conn_parse(c, p, n);
        p += used;
        n -= used;
    }
    c->in_input = false;
    if (c->state == CONN_LINGER) {
        c->lingered += n;
        if (c->lingered > LINGER_MAX)
            http_conn_close(c);
    } else if (c->state >= CONN_BUSY && c->state <= CONN_REPLY) {
        conn_early(c, p, n);
    }
}

/* ---- writing ---- */

/* Everything is sent: next request, or the end. */
static void conn_after_reply(struct http_conn *c)
{
    struct http_server *s = c->server;
    struct buf early;

    buf_free(&s->bufs, &c->sending);
    if (c->refused) { /* H-19: no reset may eat the answer */
        uv_os_fd_t fd;
        conn_enter(c, CONN_LINGER);
        c->linger_ns = clock_mono_ns();
        if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0)
            (void)shutdown(fd, SHUT_WR); /* a client that is gone is gone */
        conn_arm(c);
        if (c->read_stopped)
            conn_read_start(c);
        return;
    }
    if (!c->keep_alive || s->draining) {
        http_conn_close(c);
        return;
    }
    conn_enter(c, CONN_IDLE);
    c->progress_ns = clock_mono_ns();
    conn_arm(c);
    if (c->read_stopped)
        conn_read_start(c);
    if (c->in_input)
        return;
    early = c->early;
    c->early = (struct buf){0};
    if (early.n && c->state == CONN_IDLE)
        conn_input(c, early.p, early.n);
    buf_free(&s->bufs, &early);
}

/* What was to be sent is with the kernel. */
static void conn_sent(struct http_conn *c)
{
    struct http_server *s = c->server;

    if (c->state != CONN_STREAM) {
        conn_after_reply(c);
        return;
    }
    buf_free(&s->bufs, &c->sending);
    conn_arm(c);
    s->o.on_sent(s->o.ctx, c->req);
}

static void conn_on_written(uv_write_t *w, int status)
{
    struct http_conn *c = w->data;

    c->writing = false;
    if (c->state == CONN_CLOSING)
        return;
    if (status < 0)
        http_conn_close(c);
    else
        conn_sent(c);
}

/* True: all of it is with the kernel; else conn_sent() comes later, or the connection is closed. */
static bool conn_flush(struct http_conn *c)
{
    if (c->tls && !conn_encrypt(c)) {
        http_conn_close(c);
        return false;
    }
    c->progress_ns = clock_mono_ns();
    uv_buf_t buf = uv_buf_init(c->sending.p, (unsigned)c->sending.n);
    int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (sent >= 0 && (size_t)sent == c->sending.n)
        return true;
    if (sent < 0 && sent != UV_EAGAIN) {
        http_conn_close(c);
        return false;
    }
    if (sent > 0)
        buf = uv_buf_init(c->sending.p + sent, (unsigned)(c->sending.n - (size_t)sent));
    c->write.data = c;
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, conn_on_written)) {
        c->writing = false;
        http_conn_close(c);
        return false;
    }
    conn_arm(c);
    return false;
}

/* Status line and headers; `framing`: what says where the body ends. */
static bool conn_put_head(struct http_conn *c, const struct http_answer *a, const char *framing)
{
    struct bufpool *bufs = &c->server->bufs;
    char head[512];
    int n =
        snprintf(head, sizeof head, "HTTP/1.1 %u %s\r\n%s%.*s%s%s%s", a->status,
                 reason_of(a->status), a->type.n ? "Content-Type: " : "", STR_ARG(a->type),
                 a->type.n ? "\r\n" : "", c->keep_alive ? "" : "Connection: close\r\n", framing);

    return buf_add(bufs, &c->sending, head, (size_t)n) &&
           buf_add(bufs, &c->sending, a->headers.p, a->headers.n) &&
           buf_add(bufs, &c->sending, "\r\n", 2);
}

static void conn_send(struct http_conn *c, const struct http_answer *a)
{
    bool has_body = a->status != 204 && !c->bodiless;
    char framing[48] = "";

    if (a->status != 204)
        (void)snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", a->body.n);
    conn_enter(c, CONN_REPLY);
    if (!conn_put_head(c, a, framing) ||
        (has_body && !buf_add(&c->server->bufs, &c->sending, a->body.p, a->body.n)))
        http_conn_close(c);
    else if (conn_flush(c))
        conn_after_reply(c);
}

/* ---- an answer in pieces ---- */

void http_begin(struct http_request *r, const struct http_answer *a)
{
    struct http_conn *c = r->conn;

    if (!c)
        return;
    c->keep_alive = r->in.keep_alive && !a->close && !c->server->draining;
    conn_enter(c, CONN_STREAM);
    /* it goes out with the first piece */
    if (!conn_put_head(c, a, r->in.is_1_0 ? "" : "Transfer-Encoding: chunked\r\n"))
        http_conn_close(c);
}

/* RFC 9112 7.1 */
static bool conn_put_chunk(struct http_conn *c, struct str piece)
{
    struct bufpool *bufs = &c->server->bufs;
    char size[24];
    int n = snprintf(size, sizeof size, "%zx\r\n", piece.n);

    if (c->req->in.is_1_0)
        return buf_add(bufs, &c->sending, piece.p, piece.n);
    return buf_add(bufs, &c->sending, size, (size_t)n) &&
           buf_add(bufs, &c->sending, piece.p, piece.n) && buf_add(bufs, &c->sending, "\r\n", 2);
}

bool http_piece(struct http_request *r, struct str piece)
{
    struct http_conn *c = r->conn;

    if (!c || !piece.n || c->bodiless)
        return true;
    ASSERT(c->state == CONN_STREAM && !c->writing);
    if (!conn_put_chunk(c, piece)) {
        http_conn_close(c);
        return true;
    }
    if (!conn_flush(c))
        return !r->conn;
    buf_free(&c->server->bufs, &c->sending);
    return true;
}

void http_end(struct http_request *r, bool is_whole)
{
    struct http_conn *c = r->conn;
    bool ok = is_whole;

    if (c) {
        ASSERT(!c->writing);
        if (ok && !r->in.is_1_0 && !c->bodiless)
            ok = buf_add(&c->server->bufs, &c->sending, "0\r\n\r\n", 5);
        c->req = NULL;
        conn_enter(c, CONN_REPLY);
        if (!ok)
            http_conn_close(c);
        else if (conn_flush(c))
            conn_after_reply(c);
    }
    request_free(r);
}

/* ---- beginnings ---- */

static void conn_set_ip(struct http_conn *c)
{
    struct sockaddr_storage peer = {0};
    int n = sizeof peer;

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &n))
        return;
    const void *addr =
        peer.ss_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)&peer)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)&peer)->sin_addr;
    if (!inet_ntop(peer.ss_family, addr, c->ip, sizeof c->ip))
        c->ip[0] = '\0';
}

void http_conn_accept(struct http_server *s, uv_stream_t *listener)
{
    struct http_conn *c = calloc(1, sizeof *c);

    if (!c || uv_tcp_init(s->o.loop, &c->tcp)) {
        free(c);
        return;
    }
    c->server = s;
    c->tcp.data = c;
    c->state = CONN_IDLE;
    timer_init(&c->timer, conn_on_timer);
    list_push(&s->conns, &c->link);
    s->n_conns++;
    s->n_open++;
    c->progress_ns = clock_mono_ns();
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) || s->n_conns > s->o.max_connections ||
        s->draining) {
        http_conn_close(c);
        return;
    }
    struct err e;
    if (s->o.tls && tls_accept(&c->tls, s->o.tls, &e)) {
        http_conn_close(c);
        return;
    }
    c->is_shaking = c->tls != NULL;
    c->begun_ns = c->progress_ns;
    conn_set_ip(c);
    (void)uv_tcp_nodelay(&c->tcp, 1); /* slower without, but right */
    conn_arm(c);
    conn_read_start(c);
}

bool http_conn_is_idle(const struct http_conn *c)
{
    return c->state == CONN_IDLE;
}
