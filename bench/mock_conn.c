/* One connection of the mock: bytes in and out, requests framed, states. */

#include <openssl/err.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "mock_priv.h"

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
    if (c->state == CONN_STREAM && answer_is_complete(c))
        conn_answered(c);
}

/* Sends the next events and, if there are more, has itself called again. */
static void conn_stream(struct conn *c)
{
    answer_events(c);
    if (!answer_is_complete(c))
        conn_wake_at(c, c->due_ns + c->ex.plan.interval_us * NS_PER_US);
    conn_flush(c);
}

static void conn_answer(struct conn *c)
{
    c->state = CONN_STREAM;
    c->due_ns = now_ns();
    answer_begin(c);
    if (c->ex.is_streamed)
        conn_stream(c);
    else
        conn_flush(c);
}

void conn_due(struct conn *c)
{
    conn_wake_cancel(c);
    if (c->state == CONN_WAIT)
        conn_answer(c);
    else if (c->out_len == 0)
        conn_stream(c);
    else /* a slow reader gets its events later, not more of them */
        conn_wake_at(c, now_ns() + NS_PER_MS);
}

/* The body is complete. */
static void conn_request(struct conn *c)
{
    answer_plan(c);
    c->state = CONN_WAIT;
    if (c->ex.plan.wait_us)
        conn_wake_at(c, now_ns() + c->ex.plan.wait_us * NS_PER_US);
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

static size_t conn_body_bytes(struct conn *c, const char *p, size_t n, uint64_t left)
{
    if (n > left)
        n = (size_t)left;
    window_add(c, p, n);
    c->ex.bytes_in += n;
    return n;
}

static size_t conn_body(struct conn *c, const char *p, size_t n)
{
    size_t used = 0;

    if (!c->is_chunked) {
        used = conn_body_bytes(c, p, n, c->body_left);
        c->body_left -= used;
        if (c->body_left == 0)
            conn_request(c);
        return used;
    }
    while (used < n) {
        if (c->chunked.state == CHUNK_DATA) {
            size_t take = conn_body_bytes(c, p + used, n - used, c->chunked.left);

            chunked_skip(&c->chunked, take);
            used += take;
        } else if (chunked_byte(&c->chunked, p[used++])) {
            conn_request(c);
            break;
        }
    }
    return used;
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
    c->chunked = (struct chunked){0};
    c->is_chunked = c->is_last = false;
    ex->bytes_in = ex->events_sent = 0;
    if (!path || *++path != '/') {
        conn_close(c);
        return;
    }
    size_t path_len = strcspn(path, " ?\r\n");

    exchange_set_path(ex, path, path_len);
    for (p = eol + 1; p < end; p = eol + 1) {
        eol = memchr(p, '\n', (size_t)(end - p));
        switch (*p | 32) {
        case 'c':
            if (HEADER_IS(p, eol, "content-length:"))
                (void)header_number(p + 15, eol, &c->body_left); /* no number: no body */
            else if (HEADER_IS(p, eol, "connection:"))
                c->is_last = header_has(p + 11, eol, "close");
            break;
        case 't':
            if (HEADER_IS(p, eol, "transfer-encoding:"))
                c->is_chunked = header_has(p + 18, eol, "chunked");
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

void conn_on_event(struct conn *c, uint32_t events)
{
    if (events & EPOLLIN)
        conn_readable(c);
    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) && c->state != CONN_CLOSED)
        conn_close(c);
    if ((events & EPOLLOUT) && c->out_len > 0 && c->state != CONN_CLOSED)
        conn_flush(c);
}

void conn_free_closed(struct conn *c)
{
    if (c->state != CONN_CLOSED)
        return;
    free(c->out);
    free(c);
}
