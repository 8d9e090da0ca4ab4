#include "link/totals.h"

#include "common/clock.h"
#include "common/log.h"

#include "link/name_file.h"
#include "snapshot/identity.h"

enum {
    RECORD_ARENA = 256 * 1024,
    UNKNOWN = 1, /* a position before all others: what happened since nobody can tell */
    HASH_HEX = 2 * IDENTITY_HASH,
    ID_MAX = 2048, /* of a member: team and user */
};

#define FRESH_NS UINT64_C(60000000000) /* a control plane keeps what was spent for longer */

static uint32_t wall_s(int64_t us)
{
    return us > 0 ? (uint32_t)MIN(us / 1000000, (int64_t)UINT32_MAX) : 0;
}

/* ---- entities ---- */

static void know(void *ctx, uint32_t slot, const struct directory_spend *s)
{
    struct totals *t = ctx;
    uint32_t now_s = wall_s(clock_wall_us());

    if (t->is_exact && !s->is_new) { /* its sum came, or comes, with its place */
        counter_told_period(t->counters, slot, wall_s(s->reset_us), now_s);
        return;
    }
    const struct told told = {s->spend_nusd, wall_s(s->reset_us), t->is_exact};
    counter_told(t->counters, slot, &told, now_s);
}

static int64_t known(void *ctx, uint32_t slot)
{
    const struct totals *t = ctx;
    const struct counter *n = counters_peek(t->counters, slot);

    return n ? atomic_load_explicit(&n->known_nusd, memory_order_relaxed) : 0;
}

static void clear(void *ctx, uint32_t slot)
{
    const struct totals *t = ctx;

    counters_clear(t->counters, slot);
}

static void forget(void *ctx, uint64_t numbering)
{
    const struct totals *t = ctx;
    struct counters_header *h = t->counters->header;

    if (h && atomic_load(&h->numbering) != numbering)
        counters_forget(t->counters, numbering);
}

struct directory_counters totals_counters(struct totals *t)
{
    return (struct directory_counters){t, know, known, clear, forget};
}

/* ---- records ---- */

static struct str bytes_str(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}

/* The id of a member: team, NUL, user. Empty: too long to be one. */
static struct str member_id(char out[ID_MAX], struct str team, struct str user)
{
    if (!team.n || !user.n || team.n + user.n + 1 > ID_MAX)
        return (struct str){0};
    memcpy(out, team.p, team.n);
    out[team.n] = '\0';
    memcpy(out + team.n + 1, user.p, user.n);
    return (struct str){out, team.n + 1 + user.n};
}

static struct str key_hash(char out[IDENTITY_HASH], struct str hex)
{
    static const char digits[] = "0123456789abcdef";

    if (hex.n != HASH_HEX)
        return (struct str){0};
    for (size_t i = 0; i < HASH_HEX; i++) {
        const char *d = memchr(digits, hex.p[i], 16);
        if (!d)
            return (struct str){0};
        out[i / 2] = (char)((unsigned char)out[i / 2] << 4 | (d - digits));
    }
    return (struct str){out, IDENTITY_HASH};
}

struct take { /* of one record: what is taken from slot after slot */
    struct totals *t;
    struct directory *d;
    int64_t nusd;
    uint32_t end_s, at;
};

/*
 * A link that is killed between the two lines has this one slot count the record once too often,
 * until the period ends; the other order would have it count too little.
 */
static void take_one(struct take *k, enum identity_kind kind, struct str id)
{
    _Atomic uint32_t *taken = &k->t->counters->header->place.taken;
    uint32_t slot = id.n ? directory_slot_known(k->d, kind, id) : SNAP_NONE;

    if (slot == SNAP_NONE || k->at++ < atomic_load_explicit(taken, memory_order_relaxed))
        return;
    atomic_store_explicit(taken, k->at, memory_order_relaxed);
    counter_taken(k->t->counters, slot, k->nusd, k->end_s);
}

/* What a worker charged with it (policy/limits.c). */
static void take_all(struct take *k, const Weir__UsageRecord *r)
{
    char hash[IDENTITY_HASH], member[ID_MAX];
    struct str team = bytes_str(r->team), user = bytes_str(r->user);

    take_one(k, IDENTITY_KEY, key_hash(hash, bytes_str(r->key)));
    take_one(k, IDENTITY_USER, user);
    take_one(k, IDENTITY_TEAM, team);
    take_one(k, IDENTITY_MEMBER, member_id(member, team, user));
    take_one(k, IDENTITY_END_USER, bytes_str(r->end_user));
    take_one(k, IDENTITY_PROJECT, bytes_str(r->project));
    take_one(k, IDENTITY_ORGANIZATION, bytes_str(r->organization));
    for (size_t i = 0; i < r->n_tags; i++)
        take_one(k, IDENTITY_TAG, bytes_str(r->tags[i]));
    for (size_t i = 0; i < r->n_budget_groups; i++)
        take_one(k, IDENTITY_GROUP_BUDGET, bytes_str(r->budget_groups[i]));
}

static void *in_arena(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void stays(void *arena, void *p)
{
    (void)arena; /* freed whole */
    (void)p;
}

static void take_record(struct totals *t, struct directory *d, struct str body)
{
    ProtobufCAllocator allocator = {.alloc = in_arena, .free = stays, .allocator_data = &t->arena};
    Weir__UsageRecord *r = weir__usage_record__unpack(&allocator, body.n, (const uint8_t *)body.p);
    bool counts =
        r && arena_ok(&t->arena) && r->cost_nusd > 0 && r->end_us >= t->counters->header->since_us;

    if (counts) {
        struct take k = {t, d, r->cost_nusd, wall_s(r->end_us), 0};
        take_all(&k, r);
    }
    arena_reset(&t->arena);
}

/* ---- the place ---- */

static struct spool_place place_get(const struct totals *t)
{
    const struct counters_place *p = &t->counters->header->place;

    return (struct spool_place){atomic_load_explicit(&p->segment, memory_order_relaxed),
                                atomic_load_explicit(&p->offset, memory_order_relaxed)};
}

static void place_set(struct totals *t, struct spool_place at)
{
    struct counters_place *p = &t->counters->header->place;

    /* of a link killed in between the next one looks at a place where no record begins, and goes
     * on at the next that does */
    atomic_store_explicit(&p->segment, at.segment, memory_order_relaxed);
    atomic_store_explicit(&p->offset, at.offset, memory_order_relaxed);
    atomic_store_explicit(&p->taken, 0, memory_order_relaxed);
}

/* The records of a batch, one by one, the place behind each. */
static void take_batch(struct totals *t, struct directory *d, const struct spool_batch *b)
{
    struct spool_place at = b->from;
    struct spool_entry en;
    size_t done = 0, len;

    if (spool_place_cmp(at, place_get(t)) != 0)
        place_set(t, at);
    while (spool_record_read((const unsigned char *)b->records.p + done, b->records.n - done, &en,
                             &len)) {
        if (en.type == SPOOL_USAGE)
            take_record(t, d, en.body);
        done += len;
        at.offset += len;
        place_set(t, at);
    }
    place_set(t, b->next);
}

/* Takes what lies before `to`. What cannot be read stays added: too much rather than too little. */
static void take_until(struct totals *t, struct directory *d, struct spool_place to)
{
    struct spool_batch b;
    struct err e;
    bool any = true;

    if (!t->buffer && !(t->buffer = malloc(SPOOL_BATCH_MAX)))
        return;
    if (!t->is_open && spool_reader_init(&t->reader, t->dir, &e))
        return;
    t->is_open = true;
    while (any && spool_place_cmp(place_get(t), to) < 0) {
        if (spool_reader_next(&t->reader, t->buffer, place_get(t), to, &b, &any, &e)) {
            log_warn("totals", "error=\"%s\" consequence=\"some spend counts twice for now\"",
                     e.msg);
            return;
        }
        if (any)
            take_batch(t, d, &b);
    }
}

/* ---- questions and answers ---- */

void totals_ask(struct totals *t, Weir__ChangesSince *m, unsigned char name[TOTALS_NAME])
{
    char path[sizeof t->dir + 8];

    (void)snprintf(path, sizeof path, "%s/name", t->dir);
    if (!t->counters->header || !name_file_read(path, name))
        return; /* no spool yet: sums as entities come */
    uint64_t position = atomic_load(&t->counters->header->position);
    m->spool = (ProtobufCBinaryData){TOTALS_NAME, name};
    bool is_fresh = t->fresh_ns && clock_mono_ns() - t->fresh_ns < FRESH_NS;
    if (t->fresh_ns && !is_fresh)
        position = 0; /* it is of before */
    m->totals = is_fresh ? 0 : position ? position : (uint64_t)UNKNOWN;
}

static void told_one(struct totals *t, struct directory *d, const Weir__Total *one, uint32_t now_s)
{
    static const enum identity_kind kinds[] = {
        [1] = IDENTITY_KEY,      [2] = IDENTITY_TEAM,         [3] = IDENTITY_USER,
        [4] = IDENTITY_MEMBER,   [5] = IDENTITY_ORGANIZATION, [6] = IDENTITY_PROJECT,
        [7] = IDENTITY_END_USER, [8] = IDENTITY_TAG,          [14] = IDENTITY_GROUP_BUDGET,
    };
    char member[ID_MAX];
    struct str id = bytes_str(one->id);

    if (one->kind >= ARRAY_LEN(kinds) || (!kinds[one->kind] && one->kind != 1))
        return; /* a newer control plane's */
    enum identity_kind kind = kinds[one->kind];
    if (kind == IDENTITY_MEMBER)
        id = member_id(member, id, bytes_str(one->user));
    if (!id.n || (kind == IDENTITY_KEY && id.n != IDENTITY_HASH))
        return;
    uint32_t slot = directory_slot_known(d, kind, id);
    const struct told told = {one->spend_nusd, wall_s(one->reset_us), true};
    if (slot != SNAP_NONE)
        counter_told(t->counters, slot, &told, now_s);
}

void totals_told(struct totals *t, struct directory *d, const Weir__Changes *c)
{
    uint32_t now_s = wall_s(clock_wall_us());

    if (!c->totals_to || !t->counters->header)
        return;
    for (size_t i = 0; i < c->n_totals; i++)
        told_one(t, d, c->totals[i], now_s);
    if (c->has_place)
        take_until(t, d, (struct spool_place){c->segment, c->offset});
    atomic_store(&t->counters->header->position, c->totals_to);
    t->fresh_ns = 0;
}

void totals_full(struct totals *t, uint64_t began_ns)
{
    t->fresh_ns = began_ns;
}

void totals_session(struct totals *t, bool tells)
{
    t->is_exact = tells;
}

void totals_init(struct totals *t, const struct counters *counters, const char *state_dir)
{
    *t = (struct totals){.counters = counters};
    (void)snprintf(t->dir, sizeof t->dir, "%s/spool", state_dir); /* cut: there is none */
    arena_init(&t->arena, NULL, RECORD_ARENA);
}

void totals_deinit(struct totals *t)
{
    if (t->is_open)
        spool_reader_deinit(&t->reader);
    arena_reset(&t->arena);
    t->is_open = false;
    free(TAKE(t->buffer));
}
