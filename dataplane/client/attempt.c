/*
 * Building the upstream's request, relaying its reply, closing its books.
 *
 *   attempt_next -> exchange -> on_head -> on_body* -> on_end -> reply sent, or attempt_failed
 *                      ^                                                  |
 *                      +------------------- retry timer <-----------------+   never after a byte
 * has gone to the client
 */

#include "client/attempt.h"

#include "common/clock.h"
#include "common/jw.h"
#include "common/num.h"

#include "client/conn.h"
#include "client/mock.h"
#include "client/reply.h"
#include "dialect/chat_stream.h"
#include "meter/meter.h"
#include "policy/auth.h"

enum {
    COPY_MAX = 64 * 1024, /* a request up to this size goes out in one piece */
    PIECE_COPY_MAX = 4 * 1024,
    ERROR_BODY_MAX = 64 * 1024, /* threats section 1 */
    BYTES_PER_TOKEN = 4,        /* of an estimate */
};

static const uint64_t forever_ns = UINT64_C(24) * 3600 * 1000000000;

static void attempt_next(struct request *r);

static enum api api_of(const struct request *r)
{
    return route_rows[r->route].api;
}

static bool is_item(const struct request *r)
{
    return route_rows[r->route].handler == HANDLER_RESPONSE_ITEM;
}

/* --- the upstream's request
 * ------------------------------------------------------------------------------- */

static void head_add(struct request *r, struct str s)
{
    if (!buf_add(&r->cx->bufs, &r->head, s.p, s.n))
        r->out_failed = true;
}

static void head_header(struct request *r, struct str name, struct str value)
{
    if (!value.n)
        return;
    head_add(r, name);
    head_add(r, STR(": "));
    head_add(r, value);
    head_add(r, STR("\r\n"));
}

/* What of the client's headers goes on, by dialect: an allow-list (threats H-13). */
static const struct {
    enum dialect dialect;
    struct str name, otherwise;
} passed_headers[] = {
    {DIALECT_ANTHROPIC, STR_INIT("anthropic-version"), STR_INIT("2023-06-01")},
    {DIALECT_ANTHROPIC, STR_INIT("anthropic-beta"), STR_INIT("")},
    {DIALECT_OPENAI, STR_INIT("openai-beta"), STR_INIT("")},
};

static void head_passed(struct request *r)
{
    const struct conn *c = r->conn;
    uint32_t flags = r->snapshot->h->settings.flags;

    for (size_t i = 0; i < ARRAY_LEN(passed_headers); i++) {
        if (passed_headers[i].dialect != r->deployment->dialect)
            continue;
        struct str value = conn_header(c, passed_headers[i].name, NULL);
        head_header(r, passed_headers[i].name, value.n ? value : passed_headers[i].otherwise);
    }
    if (flags & SNAP_FORWARD_OPENAI_ORG)
        head_header(r, STR("openai-organization"),
                    conn_header(c, STR("openai-organization"), NULL));
    if (!(flags & SNAP_FORWARD_CLIENT_HEADERS))
        return;
    for (uint32_t i = 0; i < c->n_headers; i++) { /* litellm-dataplane.md 8.3 */
        const struct conn_header *h = &c->header[i];
        struct str name = {c->head.p + h->name_at, h->name_n};
        struct str prefix = {name.p, MIN(name.n, (size_t)12)};
        if (name.n > 2 && char_lower(name.p[0]) == 'x' && name.p[1] == '-' &&
            !str_ieq(prefix, STR("x-stainless-")) && !str_ieq(prefix, STR("x-forwarded-")) &&
            !str_ieq((struct str){name.p, MIN(name.n, (size_t)10)}, STR("x-litellm-")) &&
            !str_ieq(name, STR("x-api-key")) && !str_ieq(name, STR("x-goog-api-key")) &&
            !str_ieq(name, STR("x-real-ip")))
            head_header(r, name, (struct str){c->head.p + h->value_at, h->value_n});
    }
}

/* The model as it stands in a URL: everything but unreserved characters encoded. */
static struct str path_encoded(struct request *r, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(&r->arena, model.n * 3 + 1);
    size_t n = 0;

    if (!out)
        return (struct str){0};
    for (size_t i = 0; i < model.n; i++) {
        unsigned char ch = (unsigned char)model.p[i];
        char lower = char_lower((char)ch);
        if ((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
            ch == '_' || ch == '~') {
            out[n++] = (char)ch;
        } else {
            out[n++] = '%';
            out[n++] = hex[ch >> 4];
            out[n++] = hex[ch & 15];
        }
    }
    return (struct str){out, n};
}

static void head_request_line(struct request *r)
{
    static const struct str methods[] = {
        [METHOD_GET] = STR_INIT("GET "),
        [METHOD_POST] = STR_INIT("POST "),
        [METHOD_DELETE] = STR_INIT("DELETE "),
    };
    const struct route_row *row = &route_rows[r->route];
    const struct snap_path *path = &r->deployment->path[row->api];
    struct str after = snap_str(r->snapshot, path->after);

    head_add(r, methods[row->method]);
    head_add(r, snap_str(r->snapshot, path->before));
    if (is_item(r)) {
        head_add(r, STR("/"));
        head_add(r, path_encoded(r, r->previous_id));
        if (r->route == ROUTE_RESPONSE_CANCEL)
            head_add(r, STR("/cancel"));
        else if (r->route == ROUTE_RESPONSE_ITEMS)
            head_add(r, STR("/input_items"));
    } else if (r->deployment->flags & SNAP_MODEL_IN_PATH && api_of(r) != API_RESPONSES) {
        head_add(r, path_encoded(r, r->upstream_model));
    }
    head_add(r, after);
    if (is_item(r) && r->query.n) {
        head_add(r, after.n ? STR("&") : STR("?"));
        head_add(r, r->query);
    }
    head_add(r, STR(" HTTP/1.1\r\n"));
}

struct pieces {
    struct request *r;
    struct upconn_buf *piece;
    unsigned n;
};

static void piece_copy(void *ctx, const char *p, size_t n)
{
    struct pieces *ps = ctx;

    head_add(ps->r, (struct str){p, n});
}

/* Large pieces are lent from the client's body; small ones are texts in the arena, which last as
 * long. */
static void piece_lend(void *ctx, const char *p, size_t n)
{
    struct pieces *ps = ctx;

    ps->piece[ps->n++] = (struct upconn_buf){p, n};
}

/* Builds head and body; false when memory ended. *ret_piece lies in the arena. */
static bool request_build(struct request *r, const struct body_edit *b,
                          struct upconn_buf **ret_piece, unsigned *ret_n)
{
    char digits[20];
    size_t body_n = r->conn->body.n;

    r->head.n = 0;
    r->out_failed = false;
    head_request_line(r);
    head_add(r, snap_str(r->snapshot, r->deployment->headers));
    head_passed(r);
    head_add(r, r->is_stream ? STR("accept: text/event-stream\r\n")
                             : STR("accept: application/json\r\n"));
    if (!is_item(r) || r->route == ROUTE_RESPONSE_CANCEL) {
        head_add(r, STR("content-length: "));
        head_add(r, (struct str){digits, num_put_u64(digits, is_item(r) ? 0 : b->length)});
        head_add(r, STR("\r\n"));
    }
    head_add(r, STR("\r\n"));
    struct pieces ps = {.r = r};
    if (is_item(r) || b->length <= COPY_MAX) {
        if (!is_item(r))
            body_edit_emit(b, body_n, piece_copy, &ps);
        ps.piece = arena_alloc(&r->arena, sizeof *ps.piece);
        if (ps.piece)
            ps.n = 1;
    } else {
        ps.piece = arena_alloc(&r->arena, (2 * b->n + 2) * sizeof *ps.piece);
        if (ps.piece) {
            ps.n = 1;
            body_edit_emit(b, body_n, piece_lend, &ps);
        }
    }
    if (!ps.piece || r->out_failed)
        return false;
    ps.piece[0] = (struct upconn_buf){r->head.p, r->head.n};
    *ret_piece = ps.piece;
    *ret_n = ps.n;
    return true;
}

/* The deployment's model with what a wildcard captured put in. */
static struct str upstream_model(struct request *r, const struct snap_deployment *d)
{
    struct str model = snap_str(r->snapshot, d->model), part, rest = model, out = {0};
    unsigned star = 0;

    if (!(d->flags & SNAP_WILDCARD))
        return model;
    while (str_cut(rest, '*', &part, &rest)) {
        struct str captured = star < r->found.n_captured ? r->found.captured[star]
                              : r->found.n_captured      ? (struct str){0}
                                                         : r->model;
        star++;
        out = arena_printf(&r->arena, STR_FMT STR_FMT STR_FMT, STR_ARG(out), STR_ARG(part),
                           STR_ARG(captured));
    }
    return arena_printf(&r->arena, STR_FMT STR_FMT, STR_ARG(out), STR_ARG(part));
}

/* --- the books
 * ------------------------------------------------------------------------------------------------
 */

static bool meter_begin(struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    struct inflight *slot = meter_open(r->cx, r->plan.attempts == 1 ? r->body_ns : clock_mono_ns());

    if (!slot)
        return false;
    struct record *rec = &slot->record;
    rec->flags = (uint16_t)(RECORD_SPOOL | (r->is_stream ? RECORD_STREAM : 0));
    rec->api = (uint8_t)api_of(r);
    rec->route = (uint8_t)r->route;
    rec->attempt = (uint8_t)r->plan.attempts;
    rec->bytes_in = r->bytes_in;
    record_set(rec, RS_REQUEST_ID, (struct str){r->id, REQUEST_ID});
    record_set(rec, RS_MODEL, r->model);
    record_set(rec, RS_GROUP, snap_str(r->snapshot, d->group));
    record_set(rec, RS_DEPLOYMENT, snap_str(r->snapshot, d->id));
    record_set(rec, RS_UPSTREAM_MODEL, r->upstream_model);
    record_set(rec, RS_PROVIDER, snap_str(r->snapshot, d->provider));
    record_set(rec, RS_API_BASE, snap_str(r->snapshot, d->api_base));
    record_set(rec, RS_KEY, r->authorised ? auth_master_name : (struct str){0});
    record_set(rec, RS_CLIENT_IP, str_of(r->conn->ip));
    record_set(rec, RS_END_USER, (struct str){r->scan.user.p, MIN(r->scan.user.n, (size_t)128)});
    if (is_item(r))
        rec->flags &= (uint16_t)~RECORD_SPOOL; /* reads nothing and costs nothing */
    r->meter = slot;
    meter_start(r->cx, slot);
    return true;
}

/* Usage of what went by, estimated when the provider did not say although something was produced.
 */
static void meter_usage(struct request *r, bool delivered)
{
    struct record *rec = &r->meter->record;
    struct usage u = {0};

    if (r->relay_open)
        reply_usage(&r->relay.scan, (enum dialect)r->deployment->dialect, &u);
    if (!u.seen && delivered && api_of(r) != API_MODERATIONS && api_of(r) != API_COUNT_TOKENS) {
        u.estimated = 1;
        u.input = (r->bytes_in + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
        u.output =
            r->relay_open ? (r->relay.scan.text_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN : 0;
    }
    if (u.estimated && u.output == 0 && !r->client_head_sent)
        u = (struct usage){0};
    if (rec->flags & RECORD_SPOOL && api_of(r) != API_COUNT_TOKENS) {
        const struct price *p =
            r->deployment->flags & SNAP_PRICED
                ? &r->deployment->price
                : snap_price(r->snapshot, snap_str(r->snapshot, r->deployment->provider),
                             r->upstream_model);
        meter_price(rec, &u, p);
    }
    if (r->relay_open)
        record_set(rec, RS_RESPONSE_ID,
                   (struct str){r->relay.scan.response_id, r->relay.scan.response_id_n});
}

/* What the exchange took, into record and histograms. Once per attempt. */
static void meter_exchange(struct request *r, bool success, struct str code)
{
    struct exchange *e = &r->exchange;
    struct record *rec = &r->meter->record;
    struct region *region = r->cx->region;
    uint64_t end = e->end_ns ? e->end_ns : clock_mono_ns();
    uint64_t sent = e->sent_ns ? e->sent_ns : end;

    r->connect_ns += sent - e->start_ns;
    r->upstream_ns += end - sent;
    rec->connect_ns = sent - e->start_ns;
    rec->upstream_ns = end - sent;
    rec->first_byte_ns = e->first_ns ? e->first_ns - sent : 0;
    if (e->first_ns)
        rec->first_us = rec->start_us + (int64_t)((e->first_ns - e->start_ns) / 1000);
    rec->upstream_status = e->status;
    rec->upstream_bytes_in = e->body_bytes;
    if (e->reused)
        rec->flags |= RECORD_REUSED;
    if (code.n)
        record_set(rec, RS_ERROR, code);
    metric_observe(region, HISTOGRAM_CONNECT, rec->connect_ns);
    if (e->first_ns)
        metric_observe(region, HISTOGRAM_UPSTREAM_FIRST, rec->first_byte_ns);
    metric_observe(region, HISTOGRAM_UPSTREAM, rec->upstream_ns);
    if (!success)
        metric_add(region, METRIC_UPSTREAM_FAILURES, 1);
    if (rec->flags & RECORD_SPOOL)
        meter_count(r->cx, r->deployment->slot, rec, success);
}

/* --- starting
 * -------------------------------------------------------------------------------------------------
 */

static void fail_now(struct request *r, enum client_error error, struct str detail)
{
    struct error_facts f = reply_facts(r, error, detail);

    reply_error(r, &f, error_rows[error].code, error == ERROR_OVERLOADED);
}

static struct exchange_timeouts timeouts_of(const struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    uint32_t whole = r->asked_timeout_ms != SNAP_NONE ? r->asked_timeout_ms : d->timeout_ms;
    uint32_t step = r->asked_stream_timeout_ms != SNAP_NONE ? r->asked_stream_timeout_ms
                    : r->asked_timeout_ms != SNAP_NONE      ? r->asked_timeout_ms
                                                            : d->stream_timeout_ms;
    uint32_t cap = r->snapshot->h->settings.max_stream_ms;
    uint64_t ms = 1000000;

    if (!r->is_stream) {
        uint64_t ns = whole ? whole * ms : forever_ns;
        return (struct exchange_timeouts){ns, ns, ns};
    }
    uint64_t ns = step ? step * ms : forever_ns;
    return (struct exchange_timeouts){ns, ns, cap ? cap * ms : forever_ns};
}

static void relay_begin(struct request *r)
{
    uint32_t flags = r->snapshot->h->settings.flags;
    enum api api = api_of(r);
    struct relay_options o = {
        .model = flags & SNAP_RAW_MODEL_NAME || api == API_COUNT_TOKENS ? (struct str){0}
                                                                        : r->quoted_model,
        .withhold_usage = r->is_stream && (api == API_CHAT || api == API_COMPLETIONS) &&
                          !r->scan.include_usage && !(flags & SNAP_ALWAYS_STREAM_USAGE),
    };

    if (api == API_RESPONSES && r->route != ROUTE_RESPONSE_ITEMS) {
        char *tag = arena_alloc(&r->arena, RESPONSE_ID_TEXT_MAX);
        if (tag)
            o.id_tag = response_id_tag(tag, snap_str(r->snapshot, r->deployment->provider),
                                       snap_str(r->snapshot, r->deployment->id));
    }
    if (r->relay_open)
        relay_deinit(&r->relay);
    relay_init(&r->relay, &r->cx->bufs, &o);
    r->relay_open = true;
}

/* Edits, pieces, record, exchange; answers the client itself when the attempt cannot be made. */
static void attempt_start(struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    const struct snap_settings *s = &r->snapshot->h->settings;
    enum api api = api_of(r);
    struct body_edit b = {0};
    struct upconn_buf *piece;
    unsigned n;

    if (!is_item(r)) {
        const struct member *drop = request_member(&r->scan, FIELD_DROP_PARAMS);
        struct body_edit_options o = {
            .api = api,
            .model = r->upstream_model,
            .response_id = r->previous_id,
            .model_in_path = d->flags & SNAP_MODEL_IN_PATH && api != API_RESPONSES,
            .inject_usage = r->is_stream && (api == API_CHAT || api == API_COMPLETIONS) &&
                            d->flags & SNAP_STREAM_USAGE && !(s->flags & SNAP_NEVER_STREAM_USAGE) &&
                            !r->scan.include_usage,
            .drop_params = drop ? drop->type == JSON_TRUE : d->flags & SNAP_DROP_PARAMS,
        };
        switch (body_edit_make(&b, &r->scan, r->conn->body.p, r->conn->body.n, r->snapshot, d, &o,
                               &r->arena)) {
        case BODY_EDIT_OK:
            break;
        case BODY_EDIT_UNSUPPORTED:
            fail_now(r, ERROR_UNSUPPORTED_PARAM,
                     arena_printf(&r->arena,
                                  STR_FMT
                                  " does not support parameters: ['" STR_FMT
                                  "']. To drop these, set `litellm_settings: drop_params: true`.",
                                  STR_ARG(snap_str(r->snapshot, d->provider)), STR_ARG(b.refused)));
            return;
        case BODY_EDIT_LIMIT:
            fail_now(r, ERROR_OVERLOADED, (struct str){0});
            return;
        }
    }
    struct origin *origin = pool_origin(r->cx->pool, r->snapshot, d->origin);
    if (!origin || !request_build(r, &b, &piece, &n) || !meter_begin(r)) {
        fail_now(r, ERROR_OVERLOADED, (struct str){0});
        return;
    }
    relay_begin(r);
    r->reply = REPLY_NONE;
    r->meter->record.upstream_bytes_out = b.length;
    struct exchange_timeouts limits = timeouts_of(r);
    if (exchange_start(&r->exchange, origin, piece, n, &limits)) {
        meter_drop(r->cx, TAKE(r->meter));
        fail_now(r, ERROR_UPSTREAM_FULL, (struct str){0});
        return;
    }
    if (r->plan.attempts == 1)
        metric_observe(r->cx->region, HISTOGRAM_DECIDE, r->exchange.start_ns - r->body_ns);
    else
        metric_add(r->cx->region, METRIC_RETRIES, 1);
}

static void attempt_next(struct request *r)
{
    const struct snap_deployment *d = plan_next(&r->plan, context_random(r->cx));
    enum api api = api_of(r);

    if (!d) {
        fail_now(r, ERROR_UNKNOWN_MODEL, (struct str){0});
        return;
    }
    r->deployment = d;
    r->upstream_model = upstream_model(r, d);
    if (d->flags & SNAP_MOCK) {
        mock_reply(r, (struct str){0});
    } else if (d->unsupported.n) {
        fail_now(r, ERROR_NOT_SERVED, snap_str(r->snapshot, d->unsupported));
    } else if (!d->path[api].before.n) {
        fail_now(r, ERROR_NOT_SERVED,
                 arena_printf(&r->arena,
                              "The upstream of model " STR_FMT " (" STR_FMT
                              ") speaks another API than " STR_FMT ".",
                              STR_ARG(((struct str){r->model.p, MIN(r->model.n, 64)})),
                              STR_ARG(snap_str(r->snapshot, d->provider)),
                              STR_ARG(route_rows[r->route].path)));
    } else if (d->flags & SNAP_NO_KEY) {
        fail_now(r, ERROR_UPSTREAM_KEY,
                 arena_printf(&r->arena, "Set " STR_FMT " or litellm_params.api_key.",
                              STR_ARG(snap_str(r->snapshot, d->missing_key))));
    } else {
        attempt_start(r);
    }
}

void attempt_first(struct request *r)
{
    struct jw w = jw_init(&r->arena);

    jw_put_str(&w, r->model);
    r->quoted_model = jw_finish(&w);
    attempt_next(r);
}

/* --- the client's reply
 * --------------------------------------------------------------------------------------- */

static void head_common(struct request *r, unsigned status, struct str content_type)
{
    const struct snap_deployment *d = r->deployment;
    struct exchange *e = &r->exchange;

    reply_head(r, status, content_type);
    reply_header(r, STR("x-litellm-model-id"), snap_str(r->snapshot, d->id));
    reply_header(r, STR("x-litellm-model-group"), snap_str(r->snapshot, d->group));
    reply_header(r, STR("x-litellm-model-api-base"), snap_str(r->snapshot, d->api_base));
    reply_header_u64(r, STR("x-litellm-attempted-retries"), r->plan.attempts - 1);
    reply_header_u64(r, STR("x-litellm-max-retries"), plan_retries(&r->plan));
    reply_header(r, STR("x-litellm-attempted-fallbacks"), STR("0"));
    for (unsigned i = 0; i < e->n_headers; i++) {
        char name[96] = "llm_provider-";
        struct str n = e->headers[i].name;
        if (n.n > sizeof name - 13)
            continue;
        reply_header(r, n, e->headers[i].value);
        memcpy(name + 13, n.p, n.n);
        reply_header(r, (struct str){name, 13 + n.n}, e->headers[i].value);
    }
}

static void head_money(struct request *r)
{
    const struct record *rec = &r->meter->record;
    struct jw w = jw_init(&r->arena);

    if (rec->flags & RECORD_UNPRICED || !(rec->flags & RECORD_SPOOL))
        return;
    jw_put_pico(&w, rec->cost_nusd * 1000);
    reply_header(r, STR("x-litellm-response-cost"), jw_finish(&w));
}

static void head_times(struct request *r)
{
    r->replied_ns = clock_mono_ns();
    uint64_t total = r->replied_ns - r->body_ns;
    uint64_t theirs = r->upstream_ns + r->connect_ns + r->waited_ns;

    reply_header_ms(r, STR("x-litellm-response-duration-ms"), total);
    reply_header_ms(r, STR("x-litellm-overhead-duration-ms"), total > theirs ? total - theirs : 0);
}

/* While the upstream of a stream is silent, comments keep the client's connection open (threats
 * U-12). */
static void ping_on_timer(struct timer *t)
{
    struct request *r = container_of(t, struct request, retry);
    uint64_t interval = r->snapshot->h->settings.keepalive_ping_ms * UINT64_C(1000000);
    uint64_t now = clock_mono_ns();

    if (now - r->exchange.last_ns >= interval && !r->relay.through && !conn_backlog(r->conn)) {
        size_t from = reply_chunk_begin(r);
        if (!buf_add(&r->cx->bufs, &r->cx->out, ": ping\n\n", 8))
            r->out_failed = true;
        reply_chunk_end(r, from, false);
        if (!reply_flush(r))
            return;
    }
    timer_arm(&r->cx->wheel, t, now + interval);
}

static void ping_arm(struct request *r)
{
    uint64_t interval = r->snapshot->h->settings.keepalive_ping_ms * UINT64_C(1000000);

    timer_init(&r->retry, ping_on_timer);
    if (interval && r->exchange.is_stream)
        timer_arm(&r->cx->wheel, &r->retry, clock_mono_ns() + interval);
}

/* The head of a reply whose end is not known: a stream, or a reply too large to hold. */
static void stream_head(struct request *r)
{
    struct exchange *e = &r->exchange;
    struct buf held = r->cx->out; /* events already made wait behind the head */

    r->cx->out = (struct buf){0};
    head_common(r, 200,
                e->is_stream ? STR("text/event-stream; charset=utf-8") : STR("application/json"));
    if (e->is_stream) {
        reply_header(r, STR("cache-control"), STR("no-cache"));
        reply_header(r, STR("x-accel-buffering"), STR("no"));
    }
    reply_header_ms(r, STR("x-litellm-overhead-duration-ms"),
                    clock_mono_ns() - r->body_ns - (e->last_ns - e->start_ns) - r->waited_ns);
    reply_head_end(r, UINT64_MAX);
    r->client_head_sent = true;
    if (exchange_is_sent(e)) { /* no retry follows: a long stream holds nothing of its request */
        buf_free(&r->cx->bufs, &r->head);
        conn_forget_request(r->conn);
    }
    ping_arm(r);
    size_t from = reply_chunk_begin(r);
    if (held.n && !buf_add(&r->cx->bufs, &r->cx->out, held.p, held.n))
        r->out_failed = true;
    reply_chunk_end(r, from, false);
    buf_free(&r->cx->bufs, &held);
}

/* Sends what the relay appended to the scratch from `from` on; pauses the upstream when the client
 * is slow. */
static bool stream_flush(struct request *r)
{
    if (!reply_flush(r))
        return false;
    if (conn_backlog(r->conn) > CONN_HIGH_WATER)
        exchange_pause(&r->exchange);
    return true;
}

void request_on_drained(struct request *r)
{
    exchange_resume(&r->exchange);
}

static void retry_on_timer(struct timer *t)
{
    struct request *r = container_of(t, struct request, retry);

    r->waited_ns += clock_mono_ns() - r->wait_from_ns;
    attempt_next(r);
}

/* An attempt ended without a reply for the client: another one by the plan, or the error. */
static void attempt_failed(struct request *r, const struct error_facts *f, struct str code,
                           unsigned retry_status, uint32_t retry_after_ms, bool may_retry)
{
    meter_usage(r, false);
    meter_exchange(r, false, code);
    buf_free(&r->cx->bufs, &r->reply_body);
    r->reply_ref = (struct str){0};
    if (may_retry && plan_may_retry(&r->plan, retry_status)) {
        r->meter->record.status = f->status;
        meter_close(r->cx, TAKE(r->meter));
        uint32_t wait = plan_wait_ms(&r->plan, retry_after_ms, context_random(r->cx));
        r->wait_from_ns = clock_mono_ns();
        timer_init(&r->retry, retry_on_timer);
        if (wait)
            timer_arm(&r->cx->wheel, &r->retry, r->wait_from_ns + wait * UINT64_C(1000000));
        else
            attempt_next(r);
        return;
    }
    reply_error(r, f, code, (retry_after_ms + 999) / 1000);
}

/* A fault after the client saw a 200: an event says so and ends the stream (F.29, F-UP-4); a body
 * without events ends without its mark of completeness. */
static void stream_failed(struct request *r, enum client_error error)
{
    struct error_facts f = reply_facts(r, error, (struct str){0});
    size_t from = reply_chunk_begin(r);

    f.sequence = r->relay.scan.next_sequence;
    struct str event =
        r->exchange.is_stream ? envelope_event(&r->arena, api_of(r), &f) : (struct str){0};

    if (event.n && !buf_add(&r->cx->bufs, &r->cx->out, event.p, event.n))
        r->out_failed = true;
    reply_chunk_end(r, from, r->exchange.is_stream);
    meter_usage(r, true);
    meter_exchange(r, false, error_rows[error].code);
    r->conn->keep_alive = false;
    reply_account(r, 200, error_rows[error].code);
    if (reply_flush(r))
        conn_finish(r->conn);
}

/* The deployment's credential, to be masked in what the upstream says (threats U-11). */
static struct str credential_of(struct request *r)
{
    static const struct str names[] = {STR_INIT("authorization: "), STR_INIT("x-api-key: "),
                                       STR_INIT("api-key: ")};
    struct str line, rest = snap_str(r->snapshot, r->deployment->headers);

    while (rest.n) {
        (void)str_cut(rest, '\n', &line, &rest);
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (line.n > names[i].n && str_ieq((struct str){line.p, names[i].n}, names[i])) {
                struct str value = str_from(line, names[i].n), scheme, key;
                if (value.n && value.p[value.n - 1] == '\r')
                    value.n--;
                return str_cut(value, ' ', &scheme, &key) ? key : value;
            }
    }
    return (struct str){0};
}

/* The upstream answered with an error: its words in the client's envelope, or another attempt. */
static void upstream_refused(struct request *r, unsigned status, struct str body)
{
    struct error_facts f = {.status = envelope_status(api_of(r), status)};

    envelope_read(&r->arena, &f, body, credential_of(r));
    attempt_failed(r, &f, STR("upstream_error"), status, r->exchange.retry_after_ms, true);
}

static enum client_error error_of_end(enum exchange_end how)
{
    switch (how) {
    case EXCHANGE_NO_ROOM:
        return ERROR_UPSTREAM_FULL;
    case EXCHANGE_DNS:
        return ERROR_UPSTREAM_DNS;
    case EXCHANGE_FORBIDDEN:
        return ERROR_UPSTREAM_FORBIDDEN;
    case EXCHANGE_REFUSED:
        return ERROR_UPSTREAM_CONNECT;
    case EXCHANGE_TLS:
        return ERROR_UPSTREAM_TLS;
    case EXCHANGE_TIMEOUT:
        return ERROR_UPSTREAM_TIMEOUT;
    case EXCHANGE_CUT:
        return ERROR_UPSTREAM_CUT;
    case EXCHANGE_STOPPED:
    case EXCHANGE_PROTOCOL:
    case EXCHANGE_DONE:
        break;
    }
    return ERROR_UPSTREAM_PROTOCOL;
}

static void attempt_broken(struct request *r, enum client_error error, bool may_retry)
{
    if (r->client_head_sent) {
        stream_failed(r, error);
        return;
    }
    struct error_facts f = reply_facts(r, error, (struct str){0});
    attempt_failed(r, &f, error_rows[error].code, 0, 0, may_retry);
}

/* --- what the exchange says
 * ----------------------------------------------------------------------------------- */

/* The exchange ends with EXCHANGE_STOPPED once its callback has returned. */
static void attempt_stop(struct request *r, enum client_error why)
{
    r->stop_error = why;
    exchange_stop(&r->exchange);
}

static void attempt_on_head(struct exchange *e)
{
    struct request *r = container_of(e, struct request, exchange);

    if (e->status >= 300 || e->is_encoded)
        r->reply = REPLY_ERROR;
    else if (e->is_stream && !r->is_stream)
        attempt_stop(r, ERROR_UPSTREAM_STREAMED);
    else
        r->reply = e->is_stream ? REPLY_STREAM : REPLY_HELD;
}

/* Holds bytes of a reply; the first ones are only borrowed when they are all of it. */
static bool hold(struct request *r, const char *p, size_t n)
{
    if (!r->reply_body.n && r->exchange.content_length == n) {
        r->reply_ref =
            (struct str){p, n}; /* the end follows before the read buffer is used again */
        return true;
    }
    return buf_add(&r->cx->bufs, &r->reply_body, p, n);
}

/* A reply that outgrew what may be held goes on in pieces. */
static bool pieces_begin(struct request *r)
{
    struct str first = {r->reply_body.p, r->reply_body.n};

    if (!r->client_head_sent)
        stream_head(r);
    r->reply = REPLY_PIECES;
    size_t from = reply_chunk_begin(r);
    bool ok = relay_reply_piece(&r->relay, first.p, first.n, &r->cx->out);
    reply_chunk_end(r, from, false);
    buf_free(&r->cx->bufs, &r->reply_body);
    return ok;
}

static void stream_body(struct request *r, const char *p, size_t n)
{
    uint64_t events = r->relay.events;
    size_t from = r->client_head_sent ? reply_chunk_begin(r) : 0;

    if (!relay_events(&r->relay, p, n, &r->cx->out)) {
        r->cx->out.n = from;
        attempt_stop(r, ERROR_OVERLOADED);
        return;
    }
    metric_add(r->cx->region, METRIC_EVENTS, r->relay.events - events);
    if (!r->client_head_sent) {
        if (r->relay.first_failed) { /* F.9: nothing was sent, so it can still be an error with a
                                        status */
            struct str text = {r->cx->out.p, r->cx->out.n};
            size_t at = str_find(text, STR("{"));
            struct str json = at == SIZE_MAX ? (struct str){0} : str_from(text, at);
            r->reply_ref = arena_str(&r->arena, json);
            r->cx->out.n = 0;
            attempt_stop(r, CLIENT_ERRORS);
            return;
        }
        if (!r->cx->out.n)
            return;
        stream_head(r);
    } else {
        reply_chunk_end(r, from, false);
    }
    (void)stream_flush(r); /* a client that left has cancelled the exchange */
}

static void attempt_on_body(struct exchange *e, const char *p, size_t n)
{
    struct request *r = container_of(e, struct request, exchange);
    bool ok = true;

    switch ((enum request_reply)r->reply) {
    case REPLY_STREAM:
        stream_body(r, p, n);
        return;
    case REPLY_HELD:
        ok = hold(r, p, n);
        if (ok && r->reply_body.n > RELAY_REPLY_HOLD)
            ok = pieces_begin(r) && stream_flush(r);
        break;
    case REPLY_PIECES: {
        size_t from = reply_chunk_begin(r);
        ok = relay_reply_piece(&r->relay, p, n, &r->cx->out);
        reply_chunk_end(r, from, false);
        if (!stream_flush(r))
            return;
        break;
    }
    case REPLY_ERROR:
        if (r->reply_body.n + n <= ERROR_BODY_MAX)
            ok = hold(r, p, n);
        break;
    case REPLY_NONE:
        break;
    }
    if (!ok && e->state != EXCHANGE_IDLE)
        attempt_stop(r, ERROR_OVERLOADED);
}

static struct str held(const struct request *r)
{
    return r->reply_ref.p ? r->reply_ref : (struct str){r->reply_body.p, r->reply_body.n};
}

/* A whole reply: edited, priced, sent in one piece. */
static void held_end(struct request *r)
{
    struct exchange *e = &r->exchange;
    struct str body = held(r), start = body;
    struct buf edited = {0};

    while (start.n && (*start.p == ' ' || *start.p == '\n' || *start.p == '\r' || *start.p == '\t'))
        start = str_from(start, 1);
    if (!start.n || (*start.p != '{' && *start.p != '[')) { /* F.11: a login page, or nothing */
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
        return;
    }
    /* edited into a buffer of its own: its length stands in the head before it */
    if (!buf_reserve(&r->cx->bufs, &edited, body.n + 256) ||
        !relay_reply(&r->relay, body.p, body.n, &edited)) {
        buf_free(&r->cx->bufs, &edited);
        attempt_broken(r, ERROR_OVERLOADED, false);
        return;
    }
    if (r->relay.failed && api_of(r) != API_RESPONSES) { /* F.9: an error in a 200 */
        buf_free(&r->cx->bufs, &edited);
        upstream_refused(r, envelope_error_status(body), body);
        return;
    }
    meter_usage(r, true);
    meter_exchange(r, true, (struct str){0});
    if (r->is_stream && api_of(r) == API_CHAT) { /* F.30 */
        struct str whole = {edited.p, edited.n};
        struct str events = chat_stream_of(&r->arena, whole, !r->relay.opt.withhold_usage);
        if (events.n) {
            edited.n = 0;
            e->content_type = STR("text/event-stream; charset=utf-8");
            if (!buf_add(&r->cx->bufs, &edited, events.p, events.n))
                r->out_failed = true;
        }
    }
    head_common(r, e->status, e->content_type.n ? e->content_type : STR("application/json"));
    head_money(r);
    head_times(r);
    reply_head_end(r, edited.n);
    if (!buf_add(&r->cx->bufs, &r->cx->out, edited.p, edited.n))
        r->out_failed = true;
    r->bytes_out = edited.n;
    buf_free(&r->cx->bufs, &edited);
    reply_account(r, e->status,
                  (struct str){0}); /* the record lies in the ring before the last byte goes */
    if (reply_flush(r))
        conn_finish(r->conn);
}

/* The upstream's stream ended in order: was it complete? */
static void stream_end(struct request *r)
{
    enum api api = api_of(r);
    struct str rest = {r->relay.hold.p, r->relay.hold.n};

    if (!r->client_head_sent && !r->relay.events && str_starts(rest, STR("{"))) {
        /* F.9, F.30: a whole object in spite of its content type */
        r->exchange.content_type = STR("application/json");
        r->exchange.is_stream = false;
        r->reply_body = r->relay.hold;
        r->relay.hold = (struct buf){0};
        held_end(r);
        return;
    }
    size_t from = r->client_head_sent ? reply_chunk_begin(r) : 0;

    if (!relay_events_end(&r->relay, &r->cx->out))
        r->out_failed = true;
    bool openai = api == API_CHAT || api == API_COMPLETIONS;
    if (!r->relay.done && !r->relay.scan.finished &&
        !r->relay.failed) { /* F.8: cut, although in order */
        if (r->client_head_sent)
            reply_chunk_end(r, from, false);
        r->cx->out.n = r->client_head_sent ? r->cx->out.n : 0;
        attempt_broken(r, ERROR_UPSTREAM_CUT, true);
        return;
    }
    if (openai && !r->relay.done && !r->relay.failed &&
        !buf_add(&r->cx->bufs, &r->cx->out, "data: [DONE]\n\n", 14))
        r->out_failed = true;
    if (!r->client_head_sent) {
        stream_head(r);
        from = reply_chunk_begin(r);
    }
    meter_usage(r, true);
    meter_exchange(r, !r->relay.failed, r->relay.failed ? STR("upstream_error") : (struct str){0});
    reply_chunk_end(r, from, true);
    reply_account(r, r->exchange.status, (struct str){0});
    if (reply_flush(r))
        conn_finish(r->conn);
}

static void pieces_end(struct request *r)
{
    size_t from = reply_chunk_begin(r);

    meter_usage(r, true);
    meter_exchange(r, true, (struct str){0});
    reply_chunk_end(r, from, true);
    reply_account(r, r->exchange.status, (struct str){0});
    if (reply_flush(r))
        conn_finish(r->conn);
}

static void attempt_on_end(struct exchange *e, enum exchange_end how)
{
    struct request *r = container_of(e, struct request, exchange);

    bool cut_behind_end = how == EXCHANGE_CUT && r->reply == REPLY_STREAM &&
                          (r->relay.done || r->relay.scan.finished) && !r->relay.hold.n;
    if (how == EXCHANGE_STOPPED && r->stop_error == CLIENT_ERRORS) {
        struct str json = r->reply_ref;
        upstream_refused(r, envelope_error_status(json), json);
        return;
    }
    if (how != EXCHANGE_DONE && !cut_behind_end) {
        enum client_error error = how == EXCHANGE_STOPPED ? r->stop_error : error_of_end(how);
        attempt_broken(r, error,
                       how != EXCHANGE_TLS && how != EXCHANGE_FORBIDDEN &&
                           error != ERROR_OVERLOADED);
        return;
    }
    switch ((enum request_reply)r->reply) {
    case REPLY_HELD:
        held_end(r);
        break;
    case REPLY_STREAM:
        stream_end(r);
        break;
    case REPLY_PIECES:
        pieces_end(r);
        break;
    case REPLY_ERROR:
        if (e->status < 400)
            attempt_broken(r, e->is_encoded ? ERROR_UPSTREAM_PROTOCOL : ERROR_UPSTREAM_REDIRECT,
                           true);
        else
            upstream_refused(r, e->status, held(r));
        break;
    case REPLY_NONE:
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
        break;
    }
}

const struct exchange_events attempt_events = {
    .on_head = attempt_on_head,
    .on_body = attempt_on_body,
    .on_end = attempt_on_end,
};

void attempt_abandon(struct request *r)
{
    bool running = r->exchange.state != EXCHANGE_IDLE;

    timer_disarm(&r->retry);
    exchange_cancel(&r->exchange);
    if (r->meter) {
        r->meter->record.flags |= RECORD_CLIENT_GONE;
        meter_usage(r, r->client_head_sent);
        if (running)
            meter_exchange(r, false, STR("client_gone"));
    }
    reply_account(r, 499, STR("client_gone"));
}

void attempt_reset(struct request *r)
{
    struct bufpool *bufs = &r->cx->bufs;

    timer_disarm(&r->retry);
    exchange_cancel(&r->exchange);
    if (r->meter)
        meter_drop(r->cx, TAKE(r->meter));
    if (r->relay_open)
        relay_deinit(&r->relay);
    buf_free(bufs, &r->head);
    buf_free(bufs, &r->reply_body);
}
