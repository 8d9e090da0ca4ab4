/*
 * Look-ups in a base and the overlay over it: the overlay decides, also that an entity is gone.
 *
 * Whole arrays are checked when a file is opened, which takes the same time whatever its size; what
 * an entry refers to is clamped where it is used. An index word carries the part of the hash that
 * its place does not say, so a look-up touches the index, one entry and its text: three cache lines
 * of a base, and of an overlay that lacks the entity one.
 */

#include "snapshot/identity_priv.h"

struct identities {
    struct snapshot *base, *overlay;
    unsigned refs;
};

static const char *const what[] = {"overlay of identities", "base of identities"};

enum errc identity_check(const struct snapshot *s, uint64_t base, struct err *e)
{
    const struct identity_header *h = s->identity;
    bool is_base = base == 0;

    if (s->size < sizeof *h || h->magic != IDENTITY_MAGIC)
        return err_set(e, ERRC_INVALID, 0, "%s: not one", what[is_base]);
    if (h->version != IDENTITY_VERSION || h->header_size != sizeof *h)
        return err_set(e, ERRC_INVALID, 0, "%s: version %u, this program reads %u", what[is_base],
                       h->version, IDENTITY_VERSION);
    if (h->total_size != s->size || s->size > UINT32_MAX)
        return err_set(e, ERRC_INVALID, 0, "%s: %zu bytes, %llu expected", what[is_base], s->size,
                       (unsigned long long)h->total_size);
    if (h->base != (is_base ? h->n : base))
        return err_set(e, ERRC_INVALID, 0, "%s: %llu is over %llu, expected over %llu",
                       what[is_base], (unsigned long long)h->n, (unsigned long long)h->base,
                       (unsigned long long)(is_base ? h->n : base));
    if (!snap_array_fits(s, h->identities, sizeof(struct identity)) ||
        !snap_array_fits(s, h->rules, sizeof(struct identity_rules)) ||
        !snap_array_fits(s, h->by_slot, sizeof(uint32_t)) ||
        !snap_index_fits(s, h->by_id, h->identities.n) ||
        (!is_base && !snap_index_fits(s, h->by_slot, h->identities.n)))
        return err_set(e, ERRC_INVALID, 0, "%s: an array outside the file", what[is_base]);
    return ERRC_OK;
}

enum errc identity_map(struct snapshot **ret_s, int fd, uint64_t base, struct err *e)
{
    struct snapshot *s;
    enum errc rc = snapshot_map(&s, fd, sizeof(struct identity_header), what[base == 0], e);

    if (rc)
        return rc;
    s->identity = (const struct identity_header *)(const void *)s->base;
    rc = identity_check(s, base, e);
    if (rc)
        return (void)snapshot_unref(s), rc;
    *ret_s = s;
    return ERRC_OK;
}

enum errc identities_join(struct identities **ret_i, struct snapshot *take_base,
                          struct snapshot *take_overlay, struct err *e)
{
    struct identities *i = malloc(sizeof *i);

    if (!i) {
        (void)snapshot_unref(take_base);
        (void)snapshot_unref(take_overlay);
        return err_set(e, ERRC_NOMEM, 0, "a view of identities");
    }
    *i = (struct identities){take_base, take_overlay, 1};
    *ret_i = i;
    return ERRC_OK;
}

enum errc identities_open(struct identities **ret_i, int base_fd, int overlay_fd, struct err *e)
{
    struct snapshot *base, *overlay;
    enum errc rc = identity_map(&base, base_fd, 0, e);

    if (rc)
        return rc;
    rc = identity_map(&overlay, overlay_fd, base->identity->n, e);
    if (rc)
        return (void)snapshot_unref(base), rc;
    return identities_join(ret_i, base, overlay, e);
}

enum errc identities_over(struct identities **ret_i, struct identities *base_of, int overlay_fd,
                          struct err *e)
{
    struct snapshot *overlay;
    enum errc rc = identity_map(&overlay, overlay_fd, base_of->base->identity->n, e);

    return rc ? rc : identities_join(ret_i, snapshot_ref(base_of->base), overlay, e);
}

struct identities *identities_ref(struct identities *i)
{
    i->refs++;
    return i;
}

struct identities *identities_unref(struct identities *i)
{
    if (!i || --i->refs)
        return NULL;
    i->base = snapshot_unref(i->base);
    i->overlay = snapshot_unref(i->overlay);
    free(i);
    return NULL;
}

const struct identity_header *identities_base(const struct identities *i)
{
    return i->base->identity;
}

const struct identity_header *identities_overlay(const struct identities *i)
{
    return i->overlay->identity;
}

/* The entry an index word of `hash` leads to; *at goes on from place to place. NULL: no more. */
static const struct identity *next_of(const struct snapshot *s, struct snap_ref index,
                                      uint32_t hash, uint32_t *at)
{
    const uint32_t mask = index.n - 1;

    for (; *at < index.n; (*at)++) {
        const uint32_t *word = SNAP_AT(s, index, uint32_t, (hash + *at) & mask);
        if (!word || *word == SNAP_NONE)
            return NULL;
        if (((*word ^ hash) & ~mask) == 0) {
            (*at)++;
            return SNAP_AT(s, s->identity->identities, struct identity, *word & mask);
        }
    }
    return NULL;
}

const struct identity *identity_find(const struct snapshot *s, enum identity_kind kind,
                                     struct str id, uint32_t hash)
{
    const struct identity *it;
    uint32_t at = 0;

    while ((it = next_of(s, s->identity->by_id, hash, &at)))
        if (it->kind == kind && str_eq(identity_text(s, it, 0, it->id_n), id))
            return it;
    return NULL;
}

/* In an overlay. */
static const struct identity *find_slot(const struct snapshot *s, uint32_t slot)
{
    const struct identity *it;
    uint32_t at = 0;

    while ((it = next_of(s, s->identity->by_slot, identity_slot_hash(slot), &at)))
        if (it->slot == slot)
            return it;
    return NULL;
}

const struct identity *identity_of_slot(const struct snapshot *s, uint32_t slot)
{
    const struct identity_header *h = s->identity;

    if (h->base != h->n)
        return find_slot(s, slot);
    const uint32_t *at = SNAP_AT(s, h->by_slot, uint32_t, slot);
    return at ? SNAP_AT(s, h->identities, struct identity, *at) : NULL;
}

static struct identity_found found(const struct snapshot *s, const struct identity *it)
{
    const struct identity_rules *rules;

    if (!it || it->flags & IDENTITY_GONE)
        return (struct identity_found){0};
    rules = SNAP_AT(s, s->identity->rules, struct identity_rules, it->rules);
    return rules ? (struct identity_found){s, it, rules} : (struct identity_found){0};
}

static struct identity_found find(const struct identities *i, enum identity_kind kind,
                                  struct str id)
{
    uint32_t hash = identity_hash(kind, id);
    const struct identity *it = identity_find(i->overlay, kind, id, hash);

    return it ? found(i->overlay, it) : found(i->base, identity_find(i->base, kind, id, hash));
}

struct identity_found identities_key(const struct identities *i, const unsigned char *hash)
{
    return find(i, IDENTITY_KEY, (struct str){(const char *)hash, IDENTITY_HASH});
}

struct identity_found identities_named(const struct identities *i, enum identity_kind kind,
                                       struct str id)
{
    if (kind == IDENTITY_KEY && id.n != IDENTITY_HASH)
        return (struct identity_found){0};
    return find(i, kind, id);
}

struct identity_found identities_get(const struct identities *i, uint32_t slot)
{
    const struct identity *it = find_slot(i->overlay, slot);

    return it ? found(i->overlay, it) : found(i->base, identity_of_slot(i->base, slot));
}
