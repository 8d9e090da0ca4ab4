/* Everything goes into the record of an in-flight slot, published when the books are closed. */

#include "client/books.h"

#include "common/clock.h"

#include "client/admit.h"
#include "client/conn.h"
#include "client/transcript.h"
#include "meter/meter.h"

enum {
    BYTES_PER_TOKEN = 4, /* of an estimate */
    TEXT_MAX = 128,      /* of a name others choose */
    ROOM_KEPT = 256,     /* of a record, for what is known later: the response's id, an error */
};

/* A record is small: no name in it may take the place of who pays. */
static struct str cut_text(struct str s)
{
    return (struct str){s.p, MIN(s.n, (size_t)TEXT_MAX)};
}

/* What nobody pays by, as long as there is room. */
static void set_spare(struct record *rec, enum record_string which, struct str s)
{
    if (rec->size + cut_text(s).n + ROOM_KEPT <= RECORD_MAX)
        record_set(rec, which, cut_text(s));
}

bool books_open(struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    struct inflight *slot = meter_open(r->cx, r->plan.attempts <= 1 ? r->body_ns : clock_mono_ns());

    if (!slot)
        return false;
    struct record *rec = &slot->record;
    rec->flags = (uint16_t)(RECORD_SPOOL | (r->is_stream ? RECORD_STREAM : 0));
    rec->api = (uint8_t)request_api(r);
    rec->route = (uint8_t)r->route;
    rec->attempt = (uint8_t)r->plan.attempts;
    rec->bytes_in = r->bytes_in;
    record_set(rec, RS_REQUEST_ID, (struct str){r->id, REQUEST_ID});
    admit_record(r, slot);
    record_set(rec, RS_CLIENT_IP, str_of(r->conn->ip));
    if (d) {
        record_set(rec, RS_DEPLOYMENT, snap_str(r->snapshot, d->id));
        record_set(rec, RS_GROUP, cut_text(snap_str(r->snapshot, d->group)));
        record_set(rec, RS_PROVIDER, snap_str(r->snapshot, d->provider));
        record_set(rec, RS_API_BASE, cut_text(snap_str(r->snapshot, d->api_base)));
    }
    record_set(rec, RS_MODEL, cut_text(r->model));
    record_set(rec, RS_UPSTREAM_MODEL, cut_text(r->upstream_model));
    set_spare(rec, RS_TRACE_ID, admit_session(r));
    set_spare(rec, RS_USER_AGENT, str_trim(conn_header(r->conn, STR("user-agent"), NULL)));
    if (request_is_item(r))
        rec->flags &= (uint16_t)~RECORD_SPOOL; /* reads nothing and costs nothing */
    r->meter = slot;
    meter_start(r->cx, slot);
    if (r->snapshot->h->settings.flags & SNAP_TRANSCRIPTS)
        transcript_begin(r);
    return true;
}

static uint64_t text_tokens(const struct request *r)
{
    return (r->relay.scan.text_bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

/* A stream of messages tells its input as it begins, with an output of 1 or so, and the output as
 * it ends: of one that was cut in between that is no count. */
static void correct_cut(const struct request *r, struct usage *u)
{
    if (!u->seen || !r->exchange.is_stream || request_dialect(r) != DIALECT_ANTHROPIC ||
        r->relay.scan.finished)
        return;
    u->output = MAX(u->output, text_tokens(r));
    u->estimated = 1;
}

static void note_response_id(struct request *r)
{
    struct record *rec = &r->meter->record;

    if (r->relay_open && r->relay.scan.response_id_n && !record_get(rec, RS_RESPONSE_ID).n)
        record_set(rec, RS_RESPONSE_ID,
                   (struct str){r->relay.scan.response_id, r->relay.scan.response_id_n});
}

void books_progress(struct request *r)
{
    struct record *rec = &r->meter->record;

    rec->upstream_status = r->exchange.status;
    rec->upstream_bytes_in = r->exchange.body_bytes;
    if (r->relay_open)
        rec->usage.output = text_tokens(r);
    note_response_id(r);
}

void books_usage(struct request *r, bool delivered)
{
    struct record *rec = &r->meter->record;
    struct usage u = {0};

    if (r->relay_open)
        reply_usage(&r->relay.scan, request_dialect(r), &u);
    if (r->relay_open)
        correct_cut(r, &u);
    if (!u.seen && delivered && request_api(r) != API_MODERATIONS &&
        request_api(r) != API_COUNT_TOKENS) {
        u.estimated = 1;
        u.input = (r->bytes_in + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
        u.output = r->relay_open ? text_tokens(r) : 0;
    }
    if (u.estimated && u.output == 0 && !r->client_head_sent)
        u = (struct usage){0};
    if (rec->flags & RECORD_SPOOL && request_api(r) != API_COUNT_TOKENS) {
        const struct price *p =
            r->deployment->flags & SNAP_PRICED
                ? &r->deployment->price
                : snap_price(r->snapshot, snap_str(r->snapshot, r->deployment->provider),
                             r->upstream_model);
        meter_price(rec, &u, p);
    }
    note_response_id(r);
}

void books_exchange(struct request *r, bool success, struct str code)
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

/* A refused request has no exchange: its record holds only the access line. */
static void account_refused(struct request *r, struct str code)
{
    struct inflight *slot = meter_open(r->cx, r->conn->progress_ns);

    if (!slot)
        return; /* counted by meter_open() */
    struct record *rec = &slot->record;
    rec->flags = RECORD_ACCESS;
    record_set(rec, RS_REQUEST_ID, (struct str){r->id, REQUEST_ID});
    record_set(rec, RS_CLIENT_IP, str_of(r->conn->ip));
    record_set(rec, RS_ERROR, code);
    record_set(rec, RS_MODEL, cut_text(r->model));
    admit_record(r, slot);
    r->meter = slot;
}

void books_close(struct request *r, unsigned status, struct str code)
{
    struct context *cx = r->cx;
    uint64_t now = r->replied_ns ? r->replied_ns : clock_mono_ns();

    if (r->accounted)
        return;
    r->accounted = true;
    timer_disarm(&r->retry); /* no more pings */
    admit_settle(r, r->meter ? &r->meter->record.usage : NULL);
    bool probe = r->routed && route_rows[r->route].policy == POLICY_PUBLIC && status == 200;
    if (!r->meter && !probe) /* a healthy answer to a prober is no news */
        account_refused(r, code);
    counter_add(&cx->region->requests[r->routed ? (unsigned)r->route : REGION_ROUTES - 1]
                                     [MIN(status / 100, (unsigned)STATUS_CLASSES - 1)],
                1);
    metric_add(cx->region, METRIC_BYTES_IN, r->bytes_in);
    metric_add(cx->region, METRIC_BYTES_OUT, r->bytes_out);
    if (!r->meter)
        return;
    struct record *rec = &r->meter->record;
    if (r->is_orphan) {
        status = 499;
        if (!record_get(rec, RS_ERROR).n)
            record_set(rec, RS_ERROR, STR("client_gone"));
    }
    rec->flags |= RECORD_ACCESS;
    rec->status = (uint16_t)status;
    rec->api = (uint8_t)(r->routed ? route_rows[r->route].api : API_COUNT);
    rec->route = (uint8_t)(r->routed ? (unsigned)r->route : REGION_ROUTES - 1);
    rec->bytes_in = r->bytes_in;
    rec->bytes_out = r->bytes_out;
    rec->total_ns = now - (r->body_ns ? r->body_ns : r->conn->begun_ns);
    uint64_t theirs = r->upstream_ns + r->connect_ns + r->waited_ns;
    rec->overhead_ns = rec->total_ns > theirs ? rec->total_ns - theirs : 0;
    if (rec->flags & RECORD_SPOOL)
        metric_observe(cx->region, HISTOGRAM_OVERHEAD, rec->overhead_ns);
    rec->end_us = context_wall_us(cx, now);
    meter_close(cx, TAKE(r->meter));
    metric_observe(cx->region, HISTOGRAM_SETTLE, clock_mono_ns() - now);
    if (r->transcript)
        transcript_close(r);
}
