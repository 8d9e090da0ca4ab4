/*
 * Base and overlay into a new base, in a thread of its own: both are sealed and stay mapped, so it
 * needs nothing of the directory. What is gone stays only while something names it; everything
 * keeps its slot.
 */

#include "snapshot/directory_priv.h"

/* One of the two files, and where its rules went. */
struct source {
    const struct snapshot *s;
    uint32_t *rules; /* SNAP_NONE: not copied yet */
};

struct mixer {
    struct image out;
    struct source base, overlay;
    uint8_t *named; /* by slot: something that is there names it */
    uint32_t slots;
};

static bool source_init(struct source *src, const struct snapshot *s)
{
    size_t n = s->identity->rules.n;

    src->s = s;
    src->rules = malloc((n + 1) * sizeof *src->rules);
    if (src->rules)
        memset(src->rules, 0xff, n * sizeof *src->rules); /* SNAP_NONE */
    return src->rules != NULL;
}

static const struct identity_rules *rules_of(const struct source *src, const struct identity *it)
{
    return SNAP_AT(src->s, src->s->identity->rules, struct identity_rules, it->rules);
}

static void mark(struct mixer *x, uint32_t slot)
{
    if (slot < x->slots)
        x->named[slot] = 1;
}

static void mark_named(struct mixer *x, const struct source *src, const struct identity *it)
{
    const struct identity_rules *r = rules_of(src, it);

    if (it->flags & IDENTITY_GONE)
        return;
    mark(x, it->team);
    mark(x, it->user);
    mark(x, it->member);
    mark(x, it->organization);
    mark(x, it->project);
    mark(x, it->successor);
    for (uint32_t i = 0; r && i < r->access_groups.n; i++) {
        const uint32_t *slot = SNAP_AT(src->s, r->access_groups, uint32_t, i);
        mark(x, slot ? *slot : SNAP_NONE);
    }
}

static void put(struct mixer *x, const struct source *src, const struct identity *it)
{
    const struct identity_rules *r = rules_of(src, it);

    if (!r || it->slot >= x->slots)
        return;
    if (it->flags & IDENTITY_GONE && !x->named[it->slot])
        return;
    if (src->rules[it->rules] == SNAP_NONE)
        src->rules[it->rules] = image_rules(&x->out, src->s, r);
    (void)image_put(&x->out, src->s, it, src->rules[it->rules], 0); /* failure sticks */
}

typedef void (*entry_fn)(struct mixer *x, const struct source *src, const struct identity *it);

/* Every entity as it is now: in the base's order, then those the base lacks. */
static void each(struct mixer *x, entry_fn fn)
{
    const struct snapshot *base = x->base.s, *overlay = x->overlay.s;

    for (uint32_t i = 0; i < base->identity->identities.n; i++) {
        const struct identity *it = SNAP_AT(base, base->identity->identities, struct identity, i);
        if (!it)
            continue;
        const struct identity *newer = identity_of_slot(overlay, it->slot);
        fn(x, newer ? &x->overlay : &x->base, newer ? newer : it);
    }
    for (uint32_t i = 0; i < overlay->identity->identities.n; i++) {
        const struct identity *it =
            SNAP_AT(overlay, overlay->identity->identities, struct identity, i);
        if (it && !identity_of_slot(base, it->slot))
            fn(x, &x->overlay, it);
    }
}

static void *merge_main(void *arg)
{
    struct merge *m = arg;
    struct mixer x = {.slots = m->slots, .named = calloc(m->slots + 1, 1)};
    const struct identity_header *b = m->base->identity, *o = m->overlay->identity;
    struct identity_header numbers = {.n = m->n,
                                      .base = m->n,
                                      .epoch = o->epoch,
                                      .revision = o->revision,
                                      .numbering = o->numbering};

    image_init(&x.out, false);
    image_reserve(&x.out, b->identities.n + o->identities.n, b->identities.off);
    if (!x.named || !source_init(&x.base, m->base) || !source_init(&x.overlay, m->overlay)) {
        m->rc = err_set(&m->e, ERRC_NOMEM, 0, "merging");
    } else {
        each(&x, mark_named);
        each(&x, put);
        m->rc = image_seal(&x.out, &numbers, MAX(m->slots, 1), &m->ret_fd, &m->e);
    }
    image_deinit(&x.out);
    free(x.base.rules);
    free(x.overlay.rules);
    free(x.named);
    atomic_store_explicit(&m->done, true, memory_order_release);
    return NULL;
}

enum errc merge_start(struct merge *m, struct err *e)
{
    m->done = false;
    m->rc = ERRC_OK;
    int sys = pthread_create(&m->thread, NULL, merge_main, m);
    if (sys)
        return err_set(e, ERRC_SYS, sys, "a thread to merge");
    m->running = true;
    return ERRC_OK;
}

void merge_wait(struct merge *m)
{
    if (!m->running)
        return;
    (void)pthread_join(m->thread, NULL); /* it is ours and joinable */
    m->running = false;
    m->base = snapshot_unref(m->base);
    m->overlay = snapshot_unref(m->overlay);
}
