/*
 * Where packed entries lie (store/migrations/0019_log_late.sql): blocks, what was written to them
 * since, and what no block holds. What a block has packed are the entries in its time that are not
 * late, and late ones that were there.
 */

#include "analytics/log_packed.h"

enum { LATE_MAX = 2000 /* of all blocks that are read; some microseconds each */ };

/* ---- SQL ---- */

/* Entry l is packed as it is. */
static struct str is_packed(struct arena *a, const char *block)
{
    return arena_printf(a,
                        "(SELECT true FROM weir.log_touched t WHERE t.block = %s AND t.at = l.at"
                        " AND t.request_id = l.request_id LIMIT 1) IS NULL",
                        block);
}

/* The place in `block` of the first packed entry that is not before (at, id): that of the mark m
 * before it, and how many are between. */
static struct str place_of(struct arena *a, const char *block, const char *at, const char *id)
{
    return arena_printf(a,
                        "coalesce((SELECT m.seq * 32"
                        "  + (SELECT count(*) FROM weir.log l WHERE l.at >= m.at AND l.at <= %2$s"
                        "     AND (l.at, l.request_id) >= (m.at, m.request_id)"
                        "     AND (l.at, l.request_id) < (%2$s, %3$s) AND %4$s)"
                        "  + (SELECT count(*) FROM weir.log_late t WHERE t.block = %1$s"
                        "     AND t.was_there AND (t.at, t.request_id) >= (m.at, m.request_id)"
                        "     AND (t.at, t.request_id) < (%2$s, %3$s))"
                        " FROM weir.log_place m WHERE m.block = %1$s"
                        " AND (m.at, m.request_id) <= (%2$s, %3$s)"
                        " ORDER BY m.at DESC, m.request_id DESC LIMIT 1), 0)",
                        block, at, id, is_packed(a, block).p);
}

/* Blocks b with few late entries, `most` in all, and stretches g that lie in none; `may`: a
 * condition on each, weir.log_block k. */
static struct str blocks_within(struct arena *a, const char *may, int most)
{
    return arena_printf(
        a,
        "WITH w AS (SELECT coalesce($1::timestamp, '-infinity') AS since,"
        "  coalesce($2::timestamp + interval '1 ms', 'infinity') AS until),"
        " b AS (SELECT * FROM (SELECT k.id, k.since, k.until, k.n, %s AS may,"
        "   sum(t.late) OVER (ORDER BY t.late, k.id) AS lates"
        "  FROM weir.log_block k CROSS JOIN w CROSS JOIN LATERAL (SELECT"
        "    coalesce(sum(CASE WHEN at < 'infinity' THEN 1 ELSE 1000000 END), 0) AS late"
        "   FROM weir.log_touched WHERE block = k.id) t"
        "  WHERE k.n IS NOT NULL AND k.until > w.since AND k.since < w.until) y"
        "  WHERE lates <= %d),"
        " x AS (SELECT until AS since, lead(since, 1, 'infinity') OVER (ORDER BY since, until)"
        "   AS until"
        "  FROM (SELECT since, until FROM b UNION ALL SELECT '-infinity', '-infinity') x),"
        " g AS (SELECT greatest(x.since, w.since) AS since, least(x.until, w.until) AS until"
        "  FROM x, w WHERE greatest(x.since, w.since) < least(x.until, w.until))",
        may, most);
}

/* ---- blocks, and rows in them ---- */

bool packed_find_sources(struct packed *p)
{
    struct arena *a = p->s->arena;
    struct str sql = arena_printf(
        a,
        "%s, s AS (SELECT id, since, until, n FROM b UNION ALL SELECT NULL, since, until, 0 FROM g)"
        " SELECT s.id, s.since, s.until, s.n, CASE WHEN s.since < w.since THEN %s ELSE 0 END,"
        "  CASE WHEN s.until > w.until THEN %s ELSE s.n END FROM s, w ORDER BY s.since, s.until",
        blocks_within(a, "true", LATE_MAX).p, place_of(a, "s.id", "w.since", "''").p,
        place_of(a, "s.id", "w.until", "''").p);

    if (!sql.n)
        return false;
    struct rows r =
        TX_QUERY(&p->s->tx, sql.p, DB_TEXT_OR_NULL(p->q->from), DB_TEXT_OR_NULL(p->q->until));
    size_t most = (size_t)r.n + 1;

    p->sources = arena_zalloc(p->s->arena, most * sizeof *p->sources);
    p->blocks = arena_alloc(p->s->arena, most * sizeof *p->blocks);
    p->ids = arena_alloc(p->s->arena, most * sizeof *p->ids);
    if (!p->sources || !p->blocks || !p->ids)
        return false;
    for (int i = 0; i < r.n; i++) {
        struct source *o = &p->sources[p->n_sources];
        *o = (struct source){.is_block = !rows_is_null(r, i, 0),
                             .id = rows_text(r, i, 0),
                             .from = rows_text(r, i, 1),
                             .to = rows_text(r, i, 2),
                             .n = (uint32_t)rows_int(r, i, 3),
                             .first = (uint32_t)rows_int(r, i, 4),
                             .last = (uint32_t)rows_int(r, i, 5)};
        if (o->is_block) {
            p->ids[p->n_blocks] = o->id;
            p->blocks[p->n_blocks++] = (uint32_t)p->n_sources;
        }
        p->n_sources++;
    }
    return p->n_blocks > 0;
}

void packed_find_lates(struct packed *p)
{
    struct arena *a = p->s->arena;
    struct str sql =
        arena_printf(a,
                     "SELECT b.o - 1, x.at, x.at + interval '1 ms', x.request_id, x.was_there, %s"
                     " FROM unnest($1::bigint[]) WITH ORDINALITY AS b (id, o)"
                     " CROSS JOIN LATERAL (SELECT * FROM weir.log_late x WHERE x.block = b.id) x"
                     " ORDER BY b.o, x.at, x.request_id",
                     place_of(a, "b.id", "x.at", "x.request_id").p);

    if (!sql.n)
        return;
    struct rows r = TX_QUERY(&p->s->tx, sql.p, DB_TEXTS(p->ids, p->n_blocks));

    p->lates = arena_alloc(p->s->arena, ((size_t)r.n + 1) * sizeof *p->lates);
    for (int i = 0; p->lates && i < r.n; i++)
        p->lates[p->n_lates++] = (struct log_late){.source = p->blocks[rows_int(r, i, 0)],
                                                   .at = rows_text(r, i, 1),
                                                   .to = rows_text(r, i, 2),
                                                   .request_id = rows_text(r, i, 3),
                                                   .was_there = rows_bool(r, i, 4),
                                                   .place = (uint32_t)rows_int(r, i, 5)};
}

struct rows packed_read_rows(struct packed *p, const struct hit *f, size_t n)
{
    struct str *blocks = arena_alloc(p->s->arena, 4 * (n + 1) * sizeof *blocks);
    struct str *places = blocks + n + 1, *ats = places + n + 1, *ids = ats + n + 1;
    struct str sql = arena_printf(
        p->s->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT
        " FROM (SELECT u.o, coalesce(e.at, u.at) AS at,"
        "  coalesce(e.request_id, u.request_id) AS request_id"
        "  FROM unnest($1::bigint[], $2::integer[], $3::timestamp[], $4::text[])"
        "   WITH ORDINALITY AS u (block, place, at, request_id, o)"
        "  LEFT JOIN weir.log_block k ON k.id = u.block"
        "  LEFT JOIN weir.log_place m ON m.block = u.block AND m.seq = u.place / 32"
        "  LEFT JOIN weir.log_place z ON z.block = u.block AND z.seq = u.place / 32 + 1"
        "  LEFT JOIN LATERAL (SELECT y.at, y.request_id FROM ("
        "    SELECT l.at, l.request_id FROM weir.log l WHERE l.at >= m.at"
        "     AND l.at <= coalesce(z.at, k.until)"
        "     AND (l.at, l.request_id) >= (m.at, m.request_id) AND %s"
        "    UNION ALL SELECT t.at, t.request_id FROM weir.log_late t WHERE t.block = u.block"
        "     AND t.was_there AND t.at <= coalesce(z.at, k.until)"
        "     AND (t.at, t.request_id) >= (m.at, m.request_id)) y"
        "   ORDER BY y.at, y.request_id OFFSET u.place %% 32 LIMIT 1) e ON true) p"
        " JOIN \"LiteLLM_SpendLogs\" t ON t.request_id = p.request_id"
        "  AND t.\"startTime\" = p.at ORDER BY p.o) r",
        STR_ARG(log_columns(p->s, "+00:00")), is_packed(p->s->arena, "u.block").p);

    for (size_t i = 0; blocks && i < n; i++) {
        const struct log_live *l = f[i].live;
        blocks[i] = l ? STR("0") : p->sources[f[i].source].id;
        places[i] = arena_printf(p->s->arena, "%u", f[i].place);
        ats[i] = l ? l->at : STR("infinity");
        ids[i] = l ? l->request_id : STR("");
    }
    if (!blocks || !sql.n)
        return (struct rows){0};
    return TX_QUERY(&p->s->tx, sql.p, DB_TEXTS(blocks, n), DB_TEXTS(places, n), DB_TEXTS(ats, n),
                    DB_TEXTS(ids, n));
}

/* ---- rows that a block may have ---- */

void log_narrow(struct store *s, struct log_query *q, const char *may, struct str value)
{
    enum { STRETCHES_MAX = 6 };
    struct db_arg args[2 * STRETCHES_MAX];
    struct str any = {0};
    int n = 0;
    struct str sql =
        arena_printf(s->arena,
                     "%s SELECT since, until FROM (SELECT since, until FROM b WHERE may"
                     " UNION ALL SELECT * FROM g) y ORDER BY since LIMIT $4",
                     blocks_within(s->arena, may, 0).p);

    if (!sql.n || !log_is_covered(s, q->from))
        return;
    struct rows r = TX_QUERY(&s->tx, sql.p, DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until),
                             DB_TEXT(value), DB_INT(STRETCHES_MAX + 1));
    if (r.n > STRETCHES_MAX || !tx_ok(&s->tx))
        return;
    for (int i = 0; i < r.n; i++) {
        any = arena_printf(s->arena,
                           STR_FMT "%s(t.\"startTime\" >= $?::timestamp"
                                   " AND t.\"startTime\" < $?::timestamp)",
                           STR_ARG(any), i ? " OR " : "");
        args[n++] = DB_TEXT(rows_text(r, i, 0));
        args[n++] = DB_TEXT(rows_text(r, i, 1));
    }
    if (!r.n || any.n)
        log_where_row(q, any.n ? any.p : "false", args, n);
}
