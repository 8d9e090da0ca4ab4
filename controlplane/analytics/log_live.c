/* What is not read out of blocks: entries of no block, and late ones. They are read as they are,
 * and sorted in between. */

#include <math.h>

#include "analytics/log_packed.h"

enum { LIVE_MAX = 150000 /* of no block: one that is packed anew, and the youngest */ };

/* The value of an entry l, as it is packed; NULL: its row alone has it. */
static const char *const entry_values[LOG_SORTS] = {
    [LOG_BY_START] = "0::float8", /* one kind */
    [LOG_BY_SPEND] = "spend",
    [LOG_BY_TOKENS] = "total_tokens::float8",
    [LOG_BY_MODEL] = "(SELECT c.code FROM weir.log_code c WHERE c.series = l.series)::float8",
};

static struct str row_value(const struct packed *p)
{
    const char *column = log_sort_column(p->s, p->q->sort);

    if (p->q->sort == LOG_BY_DURATION)
        return arena_printf(p->s->arena, "(%s)::float8", column);
    return arena_printf(p->s->arena, "(extract(epoch FROM %s) * 1000)::float8", column);
}

struct stretches { /* of time: all of it, or of a late entry that one alone */
    struct str *since, *until, *request_id;
    size_t n, n_gaps; /* those of no block come first */
    size_t *gaps;     /* their sources; the others are p->lates */
};

static bool find_stretches(struct packed *p, struct stretches *ret)
{
    size_t most = p->n_sources + p->n_lates + 1;
    struct stretches x = {.since = arena_alloc(p->s->arena, 3 * most * sizeof *x.since),
                          .gaps = arena_alloc(p->s->arena, most * sizeof *x.gaps)};

    if (!x.since || !x.gaps)
        return false;
    x.until = x.since + most;
    x.request_id = x.until + most;
    for (size_t i = 0; i < p->n_sources; i++)
        if (!p->sources[i].is_block) {
            x.since[x.n] = p->sources[i].from;
            x.until[x.n] = p->sources[i].to;
            x.request_id[x.n] = STR("");
            x.gaps[x.n++] = i;
        }
    x.n_gaps = x.n;
    for (size_t i = 0; i < p->n_lates; i++, x.n++) {
        x.since[x.n] = p->lates[i].at;
        x.until[x.n] = p->lates[i].to;
        x.request_id[x.n] = p->lates[i].request_id;
    }
    *ret = x;
    return true;
}

static bool is_little(struct packed *p, const struct stretches *x)
{
    struct rows r = TX_QUERY(&p->s->tx,
                             "SELECT count(*) FROM (SELECT FROM unnest($1::timestamp[],"
                             " $2::timestamp[]) AS g (since, until) JOIN weir.log l"
                             " ON l.at >= g.since AND l.at < g.until LIMIT $3) x",
                             DB_TEXTS(x->since, x->n_gaps), DB_TEXTS(x->until, x->n_gaps),
                             DB_INT(LIVE_MAX + 1));

    return rows_int(r, 0, 0) <= LIVE_MAX;
}

static struct rows read_stretches(struct packed *p, const struct log_series *of,
                                  const struct stretches *x)
{
    const char *entry = entry_values[p->q->sort];
    struct str value = entry ? str_of(entry) : row_value(p);
    struct filter f = entry ? log_entries_of(p->q, of) : log_conditions(p->q);
    const char *from = entry ? "weir.log l" : "\"LiteLLM_SpendLogs\" t";
    const char *t = entry ? "l" : "t", *at = entry ? "l.at" : "t.\"startTime\"";

    ASSERT(f.n + 4 <= FILTER_ARGS);
    f.args[f.n++] = DB_TEXTS(x->since, x->n);
    f.args[f.n++] = DB_TEXTS(x->until, x->n);
    f.args[f.n++] = DB_TEXTS(x->request_id, x->n);
    f.args[f.n++] = DB_INT((int64_t)x->n_gaps);
    struct str sql = arena_printf(
        p->s->arena,
        "SELECT g.o - 1, e.v, e.at, e.request_id"
        " FROM unnest($%d::timestamp[], $%d::timestamp[], $%d::text[])"
        " WITH ORDINALITY AS g (since, until, id, o) CROSS JOIN LATERAL (SELECT %s AS v, %s AS at,"
        " %s.request_id FROM %s WHERE %s >= g.since AND %s < g.until"
        " AND (g.o <= $%d OR %s.request_id = g.id) AND " STR_FMT " OFFSET 0) e"
        " ORDER BY g.o, %se.at, e.request_id",
        f.n - 3, f.n - 2, f.n - 1, value.p, at, t, from, at, at, f.n, t, STR_ARG(f.sql),
        p->by_kind ? "" : "e.v, ");
    return sql.n ? tx_query(&p->s->tx, sql.p, f.args, f.n) : (struct rows){0};
}

/* Where the row `i` of stretch `at` lies among others of its value. */
static struct log_key key_of(const struct packed *p, const struct stretches *x, size_t at, int i,
                             double v, bool is_null)
{
    if (at < x->n_gaps)
        return packed_key(p, v, is_null, x->gaps[at], i);
    const struct log_late *late = &p->lates[at - x->n_gaps];
    return packed_key(p, v, is_null, late->source,
                      packed_i(late->place) - PACKED_LATE + 1 + (int64_t)(at - x->n_gaps));
}

bool packed_read_live(struct packed *p, const struct log_series *of)
{
    struct stretches x;

    if (!find_stretches(p, &x) || !is_little(p, &x))
        return false;
    if (!x.n)
        return true;
    struct rows r = read_stretches(p, of, &x);
    p->live = arena_alloc(p->s->arena, ((size_t)r.n + 1) * sizeof *p->live);
    for (int i = 0; p->live && i < r.n; i++) {
        double v = rows_num(r, i, 1);
        bool is_null = rows_is_null(r, i, 1);
        if (p->q->sort == LOG_BY_MODEL) { /* a code: its model is known, or is a moment later */
            uint32_t code = (uint32_t)v;
            if (is_null || code >= p->n_kinds || p->kinds[code] < 0)
                return false;
            v = p->kinds[code];
            is_null = p->has_null && p->kinds[code] == (int)p->n_models - 1;
        }
        p->live[p->n_live++] = (struct log_live){
            .key = key_of(p, &x, (size_t)rows_int(r, i, 0), i, isnan(v) ? HUGE_VAL : v, is_null),
            .at = rows_text(r, i, 2),
            .request_id = rows_text(r, i, 3)};
    }
    return p->live != NULL;
}
