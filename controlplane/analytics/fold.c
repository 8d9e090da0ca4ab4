#include "analytics/fold.h"

#include "common/clock.h"

#include "analytics/range.h"

enum {
    CHUNK = 256,
    CHUNKS_MAX = 4096,
    NONE = UINT32_MAX,
    TOP = BIT(31), /* the parent is a dimension of a day, not a bucket */
};

/* Sums under one name: in a dimension of a day, or of a key in another bucket. */
struct bucket {
    struct metrics m;
    uint32_t name;        /* of names */
    uint32_t next;        /* of the same parent */
    uint32_t first, last; /* by key */
};

struct name {
    struct str text, json[DIMS]; /* what fold_describe() said */
    uint8_t dims;                /* as bits: where it occurs */
};

struct day {
    struct str date;
    struct metrics m;
    uint32_t first[DIMS], last[DIMS];
};

/* Open addressing from mixed(key) on, never more than half full; a key is not 0. */
struct table {
    struct slot {
        uint64_t key;
        uint32_t value;
    } * slots;
    size_t n, cap;
};

struct fold {
    struct arena *arena;
    uint64_t seed;
    struct metrics total;
    struct table days, names, buckets;
    struct day *day;
    struct name *name;
    size_t n_days, cap_days, n_names, cap_names;
    struct bucket *chunk[CHUNKS_MAX];
    size_t n_buckets;
};

static const struct str dim_members[DIMS] = {
    [DIM_MODEL] = STR_INIT("models"),       [DIM_MODEL_GROUP] = STR_INIT("model_groups"),
    [DIM_PROVIDER] = STR_INIT("providers"), [DIM_ENDPOINT] = STR_INIT("endpoints"),
    [DIM_MCP] = STR_INIT("mcp_servers"),    [DIM_ENTITY] = STR_INIT("entities"),
    [DIM_KEY] = STR_INIT("api_keys"),
};

/* ---- names of buckets ---- */

struct str key_bucket(struct arena *a, struct str key)
{
    if (!key.n)
        return STR("unattributed");
    if (str_eq(key, STR("unattributed")) || str_starts(key, STR("raw:")))
        return arena_printf(a, "raw:" STR_FMT, STR_ARG(key));
    return key;
}

struct str key_of_bucket(struct str name)
{
    if (str_eq(name, STR("unattributed")))
        return STR("");
    return str_starts(name, STR("raw:")) ? str_from(name, 4) : name;
}

/* The name of what has none; empty: it is left out. */
static struct str unnamed(enum fold_dim dim, const struct fold_row *row)
{
    switch (dim) {
    case DIM_MODEL:
        return STR("unknown-model");
    case DIM_MODEL_GROUP:
        return row->dim[DIM_MODEL].n ? row->dim[DIM_MODEL] : STR("unknown-model-group");
    case DIM_PROVIDER:
        return STR("unknown");
    case DIM_ENTITY:
        return STR("Unassigned");
    case DIM_ENDPOINT:
    case DIM_MCP:
    case DIM_KEY: /* key_bucket() */
    case DIMS:
        break;
    }
    return (struct str){0};
}

/* ---- tables ---- */

static uint64_t mixed(uint64_t h)
{
    h = (h ^ (h >> 32)) * UINT64_C(0x9fb21c651e98df25);
    return h ^ (h >> 29);
}

static bool table_grow(struct table *t, struct arena *a)
{
    struct table more = {.n = t->n, .cap = t->cap ? 2 * t->cap : 64};

    more.slots = arena_zalloc(a, more.cap * sizeof *more.slots);
    if (!more.slots)
        return false;
    for (size_t i = 0; i < t->cap; i++) {
        size_t at = mixed(t->slots[i].key) & (more.cap - 1);
        if (!t->slots[i].key)
            continue;
        while (more.slots[at].key)
            at = (at + 1) & (more.cap - 1);
        more.slots[at] = t->slots[i];
    }
    *t = more;
    return true;
}

/* The first slot of that key at or behind *at, or a free one; NULL without memory. */
static struct slot *table_slot(struct table *t, struct arena *a, uint64_t key, size_t *at)
{
    if (2 * t->n >= t->cap && !table_grow(t, a))
        return NULL;
    *at &= t->cap - 1;
    while (t->slots[*at].key && t->slots[*at].key != key)
        *at = (*at + 1) & (t->cap - 1);
    return &t->slots[*at];
}

/* An array of `n` elements with room for one more; NULL without memory. */
static void *with_room(struct arena *a, void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t more = *cap ? 2 * *cap : 64;
    char *bigger = arena_alloc(a, more * size);
    if (!bigger)
        return NULL;
    if (n)
        memcpy(bigger, array, n * size);
    *cap = more;
    return bigger;
}

static uint32_t name_id(struct fold *f, struct str text)
{
    uint64_t hash = str_hash(text, f->seed) | 1;
    size_t at = mixed(hash);
    struct slot *s;

    while ((s = table_slot(&f->names, f->arena, hash, &at)) && s->key) {
        if (str_eq(f->name[s->value].text, text))
            return s->value;
        at++;
    }
    struct name *names =
        s ? with_room(f->arena, f->name, f->n_names, &f->cap_names, sizeof *names) : NULL;
    if (!names)
        return NONE;
    f->name = names;
    names[f->n_names] = (struct name){.text = arena_str(f->arena, text)};
    *s = (struct slot){hash, (uint32_t)f->n_names};
    f->names.n++;
    return (uint32_t)f->n_names++;
}

static struct name *name_known(const struct fold *f, struct str text)
{
    uint64_t hash = str_hash(text, f->seed) | 1;

    if (!f->names.cap)
        return NULL;
    for (size_t at = mixed(hash) & (f->names.cap - 1); f->names.slots[at].key;
         at = (at + 1) & (f->names.cap - 1)) {
        const struct slot *s = &f->names.slots[at];
        if (s->key == hash && str_eq(f->name[s->value].text, text))
            return &f->name[s->value];
    }
    return NULL;
}

static struct bucket *bucket_at(const struct fold *f, uint32_t i)
{
    return &f->chunk[i / CHUNK][i % CHUNK];
}

static uint32_t bucket_new(struct fold *f, uint32_t name)
{
    size_t i = f->n_buckets;

    if (i / CHUNK == CHUNKS_MAX) {
        f->arena->failed = true;
        return NONE;
    }
    if (i % CHUNK == 0)
        f->chunk[i / CHUNK] = arena_zalloc(f->arena, CHUNK * sizeof(struct bucket));
    if (!f->chunk[i / CHUNK])
        return NONE;
    f->n_buckets++;
    struct bucket *b = bucket_at(f, (uint32_t)i);
    b->name = name;
    b->next = b->first = b->last = NONE;
    return (uint32_t)i;
}

/* The bucket of `name` under `parent`, whose list begins at *first. */
static uint32_t bucket_of(struct fold *f, uint32_t parent, uint32_t name, uint32_t *first,
                          uint32_t *last)
{
    uint64_t key = ((uint64_t)parent << 32 | name) + 1;
    size_t at = mixed(key);

    /* keys are all different: the first slot of that key is the one */
    struct slot *s = name == NONE ? NULL : table_slot(&f->buckets, f->arena, key, &at);
    if (!s)
        return NONE;
    if (s->key)
        return s->value;
    uint32_t b = bucket_new(f, name);
    if (b == NONE)
        return NONE;
    *s = (struct slot){key, b};
    f->buckets.n++;
    if (*first == NONE)
        *first = b;
    else
        bucket_at(f, *last)->next = b;
    *last = b;
    return b;
}

static uint32_t day_id(struct fold *f, struct str date)
{
    int32_t day;

    if (!day_read(date, &day))
        return NONE; /* a row of nonsense */
    uint64_t key = (uint64_t)(uint32_t)day + 1;
    size_t at = mixed(key);
    struct slot *s = table_slot(&f->days, f->arena, key, &at);
    if (s && s->key)
        return s->value;
    struct day *days =
        s ? with_room(f->arena, f->day, f->n_days, &f->cap_days, sizeof *days) : NULL;
    if (!days)
        return NONE;
    f->day = days;
    struct day *d = &days[f->n_days];
    *d = (struct day){.date = arena_str(f->arena, date)};
    for (int i = 0; i < DIMS; i++)
        d->first[i] = d->last[i] = NONE;
    *s = (struct slot){key, (uint32_t)f->n_days};
    f->days.n++;
    return (uint32_t)f->n_days++;
}

/* ---- adding ---- */

static void add_key(struct fold *f, uint32_t parent, uint32_t key, const struct metrics *m)
{
    struct bucket *b = bucket_at(f, parent);
    uint32_t first = b->first, last = b->last;
    uint32_t of_key = bucket_of(f, parent, key, &first, &last);

    b->first = first;
    b->last = last;
    if (of_key != NONE)
        metrics_add(&bucket_at(f, of_key)->m, m);
}

static void add_dim(struct fold *f, uint32_t day, enum fold_dim dim, const struct fold_row *row,
                    uint32_t key, unsigned parts)
{
    struct str text = row->dim[dim].n ? row->dim[dim] : unnamed(dim, row);
    unsigned whole = dim == DIM_ENTITY ? FOLD_ENTITY : FOLD_DIMS;
    unsigned by_key = dim == DIM_ENTITY ? FOLD_ENTITY_KEY : FOLD_KEYS;
    struct day *d = &f->day[day];

    if (!text.n || !(parts & (whole | by_key)))
        return;
    uint32_t name = name_id(f, text);
    uint32_t b = bucket_of(f, TOP | (day * DIMS + dim), name, &d->first[dim], &d->last[dim]);
    if (b == NONE)
        return;
    f->name[name].dims |= (uint8_t)BIT(dim);
    if (parts & whole)
        metrics_add(&bucket_at(f, b)->m, &row->m);
    if (parts & by_key)
        add_key(f, b, key, &row->m);
}

static void add_to_day_key(struct fold *f, uint32_t day, uint32_t key, const struct metrics *m)
{
    struct day *d = &f->day[day];
    uint32_t b =
        bucket_of(f, TOP | (day * DIMS + DIM_KEY), key, &d->first[DIM_KEY], &d->last[DIM_KEY]);

    if (b == NONE)
        return;
    metrics_add(&bucket_at(f, b)->m, m);
}

void fold_add(struct fold *f, const struct fold_row *row, unsigned parts)
{
    uint32_t day = day_id(f, row->date), key = NONE;

    if (day == NONE)
        return;
    if (parts & FOLD_DAY) {
        metrics_add(&f->total, &row->m);
        metrics_add(&f->day[day].m, &row->m);
    }
    if (parts & (FOLD_KEYS | FOLD_ENTITY_KEY)) {
        key = name_id(f, key_bucket(f->arena, row->dim[DIM_KEY]));
        if (key == NONE)
            return;
        f->name[key].dims |= (uint8_t)BIT(DIM_KEY);
    }
    for (enum fold_dim dim = 0; dim < DIM_KEY; dim++)
        add_dim(f, day, dim, row, key, parts);
    if (parts & FOLD_KEYS)
        add_to_day_key(f, day, key, &row->m);
}

struct fold *fold_new(struct arena *a)
{
    struct fold *f = arena_zalloc(a, sizeof *f);

    if (!f)
        return NULL;
    f->arena = a;
    f->seed = mixed(clock_mono_ns()); /* names come from clients */
    return f;
}

/* ---- asking ---- */

const struct metrics *fold_total(const struct fold *f)
{
    return &f->total;
}

size_t fold_names(const struct fold *f, enum fold_dim dim, const struct str **ret_names)
{
    struct str *out = arena_alloc(f->arena, (f->n_names + 1) * sizeof *out);
    size_t n = 0;

    for (size_t i = 0; out && i < f->n_names; i++)
        if (f->name[i].dims & BIT(dim))
            out[n++] = f->name[i].text;
    *ret_names = out;
    return n;
}

void fold_describe(struct fold *f, enum fold_dim dim, struct str name, struct str json)
{
    struct name *n = name_known(f, name);

    if (n)
        n->json[dim] = arena_str(f->arena, json);
}

static struct str description(const struct name *n, enum fold_dim dim)
{
    return n && n->json[dim].n ? n->json[dim] : STR("{}");
}

/* ---- writing ---- */

static void put_metrics(struct jw *w, const struct metrics *m)
{
    jw_key(w, STR("metrics"));
    jw_obj(w);
    metrics_put(w, m);
    jw_end(w);
}

/* Its member, still open. */
static void bucket_begin(struct jw *w, const struct fold *f, const struct bucket *b,
                         enum fold_dim dim)
{
    jw_key(w, f->name[b->name].text);
    jw_obj(w);
    put_metrics(w, &b->m);
    jw_key(w, STR("metadata"));
    jw_put_raw(w, description(&f->name[b->name], dim));
}

static void put_keys(struct jw *w, const struct fold *f, uint32_t first)
{
    jw_obj(w);
    for (uint32_t i = first; i != NONE; i = bucket_at(f, i)->next) {
        const struct bucket *b = bucket_at(f, i);
        bucket_begin(w, f, b, DIM_KEY);
        jw_end(w);
    }
    jw_end(w);
}

static void put_dim(struct jw *w, const struct fold *f, enum fold_dim dim, uint32_t first)
{
    jw_obj(w);
    for (uint32_t i = first; i != NONE; i = bucket_at(f, i)->next) {
        const struct bucket *b = bucket_at(f, i);
        bucket_begin(w, f, b, dim);
        jw_key(w, STR("api_key_breakdown"));
        put_keys(w, f, b->first);
        jw_end(w);
    }
    jw_end(w);
}

static void put_day(struct jw *w, const struct fold *f, const struct day *d)
{
    jw_obj(w);
    jw_key(w, STR("date"));
    jw_put_str(w, d->date);
    put_metrics(w, &d->m);
    jw_key(w, STR("breakdown"));
    jw_obj(w);
    for (enum fold_dim dim = 0; dim < DIMS; dim++) {
        jw_key(w, dim_members[dim]);
        if (dim == DIM_KEY)
            put_keys(w, f, d->first[dim]);
        else
            put_dim(w, f, dim, d->first[dim]);
    }
    jw_key(w, STR("guardrails")); /* their units are not priced here */
    jw_put_raw(w, STR("{}"));
    jw_end(w);
    jw_end(w);
}

static int by_date_desc(const void *a, const void *b)
{
    const struct day *const *x = a, *const *y = b;

    return memcmp((*y)->date.p, (*x)->date.p, DATE_TEXT);
}

void fold_put_days(struct jw *w, const struct fold *f)
{
    const struct day **days = arena_alloc(f->arena, (f->n_days + 1) * sizeof *days);

    if (!days)
        return;
    for (size_t i = 0; i < f->n_days; i++)
        days[i] = &f->day[i];
    if (f->n_days)
        qsort(days, f->n_days, sizeof *days, by_date_desc);
    for (size_t i = 0; i < f->n_days; i++)
        put_day(w, f, days[i]);
}
