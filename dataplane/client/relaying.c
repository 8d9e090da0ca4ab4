/*
 * A reply in the client's own API is relayed (dialect/relay.c), one in another is translated
 * (translating.c); both go the same way. on_head decides how the reply goes on, on_body lets it,
 * on_end closes its books:
 *
 *   held     a whole document, edited and sent in one piece
 *   stream   events, each when it is complete
 *   pieces   a document too large to hold
 *   error    held too; becomes an error of ours or another attempt
 */

#include "client/relaying.h"

#include "common/clock.h"
#include "common/jw.h"

#include "client/admit.h"
#include "client/attempt.h"
#include "client/books.h"
#include "client/conn.h"
#include "client/reply.h"
#include "client/transcript.h"
#include "client/translating.h"
#include "client/upstream_request.h"
#include "policy/owner.h"

enum {
    ERROR_BODY_MAX = 64 * 1024,   /* threats section 1 */
    REPLY_MAX = 32 * 1024 * 1024, /* of one that has to be held whole, as it comes */
};

static bool asks_base64(const struct request *r)
{
    const struct member *m = request_member(&r->scan, FIELD_ENCODING_FORMAT);

    return request_api(r) == API_EMBEDDINGS && m &&
           json_text_is((struct str){r->conn->body.p + m->at, m->end - m->at}, STR("base64"));
}

bool relaying_begin(struct request *r)
{
    uint32_t flags = r->snapshot->h->settings.flags;
    enum api api = request_api(r);
    struct relay_options o = {
        .model = flags & SNAP_RAW_MODEL_NAME || api == API_COUNT_TOKENS ? (struct str){0}
                                                                        : r->quoted_model,
        .withhold_usage = r->is_stream && (api == API_CHAT || api == API_COMPLETIONS) &&
                          !r->scan.include_usage && !(flags & SNAP_ALWAYS_STREAM_USAGE),
    };

    if (api == API_RESPONSES && r->route != ROUTE_RESPONSE_ITEMS) {
        char *tag = arena_alloc(&r->arena, RESPONSE_ID_TEXT_MAX);
        struct response_owner *owner = arena_alloc(&r->arena, sizeof *owner);
        if (!tag || !owner)
            return false;
        *owner = owner_of(&r->caller);
        o.id_tag = response_id_tag(tag, snap_str(r->snapshot, r->deployment->provider),
                                   snap_str(r->snapshot, r->deployment->id));
        o.id_key = snap_str(r->snapshot, r->snapshot->h->settings.response_key);
        o.id_owner = owner;
        o.id_given = request_is_item(r) ? r->placeholder : (struct str){0};
    }
    if (r->relay_open)
        relay_deinit(&r->relay);
    relay_init(&r->relay, &r->cx->bufs, &o);
    r->relay_open = true;
    r->held_failed = false;
    if (asks_base64(r)) {
        r->embeddings = arena_zalloc(&r->arena, sizeof *r->embeddings);
        if (!r->embeddings)
            return false;
    }
    return !r->translation || translating_reply_begin(r);
}

/* The upstream's stream came to its proper end, or to an error it told of. */
static bool stream_is_complete(const struct request *r)
{
    const struct translation *x = r->translation;

    return x ? x->t.done || x->t.failed
             : r->relay.done || r->relay.scan.finished || r->relay.failed;
}

/* Why bytes of the reply could not be passed. */
static enum client_error reply_fault(const struct request *r)
{
    const struct translation *x = r->translation;

    return !x                ? ERROR_OVERLOADED
           : x->t.unreadable ? ERROR_UPSTREAM_PROTOCOL
                             : ERROR_UPSTREAM_TOO_LARGE;
}

static bool stream_has_failed(const struct request *r)
{
    return r->translation ? r->translation->t.failed : r->relay.failed;
}

/* An error is passed on in the upstream's words, but for the credential. */
static bool relayed(struct request *r, bool ok, struct buf *out, size_t from)
{
    if (r->relay.failed)
        envelope_mask(out->p + from, out->n - from, upstream_request_secret(r));
    return ok;
}

/* The upstream's next bytes as the client's, appended to the scratch. */
static bool stream_pass(struct request *r, const char *p, size_t n)
{
    struct translation *x = r->translation;
    struct buf *out = &r->cx->out;
    size_t from = out->n;

    bool ok;
    if (x) {
        ok = translate_events(&x->t, p, n, out);
        translating_done(r);
    } else {
        ok = relayed(r, relay_events(&r->relay, p, n, out), out, from);
    }
    if (r->transcript) /* the upstream's events tell usage that the client may not have asked for */
        transcript_events(r, x ? str_from((struct str){out->p, out->n}, from) : (struct str){p, n});
    return ok;
}

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
    admit_headers(r, r->client_head_sent ? 0 : r->meter->record.cost_nusd);
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
        translating_forget(r);
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

void relaying_failed(struct request *r, enum client_error error)
{
    struct error_facts f = reply_facts(r, error, (struct str){0});
    size_t from = reply_chunk_begin(r);

    f.sequence = r->relay.scan.next_sequence;
    if (r->exchange.is_stream && r->translation) {
        translate_error(&r->translation->t, &f, &r->cx->out);
    } else if (r->exchange.is_stream) {
        struct str event = envelope_event(&r->arena, request_api(r), &f);
        if (!buf_add(&r->cx->bufs, &r->cx->out, event.p, event.n))
            r->out_failed = true;
    }
    reply_chunk_end(r, from, r->exchange.is_stream);
    books_usage(r, true);
    books_exchange(r, false, error_rows[error].code);
    r->conn->keep_alive = false;
    books_close(r, 200, error_rows[error].code);
    if (reply_flush(r))
        conn_finish(r->conn);
}

/* The exchange ends with EXCHANGE_STOPPED once its callback has returned. */
static void relaying_stop(struct request *r, enum client_error why)
{
    r->stop_error = why;
    exchange_stop(&r->exchange);
}

/* It has not the form the client asked for (F.30) ... */
static bool reply_differs(const struct request *r)
{
    return r->exchange.is_stream != r->is_stream && dialect_of(request_api(r));
}

/* ... but can be brought into it once it is whole. */
static bool reply_turns(const struct request *r)
{
    return reply_differs(r) && dialect_of(request_api(r))->read_reply;
}

static void relaying_on_head(struct exchange *e)
{
    struct request *r = container_of(e, struct request, exchange);

    if (e->status >= 300 || e->is_encoded)
        r->reply = REPLY_ERROR;
    else if (e->is_stream && !r->is_stream && !r->translation && !reply_turns(r))
        relaying_stop(r, ERROR_UPSTREAM_STREAMED);
    else
        r->reply = e->is_stream && r->is_stream ? REPLY_STREAM : REPLY_HELD;
}

/* Events for a client that asked for a whole reply: each is read when it comes, and of them a
 * reply is made when they end. */
static bool hold_events(struct request *r, const char *p, size_t n)
{
    if (!r->translation && !translating_reply_begin(r))
        return false;
    if (!r->held_failed)
        r->held_failed = !translate_events(&r->translation->t, p, n, &r->reply_body);
    return true;
}

/* Holds bytes of a reply; the first ones are only borrowed when they are all of it. */
static bool hold(struct request *r, const char *p, size_t n)
{
    if (!r->reply_body.n && r->exchange.content_length == n && !r->embeddings) {
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
    if (r->transcript)
        transcript_skip(r);
    r->reply = REPLY_PIECES;
    size_t from = reply_chunk_begin(r);
    bool ok = relay_reply_piece(&r->relay, first.p, first.n, &r->cx->out);
    reply_chunk_end(r, from, false);
    buf_free(&r->cx->bufs, &r->reply_body);
    return ok;
}

static struct str skip_blanks(struct str json)
{
    while (json.n && memchr(" \n\r\t", *json.p, 4))
        json = str_from(json, 1);
    return json;
}

/* No line of a stream begins as an object does: the first bytes may say that there is a whole one
 * in spite of its content type (F.9, F.30). */
static void stream_begins(struct request *r, struct str first)
{
    struct exchange *e = &r->exchange;

    if (e->body_bytes != first.n || !str_starts(skip_blanks(first), STR("{")))
        return;
    e->content_type = STR("application/json");
    e->is_stream = false;
    r->reply = REPLY_HELD;
}

static void stream_body(struct request *r, const char *p, size_t n)
{
    struct translation *x = r->translation;
    const uint64_t *events = x ? &x->t.events : &r->relay.events;
    uint64_t before = *events;
    size_t from = r->client_head_sent ? reply_chunk_begin(r) : 0;

    if (!stream_pass(r, p, n)) {
        if (x && r->client_head_sent)
            reply_chunk_end(r, from, false); /* the events before the one that failed */
        else
            r->cx->out.n = from;
        relaying_stop(r, reply_fault(r));
        return;
    }
    metric_add(r->cx->region, METRIC_EVENTS, *events - before);
    books_progress(r);
    if (!r->client_head_sent) {
        if (x && x->t.first_failed) {
            relaying_stop(r, CLIENT_ERRORS);
            return;
        }
        if (!x && r->relay.first_failed) { /* F.9: nothing was sent, so it can still be an error
                                        with a status */
            struct str text = {r->cx->out.p, r->cx->out.n};
            size_t at = str_find(text, STR("{"));
            struct str json = at == SIZE_MAX ? (struct str){0} : str_from(text, at);
            r->reply_ref = arena_str(&r->arena, json);
            r->cx->out.n = 0;
            relaying_stop(r, CLIENT_ERRORS);
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

static size_t reply_max(const struct request *r)
{
    return r->translation || reply_turns(r) ? TRANSLATE_REPLY_MAX : REPLY_MAX;
}

static void relaying_on_body(struct exchange *e, const char *p, size_t n)
{
    struct request *r = container_of(e, struct request, exchange);
    bool ok = true;

    if (e->is_stream && r->reply != REPLY_ERROR)
        stream_begins(r, (struct str){p, n});
    if (r->reply == REPLY_STREAM) {
        stream_body(r, p, n);
        return;
    }
    books_progress(r);
    if (r->embeddings && r->reply != REPLY_ERROR) {
        r->encoded.n = 0;
        ok = embedding_encode(r->embeddings, &r->cx->bufs, p, n, &r->encoded);
        p = r->encoded.p;
        n = ok ? r->encoded.n : 0;
    }
    switch ((enum request_reply)r->reply) {
    case REPLY_HELD:
        if (r->reply_body.n + n > reply_max(r)) {
            relaying_stop(r, ERROR_UPSTREAM_TOO_LARGE);
            return;
        }
        ok = ok && (e->is_stream ? hold_events(r, p, n) : hold(r, p, n));
        if (ok && r->reply_body.n > RELAY_REPLY_HOLD && !r->translation && !reply_turns(r))
            ok = pieces_begin(r) && stream_flush(r);
        break;
    case REPLY_PIECES: {
        size_t from = reply_chunk_begin(r);
        ok = ok && relay_reply_piece(&r->relay, p, n, &r->cx->out);
        reply_chunk_end(r, from, false);
        if (!stream_flush(r))
            return;
        break;
    }
    case REPLY_ERROR:
        if (r->reply_body.n + n <= ERROR_BODY_MAX)
            ok = hold(r, p, n);
        break;
    case REPLY_STREAM:
    case REPLY_NONE:
        break;
    }
    if (!ok && e->state != EXCHANGE_IDLE)
        relaying_stop(r, ERROR_OVERLOADED);
}

static struct str held(const struct request *r)
{
    return r->reply_ref.p ? r->reply_ref : (struct str){r->reply_body.p, r->reply_body.n};
}

/* A Response object, which tells itself of an error that it holds. */
static bool held_is_response(const struct request *r)
{
    return request_api(r) == API_RESPONSES && r->relay.scan.response_id_n;
}

/* The reply as the client's API has it: false when the attempt failed with it. */
static bool held_pass(struct request *r, struct str body, struct buf *out)
{
    if (!r->translation && reply_differs(r) && !reply_turns(r)) {
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
        return false;
    }
    if (!r->translation && reply_turns(r) && !translating_reply_begin(r)) {
        attempt_broken(r, ERROR_OVERLOADED, false);
        return false;
    }
    struct translation *x = r->translation;
    bool ok;
    if (!x)
        ok = relayed(r,
                     buf_reserve(&r->cx->bufs, out, body.n + 256) &&
                         relay_reply(&r->relay, body.p, body.n, out),
                     out, 0);
    else if (r->exchange.is_stream)
        ok = !r->held_failed && translate_events_end(&x->t, out);
    else
        ok = translate_whole(&x->t, body, out);
    if (x)
        translating_done(r);
    if (x && x->t.first_failed)
        attempt_faulted(r, &x->t.error);
    else if (!ok)
        attempt_broken(r, reply_fault(r), x && x->t.unreadable);
    else if (x && !x->t.done)
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
    else if (!x && r->relay.failed && !held_is_response(r)) /* F.9: an error in a 200 */
        attempt_refused(r, envelope_error_status(body), body);
    else
        return true;
    return false;
}

/* A whole reply: edited or translated, priced, sent in one piece. */
static void held_end(struct request *r)
{
    struct exchange *e = &r->exchange;
    struct bufpool *bufs = &r->cx->bufs;
    struct str body = held(r), start = skip_blanks(body), type = e->content_type;
    struct buf edited = e->is_stream ? r->reply_body : (struct buf){0};

    if (e->is_stream)
        r->reply_body = (struct buf){0};
    /* F.11: a login page, or nothing */
    if (!e->is_stream && (!start.n || (*start.p != '{' && *start.p != '['))) {
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
        return;
    }
    /* into a buffer of its own: its length stands in the head before it */
    if (!held_pass(r, body, &edited)) {
        buf_free(bufs, &edited); /* the request may be gone with its error */
        return;
    }
    books_usage(r, true);
    books_exchange(r, true, (struct str){0});
    if (r->translation || !type.n)
        type = r->is_stream && r->translation ? STR("text/event-stream; charset=utf-8")
                                              : STR("application/json");
    head_common(r, e->status, type);
    head_money(r);
    head_times(r);
    reply_head_end(r, edited.n);
    if (!buf_add(bufs, &r->cx->out, edited.p, edited.n))
        r->out_failed = true;
    r->bytes_out = edited.n;
    if (r->transcript && r->is_stream && r->translation)
        transcript_events(r, (struct str){edited.p, edited.n});
    else if (r->transcript)
        transcript_reply(r, (struct str){edited.p, edited.n});
    buf_free(bufs, &edited);
    books_close(r, e->status,
                (struct str){0}); /* the record lies in the ring before the last byte goes */
    if (reply_flush(r))
        conn_finish(r->conn);
}

/* The end of a reply in chunks, the last of which begins at `from`; `fault`: of the upstream. */
static void chunked_end(struct request *r, size_t from, struct str fault)
{
    books_usage(r, true);
    books_exchange(r, !fault.n, fault);
    reply_chunk_end(r, from, true);
    books_close(r, r->exchange.status, fault);
    if (reply_flush(r))
        conn_finish(r->conn);
}

/* What is due behind the upstream's last byte. */
static bool stream_rest(struct request *r)
{
    enum api api = request_api(r);
    struct buf *out = &r->cx->out;
    size_t from = out->n;

    if (r->translation) {
        bool ok = translate_events_end(&r->translation->t, out);
        translating_done(r);
        if (r->transcript)
            transcript_events(r, str_from((struct str){out->p, out->n}, from));
        return ok;
    }
    if (!relayed(r, relay_events_end(&r->relay, out), out, from))
        return false;
    bool forgot_done = (api == API_CHAT || api == API_COMPLETIONS) && !r->relay.done &&
                       !r->relay.failed && r->relay.scan.finished;
    return !forgot_done || buf_add(&r->cx->bufs, out, "data: [DONE]\n\n", 14);
}

/* The upstream's stream ended in order: was it complete? */
static void stream_end(struct request *r)
{
    struct translation *x = r->translation;
    size_t from = r->client_head_sent ? reply_chunk_begin(r) : 0;

    bool ok = stream_rest(r);
    if (x && x->t.first_failed) {
        r->cx->out.n = from;
        attempt_faulted(r, &x->t.error);
        return;
    }
    if (!ok || !stream_is_complete(r)) { /* F.8: cut, although in order */
        if (r->client_head_sent)
            reply_chunk_end(r, from, false);
        else
            r->cx->out.n = 0;
        attempt_broken(r, ok ? ERROR_UPSTREAM_CUT : reply_fault(r), true);
        return;
    }
    if (!r->client_head_sent) {
        stream_head(r);
        from = reply_chunk_begin(r);
    }
    chunked_end(r, from, stream_has_failed(r) ? STR("upstream_error") : (struct str){0});
}

static const enum client_error error_of_end[] = {
    [EXCHANGE_DONE] = ERROR_UPSTREAM_PROTOCOL,    [EXCHANGE_NO_ROOM] = ERROR_UPSTREAM_FULL,
    [EXCHANGE_DNS] = ERROR_UPSTREAM_DNS,          [EXCHANGE_FORBIDDEN] = ERROR_UPSTREAM_FORBIDDEN,
    [EXCHANGE_REFUSED] = ERROR_UPSTREAM_CONNECT,  [EXCHANGE_TLS] = ERROR_UPSTREAM_TLS,
    [EXCHANGE_TIMEOUT] = ERROR_UPSTREAM_TIMEOUT,  [EXCHANGE_CUT] = ERROR_UPSTREAM_CUT,
    [EXCHANGE_STOPPED] = ERROR_UPSTREAM_PROTOCOL, [EXCHANGE_PROTOCOL] = ERROR_UPSTREAM_PROTOCOL,
};

static void relaying_on_end(struct exchange *e, enum exchange_end how)
{
    struct request *r = container_of(e, struct request, exchange);

    /* what goes wrong behind the end of a stream is no news to the client */
    bool behind_end = how != EXCHANGE_STOPPED && r->reply == REPLY_STREAM &&
                      stream_is_complete(r) && !r->relay.hold.n;
    if (how == EXCHANGE_STOPPED && r->stop_error == CLIENT_ERRORS) {
        struct str json = r->reply_ref;
        if (r->translation) {
            attempt_faulted(r, &r->translation->t.error);
            return;
        }
        attempt_refused(r, envelope_error_status(json), json);
        return;
    }
    if (how != EXCHANGE_DONE && !behind_end) {
        enum client_error error = how == EXCHANGE_STOPPED ? r->stop_error : error_of_end[how];
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
        chunked_end(r, reply_chunk_begin(r), (struct str){0});
        break;
    case REPLY_ERROR:
        if (e->status < 400)
            attempt_broken(r, e->is_encoded ? ERROR_UPSTREAM_PROTOCOL : ERROR_UPSTREAM_REDIRECT,
                           true);
        else
            attempt_refused(r, e->status, held(r));
        break;
    case REPLY_NONE:
        attempt_broken(r, ERROR_UPSTREAM_PROTOCOL, true);
        break;
    }
}

const struct exchange_events relaying_events = {
    .on_head = relaying_on_head,
    .on_body = relaying_on_body,
    .on_end = relaying_on_end,
};
