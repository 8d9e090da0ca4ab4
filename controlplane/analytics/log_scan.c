/* Packed entries looked through: how many match, and which of them are near a page. */

#include <math.h>
#include <stdlib.h>

#include "analytics/log_packed.h"

enum {
    BLOCKS_AT_ONCE = 4,
    PARTS_AT_ONCE = 64,
};

/* ---- how many match ---- */

/* Entries as they lie in a block, or a part of them. */
struct slice {
    const char *codes, *places; /* NULL: they tell nothing */
    bool is_short;              /* codes of 2 bytes, else of 4 */
};

/* False: that is not so many. */
static bool slice_of(struct slice *ret, struct str codes, struct str places, size_t n)
{
    *ret = (struct slice){codes.p, places.p, codes.n == 2 * n};
    return (!codes.p || codes.n == 2 * n || codes.n == 4 * n) && (!places.p || places.n == 4 * n);
}

static int kind_of(const struct packed *p, const struct slice *e, uint32_t i)
{
    if (!e->codes)
        return 0;
    uint32_t code = e->is_short ? packed_u16(e->codes, i) : packed_u32(e->codes, i);
    return code < p->n_kinds ? p->kinds[code] : -1;
}

static bool is_within(const struct source *o, const struct slice *e, uint32_t i)
{
    if (!e->places)
        return true;
    uint32_t place = packed_u32(e->places, i);
    return place >= o->first && place < o->last &&
           (!o->chosen || (place < o->n && o->chosen[place / 8] >> place % 8 & 1));
}

static uint32_t count(const struct packed *p, const struct source *o, const struct slice *e,
                      uint32_t first, uint32_t end)
{
    uint32_t n = 0;

    if (!e->codes && !e->places)
        return end - first;
    for (uint32_t i = first; i < end; i++)
        n += is_within(o, e, i) && kind_of(p, e, i) >= 0; /* few are chosen */
    return n;
}

static void add_part(struct packed *p, struct log_part part)
{
    if (part.found)
        p->parts[p->n_parts++] = part;
}

/* Between two marks, or a mark and the end of those with a value. */
static void add_parts(struct packed *p, uint32_t at, const struct slice *e, const char *marks,
                      const char *starts, uint32_t n_null)
{
    const struct source *o = &p->sources[at];
    uint32_t n_some = o->n - n_null;

    for (uint32_t first = 0, end; first < o->n; first = end) {
        bool is_null = first >= n_some;
        uint32_t n = is_null ? o->n : n_some, mark = first / PACKED_MARK;
        end = MIN((mark + 1) * PACKED_MARK, n);
        double low = packed_num(marks, mark);
        double high = end < n ? packed_num(marks, mark + 1) : HUGE_VAL;
        int64_t from = first % PACKED_MARK ? 0 : packed_i(packed_u32(starts, mark));
        int64_t to = end < n ? packed_i(packed_u32(starts, mark + 1)) : INT64_MAX;
        struct log_part part = {.source = at, .first = first, .n = end - first};
        part.found = count(p, o, e, first, end);
        part.begin = packed_key(p, p->q->asc ? low : high, is_null, at, p->q->asc ? from : to);
        part.end = packed_key(p, p->q->asc ? high : low, is_null, at, p->q->asc ? to : from - 1);
        add_part(p, part);
    }
}

/* Each model's; they lie anywhere in the block, in the order of their places. */
static void add_models(struct packed *p, uint32_t at, const struct slice *e)
{
    const struct source *o = &p->sources[at];
    uint32_t *n = arena_zalloc(p->s->arena, (p->n_models + 1) * sizeof *n);

    for (uint32_t i = 0; n && i < o->n; i++) {
        int kind = is_within(o, e, i) ? kind_of(p, e, i) : -1;
        if (kind >= 0)
            n[kind]++;
    }
    for (unsigned k = 0; n && k < p->n_models; k++) {
        bool is_null = p->has_null && k == p->n_models - 1;
        struct log_part part = {.source = at, .n = o->n, .found = n[k], .model = k};
        part.begin = packed_key(p, k, is_null, at, p->q->asc ? 0 : INT64_MAX);
        part.end = packed_key(p, k, is_null, at, p->q->asc ? INT64_MAX : -1);
        add_part(p, part);
    }
}

static struct str sort_of(const struct packed *p)
{
    return str_of(log_sort_names[p->by_kind ? LOG_BY_SPEND : p->q->sort]);
}

/* Of a row "n_null, marks, starts, codes, places". */
static bool count_block(struct packed *p, size_t i, struct rows r, int row, void *ctx)
{
    struct str null = rows_text(r, row, 0), marks = rows_text(r, row, 1);
    struct str starts = rows_text(r, row, 2);
    struct str codes = rows_text(r, row, 3), places = rows_text(r, row, 4);
    size_t n = p->sources[p->blocks[i]].n;
    struct slice e;

    (void)ctx;
    if (null.n != 4 || packed_u32(null.p, 0) > n || marks.n != 8 * PACKED_MARKS(n) ||
        starts.n != 4 * PACKED_MARKS(n) || !slice_of(&e, codes, places, n))
        return false;
    if (p->by_kind)
        add_models(p, p->blocks[i], &e);
    else
        add_parts(p, p->blocks[i], &e, marks.p, starts.p, packed_u32(null.p, 0));
    return true;
}

static void count_blocks(struct packed *p)
{
    static const char sql[] =
        "SELECT k.n_null, k.marks, k.starts, CASE WHEN $4 THEN k.codes END,"
        " CASE WHEN b.is_cut THEN k.places END"
        " FROM unnest($1::bigint[], $2::boolean[]) WITH ORDINALITY AS b (id, is_cut, o)"
        " JOIN weir.log_packed k ON k.block = b.id AND k.sort = $3 ORDER BY b.o";
    struct str *cuts = arena_alloc(p->s->arena, (p->n_blocks + 1) * sizeof *cuts);

    for (size_t i = 0; cuts && i < p->n_blocks; i++) {
        const struct source *o = &p->sources[p->blocks[i]];
        cuts[i] = o->first > 0 || o->last < o->n || o->chosen ? STR("t") : STR("f");
    }
    const struct db_arg args[] = {DB_TEXTS(p->ids, p->n_blocks), DB_TEXTS(cuts, p->n_blocks),
                                  DB_TEXT(sort_of(p)), DB_BOOL(p->kinds != NULL)};
    const struct packed_read read = {.sql = sql,
                                     .args = args,
                                     .n_args = ARRAY_LEN(args),
                                     .n = p->n_blocks,
                                     .at_once = BLOCKS_AT_ONCE,
                                     .fn = count_block};

    if (cuts)
        packed_each(p, &read);
}

/* Every entry that is in no block, or late, for itself. */
static void count_live(struct packed *p)
{
    for (size_t i = 0; i < p->n_live; i++) {
        struct log_part part = {.found = 1, .live = &p->live[i]};
        part.begin = part.end = p->live[i].key;
        part.end.i++;
        add_part(p, part);
    }
}

/* ---- the entries near the page ---- */

static int by_key(const void *a, const void *b)
{
    return log_key_cmp(&((const struct hit *)a)->key, &((const struct hit *)b)->key);
}

struct near {
    const struct log_part **parts; /* of blocks */
    size_t n;
    struct hit *hits;
    size_t n_hits, most; /* so many match */
};

/* Of a row "codes, places, vals". */
static bool read_part(struct packed *p, size_t i, struct rows r, int row, void *ctx)
{
    struct near *near = ctx;
    const struct log_part *part = near->parts[i];
    const struct source *o = &p->sources[part->source];
    struct str codes = rows_text(r, row, 0), places = rows_text(r, row, 1);
    struct str vals = rows_text(r, row, 2);
    struct slice e;

    if (!slice_of(&e, codes, places, part->n) || !places.p || !vals.p != p->by_kind ||
        (vals.p && vals.n != (size_t)8 * part->n))
        return false;
    for (uint32_t k = 0; k < part->n; k++) {
        int kind = kind_of(p, &e, k);
        if (kind < 0 || !is_within(o, &e, k) || (p->by_kind && (unsigned)kind != part->model))
            continue;
        if (near->n_hits == near->most)
            return false;
        uint32_t place = packed_u32(places.p, k);
        double value = p->by_kind ? kind : packed_num(vals.p, k);
        near->hits[near->n_hits++] = (struct hit){
            .source = part->source,
            .place = place,
            .key = packed_key(p, value, part->begin.is_null, part->source, packed_i(place))};
    }
    return true;
}

/* Parts of blocks at once: their ids, and which bytes of them. */
static void read_parts(struct packed *p, struct near *near)
{
    static const char sql[] =
        "SELECT CASE WHEN $5 THEN substring(k.codes FROM w.n * u.a + 1 FOR w.n * u.n) END,"
        " substring(k.places FROM 4 * u.a + 1 FOR 4 * u.n),"
        " CASE WHEN $6 THEN substring(k.vals FROM 8 * u.a + 1 FOR 8 * u.n) END"
        " FROM unnest($1::bigint[], $2::integer[], $3::integer[])"
        " WITH ORDINALITY AS u (block, a, n, o)"
        " JOIN weir.log_packed k ON k.block = u.block AND k.sort = $4"
        " CROSS JOIN LATERAL (SELECT 4 * octet_length(k.codes) / octet_length(k.places)) w (n)"
        " ORDER BY u.o";
    struct str *ids = arena_alloc(p->s->arena, 3 * (near->n + 1) * sizeof *ids);
    struct str *firsts = ids + near->n + 1, *sizes = firsts + near->n + 1;

    for (size_t i = 0; ids && i < near->n; i++) {
        ids[i] = p->sources[near->parts[i]->source].id;
        firsts[i] = arena_printf(p->s->arena, "%u", near->parts[i]->first);
        sizes[i] = arena_printf(p->s->arena, "%u", near->parts[i]->n);
    }
    const struct db_arg args[] = {DB_TEXTS(ids, near->n),    DB_TEXTS(firsts, near->n),
                                  DB_TEXTS(sizes, near->n),  DB_TEXT(sort_of(p)),
                                  DB_BOOL(p->kinds != NULL), DB_BOOL(!p->by_kind)};
    const struct packed_read read = {.sql = sql,
                                     .args = args,
                                     .n_args = ARRAY_LEN(args),
                                     .n = near->n,
                                     .at_once = p->by_kind ? BLOCKS_AT_ONCE : PARTS_AT_ONCE,
                                     .fn = read_part,
                                     .ctx = near};

    if (ids && near->n)
        packed_each(p, &read);
}

/* Those of the parts that are near, in their order. */
static struct hit *read_near(struct packed *p, size_t *ret_n)
{
    struct near near = {.parts = arena_alloc(p->s->arena, (p->n_parts + 1) * sizeof *near.parts)};

    *ret_n = 0;
    for (size_t i = 0; i < p->n_parts; i++)
        near.most += p->parts[i].is_near ? p->parts[i].found : 0;
    near.hits = arena_alloc(p->s->arena, (near.most + 1) * sizeof *near.hits);
    if (!near.parts || !near.hits)
        return NULL;
    for (size_t i = 0; i < p->n_parts; i++) {
        const struct log_part *part = &p->parts[i];
        if (part->is_near && part->live)
            near.hits[near.n_hits++] = (struct hit){.key = part->begin, .live = part->live};
        else if (part->is_near)
            near.parts[near.n++] = part;
    }
    read_parts(p, &near);
    if (near.n_hits < near.most)
        packed_fail(p);
    if (!tx_ok(&p->s->tx))
        return NULL;
    qsort(near.hits, near.n_hits, sizeof *near.hits, by_key);
    *ret_n = near.n_hits;
    return near.hits;
}

int64_t packed_scan(struct packed *p, const struct hit **ret, size_t *ret_n)
{
    int64_t total = 0;
    size_t cap = p->n_live + 1, n;

    *ret_n = 0;
    for (size_t i = 0; i < p->n_blocks; i++)
        cap += p->by_kind ? p->n_models : PACKED_MARKS(p->sources[p->blocks[i]].n) + 1;
    p->parts = arena_alloc(p->s->arena, cap * sizeof *p->parts);
    if (!p->parts)
        return 0;
    count_live(p);
    count_blocks(p);
    if (!tx_ok(&p->s->tx))
        return 0;
    for (size_t i = 0; i < p->n_parts; i++)
        total += p->parts[i].found;
    if (p->q->offset >= total)
        return total;
    int64_t before = log_near(p->s->arena, p->parts, p->n_parts, p->q->offset, p->q->limit);
    const struct hit *f = read_near(p, &n);
    if (!f)
        return total;
    size_t skip = MIN((size_t)(p->q->offset - before), n);
    *ret = f + skip;
    *ret_n = MIN((size_t)p->q->limit, n - skip);
    return total;
}
