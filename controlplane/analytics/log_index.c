/*
 * Pages of log rows out of the index: a plan for each kind of query.
 *
 *   series alone      the days or hours the page lies in are known from the sums
 *   values besides    those that are few, or have an index of their own, are counted and read as
 * they are; else entries of day after day by their value (log_order.c) many, or far      in an
 * order that would be slow: looked through where packed (log_packed.c)
 */

#include "analytics/log_priv.h"

enum {
    FEW_SERIES = 2000, /* found by their own index entries */
    FEW_FOUND = 2000,  /* whose rows are sorted */
    FAR = 5000,        /* entries that are read to be left out */
};

const struct log_value log_values[LOG_SORTS] = {
    [LOG_BY_START] = {"at", "timestamp"},
    [LOG_BY_SPEND] = {"spend", "float8"},
    [LOG_BY_TOKENS] = {"total_tokens", "integer"},
};

/* ---- what matches ---- */

struct span {               /* where the page lies */
    struct str from, until; /* buckets, both included */
    int64_t skip, n;        /* rows before the page, and all in there */
};

static void find_series(struct store *s, const struct log_query *q, struct log_series *ret)
{
    int level = q->levels & LOG_OF_MODEL ? 1 : q->levels & LOG_OF_KEY ? 2 : 0;
    static const char *const tables[] = {"log_day", "log_day_model", "log_day_key"};
    struct str sql = arena_printf(
        s->arena,
        "SELECT count(*) FILTER (WHERE level = 0), (SELECT count(*) FROM weir.log_series WHERE "
        "level = 0),"
        " coalesce(array_agg(id) FILTER (WHERE level = 0), '{}')::text,"
        " coalesce(array_agg(id) FILTER (WHERE level = %d), '{}')::text FROM weir.log_series"
        " WHERE level IN (0, %d) AND " STR_FMT,
        level, level, STR_ARG(q->series.sql));

    *ret = (struct log_series){.n = INT64_MAX, .sums = tables[level]};
    if (!q->series.sql.n || !sql.n)
        return;
    struct rows r = tx_query(&s->tx, sql.p, q->series.args, q->series.n);
    ret->n = rows_int(r, 0, 0);
    if (ret->n && ret->n == rows_int(r, 0, 1))
        return;
    ret->own = rows_text(r, 0, 2);
    ret->summed = rows_text(r, 0, 3);
}

/* How many rows there are by bucket, out of the sums: all, or those of the query's series. */
static struct str buckets_sql(struct store *s, const struct log_series *of)
{
    if (!of->own.p)
        return STR("SELECT hour AS bucket, n FROM weir.log_hour UNION ALL"
                   " SELECT hour, n FROM weir.log_delta");
    return arena_printf(s->arena,
                        "SELECT day::timestamp AS bucket, n FROM weir.%s"
                        " WHERE series IN (SELECT unnest($4::bigint[])) UNION ALL"
                        " SELECT day::timestamp, n FROM weir.log_delta"
                        " WHERE series IN (SELECT unnest($3::bigint[]))",
                        of->sums);
}

/*
 * The rows of each bucket within the range, in the order of time. The buckets at its ends are
 * counted in part: what lies outside is taken off, or what lies inside counted, whichever is less.
 */
static struct rows count_buckets(struct store *s, const struct log_query *q,
                                 const struct log_series *of)
{
    const char *unit = of->own.p ? "day" : "hour";
    const char *column = "", *within = "", *among = "";

    if (of->own.p && of->n <= FEW_SERIES) {
        within = " AND series = ANY ($3::bigint[])";
    } else if (of->own.p) { /* the range first: it is less than all of them */
        column = "series";
        within = " OFFSET 0";
        among = " WHERE series IN (SELECT unnest($3::bigint[]))";
    }
    struct str sql = arena_printf(
        s->arena,
        "WITH a AS (SELECT coalesce($1::timestamp, '-infinity') AS since,"
        "  coalesce($2::timestamp, 'infinity') AS until, interval '1 %s' AS one),"
        " b AS (SELECT bucket AS at, sum(n) AS n FROM (" STR_FMT ") b"
        "  WHERE bucket >= date_trunc('%s', (SELECT since FROM a))"
        "   AND bucket <= (SELECT until FROM a) GROUP BY 1 HAVING sum(n) > 0),"
        " c AS (SELECT at, CASE"
        "  WHEN at >= since AND at + one <= until THEN n"
        "  WHEN at >= since AND until - at > one / 2 THEN n - (SELECT count(*) FROM"
        "   (SELECT %s FROM weir.log l WHERE l.at > until AND l.at < b.at + one%s) x%s)"
        "  WHEN at + one <= until AND since - at < one / 2 THEN n -"
        "   (SELECT count(*) FROM (SELECT %s FROM weir.log l WHERE l.at >= b.at"
        "    AND l.at < since%s) x%s)"
        "  ELSE (SELECT count(*) FROM (SELECT %s FROM weir.log l WHERE"
        "   l.at >= greatest(since, b.at) AND l.at < b.at + one AND l.at <= until%s) x%s)"
        "  END AS inside FROM b, a)"
        " SELECT at, inside FROM c WHERE inside > 0 ORDER BY at",
        unit, STR_ARG(buckets_sql(s, of)), unit, column, within, among, column, within, among,
        column, within, among);

    if (!sql.n)
        return (struct rows){0};
    const struct db_arg args[] = {DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until),
                                  DB_TEXT(of->own), DB_TEXT(of->summed)};
    return tx_query(&s->tx, sql.p, args, of->own.p ? 4 : 2);
}

/* Adds the buckets up; false when the page lies behind all rows. */
static bool find_span(const struct log_query *q, struct rows r, struct span *ret,
                      int64_t *ret_total)
{
    int64_t seen = 0;
    bool found = false;

    *ret = (struct span){0};
    for (int i = 0; i < r.n; i++) {
        int at = q->asc ? i : r.n - 1 - i;
        int64_t n = rows_int(r, at, 1);
        struct str bucket = rows_text(r, at, 0);
        if (seen + n > q->offset && seen < q->offset + q->limit) {
            if (!found)
                ret->skip = q->offset - seen;
            if (!found || q->asc)
                ret->until = bucket;
            if (!found || !q->asc)
                ret->from = bucket;
            ret->n += n;
            found = true;
        }
        seen += n;
    }
    *ret_total = seen;
    return found;
}

struct filter log_entries_of(const struct log_query *q, const struct log_series *of)
{
    struct filter f = q->index;

    if (q->from.p)
        FILTER_ADD(&f, "at >= $?::timestamp", DB_TEXT(q->from));
    if (q->until.p)
        FILTER_ADD(&f, "at <= $?::timestamp", DB_TEXT(q->until));
    if (of->own.p)
        FILTER_ADD(&f, "series = ANY ($?::bigint[])", DB_TEXT(of->own));
    if (!f.sql.n)
        f.sql = STR("true");
    return f;
}

struct rows log_read_entries(struct store *s, const struct log_query *q, const struct filter *f,
                             const struct log_window *w)
{
    const char *direction = q->asc != w->is_reversed ? "ASC" : "DESC";
    struct str order = arena_printf(s->arena, " ORDER BY %s %s, at %s, request_id %s",
                                    log_values[q->sort].column, direction, direction, direction);
    struct str sql = arena_printf(
        s->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM (SELECT *, row_number() OVER () AS o"
        " FROM (%sSELECT at, request_id, spend, total_tokens FROM weir.%s WHERE " STR_FMT
        "%s" STR_FMT " LIMIT %lld OFFSET %lld) e) p JOIN \"LiteLLM_SpendLogs\" t"
        " ON t.request_id = p.request_id AND t.\"startTime\" = p.at ORDER BY p.o%s) r",
        STR_ARG(log_columns(s, "+00:00")), w->is_few ? "WITH m AS MATERIALIZED (" : "",
        log_entries_table(q), STR_ARG(f->sql), w->is_few ? ") SELECT * FROM m" : "", STR_ARG(order),
        (long long)w->limit, (long long)w->skip, w->is_reversed ? " DESC" : "");

    return sql.n ? tx_query(&s->tx, sql.p, f->args, f->n) : (struct rows){0};
}

/* ---- plans ---- */

/* Where the page lies is known from the sums. */
static void page_of_buckets(struct store *s, const struct log_query *q, const struct log_series *of,
                            struct log_page *ret)
{
    struct filter f = log_entries_of(q, of);
    struct span p;

    if (!find_span(q, count_buckets(s, q, of), &p, &ret->total))
        return;
    if (q->sort != LOG_BY_START) { /* anywhere in the range */
        if (ret->total > LOG_PACKED_ROWS && log_page_packed(s, q, of, ret))
            return;
        ret->rows = log_by_value(s, q, &f, of->own.p ? ret->total : INT64_MAX, ret->total);
        return;
    }
    FILTER_ADD(&f, "at >= $?::timestamp", DB_TEXT(p.from));
    if (of->own.p)
        FILTER_ADD(&f, "at < $?::timestamp + interval '1 day'", DB_TEXT(p.until));
    else
        FILTER_ADD(&f, "at < $?::timestamp + interval '1 hour'", DB_TEXT(p.until));
    struct log_window w = {
        .limit = q->limit, .skip = p.skip, .is_few = of->n <= FEW_SERIES && p.n <= LOG_FEW_ROWS};
    ret->rows = log_read_entries(s, q, &f, &w);
}

static void count_entries(struct store *s, const struct log_query *q, const struct filter *f,
                          struct log_page *ret)
{
    struct str sql = arena_printf(
        s->arena, "SELECT count(*) FROM (SELECT FROM weir.%s WHERE " STR_FMT " LIMIT %d) x",
        log_entries_table(q), STR_ARG(f->sql), LOG_COUNT_MAX + 1);

    log_count_capped(ret, sql.n ? rows_int(tx_query(&s->tx, sql.p, f->args, f->n), 0, 0) : 0);
}

/* In an order that the index does not have. */
static void page_of_found_rows(struct store *s, const struct log_query *q, struct log_page *ret)
{
    const struct log_found *found = &q->found[0];
    struct log_query few = *q;
    struct str among = arena_printf(s->arena,
                                    "(t.request_id, t.\"startTime\") IN"
                                    " (SELECT request_id, at FROM weir.%s WHERE %s)",
                                    log_entries_table(q), found->entry);

    if (among.n)
        filter_add(&few.rows, among.p, &found->arg, 1);
    log_page_of_rows(s, &few, ret);
}

/* What matches has an index of its own; many, or far behind, are looked through. */
static void page_of_found(struct store *s, const struct log_query *q, const struct log_series *of,
                          struct log_page *ret)
{
    struct filter f = log_entries_of(q, of);
    struct log_window w = {.limit = q->limit, .skip = q->offset};
    struct log_page packed = {0};
    bool in_order = log_values[q->sort].column, is_slow;

    count_entries(s, q, &f, ret);
    if (!ret->is_capped && q->offset >= ret->total)
        return;
    if (!in_order)
        is_slow = ret->total > FEW_FOUND;
    else
        is_slow = ret->is_capped && (q->sort != LOG_BY_START || q->offset > FAR);
    if (is_slow && log_page_packed(s, q, of, &packed)) {
        if (q->sort == LOG_BY_START) /* counted as on the pages before it */
            ret->rows = packed.rows;
        else
            *ret = packed;
    } else if (in_order) {
        ret->rows = log_read_entries(s, q, &f, &w);
    } else {
        page_of_found_rows(s, q, ret);
    }
}

/* How many entries of these series there are in the days of the query. */
static int64_t count_series(struct store *s, const struct log_query *q, const struct log_series *of)
{
    struct str sql =
        arena_printf(s->arena,
                     "SELECT sum(n) FROM (" STR_FMT ") b"
                     " WHERE bucket >= date_trunc('day', coalesce($1::timestamp, '-infinity'))"
                     " AND bucket <= coalesce($2::timestamp, 'infinity')",
                     STR_ARG(buckets_sql(s, of)));
    const struct db_arg args[] = {DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until),
                                  DB_TEXT(of->own), DB_TEXT(of->summed)};

    return sql.n ? rows_int(tx_query(&s->tx, sql.p, args, 4), 0, 0) : 0;
}

static void page_of_values(struct store *s, const struct log_query *q, const struct log_series *of,
                           struct log_page *ret)
{
    struct filter f = log_entries_of(q, of);
    int64_t n = of->own.p ? count_series(s, q, of) : INT64_MAX;

    bool is_slow = q->sort == LOG_BY_TOKENS || of->own.p; /* by one at a time */
    if (is_slow && n > LOG_PACKED_ROWS && log_page_packed(s, q, of, ret))
        return;
    if (n <= LOG_SOME_ROWS)
        count_entries(s, q, &f, ret);
    else
        log_by_day(s, q, &f, ret);
    bool is_there = ret->is_capped || q->offset < ret->total;
    if (is_there && (n <= LOG_SOME_ROWS || q->sort != LOG_BY_START))
        ret->rows = log_by_value(s, q, &f, n, ret->is_capped ? INT64_MAX : ret->total);
}

void log_page(struct store *s, const struct log_query *q, struct log_page *ret)
{
    struct log_series of;

    *ret = (struct log_page){0};
    log_begin(s);
    if (q->needs_rows || !log_is_covered(s, q->from)) {
        log_page_of_rows(s, q, ret);
        return;
    }
    find_series(s, q, &of);
    if (of.own.p && of.n == 0)
        return;
    if (q->n_found)
        page_of_found(s, q, &of, ret);
    else if (!log_values[q->sort].column) {
        if (!log_page_packed(s, q, &of, ret))
            log_page_of_rows(s, q, ret);
    } else if (q->index.n)
        page_of_values(s, q, &of, ret);
    else
        page_of_buckets(s, q, &of, ret);
}
