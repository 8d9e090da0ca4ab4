/* GET /spend/logs as it was before it had pages: all rows within a bound, or sums by day. */

#include "api/spend_priv.h"

enum { ROWS_MAX = LOG_COUNT_MAX };

static struct str hashed(struct call *c, struct str key)
{
    return str_starts(key, STR("sk-")) ? key_sha256(&c->arena, key) : key;
}

/*
 * One object a day: {<hash>: spend, ..., startTime, spend, users: {id: spend}, models: {name:
 * spend}}; behind the last day with rows empty ones up to the end. The last day counts with its
 * first moment alone, as it does there.
 */
static void reply_days(struct call *c, const struct days *days, struct str key, struct str user)
{
    static const char sql[] =
        "WITH g AS MATERIALIZED (SELECT day, api_key, \"user\", model, sum(spend) AS spend"
        "  FROM " SPEND_DAYS " WHERE day < $2::date AND ($3::text IS NULL OR api_key = $3)"
        "   AND ($4::text IS NULL OR \"user\" = $4) GROUP BY 1, 2, 3, 4 HAVING sum(n) > 0"
        "  UNION ALL SELECT \"startTime\"::date, api_key, \"user\", model, sum(spend)"
        "  FROM \"LiteLLM_SpendLogs\" WHERE \"startTime\" = $2::date"
        "   AND ($3::text IS NULL OR api_key = $3) AND ($4::text IS NULL OR \"user\" = $4)"
        "  GROUP BY 1, 2, 3, 4),"
        " d AS (SELECT day, sum(spend) AS spend FROM g GROUP BY 1),"
        " k AS (SELECT day, jsonb_object_agg(api_key, spend) AS o FROM (SELECT day, api_key,"
        "  sum(spend) AS spend FROM g GROUP BY 1, 2) x GROUP BY 1),"
        " u AS (SELECT day, jsonb_object_agg(coalesce(\"user\", 'null'), spend) AS o FROM (SELECT"
        "  day, \"user\", sum(spend) AS spend FROM g GROUP BY 1, 2) x GROUP BY 1),"
        " m AS (SELECT day, jsonb_object_agg(coalesce(model, 'null'), spend) AS o FROM (SELECT day,"
        "  model, sum(spend) AS spend FROM g GROUP BY 1, 2) x GROUP BY 1)"
        " SELECT k.o || jsonb_build_object('startTime', d.day, 'spend', d.spend, 'users', u.o,"
        "  'models', m.o) AS row, d.day FROM d JOIN k USING (day) JOIN u USING (day)"
        "  JOIN m USING (day)"
        " UNION ALL SELECT jsonb_build_object('startTime', x::date, 'spend', 0, 'users',"
        "  '{}'::jsonb, 'models', '{}'::jsonb), x::date"
        " FROM generate_series((SELECT max(day) + 1 FROM d), $2::date, interval '1 day') x"
        " ORDER BY 2";

    log_begin(&c->store);
    reply_rows(c, TX_QUERY(&c->store.tx, sql, DB_TEXT(days->from), DB_TEXT(days->to),
                           DB_TEXT_OR_NULL(key), DB_TEXT_OR_NULL(user)));
}

/* Whole rows, the newest first, bodies among them. */
static void reply_all(struct call *c, struct log_query *q)
{
    struct filter f = log_conditions(q);
    struct str sql = arena_printf(
        &c->arena,
        "SELECT row_to_json(r) FROM (SELECT " STR_FMT ", t.messages, t.response,"
        " t.proxy_server_request FROM \"LiteLLM_SpendLogs\" t WHERE " STR_FMT
        " ORDER BY t.\"startTime\" DESC, t.request_id DESC LIMIT %d) r",
        STR_ARG(log_columns(&c->store, "Z")), STR_ARG(f.sql), ROWS_MAX);

    if (!sql.n)
        return;
    reply_cursor(c, sql, f.args, f.n);
}

/* LiteLLM says so of an answer that was cut. */
static void mark_cut(struct call *c, const struct log_query *q)
{
    struct filter f = log_conditions(q);
    struct str sql = arena_printf(&c->arena,
                                  "SELECT count(*) >= %d FROM (SELECT FROM \"LiteLLM_SpendLogs\" t"
                                  " WHERE " STR_FMT " LIMIT %d) x",
                                  ROWS_MAX, STR_ARG(f.sql), ROWS_MAX);

    if (sql.n && rows_bool(tx_query(&c->store.tx, sql.p, f.args, f.n), 0, 0))
        c->headers = STR("x-litellm-spend-logs-truncated: true\r\n");
}

void api_spend_logs(struct call *c)
{
    struct str key = hashed(c, in_text(c, "api_key")), user = in_text(c, "user_id");
    struct str request = in_text(c, "request_id");
    bool has_days = in_text(c, "start_date").p && in_text(c, "end_date").p;
    struct log_query q = log_query_init(&c->store);
    struct days days;

    if (!rbac_sees_all(&c->caller)) {
        user = c->caller.user_id.n ? c->caller.user_id : STR("");
        if (!user.n)
            LOG_WHERE0(&q, "false", "false");
    }
    if (has_days && !in_days(c, &days))
        return;
    if (has_days && in_bool(c, "summarize") && !request.p) {
        reply_days(c, &days, key, user);
        return;
    }
    log_begin(&c->store);
    if (has_days) {
        q.from = arena_printf(&c->arena, STR_FMT " 00:00:00", STR_ARG(days.from));
        q.until = arena_printf(&c->arena, STR_FMT " 00:00:00", STR_ARG(days.to));
    }
    if (key.p)
        LOG_WHERE(&q, "api_key = $?", "t.api_key = $?", DB_TEXT(key));
    if (user.p)
        LOG_WHERE(&q, "\"user\" = $?", "t.\"user\" = $?", DB_TEXT(user));
    if (request.p)
        log_where_request(&c->store, &q, request);
    mark_cut(c, &q);
    reply_all(c, &q);
}
