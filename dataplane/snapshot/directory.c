/*
 * What is known, and how it gets into files.
 *
 *   directory_apply ─▶ changes (or staged) ─ directory_seal ─▶ overlay (or a new base)
 *                                                │
 *                          overlay has grown ────┴─▶ merge.c, a thread ─▶ base, next seal gives it
 *
 * Look-ups go to what is staged, else to the changes, else to the mapped base: nothing of the base
 * is kept a second time. An entity that others name and that is not known (yet, or any more) is an
 * entry with IDENTITY_GONE, so its slot does not depend on the order in which things come.
 */

#include "snapshot/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "snapshot/directory_priv.h"

enum {
    MERGE_ENTRIES = 1024,  /* an overlay of fewer is left alone ... */
    MERGE_SHARE = 64,      /* ... and of less than this part of its base ... */
    MERGE_TEXTS = 4 << 20, /* ... unless its texts are larger: those replaced stay in it */
};

static void directory_init(struct directory *d, const struct directory_options *o, uint64_t n)
{
    *d = (struct directory){.o = *o,
                            .n = n,
                            .numbering = (uint64_t)clock_wall_us(),
                            .stamp = 1,
                            .base_fd = -1,
                            .merge.ret_fd = -1};
    image_init(&d->changes, true); /* failure sticks */
    image_init(&d->entity, false);
}

struct directory *directory_new(const struct directory_options *o)
{
    struct directory *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    directory_init(d, o, o->n);
    return d->changes.failed || d->entity.failed ? directory_free(d) : d;
}

static void directory_deinit(struct directory *d)
{
    merge_wait(&d->merge);
    if (d->merge.ret_fd >= 0)
        (void)close(d->merge.ret_fd);
    if (d->base_fd >= 0)
        (void)close(d->base_fd);
    d->base = snapshot_unref(d->base);
    d->overlay = snapshot_unref(d->overlay);
    image_deinit(&d->changes);
    image_deinit(&d->staged);
    image_deinit(&d->entity);
    directory_slots_deinit(&d->slots);
    documents_deinit(&d->documents);
    documents_deinit(&d->staged_documents);
    free(d->new_members);
}

struct directory *directory_free(struct directory *d)
{
    if (!d)
        return NULL;
    directory_deinit(d);
    free(d);
    return NULL;
}

void directory_forget(struct directory *d)
{
    const struct directory_options o = d->o;
    uint64_t n = d->n;

    directory_deinit(d);
    directory_init(d, &o, n);
}

struct directory_revision directory_revision(const struct directory *d)
{
    return d->revision;
}

uint64_t directory_n(const struct directory *d)
{
    return d->overlay ? d->overlay->identity->n : 0;
}

uint64_t directory_numbering(const struct directory *d)
{
    return d->numbering;
}

uint64_t directory_count(const struct directory *d)
{
    return d->live + d->documents.n;
}

uint64_t directory_documents(const struct directory *d)
{
    return d->documents.changes;
}

void directory_each_document(const struct directory *d, Weir__Entity__IsCase kind,
                             directory_document_fn fn, void *ctx)
{
    for (size_t i = 0; i < d->documents.n; i++)
        if (d->documents.items[i].own->is_case == kind)
            fn(ctx, d->documents.items[i].own);
}

/* ---- look-ups ---- */

static struct identity_found in_image(const struct image *m, enum identity_kind kind, struct str id,
                                      uint32_t hash)
{
    uint32_t at = image_find(m, kind, id, hash);

    if (at == SNAP_NONE)
        return (struct identity_found){0};
    return (struct identity_found){&m->texts, &m->entries[at], &m->rules[m->entries[at].rules]};
}

/* As it is served, or will be with the next seal; IDENTITY_GONE or not. */
static struct identity_found served(const struct directory *d, enum identity_kind kind,
                                    struct str id, uint32_t hash)
{
    struct identity_found f = in_image(&d->changes, kind, id, hash);

    if (f.identity || !d->base)
        return f;
    const struct identity *it = identity_find(d->base, kind, id, hash);
    const struct identity_rules *rules =
        it ? SNAP_AT(d->base, d->base->identity->rules, struct identity_rules, it->rules) : NULL;
    return rules ? (struct identity_found){d->base, it, rules} : (struct identity_found){0};
}

static struct image *target(struct directory *d)
{
    return d->staging ? &d->staged : &d->changes;
}

/* Where entities come in now: what is not staged is not there. */
static struct identity_found current(const struct directory *d, enum identity_kind kind,
                                     struct str id, uint32_t hash)
{
    return d->staging ? in_image(&d->staged, kind, id, hash) : served(d, kind, id, hash);
}

static enum errc put(struct directory *d, const struct snapshot *from, const struct identity *it,
                     uint32_t rules, struct err *e)
{
    if (image_put(target(d), from, it, rules, d->stamp) == SNAP_NONE)
        return err_set(e, ERRC_NOMEM, 0, "an entity");
    d->dirty = d->dirty || !d->staging;
    return ERRC_OK;
}

/* The slot of an entity wherever it is known; else a new one. */
static enum errc slot_of(struct directory *d, enum identity_kind kind, struct str id, uint32_t hash,
                         uint32_t *ret_slot, struct err *e)
{
    struct identity_found f = current(d, kind, id, hash);

    if (!f.identity && d->staging)
        f = served(d, kind, id, hash);
    if (!f.identity)
        return slots_take(d, ret_slot, e);
    *ret_slot = f.identity->slot;
    return ERRC_OK;
}

/* An entity that is not there, for its slot. */
static enum errc put_gone(struct directory *d, enum identity_kind kind, struct str id,
                          uint32_t slot, struct err *e)
{
    struct snapshot text = {.base = id.p, .size = id.n};
    struct identity it = {.id_n = (uint16_t)id.n,
                          .kind = (uint8_t)kind,
                          .flags = IDENTITY_GONE,
                          .slot = slot,
                          .team = SNAP_NONE,
                          .user = SNAP_NONE,
                          .member = SNAP_NONE,
                          .organization = SNAP_NONE,
                          .project = SNAP_NONE,
                          .successor = SNAP_NONE};

    return put(d, &text, &it, 0, e);
}

enum errc directory_slot(struct directory *d, enum identity_kind kind, struct str id,
                         uint32_t *ret_slot, struct err *e)
{
    *ret_slot = SNAP_NONE;
    if (!id.n)
        return ERRC_OK;
    if (id.n > UINT16_MAX || (kind == IDENTITY_KEY && id.n != IDENTITY_HASH))
        return err_set(e, ERRC_INVALID, 0, "a name that cannot be one: %zu bytes", id.n);
    uint32_t hash = identity_hash(kind, id), slot;
    struct identity_found f = current(d, kind, id, hash);
    /* a merge that runs may let go of what nobody named when it began */
    if (f.identity && !(f.identity->flags & IDENTITY_GONE && d->merge.running)) {
        *ret_slot = f.identity->slot;
        return ERRC_OK;
    }
    enum errc rc = slot_of(d, kind, id, hash, &slot, e);
    if (!rc)
        rc = put_gone(d, kind, id, slot, e);
    if (!rc)
        *ret_slot = slot;
    return rc;
}

uint32_t directory_slot_known(struct directory *d, enum identity_kind kind, struct str id)
{
    struct identity_found f = current(d, kind, id, identity_hash(kind, id));

    return f.identity && !(f.identity->flags & IDENTITY_GONE) ? f.identity->slot : SNAP_NONE;
}

/* ---- entities ---- */

static bool same(const struct identity_found *f, const struct snapshot *s, const struct entity *en)
{
    const struct identity *a = f->identity, *b = &en->it;

    return a->id_n == b->id_n && a->name_n == b->name_n && a->alias_n == b->alias_n &&
           a->role == b->role && a->flags == b->flags && a->team == b->team && a->user == b->user &&
           a->member == b->member && a->organization == b->organization &&
           a->project == b->project && a->successor == b->successor &&
           a->expires_us == b->expires_us && a->budget_reset_us == b->budget_reset_us &&
           str_eq(identity_text(f->s, a, 0, (uint32_t)a->id_n + a->name_n + a->alias_n),
                  identity_text(s, b, 0, (uint32_t)b->id_n + b->name_n + b->alias_n)) &&
           rules_equal(f->s, f->rules, s, &en->rules);
}

/* A member that was not there: keys may belong to it. */
static enum errc member_is_new(struct directory *d, const struct identity *it, struct err *e)
{
    if (d->n_new_members == d->cap_new_members) {
        uint32_t cap = d->cap_new_members * 2 + 16;
        struct member_pair *more = realloc(d->new_members, cap * sizeof *more);
        if (!more)
            return err_set(e, ERRC_NOMEM, 0, "members");
        d->new_members = more;
        d->cap_new_members = cap;
    }
    d->new_members[d->n_new_members++] = (struct member_pair){it->team, it->user, it->slot};
    return ERRC_OK;
}

static enum errc entity_apply(struct directory *d, struct entity *en, struct err *e)
{
    struct snapshot *texts = &d->entity.texts;
    enum identity_kind kind = (enum identity_kind)en->it.kind;
    struct str id = identity_text(texts, &en->it, 0, en->it.id_n);
    uint32_t hash = identity_hash(kind, id);
    struct identity_found f = current(d, kind, id, hash);
    bool is_gone = en->it.flags & IDENTITY_GONE;
    bool was_there = f.identity && !(f.identity->flags & IDENTITY_GONE);
    enum errc rc = ERRC_OK;

    if (is_gone && !was_there)
        return ERRC_OK;
    if (was_there && same(&f, texts, en)) {
        en->it.slot = f.identity->slot;
    } else {
        rc = slot_of(d, kind, id, hash, &en->it.slot, e);
        if (!rc && is_gone)
            rc = put_gone(d, kind, id, en->it.slot, e);
        else if (!rc)
            rc = put(d, texts, &en->it, image_rules(target(d), texts, &en->rules), e);
        if (!rc && kind == IDENTITY_MEMBER && !was_there && !d->staging)
            rc = member_is_new(d, &en->it, e);
    }
    if (rc)
        return rc;
    *(d->staging ? &d->staged_live : &d->live) += (uint64_t)!is_gone - (uint64_t)was_there;
    const struct directory_spend spend = {en->spend_nusd, en->it.budget_reset_us, !was_there};
    if (!is_gone && d->o.counters.know)
        d->o.counters.know(d->o.counters.ctx, en->it.slot, &spend);
    return ERRC_OK;
}

enum errc directory_apply(struct directory *d, const Weir__Entity *en, struct err *e)
{
    struct entity read;
    struct str name;

    if (document_name(en, &name))
        return documents_apply(d->staging ? &d->staged_documents : &d->documents, en, e);
    enum errc rc = entity_read(d, en, &read, e);
    return rc ? rc : entity_apply(d, &read, e);
}

/* ---- full syncs ---- */

void directory_abandon(struct directory *d)
{
    image_deinit(&d->staged);
    documents_deinit(&d->staged_documents);
    d->staging = false;
    d->staged_live = 0;
}

enum errc directory_full(struct directory *d, struct err *e)
{
    directory_abandon(d);
    image_init(&d->staged, false);
    if (d->staged.failed)
        return err_set(e, ERRC_NOMEM, 0, "a full sync");
    if (d->base)
        image_reserve(&d->staged, d->base->identity->identities.n, 0);
    d->staging = true;
    return ERRC_OK;
}

/* ---- bases ---- */

static struct identity_header numbers(struct directory *d, struct directory_revision r)
{
    return (struct identity_header){
        .n = ++d->n, .epoch = r.epoch, .revision = r.n, .numbering = d->numbering};
}

/* Takes both. What was changed is kept where the new base does not have it. */
static void base_replace(struct directory *d, struct snapshot *take_base, int take_fd,
                         struct image *take_changes)
{
    d->base = snapshot_unref(d->base);
    d->base = take_base;
    if (d->base_fd >= 0)
        (void)close(d->base_fd);
    d->base_fd = take_fd;
    image_deinit(&d->changes);
    d->changes = *take_changes;
    d->bases++;
    d->base_untold = true;
    d->dirty = true;
}

/* Seals `m` as the new base. */
static enum errc base_seal(struct directory *d, struct image *m, struct directory_revision r,
                           struct err *e)
{
    struct identity_header h = numbers(d, r);
    struct snapshot *base;
    struct image changes;
    int fd;

    h.base = h.n;
    enum errc rc = image_seal(m, &h, MAX(d->slots.next, 1), &fd, e);
    if (rc)
        return rc;
    rc = identity_map(&base, fd, 0, e);
    image_init(&changes, true);
    if (!rc && changes.failed)
        rc = err_set(e, ERRC_NOMEM, 0, "changes");
    if (rc) {
        (void)close(fd);
        image_deinit(&changes);
        return rc;
    }
    d->merge.stale = true;
    base_replace(d, base, fd, &changes);
    return slots_release_unused(d, e);
}

static enum errc seal_staged(struct directory *d, struct directory_revision r, struct err *e)
{
    enum errc rc = members_fill_staged(d, e);

    if (!rc)
        rc = base_seal(d, &d->staged, r, e);
    if (rc)
        return rc;
    documents_deinit(&d->documents);
    d->staged_documents.changes = d->documents.changes + 1;
    d->documents = d->staged_documents;
    d->staged_documents = (struct documents){0};
    d->live = d->staged_live;
    d->n_new_members = 0;
    directory_abandon(d);
    return ERRC_OK;
}

/* What was changed after the merge began. */
static void changes_after(const struct directory *d, uint64_t stamp, struct image *ret)
{
    const struct image *from = &d->changes;

    image_init(ret, true);
    for (uint32_t i = 0; i < from->n_entries; i++) {
        const struct identity *it = &from->entries[i];
        if (from->stamps[i] <= stamp)
            continue;
        uint32_t rules = image_rules(ret, &from->texts, &from->rules[it->rules]);
        (void)image_put(ret, &from->texts, it, rules, from->stamps[i]); /* failure sticks */
    }
}

/* A merge that ended: its base is the one from now on. A failure only leaves the overlay large. */
static void merge_adopt(struct directory *d)
{
    struct merge *m = &d->merge;
    struct snapshot *base = NULL;
    struct image changes = {0};

    merge_wait(m);
    if (!m->rc && !m->stale)
        m->rc = identity_map(&base, m->ret_fd, 0, &m->e);
    if (!m->rc && !m->stale) {
        changes_after(d, m->stamp, &changes);
        if (changes.failed)
            m->rc = err_set(&m->e, ERRC_NOMEM, 0, "changes");
    }
    if (m->rc || m->stale) {
        if (m->rc)
            log_warn("merge_failed", "error=\"%s\" consequence=\"tried again\"", m->e.msg);
        (void)snapshot_unref(base);
        image_deinit(&changes);
        if (m->ret_fd >= 0)
            (void)close(m->ret_fd);
    } else {
        base_replace(d, base, m->ret_fd, &changes);
        if (slots_release_unused(d, &m->e))
            log_warn("slots_kept", "error=\"%s\" consequence=\"until the next base\"", m->e.msg);
    }
    m->ret_fd = -1;
}

static void merge_begin(struct directory *d)
{
    struct merge *m = &d->merge;
    uint32_t n = d->base->identity->identities.n;
    struct err e;

    if (m->running || (d->changes.n_entries < MAX((uint32_t)MERGE_ENTRIES, n / MERGE_SHARE) &&
                       d->changes.texts.size < MERGE_TEXTS))
        return;
    m->base = snapshot_ref(d->base);
    m->overlay = snapshot_ref(d->overlay);
    m->slots = d->slots.next;
    m->n = ++d->n;
    m->stamp = d->stamp - 1; /* of what the overlay has */
    m->stale = false;
    if (merge_start(m, &e)) {
        log_warn("merge_failed", "error=\"%s\" consequence=\"tried again\"", e.msg);
        m->base = snapshot_unref(m->base);
        m->overlay = snapshot_unref(m->overlay);
    }
}

/* ---- sealing ---- */

static enum errc overlay_seal(struct directory *d, struct directory_revision r, int *ret_fd,
                              struct err *e)
{
    struct identity_header h = numbers(d, r);
    struct snapshot *overlay;
    int fd;

    h.base = d->base->identity->n;
    enum errc rc = image_seal(&d->changes, &h, 0, &fd, e);
    if (rc)
        return rc;
    rc = identity_map(&overlay, fd, h.base, e);
    if (rc) {
        (void)close(fd);
        return rc;
    }
    d->overlay = snapshot_unref(d->overlay);
    d->overlay = overlay;
    *ret_fd = fd;
    return ERRC_OK;
}

/* There is a base, with everything in it that should be. */
static enum errc base_ready(struct directory *d, struct directory_revision r, struct err *e)
{
    enum errc rc;

    if (d->merge.running && atomic_load_explicit(&d->merge.done, memory_order_acquire))
        merge_adopt(d);
    if (d->staging)
        return seal_staged(d, r, e);
    if (d->base)
        return ERRC_OK;
    rc = members_fill(d, e);
    return rc ? rc : base_seal(d, &d->changes, r, e);
}

enum errc directory_seal(struct directory *d, struct directory_revision revision, int *ret_base_fd,
                         int *ret_overlay_fd, struct err *e)
{
    int base_fd = -1, overlay_fd;
    enum errc rc = base_ready(d, revision, e);

    if (!rc)
        rc = members_fill(d, e);
    if (rc)
        return rc;
    *ret_base_fd = *ret_overlay_fd = -1;
    if (!d->dirty && d->overlay && d->revision.epoch == revision.epoch &&
        d->revision.n == revision.n)
        return ERRC_OK;
    if (d->base_untold) {
        base_fd = fcntl(d->base_fd, F_DUPFD_CLOEXEC, 0);
        if (base_fd < 0)
            return err_set(e, ERRC_SYS, errno, "a descriptor of the base");
    }
    rc = overlay_seal(d, revision, &overlay_fd, e);
    if (rc) {
        if (base_fd >= 0)
            (void)close(base_fd);
        return rc;
    }
    d->revision = revision;
    d->dirty = d->base_untold = false;
    d->stamp++;
    merge_begin(d);
    *ret_base_fd = base_fd;
    *ret_overlay_fd = overlay_fd;
    return ERRC_OK;
}

/* ---- what another link sealed ---- */

static void changes_from(struct image *m, const struct snapshot *s, uint64_t stamp)
{
    const struct identity_header *h = s->identity;

    image_init(m, true);
    for (uint32_t i = 0; i < h->identities.n; i++) {
        const struct identity *it = SNAP_AT(s, h->identities, struct identity, i);
        const struct identity_rules *r =
            it ? SNAP_AT(s, h->rules, struct identity_rules, it->rules) : NULL;
        if (r)
            (void)image_put(m, s, it, image_rules(m, s, r), stamp); /* failure sticks */
    }
}

static uint64_t count_live(const struct directory *d)
{
    const struct snapshot *s = d->base;
    uint64_t n = 0;

    for (uint32_t i = 0; i < s->identity->identities.n; i++) {
        const struct identity *it = SNAP_AT(s, s->identity->identities, struct identity, i);
        n += it && !(it->flags & IDENTITY_GONE) && !identity_of_slot(d->overlay, it->slot);
    }
    for (uint32_t i = 0; i < d->changes.n_entries; i++)
        n += !(d->changes.entries[i].flags & IDENTITY_GONE);
    return n;
}

enum errc directory_install(struct directory *d, struct snapshot *take_base, int take_base_fd,
                            struct snapshot *take_overlay, struct err *e)
{
    struct image changes;

    changes_from(&changes, take_overlay, d->stamp);
    if (changes.failed) {
        image_deinit(&changes);
        (void)snapshot_unref(take_base);
        (void)snapshot_unref(take_overlay);
        (void)close(take_base_fd);
        return err_set(e, ERRC_NOMEM, 0, "changes");
    }
    d->merge.stale = true;
    d->overlay = snapshot_unref(d->overlay);
    d->overlay = take_overlay;
    d->stamp++;
    d->n = MAX(d->n, take_overlay->identity->n);
    d->counted = d->counted && d->numbering == take_overlay->identity->numbering;
    d->numbering = take_overlay->identity->numbering;
    slots_begin(d);
    base_replace(d, take_base, take_base_fd, &changes);
    d->live = count_live(d);
    return slots_rebuild(d, e);
}

enum errc directory_adopt(struct directory *d, int base_fd, int overlay_fd, struct err *e)
{
    struct directory_revision had = d->revision;
    struct snapshot *base, *overlay;
    enum errc rc = identity_map(&base, base_fd, 0, e);

    if (rc)
        return rc;
    rc = identity_map(&overlay, overlay_fd, base->identity->n, e);
    if (rc)
        return (void)snapshot_unref(base), rc;
    int fd = fcntl(base_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        rc = err_set(e, ERRC_SYS, errno, "a descriptor of the base");
        (void)snapshot_unref(base);
        (void)snapshot_unref(overlay);
        return rc;
    }
    const struct identity_header *h = overlay->identity;
    struct directory_revision theirs = {h->epoch, h->revision};
    rc = directory_install(d, base, fd, overlay, e);
    if (rc)
        return rc;
    d->dirty = d->base_untold = false; /* workers have both */
    d->revision = theirs;
    if (had.epoch != theirs.epoch)
        d->revision = (struct directory_revision){0}; /* documents of another time, or none */
    else
        d->revision.n = MIN(had.n, theirs.n);
    return ERRC_OK;
}
