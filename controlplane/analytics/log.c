/* What is asked of log rows, and pages out of LiteLLM's table. */

#include <math.h>

#include "analytics/log_priv.h"

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
                              .least = -HUGE_VAL,
                              .most = HUGE_VAL,
                              .limit = 50};
}

void log_where(struct log_query *q, unsigned levels, const char *series, const char *row,
               const struct db_arg *args, int n)
{
    filter_add(&q->series, series, args, n);
    filter_add(&q->rows, row, args, n);
    q->levels &= levels;
}

void log_where_least(struct log_query *q, double spend)
{
    FILTER_ADD(&q->index, "spend >= $?", DB_NUM(spend));
    FILTER_ADD(&q->rows, "spend >= $?", DB_NUM(spend));
    q->least = isnan(spend) ? HUGE_VAL : spend; /* PostgreSQL: above all */
}

void log_where_most(struct log_query *q, double spend)
{
    FILTER_ADD(&q->index, "spend <= $?", DB_NUM(spend));
    FILTER_ADD(&q->rows, "spend <= $?", DB_NUM(spend));
    q->most = isnan(spend) ? HUGE_VAL : spend;
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

bool log_is_covered(struct store *s, struct str from)
{
    return rows_bool(TX_QUERY(&s->tx,
                              "SELECT covered_from <= coalesce($1::timestamp, '-infinity')"
                              " FROM weir.log_state",
                              DB_TEXT_OR_NULL(from)),
                     0, 0);
}

/* A row of that request_id or call. */
#define OF_CALL                                                                                    \
    "t.request_id = ANY (ARRAY(SELECT $?::text UNION SELECT l.request_id FROM weir.log l"          \
    " WHERE l.call_id = weir.log_hash($?)))"

void log_where_request(struct store *s, struct log_query *q, struct str id)
{
    q->exact = id;
    if (!catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("litellm_call_id")))
        LOG_WHERE_ROW(q, "t.request_id = $?", DB_TEXT(id));
    else if (log_is_covered(s, (struct str){0}))
        LOG_WHERE_ROW(q, OF_CALL " AND $? IN (t.request_id, t.litellm_call_id)", DB_TEXT(id),
                      DB_TEXT(id), DB_TEXT(id));
    else
        LOG_WHERE_ROW(q, "$? IN (t.request_id, t.litellm_call_id)", DB_TEXT(id));
}

static void where_found(struct log_query *q, struct log_found found)
{
    ASSERT(q->n_found < ARRAY_LEN(q->found));
    q->found[q->n_found++] = found;
    filter_add(&q->index, found.entry, &found.arg, 1);
}

void log_where_error(struct log_query *q, struct str text)
{
    struct db_arg like = DB_TEXT(filter_contains(q->rows.arena, text));

    where_found(q, (struct log_found){.entry = "error LIKE $?",
                                      .packed = "h.kind = 'error' AND h.value LIKE $2",
                                      .arg = like});
    q->has_failed = true;
    filter_add(&q->rows, "t.metadata -> 'error_information' ->> 'error_message' LIKE $?", &like, 1);
}

void log_where_end_user(struct log_query *q, struct str id)
{
    if (!id.n) { /* the index has no entries of nobody */
        LOG_WHERE_ROW(q, "t.end_user = $?", DB_TEXT(id));
        return;
    }
    FILTER_ADD(&q->rows, "t.end_user = $?", DB_TEXT(id));
    where_found(q, (struct log_found){.entry = "end_user = $? AND end_user <> ''",
                                      .packed = "h.kind = 'end_user' AND h.value = $2"
                                                " AND weir.log_hash(h.value) = weir.log_hash($2)",
                                      .arg = DB_TEXT(id)});
}

void log_where_session(struct store *s, struct log_query *q, struct str text)
{
    bool is_one = rows_bool(TX_QUERY(&s->tx,
                                     "SELECT EXISTS (SELECT FROM \"LiteLLM_SpendLogs\""
                                     " WHERE session_id = $1)",
                                     DB_TEXT(text)),
                            0, 0);

    if (is_one) {
        LOG_WHERE_ROW(q, "t.session_id = $?", DB_TEXT(text));
        return;
    }
    LOG_WHERE_ROW(q, "t.session_id LIKE $?", DB_TEXT(filter_contains(s->arena, text)));
    log_narrow(s, q, "strpos(k.sessions, $3) > 0", text);
}

void log_where_token(struct store *s, struct log_query *q, struct str value)
{
    LOG_WHERE_ROW(q, "t.metadata ->> 'used_client_oauth_token' = $?", DB_TEXT(value));
    log_narrow(s, q, "$3 = ANY (k.tokens)", value);
}

#define IN_WINDOW "t.\"startTime\" >= $?::timestamp AND t.\"startTime\" <= $?::timestamp"
#define IN_SERIES "api_key, team_id, \"user\", model_id"

/* Whether series have that id, and whether single rows have it. */
static void find_any(struct store *s, struct str id, bool *ret_series, bool *ret_rows)
{
    struct rows r =
        TX_QUERY(&s->tx,
                 "SELECT EXISTS (SELECT FROM weir.log_series WHERE level = 0 AND $1 IN (" IN_SERIES
                 ")), EXISTS (SELECT FROM \"LiteLLM_SpendLogs\" WHERE request_id = $1)"
                 " OR EXISTS (SELECT FROM weir.log WHERE call_id = weir.log_hash($1))"
                 " OR EXISTS (SELECT FROM weir.log WHERE end_user = $1 AND end_user <> '')"
                 " OR EXISTS (SELECT FROM \"LiteLLM_SpendLogs\" WHERE session_id = $1)",
                 DB_TEXT(id));

    *ret_series = rows_bool(r, 0, 0);
    *ret_rows = rows_bool(r, 0, 1);
}

void log_where_any(struct store *s, struct log_query *q, struct str id, bool at_any_time)
{
    bool has_call = catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("litellm_call_id"));
    bool is_covered = log_is_covered(s, (struct str){0}), of_series = true, of_rows = true;
    struct db_arg arg = DB_TEXT(id), from = DB_TEXT(q->from), until = DB_TEXT(q->until);

    if (is_covered)
        find_any(s, id, &of_series, &of_rows);
    if (!of_rows) { /* of whole series, or of nothing */
        log_where(q, LOG_OF_ROW, "$? IN (" IN_SERIES ")",
                  "$? IN (t.api_key, t.team_id, t.\"user\", t.model_id)", &arg, 1);
        return;
    }
    if (is_covered && !of_series)
        LOG_WHERE_ROW(q, OF_CALL " OR t.end_user = $? OR t.session_id = $?", arg, arg, arg, arg);
    struct str has = arena_printf(s->arena,
                                  "t.request_id = $? OR (" IN_WINDOW
                                  " AND $? IN (t.api_key, t.team_id, t.\"user\", t.end_user,"
                                  " t.session_id, t.model_id%s))",
                                  has_call ? ", t.litellm_call_id" : "");
    if (has.n)
        LOG_WHERE_ROW(q, has.p, arg, from, until, arg);
    if (at_any_time)
        q->from = q->until = (struct str){0};
}

/* ---- columns ---- */

#define ELAPSED "(extract(epoch FROM (t.\"endTime\" - t.\"startTime\")) * 1000)::bigint"

const char *log_duration(const struct store *s)
{
    return catalog_column(s->catalog, TABLE_SPEND_LOGS, STR("request_duration_ms"))
               ? "coalesce(t.request_duration_ms, " ELAPSED ")"
               : ELAPSED;
}

const char *log_sort_column(const struct store *s, enum log_sort sort)
{
    return sort == LOG_BY_DURATION ? log_duration(s) : sort_columns[sort];
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

/* As the index has it; a row asked for by its id comes before those of a call of that id. */
struct str log_order(struct store *s, const struct log_query *q, struct filter *f)
{
    const char *direction = q->asc ? "ASC" : "DESC";
    const char *by = log_sort_column(s, q->sort);
    struct str first = {0};

    if (q->exact.p && f->n < FILTER_ARGS) {
        f->args[f->n++] = DB_TEXT(q->exact);
        first = arena_printf(s->arena, "(t.request_id = $%d) DESC, ", f->n);
    }
    const char *time =
        q->asc ? " NULLS LAST, t.\"startTime\" ASC" : " NULLS LAST, t.\"startTime\" DESC";
    return arena_printf(s->arena, " ORDER BY " STR_FMT "%s %s%s, t.request_id %s", STR_ARG(first),
                        by, direction, q->sort == LOG_BY_START ? "" : time, direction);
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

void log_page_of_rows(struct store *s, const struct log_query *q, struct log_page *ret)
{
    struct filter f = log_conditions(q);
    struct str sql = arena_printf(s->arena,
                                  "SELECT count(*) FROM (SELECT FROM \"LiteLLM_SpendLogs\" t"
                                  " WHERE " STR_FMT " LIMIT %d) x",
                                  STR_ARG(f.sql), LOG_COUNT_MAX + 1);

    log_count_capped(ret, sql.n ? rows_int(tx_query(&s->tx, sql.p, f.args, f.n), 0, 0) : 0);
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
