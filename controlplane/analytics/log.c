/* Pages of log rows: a plan for each kind of query. */

#include "analytics/log.h"

enum {
    FEW_SERIES = 2000, /* found by their own index entries */
    FEW_ROWS = 30000,  /* sorted in memory */
};

const char *const log_sort_names[LOG_SORTS] = {
    [LOG_BY_START] = "startTime",
    [LOG_BY_SPEND] = "spend",
    [LOG_BY_TOKENS] = "total_tokens",
    [LOG_BY_END] = "endTime",
    [LOG_BY_DURATION] = "request_duration_ms",
    [LOG_BY_MODEL] = "model",
    [LOG_BY_FIRST_TOKEN] = "ttft_ms",
};

static const char *const sort_columns[LOG_SORTS] = {
    [LOG_BY_START] = "t.\"startTime\"",
    [LOG_BY_SPEND] = "t.spend",
    [LOG_BY_TOKENS] = "t.total_tokens",
    [LOG_BY_END] = "t.\"endTime\"",
    [LOG_BY_MODEL] = "t.model",
    /* Without a stream there is no first token. */
    [LOG_BY_FIRST_TOKEN] = "CASE WHEN t.\"completionStartTime\" <> t.\"endTime\""
                           " THEN t.\"completionStartTime\" - t.\"startTime\" END",
};

/* ---- queries ---- */

struct log_query log_query_init(struct store *s)
{
    return (struct log_query){.series = filter_init(s), .rows = filter_init(s), .limit = 50};
}

void log_where(struct log_query *q, const char *series, const char *row, const struct db_arg *args,
               int n)
{
    filter_add(&q->series, series, args, n);
    filter_add(&q->rows, row, args, n);
}

void log_where_row(struct log_query *q, const char *row, const struct db_arg *args, int n)
{
    filter_add(&q->rows, row, args, n);
    q->needs_rows = true;
}

void log_begin(struct store *s)
{
    (void)TX_QUERY0(&s->tx, "SELECT set_config('plan_cache_mode', 'force_custom_plan', false),"
                            " set_config('jit', 'off', false)");
}

/* Every row since then has its entry. */
static bool is_covered(struct store *s, struct str from)
{
    return rows_bool(
        TX_QUERY(&s->tx, "SELECT covered_from <= coalesce($1::timestamp, '-infinity')"
                         " FROM weir.log_state",
                 DB_TEXT_OR_NULL(from)),
        0, 0);
}

void log_where_request(struct store *s, struct log_query *q, struct str id)
{
    q->exact = id;
    if (!catalog_column(s->catalog, TABLE_SPEND_LOG, STR("litellm_call_id")))
        LOG_WHERE_ROW(q, "t.request_id = $?", DB_TEXT(id));
    else if (is_covered(s, (struct str){0}))
        LOG_WHERE_ROW(q,
                      "t.request_id = ANY (ARRAY(SELECT $?::text UNION SELECT l.request_id"
                      " FROM weir.log l WHERE l.call_id = weir.log_hash($?)))"
                      " AND $? IN (t.request_id, t.litellm_call_id)",
                      DB_TEXT(id), DB_TEXT(id), DB_TEXT(id));
    else
        LOG_WHERE_ROW(q, "$? IN (t.request_id, t.litellm_call_id)", DB_TEXT(id));
}

/* ---- columns ---- */

#define ELAPSED "(extract(epoch FROM (t.\"endTime\" - t.\"startTime\")) * 1000)::integer"

const char *log_duration(const struct store *s)
{
    return catalog_column(s->catalog, TABLE_SPEND_LOG, STR("request_duration_ms"))
               ? "coalesce(t.request_duration_ms, " ELAPSED ")"
               : ELAPSED;
}

struct str log_columns(struct store *s, const char *zone)
{
    static const char *const names[] = {
        "request_id",        "call_type",
        "api_key",           "spend",
        "total_tokens",      "prompt_tokens",
        "completion_tokens", "startTime",
        "endTime",           "completionStartTime",
        "model",             "model_id",
        "model_group",       "custom_llm_provider",
        "api_base",          "user",
        "metadata",          "cache_hit",
        "cache_key",         "request_tags",
        "team_id",           "organization_id",
        "end_user",          "requester_ip_address",
        "session_id",        "status",
        "agent_id",          "mcp_namespaced_tool_name",
        "litellm_call_id",
    };
    struct str list = {0};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct column *c = catalog_column(s->catalog, TABLE_SPEND_LOG, str_of(names[i]));
        const char *comma = list.n ? ", " : "";
        if (c && c->kind == COLUMN_TIME)
            list = arena_printf(s->arena,
                                STR_FMT "%s(to_json(t.\"%s\") #>> '{}') || '%s' AS \"%s\"",
                                STR_ARG(list), comma, names[i], zone, names[i]);
        else if (c)
            list = arena_printf(s->arena, STR_FMT "%st.\"%s\"", STR_ARG(list), comma, names[i]);
    }
    return arena_printf(s->arena, STR_FMT ", %s AS request_duration_ms", STR_ARG(list),
                        log_duration(s));
}

/* ---- out of LiteLLM's table ---- */

struct filter log_conditions(const struct log_query *q)
{
    struct filter f = q->rows;

    if (q->from.p)
        FILTER_ADD(&f, "t.\"startTime\" >= $?::timestamp", DB_TEXT(q->from));
    if (q->until.p)
        FILTER_ADD(&f, "t.\"startTime\" <= $?::timestamp", DB_TEXT(q->until));
    if (!f.sql.n)
        f.sql = STR("true");
    return f;
}

/* A row asked for by its id comes before those of a call of that id. */
struct str log_order(struct store *s, const struct log_query *q, struct filter *f)
{
    const char *direction = q->asc ? "ASC" : "DESC";
    const char *by = q->sort == LOG_BY_DURATION ? log_duration(s) : sort_columns[q->sort];
    struct str first = {0};

    if (q->exact.p && f->n < FILTER_ARGS) {
        f->args[f->n++] = DB_TEXT(q->exact);
        first = arena_printf(s->arena, "(t.request_id = $%d) DESC, ", f->n);
    }
    return arena_printf(s->arena, " ORDER BY " STR_FMT "%s %s%s, t.request_id %s", STR_ARG(first), by,
                        direction,
                        q->sort == LOG_BY_START ? "" : " NULLS LAST", direction);
}

struct str log_all(struct store *s, const struct log_query *q, struct filter *ret_f)
{
    *ret_f = log_conditions(q);
    struct str by = log_order(s, q, ret_f);

    return arena_printf(s->arena,
                        "SELECT row_to_json(r) FROM (SELECT " STR_FMT
                        " FROM \"LiteLLM_SpendLogs\" t WHERE " STR_FMT STR_FMT ") r",
                        STR_ARG(log_columns(s, "+00:00")), STR_ARG(ret_f->sql), STR_ARG(by));
}

static void page_of_rows(struct store *s, const struct log_query *q, struct log_page *ret)
{
    struct filter f = log_conditions(q);
    struct str sql = arena_printf(s->arena,
                                  "SELECT count(*) FROM (SELECT FROM \"LiteLLM_SpendLogs\" t"
                                  " WHERE " STR_FMT " LIMIT %d) x",
                                  STR_ARG(f.sql), LOG_COUNT_MAX + 1);

    ret->total = sql.n ? rows_int(tx_query(&s->tx, sql.p, f.args, f.n), 0, 0) : 0;
    ret->is_capped = ret->total > LOG_COUNT_MAX;
    ret->total = MIN(ret->total, (int64_t)LOG_COUNT_MAX);
    if (!ret->is_capped && q->offset >= ret->total)
        return;
    struct str by = log_order(s, q, &f);
    sql = arena_printf(s->arena,
                       "SELECT row_to_json(r) FROM (SELECT " STR_FMT
                       " FROM \"LiteLLM_SpendLogs\" t WHERE " STR_FMT STR_FMT
                       " LIMIT %lld OFFSET %lld) r",
                       STR_ARG(log_columns(s, "+00:00")), STR_ARG(f.sql), STR_ARG(by),
                       (long long)q->limit, (long long)q->offset);
    if (sql.n)
        ret->rows = tx_query(&s->tx, sql.p, f.args, f.n);
}

/* ---- out of the index ---- */

struct span { /* where the page lies */
    struct str from, until; /* buckets, both included */
    int64_t skip, n;        /* rows before the page, and all in there */
};

/* The series of the query as an array, "{1,2}"; p NULL: all. */
static struct str find_series(struct store *s, const struct log_query *q, int64_t *ret_n)
{
    struct str sql =
        arena_printf(s->arena,
                     "SELECT count(*), coalesce(array_agg(id), '{}')::text FROM weir.log_series"
                     " WHERE level = 0 AND " STR_FMT,
                     STR_ARG(q->series.sql));

    *ret_n = INT64_MAX;
    if (!q->series.sql.n || !sql.n)
        return (struct str){0};
    struct rows r = tx_query(&s->tx, sql.p, q->series.args, q->series.n);
    *ret_n = rows_int(r, 0, 0);
    return rows_text(r, 0, 1);
}

/*
 * How many rows there are by bucket, in the order of time. The buckets at the ends of the range are
 * counted in part: what lies outside is taken off, or what lies inside counted, whichever is less.
 */
static struct rows count_buckets(struct store *s, const struct log_query *q, struct str series)
{
    const char *unit = series.p ? "day" : "hour";
    const char *among = series.p ? " AND series = ANY ($3::bigint[])" : "";
    struct str sql = arena_printf(
        s->arena,
        "WITH a AS (SELECT coalesce($1::timestamp, '-infinity') AS since,"
        "  coalesce($2::timestamp, 'infinity') AS until),"
        " b AS (SELECT b.%s::timestamp AS at, sum(b.n) AS n"
        "  FROM (SELECT %s, n%s FROM weir.log_%s UNION ALL SELECT %s, n%s FROM weir.log_delta) b"
        "  WHERE b.%s >= date_trunc('%s', (SELECT since FROM a))"
        "   AND b.%s <= (SELECT until FROM a)%s GROUP BY 1 HAVING sum(b.n) > 0),"
        " c AS (SELECT at, n, CASE"
        "  WHEN at >= since AND at + interval '1 %s' <= until THEN n"
        "  WHEN at >= since AND until - at > interval '1 %s' / 2 THEN n - (SELECT count(*)"
        "   FROM weir.log l WHERE l.at > until AND l.at < b.at + interval '1 %s'%s)"
        "  WHEN at + interval '1 %s' <= until AND since - at < interval '1 %s' / 2 THEN n -"
        "   (SELECT count(*) FROM weir.log l WHERE l.at >= b.at AND l.at < since%s)"
        "  ELSE (SELECT count(*) FROM weir.log l WHERE l.at >= greatest(since, b.at)"
        "   AND l.at < b.at + interval '1 %s' AND l.at <= until%s) END AS inside FROM b, a)"
        " SELECT at, inside FROM c WHERE inside > 0 ORDER BY at",
        unit, unit, series.p ? ", series" : "", unit, unit, series.p ? ", series" : "", unit, unit,
        unit, among, unit, unit, unit, among, unit, unit, among, unit, among);

    if (!sql.n)
        return (struct rows){0};
    const struct db_arg args[] = {DB_TEXT_OR_NULL(q->from), DB_TEXT_OR_NULL(q->until),
                                  DB_TEXT(series)};
    return tx_query(&s->tx, sql.p, args, series.p ? 3 : 2);
}

/* Adds the buckets up; false when the page lies behind all rows. */
static bool find_span(const struct log_query *q, struct rows r, struct span *ret, int64_t *ret_total)
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

/* The page's rows: their places in the index first, then they themselves. */
static struct rows read_span(struct store *s, const struct log_query *q, const struct span *p,
                             struct str series, int64_t n_series)
{
    const char *direction = q->asc ? "ASC" : "DESC", *unit = series.p ? "day" : "hour";
    bool is_few = n_series <= FEW_SERIES && p->n <= FEW_ROWS;
    bool by_spend = q->sort == LOG_BY_SPEND;
    struct str by = arena_printf(s->arena, "%s%s%sat %s, request_id %s", by_spend ? "spend " : "",
                                 by_spend ? direction : "", by_spend ? ", " : "", direction,
                                 direction);
    struct str among = arena_printf(
        s->arena,
        "SELECT at, request_id, spend FROM weir.log WHERE at >= $1::timestamp"
        " AND at < $2::timestamp + interval '1 %s' AND at >= coalesce($3::timestamp, '-infinity')"
        " AND at <= coalesce($4::timestamp, 'infinity')%s",
        unit, series.p ? " AND series = ANY ($5::bigint[])" : "");
    struct str sql = arena_printf(
        s->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM (%s" STR_FMT "%s ORDER BY " STR_FMT
        " LIMIT %lld OFFSET %lld) p JOIN \"LiteLLM_SpendLogs\" t ON t.request_id = p.request_id"
        " AND t.\"startTime\" = p.at ORDER BY %s%s%sp.at %s, p.request_id %s) r",
        STR_ARG(log_columns(s, "+00:00")), is_few ? "WITH m AS MATERIALIZED (" : "", STR_ARG(among),
        is_few ? ") SELECT * FROM m" : "", STR_ARG(by), (long long)q->limit, (long long)p->skip,
        by_spend ? "p.spend " : "", by_spend ? direction : "", by_spend ? ", " : "", direction,
        direction);

    if (!sql.n)
        return (struct rows){0};
    const struct db_arg args[] = {DB_TEXT(p->from), DB_TEXT(p->until), DB_TEXT_OR_NULL(q->from),
                                  DB_TEXT_OR_NULL(q->until), DB_TEXT(series)};
    return tx_query(&s->tx, sql.p, args, series.p ? 5 : 4);
}

static void page_of_index(struct store *s, const struct log_query *q, struct log_page *ret)
{
    int64_t n_series;
    struct str series = find_series(s, q, &n_series);
    struct span p;

    if (q->series.sql.n && n_series == 0)
        return;
    struct rows buckets = count_buckets(s, q, series);
    bool found = find_span(q, buckets, &p, &ret->total);
    if (found && q->sort == LOG_BY_SPEND) /* anywhere in the range */
        p = (struct span){.from = rows_text(buckets, 0, 0),
                          .until = rows_text(buckets, buckets.n - 1, 0),
                          .skip = q->offset,
                          .n = ret->total};
    if (found)
        ret->rows = read_span(s, q, &p, series, n_series);
}

void log_page(struct store *s, const struct log_query *q, struct log_page *ret)
{
    *ret = (struct log_page){0};
    log_begin(s);
    if (!q->needs_rows && (q->sort == LOG_BY_START || q->sort == LOG_BY_SPEND) &&
        is_covered(s, q->from))
        page_of_index(s, q, ret);
    else
        page_of_rows(s, q, ret);
}
