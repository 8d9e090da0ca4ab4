/* Settling: the link is the producer of a dead region's ring, by the same steps as the worker was,
 * and may itself be killed at any of them. */

#include "link/settle.h"

#include "common/clock.h"
#include "common/gateway/cost.h"

enum {
    BYTES_PER_TOKEN = 4,
    STREAM_BYTES_PER_TOKEN = 240, /* an event of one token, with its JSON around it */
};

static uint64_t tokens_of(uint64_t bytes, unsigned per_token)
{
    return (bytes + per_token - 1) / per_token;
}

static void estimate(struct record *r)
{
    bool stream = r->flags & RECORD_STREAM;
    struct usage *u = &r->usage;

    if (u->seen)
        return;
    if (usage_prompt(u) == 0)
        u->input = tokens_of(r->bytes_in, BYTES_PER_TOKEN);
    if (usage_completion(u) == 0)
        u->output =
            tokens_of(r->upstream_bytes_in, stream ? STREAM_BYTES_PER_TOKEN : BYTES_PER_TOKEN);
    u->estimated = 1;
}

/* The price the worker would have used; NULL: none is known. */
static const struct price *price_of(const struct record *r, const struct snapshot *snap)
{
    struct str id = record_get(r, RS_DEPLOYMENT);

    for (uint32_t i = 0; snap && i < snap->h->deployments.n; i++) {
        const struct snap_deployment *d =
            SNAP_AT(snap, snap->h->deployments, struct snap_deployment, i);
        if (!d || !str_eq(snap_str(snap, d->id), id))
            continue;
        if (d->flags & SNAP_PRICED)
            return &d->price;
        return snap_price(snap, record_get(r, RS_PROVIDER), record_get(r, RS_UPSTREAM_MODEL));
    }
    return NULL;
}

void record_settle(struct record *r, const struct snapshot *snap, int64_t now_us)
{
    struct cost c = {.unpriced = true};

    if (r->end_us)
        return; /* it had ended and waited for room in the ring */
    const struct price *price = price_of(r, snap);
    r->flags |= RECORD_DIED | RECORD_ACCESS;
    if (r->attempt > 0)
        r->flags |= RECORD_SPOOL;
    if (record_get(r, RS_ERROR).n == 0)
        record_set(r, RS_ERROR, STR("worker_died"));
    if (r->start_us > 0 && now_us > r->start_us)
        r->total_ns = (uint64_t)(now_us - r->start_us) * 1000;
    if (r->flags & RECORD_SPOOL)
        estimate(r);
    if (price)
        cost_of(&c, price, &r->usage);
    if (c.unpriced)
        r->flags |= RECORD_UNPRICED;
    r->cost_nusd = c.total_nusd;
    r->input_nusd = c.input_nusd;
    r->output_nusd = c.output_nusd;
    r->cache_read_nusd = c.cache_read_nusd;
    r->cache_write_nusd = c.cache_write_nusd;
    r->end_us = now_us; /* last: a link killed before this begins again */
}

/* A worker may have died in the middle of writing it, or because it wrote where it should not. */
static bool is_sane(const struct record *r)
{
    return r->size >= sizeof *r && r->size <= RECORD_MAX && r->version == RECORD_VERSION;
}

/* It has no record: it holds what runs at once, until its request ends. */
static bool is_hold(const struct record *r)
{
    return r->attempt == 0 && r->flags == 0;
}

bool region_settle(struct region *r, const struct snapshot *snap, const struct counters *counters,
                   uint64_t *ret_settled)
{
    uint32_t high = MIN(r->inflight_high, (uint32_t)REGION_INFLIGHT);

    for (uint32_t i = 0; i < high; i++) {
        struct inflight *f = &r->inflight[i];
        if (f->state == INFLIGHT_FREE)
            continue;
        if (!inflight_is_lost(r, f) || !is_sane(&f->record)) {
            inflight_drop(f);
            continue;
        }
        if (is_hold(&f->record)) { /* a link killed in between gives back twice: see counters.c */
            charges_release(&f->charges, counters);
            inflight_drop(f);
            continue;
        }
        record_settle(&f->record, snap, clock_wall_us());
        charges_spend(&f->charges, counters, f->record.cost_nusd, record_end_s(&f->record));
        charges_init(&f->charges);
        if (!inflight_publish(r, f))
            return false;
        ++*ret_settled;
    }
    return true;
}
