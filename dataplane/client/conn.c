/*
 * Framing by llhttp without any leniency; bytes counted here, since llhttp has no limits. The body
 * is read straight into its buffer. Writes go out at once when the kernel takes them, else through
 * two buffers: one with libuv, one filling behind it.
 */

#include "client/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/url.h"

enum { /* threats section 1 */
       LINE_MAX_BYTES = 8 * 1024,
       HEADER_MAX = 16 * 1024,
       HEAD_MAX = 32 * 1024,
       BLANK_LINES_MAX = 2,
       FRAMING_MIN = 64 * 1024,
       TRAILERS_MAX = 4 * 1024,
       EXTENSION_MAX = 256,
       CHUNK_LINE_MAX =
           2 + 16 + 2 + 8, /* end of data, digits, end of line, marks of an extension */
       LINGER_MAX = 64 * 1024,
       LINGER_MS = 2000,
       BODY_RATE_MIN = 1024, /* bytes a second, body_timeout aside */
       EARLY_MAX = 64 * 1024,
       GONE_MS = 30000, /* a request goes on for so long without its client */
       BODY_STEP = 256 * 1024,
};

#define STR_CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static void conn_input(struct conn *c, const char *p, size_t n);
static void conn_read_start(struct conn *c);

struct conn_state_desc {
    const char *name;
    uint32_t next; /* states that may follow, as bits */
};

static const struct conn_state_desc conn_states[CONN_STATES] = {
    [CONN_IDLE] = {"idle", BIT(CONN_HEAD) | BIT(CONN_CLOSING)},
    [CONN_HEAD] = {"head", BIT(CONN_BODY) | BIT(CONN_BUSY) | BIT(CONN_CLOSING)},
    [CONN_BODY] = {"body", BIT(CONN_BUSY) | BIT(CONN_CLOSING)},
    [CONN_BUSY] = {"busy", BIT(CONN_REPLY) | BIT(CONN_IDLE) | BIT(CONN_LINGER) | BIT(CONN_CLOSING)},
    [CONN_REPLY] = {"reply", BIT(CONN_IDLE) | BIT(CONN_LINGER) | BIT(CONN_CLOSING)},
    [CONN_LINGER] = {"linger", BIT(CONN_CLOSING)},
    [CONN_CLOSING] = {"closing", 0},
};

/* Until when the current state may last; 0: its own limits hold elsewhere. */
static uint64_t conn_deadline(const struct conn *c)
{
    const struct snap_settings *s = &c->cx->snapshot->h->settings;

    if (c->gone)
        return c->gone_ns + clock_ms(GONE_MS);
    switch ((enum conn_state)c->state) {
    case CONN_IDLE:
        return c->progress_ns + clock_ms(s->idle_timeout_ms);
    case CONN_HEAD: /* all of it: bytes that trickle in do not help */
        return c->begun_ns + clock_ms(s->header_timeout_ms);
    case CONN_BODY: /* neither silent nor trickling */
        return clock_ms(s->body_timeout_ms) +
               MIN(c->progress_ns,
                   c->req.head_ns + c->body.n * (UINT64_C(1000000000) / BODY_RATE_MIN));
    case CONN_LINGER:
        return c->linger_ns + clock_ms(LINGER_MS);
    case CONN_BUSY: /* the exchange is timed; here only what the client does not take */
    case CONN_REPLY:
        return conn_backlog(c) ? c->progress_ns + clock_ms(s->write_timeout_ms) : 0;
    case CONN_CLOSING:
    case CONN_STATES:
        break;
    }
    return 0;
}

static void conn_arm(struct conn *c)
{
    uint64_t deadline = conn_deadline(c);

    if (deadline)
        timer_arm(&c->cx->wheel, &c->timer, deadline);
    else
        timer_disarm(&c->timer);
}

static void conn_enter(struct conn *c, enum conn_state to)
{
    ASSERT(conn_states[c->state].next & BIT(to));
    c->state = (uint8_t)to;
}

static void conn_on_closed(uv_handle_t *h)
{
    struct conn *c = h->data;
    struct context *cx = c->cx;

    buf_free(&cx->bufs, &c->sending); /* libuv had it until now */
    explicit_bzero(&c->auth, sizeof c->auth);
    free(c);
}

static void conn_close(struct conn *c)
{
    struct context *cx = c->cx;

    if (c->state == CONN_CLOSING)
        return;
    bool active = c->req.active;
    conn_enter(c, CONN_CLOSING);
    cx->n_gone -= c->gone;
    timer_disarm(&c->timer);
    if (active)
        request_abandon(&c->req);
    request_reset(&c->req);
    buf_free(&cx->bufs, &c->head);
    buf_free(&cx->bufs, &c->body);
    buf_free(&cx->bufs, &c->early);
    buf_free(&cx->bufs, &c->queued);
    list_drop(&c->link);
    metric_add(cx->region, METRIC_OPEN_CONNECTIONS, (uint64_t)-1);
    uv_close((uv_handle_t *)&c->tcp, conn_on_closed);
}

/* The client is gone. True: its request is read on, in place; else the connection is closing. */
static bool conn_lost(struct conn *c)
{
    if (c->gone)
        return true;
    if (c->state != CONN_BUSY || !request_orphan(&c->req)) {
        conn_close(c);
        return false;
    }
    c->gone = true;
    c->gone_ns = clock_mono_ns();
    c->cx->n_gone++;
    uv_read_stop((uv_stream_t *)&c->tcp);
    buf_free(&c->cx->bufs, &c->early);
    buf_free(&c->cx->bufs, &c->queued);
    conn_arm(c);
    return true;
}

void conn_abort(struct conn *c)
{
    conn_close(c);
}

static void conn_on_timer(struct timer *t)
{
    struct conn *c = container_of(t, struct conn, timer);
    uint64_t deadline = conn_deadline(c);

    if (!deadline)
        return;
    if (clock_mono_ns() < deadline) {
        conn_arm(c);
        return;
    }
    if (c->state == CONN_HEAD || c->state == CONN_BODY) {
        conn_enter(c, CONN_BUSY);
        request_refuse(&c->req, ERROR_REQUEST_TIMEOUT, (struct str){0}, true);
        return;
    }
    conn_close(c);
}

/* --- reading
 * ------------------------------------------------------------------------------------------- */

struct str conn_target(const struct conn *c)
{
    return (struct str){c->head.p, c->target_n};
}

struct str conn_header(const struct conn *c, struct str lower_name, bool *ret_repeated)
{
    struct str found = {0};

    if (!(c->name_lengths & BIT64(lower_name.n % 64)))
        return found;
    for (uint32_t i = 0; i < c->n_headers; i++) {
        const struct conn_header *h = &c->header[i];
        if (h->name_n != lower_name.n ||
            !str_ieq((struct str){c->head.p + h->name_at, h->name_n}, lower_name))
            continue;
        struct str value = {c->head.p + h->value_at, h->value_n};
        if (!found.p)
            found = value;
        else if (ret_repeated && !str_eq(found, value))
            *ret_repeated = true;
    }
    return found;
}

/* Inside llhttp: remembers why, stops the parser. */
static int refuse(struct conn *c, enum client_error error)
{
    if (!c->refused)
        c->refused = (uint16_t)(error + 1);
    return -1;
}

static int head_add(struct conn *c, const char *p, size_t n)
{
    if (c->head.n + n > HEAD_MAX)
        return refuse(c, ERROR_HEAD_TOO_LARGE);
    return buf_add(&c->cx->bufs, &c->head, p, n) ? 0 : refuse(c, ERROR_OVERLOADED);
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct conn *c = p->data;

    if (c->target_n + n > LINE_MAX_BYTES)
        return refuse(c, ERROR_URI_TOO_LONG);
    c->target_n += (uint32_t)n;
    return head_add(c, at, n);
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct conn *c = p->data;

    if (c->state == CONN_BODY) { /* trailers are counted, not kept */
        c->framing_bytes += n;
        return c->framing_bytes > TRAILERS_MAX ? refuse(c, ERROR_BAD_REQUEST) : 0;
    }
    if (c->n_headers == CONN_HEADERS_MAX)
        return refuse(c, ERROR_HEAD_TOO_LARGE);
    struct conn_header *h = &c->header[c->n_headers];
    if (!h->name_n)
        h->name_at = (uint32_t)c->head.n;
    if (h->name_n + n > HEADER_MAX)
        return refuse(c, ERROR_HEAD_TOO_LARGE);
    h->name_n = (uint16_t)(h->name_n + n);
    return head_add(c, at, n);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct conn *c = p->data;

    if (c->state == CONN_BODY)
        return on_field(p, at, n);
    struct conn_header *h = &c->header[c->n_headers];
    if (!h->value_n)
        h->value_at = (uint32_t)c->head.n;
    if (h->value_n + n > HEADER_MAX)
        return refuse(c, ERROR_HEAD_TOO_LARGE);
    h->value_n = (uint16_t)(h->value_n + n);
    return head_add(c, at, n);
}

static int on_value_complete(llhttp_t *p)
{
    struct conn *c = p->data;

    if (c->state == CONN_BODY)
        return 0;
    c->name_lengths |= BIT64(c->header[c->n_headers].name_n % 64);
    c->n_headers++;
    if (c->n_headers < CONN_HEADERS_MAX)
        c->header[c->n_headers] = (struct conn_header){0};
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct conn *c = p->data;
    bool repeated = false;

    if (p->http_major != 1 || p->http_minor > 1)
        return refuse(c, ERROR_HTTP_VERSION); /* H-06 */
    c->http_1_0 = p->http_minor == 0;
    c->keep_alive = llhttp_should_keep_alive(p) && !c->http_1_0 && !p->upgrade;
    p->upgrade = 0; /* H-10: an Upgrade is ignored */
    struct str host = conn_header(c, STR("host"), &repeated);
    if (c->http_1_0 ? host.p && !url_host_is_plain(host) : !url_host_is_plain(host) || repeated)
        return refuse(c, ERROR_BAD_REQUEST);
    if (p->flags & F_TRANSFER_ENCODING) { /* H-03: the single token chunked, never with 1.0 */
        struct str te = str_trim(conn_header(c, STR("transfer-encoding"), &repeated));
        if (c->http_1_0 || repeated || !str_ieq(te, STR("chunked")))
            return refuse(c, ERROR_BAD_REQUEST);
        c->chunked = true;
        c->body_expected = UINT64_MAX;
    } else {
        c->body_expected = p->flags & F_CONTENT_LENGTH ? p->content_length : 0;
    }
    struct str expect = conn_header(c, STR("expect"), NULL);
    c->wants_continue = expect.n != 0;
    if (expect.n && !str_ieq(expect, STR("100-continue")))
        return refuse(c, ERROR_EXPECTATION); /* H-16 */
    if (!request_head(&c->req))
        return -1;
    conn_enter(c, CONN_BODY);
    /* room for a body of known size at once: it is then read straight into its place */
    uint64_t first = c->chunked ? 0 : MIN(c->body_expected, (uint64_t)BODY_STEP * 4);
    if (first &&
        !buf_reserve(&c->cx->bufs, &c->body,
                     (size_t)(c->body_expected <= BODY_STEP * 8 ? c->body_expected : first)))
        return refuse(c, ERROR_OVERLOADED);
    if (c->wants_continue && !conn_send(c, STR_CONTINUE, sizeof STR_CONTINUE - 1))
        return -1;
    return c->chunked ? HPE_PAUSED : 0; /* from here on lines are measured: conn_execute() */
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct conn *c = p->data;
    size_t from = c->body.n;

    if (c->body.n + n > request_body_max(&c->req))
        return refuse(c, ERROR_BODY_TOO_LARGE);
    if (at == c->body.p + c->body.n && c->body.p)
        c->body.n += n; /* read in place */
    else if (!buf_add(&c->cx->bufs, &c->body, at, n))
        return refuse(c, ERROR_OVERLOADED);
    c->chunk_framing = c->chunk_extension = 0;
    c->framing_from = at + n;
    c->body_refused = !request_body(&c->req, from);
    return c->body_refused ? -1 : 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct conn *c = p->data;

    c->whole = true;
    return HPE_PAUSED; /* the request runs outside the parser; what follows waits (H-11) */
}

/* A chunk's size line is complete; the parser stops there so that it can be measured. */
static int on_chunk_header(llhttp_t *p)
{
    struct conn *c = p->data;

    if (c->body.n + p->content_length > request_body_max(&c->req))
        return refuse(c, ERROR_BODY_TOO_LARGE);
    c->in_trailers = p->content_length == 0;
    return HPE_PAUSED;
}

static int on_chunk_extension(llhttp_t *p, const char *at, size_t n)
{
    struct conn *c = p->data;

    (void)at;
    c->chunk_extension += (uint32_t)n;
    return c->chunk_extension > EXTENSION_MAX ? refuse(c, ERROR_BAD_REQUEST) : 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* The next request may begin. */
static void conn_reset(struct conn *c)
{
    request_reset(&c->req);
    buf_free(&c->cx->bufs, &c->body);
    c->head.n = 0;
    if (c->head.cap > BUF_MIN)
        buf_free(&c->cx->bufs, &c->head);
    c->target_n = c->n_headers = 0;
    c->name_lengths = 0;
    c->header[0] = (struct conn_header){0};
    c->refused = 0;
    c->framing_bytes = c->lingered = 0;
    c->whole = c->wants_continue = c->chunked = c->in_trailers = c->body_refused = false;
    c->chunk_framing = c->chunk_extension = 0;
    llhttp_init(&c->parser, HTTP_REQUEST, &settings);
    c->parser.data = c;
}

void conn_forget_request(struct conn *c)
{
    buf_free(&c->cx->bufs, &c->head);
    buf_free(&c->cx->bufs, &c->body);
    c->target_n = c->n_headers = 0;
    c->name_lengths = 0;
}

/* Puts aside bytes that are not yet wanted; beyond EARLY_MAX they stay in the kernel. */
static void conn_early(struct conn *c, const char *p, size_t n)
{
    if (!n)
        return;
    if (!buf_add(&c->cx->bufs, &c->early, p, n)) {
        conn_close(c);
        return;
    }
    if (c->early.n >= EARLY_MAX && !c->read_stopped) {
        c->read_stopped = true;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

static void conn_begin(struct conn *c)
{
    if (c->req.active)
        return;
    c->begun_ns = c->progress_ns;
    request_begin(&c->req, c, c->cx);
}

/* Runs the parser over [p, end); of a chunked body, line by line. HPE_PAUSED: the request is
 * complete. */
static llhttp_errno_t conn_execute(struct conn *c, const char *p, const char *end)
{
    for (;;) {
        c->framing_from = c->state == CONN_BODY ? p : NULL; /* a head has limits of its own */
        llhttp_errno_t rc = llhttp_execute(&c->parser, p, (size_t)(end - p));
        bool at_chunk = rc == HPE_PAUSED && !c->whole;
        const char *at = at_chunk ? llhttp_get_error_pos(&c->parser) : end;
        if (c->chunked && c->framing_from && (at_chunk || rc == HPE_OK)) {
            c->chunk_framing += (uint32_t)(at - c->framing_from);
            if (c->chunk_framing - c->chunk_extension > CHUNK_LINE_MAX && !c->in_trailers) {
                (void)refuse(c, ERROR_BAD_REQUEST);
                return HPE_USER;
            }
        }
        if (!at_chunk)
            return rc;
        llhttp_resume(&c->parser);
        p = at;
    }
}

/* Parses until the request is complete or the bytes end; returns how many were used. */
static size_t conn_parse(struct conn *c, const char *p, size_t n)
{
    const char *end = p + n;

    if (c->state == CONN_IDLE) {
        unsigned blank = 0; /* H-18 */
        while (p < end && (*p == '\r' || *p == '\n')) {
            blank += *p == '\n';
            p++;
        }
        c->framing_bytes += blank;
        if (c->framing_bytes > BLANK_LINES_MAX) {
            conn_enter(c, CONN_HEAD);
            (void)refuse(c, ERROR_BAD_REQUEST);
        } else if (p == end) {
            return n;
        } else {
            conn_enter(c, CONN_HEAD);
            c->framing_bytes = 0;
            conn_begin(c);
        }
    }
    size_t body_before = c->body.n;
    llhttp_errno_t rc = c->refused ? HPE_USER : conn_execute(c, p, end);
    if (rc == HPE_OK) {
        if (c->state == CONN_BODY && c->chunked) { /* H-04: framing against data */
            c->framing_bytes += (size_t)(end - p) - MIN((size_t)(end - p), c->body.n - body_before);
            if (c->framing_bytes > FRAMING_MIN + c->body.n / 4)
                (void)refuse(c, ERROR_BAD_REQUEST);
        }
        if (!c->refused) {
            conn_arm(c);
            return n;
        }
        rc = HPE_USER;
    }
    if (c->state == CONN_CLOSING)
        return n;
    conn_begin(c); /* when it was refused before a request began */
    conn_enter(c, CONN_BUSY);
    if (rc == HPE_PAUSED) {
        const char *at = llhttp_get_error_pos(&c->parser);
        size_t used = n - (size_t)(end - at);
        timer_disarm(&c->timer);
        request_complete(&c->req);
        return used;
    }
    if (c->body_refused)
        request_complete(&c->req); /* the body itself: request.c knows why */
    else
        request_refuse(&c->req,
                       c->refused ? (enum client_error)(c->refused - 1) : ERROR_BAD_REQUEST,
                       (struct str){0}, true);
    return n;
}

/* Takes bytes in whatever state the connection is. */
static void conn_input(struct conn *c, const char *p, size_t n)
{
    c->progress_ns = clock_mono_ns();
    c->in_input = true;
    while (n && (c->state == CONN_IDLE || c->state == CONN_HEAD || c->state == CONN_BODY)) {
        size_t used = conn_parse(c, p, n);
        p += used;
        n -= used;
    }
    c->in_input = false;
    if (c->state == CONN_LINGER) {
        c->lingered += n;
        if (c->lingered > LINGER_MAX)
            conn_close(c);
    } else if (c->state == CONN_BUSY || c->state == CONN_REPLY) {
        conn_early(c, p, n);
    }
}

/* The early bytes, once the connection is free for them. */
static void conn_input_early(struct conn *c)
{
    struct context *cx = c->cx;
    struct buf early = c->early;

    c->early = (struct buf){0};
    if (early.n)
        conn_input(c, early.p, early.n);
    buf_free(&cx->bufs, &early);
}

static void conn_on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = h->data;

    (void)suggested;
    if (c->state == CONN_BODY && !c->chunked && c->body_expected > c->body.n) {
        size_t left = (size_t)MIN(c->body_expected - c->body.n, (uint64_t)BODY_STEP);
        if (c->body.cap - c->body.n >= left ||
            buf_reserve(&c->cx->bufs, &c->body, c->body.n + left)) {
            *buf = uv_buf_init(c->body.p + c->body.n, (unsigned)left);
            return;
        }
    }
    *buf = uv_buf_init(c->cx->read, sizeof c->cx->read);
}

static void conn_on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = s->data;

    if (n > 0) {
        conn_input(c, buf->base, (size_t)n);
    } else if (n == UV_EOF && c->state == CONN_REPLY) {
        c->keep_alive = false; /* half-closed behind its last request: it still gets the answer */
        uv_read_stop(s);
    } else if (n < 0) {
        (void)conn_lost(
            c); /* whoever asked is gone, and the exchange ends with him, or is read on */
    }
}

static void conn_read_start(struct conn *c)
{
    c->read_stopped = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, conn_on_alloc, conn_on_read))
        conn_close(c);
}

/* --- writing
 * ------------------------------------------------------------------------------------------- */

size_t conn_backlog(const struct conn *c)
{
    return c->gone ? 0 : c->queued.n + (c->writing ? c->sending.n : 0);
}

static void conn_write_queued(struct conn *c);
static void conn_after_reply(struct conn *c);

static void conn_on_written(uv_write_t *w, int status)
{
    struct conn *c = w->data;

    c->writing = false;
    if (c->state == CONN_CLOSING)
        return;
    c->sending.n = 0;
    if (status < 0 || c->gone) {
        (void)conn_lost(c);
        return;
    }
    c->progress_ns = clock_mono_ns();
    if (c->queued.n) {
        conn_write_queued(c);
    } else {
        buf_free(&c->cx->bufs, &c->sending);
        buf_free(&c->cx->bufs, &c->queued);
        if (c->state == CONN_REPLY) {
            conn_after_reply(c);
            return;
        }
        conn_arm(c);
    }
    if (c->state == CONN_BUSY && conn_backlog(c) < CONN_LOW_WATER)
        request_on_drained(&c->req);
}

static void conn_write_queued(struct conn *c)
{
    struct buf swap = c->sending;

    c->sending = c->queued;
    c->queued = swap;
    c->queued.n = 0;
    uv_buf_t buf = uv_buf_init(c->sending.p, (unsigned)c->sending.n);
    c->write.data = c;
    c->writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, conn_on_written)) {
        c->writing = false;
        (void)conn_lost(c);
        return;
    }
    conn_arm(c);
}

bool conn_send(struct conn *c, const char *p, size_t n)
{
    if (c->state == CONN_CLOSING || c->gone)
        return c->gone && c->state != CONN_CLOSING;
    if (!c->writing && !c->queued.n) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
        int sent = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
        if (sent == UV_EAGAIN)
            sent = 0;
        if (sent < 0)
            return conn_lost(c);
        p += sent;
        n -= (size_t)sent;
    }
    if (!n)
        return true;
    if (!buf_add(&c->cx->bufs, &c->queued, p, n)) {
        conn_close(c);
        return false;
    }
    if (!c->writing) {
        c->progress_ns = clock_mono_ns();
        conn_write_queued(c);
    }
    return c->state != CONN_CLOSING;
}

/* Everything is sent: next request, or the end. */
static void conn_after_reply(struct conn *c)
{
    struct context *cx = c->cx;

    if (!c->keep_alive || cx->draining) {
        if (c->whole) {
            conn_close(c);
            return;
        }
        /* H-19: what still comes is dropped for a while, so that no reset eats the answer */
        conn_enter(c, CONN_LINGER);
        c->linger_ns = clock_mono_ns();
        uv_os_fd_t fd;
        if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) == 0)
            (void)shutdown(fd, SHUT_WR); /* a client that is gone is gone */
        conn_arm(c);
        if (c->read_stopped)
            conn_read_start(c);
        return;
    }
    conn_enter(c, CONN_IDLE);
    c->has_served = true;
    conn_reset(c);
    c->progress_ns = MAX(c->progress_ns, cx->tick_ns); /* an idle time needs no finer one */
    conn_arm(c);
    if (c->read_stopped)
        conn_read_start(c);
    if (!c->in_input)
        conn_input_early(c);
}

void conn_finish(struct conn *c)
{
    if (c->state != CONN_BUSY)
        return;
    if (c->gone) {
        conn_close(c);
        return;
    }
    conn_enter(c, CONN_REPLY);
    if (!conn_backlog(c))
        conn_after_reply(c);
}

void conn_drain(struct conn *c, bool no_more)
{
    if (c->state == CONN_IDLE && (no_more || c->has_served))
        conn_close(c);
    else
        c->keep_alive = false;
}

static void conn_set_ip(struct conn *c, const struct sockaddr_storage *peer)
{
    const void *addr =
        peer->ss_family == AF_INET6
            ? (const void *)&((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr
            : (const void *)&((const struct sockaddr_in *)(const void *)peer)->sin_addr;

    if (!inet_ntop(peer->ss_family, addr, c->ip, sizeof c->ip))
        c->ip[0] = '\0';
}

void conn_accept(struct context *cx, int fd, const struct sockaddr_storage *peer)
{
    struct conn *c = calloc(1, sizeof *c);

    metric_add(cx->region, METRIC_CONNECTIONS, 1);
    if (!c || uv_tcp_init(cx->loop, &c->tcp)) {
        metric_add(cx->region, METRIC_CONNECTIONS_REFUSED, 1);
        free(c);
        (void)close(fd);
        return;
    }
    c->cx = cx;
    c->tcp.data = c;
    c->state = CONN_IDLE;
    timer_init(&c->timer, conn_on_timer);
    list_push(&cx->conns, &c->link);
    metric_add(cx->region, METRIC_OPEN_CONNECTIONS, 1);
    conn_set_ip(c, peer);
    conn_reset(c);
    c->progress_ns = clock_mono_ns();
    if (uv_tcp_open(&c->tcp, fd)) {
        (void)close(fd);
        conn_close(c);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1); /* slower without, but right */
    conn_arm(c);
    conn_read_start(c);
}
