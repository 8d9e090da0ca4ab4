/* Requests and tokens of the whole by day, and what caches did; users see their own. */

#include "api/parts.h"
#include "api/spend.h"

/* ---- requests by day ---- */

/* The days asked for, and whose: p NULL: everybody's. */
static bool read_days(struct call *c, struct days *ret, struct str *ret_user)
{
    struct spend_scope own = spend_own(c);

    if (!in_days(c, ret))
        return false;
    *ret_user = own.all ? (struct str){0} : own.user_id.n ? own.user_id : STR("");
    spend_begin(c);
    return true;
}

/* LiteLLM sorts by the printed day. */
#define ACTIVITY(days_)                                                                            \
    "WITH d AS MATERIALIZED (SELECT to_char(day, 'Mon DD') COLLATE \"C\" AS date, day,"            \
    "  sum(n) AS api_requests, sum(total_tokens) AS total_tokens FROM " days_                      \
    "  WHERE $3::text IS NULL OR \"user\" = $3 GROUP BY day HAVING sum(n) > 0)"
#define ACTIVITY_MODEL(days_)                                                                      \
    "WITH d AS MATERIALIZED (SELECT model_group AS model, to_char(day, 'Mon DD') COLLATE \"C\""    \
    "  AS date, day, sum(n) AS api_requests, sum(total_tokens) AS total_tokens FROM " days_        \
    "  WHERE $3::text IS NULL OR \"user\" = $3 GROUP BY model_group, day HAVING sum(n) > 0)"

void api_global_activity(struct call *c)
{
    static const char all[] = ACTIVITY(SPEND_DAYS_OF("log_day_model"));
    static const char own[] = ACTIVITY(SPEND_DAYS);
    static const char object[] =
        " SELECT json_build_object('daily_data', coalesce(json_agg(json_build_object('date', date,"
        " 'api_requests', api_requests, 'total_tokens', total_tokens) ORDER BY date, day), '[]'),"
        " 'sum_api_requests', coalesce(sum(api_requests), 0),"
        " 'sum_total_tokens', coalesce(sum(total_tokens), 0)) FROM d";
    static const char lines[] = " SELECT row_to_json(r) FROM (SELECT day AS date, api_requests,"
                                " total_tokens FROM d ORDER BY day) r";
    struct str user;
    struct days days;

    if (!read_days(c, &days, &user))
        return;
    bool csv = wants_csv(c);
    struct str sql = arena_printf(&c->arena, "%s%s", user.p ? own : all, csv ? lines : object);
    if (!sql.n)
        return;
    struct rows r =
        TX_QUERY(&c->store.tx, sql.p, DB_TEXT(days.from), DB_TEXT(days.to), DB_TEXT_OR_NULL(user));
    if (csv)
        reply_rows(c, r);
    else
        reply_json(c, rows_text(r, 0, 0));
}

void api_global_activity_model(struct call *c)
{
    static const char all[] = ACTIVITY_MODEL(SPEND_DAYS_OF("log_day_model"));
    static const char own[] = ACTIVITY_MODEL(SPEND_DAYS);
    static const char objects[] =
        " SELECT json_build_object('model', model, 'daily_data', json_agg(json_build_object("
        " 'model_group', model, 'date', date, 'api_requests', api_requests,"
        " 'total_tokens', total_tokens) ORDER BY date, day), 'sum_api_requests',"
        " sum(api_requests), 'sum_total_tokens', sum(total_tokens)) FROM d GROUP BY model"
        " ORDER BY sum(api_requests) DESC, model LIMIT 10";
    static const char lines[] =
        " SELECT row_to_json(r) FROM (SELECT model, day AS date, api_requests, total_tokens FROM d"
        " ORDER BY model, day) r";
    struct str user;
    struct days days;

    if (!read_days(c, &days, &user))
        return;
    struct str sql =
        arena_printf(&c->arena, "%s%s", user.p ? own : all, wants_csv(c) ? lines : objects);
    if (sql.n)
        reply_rows(c, TX_QUERY(&c->store.tx, sql.p, DB_TEXT(days.from), DB_TEXT(days.to),
                               DB_TEXT_OR_NULL(user)));
}

/* ---- caches ---- */

/* Rows of failed calls to these routes are no calls of models. */
#define NO_CALLS                                                                                   \
    "'{/key/info,/key/health,/team/info,/team/list,/v2/team/list,/organization/list,"              \
    "/team/available,/team/metadata_schema,/user/info,/v2/user/info,/management/v1/users/me,"      \
    "/model/info,/v1/model/info,/v2/model/info,/v2/key/info,/model_group/info,/health,"            \
    "/health/services,/key/list,/user/filter/ui,/models,/v1/models,"                               \
    "/claude_code_gateway/v1/models,/sso/get/ui_settings,/get/user_banner,"                        \
    "/get/latest_release_info}'::text[]"

#define WHERE                                                                                      \
    " LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = t.api_key WHERE t.call_type <> ALL "  \
    "(" NO_CALLS ") AND ($3::boolean OR t.\"user\" = $4 OR t.team_id = ANY ($5::text[])) "
#define ALIAS "coalesce(v.key_alias, 'Unnamed Key')"

/* Sums by call, of keys of these aliases and of these models; then what there is to choose from.
 * $6 and $7 are the choices. */
static struct str cache_sql(struct call *c, bool all, bool has_aliases)
{
    static const char full[] = SPEND_DAYS, models[] = SPEND_DAYS_OF("log_day_model");
    static const char keys[] = SPEND_DAYS_OF("log_day_key");

    return arena_printf(
        &c->arena,
        "WITH x AS MATERIALIZED (SELECT coalesce(nullif(t.call_type, ''), 'Unknown') AS call_type,"
        "  t.model, coalesce(t.cache_hit, '') = 'True' AS hit,"
        "  coalesce(t.status, '') = 'failure' AS failed,"
        "  coalesce(nullif(t.error_code, ''), 'Unknown') AS code,"
        "  coalesce(nullif(t.error_class, ''), 'Unknown') AS class, sum(t.n) AS n,"
        "  sum(t.completion_tokens) AS tokens FROM %s" WHERE "%s"
        "  GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(t.n) > 0),"
        " f AS (SELECT * FROM x WHERE cardinality($7::text[]) = 0 OR model = ANY ($7)),"
        " a AS (SELECT DISTINCT alias FROM (SELECT " ALIAS " AS alias FROM %s" WHERE
        "  GROUP BY t.api_key, 1 HAVING sum(t.n) > 0) y),"
        " m AS (SELECT model FROM %s%s%s WHERE model <> '' GROUP BY 1),"
        " g AS (SELECT call_type, sum(n) AS all_, coalesce(sum(n) FILTER (WHERE hit), 0) AS hits,"
        "  coalesce(sum(n) FILTER (WHERE failed), 0) AS failed,"
        "  coalesce(sum(tokens) FILTER (WHERE hit), 0) AS cached,"
        "  coalesce(sum(tokens) FILTER (WHERE NOT hit), 0) AS made FROM f GROUP BY 1),"
        " e AS (SELECT call_type, code, class, sum(n) AS n FROM f WHERE failed GROUP BY 1, 2, 3)"
        " SELECT json_build_object('groups', (SELECT coalesce(json_agg(json_build_object("
        "   'call_type', call_type, 'api_requests', all_ - hits - failed, 'cache_hits', hits,"
        "   'failed_requests', failed, 'cached_completion_tokens', cached,"
        "   'generated_completion_tokens', made) ORDER BY all_ DESC, call_type), '[]') FROM g),"
        "  'totals', (SELECT json_build_object('api_requests', coalesce(sum(all_ - hits - failed),"
        "   0), 'cache_hits', coalesce(sum(hits), 0), 'failed_requests', coalesce(sum(failed), 0),"
        "   'cached_completion_tokens', coalesce(sum(cached), 0), 'cache_hit_ratio',"
        "   coalesce(sum(hits) * 100.0 / nullif(sum(all_), 0), 0)::double precision) FROM g),"
        "  'filter_options', json_build_object('key_aliases', (SELECT coalesce(json_agg(alias"
        "   ORDER BY alias), '[]') FROM a), 'models', (SELECT coalesce(json_agg(model"
        "   ORDER BY model), '[]') FROM m)),"
        "  'error_breakdown', (SELECT coalesce(json_agg(json_build_object('call_type', call_type,"
        "   'error_code', code, 'error_class', class, 'count', n) ORDER BY n DESC, call_type, code,"
        "   class), '[]') FROM e))",
        all && !has_aliases ? models : full,
        has_aliases ? " AND " ALIAS " = ANY ($6::text[]) AND ('Unnamed Key' = ANY ($6::text[]) OR"
                      " t.api_key IN (SELECT token FROM \"LiteLLM_VerificationToken\""
                      "  WHERE key_alias = ANY ($6::text[])))"
                    : " AND cardinality($6::text[]) = 0",
        all ? keys : full, has_aliases ? "(SELECT t.model FROM " : "x",
        has_aliases ? (all ? models : full) : "",
        has_aliases ? WHERE "GROUP BY 1 HAVING sum(t.n) > 0) y" : "");
}

void api_global_activity_cache_hits(struct call *c)
{
    struct spend_scope scope = spend_scope_of(c);
    struct str *aliases, *models;
    size_t n_aliases, n_models;
    struct days days;

    if (!in_days(c, &days))
        return;
    aliases = row_texts(c, in_val(c, "key_aliases"), &n_aliases);
    models = row_texts(c, in_val(c, "models"), &n_models);
    struct str sql = cache_sql(c, scope.all, n_aliases > 0);
    spend_begin(c);
    if (!sql.n)
        return;
    struct rows r =
        TX_QUERY(&c->store.tx, sql.p, DB_TEXT(days.from), DB_TEXT(days.to), DB_BOOL(scope.all),
                 DB_TEXT(scope.user_id), DB_TEXTS(scope.teams, scope.n_teams),
                 DB_TEXTS(aliases, n_aliases), DB_TEXTS(models, n_models));
    if (r.n)
        reply_json(c, rows_text(r, 0, 0));
}
