/* GET /spend/logs as it was before it had pages: all rows within a bound, or sums by day. */

#include "common/digest.h"

#include "api/spend_priv.h"

enum { ROWS_MAX = LOG_COUNT_MAX, BODIES_PIECE = 16 /* a row may have some MiB of them */ };

static struct str hashed(struct call *c, struct str key)
{
    return str_starts(key, STR("sk-")) ? sha256_hex(&c->arena, key) : key;
}

/* Sums of days before $2 by day and `what`; and of its first moment alone, as LiteLLM counts. */
#define SUMS(name, days, what)                                                                     \
    name " AS MATERIALIZED (SELECT day, " what " AS k, sum(spend) AS spend FROM (SELECT day,"      \
         " api_key, \"user\", model, n, spend FROM " days " WHERE day < $2::date UNION ALL SELECT" \
         " \"startTime\"::date, api_key, \"user\", model, 1, spend FROM \"LiteLLM_SpendLogs\""     \
         " WHERE \"startTime\" = $2::date) x WHERE ($3::text IS NULL OR api_key = $3)"             \
         " AND ($4::text IS NULL OR \"user\" = $4) GROUP BY 1, 2 HAVING sum(n) > 0)"
/* The same of one request. */
#define SUMS_OF_REQUEST(name, what)                                                                \
    name " AS (SELECT \"startTime\"::date AS day, " what " AS k, sum(spend) AS spend FROM"         \
         " \"LiteLLM_SpendLogs\" WHERE request_id = $5 AND \"startTime\" >= $1::date"              \
         " AND \"startTime\" <= $2::date AND ($3::text IS NULL OR api_key = $3)"                   \
         " AND ($4::text IS NULL OR \"user\" = $4) GROUP BY 1, 2)"
#define OBJECT(name, of)                                                                           \
    name " AS (SELECT day, jsonb_object_agg(coalesce(k, 'null'), spend) AS o FROM " of             \
         " GROUP BY 1)"

/*
 * One object a day: {<hash>: spend, ..., startTime, spend, users: {id: spend}, models: {name:
 * spend}}; behind the last day with rows empty ones up to the end.
 */
#define OBJECTS                                                                                    \
    ", d AS (SELECT day, sum(spend) AS spend FROM models GROUP BY 1), " OBJECT(                    \
        "k",                                                                                       \
        "keys") ", " OBJECT("u",                                                                   \
                            "users") ", " OBJECT("m",                                              \
                                                 "models") " SELECT k.o || "                       \
                                                           "jsonb_build_object('startTime', "      \
                                                           "d.day, 'spend', d.spend, 'users', "    \
                                                           "u.o,"                                  \
                                                           "  'models', m.o), d.day FROM d JOIN "  \
                                                           "k USING (day) JOIN u USING (day) "     \
                                                           "JOIN m USING (day)"                    \
                                                           " UNION ALL SELECT "                    \
                                                           "jsonb_build_object('startTime', "      \
                                                           "x::date, 'spend', 0, 'users', "        \
                                                           "'{}'::jsonb,"                          \
                                                           "  'models', '{}'::jsonb), x::date"     \
                                                           " FROM generate_series((SELECT "        \
                                                           "max(day) + 1 FROM d), $2::date, "      \
                                                           "interval '1 day') x ORDER BY 2"

static void reply_days(struct call *c, const struct days *days, struct str key, struct str user,
                       struct str request)
{
#define BY_KEY   SPEND_DAYS_OF("log_day_key")
#define BY_MODEL SPEND_DAYS_OF("log_day_model")
    static const char all[] = "WITH " SUMS("keys", BY_KEY, "api_key") ", " SUMS(
        "users", BY_KEY, "\"user\"") ", " SUMS("models", BY_MODEL, "model") OBJECTS;
    static const char some[] = "WITH " SUMS("keys", SPEND_DAYS, "api_key") ", " SUMS(
        "users", SPEND_DAYS, "\"user\"") ", " SUMS("models", SPEND_DAYS, "model") OBJECTS;
    static const char one[] = "WITH " SUMS_OF_REQUEST("keys", "api_key") ", " SUMS_OF_REQUEST(
        "users", "\"user\"") ", " SUMS_OF_REQUEST("models", "model") OBJECTS;
#undef BY_KEY
#undef BY_MODEL
    struct tx *tx = &c->store.tx;
    const struct db_arg args[] = {DB_TEXT(days->from), DB_TEXT(days->to), DB_TEXT_OR_NULL(key),
                                  DB_TEXT_OR_NULL(user), DB_TEXT(request)};

    spend_begin(c);
    reply_rows(c, request.p ? tx_query(tx, one, args, 5)
                            : tx_query(tx, key.p || user.p ? some : all, args, 4));
}

/* Whole rows, the newest first, bodies among them. */
static void reply_all(struct call *c, struct log_query *q)
{
    struct filter f = log_conditions(q);
    struct str sql =
        arena_printf(&c->arena,
                     "SELECT row_to_json(r) FROM (SELECT " STR_FMT ", t.messages, t.response,"
                     " t.proxy_server_request FROM \"LiteLLM_SpendLogs\" t WHERE " STR_FMT
                     " ORDER BY t.\"startTime\" DESC, t.request_id DESC LIMIT %d) r",
                     STR_ARG(log_columns(&c->store, "Z")), STR_ARG(f.sql), ROWS_MAX);

    if (!sql.n)
        return;
    reply_cursor(c, sql, f.args, f.n, BODIES_PIECE);
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
            LOG_WHERE0(&q, LOG_OF_BOTH, "false", "false");
    }
    if (has_days && !in_days(c, &days))
        return;
    if (has_days && in_bool(c, "summarize")) {
        reply_days(c, &days, key, user, request);
        return;
    }
    spend_begin(c);
    if (has_days) {
        q.from = arena_printf(&c->arena, STR_FMT " 00:00:00", STR_ARG(days.from));
        q.until = arena_printf(&c->arena, STR_FMT " 00:00:00", STR_ARG(days.to));
    }
    if (key.p)
        LOG_WHERE(&q, LOG_OF_KEY, "api_key = $?", "t.api_key = $?", DB_TEXT(key));
    if (user.p)
        LOG_WHERE(&q, LOG_OF_KEY, "\"user\" = $?", "t.\"user\" = $?", DB_TEXT(user));
    if (request.p)
        log_where_request(&c->store, &q, request);
    mark_cut(c, &q);
    reply_all(c, &q);
}
