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
    return (struct log_query){.series = filter_init(s),
                              .index = filter_init(s),
                              .rows = filter_init(s),
                              .levels = LOG_OF_BOTH,
                              .limit = 50};
}

void log_where(struct log_query *q, unsigned levels, const char *series, const char *row,
               const struct db_arg *args, int n)
{
    filter_add(&q->series, series, args, n);
    filter_add(&q->rows, row, args, n);
    q->levels &= levels;
}

void log_where_spend(struct log_query *q, const char *condition, double spend)
{
    FILTER_ADD(&q->index, condition, DB_NUM(spend));
    FILTER_ADD(&q->rows, condition, DB_NUM(spend));
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
    return rows_bool(TX_QUERY(&s->tx,
                              "SELECT covered_from <= coalesce($1::timestamp, '-infinity')"
                              " FROM weir.log_state",
                              DB_TEXT_OR_NULL(from)),
                     0, 0);
}

void log_where_request(struct store *s, struct log_query *q, struct str id)
{
    q->exact = id;
    if (!catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("litellm_call_id")))
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

void log_where_error(struct log_query *q, struct str text)
{
    struct db_arg like = DB_TEXT(filter_contains(q->rows.arena, text));

    FILTER_ADD0(&q->series, "has_error"); /* those that failed are few */
    filter_add(&q->index, "error LIKE $?", &like, 1);
    filter_add(&q->rows, "t.metadata -> 'error_information' ->> 'error_message' LIKE $?", &like, 1);
    q->levels = LOG_OF_ROW;
}

#define IN_WINDOW(at) at " >= $?::timestamp AND " at " <= $?::timestamp"
#define HAS_ID                                                                                     \
    "(t.request_id = $? OR (" IN_WINDOW(                                                           \
        "t.\"startTime\"") " AND $? IN (t.api_key, t.team_id,"                                     \
                           " t.\"user\", t.end_user, t.session_id, t.model_id%s)))"

void log_where_any(struct store *s, struct log_query *q, struct str id)
{
    bool has_call = catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("litellm_call_id"));
    struct db_arg arg = DB_TEXT(id), from = DB_TEXT(q->from), until = DB_TEXT(q->until);
    struct str has = arena_printf(s->arena, HAS_ID, has_call ? ", t.litellm_call_id" : "");
    const struct db_arg has_args[] = {arg, from, until, arg};

    if (has.n)
        log_where_row(q, has.p, has_args, ARRAY_LEN(has_args));
    if (is_covered(s, q->from))
        LOG_WHERE_ROW(
            q,
            "t.request_id IN (SELECT $?::text UNION SELECT l.request_id FROM weir.log l"
            " WHERE l.call_id = weir.log_hash($?) UNION SELECT l.request_id FROM weir.log l"
            " WHERE l.series = ANY (ARRAY(SELECT id FROM weir.log_series WHERE level = 0"
            "  AND $? IN (api_key, team_id, \"user\", model_id))) AND " IN_WINDOW(
                "l.at") " UNION SELECT r.request_id FROM \"LiteLLM_SpendLogs\" r WHERE r.end_user "
                        "= $?"
                        "  AND " IN_WINDOW(
                            "r.\"startTime\"") " UNION SELECT r.request_id FROM "
                                               "\"LiteLLM_SpendLogs\" r WHERE r.session_id = $?"
                                               "  AND " IN_WINDOW("r.\"startTime\"") ")",
            arg, arg, arg, from, until, arg, from, until, arg, from, until);
}

/* ---- columns ---- */

#define ELAPSED "(extract(epoch FROM (t.\"endTime\" - t.\"startTime\")) * 1000)::bigint"

const char *log_duration(const struct store *s)
{
    return catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("request_duration_ms"))
               ? "coalesce(t.request_duration_ms, " ELAPSED ")"
               : ELAPSED;
}

struct str log_columns(struct store *s, const char *zone)
{
    static const char *const names[] = {
        "request_id",
        "call_type",
        "api_key",
        "spend",
        "total_tokens",
        "prompt_tokens",
        "completion_tokens",
        "startTime",
        "endTime",
        "completionStartTime",
        "model",
        "model_id",
        "model_group",
        "custom_llm_provider",
        "api_base",
        "user",
        "metadata",
        "cache_hit",
        "cache_key",
        "request_tags",
        "team_id",
        "organization_id",
        "end_user",
        "requester_ip_address",
        "session_id",
        "status",
        "agent_id",
        "mcp_namespaced_tool_name",
        "litellm_call_id",
    };
    struct str list = {0};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct column *c = catalog_column(s->catalog, TABLE_SPEND_LOGS, str_of(names[i]));
        const char *comma = list.n ? ", " : "";
        if (c && c->kind == COLUMN_TIME)
            list =
                arena_printf(s->arena, STR_FMT "%s(to_json(t.\"%s\") #>> '{}') || '%s' AS \"%s\"",
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
    return arena_printf(s->arena, " ORDER BY " STR_FMT "%s %s%s, t.request_id %s", STR_ARG(first),
                        by, direction, q->sort == LOG_BY_START ? "" : " NULLS LAST", direction);
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

struct series {        /* of a query, as arrays: "{1,2}" */
    struct str own;    /* p NULL: all */
    struct str summed; /* of the level whose sums are read */
    const char *sums;  /* their table */
    int64_t n;
};

struct span {               /* where the page lies */
    struct str from, until; /* buckets, both included */
    int64_t skip, n;        /* rows before the page, and all in there */
};

static void find_series(struct store *s, const struct log_query *q, struct series *ret)
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

    *ret = (struct series){.n = INT64_MAX, .sums = tables[level]};
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
static struct str buckets_sql(struct store *s, const struct series *of)
{
    if (!of->own.p)
        return STR("SELECT hour AS bucket, n FROM weir.log_hour UNION ALL"
                   " SELECT hour, n FROM weir.log_delta");
    return arena_printf(s->arena,
                        "SELECT day::timestamp AS bucket, n FROM weir.%s"
                        " WHERE series = ANY ($4::bigint[]) UNION ALL"
                        " SELECT day::timestamp, n FROM weir.log_delta"
                        " WHERE series = ANY ($3::bigint[])",
                        of->sums);
}

/*
 * The rows of each bucket within the range, in the order of time. The buckets at its ends are
 * counted in part: what lies outside is taken off, or what lies inside counted, whichever is less.
 */
static struct rows count_buckets(struct store *s, const struct log_query *q,
                                 const struct series *of)
{
    const char *unit = of->own.p ? "day" : "hour";
    const char *among = of->own.p ? " AND series = ANY ($3::bigint[])" : "";
    struct str sql =
        arena_printf(s->arena,
                     "WITH a AS (SELECT coalesce($1::timestamp, '-infinity') AS since,"
                     "  coalesce($2::timestamp, 'infinity') AS until, interval '1 %s' AS one),"
                     " b AS (SELECT bucket AS at, sum(n) AS n FROM (" STR_FMT ") b"
                     "  WHERE bucket >= date_trunc('%s', (SELECT since FROM a))"
                     "   AND bucket <= (SELECT until FROM a) GROUP BY 1 HAVING sum(n) > 0),"
                     " c AS (SELECT at, CASE"
                     "  WHEN at >= since AND at + one <= until THEN n"
                     "  WHEN at >= since AND until - at > one / 2 THEN n - (SELECT count(*)"
                     "   FROM weir.log l WHERE l.at > until AND l.at < b.at + one%s)"
                     "  WHEN at + one <= until AND since - at < one / 2 THEN n -"
                     "   (SELECT count(*) FROM weir.log l WHERE l.at >= b.at AND l.at < since%s)"
                     "  ELSE (SELECT count(*) FROM weir.log l WHERE l.at >= greatest(since, b.at)"
                     "   AND l.at < b.at + one AND l.at <= until%s) END AS inside FROM b, a)"
                     " SELECT at, inside FROM c WHERE inside > 0 ORDER BY at",
                     unit, STR_ARG(buckets_sql(s, of)), unit, among, among, among);

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

/* Conditions of the query on entries of the index. */
static struct filter entries_of(const struct log_query *q, const struct series *of)
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

/* The page's rows: their places in the index first, then they themselves. `is_few`: those of the
 * filter are sorted; else the index is walked in the order of time. */
static struct rows read_entries(struct store *s, const struct log_query *q, const struct filter *f,
                                bool is_few, int64_t skip)
{
    static const char *const by[LOG_SORTS] = {
        [LOG_BY_SPEND] = "spend", [LOG_BY_TOKENS] = "total_tokens"};
    const char *direction = q->asc ? "ASC" : "DESC", *first = by[q->sort];
    struct str order = arena_printf(s->arena, " ORDER BY %s%s%s%sat %s, request_id %s",
                                    first ? first : "", first ? " " : "", first ? direction : "",
                                    first ? ", " : "", direction, direction);
    struct str sql = arena_printf(
        s->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM (SELECT *, row_number() OVER () AS o"
        " FROM (%sSELECT at, request_id, spend, total_tokens FROM weir.log WHERE " STR_FMT
        "%s" STR_FMT " LIMIT %lld OFFSET %lld) e) p JOIN \"LiteLLM_SpendLogs\" t"
        " ON t.request_id = p.request_id AND t.\"startTime\" = p.at ORDER BY p.o) r",
        STR_ARG(log_columns(s, "+00:00")), is_few ? "WITH m AS MATERIALIZED (" : "",
        STR_ARG(f->sql), is_few ? ") SELECT * FROM m" : "", STR_ARG(order), (long long)q->limit,
        (long long)skip);

    return sql.n ? tx_query(&s->tx, sql.p, f->args, f->n) : (struct rows){0};
}

/* Where the page lies is known from the sums. */
static void page_of_buckets(struct store *s, const struct log_query *q, const struct series *of,
                            struct log_page *ret)
{
    struct filter f = entries_of(q, of);
    struct span p;

    if (!find_span(q, count_buckets(s, q, of), &p, &ret->total))
        return;
    if (q->sort != LOG_BY_START) { /* anywhere in the range */
        ret->rows = read_entries(s, q, &f, false, q->offset);
        return;
    }
    FILTER_ADD(&f, "at >= $?::timestamp", DB_TEXT(p.from));
    if (of->own.p)
        FILTER_ADD(&f, "at < $?::timestamp + interval '1 day'", DB_TEXT(p.until));
    else
        FILTER_ADD(&f, "at < $?::timestamp + interval '1 hour'", DB_TEXT(p.until));
    ret->rows = read_entries(s, q, &f, of->n <= FEW_SERIES && p.n <= FEW_ROWS, p.skip);
}

/* Counted as far as LiteLLM counts. */
static void page_of_entries(struct store *s, const struct log_query *q, const struct series *of,
                            struct log_page *ret)
{
    struct filter f = entries_of(q, of);
    struct str sql = arena_printf(
        s->arena, "SELECT count(*) FROM (SELECT FROM weir.log WHERE " STR_FMT " LIMIT %d) x",
        STR_ARG(f.sql), LOG_COUNT_MAX + 1);

    ret->total = sql.n ? rows_int(tx_query(&s->tx, sql.p, f.args, f.n), 0, 0) : 0;
    ret->is_capped = ret->total > LOG_COUNT_MAX;
    ret->total = MIN(ret->total, (int64_t)LOG_COUNT_MAX);
    if (ret->is_capped || q->offset < ret->total)
        ret->rows = read_entries(s, q, &f, false, q->offset);
}

void log_page(struct store *s, const struct log_query *q, struct log_page *ret)
{
    bool has_order = q->sort == LOG_BY_START || q->sort == LOG_BY_SPEND || q->sort == LOG_BY_TOKENS;
    struct series of;

    *ret = (struct log_page){0};
    log_begin(s);
    if (q->needs_rows || !has_order || !is_covered(s, q->from)) {
        page_of_rows(s, q, ret);
        return;
    }
    find_series(s, q, &of);
    if (of.own.p && of.n == 0)
        return;
    if (q->index.n)
        page_of_entries(s, q, &of, ret);
    else
        page_of_buckets(s, q, &of, ret);
}
