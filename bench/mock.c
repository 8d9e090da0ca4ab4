/*
 * Mock upstream: an OpenAI- and Anthropic-compatible server that costs as little as a server can,
 * so that what a benchmark measures is the gateway in front of it.
 *
 * One thread, edge-triggered epoll, HTTP/1.1 keep-alive on 127.0.0.1 (and ::1), plain and TLS. A
 * request is framed and its body read whole, but only the first and last kilobytes are looked at,
 * for three fields: "model", "stream", "include_usage". Gateways forward no headers of ours, so the
 * model name steers:
 *
 *     mock-stream-<events>-<interval_us>   so many events when streamed, so far apart (any other
 * name: 20, 0) mock-large-<bytes>                   an answer with so much text mock-wait-<us> an
 * answer after so long mock-status-<code>                   an error
 *
 * Each streamed event carries the CLOCK_MONOTONIC time it was handed to the kernel, as text "t=<ns>
 * ": a reader on the same machine knows how long the way was.
 *
 *     HEAD ──▶ BODY ──▶ (WAIT ──▶) STREAM ──▶ HEAD        WAIT and STREAM are driven by a heap of
 * due times
 */

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mock_dialects.h"
#include "util.h"

enum {
    HEAD_MAX = 16384,
    WINDOW_FIRST = 8192, /* of a body: what is searched for fields */
    WINDOW_LAST = 2048,
    READ_MAX = 256 * 1024,
    EVENTS_PER_TURN = 64, /* of a stream without interval, before others have theirs */
    LISTENERS_MAX = 4,
    LEDGER_FLUSH = 32768,
    PROMPT_TOKENS = 10,
};

static const char answer_text[] = "The weir holds the river back and measures what goes over.";

/* What the model name asked for. */
struct plan {
    uint64_t events, interval_us;
    uint64_t text_bytes; /* 0: answer_text */
    uint64_t wait_us;
    uint64_t status;
};

static const struct plan_kind {
    const char *prefix;
    size_t field[2]; /* offsets in struct plan, of the numbers after the prefix */
    unsigned fields;
} plan_kinds[] = {
    {"mock-stream-", {offsetof(struct plan, events), offsetof(struct plan, interval_us)}, 2},
    {"mock-large-", {offsetof(struct plan, text_bytes)}, 1},
    {"mock-wait-", {offsetof(struct plan, wait_us)}, 1},
    {"mock-status-", {offsetof(struct plan, status)}, 1},
};
enum { PLAN_KINDS = sizeof(plan_kinds) / sizeof(plan_kinds[0]) };

/* One request and its answer. */
struct exchange {
    const struct dialect *dialect; /* NULL: unknown path */
    struct plan plan;
    char path[96], model[96], id[48];
    uint64_t seq, bytes_in, events_sent, tokens_out;
    bool is_streamed, has_usage; /* has_usage: include_usage was asked for */
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_WAIT, CONN_STREAM, CONN_CLOSED };
enum chunk_state { CHUNK_SIZE, CHUNK_EXT, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

struct conn {
    struct mock *mock;
    int fd;
    SSL *ssl; /* NULL: plain */
    enum conn_state state;
    bool is_last;   /* "Connection: close" */
    size_t heap_at; /* place in mock.heap plus one; 0: not there */
    uint64_t due_ns;

    char head[HEAD_MAX]; /* an unfinished head, or bytes that came before their turn */
    size_t head_len;

    bool is_chunked;
    enum chunk_state chunk;
    unsigned trailer_len; /* of the current trailer line */
    uint64_t body_left;   /* of the body, or of the chunk */
    char first[WINDOW_FIRST], last[WINDOW_LAST];
    size_t first_len, last_len;

    struct exchange ex;

    char *out;
    size_t out_off, out_len, out_cap;
};

struct listener {
    int fd;
    bool is_tls;
};

struct mock {
    int ep;
    SSL_CTX *tls;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct conn **heap; /* waiting and streaming connections by due_ns */
    size_t heap_len, heap_cap;
    uint64_t seq;
    char run[9], started[12]; /* hexadecimal mark of this process in ids; seconds since 1970 */
    int ledger_fd;            /* -1: none */
    char ledger[2 * LEDGER_FLUSH];
    size_t ledger_len;
    char read_buf[READ_MAX];
};

static volatile sig_atomic_t stop_asked;

/* ---- heap of due times ---- */

static void heap_set(struct mock *m, size_t at, struct conn *c)
{
    m->heap[at] = c;
    c->heap_at = at + 1;
}

static void heap_sift(struct mock *m, size_t at, struct conn *c)
{
    while (at > 0 && m->heap[(at - 1) / 2]->due_ns > c->due_ns) {
        heap_set(m, at, m->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t kid = 2 * at + 1;

        if (kid + 1 < m->heap_len && m->heap[kid + 1]->due_ns < m->heap[kid]->due_ns)
            kid++;
        if (kid >= m->heap_len || m->heap[kid]->due_ns >= c->due_ns)
            break;
        heap_set(m, at, m->heap[kid]);
        at = kid;
    }
    heap_set(m, at, c);
}

static void conn_wake_at(struct conn *c, uint64_t due_ns)
{
    struct mock *m = c->mock;
    size_t at = c->heap_at ? c->heap_at - 1 : m->heap_len++;

    if (m->heap_len > m->heap_cap) {
        m->heap_cap = m->heap_cap ? 2 * m->heap_cap : 1024;
        m->heap = realloc(m->heap, m->heap_cap * sizeof(*m->heap));
        if (!m->heap)
            die("out of memory");
    }
    c->due_ns = due_ns;
    m->heap[at] = c;
    heap_sift(m, at, c);
}

static void conn_wake_cancel(struct conn *c)
{
    struct mock *m = c->mock;
    size_t at = c->heap_at - 1;

    if (!c->heap_at)
        return;
    c->heap_at = 0;
    struct conn *tail = m->heap[--m->heap_len];
    if (tail != c)
        heap_sift(m, at, tail);
}

/* ---- ledger: one line per exchange, for tests that compare it with the gateway's records ---- */

static void ledger_flush(struct mock *m)
{
    for (size_t off = 0; off < m->ledger_len;) {
        ssize_t n = write(m->ledger_fd, m->ledger + off, m->ledger_len - off);

        if (n < 0)
            die("ledger: %s", strerror(errno));
        off += (size_t)n;
    }
    m->ledger_len = 0;
}

static void ledger_add(struct mock *m, const struct exchange *ex, bool is_done)
{
    if (m->ledger_fd < 0)
        return;
    int n = snprintf(m->ledger + m->ledger_len, sizeof(m->ledger) - m->ledger_len,
                     "%llu %s %s %s %llu %llu %d %llu %s\n", (unsigned long long)ex->seq, ex->id,
                     ex->path, ex->model[0] ? ex->model : "-", (unsigned long long)ex->plan.status,
                     (unsigned long long)ex->bytes_in, PROMPT_TOKENS,
                     (unsigned long long)ex->tokens_out, is_done ? "done" : "aborted");
    m->ledger_len += (size_t)n;
    if (m->ledger_len >= LEDGER_FLUSH)
        ledger_flush(m);
}

/* ---- bytes in and out ---- */

enum io { IO_OK, IO_AGAIN, IO_END };

static enum io conn_io_ended(struct conn *c, int rc)
{
    int why = SSL_get_error(c->ssl, rc);

    ERR_clear_error();
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? IO_AGAIN : IO_END;
}

static enum io conn_recv(struct conn *c, size_t *ret_n)
{
    if (c->ssl) {
        int rc = SSL_read_ex(c->ssl, c->mock->read_buf, READ_MAX, ret_n);

        return rc == 1 ? IO_OK : conn_io_ended(c, rc);
    }
    ssize_t n = recv(c->fd, c->mock->read_buf, READ_MAX, 0);

    if (n <= 0)
        return n < 0 && errno == EAGAIN ? IO_AGAIN : IO_END;
    *ret_n = (size_t)n;
    return IO_OK;
}

static enum io conn_send(struct conn *c, const char *p, size_t n, size_t *ret_n)
{
    if (c->ssl) {
        int rc = SSL_write_ex(c->ssl, p, n, ret_n);

        return rc == 1 ? IO_OK : conn_io_ended(c, rc);
    }
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

    if (sent < 0)
        return errno == EAGAIN ? IO_AGAIN : IO_END;
    *ret_n = (size_t)sent;
    return IO_OK;
}

static void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_WAIT || c->state == CONN_STREAM)
        ledger_add(c->mock, &c->ex, false);
    conn_wake_cancel(c);
    SSL_free(c->ssl);
    close(c->fd);
    c->state = CONN_CLOSED;
}

static char *out_room(struct conn *c, size_t n)
{
    if (c->out_cap - c->out_len < n) {
        c->out_cap = 2 * c->out_cap + n;
        c->out = realloc(c->out, c->out_cap);
        if (!c->out)
            die("out of memory");
    }
    return c->out + c->out_len;
}

static void out_put(struct conn *c, const char *p, size_t n)
{
    memcpy(out_room(c, n), p, n);
    c->out_len += n;
}

__attribute__((format(printf, 2, 3))) static void out_printf(struct conn *c, const char *fmt, ...)
{
    char *p = out_room(c, 1024);
    va_list ap;

    va_start(ap, fmt);
    c->out_len += (size_t)vsnprintf(p, 1024, fmt, ap);
    va_end(ap);
}

static void out_number(struct conn *c, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    out_put(c, digits + at, sizeof(digits) - at);
}

/* ---- the answer ---- */

static void out_text(struct conn *c)
{
    size_t n = c->ex.plan.text_bytes;

    if (n == 0) {
        out_put(c, answer_text, sizeof(answer_text) - 1);
        return;
    }
    memset(out_room(c, n), 'w', n);
    c->out_len += n;
}

/* Writes a dialect's text with its variables filled in. */
static void out_expand(struct conn *c, const char *text)
{
    const struct exchange *ex = &c->ex;

    for (;;) {
        const char *var = strchrnul(text, '$');

        out_put(c, text, (size_t)(var - text));
        if (!*var)
            return;
        switch (var[1]) {
        case 'i':
            out_put(c, ex->id, strlen(ex->id));
            break;
        case 'm':
            out_put(c, ex->model, strlen(ex->model));
            break;
        case 'n':
            out_put(c, c->mock->started, strlen(c->mock->started));
            break;
        case 'x':
            out_text(c);
            break;
        case 'c':
            out_number(c, ex->tokens_out);
            break;
        case 't':
            out_number(c, PROMPT_TOKENS + ex->tokens_out);
            break;
        case 's':
            out_number(c, now_ns());
            break;
        case 'u':
            if (ex->has_usage)
                out_put(c, ",\"usage\":null", 13);
            break;
        default:
            die("mock: no variable $%c", var[1]);
        }
        text = var + 2;
    }
}

/* A JSON answer whose length is known only afterwards: the number has a fixed width, blanks in
 * front (RFC 9110 5.5). */
static void out_json(struct conn *c, const char *status, const char *text)
{
    static const char length[] = "\r\nContent-Length: ";
    enum { WIDTH = 9 };

    out_printf(c, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nx-request-id: %s%s", status,
               c->ex.id, length);
    size_t digits_at = c->out_len;

    out_put(c, "         \r\n\r\n", WIDTH + 4);
    size_t body_at = c->out_len;

    out_expand(c, text);
    size_t n = c->out_len - body_at;
    char *digits = c->out + digits_at;

    for (size_t i = WIDTH; i > 0 && n > 0; i--, n /= 10)
        digits[i - 1] = (char)('0' + n % 10);
}

/* One HTTP chunk (RFC 9112 7.1) holding up to three texts. */
static void out_chunk(struct conn *c, const char *a, const char *b, const char *d)
{
    static const char hex[] = "0123456789abcdef";
    enum { WIDTH = 4 };
    size_t size_at = c->out_len;

    out_put(c, "0000\r\n", WIDTH + 2);
    out_expand(c, a);
    out_expand(c, b);
    out_expand(c, d);
    size_t n = c->out_len - size_at - WIDTH - 2;

    for (size_t i = WIDTH; i > 0; i--, n >>= 4)
        c->out[size_at + i - 1] = hex[n & 15];
    out_put(c, "\r\n", 2);
}

static void conn_input(struct conn *c, const char *p, size_t n);

/* The last byte of an answer is with the kernel. */
static void conn_answered(struct conn *c)
{
    char kept[HEAD_MAX];
    size_t n = c->head_len;

    ledger_add(c->mock, &c->ex, true);
    c->state = CONN_HEAD;
    if (c->is_last) {
        conn_close(c);
        return;
    }
    if (n == 0)
        return;
    memcpy(kept, c->head, n);
    c->head_len = 0;
    conn_input(c, kept, n);
}

static bool exchange_is_complete(const struct exchange *ex)
{
    return !ex->is_streamed || ex->events_sent == ex->plan.events;
}

/* Sends what is ready. When all of it went and the answer is complete the next request may come. */
static void conn_flush(struct conn *c)
{
    while (c->out_off < c->out_len) {
        size_t n = 0;
        enum io how = conn_send(c, c->out + c->out_off, c->out_len - c->out_off, &n);

        if (how == IO_END)
            conn_close(c);
        if (how != IO_OK)
            return;
        c->out_off += n;
    }
    c->out_off = c->out_len = 0;
    if (c->state == CONN_STREAM && exchange_is_complete(&c->ex))
        conn_answered(c);
}

/* The next event or, without interval, the next few. */
static void conn_stream_on(struct conn *c)
{
    struct exchange *ex = &c->ex;
    const struct dialect *d = ex->dialect;

    for (unsigned i = 0; i < EVENTS_PER_TURN && !exchange_is_complete(ex); i++) {
        out_chunk(c, ex->events_sent == 0 ? d->open : "", d->event, "");
        if (++ex->events_sent == ex->plan.events) {
            out_chunk(c, d->close, ex->has_usage ? d->usage : "", d->done);
            out_put(c, "0\r\n\r\n", 5);
        }
        if (ex->plan.interval_us)
            break;
    }
    if (!exchange_is_complete(ex))
        conn_wake_at(c, c->due_ns + ex->plan.interval_us * NS_PER_US);
    conn_flush(c);
}

static void conn_answer(struct conn *c)
{
    struct exchange *ex = &c->ex;

    c->state = CONN_STREAM;
    if (!ex->dialect) {
        out_json(c, "404 Not Found",
                 "{\"error\":{\"message\":\"no such "
                 "route\",\"type\":\"invalid_request_error\",\"param\":null,"
                 "\"code\":\"not_found\"}}");
    } else if (ex->plan.status != 200) {
        char status[32];

        (void)snprintf(status, sizeof(status), "%u Mocked", (unsigned)ex->plan.status % 1000);
        out_json(c, status,
                 "{\"error\":{\"message\":\"mocked error\",\"type\":\"mock_error\",\"param\":null,"
                 "\"code\":\"mocked\"}}");
    } else if (!ex->is_streamed) {
        out_json(c, "200 OK", ex->dialect->answer);
    } else {
        out_printf(
            c,
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: "
            "no-cache\r\n"
            "X-Accel-Buffering: no\r\nx-request-id: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
            ex->id);
        c->due_ns = now_ns();
        conn_stream_on(c);
        return;
    }
    conn_flush(c);
}

static void conn_due(struct conn *c)
{
    conn_wake_cancel(c);
    if (c->state == CONN_WAIT)
        conn_answer(c);
    else if (c->out_len == 0)
        conn_stream_on(c);
    else /* a slow reader gets its events later, not more of them */
        conn_wake_at(c, now_ns() + NS_PER_MS);
}

/* ---- the request ---- */

/* A string field of a body, found by its quoted name; an escaped quote inside a prompt cannot look
 * like one. */
static void field_string(const char *p, size_t n, const char *name, char *ret, size_t cap)
{
    const char *end = p + n;
    const char *at = memmem(p, n, name, strlen(name));
    size_t len = 0;

    ret[0] = '\0';
    if (!at)
        return;
    for (at += strlen(name); at < end && (*at == ' ' || *at == ':'); at++)
        ;
    if (at == end || *at++ != '"')
        return;
    for (; at < end && *at != '"' && *at > ' ' && *at != '\\' && len + 1 < cap; at++)
        ret[len++] = *at;
    ret[len] = '\0';
}

static bool field_is_true(const char *p, size_t n, const char *name)
{
    const char *end = p + n;
    const char *at = memmem(p, n, name, strlen(name));

    if (!at)
        return false;
    for (at += strlen(name); at < end && (*at == ' ' || *at == ':'); at++)
        ;
    return end - at >= 4 && memcmp(at, "true", 4) == 0;
}

static struct plan plan_of(const char *model)
{
    struct plan plan = {.events = 20, .status = 200};
    const char *end = model + strlen(model);

    for (size_t i = 0; i < PLAN_KINDS; i++) {
        const struct plan_kind *k = &plan_kinds[i];
        const char *p = model + strlen(k->prefix);

        if (strncmp(model, k->prefix, strlen(k->prefix)) != 0)
            continue;
        for (unsigned f = 0; f < k->fields; f++) {
            uint64_t v = 0;

            if (!digits_read(&p, end, &v))
                break;
            memcpy((char *)&plan + k->field[f], &v, sizeof(v));
            if (p < end)
                p++;
        }
    }
    if (plan.events == 0)
        plan.events = 1;
    return plan;
}

/* The body is complete: plan the answer and begin it. */
static void conn_request(struct conn *c)
{
    struct exchange *ex = &c->ex;
    struct mock *m = c->mock;

    field_string(c->first, c->first_len, "\"model\"", ex->model, sizeof(ex->model));
    if (!ex->model[0])
        field_string(c->last, c->last_len, "\"model\"", ex->model, sizeof(ex->model));
    ex->plan = plan_of(ex->model);
    ex->is_streamed = ex->dialect && ex->dialect->open && ex->plan.status == 200 &&
                      (field_is_true(c->first, c->first_len, "\"stream\"") ||
                       field_is_true(c->last, c->last_len, "\"stream\""));
    ex->has_usage =
        ex->is_streamed && (field_is_true(c->first, c->first_len, "\"include_usage\"") ||
                            field_is_true(c->last, c->last_len, "\"include_usage\""));
    ex->seq = ++m->seq;
    ex->tokens_out = ex->is_streamed ? ex->plan.events : 10 + ex->seq % 80;
    (void)snprintf(ex->id, sizeof(ex->id), "%s%s%010llu", ex->dialect ? ex->dialect->id : "none_",
                   m->run, (unsigned long long)ex->seq);
    c->state = CONN_WAIT;
    if (ex->plan.wait_us)
        conn_wake_at(c, now_ns() + ex->plan.wait_us * NS_PER_US);
    else
        conn_answer(c);
}

static void window_add(struct conn *c, const char *p, size_t n)
{
    size_t first = WINDOW_FIRST - c->first_len < n ? WINDOW_FIRST - c->first_len : n;

    memcpy(c->first + c->first_len, p, first);
    c->first_len += first;
    p += first;
    n -= first;
    if (n > WINDOW_LAST) {
        p += n - WINDOW_LAST;
        n = WINDOW_LAST;
    }
    if (c->last_len + n > WINDOW_LAST) {
        size_t drop = c->last_len + n - WINDOW_LAST;

        memmove(c->last, c->last + drop, c->last_len - drop);
        c->last_len -= drop;
    }
    memcpy(c->last + c->last_len, p, n);
    c->last_len += n;
}

static size_t conn_body_bytes(struct conn *c, const char *p, size_t n)
{
    if (n > c->body_left)
        n = (size_t)c->body_left;
    window_add(c, p, n);
    c->ex.bytes_in += n;
    c->body_left -= n;
    return n;
}

/* One byte of chunk framing; returns true at the end of the body. */
static bool conn_chunk_byte(struct conn *c, char b)
{
    switch (c->chunk) {
    case CHUNK_SIZE:
    case CHUNK_EXT:
        if (b == '\n') {
            c->chunk = c->body_left ? CHUNK_DATA : CHUNK_TRAILER;
            c->trailer_len = 0;
        } else if (c->chunk == CHUNK_EXT) {
            return false;
        } else if (b >= '0' && b <= '9') {
            c->body_left = c->body_left * 16 + (uint64_t)(b - '0');
        } else if ((b | 32) >= 'a' && (b | 32) <= 'f') {
            c->body_left = c->body_left * 16 + (uint64_t)((b | 32) - 'a' + 10);
        } else {
            c->chunk = CHUNK_EXT;
        }
        return false;
    case CHUNK_DATA:
    case CHUNK_DATA_END:
        if (b == '\n')
            c->chunk = CHUNK_SIZE;
        return false;
    case CHUNK_TRAILER:
        if (b == '\n' && c->trailer_len == 0)
            return true;
        if (b == '\n')
            c->trailer_len = 0;
        else if (b != '\r')
            c->trailer_len++;
        return false;
    }
    return false;
}

static size_t conn_body(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;

    if (!c->is_chunked) {
        used = conn_body_bytes(c, p, n);
        if (c->body_left == 0)
            conn_request(c);
        return used;
    }
    while (used < n) {
        if (c->chunk == CHUNK_DATA) {
            used += conn_body_bytes(c, p + used, n - used);
            if (c->body_left == 0)
                c->chunk = CHUNK_DATA_END;
        } else if (conn_chunk_byte(c, p[used++])) {
            conn_request(c);
            break;
        }
    }
    return used;
}

static const struct dialect *dialect_of(const char *path, size_t n)
{
    for (size_t i = 0; i < DIALECTS; i++) {
        size_t len = strlen(dialects[i].path);

        if (n >= len && memcmp(path + n - len, dialects[i].path, len) == 0)
            return &dialects[i];
    }
    return NULL;
}

/* A whole head, blank line included. */
static void conn_head_read(struct conn *c, const char *p, const char *end)
{
    struct exchange *ex = &c->ex;
    const char *eol = memchr(p, '\n', (size_t)(end - p));
    const char *path = memchr(p, ' ', (size_t)(eol - p));
    bool expects = false;

    c->first_len = c->last_len = 0;
    c->body_left = 0;
    c->is_chunked = c->is_last = false;
    ex->bytes_in = ex->events_sent = 0;
    if (!path || *++path != '/') {
        conn_close(c);
        return;
    }
    size_t path_len = strcspn(path, " ?\r\n");

    ex->dialect = dialect_of(path, path_len);
    (void)snprintf(ex->path, sizeof(ex->path), "%.*s", (int)path_len, path);
    for (p = eol + 1; p < end; p = eol + 1) {
        eol = memchr(p, '\n', (size_t)(end - p));
        switch (*p | 32) {
        case 'c':
            if (HEADER_IS(p, eol, "content-length:"))
                (void)header_number(p + 15, eol, &c->body_left); /* no number: no body */
            else if (HEADER_IS(p, eol, "connection:"))
                c->is_last = value_has(p + 11, eol, "close");
            break;
        case 't':
            if (HEADER_IS(p, eol, "transfer-encoding:"))
                c->is_chunked = value_has(p + 18, eol, "chunked");
            break;
        case 'e':
            expects = HEADER_IS(p, eol, "expect:");
            break;
        default:
            break;
        }
    }
    if (expects) {
        out_put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        conn_flush(c);
    }
    c->state = CONN_BODY;
    c->chunk = CHUNK_SIZE;
    if (!c->is_chunked && c->body_left == 0)
        conn_request(c);
}

/* Takes bytes of a head: read in place when it came whole, as it nearly always does. */
static size_t conn_head(struct conn *c, const char *p, size_t n)
{
    size_t had = c->head_len;

    if (had == 0) {
        const char *blank = memmem(p, n, "\r\n\r\n", 4);

        if (blank) {
            conn_head_read(c, p, blank + 4);
            return (size_t)(blank + 4 - p);
        }
    }
    if (n > HEAD_MAX - had)
        n = HEAD_MAX - had;
    memcpy(c->head + had, p, n);
    c->head_len += n;
    const char *blank = memmem(c->head, c->head_len, "\r\n\r\n", 4);

    if (!blank) {
        if (c->head_len == HEAD_MAX)
            conn_close(c);
        return n;
    }
    size_t head_len = (size_t)(blank + 4 - c->head);

    c->head_len = 0; /* conn_head_read reads c->head before anything writes there */
    conn_head_read(c, c->head, c->head + head_len);
    return head_len - had;
}

/* Bytes of the next request, before the answer to this one is out. */
static size_t conn_keep(struct conn *c, const char *p, size_t n)
{
    if (n > HEAD_MAX - c->head_len) {
        conn_close(c);
        return n;
    }
    memcpy(c->head + c->head_len, p, n);
    c->head_len += n;
    return n;
}

static void conn_input(struct conn *c, const char *p, size_t n)
{
    while (n > 0) {
        size_t used = n;

        switch (c->state) {
        case CONN_HEAD:
            used = conn_head(c, p, n);
            break;
        case CONN_BODY:
            used = conn_body(c, p, n);
            break;
        case CONN_WAIT:
        case CONN_STREAM:
            used = conn_keep(c, p, n);
            break;
        case CONN_CLOSED:
            break;
        }
        p += used;
        n -= used;
    }
}

static void conn_readable(struct conn *c)
{
    size_t n = READ_MAX;

    /* Edge-triggered: a plain read that did not fill the buffer took all there was (epoll(7)). */
    while (c->state != CONN_CLOSED && (c->ssl || n == READ_MAX)) {
        enum io how = conn_recv(c, &n);

        if (how == IO_END)
            conn_close(c);
        if (how != IO_OK)
            return;
        conn_input(c, c->mock->read_buf, n);
    }
}

static void conn_on_event(struct conn *c, uint32_t events)
{
    if (events & EPOLLIN)
        conn_readable(c);
    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) && c->state != CONN_CLOSED)
        conn_close(c);
    if ((events & EPOLLOUT) && c->out_len > 0 && c->state != CONN_CLOSED)
        conn_flush(c);
}

static void conn_free_closed(struct conn *c)
{
    if (c->state != CONN_CLOSED)
        return;
    free(c->out);
    free(c);
}

/* ---- listeners and the loop ---- */

static void listener_on_accept(struct mock *m, const struct listener *l)
{
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        struct conn *c = xalloc(1, sizeof(*c));
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = c};

        c->mock = m;
        c->fd = fd;
        socket_nodelay(fd);
        if (l->is_tls) {
            c->ssl = SSL_new(m->tls);
            if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)
                die("tls: no session");
            SSL_set_accept_state(c->ssl);
        }
        if (epoll_ctl(m->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl: %s", strerror(errno));
    }
}

static int listen_on(const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, addr, len) == 0 && listen(fd, 4096) == 0)
        return fd;
    close(fd);
    return -1;
}

static void listener_add(struct mock *m, int fd, bool is_tls)
{
    struct listener *l = &m->listeners[m->listener_count++];
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};

    *l = (struct listener){fd, is_tls};
    if (epoll_ctl(m->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Listens on 127.0.0.1 and, where there is one, on ::1 ("localhost" may mean either). Returns the
 * port. */
static unsigned mock_listen(struct mock *m, uint16_t port, bool is_tls)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(v4);
    int fd = listen_on((struct sockaddr *)&v4, len);

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&v4, &len) < 0)
        die("listen on port %u: %s", port, strerror(errno));
    listener_add(m, fd, is_tls);
    v6.sin6_port = v4.sin_port;
    fd = listen_on((struct sockaddr *)&v6, sizeof(v6));
    if (fd >= 0)
        listener_add(m, fd, is_tls);
    return ntohs(v4.sin_port);
}

static void mock_tls_init(struct mock *m, const char *cert, const char *key)
{
    m->tls = SSL_CTX_new(TLS_server_method());
    if (!m->tls || SSL_CTX_set_min_proto_version(m->tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(m->tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(m->tls, key, SSL_FILETYPE_PEM) != 1)
        die("tls: cannot use %s and %s", cert, key);
    SSL_CTX_set_mode(m->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(m->tls, (const unsigned char *)"mock", 4);
}

static void mock_run_due(struct mock *m)
{
    if (m->heap_len == 0)
        return;
    for (uint64_t now = now_ns(); m->heap_len > 0 && m->heap[0]->due_ns <= now;) {
        struct conn *c = m->heap[0];

        conn_due(c);
        conn_free_closed(c);
    }
}

static bool mock_owns_listener(const struct mock *m, const void *p)
{
    return (const char *)p >= (const char *)m->listeners &&
           (const char *)p < (const char *)(m->listeners + LISTENERS_MAX);
}

static void mock_loop(struct mock *m, const sigset_t *wait_mask)
{
    struct epoll_event evs[256];

    while (!stop_asked) {
        struct timespec ts, *wait = NULL;

        if (m->ledger_len)
            ledger_flush(m);
        if (m->heap_len > 0) {
            uint64_t now = now_ns();

            ts = timespec_of(m->heap[0]->due_ns > now ? m->heap[0]->due_ns - now : 0);
            wait = &ts;
        }
        int n = epoll_pwait2(m->ep, evs, 256, wait, wait_mask);

        for (int i = 0; i < n; i++) {
            if (mock_owns_listener(m, evs[i].data.ptr)) {
                listener_on_accept(m, evs[i].data.ptr);
                continue;
            }
            conn_on_event(evs[i].data.ptr, evs[i].events);
            conn_free_closed(evs[i].data.ptr);
        }
        mock_run_due(m);
    }
    if (m->ledger_len)
        ledger_flush(m);
}

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

static sigset_t signals_init(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t mask, before;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask,
                &before); /* taken only inside epoll_pwait2, so that none is missed */
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return before;
}

static const char usage[] =
    "usage: weir-bench-mock [--port N] [--tls-port N --cert FILE --key FILE] [--ledger FILE]\n"
    "Listens on loopback (port 0: a free one) and prints \"plain=PORT tls=PORT\" when ready. "
    "SIGTERM ends it.\n"
    "ledger lines: seq id path model status bytes_in tokens_in tokens_out done|aborted";

int main(int argc, char **argv)
{
    struct mock *m = xalloc(1, sizeof(*m));
    struct rlimit files;
    uint64_t port = 0, tls_port = 0;
    bool has_tls = false;
    const char *cert = NULL, *key = NULL, *ledger = NULL;

    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];

        if (!value)
            die("%s", usage);
        if (strcmp(name, "--port") == 0)
            port = number_arg("port", value);
        else if (strcmp(name, "--tls-port") == 0) {
            tls_port = number_arg("tls-port", value);
            has_tls = true;
        } else if (strcmp(name, "--cert") == 0)
            cert = value;
        else if (strcmp(name, "--key") == 0)
            key = value;
        else if (strcmp(name, "--ledger") == 0)
            ledger = value;
        else
            die("%s", usage);
    }
    if (has_tls && (!cert || !key))
        die("%s", usage);
    sigset_t wait_mask = signals_init();

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections then */
    }
    (void)prctl(PR_SET_TIMERSLACK, 1); /* events on time; later without */
    m->ep = epoll_create1(EPOLL_CLOEXEC);
    m->ledger_fd = ledger ? open(ledger, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (m->ep < 0 || (ledger && m->ledger_fd < 0))
        die("%s: %s", ledger ? ledger : "epoll", strerror(errno));
    (void)snprintf(m->run, sizeof(m->run), "%08x",
                   (unsigned)(now_ns() / NS_PER_US) ^ (unsigned)getpid() << 20);
    (void)snprintf(m->started, sizeof(m->started), "%ld", (long)time(NULL));
    if (has_tls)
        mock_tls_init(m, cert, key);
    printf("plain=%u", mock_listen(m, (uint16_t)port, false));
    if (has_tls)
        printf(" tls=%u", mock_listen(m, (uint16_t)tls_port, true));
    printf("\n");
    fflush(stdout);
    mock_loop(m, &wait_mask);
    return 0;
}
