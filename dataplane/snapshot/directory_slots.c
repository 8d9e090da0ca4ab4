/* Numbers of slots: one for each entity, free again two bases after it is gone. */

#include "snapshot/directory_priv.h"

enum { SLOTS_DEFAULT = 4 << 20, KEPT = 2 }; /* bases a slot outlives its entity */

void directory_slots_deinit(struct directory_slots *s)
{
    free(s->used);
    free(s->queue);
    *s = (struct directory_slots){0};
}

static uint32_t slots_max(const struct directory *d)
{
    return d->o.max_slots ? d->o.max_slots : SLOTS_DEFAULT;
}

static bool used_grow(struct directory_slots *s, uint32_t n)
{
    uint32_t cap = MAX(n, s->cap + s->cap / 2 + 64);

    if (n <= s->cap)
        return true;
    uint8_t *used = realloc(s->used, cap);
    if (!used)
        return false;
    s->used = used;
    s->cap = cap;
    return true;
}

void slots_begin(struct directory *d)
{
    if (!d->counted && d->o.counters.forget)
        d->o.counters.forget(d->o.counters.ctx, d->numbering);
    d->counted = true;
}

enum errc slots_take(struct directory *d, uint32_t *ret_slot, struct err *e)
{
    struct directory_slots *s = &d->slots;
    uint32_t slot;

    slots_begin(d);
    if (s->head < s->n_queue && s->queue[s->head].bases + KEPT <= d->bases) {
        slot = s->queue[s->head++].slot;
    } else {
        if (s->next == slots_max(d))
            return err_set(e, ERRC_LIMIT, 0, "more than %u entities", slots_max(d));
        if (!used_grow(s, s->next + 1))
            return err_set(e, ERRC_NOMEM, 0, "slots");
        slot = s->next++;
    }
    s->used[slot] = true;
    if (d->o.counters.clear)
        d->o.counters.clear(d->o.counters.ctx, slot);
    *ret_slot = slot;
    return ERRC_OK;
}

static bool release(struct directory *d, uint32_t slot)
{
    struct directory_slots *s = &d->slots;

    if (s->head && s->n_queue == s->cap_queue) { /* what was reused makes room */
        s->n_queue -= s->head;
        memmove(s->queue, s->queue + s->head, s->n_queue * sizeof *s->queue);
        s->head = 0;
    }
    if (s->n_queue == s->cap_queue) {
        uint32_t cap = s->cap_queue * 2 + 64;
        struct released *queue = realloc(s->queue, cap * sizeof *queue);
        if (!queue)
            return false;
        s->queue = queue;
        s->cap_queue = cap;
    }
    s->queue[s->n_queue++] = (struct released){slot, d->bases};
    s->used[slot] = false;
    return true;
}

enum errc slots_release_unused(struct directory *d, struct err *e)
{
    enum { IN_BASE = 1, IN_CHANGES };
    struct directory_slots *s = &d->slots;
    const struct snapshot *base = d->base;

    for (uint32_t i = 0; i < d->changes.n_entries; i++)
        s->used[d->changes.entries[i].slot] = IN_CHANGES;
    for (uint32_t slot = 0; slot < s->next; slot++) {
        bool changed = s->used[slot] == IN_CHANGES;
        const uint32_t *at = SNAP_AT(base, base->identity->by_slot, uint32_t, slot);
        if (changed)
            s->used[slot] = IN_BASE;
        else if (s->used[slot] && (!at || *at == SNAP_NONE) && !release(d, slot))
            return err_set(e, ERRC_NOMEM, 0, "slots");
    }
    return ERRC_OK;
}

enum errc slots_rebuild(struct directory *d, struct err *e)
{
    struct directory_slots *s = &d->slots;
    uint32_t n = d->base->identity->by_slot.n, max = slots_max(d);

    for (uint32_t i = 0; i < d->changes.n_entries && n <= max; i++)
        n = MAX(n, MIN(d->changes.entries[i].slot, max) + 1);
    if (n > max)
        return err_set(e, ERRC_LIMIT, 0, "more than %u entities", max);
    directory_slots_deinit(s);
    if (!used_grow(s, n))
        return err_set(e, ERRC_NOMEM, 0, "slots");
    memset(s->used, true, n);
    s->next = n;
    return slots_release_unused(d, e);
}
