/*
 * A key of a team and a user carries the slot of that member of the team, so that a worker does not
 * look for it. Keys mostly come after their member and find it then; where it is the other way
 * round, one pass over all keys does it for all members that are new.
 */

#include "snapshot/directory_priv.h"

struct pairs { /* open addressing; slot SNAP_NONE: free */
    struct member_pair *p;
    uint32_t size;
};

static uint32_t pair_hash(uint32_t team, uint32_t user)
{
    return (uint32_t)(((uint64_t)team << 32 | user) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static bool pairs_init(struct pairs *t, uint32_t n)
{
    t->size = 16;
    while (t->size / 2 < n)
        t->size *= 2;
    t->p = malloc(t->size * sizeof *t->p);
    if (t->p)
        memset(t->p, 0xff, t->size * sizeof *t->p); /* SNAP_NONE */
    return t->p != NULL;
}

static struct member_pair *pairs_at(const struct pairs *t, uint32_t team, uint32_t user)
{
    uint32_t i = pair_hash(team, user) & (t->size - 1);

    while (t->p[i].slot != SNAP_NONE && (t->p[i].team != team || t->p[i].user != user))
        i = (i + 1) & (t->size - 1);
    return &t->p[i];
}

static bool lacks_member(const struct identity *it)
{
    return it->kind == IDENTITY_KEY && it->member == SNAP_NONE && it->team != SNAP_NONE &&
           it->user != SNAP_NONE && !(it->flags & IDENTITY_GONE);
}

/* The member a key lacks; SNAP_NONE: it lacks none. */
static uint32_t lacking(const struct pairs *t, const struct identity *it)
{
    return lacks_member(it) ? pairs_at(t, it->team, it->user)->slot : SNAP_NONE;
}

static void fill_base(struct directory *d, const struct pairs *t)
{
    const struct snapshot *s = d->base;
    const struct identity_header *h = s->identity;

    for (uint32_t i = 0; i < h->identities.n; i++) {
        const struct identity *it = SNAP_AT(s, h->identities, struct identity, i);
        uint32_t slot = it ? lacking(t, it) : SNAP_NONE;
        if (slot == SNAP_NONE)
            continue;
        struct str id = identity_text(s, it, 0, it->id_n);
        const struct identity_rules *rules = SNAP_AT(s, h->rules, struct identity_rules, it->rules);
        if (!rules ||
            image_find(&d->changes, IDENTITY_KEY, id, identity_hash(IDENTITY_KEY, id)) != SNAP_NONE)
            continue;
        struct identity with = *it;
        with.member = slot;
        (void)image_put(&d->changes, s, &with, image_rules(&d->changes, s, rules),
                        d->stamp); /* failure sticks */
    }
}

enum errc members_fill(struct directory *d, struct err *e)
{
    struct pairs t;

    if (!d->n_new_members)
        return ERRC_OK;
    if (!pairs_init(&t, d->n_new_members))
        return err_set(e, ERRC_NOMEM, 0, "members");
    for (uint32_t i = 0; i < d->n_new_members; i++) {
        const struct member_pair *m = &d->new_members[i];
        *pairs_at(&t, m->team, m->user) = *m;
    }
    for (uint32_t i = 0; i < d->changes.n_entries; i++) {
        struct identity *it = &d->changes.entries[i];
        uint32_t slot = lacking(&t, it);
        if (slot == SNAP_NONE)
            continue;
        it->member = slot;
        d->changes.stamps[i] = d->stamp;
    }
    if (d->base)
        fill_base(d, &t);
    free(t.p);
    d->n_new_members = 0;
    return ERRC_OK;
}

enum errc members_fill_staged(struct directory *d, struct err *e)
{
    struct image *m = &d->staged;
    struct pairs t;
    uint32_t n = 0;

    for (uint32_t i = 0; i < m->n_entries; i++)
        n += m->entries[i].kind == IDENTITY_MEMBER;
    if (!n)
        return ERRC_OK;
    if (!pairs_init(&t, n))
        return err_set(e, ERRC_NOMEM, 0, "members");
    for (uint32_t i = 0; i < m->n_entries; i++) {
        const struct identity *it = &m->entries[i];
        if (it->kind == IDENTITY_MEMBER && it->team != SNAP_NONE)
            *pairs_at(&t, it->team, it->user) = (struct member_pair){it->team, it->user, it->slot};
    }
    for (uint32_t i = 0; i < m->n_entries; i++) {
        uint32_t slot = lacking(&t, &m->entries[i]);
        if (slot != SNAP_NONE)
            m->entries[i].member = slot;
    }
    free(t.p);
    return ERRC_OK;
}
