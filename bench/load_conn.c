/* One connection of the load generator: requests out, answers in. */

#include <sys/epoll.h>
#include <unistd.h>

#include "load_priv.h"

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

void conn_open(struct conn *c)
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

void conn_fail(struct conn *c, enum failure why)
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

void conn_request(struct conn *c, uint64_t due_ns)
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
        load_add_latency(l, c->due_ns);
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

void conn_on_event(struct conn *c, uint32_t events)
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
