/*
 * Pages of entries that are found by a value, or in the order of one. The indexes of values begin
 * with the day (store/migrations/0013_log_pages.sql): each day's are in order, and a page is put
 * together from those of its days.
 */

#include "analytics/log_priv.h"

enum {
    DAYS_FIRST = 4, /* counted at once, then twice as many each time */
    DAYS_MAX = 4000,
    MORE_ROWS = 1500000, /* their values are sorted for a far page: days would be read long */
    FAR = 10000,
    SPARE = 1000, /* days are not alike */
};

/* The days with entries that the query may mean, in its order: "{2026-01-31,2026-01-30}". */
static struct rows find_days(struct store *s, const struct log_query *q)
{
    struct str sql = arena_printf(
        s->arena,
        "SELECT array_agg(day ORDER BY day %s)::text, count(*) FROM (SELECT d::date FROM"
        " generate_series(greatest($1::timestamp, (SELECT min(at) FROM weir.log))::date::timestamp,"
        "  least($2::timestamp, (SELECT max(at) FROM weir.log)), interval '1 day') d LIMIT %d)"
        " AS g (day)",
        q->asc ? "ASC" : "DESC", DAYS_MAX);

    return sql.n ? TX_QUERY(&s->tx, sql.p, DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until))
                 : (struct rows){0};
}

/* ---- in the order of time ---- */

/* Of some days how many entries match, each up to `most`. */
static struct rows count_days(struct store *s, const struct log_query *q, const struct filter *f,
                              struct str days, int64_t first, int64_t n, int64_t most)
{
    struct filter g = *f;

    ASSERT(g.n < FILTER_ARGS);
    g.args[g.n++] = DB_TEXT(days);
    struct str sql = arena_printf(
        s->arena,
        "SELECT g.day, (SELECT count(*) FROM (SELECT FROM weir.%s WHERE at::date = g.day"
        " AND " STR_FMT " LIMIT %lld) x) FROM unnest(($%d::date[])[%lld:%lld])"
        " WITH ORDINALITY AS g (day, o) ORDER BY g.o",
        log_entries_table(q), STR_ARG(f->sql), (long long)most, g.n, (long long)first + 1,
        (long long)(first + n));
    return sql.n ? tx_query(&s->tx, sql.p, g.args, g.n) : (struct rows){0};
}

void log_by_day(struct store *s, const struct log_query *q, const struct filter *f,
                struct log_page *ret)
{
    struct rows days = find_days(s, q);
    struct str list = rows_text(days, 0, 0), within = {0};
    int64_t n_days = rows_int(days, 0, 1), seen = 0, n_within = 0;
    int64_t most = MAX(q->offset + q->limit, LOG_COUNT_MAX + INT64_C(1));
    struct log_window w = {.limit = q->limit};

    for (int64_t first = 0, next; first < n_days && seen < most; first = next) {
        next = 2 * first + DAYS_FIRST;
        struct rows r = count_days(s, q, f, list, first, next - first, most - seen);
        for (int i = 0; i < r.n; i++) {
            int64_t n = rows_int(r, i, 1);
            if (seen + n > q->offset && seen < q->offset + q->limit) {
                if (!within.n)
                    w.skip = q->offset - seen;
                n_within += n;
                within = arena_printf(s->arena, STR_FMT "%s" STR_FMT, STR_ARG(within),
                                      within.n ? "," : "", STR_ARG(rows_text(r, i, 0)));
            }
            seen += n;
        }
        if (!tx_ok(&s->tx))
            return;
    }
    log_count_capped(ret, seen);
    if (!within.n || q->sort != LOG_BY_START)
        return;
    struct filter g = *f;
    struct db_arg of = DB_TEXT(arena_printf(s->arena, "{" STR_FMT "}", STR_ARG(within)));
    w.is_few = n_within <= LOG_FEW_ROWS;
    if (w.is_few)
        FILTER_ADD(&g, "at::date = ANY ($?::date[])", of);
    else /* they are dense: the days are walked in the order of time */
        FILTER_ADD(&g,
                   "at >= (SELECT min(d) FROM unnest($?::date[]) d) AND"
                   " at < (SELECT max(d) + 1 FROM unnest($?::date[]) d)",
                   of, of);
    ret->rows = log_read_entries(s, q, &g, &w);
}

/* ---- in the order of a value ---- */

struct reading {
    const struct log_query *q;
    const struct filter *f;
    struct str days;       /* p NULL: all that matches is sorted */
    int64_t offset, limit; /* of the page, counted from this end */
    int64_t of_a_day;      /* read at most */
    bool asc;
};

/* Value and time of the page's first and last entry, how many come before the first, and whether a
 * day was not read far enough to know. */
static struct rows find_ends(struct store *s, const struct reading *rd)
{
    const char *v = log_values[rd->q->sort].column, *to = rd->asc ? "ASC" : "DESC",
               *back = rd->asc ? "DESC" : "ASC";
    const char *better = rd->asc ? "<" : ">", *last = rd->asc ? "max" : "min";
    struct filter f = *rd->f;
    struct str from;

    ASSERT(f.n < FILTER_ARGS);
    if (rd->days.p) {
        f.args[f.n++] = DB_TEXT(rd->days);
        from = arena_printf(s->arena,
                            "SELECT g.day, e.v, e.at FROM unnest($%d::date[]) AS g (day) CROSS JOIN"
                            " LATERAL (SELECT %s AS v, at FROM weir.%s WHERE at::date = g.day"
                            " AND " STR_FMT " ORDER BY %s %s, at %s LIMIT %lld) e",
                            f.n, v, log_entries_table(rd->q), STR_ARG(f.sql), v, to, to,
                            (long long)rd->of_a_day);
    } else {
        from = arena_printf(s->arena,
                            "SELECT NULL::date AS day, %s AS v, at FROM weir.%s WHERE " STR_FMT, v,
                            log_entries_table(rd->q), STR_ARG(f.sql));
    }
    struct str sql = arena_printf(
        s->arena,
        "WITH d AS MATERIALIZED (" STR_FMT "),"
        " t AS MATERIALIZED (SELECT v, at FROM d ORDER BY v %s, at %s LIMIT %lld),"
        " a AS MATERIALIZED (SELECT v, at FROM t ORDER BY v %s, at %s OFFSET %lld LIMIT 1),"
        " z AS MATERIALIZED (SELECT v, at FROM t ORDER BY v %s, at %s LIMIT 1)"
        " SELECT a.v, a.at, z.v, z.at, (SELECT count(*) FROM t WHERE (t.v, t.at) %s (a.v, a.at)),"
        " EXISTS (SELECT FROM d GROUP BY day HAVING count(*) = %lld AND"
        "  (n.n < %lld OR %s(v) %s z.v OR"
        "   (%s(v) = z.v AND %s(at) FILTER (WHERE v = z.v) %s z.at)))"
        " FROM (SELECT count(*) AS n FROM t) n LEFT JOIN a ON true LEFT JOIN z ON true",
        STR_ARG(from), to, to, (long long)(rd->offset + rd->limit), to, to, (long long)rd->offset,
        back, back, better, (long long)(rd->days.p ? rd->of_a_day : -1),
        (long long)(rd->offset + rd->limit), last, better, last, last, better);
    return sql.n ? tx_query(&s->tx, sql.p, f.args, f.n) : (struct rows){0};
}

struct rows log_by_value(struct store *s, const struct log_query *q, const struct filter *f,
                         int64_t n, int64_t total)
{
    struct reading rd = {.q = q, .f = f, .offset = q->offset, .limit = q->limit, .asc = q->asc};
    struct log_window w = {.is_few = true};
    struct rows days = find_days(s, q), r;
    int64_t n_days = MAX(rows_int(days, 0, 1), INT64_C(1));

    if (total < INT64_MAX && q->offset > total / 2) { /* nearer to the other end */
        rd.limit = MIN(q->limit, total - q->offset);
        rd.offset = total - q->offset - rd.limit;
        rd.asc = !q->asc;
        w.is_reversed = true;
    }
    if (rd.limit <= 0)
        return (struct rows){0};
    if (q->sort != LOG_BY_START && n > LOG_SOME_ROWS && (n > MORE_ROWS || rd.offset < FAR))
        rd.days = rows_text(days, 0, 0);
    rd.of_a_day = 2 * rd.offset / n_days + rd.limit + SPARE;
    for (;;) {
        rd.of_a_day = MIN(rd.of_a_day, rd.offset + rd.limit);
        r = find_ends(s, &rd);
        if (!tx_ok(&s->tx) || rd.of_a_day == rd.offset + rd.limit || !rows_bool(r, 0, 5))
            break;
        rd.of_a_day *= 2;
    }
    if (rows_is_null(r, 0, 0))
        return (struct rows){0};
    int first = rd.asc ? 0 : 2; /* the lower end */
    struct filter g = *f;
    const char *column = log_values[q->sort].column, *type = log_values[q->sort].type;
    struct str between =
        arena_printf(/* the latter two for the planner */
                     s->arena,
                     "(%s, at) >= ($?::%s, $?::timestamp) AND (%s, at) <= ($?::%s, $?::timestamp)"
                     " AND %s >= $?::%s AND %s <= $?::%s",
                     column, type, column, type, column, type, column, type);
    struct db_arg low = DB_TEXT(rows_text(r, 0, first)),
                  low_at = DB_TEXT(rows_text(r, 0, first + 1));
    struct db_arg high = DB_TEXT(rows_text(r, 0, 2 - first));
    struct db_arg high_at = DB_TEXT(rows_text(r, 0, 3 - first));
    if (!between.n)
        return (struct rows){0};
    FILTER_ADD(&g, between.p, low, low_at, high, high_at, low, high);
    if (q->sort != LOG_BY_START)
        FILTER_ADD(&g, "at::date = ANY ($?::date[])", DB_TEXT(rows_text(days, 0, 0)));
    w.limit = rd.limit;
    w.skip = rd.offset - rows_int(r, 0, 4);
    return log_read_entries(s, q, &g, &w);
}
