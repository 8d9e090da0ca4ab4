#include "dialect/id_set.h"

enum { PROBES_MAX = 64, IDS_MAX = 1 << 20 };

static uint32_t slots_for(uint32_t max)
{
    uint32_t slots = 8;

    while (slots < 2 * max)
        slots *= 2;
    return slots;
}

void id_set_begin(struct id_set *s, struct arena *a, uint32_t max)
{
    max = MIN(max, (uint32_t)IDS_MAX);
    if (max > s->room) {
        uint32_t room = MAX(max, 2 * s->room); /* so that growing turns do not add up */
        s->entry = arena_alloc(a, room * sizeof *s->entry);
        s->slot = arena_alloc(a, slots_for(room) * sizeof *s->slot);
        s->room = s->entry && s->slot ? room : 0;
    }
    s->n = 0;
    s->slots = max && s->room ? slots_for(max) : 0;
    if (s->slots)
        memset(s->slot, 0, s->slots * sizeof *s->slot);
}

/* FNV-1a. */
static uint32_t hash(struct jstr id)
{
    uint32_t h = 0x811c9dc5;

    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * 0x01000193;
    return h ^ h >> 15;
}

/* Where `id` is or would be; NULL: neither within the probes. */
static uint32_t *slot_of(const struct id_set *s, struct jstr id)
{
    uint32_t at = hash(id);

    for (uint32_t i = 0; s->slots && i < PROBES_MAX; i++, at++) {
        uint32_t *slot = &s->slot[at & (s->slots - 1)];
        if (!*slot || jstr_same(s->entry[*slot - 1].id, id))
            return slot;
    }
    return NULL;
}

struct id_entry *id_set_find(const struct id_set *s, struct jstr id)
{
    const uint32_t *slot = slot_of(s, id);

    return slot && *slot ? &s->entry[*slot - 1] : NULL;
}

struct id_entry *id_set_add(struct id_set *s, struct jstr id)
{
    uint32_t *slot = slot_of(s, id);

    if (!slot)
        return NULL;
    if (!*slot) {
        if (2 * s->n >= s->slots || s->n >= s->room)
            return NULL;
        s->entry[s->n] = (struct id_entry){.id = id};
        *slot = ++s->n;
    }
    return &s->entry[*slot - 1];
}
