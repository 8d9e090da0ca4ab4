/*
 * One connection to an upstream: bytes in and out, plain or through TLS, and the states it goes
 * through once it is connected. How it gets there is in dial.c, who may have it in pool.c.
 */

#include <netinet/tcp.h>

#include "upstream/pool_priv.h"

typedef void (*conn_input_fn)(struct upconn *c, const char *p, size_t n);
typedef void (*conn_end_fn)(struct upconn *c, enum errc why);

struct conn_state_desc {
    unsigned next; /* states that may follow, as bits */
    conn_input_fn input;
    conn_end_fn end; /* the peer is done; a call to it may be the connection's last */
};

static void conn_lent_input(struct upconn *c, const char *p, size_t n);
static void conn_lent_end(struct upconn *c, enum errc why);
static void conn_unwanted_input(struct upconn *c, const char *p, size_t n);
static void conn_idle_end(struct upconn *c, enum errc why);
static void conn_handed_end(struct upconn *c, enum errc why);

static const struct conn_state_desc conn_states[CONN_STATES] = {
    [CONN_CONNECTING] = {BIT(CONN_TUNNEL) | BIT(CONN_HANDSHAKE) | BIT(CONN_HANDED) |
                             BIT(CONN_CLOSING),
                         NULL, NULL},
    [CONN_TUNNEL] = {BIT(CONN_HANDSHAKE) | BIT(CONN_HANDED) | BIT(CONN_CLOSING), dial_input,
                     dial_lost},
    [CONN_HANDSHAKE] = {BIT(CONN_HANDED) | BIT(CONN_CLOSING), dial_input, dial_lost},
    [CONN_HANDED] = {BIT(CONN_LENT) | BIT(CONN_IDLE) | BIT(CONN_HANDED) | BIT(CONN_CLOSING),
                     conn_unwanted_input, conn_handed_end},
    [CONN_LENT] = {BIT(CONN_IDLE) | BIT(CONN_HANDED) | BIT(CONN_CLOSING), conn_lent_input,
                   conn_lent_end},
    [CONN_IDLE] = {BIT(CONN_LENT) | BIT(CONN_CLOSING), conn_unwanted_input, conn_idle_end},
    [CONN_CLOSING] = {0, NULL, NULL},
};

void conn_enter(struct upconn *c, enum conn_state to)
{
    ASSERT(conn_states[c->state].next & BIT(to));
    c->state = to;
}

enum errc errc_from_uv(int status)
{
    switch (status) {
    case 0:
        return ERRC_OK;
    case UV_EOF:
        return ERRC_CLOSED;
    case UV_ETIMEDOUT:
        return ERRC_TIMEOUT;
    case UV_ENOMEM:
    case UV_ENOBUFS:
        return ERRC_NOMEM;
    default:
        return ERRC_SYS;
    }
}

static uv_stream_t *conn_stream(struct upconn *c)
{
    return (uv_stream_t *)&c->tcp;
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* False once this loop turn has done enough of the arithmetic of handshakes. */
static bool pool_may_shake_hands(struct pool *p)
{
    uint64_t now_ms = pool_now_ms(p);

    if (p->turn_ms != now_ms) {
        p->turn_ms = now_ms;
        p->turn_handshakes = 0;
    }
    return p->turn_handshakes++ < HANDSHAKES_PER_TURN;
}

static void conn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct upconn *c = h->data;

    (void)suggested;
    /* no buffer: the bytes wait in the kernel for the next turn */
    if (c->state == CONN_HANDSHAKE && !pool_may_shake_hands(c->pool))
        *buf = uv_buf_init(NULL, 0);
    else
        *buf = uv_buf_init(c->pool->in, sizeof c->pool->in);
}

static void conn_lent_input(struct upconn *c, const char *p, size_t n)
{
    c->ev->on_read(c->ctx, p, n);
}

static void conn_lent_end(struct upconn *c, enum errc why)
{
    if (c->has_ended)
        return;
    c->has_ended = true;
    (void)uv_read_stop(conn_stream(c)); /* cannot fail */
    c->ev->on_end(c->ctx, why);
}

/* Threats U-02: what nobody asked for may be the answer to what somebody else will ask. */
static void conn_unwanted_input(struct upconn *c, const char *p, size_t n)
{
    (void)p;
    (void)n;
    conn_states[c->state].end(c, ERRC_PROTO);
}

static void conn_idle_end(struct upconn *c, enum errc why)
{
    if (why == ERRC_CLOSED)
        origin_learn_idle(c->origin, pool_now_ms(c->pool) - c->idle_ms);
    conn_close(c);
}

/* Given to a wait that will not see it: that one is the first again. */
static void conn_handed_end(struct upconn *c, enum errc why)
{
    struct pool_wait *w = c->wait;

    (void)why;
    list_drop(&w->link);
    w->state = WAIT_QUEUED;
    w->conn = NULL;
    list_push_first(&w->origin->waiters, &w->link);
    w->origin->n_waiters++;
    conn_close(c);
}

/* A record of ours that is no data: an alert, mostly. It cannot overtake what is queued. */
static bool conn_send_aside(struct upconn *c, const struct tls_io *io)
{
    return io->out_n == 0 || (!c->is_writing && conn_send_now(c, io->out, io->out_n));
}

void conn_save_session(struct upconn *c)
{
    if (!tls_has_session(c->tls) || c->has_saved_session)
        return; /* servers like to send two tickets: one will do */
    c->has_saved_session = true;
    tls_session_save(c->tls, &c->origin->session);
}

static void conn_tls_input(struct upconn *c, const char *p, size_t n)
{
    char aside[512] UNINITIALIZED;
    struct tls_io io = {.in = p, .in_n = n, .out = aside, .out_cap = sizeof aside};
    struct pool *pool = c->pool;
    size_t n_plain;

    enum tls_got got = tls_read(c->tls, &io, pool->plain, sizeof pool->plain, &n_plain);
    if (!conn_send_aside(c, &io))
        got = TLS_FAILED;
    conn_save_session(c);
    if (n_plain)
        conn_states[c->state].input(c, pool->plain, n_plain);
    if (got == TLS_MORE || c->state == CONN_CLOSING)
        return;
    conn_states[c->state].end(c, got == TLS_CLOSED ? ERRC_CLOSED : ERRC_PROTO);
}

void conn_input(struct upconn *c, const char *p, size_t n)
{
    if (c->tls && c->state >= CONN_HANDED)
        conn_tls_input(c, p, n);
    else
        conn_states[c->state].input(c, p, n);
}

static void conn_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct upconn *c = s->data;

    if (n == 0 || n == UV_ENOBUFS || c->state == CONN_CLOSING)
        return;
    if (n > 0) {
        conn_input(c, buf->base, (size_t)n);
        return;
    }
    /* threats T-05: after close_notify nobody reads, so this end was not announced */
    enum errc why = n == UV_EOF && c->tls ? ERRC_PROTO : errc_from_uv((int)n);
    conn_states[c->state].end(c, why);
}

bool conn_read_start(struct upconn *c)
{
    return uv_read_start(conn_stream(c), conn_on_alloc, conn_on_read) == 0;
}

void upconn_pause(struct upconn *c)
{
    ASSERT(c->state == CONN_LENT);
    if (c->is_paused || c->has_ended)
        return;
    c->is_paused = true;
    (void)uv_read_stop(conn_stream(c)); /* cannot fail */
}

void upconn_resume(struct upconn *c)
{
    ASSERT(c->state == CONN_LENT);
    if (!c->is_paused)
        return;
    c->is_paused = false;
    if (!c->has_ended)
        (void)conn_read_start(c); /* fails on a closing handle only */
}

/* --- writing ------------------------------------------------------------------------------------
 */

static uv_buf_t uv_buf_of(const char *p, size_t n)
{
    /* libuv's type serves reads too; writes do not touch the bytes */
    return (uv_buf_t){.base = (char *)(uintptr_t)p, .len = n};
}

static size_t bufs_size(const struct upconn_buf *bufs, unsigned n)
{
    size_t sum = 0;

    for (unsigned i = 0; i < n; i++)
        sum += bufs[i].n;
    return sum;
}

bool conn_send_now(struct upconn *c, const char *p, size_t n)
{
    uv_buf_t b = uv_buf_of(p, n);

    return uv_try_write(conn_stream(c), &b, 1) == (int)n;
}

static void conn_write_begins(struct upconn *c)
{
    c->is_writing = true;
    c->progress_ms = pool_now_ms(c->pool);
    c->unsent = 0;
    list_push(&c->pool->writers, &c->writing);
}

static void conn_write_ends(struct upconn *c)
{
    c->is_writing = false;
    list_drop(&c->writing);
    if (c->out)
        slab_put(&c->pool->outs, TAKE(c->out));
}

/*
 * Fills `out` with records made from the front of c->bufs. Pieces smaller than a record are
 * gathered into one, so that a head and its small body cost one record and one system call.
 */
static MUST_CHECK bool conn_encrypt(struct upconn *c, struct out_buf *out)
{
    struct tls_io io = {.out = out->bytes, .out_cap = sizeof out->bytes};
    struct pool *pool = c->pool;
    unsigned at = 0;
    bool ok = true;

    while (ok && at < c->n_bufs && io.out_cap - io.out_n >= TLS_RECORD_MAX) {
        struct upconn_buf *b = &c->bufs[at];
        const char *p = b->p;
        size_t n = MIN(b->n, TLS_PIECE);

        if (n == TLS_PIECE || at + 1 == c->n_bufs) {
            *b = (struct upconn_buf){b->p + n, b->n - n};
        } else {
            for (p = pool->gather, n = 0; at < c->n_bufs && n < TLS_PIECE;) {
                b = &c->bufs[at];
                size_t m = MIN(b->n, TLS_PIECE - n);
                memcpy(pool->gather + n, b->p, m);
                *b = (struct upconn_buf){b->p + m, b->n - m};
                n += m;
                if (b->n == 0)
                    at++;
            }
        }
        if (n)
            ok = tls_write(c->tls, &io, p, n);
        if (at < c->n_bufs && c->bufs[at].n == 0)
            at++;
    }
    out->n = io.out_n;
    c->n_bufs -= at;
    memmove(c->bufs, c->bufs + at, c->n_bufs * sizeof *c->bufs);
    return ok;
}

static void conn_on_written(uv_write_t *req, int status);

/* Encrypts and queues the next part of a long write. */
static MUST_CHECK bool conn_write_more(struct upconn *c)
{
    if (!conn_encrypt(c, c->out))
        return false;
    uv_buf_t b = uv_buf_of(c->out->bytes, c->out->n);
    return uv_write(&c->req.write, conn_stream(c), &b, 1, conn_on_written) == 0;
}

static void conn_on_written(uv_write_t *req, int status)
{
    struct upconn *c = container_of(req, struct upconn, req.write);

    if (c->state == CONN_CLOSING)
        return;
    if (status == 0 && c->n_bufs > 0) {
        if (conn_write_more(c))
            return;
        status = UV_EPIPE;
    }
    conn_write_ends(c);
    if (status < 0)
        conn_states[c->state].end(c, errc_from_uv(status));
    else if (!c->has_ended)
        c->ev->on_flushed(c->ctx);
}

static enum upconn_wrote conn_write_tls(struct upconn *c, const struct upconn_buf *bufs,
                                        unsigned n_bufs)
{
    ptrdiff_t sent = 0;

    c->out = slab_get(&c->pool->outs);
    if (!c->out)
        return UPCONN_BROKEN;
    memcpy(c->bufs, bufs, n_bufs * sizeof *bufs);
    c->n_bufs = n_bufs;
    conn_write_begins(c);
    if (!conn_encrypt(c, c->out))
        return UPCONN_BROKEN;
    uv_buf_t b = uv_buf_of(c->out->bytes, c->out->n);
    if (c->n_bufs == 0) { /* short enough to be gone at once; else the next turn goes on */
        sent = uv_try_write(conn_stream(c), &b, 1);
        if (sent == (ptrdiff_t)b.len) {
            conn_write_ends(c);
            return UPCONN_SENT;
        }
        if (sent < 0 && sent != UV_EAGAIN)
            return UPCONN_BROKEN;
        sent = MAX(sent, 0);
    }
    b = uv_buf_of(b.base + sent, b.len - (size_t)sent);
    return uv_write(&c->req.write, conn_stream(c), &b, 1, conn_on_written) == 0 ? UPCONN_QUEUED
                                                                                : UPCONN_BROKEN;
}

static enum upconn_wrote conn_write_plain(struct upconn *c, const struct upconn_buf *bufs,
                                          unsigned n_bufs)
{
    uv_buf_t b[ARRAY_LEN(c->bufs)];
    unsigned at = 0;

    for (unsigned i = 0; i < n_bufs; i++)
        b[i] = uv_buf_of(bufs[i].p, bufs[i].n);
    int rc = uv_try_write(conn_stream(c), b, n_bufs);
    if (rc < 0 && rc != UV_EAGAIN)
        return UPCONN_BROKEN;

    size_t sent = rc < 0 ? 0 : (size_t)rc;
    for (; at < n_bufs && sent >= b[at].len; at++)
        sent -= b[at].len;
    if (at == n_bufs)
        return UPCONN_SENT;
    b[at] = uv_buf_of(b[at].base + sent, b[at].len - sent);
    conn_write_begins(c);
    return uv_write(&c->req.write, conn_stream(c), b + at, n_bufs - at, conn_on_written) == 0
               ? UPCONN_QUEUED
               : UPCONN_BROKEN;
}

enum upconn_wrote upconn_write(struct upconn *c, const struct upconn_buf *bufs, unsigned n_bufs)
{
    ASSERT(c->state == CONN_LENT && !c->is_writing && n_bufs <= ARRAY_LEN(c->bufs));
    if (c->has_ended || bufs_size(bufs, n_bufs) == 0)
        return c->has_ended ? UPCONN_BROKEN : UPCONN_SENT;
    return c->tls ? conn_write_tls(c, bufs, n_bufs) : conn_write_plain(c, bufs, n_bufs);
}

void conn_check_write(struct upconn *c)
{
    size_t unsent = uv_stream_get_write_queue_size(conn_stream(c)) + bufs_size(c->bufs, c->n_bufs);
    uint64_t now_ms = pool_now_ms(c->pool);

    if (unsent != c->unsent) {
        c->unsent = unsent;
        c->progress_ms = now_ms;
    } else if (now_ms - c->progress_ms >= CONN_STALL_MS) {
        conn_states[c->state].end(c, ERRC_TIMEOUT);
    }
}

/* --- life ---------------------------------------------------------------------------------------
 */

/* Best effort: a kernel that lacks one of them still carries bytes. */
static void socket_configure(int fd)
{
    static const struct {
        int level, option, value;
    } rows[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 30}, /* threats C-08, seconds */
        {IPPROTO_TCP, TCP_KEEPINTVL, 10},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, CONN_STALL_MS},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        (void)setsockopt(fd, rows[i].level, rows[i].option, &rows[i].value, sizeof rows[i].value);
}

/* Connections made in a row end their lives far apart. */
static void conn_set_life(struct upconn *c)
{
    uint64_t less = c->pool->n_born++ * UINT32_C(2654435769) >> 16; /* of 65536 */

    c->max_requests = CONN_REQUESTS - (uint32_t)(CONN_REQUESTS / CONN_SPREAD * less >> 16);
    c->worn_ms = pool_now_ms(c->pool) + CONN_AGE_MS - (CONN_AGE_MS / CONN_SPREAD * less >> 16);
}

struct upconn *conn_new(struct origin *o, sa_family_t family, enum pool_got *ret_how)
{
    struct pool *p = o->pool;
    struct upconn *c = slab_get(&p->conns);
    uv_os_fd_t fd;

    *ret_how = POOL_FULL; /* memory or descriptors of ours */
    if (!c)
        return NULL;
    memset(c, 0, sizeof *c);
    if (uv_tcp_init_ex(p->loop, &c->tcp, family) < 0) {
        slab_put(&p->conns, c);
        return NULL;
    }
    p->open_handles++;
    c->tcp.data = c;
    c->pool = p;
    c->origin = o;
    conn_set_life(c);
    list_init(&c->link);
    list_init(&c->writing);
    if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
        socket_configure(fd);
    return c;
}

static void conn_on_closed(uv_handle_t *h)
{
    struct upconn *c = h->data;
    struct pool *p = c->pool;

    if (c->out)
        slab_put(&p->outs, TAKE(c->out));
    c->tls = tls_free(c->tls);
    slab_put(&p->conns, c);
    pool_handle_closed(p);
}

void conn_drop(struct upconn *c)
{
    char aside[512];
    struct tls_io io = {.out = aside, .out_cap = sizeof aside};
    struct origin *o = c->origin;

    if (c->state == CONN_CLOSING)
        return;
    if (c->tls && c->state == CONN_IDLE) {
        tls_end(c->tls, &io);
        (void)conn_send_now(c, io.out, io.out_n); /* a courtesy */
    }
    conn_enter(c, CONN_CLOSING);
    list_drop(&c->link);
    list_drop(&c->writing);
    c->origin = NULL;
    c->wait = NULL;
    if (c->has_claim)
        origin_release(o);
    c->has_claim = false;
    uv_close((uv_handle_t *)&c->tcp, conn_on_closed);
}

void conn_close(struct upconn *c)
{
    struct origin *o = c->origin;

    conn_drop(c);
    if (o)
        origin_advance(o);
}

void upconn_close(struct upconn *c)
{
    ASSERT(c->state == CONN_LENT);
    conn_close(c);
}

bool conn_looks_alive(const struct upconn *c)
{
    uv_os_fd_t fd;
    char byte;

    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) < 0)
        return false;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

bool conn_is_worn(const struct upconn *c)
{
    return c->requests >= c->max_requests || pool_now_ms(c->pool) >= c->worn_ms;
}

void conn_lend(struct upconn *c, const struct upconn_events *ev, void *ctx)
{
    conn_enter(c, CONN_LENT);
    c->wait = NULL;
    c->ev = ev;
    c->ctx = ctx;
    if (c->requests++ > 0)
        metric_add(c->pool->region, METRIC_UPSTREAM_REUSES, 1);
}

void conn_hand(struct upconn *c, struct pool_wait *w)
{
    conn_enter(c, CONN_HANDED);
    c->wait = w;
    pool_tell(c->pool, w, POOL_CONNECTED, c);
}

void conn_give(struct upconn *c)
{
    struct origin *o = c->origin;
    struct pool_wait *w = LIST_FIRST(&o->waiters, struct pool_wait, link);

    if (c->has_ended || conn_is_worn(c)) {
        conn_close(c);
    } else if (w) {
        list_drop(&w->link);
        o->n_waiters--;
        conn_hand(c, w);
    } else if (o->generations == 0) { /* no generation names it any more */
        conn_close(c);
    } else {
        conn_enter(c, CONN_IDLE);
        c->wait = NULL;
        c->idle_ms = pool_now_ms(c->pool);
        list_push_first(&o->idle, &c->link);
    }
}

void pool_put(struct upconn *c)
{
    ASSERT(c->state == CONN_LENT && !c->is_writing);
    upconn_resume(c);
    conn_give(c);
}

void upconn_limit_idle(struct upconn *c, unsigned timeout_s)
{
    origin_learn_idle(c->origin, timeout_s > 1 ? (timeout_s - 1) * UINT64_C(1000) : 0);
}

bool upconn_is_reused(const struct upconn *c)
{
    return c->requests > 1;
}
