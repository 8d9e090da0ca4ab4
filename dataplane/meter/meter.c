/* Slots are given out lowest and latest first, so that few pages of the shared file are ever
 * touched. */

#include "meter/meter.h"

#include "common/clock.h"
#include "common/gateway/cost.h"
#include "common/pages.h"

enum { RING_RESERVE = REGION_RING / 8, SLOTS_KEPT = 64 };

void meter_init(struct context *cx)
{
    cx->n_free_slots = cx->slots_used = 0;
    list_init(&cx->unpublished);
}

static void slot_give(struct context *cx, struct inflight *slot)
{
    cx->free_slot[cx->n_free_slots++] = (uint16_t)(slot - cx->region->inflight);
}

struct inflight *meter_open(struct context *cx, uint64_t start_ns)
{
    uint32_t i;

    if (UNLIKELY(ring_free(cx->region) < RING_RESERVE))
        goto refuse;
    if (cx->n_free_slots)
        i = cx->free_slot[--cx->n_free_slots];
    else if (cx->slots_used < REGION_INFLIGHT)
        i = cx->slots_used++;
    else
        goto refuse;
    struct inflight *slot = &cx->region->inflight[i];
    record_init(&slot->record);
    charges_init(&slot->charges);
    slot->record.epoch = cx->shared.header->epoch;
    slot->record.region = cx->region_index;
    slot->record.start_us = context_wall_us(cx, start_ns);
    return slot;
refuse:
    metric_add(cx->region, METRIC_REQUESTS_REFUSED, 1);
    return NULL;
}

void meter_start(struct context *cx, struct inflight *slot)
{
    inflight_open(cx->region, slot);
}

static bool slot_publish(struct context *cx, struct inflight *slot)
{
    if (!inflight_publish(cx->region, slot))
        return false;
    metric_add(cx->region, METRIC_RECORDS, 1);
    slot_give(cx, slot);
    return true;
}

/* A slot that waits: kept apart from the shared file, which holds no pointers. */
struct unpublished {
    struct list link;
    struct inflight *slot;
};

void meter_close(struct context *cx, struct inflight *slot)
{
    if (!slot->record.end_us)
        slot->record.end_us = context_wall_us(cx, clock_mono_ns());
    charges_spend(&slot->charges, &cx->counters, slot->record.cost_nusd,
                  record_end_s(&slot->record));
    charges_init(&slot->charges);
    if (list_is_empty(&cx->unpublished) && LIKELY(slot_publish(cx, slot)))
        return;
    metric_add(cx->region, METRIC_RECORDS_WAITED, 1);
    struct unpublished *u = malloc(sizeof *u);
    if (!u)
        return; /* complete in its slot: settled by the link when this worker ends */
    u->slot = slot;
    list_push(&cx->unpublished, &u->link);
}

void meter_drop(struct context *cx, struct inflight *slot)
{
    inflight_drop(slot);
    slot_give(cx, slot);
}

void meter_retry(struct context *cx)
{
    LIST_FOREACH (&cx->unpublished, struct unpublished, u, link) {
        if (!slot_publish(cx, u->slot))
            return;
        list_drop(&u->link);
        free(u);
    }
}

void meter_trim(struct context *cx)
{
    struct region *r = cx->region;

    if (cx->n_free_slots != cx->slots_used)
        return;
    if (cx->slots_used > SLOTS_KEPT) {
        pages_remove(&r->inflight[SLOTS_KEPT],
                     (cx->slots_used - SLOTS_KEPT) * sizeof r->inflight[0]);
        atomic_store_explicit(&r->inflight_high, SLOTS_KEPT, memory_order_relaxed);
        cx->slots_used = cx->n_free_slots = 0;
    }
    if (ring_free(r) == REGION_RING) /* nobody writes but us, and nothing is unread */
        pages_remove(r->ring + RING_REWIND, REGION_RING - RING_REWIND);
}

void meter_price(struct record *rec, const struct usage *u, const struct price *p)
{
    struct cost c = {.unpriced = true};

    rec->usage = *u;
    if (p)
        cost_of(&c, p, u);
    rec->cost_nusd = c.total_nusd;
    rec->input_nusd = c.input_nusd;
    rec->output_nusd = c.output_nusd;
    rec->cache_read_nusd = c.cache_read_nusd;
    rec->cache_write_nusd = c.cache_write_nusd;
    if (c.unpriced && usage_prompt(u) + usage_completion(u) > 0)
        rec->flags |= RECORD_UNPRICED;
}

void meter_count(struct context *cx, uint32_t deployment_slot, const struct record *rec,
                 bool success)
{
    struct deployment_counters *d =
        &cx->region->deployment[MIN(deployment_slot, (uint32_t)SHARED_DEPLOYMENTS - 1)];

    counter_add(&d->requests, 1);
    counter_add(success ? &d->success : &d->failure, 1);
    counter_add(&d->input_tokens, usage_prompt(&rec->usage));
    counter_add(&d->output_tokens, usage_completion(&rec->usage));
    if (rec->cost_nusd > 0)
        counter_add(&d->spend_nusd, (uint64_t)rec->cost_nusd);
    if (success)
        counter_add(&d->latency_ns_sum, rec->upstream_ns);
    if (rec->flags & RECORD_STREAM && rec->first_byte_ns) {
        counter_add(&d->first_token_ns_sum, rec->first_byte_ns);
        counter_add(&d->first_token_count, 1);
    }
    if (rec->flags & RECORD_UNPRICED) {
        counter_add(&d->unpriced, 1);
        metric_add(cx->region, METRIC_UNPRICED, 1);
    }
}
