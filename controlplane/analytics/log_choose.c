/* Which packed entries of each block are chosen, by their places: those of a range of spend, that
 * hold a value, that are not late. */

#include <math.h>

#include "analytics/log_packed.h"

enum { BLOCKS_AT_ONCE = 16 };

#define BIT_OF(place) ((unsigned char)(1 << (place) % 8))

/* Of a block in the order of spend. Only at its edges values are looked at. */
struct range {
    uint32_t source, first, n; /* entries of the marks that hold it; n 0: there are none */
    uint32_t last;             /* the first entry of the last mark */
};

static uint32_t behind_mark(const struct source *o, uint32_t mark)
{
    return MIN((mark + 1) * PACKED_MARK, o->n);
}

static struct range find_range(const struct packed *p, uint32_t at, const char *marks)
{
    const struct source *o = &p->sources[at];
    uint32_t first = 0, last = 0, n = PACKED_MARKS(o->n);

    while (first + 1 < n && packed_num(marks, first + 1) < p->q->least)
        first++;
    for (last = first; last + 1 < n && packed_num(marks, last + 1) <= p->q->most;)
        last++;
    bool is_none = packed_num(marks, first) > p->q->most;
    return (struct range){.source = at,
                          .first = first * PACKED_MARK,
                          .n = is_none ? 0 : behind_mark(o, last) - first * PACKED_MARK,
                          .last = last * PACKED_MARK};
}

static bool read_range(struct packed *p, size_t i, struct rows r, int row, void *ctx)
{
    struct range *ranges = ctx;
    struct str marks = rows_text(r, row, 0);
    uint32_t at = p->blocks[i];

    if (!p->sources[at].n || marks.n != 8 * PACKED_MARKS((size_t)p->sources[at].n))
        return false;
    ranges[i] = find_range(p, at, marks.p);
    return true;
}

/* Of a row "places, values of its first mark, values of its last". */
static bool choose_range(struct packed *p, size_t i, struct rows r, int row, void *ctx)
{
    const struct range *g = (const struct range *)ctx + i;
    struct source *o = &p->sources[g->source];
    struct str places = rows_text(r, row, 0), low = rows_text(r, row, 1),
               high = rows_text(r, row, 2);
    uint32_t n_low = MIN(g->n, (uint32_t)PACKED_MARK), n_high = g->first + g->n - g->last;

    if (places.n != (size_t)4 * g->n || low.n != (size_t)8 * n_low || high.n != (size_t)8 * n_high)
        return false;
    for (uint32_t k = 0; k < g->n; k++) {
        uint32_t place = packed_u32(places.p, k), at = g->first + k;
        if (place >= o->n)
            return false;
        if ((k < n_low && packed_num(low.p, k) < p->q->least) ||
            (at >= g->last && packed_num(high.p, at - g->last) > p->q->most))
            continue;
        o->chosen[place / 8] |= BIT_OF(place);
    }
    return true;
}

static void choose_ranges(struct packed *p)
{
    static const char marks_of[] =
        "SELECT k.marks FROM unnest($1::bigint[]) WITH ORDINALITY AS b (id, o)"
        " JOIN weir.log_packed k ON k.block = b.id AND k.sort = 'spend' ORDER BY b.o";
    static const char places_of[] =
        "SELECT substring(k.places FROM 4 * u.a + 1 FOR 4 * u.n),"
        " substring(k.vals FROM 8 * u.a + 1 FOR 8 * least(u.n, 1024)),"
        " substring(k.vals FROM 8 * u.z + 1 FOR 8 * (u.a + u.n - u.z))"
        " FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[])"
        " WITH ORDINALITY AS u (block, a, n, z, o)"
        " JOIN weir.log_packed k ON k.block = u.block AND k.sort = 'spend' ORDER BY u.o";
    struct range *g = arena_alloc(p->s->arena, (p->n_blocks + 1) * sizeof *g);
    struct str *ids = arena_alloc(p->s->arena, 4 * (p->n_blocks + 1) * sizeof *ids);
    struct str *firsts = ids + p->n_blocks + 1, *counts = firsts + p->n_blocks + 1;
    struct str *lasts = counts + p->n_blocks + 1;
    const struct db_arg all[] = {DB_TEXTS(p->ids, p->n_blocks)};
    const struct packed_read marks = {.sql = marks_of,
                                      .args = all,
                                      .n_args = ARRAY_LEN(all),
                                      .n = p->n_blocks,
                                      .at_once = BLOCKS_AT_ONCE,
                                      .fn = read_range,
                                      .ctx = g};
    size_t n = 0;

    if (!g || !ids)
        return;
    packed_each(p, &marks);
    for (size_t i = 0; tx_ok(&p->s->tx) && i < p->n_blocks; i++) {
        struct source *o = &p->sources[g[i].source];
        o->chosen = arena_zalloc(p->s->arena, o->n / 8 + 1);
        if (!o->chosen || !g[i].n)
            continue;
        ids[n] = o->id;
        firsts[n] = arena_printf(p->s->arena, "%u", g[i].first);
        counts[n] = arena_printf(p->s->arena, "%u", g[i].n);
        lasts[n] = arena_printf(p->s->arena, "%u", g[i].last);
        g[n++] = g[i];
    }
    const struct db_arg args[] = {DB_TEXTS(ids, n), DB_TEXTS(firsts, n), DB_TEXTS(counts, n),
                                  DB_TEXTS(lasts, n)};
    const struct packed_read places = {.sql = places_of,
                                       .args = args,
                                       .n_args = ARRAY_LEN(args),
                                       .n = n,
                                       .at_once = BLOCKS_AT_ONCE,
                                       .fn = choose_range,
                                       .ctx = g};
    packed_each(p, &places);
}

/* Of a row "places": those and none besides. */
static bool choose_found(struct packed *p, size_t i, struct rows r, int row, void *ctx)
{
    struct source *o = &p->sources[p->blocks[i]];
    struct str places = rows_text(r, row, 0);
    unsigned char *found = arena_zalloc(p->s->arena, o->n / 8 + 1);

    (void)ctx;
    if (!found)
        return true;
    for (uint32_t k = 0; k < places.n / 4; k++) {
        uint32_t place = packed_u32(places.p, k);
        if (place >= o->n)
            return false;
        found[place / 8] |= BIT_OF(place);
    }
    for (uint32_t k = 0; o->chosen && k < o->n / 8 + 1; k++)
        found[k] &= o->chosen[k];
    o->chosen = found;
    return true;
}

static void choose_all_found(struct packed *p, const struct log_found *found)
{
    struct str sql = arena_printf(
        p->s->arena,
        "SELECT (SELECT string_agg(h.places, '') FROM weir.log_held h WHERE h.block = b.id AND %s)"
        " FROM unnest($1::bigint[]) WITH ORDINALITY AS b (id, o) ORDER BY b.o",
        found->packed);
    const struct db_arg args[] = {DB_TEXTS(p->ids, p->n_blocks), found->arg};
    const struct packed_read read = {.sql = sql.p,
                                     .args = args,
                                     .n_args = ARRAY_LEN(args),
                                     .n = p->n_blocks,
                                     .at_once = BLOCKS_AT_ONCE,
                                     .fn = choose_found};

    if (sql.n)
        packed_each(p, &read);
}

/* They are read as they are now. */
static void drop_late(struct packed *p)
{
    for (size_t i = 0; i < p->n_lates; i++) {
        const struct log_late *late = &p->lates[i];
        struct source *o = &p->sources[late->source];
        if (!late->was_there)
            continue;
        if (late->place >= o->n) {
            packed_fail(p);
            return;
        }
        if (!o->chosen) {
            o->chosen = arena_alloc(p->s->arena, o->n / 8 + 1);
            if (!o->chosen)
                return;
            memset(o->chosen, 0xff, o->n / 8 + 1);
        }
        o->chosen[late->place / 8] &= (unsigned char)~BIT_OF(late->place);
    }
}

void packed_choose(struct packed *p)
{
    if (p->q->least > -HUGE_VAL || p->q->most < HUGE_VAL)
        choose_ranges(p);
    for (unsigned i = 0; i < p->q->n_found; i++)
        choose_all_found(p, &p->q->found[i]);
    drop_late(p);
}
