/* Packed entries of a range of spend: which of each block they are, by their places. */

#include <math.h>

#include "analytics/log_packed.h"

enum { BLOCKS_AT_ONCE = 16 };

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

/* Of each block, in the order of sources; NULL: a fault. */
static struct range *find_ranges(struct packed *p, size_t *ret_n)
{
    struct range *ranges = arena_alloc(p->s->arena, (p->n_sources + 1) * sizeof *ranges);
    struct str *ids = arena_alloc(p->s->arena, (p->n_sources + 1) * sizeof *ids);
    struct rows r;
    size_t n = 0, n_ids = 0;

    *ret_n = 0;
    for (uint32_t i = 0; ranges && ids && i < p->n_sources; i++)
        if (p->sources[i].is_block) {
            ranges[n_ids].source = i;
            ids[n_ids++] = p->sources[i].id;
        }
    const struct db_arg args[] = {DB_TEXTS(ids, n_ids)};
    tx_open_bytes(&p->s->tx,
                  "SELECT k.marks FROM unnest($1::bigint[]) WITH ORDINALITY AS b (id, o)"
                  " JOIN weir.log_packed k ON k.block = b.id AND k.sort = 'spend' ORDER BY b.o",
                  args, ARRAY_LEN(args));
    while ((r = tx_fetch_bytes(&p->s->tx, BLOCKS_AT_ONCE)).n > 0)
        for (int i = 0; i < r.n && n < n_ids; i++, n++) {
            struct str marks = rows_text(r, i, 0);
            uint32_t at = ranges[n].source;
            if (!p->sources[at].n || marks.n != 8 * PACKED_MARKS((size_t)p->sources[at].n)) {
                packed_fail(p);
                return NULL;
            }
            ranges[n] = find_range(p, at, marks.p);
        }
    tx_close_bytes(&p->s->tx);
    if (n < n_ids)
        packed_fail(p);
    *ret_n = n;
    return tx_ok(&p->s->tx) ? ranges : NULL;
}

/* Of a row "places, values of its first mark, values of its last". */
static bool choose(struct packed *p, const struct range *g, struct rows r, int row)
{
    struct source *o = &p->sources[g->source];
    struct str places = rows_text(r, row, 0), low = rows_text(r, row, 1),
               high = rows_text(r, row, 2);
    uint32_t n_low = MIN(g->n, (uint32_t)PACKED_MARK), n_high = g->first + g->n - g->last;

    if (places.n != (size_t)4 * g->n || low.n != (size_t)8 * n_low || high.n != (size_t)8 * n_high)
        return false;
    for (uint32_t i = 0; i < g->n; i++) {
        uint32_t place = packed_u32(places.p, i), at = g->first + i;
        if (place >= o->n)
            return false;
        if ((i < n_low && packed_num(low.p, i) < p->q->least) ||
            (at >= g->last && packed_num(high.p, at - g->last) > p->q->most))
            continue;
        o->chosen[place / 8] |= (unsigned char)(1 << place % 8);
    }
    return true;
}

void packed_choose(struct packed *p)
{
    size_t n_ranges, n = 0, at = 0;
    struct range *g = find_ranges(p, &n_ranges);
    struct str *ids = arena_alloc(p->s->arena, 4 * (n_ranges + 1) * sizeof *ids);
    struct str *firsts = ids + n_ranges + 1, *counts = firsts + n_ranges + 1;
    struct str *lasts = counts + n_ranges + 1;
    struct rows r;

    for (size_t i = 0; g && ids && i < n_ranges; i++) {
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
    tx_open_bytes(&p->s->tx,
                  "SELECT substring(k.places FROM 4 * u.a + 1 FOR 4 * u.n),"
                  " substring(k.vals FROM 8 * u.a + 1 FOR 8 * least(u.n, 1024)),"
                  " substring(k.vals FROM 8 * u.z + 1 FOR 8 * (u.a + u.n - u.z))"
                  " FROM unnest($1::bigint[], $2::integer[], $3::integer[], $4::integer[])"
                  " WITH ORDINALITY AS u (block, a, n, z, o)"
                  " JOIN weir.log_packed k ON k.block = u.block AND k.sort = 'spend' ORDER BY u.o",
                  args, ARRAY_LEN(args));
    while ((r = tx_fetch_bytes(&p->s->tx, BLOCKS_AT_ONCE)).n > 0)
        for (int i = 0; i < r.n && at < n; i++, at++)
            if (!choose(p, &g[at], r, i)) {
                packed_fail(p);
                return;
            }
    if (at < n)
        packed_fail(p);
    tx_close_bytes(&p->s->tx);
}
