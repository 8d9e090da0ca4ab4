/*
 * The client's request goes to the control plane as it came: method, path, query, body, credential.
 * It alone decides. The reply comes back as it is. Both ways only listed headers cross, and of
 * whence it came the worker says what it saw itself.
 *
 * Connections, memory and requests in flight have bounds of their own: however slow the control
 * plane is, requests to models do not feel it.
 */

#include "client/forward.h"

#include "common/num.h"

#include "client/books.h"
#include "client/conn.h"
#include "client/reply.h"
#include "client/upstream_request.h"

#define SECOND_NS UINT64_C(1000000000)

/* Until the head of the reply comes; the control plane gives up a little earlier by itself. */
static const uint64_t patience_ns[LANES] = {
    [LANE_LOOP] = 5 * SECOND_NS,
    [LANE_CRUD] = 15 * SECOND_NS,
    [LANE_REPORT] = 65 * SECOND_NS,
};

enum { SILENCE_S = 30, WHOLE_S = 300 }; /* of the body; of all */

/* Of the request: who asks, and what is in the body. litellm_key_header_name comes to it. */
static const struct str passed[] = {
    STR_INIT("authorization"),  STR_INIT("x-litellm-api-key"),
    STR_INIT("api-key"),        STR_INIT("x-api-key"),
    STR_INIT("x-goog-api-key"), STR_INIT("ocp-apim-subscription-key"),
    STR_INIT("cookie"),         STR_INIT("litellm-changed-by"),
    STR_INIT("content-type"),   STR_INIT("accept"),
    STR_INIT("user-agent"),
};

/* Of the reply. */
static const struct str kept[] = {
    STR_INIT("x-request-id"),
    STR_INIT("x-weir-"),
    STR_INIT("x-litellm-"),
    STR_INIT("retry-after"),
    STR_INIT("allow"),
    STR_INIT("location"),
    STR_INIT("set-cookie"),
    STR_INIT("cache-control"),
    STR_INIT("content-disposition"),
    STR_INIT("content-security-policy"),
    STR_INIT("www-authenticate"),
};

static void forward_on_head(struct exchange *e)
{
    (void)e; /* what it says goes out with the first bytes of the body, or with its end */
}

/* The client's head, of a body with `n` bytes; UINT64_MAX: not known. */
static void head_send(struct request *r, uint64_t n)
{
    const struct exchange *e = &r->exchange;

    reply_head(r, e->status, e->content_type.n ? e->content_type : STR("application/json"));
    for (unsigned i = 0; i < e->n_headers; i++)
        if (!str_eq(e->headers[i].name, STR("x-litellm-version")) && /* ours stand there */
            !str_eq(e->headers[i].name, STR("x-litellm-call-id")))
            reply_header(r, e->headers[i].name, e->headers[i].value);
    reply_head_end(r, n);
    r->client_head_sent = true;
}

static void forward_on_body(struct exchange *e, const char *p, size_t n)
{
    struct request *r = container_of(e, struct request, exchange);
    struct buf *out = &r->cx->out;
    bool chunked = e->content_length == UINT64_MAX;

    if (!r->client_head_sent)
        head_send(r, e->content_length);
    size_t from = chunked ? reply_chunk_begin(r) : out->n;
    if (!buf_add(&r->cx->bufs, out, p, n))
        r->out_failed = true;
    if (chunked)
        reply_chunk_end(r, from, false);
    else
        r->bytes_out += n;
    if (reply_flush(r) && conn_backlog(r->conn) > CONN_HIGH_WATER)
        exchange_pause(e);
}

static void forward_failed(struct request *r, bool timed_out)
{
    struct error_facts f = reply_facts(r, ERROR_CONTROL_PLANE,
                                       timed_out ? STR("It did not answer in time.")
                                                 : STR("Requests to models are not affected."));

    reply_error(r, &f, error_rows[ERROR_CONTROL_PLANE].code, 1);
}

static void forward_on_end(struct exchange *e, enum exchange_end how)
{
    struct request *r = container_of(e, struct request, exchange);

    if (how != EXCHANGE_DONE && !r->client_head_sent) {
        forward_failed(r, how == EXCHANGE_TIMEOUT);
        return;
    }
    if (how != EXCHANGE_DONE) { /* half an answer must not look whole */
        books_close(r, e->status, error_rows[ERROR_CONTROL_PLANE].code);
        conn_abort(r->conn);
        return;
    }
    if (!r->client_head_sent)
        head_send(r, 0);
    else if (e->content_length == UINT64_MAX)
        reply_chunk_end(r, reply_chunk_begin(r), true);
    books_close(r, e->status, (struct str){0});
    if (reply_flush(r))
        conn_finish(r->conn);
}

static const struct exchange_events forward_events = {
    .headers = kept,
    .n_headers = ARRAY_LEN(kept),
    .on_head = forward_on_head,
    .on_body = forward_on_body,
    .on_end = forward_on_end,
};

static bool is_passed(const struct request *r, struct str name)
{
    struct str own = snap_str(r->snapshot, r->snapshot->h->settings.key_header);

    for (size_t i = 0; i < ARRAY_LEN(passed); i++)
        if (str_ieq(name, passed[i]))
            return true;
    return own.n && str_ieq(name, own);
}

static bool forward_build(struct request *r)
{
    const struct conn *c = r->conn;
    const struct snap_settings *s = &r->snapshot->h->settings;
    char digits[20];

    r->head.n = 0;
    r->out_failed = false;
    upstream_request_put(r, str_of(llhttp_method_name(c->parser.method)));
    upstream_request_put(r, STR(" "));
    upstream_request_put(r, snap_str(r->snapshot, s->admin_path));
    upstream_request_put(r, r->forward.path);
    upstream_request_put(r, r->query.n ? STR("?") : (struct str){0});
    upstream_request_put(r, r->query);
    upstream_request_put(r, STR(" HTTP/1.1\r\n"));
    upstream_request_put_header(r, STR("host"), snap_str(r->snapshot, s->admin_host));
    for (uint32_t i = 0; i < c->n_headers; i++) { /* a name twice stays so: it is theirs to judge */
        const struct conn_header *h = &c->header[i];
        struct str name = {c->head.p + h->name_at, h->name_n};
        if (is_passed(r, name))
            upstream_request_put_header(r, name, (struct str){c->head.p + h->value_at, h->value_n});
    }
    upstream_request_put_header(r, STR("x-forwarded-for"), str_of(c->ip));
    upstream_request_put_header(r, STR("content-length"),
                                (struct str){digits, num_put_u64(digits, c->body.n)});
    upstream_request_put(r, STR("\r\n"));
    return !r->out_failed;
}

void forward_start(struct request *r)
{
    struct context *cx = r->cx;
    uint64_t first_ns = patience_ns[r->forward.lane];
    const struct exchange_timeouts limits = {first_ns, SILENCE_S * SECOND_NS, WHOLE_S * SECOND_NS};
    struct origin *origin =
        pool_origin(cx->pool, r->snapshot, r->snapshot->h->settings.admin_origin);
    struct upconn_buf *piece = arena_alloc(&r->arena, 2 * sizeof *piece);

    if (!origin || !piece || cx->n_forwards >= FORWARDS_MAX || !forward_build(r)) {
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        return;
    }
    piece[0] = (struct upconn_buf){r->head.p, r->head.n};
    piece[1] = (struct upconn_buf){r->conn->body.p, r->conn->body.n};
    exchange_init(&r->exchange, cx, &r->arena, &forward_events);
    r->exchange.once = r->conn->parser.method != HTTP_GET;
    r->is_forwarded = true;
    cx->n_forwards++;
    if (exchange_start(&r->exchange, origin, piece, r->conn->body.n ? 2 : 1, &limits))
        forward_failed(r, false);
}

void forward_end(struct request *r)
{
    if (r->is_forwarded)
        r->cx->n_forwards--;
    r->is_forwarded = false;
}
