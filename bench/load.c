/*
 * Load generator: one thread, edge-triggered epoll, N keep-alive connections to one URL.
 *
 * Open loop (--rate R): request k is due at start + k/R whatever happened to those before it. It
 * goes out on an idle connection, or waits for one, and its latency counts from the moment it was
 * due, so that a gateway that stalls is charged for every request it delayed (no coordinated
 * omission). How late the generator itself sent, with a connection idle, is reported apart as
 * lateness: a result is good only if that is small. Closed loop (--rate 0): each connection sends
 * its next request when an answer is complete. Streams (--streams N): N streams are opened and
 * held; "ready N" is printed when each had its first event.
 *
 * Streamed events carry the mock's CLOCK_MONOTONIC stamp ("t=<ns> "); an event's delay is arrival
 * less stamp.
 *
 *     CONNECTING ──▶ IDLE ──▶ HEAD ──▶ BODY ──▶ IDLE      one enum; sending is out_off < request
 * length
 */

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"

enum {
    READ_MAX = 256 * 1024,
    HEAD_MAX = 16384,
    LINE_MAX_BYTES = 512, /* of an SSE line, what is kept to look for a stamp */
    HEADERS_MAX = 16384,
    CONNECT_SPREAD = 64, /* connections being opened at once */
};

/* ---- histogram: 128 linear steps in each power of two, so that a value is off by less than 1 %
 * ---- */

enum { HIST_BITS = 7, HIST_SUB = 1 << HIST_BITS, HIST_SIZE = (64 - HIST_BITS) * HIST_SUB };

struct hist {
    uint64_t count, sum, max;
    uint64_t at[HIST_SIZE];
};

static unsigned hist_index(uint64_t v)
{
    if (v < HIST_SUB)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HIST_BITS;

    return ((shift + 1) << HIST_BITS) + (unsigned)(v >> shift) - HIST_SUB;
}

/* The highest value that falls where `index` does. */
static uint64_t hist_value(unsigned index)
{
    unsigned row = index >> HIST_BITS;

    if (row == 0)
        return index;
    return (((uint64_t)(index & (HIST_SUB - 1)) + HIST_SUB + 1) << (row - 1)) - 1;
}

static void hist_add(struct hist *h, uint64_t v)
{
    h->count++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
    h->at[hist_index(v)]++;
}

static uint64_t hist_quantile(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count + 0.5), seen = 0;

    for (unsigned i = 0; i < HIST_SIZE; i++) {
        seen += h->at[i];
        if (h->at[i] && seen >= want)
            return hist_value(i) < h->max ? hist_value(i) : h->max;
    }
    return h->max;
}

/* ---- what is measured ---- */

enum failure { FAIL_STATUS, FAIL_CONNECT, FAIL_READ, FAIL_TIMEOUT, FAIL_BODY, FAILURES };

static const char *const failure_names[FAILURES] = {
    [FAIL_STATUS] = "status", /* not 2xx */
    [FAIL_CONNECT] = "connect", [FAIL_READ] = "read",
    [FAIL_TIMEOUT] = "timeout", [FAIL_BODY] = "body", /* a 2xx whose body is not whole */
};

enum measure { LATENCY, LATENESS, FIRST_EVENT, EVENT, MEASURES };

static const char *const measure_names[MEASURES] = {
    [LATENCY] = "latency_ns",
    [LATENESS] = "lateness_ns",
    [FIRST_EVENT] = "first_event_ns",
    [EVENT] = "event_ns",
};

enum conn_state { CONN_CONNECTING, CONN_IDLE, CONN_HEAD, CONN_BODY };
enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE };

struct conn {
    struct load *load;
    int fd;
    enum conn_state state;
    size_t idle_next; /* when idle: the next idle connection plus one */
    uint64_t due_ns, sent_ns;
    size_t out_off;

    char *head; /* an unfinished head; NULL until one was needed */
    size_t head_len;

    unsigned status;
    bool is_last, is_stream;
    enum framing framing;
    struct chunked chunked;
    uint64_t body_left; /* with a length */
    char body_tail;     /* last byte that is not white space */

    char line[LINE_MAX_BYTES]; /* of a stream */
    size_t line_len;
    uint64_t events;
    bool is_whole; /* the stream's last event came */
};

struct load {
    int ep;
    struct sockaddr_in addr;
    char *request;
    size_t request_len;
    struct conn *conns;
    size_t conn_count, idle_first; /* idle connections: LIFO, index plus one */
    size_t connecting, unconnected;

    uint64_t rate, max_requests, timeout_ns, duration_ns;
    bool is_holding; /* --streams */

    uint64_t start_ns, end_ns, last_ns; /* last_ns: when the last answer was complete */
    uint64_t now_ns;                    /* when this batch of events was seen */
    uint64_t sent, waited, ok, answered, reconnects, bytes_in, ready;
    uint64_t failures[FAILURES];
    struct hist measures[MEASURES];
    char read_buf[READ_MAX];
};

static volatile sig_atomic_t stop_asked;

/* ---- connections ---- */

static void conn_idle(struct conn *c)
{
    struct load *l = c->load;

    c->state = CONN_IDLE;
    c->idle_next = l->idle_first;
    l->idle_first = (size_t)(c - l->conns) + 1;
}

/* An idle connection died: take it out of the list. Rare, so a walk will do. */
static void conn_idle_remove(struct conn *c)
{
    size_t *at = &c->load->idle_first;

    while (&c->load->conns[*at - 1] != c)
        at = &c->load->conns[*at - 1].idle_next;
    *at = c->idle_next;
}

static void conn_open(struct conn *c)
{
    struct load *l = c->load;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket: %s", strerror(errno));
    socket_nodelay(c->fd);
    c->state = CONN_CONNECTING;
    c->sent_ns = l->now_ns;
    l->connecting++;
    if (connect(c->fd, (struct sockaddr *)&l->addr, sizeof(l->addr)) < 0 && errno != EINPROGRESS)
        die("connect: %s", strerror(errno));
    if (epoll_ctl(l->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Ends the connection, opens another in its place, and counts its request, if it had one, as
 * failed. */
static void conn_fail(struct conn *c, enum failure why)
{
    struct load *l = c->load;

    if (c->state == CONN_IDLE) {
        conn_idle_remove(c); /* a server may close what is idle */
    } else {
        l->failures[why]++;
        if (c->state == CONN_CONNECTING)
            l->connecting--;
        else
            l->answered++;
    }
    close(c->fd);
    c->head_len = 0;
    l->reconnects++;
    if (l->failures[FAIL_CONNECT] > 1000)
        die("cannot connect");
    conn_open(c);
}

static void conn_flush(struct conn *c)
{
    struct load *l = c->load;

    while (c->out_off < l->request_len) {
        ssize_t n = send(c->fd, l->request + c->out_off, l->request_len - c->out_off, MSG_NOSIGNAL);

        if (n < 0) {
            if (errno != EAGAIN)
                conn_fail(c, FAIL_READ);
            return;
        }
        c->out_off += (size_t)n;
    }
}

static void conn_request(struct conn *c, uint64_t due_ns)
{
    c->due_ns = due_ns;
    c->sent_ns = c->load->now_ns;
    c->out_off = 0;
    c->head_len = 0;
    c->events = 0;
    c->line_len = 0;
    c->is_whole = false;
    c->body_tail = 0;
    c->state = CONN_HEAD;
    c->load->sent++;
    conn_flush(c);
}

static bool load_may_send(const struct load *l)
{
    return l->now_ns < l->end_ns && (l->max_requests == 0 || l->sent < l->max_requests);
}

/* The answer is complete, right or wrong. */
static void conn_answered(struct conn *c)
{
    struct load *l = c->load;
    bool is_whole = c->is_stream ? c->is_whole : c->body_tail == '}';

    if (c->out_off < l->request_len) { /* answered before it had read the request: not reusable */
        conn_fail(c, c->status / 100 == 2 ? FAIL_BODY : FAIL_STATUS);
        return;
    }
    if (c->status / 100 != 2)
        l->failures[FAIL_STATUS]++;
    else if (!is_whole)
        l->failures[FAIL_BODY]++;
    else {
        l->ok++;
        hist_add(&l->measures[LATENCY], l->now_ns - c->due_ns);
    }
    l->answered++;
    l->last_ns = l->now_ns;
    if (c->is_last || l->is_holding) {
        c->state = CONN_IDLE;
        close(c->fd);
        conn_open(c);
    } else if (l->rate == 0 && load_may_send(l)) {
        conn_request(c, l->now_ns);
    } else {
        conn_idle(c);
    }
}

/* ---- the answer ---- */

/* One line of an event stream, without its end. */
static void conn_line(struct conn *c)
{
    static const char mark[] = "\"t=";
    struct load *l = c->load;
    const char *end = c->line + c->line_len;

    if (c->line_len < 6 || memcmp(c->line, "data:", 5) != 0)
        return;
    const char *p = memmem(c->line, c->line_len, mark, sizeof(mark) - 1);
    uint64_t stamp = 0;

    if (p) {
        p += sizeof(mark) - 1;
        if (!digits_read(&p, end, &stamp) || stamp > l->now_ns)
            return;
        hist_add(&l->measures[EVENT], l->now_ns - stamp);
        if (c->events++ == 0) {
            hist_add(&l->measures[FIRST_EVENT], l->now_ns - c->due_ns);
            if (l->is_holding && ++l->ready == l->conn_count) {
                printf("ready %llu\n", (unsigned long long)l->ready);
                fflush(stdout);
            }
        }
    } else if (memmem(c->line, c->line_len, "[DONE]", 6) ||
               memmem(c->line, c->line_len, "\"type\":\"message_stop\"", 21) ||
               memmem(c->line, c->line_len, "\"type\":\"response.completed\"", 27)) {
        c->is_whole = true;
    }
}

static void conn_stream_bytes(struct conn *c, const char *p, size_t n)
{
    while (n > 0) {
        const char *eol = memchr(p, '\n', n);
        size_t len = eol ? (size_t)(eol - p) : n;
        size_t keep = len < LINE_MAX_BYTES - c->line_len ? len : LINE_MAX_BYTES - c->line_len;

        memcpy(c->line + c->line_len, p, keep);
        c->line_len += keep;
        if (!eol)
            return;
        conn_line(c);
        c->line_len = 0;
        p += len + 1;
        n -= len + 1;
    }
}

static void conn_body_bytes(struct conn *c, const char *p, size_t n)
{
    if (c->is_stream) {
        conn_stream_bytes(c, p, n);
        return;
    }
    for (size_t i = n; i > 0; i--) {
        if (p[i - 1] > ' ') {
            c->body_tail = p[i - 1];
            return;
        }
    }
}

/* Takes bytes of a chunked body; true when it is complete. *n is what was used. */
static bool conn_chunked(struct conn *c, const char *p, size_t *n)
{
    size_t used = 0;

    while (used < *n) {
        if (c->chunked.state == CHUNK_DATA) {
            size_t take = c->chunked.left < *n - used ? (size_t)c->chunked.left : *n - used;

            conn_body_bytes(c, p + used, take);
            chunked_skip(&c->chunked, take);
            used += take;
        } else if (chunked_byte(&c->chunked, p[used++])) {
            *n = used;
            return true;
        }
    }
    return false;
}

static bool conn_body(struct conn *c, const char *p, size_t *n)
{
    switch (c->framing) {
    case FRAME_CHUNKED:
        return conn_chunked(c, p, n);
    case FRAME_LENGTH:
        if (*n > c->body_left)
            *n = (size_t)c->body_left;
        conn_body_bytes(c, p, *n);
        c->body_left -= *n;
        return c->body_left == 0;
    case FRAME_CLOSE:
        conn_body_bytes(c, p, *n);
        return false;
    }
    return false;
}

/* A whole head. Returns true when there is no body to come. */
static bool conn_head_read(struct conn *c, const char *p, const char *end)
{
    const char *eol = memchr(p, '\n', (size_t)(end - p));
    uint64_t status = 0;

    p += 9; /* "HTTP/1.1 " */
    if (eol < p || !digits_read(&p, eol, &status))
        status = 0;
    c->status = (unsigned)status;
    c->framing = FRAME_CLOSE;
    c->chunked = (struct chunked){0};
    c->body_left = 0;
    c->is_last = c->is_stream = false;
    for (p = eol + 1; p < end; p = eol + 1) {
        eol = memchr(p, '\n', (size_t)(end - p));
        switch (*p | 32) {
        case 'c':
            if (HEADER_IS(p, eol, "content-length:")) {
                if (header_number(p + 15, eol, &c->body_left))
                    c->framing = FRAME_LENGTH;
            } else if (HEADER_IS(p, eol, "content-type:")) {
                c->is_stream = header_has(p + 13, eol, "text/event-stream");
            } else if (HEADER_IS(p, eol, "connection:")) {
                c->is_last = header_has(p + 11, eol, "close");
            }
            break;
        case 't':
            if (HEADER_IS(p, eol, "transfer-encoding:"))
                c->framing = FRAME_CHUNKED;
            break;
        default:
            break;
        }
    }
    c->state = CONN_BODY;
    return c->framing == FRAME_LENGTH && c->body_left == 0;
}

static size_t conn_head(struct conn *c, const char *p, size_t n, bool *is_complete)
{
    size_t had = c->head_len;

    if (had == 0) {
        const char *blank = memmem(p, n, "\r\n\r\n", 4);

        if (blank) {
            *is_complete = conn_head_read(c, p, blank + 4);
            return (size_t)(blank + 4 - p);
        }
    }
    if (!c->head)
        c->head = xalloc(1, HEAD_MAX);
    if (n > HEAD_MAX - had)
        n = HEAD_MAX - had;
    memcpy(c->head + had, p, n);
    c->head_len += n;
    const char *blank = memmem(c->head, c->head_len, "\r\n\r\n", 4);

    if (!blank) {
        if (c->head_len == HEAD_MAX)
            die("an answer's head is over %d bytes", HEAD_MAX);
        return n;
    }
    *is_complete = conn_head_read(c, c->head, blank + 4);
    c->head_len = 0;
    return (size_t)(blank + 4 - c->head) - had;
}

static void conn_input(struct conn *c, const char *p, size_t n)
{
    c->load->bytes_in += n;
    while (n > 0) {
        bool is_complete = false;
        size_t used = n;

        switch (c->state) {
        case CONN_HEAD:
            used = conn_head(c, p, n, &is_complete);
            break;
        case CONN_BODY:
            is_complete = conn_body(c, p, &used);
            break;
        case CONN_IDLE: /* bytes nobody asked for */
            c->load->failures[FAIL_BODY]++;
            conn_fail(c, FAIL_BODY);
            return;
        case CONN_CONNECTING:
            return;
        }
        p += used;
        n -= used;
        if (is_complete) {
            conn_answered(c);
            if (n == 0 || c->state == CONN_CONNECTING)
                return;
        }
    }
}

static void conn_ended(struct conn *c)
{
    if (c->state == CONN_BODY && c->framing == FRAME_CLOSE) {
        c->is_last = true;
        conn_answered(c);
    } else {
        conn_fail(c, FAIL_READ);
    }
}

static void conn_connected(struct conn *c)
{
    struct load *l = c->load;
    int why = 0;
    socklen_t len = sizeof(why);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0 || why) {
        conn_fail(c, FAIL_CONNECT);
        return;
    }
    l->connecting--;
    if (l->start_ns && l->rate == 0 && !l->is_holding && load_may_send(l))
        conn_request(c, l->now_ns);
    else
        conn_idle(c);
}

static void conn_on_event(struct conn *c, uint32_t events)
{
    struct load *l = c->load;

    if (c->state == CONN_CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            conn_connected(c);
        return;
    }
    if ((events & EPOLLOUT) && c->state != CONN_IDLE && c->out_off < l->request_len)
        conn_flush(c);
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP)))
        return;
    for (;;) {
        ssize_t n = recv(c->fd, l->read_buf, READ_MAX, 0);

        if (n > 0)
            conn_input(c, l->read_buf, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            conn_ended(c);
        /* Edge-triggered: a read that did not fill the buffer took all there was (epoll(7)). */
        if (n < READ_MAX && (n <= 0 || !(events & EPOLLRDHUP)))
            return;
        if (c->state == CONN_CONNECTING)
            return;
    }
}

/* ---- the run ---- */

static void load_poll(struct load *l, uint64_t wait_until_ns)
{
    struct epoll_event evs[256];
    struct timespec ts = timespec_of(wait_until_ns > l->now_ns ? wait_until_ns - l->now_ns : 0);
    int n = epoll_pwait2(l->ep, evs, 256, &ts, NULL);

    l->now_ns = now_ns();
    for (int i = 0; i < n; i++)
        conn_on_event(evs[i].data.ptr, evs[i].events);
}

static void load_connect(struct load *l)
{
    uint64_t give_up_ns = now_ns() + l->timeout_ns;
    size_t opened = 0;

    l->now_ns = now_ns();
    while (opened < l->conn_count || l->connecting > 0) {
        for (; opened < l->conn_count && l->connecting < CONNECT_SPREAD; opened++) {
            l->conns[opened].load = l;
            conn_open(&l->conns[opened]);
        }
        load_poll(l, give_up_ns);
        if (l->now_ns >= give_up_ns)
            die("cannot open %zu connections", l->conn_count);
    }
}

static struct conn *load_take_idle(struct load *l)
{
    struct conn *c = &l->conns[l->idle_first - 1];

    l->idle_first = c->idle_next;
    return c;
}

static uint64_t load_due(const struct load *l, uint64_t k)
{
    return l->start_ns + (uint64_t)((unsigned __int128)k * NS_PER_S / l->rate);
}

/* Open loop: sends what is due, as far as there are idle connections. Returns when to look again.
 */
static uint64_t load_send_due(struct load *l, bool *has_waited)
{
    for (;;) {
        uint64_t due = load_due(l, l->sent);

        if (due >= l->end_ns || !load_may_send(l))
            return l->end_ns;
        if (due > l->now_ns) {
            *has_waited = false;
            return due;
        }
        if (l->idle_first == 0) {
            *has_waited = true;
            return l->end_ns;
        }
        if (*has_waited)
            l->waited++;
        else
            hist_add(&l->measures[LATENESS], l->now_ns - due);
        conn_request(load_take_idle(l), due);
        l->now_ns = now_ns();
    }
}

static void load_expire(struct load *l)
{
    for (size_t i = 0; i < l->conn_count; i++) {
        struct conn *c = &l->conns[i];

        if (c->state != CONN_IDLE && l->now_ns - c->sent_ns > l->timeout_ns)
            conn_fail(c, c->state == CONN_CONNECTING ? FAIL_CONNECT : FAIL_TIMEOUT);
    }
}

static void load_run(struct load *l)
{
    uint64_t expire_ns;
    bool has_waited = false;

    l->now_ns = l->start_ns = l->last_ns = now_ns();
    l->end_ns = l->start_ns + l->duration_ns;
    expire_ns = l->start_ns;
    if (l->rate == 0)
        while (l->idle_first && load_may_send(l))
            conn_request(load_take_idle(l), l->now_ns);
    while (!stop_asked && (load_may_send(l) || l->answered < l->sent)) {
        uint64_t next_ns = l->end_ns;

        if (l->rate > 0)
            next_ns = load_send_due(l, &has_waited);
        else if (l->is_holding && l->now_ns >= l->end_ns)
            break;
        if (next_ns > l->now_ns + 100 * NS_PER_MS || next_ns <= l->now_ns)
            next_ns = l->now_ns + 100 * NS_PER_MS;
        load_poll(l, next_ns);
        if (l->now_ns >= expire_ns && !l->is_holding) {
            load_expire(l);
            expire_ns = l->now_ns + 100 * NS_PER_MS;
        }
    }
}

/* ---- the request ---- */

struct text {
    char *p;
    size_t n, cap;
};

static void text_put(struct text *t, const char *p, size_t n)
{
    if (t->cap - t->n < n) {
        t->cap = 2 * t->cap + n;
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            die("out of memory");
    }
    memcpy(t->p + t->n, p, n);
    t->n += n;
}

__attribute__((format(printf, 2, 3))) static void text_printf(struct text *t, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(line))
        die("an argument is too long");
    text_put(t, line, (size_t)n);
}

static void text_read_file(struct text *t, const char *path)
{
    char buf[65536];
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        die("%s: %s", path, strerror(errno));
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
        text_put(t, buf, n);
    fclose(f);
}

static bool path_ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

/* A request of exactly `bytes` bytes (or the least there can be) in the form the path asks for. */
static void text_make_body(struct text *t, const char *path, const char *model, bool is_streamed,
                           size_t bytes)
{
    const char *open =
        "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
        "{\"role\":\"user\",\"content\":\"";
    const char *close = "\"}]}";
    static const char words[] = "The weir holds the river back and measures what goes over. ";

    if (path_ends(path, "/responses") || path_ends(path, "/embeddings")) {
        open = "\"input\":\"";
        close = "\"}";
    } else if (!path_ends(path, "/chat/completions") && path_ends(path, "/completions")) {
        open = "\"prompt\":\"";
        close = "\"}";
    } else if (path_ends(path, "/messages")) {
        open = "\"max_tokens\":256,\"messages\":[{\"role\":\"user\",\"content\":\"";
    }
    text_printf(t, "{\"model\":\"%s\",%s%s", model, is_streamed ? "\"stream\":true," : "", open);
    while (t->n + strlen(close) < bytes) {
        size_t left = bytes - t->n - strlen(close);

        text_put(t, words, left < sizeof(words) - 1 ? left : sizeof(words) - 1);
    }
    text_put(t, close, strlen(close));
}

/* ---- the result ---- */

static void hist_print_json(const struct hist *h, const char *name)
{
    bool is_first = true;

    printf(",\"%s\":{\"count\":%llu,\"mean\":%.0f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%"
           "llu,\"max\":%llu,"
           "\"histogram\":[",
           name, (unsigned long long)h->count, h->count ? (double)h->sum / (double)h->count : 0.0,
           (unsigned long long)hist_quantile(h, 0.50), (unsigned long long)hist_quantile(h, 0.90),
           (unsigned long long)hist_quantile(h, 0.99), (unsigned long long)hist_quantile(h, 0.999),
           (unsigned long long)h->max);
    for (unsigned i = 0; i < HIST_SIZE; i++) {
        if (!h->at[i])
            continue;
        printf("%s[%llu,%llu]", is_first ? "" : ",", (unsigned long long)hist_value(i),
               (unsigned long long)h->at[i]);
        is_first = false;
    }
    printf("]}");
}

static double load_seconds(const struct load *l)
{
    return (double)(l->last_ns - l->start_ns) / (double)NS_PER_S;
}

/* Arrivals that were due but found no connection before the end. */
static uint64_t load_unsent(const struct load *l)
{
    uint64_t due;

    if (l->rate == 0)
        return 0;
    due = (uint64_t)((unsigned __int128)l->duration_ns * l->rate / NS_PER_S);
    if (l->max_requests && due > l->max_requests)
        due = l->max_requests;
    return due > l->sent ? due - l->sent : 0;
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void load_print_json(const struct load *l)
{
    double seconds = load_seconds(l);

    printf("{\"connections\":%zu,\"rate\":%llu,\"request_bytes\":%zu,\"requests\":%llu,\"ok\":%llu,"
           "\"seconds\":%.6f,"
           "\"rps\":%.1f,\"unsent\":%llu,\"waited\":%llu,\"reconnects\":%llu,\"bytes_in\":%llu,"
           "\"cpu_s\":%.3f,"
           "\"errors\":{",
           l->conn_count, (unsigned long long)l->rate, l->request_len, (unsigned long long)l->sent,
           (unsigned long long)l->ok, seconds, seconds > 0 ? (double)l->ok / seconds : 0.0,
           (unsigned long long)load_unsent(l), (unsigned long long)l->waited,
           (unsigned long long)l->reconnects, (unsigned long long)l->bytes_in, cpu_seconds());
    for (unsigned i = 0; i < FAILURES; i++)
        printf("%s\"%s\":%llu", i ? "," : "", failure_names[i], (unsigned long long)l->failures[i]);
    printf("}");
    for (unsigned i = 0; i < MEASURES; i++)
        hist_print_json(&l->measures[i], measure_names[i]);
    printf("}\n");
}

static void load_print(const struct load *l)
{
    double seconds = load_seconds(l);

    printf("%llu requests in %.2f s, %.0f/s, %llu ok", (unsigned long long)l->sent, seconds,
           seconds > 0 ? (double)l->ok / seconds : 0.0, (unsigned long long)l->ok);
    for (unsigned i = 0; i < FAILURES; i++)
        if (l->failures[i])
            printf(", %s errors %llu", failure_names[i], (unsigned long long)l->failures[i]);
    printf(", unsent %llu, waited for a connection %llu\n", (unsigned long long)load_unsent(l),
           (unsigned long long)l->waited);
    for (unsigned i = 0; i < MEASURES; i++) {
        const struct hist *h = &l->measures[i];

        if (h->count)
            printf("%-14s us: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
                   measure_names[i], (double)hist_quantile(h, 0.50) / 1e3,
                   (double)hist_quantile(h, 0.90) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
                   (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
    }
}

/* ---- options ---- */

static const char usage[] =
    "usage: weir-bench-load --url http://127.0.0.1:PORT/PATH [options]\n"
    "  --connections N    kept alive (1)\n"
    "  --rate R           requests per second, open loop; 0: closed loop, as fast as answers come "
    "(0)\n"
    "  --duration MS      (2000)          --requests N   at most so many\n"
    "  --timeout MS       per request (10000)\n"
    "  --header 'N: V'    may be repeated\n"
    "  --body FILE        or, made:       --model NAME (mock-small), --body-bytes N (300), "
    "--stream 1\n"
    "  --streams N        open N streams, print \"ready N\", hold them for the duration or until "
    "SIGTERM\n"
    "  --json 1           one JSON object with histograms as [highest value, count]\n"
    "Exit status 1 when a request failed.";

struct options {
    const char *url, *body, *model;
    uint64_t connections, body_bytes, streams, stream, json, duration_ms, timeout_ms, rate,
        requests;
    struct text headers;
};

static void options_read(struct options *o, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } table[] = {
        {"url", &o->url, NULL},
        {"body", &o->body, NULL},
        {"model", &o->model, NULL},
        {"connections", NULL, &o->connections},
        {"body-bytes", NULL, &o->body_bytes},
        {"streams", NULL, &o->streams},
        {"stream", NULL, &o->stream},
        {"json", NULL, &o->json},
        {"duration", NULL, &o->duration_ms},
        {"timeout", NULL, &o->timeout_ms},
        {"rate", NULL, &o->rate},
        {"requests", NULL, &o->requests},
    };
    const size_t rows = sizeof(table) / sizeof(table[0]);

    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        size_t row = 0;

        if (strncmp(argv[i], "--", 2) != 0 || !value)
            die("%s", usage);
        if (strcmp(argv[i], "--header") == 0) {
            text_printf(&o->headers, "%s\r\n", value);
            continue;
        }
        while (row < rows && strcmp(argv[i] + 2, table[row].name) != 0)
            row++;
        if (row == rows)
            die("%s", usage);
        if (table[row].text)
            *table[row].text = value;
        else
            *table[row].number = number_arg(table[row].name, value);
    }
    if (!o->url)
        die("%s", usage);
}

/* http://127.0.0.1:PORT/PATH, nothing else: this is a loopback benchmark. Returns the path. */
static const char *load_set_url(struct load *l, const char *url)
{
    static const char scheme[] = "http://127.0.0.1:";
    const char *p = url + sizeof(scheme) - 1;
    uint64_t port = 0;

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || !digits_read(&p, p + strlen(p), &port) ||
        *p != '/')
        die("--url: want %sPORT/PATH", scheme);
    l->addr = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return p;
}

static void load_set_request(struct load *l, const struct options *o, const char *path)
{
    struct text body = {0}, request = {0};

    if (o->body)
        text_read_file(&body, o->body);
    else
        text_make_body(&body, path, o->model, o->stream || o->streams, o->body_bytes);
    text_printf(&request,
                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: weir-bench\r\nAccept: "
                "application/json\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                path, body.n);
    if (o->headers.n)
        text_put(&request, o->headers.p, o->headers.n);
    text_put(&request, "\r\n", 2);
    text_put(&request, body.p, body.n);
    free(body.p);
    l->request = request.p;
    l->request_len = request.n;
}

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

int main(int argc, char **argv)
{
    struct load *l = xalloc(1, sizeof(*l));
    struct options o = {.model = "mock-small",
                        .connections = 1,
                        .body_bytes = 300,
                        .duration_ms = 2000,
                        .timeout_ms = 10000};
    struct sigaction sa = {.sa_handler = on_signal};
    struct rlimit files;
    uint64_t failed = 0;

    options_read(&o, argc, argv);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections then */
    }
    (void)prctl(PR_SET_TIMERSLACK, 1); /* requests on time; lateness shows it without */
    load_set_request(l, &o, load_set_url(l, o.url));
    l->is_holding = o.streams > 0;
    l->conn_count = o.streams ? o.streams : o.connections;
    l->rate = o.rate;
    l->max_requests = o.streams ? o.streams : o.requests;
    l->duration_ns = o.duration_ms * NS_PER_MS;
    l->timeout_ns = o.timeout_ms * NS_PER_MS;
    l->conns = xalloc(l->conn_count, sizeof(*l->conns));
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    if (l->ep < 0)
        die("epoll: %s", strerror(errno));
    load_connect(l);
    load_run(l);
    if (o.json)
        load_print_json(l);
    else
        load_print(l);
    for (unsigned i = 0; i < FAILURES; i++)
        failed += l->failures[i];
    return failed > 0;
}
