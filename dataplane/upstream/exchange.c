/* One exchange: states by connection events, framing by llhttp, bytes counted here (threats section
 * 4). */

#include "upstream/exchange.h"

#include "common/clock.h"
#include "common/num.h"

enum {
    HEAD_MAX = 64 * 1024, /* threats section 1: upstream header block, count, interim replies */
    LINES_MAX = 200,
    INTERIM_MAX = 8,
};

/* The reply headers a client may see; a name that ends in '-' is a prefix (threats U-05). */
static const struct str kept_headers[] = {
    STR_INIT("x-request-id"),   STR_INIT("request-id"),           STR_INIT("retry-after"),
    STR_INIT("retry-after-ms"), STR_INIT("x-should-retry"),       STR_INIT("openai-processing-ms"),
    STR_INIT("openai-version"), STR_INIT("apim-request-id"),      STR_INIT("x-ms-region"),
    STR_INIT("x-ratelimit-"),   STR_INIT("anthropic-ratelimit-"),
};

static void exchange_end(struct exchange *e, enum exchange_end how);
static void exchange_dial(struct exchange *e);

static void exchange_arm(struct exchange *e)
{
    uint64_t due = e->start_ns + e->limits.total_ns;
    uint64_t step = e->state == EXCHANGE_BODY ? e->last_ns + e->limits.silence_ns
                                              : e->start_ns + e->limits.first_ns;

    timer_arm(&e->cx->wheel, &e->timer, MIN(due, step));
}

/* The timer is armed once and looks again when it fires: bytes only move last_ns. */
static void exchange_on_timer(struct timer *t)
{
    struct exchange *e = container_of(t, struct exchange, timer);
    uint64_t now = clock_mono_ns();

    if (e->paused)
        e->last_ns = now;
    uint64_t step = e->state == EXCHANGE_BODY ? e->last_ns + e->limits.silence_ns
                                              : e->start_ns + e->limits.first_ns;
    if (now >= e->start_ns + e->limits.total_ns || now >= step)
        exchange_end(e, EXCHANGE_TIMEOUT);
    else
        exchange_arm(e);
}

static const struct str *kept_name(const struct exchange_events *ev, struct str name)
{
    const struct str *list = ev->headers ? ev->headers : kept_headers;
    size_t n = ev->headers ? ev->n_headers : ARRAY_LEN(kept_headers);

    for (size_t i = 0; i < n; i++) {
        struct str k = list[i];
        if (k.p[k.n - 1] == '-' ? name.n > k.n && str_ieq((struct str){name.p, k.n}, k)
                                : str_ieq(name, k))
            return &list[i];
    }
    return NULL;
}

/* Seconds, possibly with a fraction; dates are not understood and left alone. */
static uint32_t retry_after_ms(struct str value, int scale)
{
    int64_t ms;

    return num_scaled(str_trim(value), scale, &ms) && ms > 0
               ? (uint32_t)MIN(ms, (int64_t)3600 * 1000)
               : 0;
}

static void header_take(struct exchange *e, struct str name, struct str value)
{
    if (str_ieq(name, STR("content-type"))) {
        e->content_type = arena_str(e->arena, value);
        e->is_stream =
            value.n >= 17 && str_ieq((struct str){value.p, 17}, STR("text/event-stream"));
        return;
    }
    if (str_ieq(name, STR("content-encoding"))) {
        e->is_encoded = !str_ieq(str_trim(value), STR("identity"));
        return;
    }
    const struct str *kept = kept_name(e->events, name);
    if (!kept || e->n_headers == REPLY_HEADERS_MAX)
        return;
    if (str_ieq(name, STR("retry-after")))
        e->retry_after_ms = retry_after_ms(value, 3);
    else if (str_ieq(name, STR("retry-after-ms")))
        e->retry_after_ms = retry_after_ms(value, 0);
    struct str lower = kept->p[kept->n - 1] == '-' ? arena_str(e->arena, name) : *kept;
    for (size_t i = 0; i < lower.n && lower.p != kept->p; i++)
        ((char *)(uintptr_t)lower.p)[i] = char_lower(lower.p[i]);
    e->headers[e->n_headers++] = (struct reply_header){lower, arena_str(e->arena, value)};
}

/* Counts head bytes; -1 stops llhttp. */
static int head_count(struct exchange *e, size_t n)
{
    e->head_bytes += (uint32_t)MIN(n, (size_t)HEAD_MAX + 1);
    return e->head_bytes > HEAD_MAX ? -1 : 0;
}

static int on_status(llhttp_t *p, const char *at, size_t n)
{
    (void)at;
    return head_count(p->data, n);
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct exchange *e = p->data;
    size_t keep = MIN(n, sizeof e->name - e->name_n);

    memcpy(e->name + e->name_n, at, keep);
    e->name_n = (uint16_t)(e->name_n + keep);
    return head_count(e, n);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct exchange *e = p->data;
    size_t keep = MIN(n, sizeof e->value - e->value_n);

    memcpy(e->value + e->value_n, at, keep);
    e->value_n = (uint16_t)(e->value_n + keep);
    return head_count(e, n);
}

static int on_value_complete(llhttp_t *p)
{
    struct exchange *e = p->data;

    if (++e->n_lines > LINES_MAX)
        return -1;
    /* a name or value longer than what is kept is none that is needed */
    if (e->state == EXCHANGE_HEAD && e->name_n < sizeof e->name && e->value_n < sizeof e->value)
        header_take(e, (struct str){e->name, e->name_n}, (struct str){e->value, e->value_n});
    e->name_n = e->value_n = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct exchange *e = p->data;

    if (p->status_code < 200) /* U-03: 101 was never asked for, others are counted */
        return p->status_code == 101 || ++e->n_interim > INTERIM_MAX ? -1 : 0;
    if (p->status_code > 599 || p->upgrade)
        return -1;
    if (p->flags & F_TRANSFER_ENCODING && !(p->flags & F_CHUNKED))
        return -1; /* U-01: an encoding we cannot frame */
    e->status = (uint16_t)p->status_code;
    e->content_length = p->flags & F_CONTENT_LENGTH ? p->content_length : UINT64_MAX;
    e->state = EXCHANGE_BODY;
    e->events->on_head(e);
    return e->state == EXCHANGE_BODY && !e->stopped ? 0 : -1; /* -1: cancelled meanwhile */
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct exchange *e = p->data;

    e->body_bytes += n;
    e->events->on_body(e, at, n);
    return e->state == EXCHANGE_BODY && !e->stopped ? 0 : -1;
}

static void exchange_forget_head(struct exchange *e)
{
    e->is_stream = e->is_encoded = false;
    e->n_headers = 0;
    e->content_type = (struct str){0};
    e->retry_after_ms = 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct exchange *e = p->data;

    if (p->status_code < 200) { /* nothing of an interim reply says anything about the final one */
        exchange_forget_head(e);
        return 0;
    }
    e->complete = true;
    e->keep = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_status = on_status,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

static void exchange_on_read(void *ctx, const char *p, size_t n)
{
    struct exchange *e = ctx;

    e->last_ns = clock_mono_ns();
    if (!e->any_byte) {
        e->any_byte = true;
        e->first_ns = e->last_ns;
    }
    llhttp_errno_t rc = llhttp_execute(&e->parser, p, n);
    if (e->state == EXCHANGE_IDLE)
        return; /* cancelled in a callback */
    if (e->stopped) {
        exchange_end(e, EXCHANGE_STOPPED);
        return;
    }
    if (e->complete) {
        /* U-02: bytes behind the reply, or a request still being sent: do not use it again */
        if (llhttp_get_error_pos(&e->parser) != p + n || !exchange_is_sent(e))
            e->keep = false;
        exchange_end(e, EXCHANGE_DONE);
    } else if (rc != HPE_OK) {
        exchange_end(e, EXCHANGE_PROTOCOL);
    }
}

static void exchange_broken(struct exchange *e)
{
    /* C-06: the upstream closed the idle connection as we sent; nothing was answered, so ask again
     * once */
    if (e->reused && !e->any_byte && !e->revived && !e->once) {
        e->revived = true;
        metric_add(e->cx->region, METRIC_UPSTREAM_REVIVALS, 1);
        upconn_close(TAKE(e->conn));
        exchange_dial(e);
        return;
    }
    exchange_end(e, EXCHANGE_CUT);
}

static void exchange_on_end(void *ctx, enum errc why)
{
    struct exchange *e = ctx;

    if (why == ERRC_CLOSED && e->state == EXCHANGE_BODY && llhttp_message_needs_eof(&e->parser)) {
        /* U-01: a body that ends with the connection is complete when the connection ended in order
         */
        e->complete = true;
        e->keep = false;
        exchange_end(e, EXCHANGE_DONE);
        return;
    }
    exchange_broken(e);
}

/* Hands on the request, four pieces at a time; false when the connection broke. */
static bool exchange_send(struct exchange *e)
{
    while (e->next_piece < e->n_pieces) {
        unsigned n = MIN(e->n_pieces - e->next_piece, 4u);
        enum upconn_wrote wrote = upconn_write(e->conn, e->piece + e->next_piece, n);
        if (wrote == UPCONN_BROKEN)
            return false;
        e->next_piece += n;
        e->sending = wrote == UPCONN_QUEUED;
        if (e->sending)
            break;
    }
    return true;
}

static void exchange_on_flushed(void *ctx)
{
    struct exchange *e = ctx;

    e->sending = false;
    if (!exchange_send(e))
        exchange_broken(e);
}

static const struct upconn_events conn_events = {
    .on_read = exchange_on_read,
    .on_end = exchange_on_end,
    .on_flushed = exchange_on_flushed,
};

/* A connection is there: the request goes out. False when it broke at once. */
static bool exchange_connected(struct exchange *e, struct upconn *c, uint64_t now_ns)
{
    e->conn = c;
    e->state = EXCHANGE_HEAD;
    e->sent_ns = e->last_ns = now_ns;
    e->next_piece = 0;
    llhttp_init(&e->parser, HTTP_RESPONSE, &settings);
    e->parser.data = e;
    return exchange_send(e);
}

static void exchange_on_got(void *ctx, enum pool_got how, struct upconn *c)
{
    static const enum exchange_end ends[] = {
        [POOL_CONNECTED] = EXCHANGE_DONE,  [POOL_FULL] = EXCHANGE_NO_ROOM,
        [POOL_DNS] = EXCHANGE_DNS,         [POOL_FORBIDDEN] = EXCHANGE_FORBIDDEN,
        [POOL_REFUSED] = EXCHANGE_REFUSED, [POOL_TLS] = EXCHANGE_TLS,
        [POOL_TIMEOUT] = EXCHANGE_TIMEOUT,
    };
    struct exchange *e = ctx;

    e->wait = NULL;
    if (how != POOL_CONNECTED) {
        exchange_end(e, ends[how]);
        return;
    }
    e->reused = upconn_is_reused(c); /* a full origin may hand on a used one */
    if (!exchange_connected(e, c, clock_mono_ns()))
        exchange_broken(e);
}

static void exchange_dial(struct exchange *e)
{
    uint64_t deadline = e->start_ns + MIN(e->limits.first_ns, e->limits.total_ns);

    e->state = EXCHANGE_CONNECT;
    e->reused = false;
    if (pool_dial(e->cx->pool, e->origin, deadline, &conn_events, exchange_on_got, e, &e->wait))
        exchange_end(e, EXCHANGE_NO_ROOM);
}

static void exchange_end(struct exchange *e, enum exchange_end how)
{
    timer_disarm(&e->timer);
    e->end_ns = how == EXCHANGE_DONE ? e->last_ns : clock_mono_ns();
    e->state = EXCHANGE_IDLE;
    if (e->wait)
        pool_cancel(TAKE(e->wait));
    if (e->conn && how == EXCHANGE_DONE && e->keep)
        pool_put(TAKE(e->conn));
    else if (e->conn)
        upconn_close(TAKE(e->conn));
    e->events->on_end(e, how);
}

void exchange_init(struct exchange *e, struct context *cx, struct arena *arena,
                   const struct exchange_events *events)
{
    e->cx = cx;
    e->arena = arena;
    e->events = events;
    e->once = false;
    e->state = EXCHANGE_IDLE;
    e->conn = NULL;
    e->wait = NULL;
    timer_init(&e->timer, exchange_on_timer);
}

enum errc exchange_start(struct exchange *e, struct origin *origin, const struct upconn_buf *piece,
                         unsigned n_pieces, const struct exchange_timeouts *limits)
{
    ASSERT(e->state == EXCHANGE_IDLE && !e->conn);
    e->status = 0;
    e->reused = false;
    exchange_forget_head(e);
    e->content_length = UINT64_MAX;
    e->body_bytes = 0;
    e->sent_ns = e->first_ns = e->end_ns = 0;
    e->origin = origin;
    e->piece = piece;
    e->n_pieces = n_pieces;
    e->next_piece = 0;
    e->revived = e->any_byte = e->complete = e->keep = e->paused = e->stopped = e->sending = false;
    e->limits = *limits;
    e->head_bytes = e->n_lines = e->n_interim = 0;
    e->name_n = e->value_n = 0;
    e->start_ns = e->last_ns = clock_mono_ns();

    struct upconn *c = e->once ? NULL : pool_reuse(e->cx->pool, origin, &conn_events, e);
    if (c) {
        e->reused = true;
        if (!exchange_connected(e, c, e->start_ns)) {
            e->revived = true;
            upconn_close(TAKE(e->conn));
            c = NULL;
        }
    }
    if (!c) {
        e->state = EXCHANGE_CONNECT;
        e->reused = false;
        enum errc rc =
            pool_dial(e->cx->pool, origin, e->start_ns + MIN(limits->first_ns, limits->total_ns),
                      &conn_events, exchange_on_got, e, &e->wait);
        if (rc) {
            e->state = EXCHANGE_IDLE;
            return rc;
        }
    }
    exchange_arm(e);
    return ERRC_OK;
}

void exchange_cancel(struct exchange *e)
{
    timer_disarm(&e->timer);
    if (e->state == EXCHANGE_IDLE)
        return;
    e->end_ns = clock_mono_ns();
    e->state = EXCHANGE_IDLE;
    if (e->wait)
        pool_cancel(TAKE(e->wait));
    if (e->conn)
        upconn_close(TAKE(e->conn));
}

void exchange_stop(struct exchange *e)
{
    e->stopped = true;
}

void exchange_pause(struct exchange *e)
{
    if (e->conn && !e->paused) {
        e->paused = true;
        upconn_pause(e->conn);
    }
}

void exchange_resume(struct exchange *e)
{
    if (e->conn && e->paused) {
        e->paused = false;
        e->last_ns = clock_mono_ns();
        upconn_resume(e->conn);
    }
}
