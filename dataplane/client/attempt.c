/*
 * Starting attempts until one succeeds, or the plan says that is enough.
 *
 *   attempt_next -> exchange -> relaying.c -> reply sent, or attempt_broken/_refused
 *                      ^                                            |
 *                      +----------- retry timer <-------------------+   never after a byte
 * has gone to the client
 */

#include "client/attempt.h"

#include "common/clock.h"
#include "common/jw.h"

#include "client/books.h"
#include "client/conn.h"
#include "client/counting.h"
#include "client/mock.h"
#include "client/relaying.h"
#include "client/reply.h"
#include "client/transcript.h"
#include "client/translating.h"
#include "client/upstream_request.h"
#include "meter/meter.h"

static const uint64_t forever_ns = UINT64_C(24) * 3600 * 1000000000;

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

/* The body of the upstream's request; false when there is none, and the client has its answer. */
static bool attempt_body(struct request *r, struct body_edit *b)
{
    struct str body = {r->conn->body.p, r->conn->body.n};

    *b = (struct body_edit){0};
    if (request_is_item(r))
        return true;
    if (r->upstream_api != request_api(r) || kept_is_id(r->previous_id))
        return translating_request(r, b);
    switch (upstream_request_edit(r, b, r->upstream_api, &r->scan, body)) {
    case BODY_EDIT_OK:
        return true;
    case BODY_EDIT_UNSUPPORTED:
        upstream_request_unsupported(r, b->refused);
        return false;
    case BODY_EDIT_LIMIT:
        break;
    }
    request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
    return false;
}

/* Body, pieces, record, exchange; answers the client itself when the attempt cannot be made. */
static void attempt_start(struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    struct body_edit b;
    struct upconn_buf *piece;
    unsigned n;

    if (!attempt_body(r, &b))
        return;
    struct origin *origin = pool_origin(r->cx->pool, r->snapshot, d->origin);
    if (!origin || !upstream_request_build(r, &b, &piece, &n) || !books_open(r)) {
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        return;
    }
    if (!relaying_begin(r)) {
        meter_drop(r->cx, TAKE(r->meter));
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        return;
    }
    r->reply = REPLY_NONE;
    r->meter->record.upstream_bytes_out = b.length;
    struct exchange_timeouts limits = timeouts_of(r);
    if (exchange_start(&r->exchange, origin, piece, n, &limits)) {
        meter_drop(r->cx, TAKE(r->meter));
        request_refuse(r, ERROR_UPSTREAM_FULL, (struct str){0}, false);
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

    if (!d) {
        request_refuse(r, ERROR_UNKNOWN_MODEL, (struct str){0}, false);
        return;
    }
    r->deployment = d;
    r->upstream_model = upstream_request_model(r, d);
    r->upstream_api = upstream_request_api(r);
    translating_end(r); /* of the attempt before */
    if (d->flags & SNAP_MOCK) {
        mock_reply(r, (struct str){0});
    } else if (request_api(r) == API_COUNT_TOKENS && r->upstream_api == API_COUNT) {
        counting_messages(r);
    } else if (d->flags & SNAP_MODEL_IN_PATH && segment_is_dots(r->upstream_model)) {
        request_refuse(r, ERROR_UNKNOWN_MODEL, (struct str){0}, false);
    } else if (d->unsupported.n) {
        request_refuse(r, ERROR_NOT_SERVED, snap_str(r->snapshot, d->unsupported), false);
    } else if (r->upstream_api == API_COUNT ||
               (r->upstream_api != request_api(r) &&
                (!dialect_of(request_api(r)) || !dialect_of(r->upstream_api)))) {
        request_refuse(r, ERROR_NOT_SERVED,
                       arena_printf(&r->arena,
                                    "The upstream of model " STR_FMT " (" STR_FMT
                                    ") speaks another API than " STR_FMT ".",
                                    STR_ARG(((struct str){r->model.p, MIN(r->model.n, 64)})),
                                    STR_ARG(snap_str(r->snapshot, d->provider)),
                                    STR_ARG(route_rows[r->route].path)),
                       false);
    } else if (d->flags & SNAP_NO_KEY) {
        request_refuse(r, ERROR_UPSTREAM_KEY,
                       arena_printf(&r->arena, "Set " STR_FMT " or litellm_params.api_key.",
                                    STR_ARG(snap_str(r->snapshot, d->missing_key))),
                       false);
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
    books_usage(r, false);
    books_exchange(r, false, code);
    buf_free(&r->cx->bufs, &r->reply_body);
    r->reply_ref = (struct str){0};
    if (may_retry && !r->is_orphan && plan_may_retry(&r->plan, retry_status)) {
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
    if (r->upstream_api == API_INPUT_TOKENS) /* a base that is not OpenAI's may not count */
        counting_messages(r);
    else
        reply_error(r, f, code, (retry_after_ms + 999) / 1000);
}

void attempt_refused(struct request *r, unsigned status, struct str body)
{
    struct error_facts f = {0};

    envelope_refusal(&f, request_api(r), status);
    envelope_read(&r->arena, &f, body, upstream_request_secret(r));
    attempt_failed(r, &f, STR("upstream_error"), status, r->exchange.retry_after_ms, true);
}

void attempt_faulted(struct request *r, const struct error_facts *upstream)
{
    struct error_facts f = *upstream;

    envelope_refusal(&f, request_api(r), upstream->status);
    attempt_failed(r, &f, STR("upstream_error"), upstream->status, r->exchange.retry_after_ms,
                   true);
}

void attempt_broken(struct request *r, enum client_error error, bool may_retry)
{
    if (r->client_head_sent) {
        relaying_failed(r, error);
        return;
    }
    struct error_facts f = reply_facts(r, error, (struct str){0});
    attempt_failed(r, &f, error_rows[error].code, 0, 0, may_retry);
}

void attempt_abandon(struct request *r)
{
    bool running = r->exchange.state != EXCHANGE_IDLE;

    timer_disarm(&r->retry);
    exchange_cancel(&r->exchange);
    if (r->meter) {
        r->meter->record.flags |= RECORD_CLIENT_GONE;
        books_usage(r, r->client_head_sent);
        if (running)
            books_exchange(r, false, STR("client_gone"));
    }
    books_close(r, 499, STR("client_gone"));
}

void attempt_reset(struct request *r)
{
    struct bufpool *bufs = &r->cx->bufs;

    timer_disarm(&r->retry);
    exchange_cancel(&r->exchange);
    if (r->meter)
        meter_drop(r->cx, TAKE(r->meter));
    translating_end(r);
    transcript_drop(r);
    if (r->relay_open)
        relay_deinit(&r->relay);
    buf_free(bufs, &r->head);
    buf_free(bufs, &r->reply_body);
    buf_free(bufs, &r->encoded);
}
