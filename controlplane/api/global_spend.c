/* Spend of the whole, by day, key, team, model, provider, tag and end user
 * (litellm-controlplane.md 2.11). */

#include "common/gateway/provider.h"

#include "api/models_priv.h"
#include "api/settings.h"
#include "api/spend.h"
#include "audit/audit.h"

#define EVER     DB_TEXT(STR("-infinity")), DB_TEXT(STR("infinity"))
#define RECENT   " day >= current_date - 30 " /* as LiteLLM's views are of 30 days */
#define BY_MODEL SPEND_DAYS_OF("log_day_model")
#define BY_KEY   SPEND_DAYS_OF("log_day_key")

/* Internal users who may ask see their own alone; p NULL: everything. */
static struct str own_user(const struct call *c)
{
    struct spend_scope own = spend_own(c);

    if (own.all)
        return (struct str){0};
    return own.user_id.n ? own.user_id : STR("");
}

static void reply_object(struct call *c, struct rows r)
{
    if (r.n)
        reply_json(c, rows_text(r, 0, 0));
}

/* `limit`, or the number where there is none; false with a 422. */
static bool in_limit(struct call *c, int64_t dflt, int64_t *ret)
{
    *ret = in_set(c, "limit") ? in_int(c, "limit") : dflt;
    if (*ret >= 1)
        return true;
    refuse(c, 422, "Invalid limit: %lld, error: Limit must be greater than 0", (long long)*ret);
    return false;
}

/* ---- totals, days ---- */

void api_global_spend(struct call *c)
{
    yyjson_mut_val *most = setting_get(c, SETTING_LITELLM_max_budget);

    spend_begin(c);
    reply_object(c, TX_QUERY(&c->store.tx,
                             "SELECT json_build_object('spend', (SELECT sum(spend) FROM " BY_MODEL
                             " WHERE" RECENT "), 'max_budget', $3::double precision)",
                             EVER, DB_NUM(yyjson_mut_is_num(most) ? yyjson_mut_get_num(most) : 0)));
}

void api_global_spend_logs(struct call *c)
{
    struct str user = own_user(c), key = in_text(c, "api_key");

    if (user.p)
        REPLY_QUERY(c,
                    "SELECT day AS date, sum(spend) AS spend, api_key, \"user\" FROM " BY_KEY
                    " WHERE" RECENT "AND \"user\" = $3 AND ($4::text IS NULL OR api_key = $4)"
                    " GROUP BY day, api_key, \"user\" HAVING sum(n) > 0 ORDER BY day, api_key",
                    EVER, DB_TEXT(user), DB_TEXT_OR_NULL(key));
    else if (key.p)
        REPLY_QUERY(c,
                    "SELECT day AS date, sum(spend) AS spend, api_key FROM " BY_KEY " WHERE" RECENT
                    "AND api_key = $3 GROUP BY day, api_key HAVING sum(n) > 0 ORDER BY day",
                    EVER, DB_TEXT(key));
    else
        REPLY_QUERY(c,
                    "SELECT day AS date, sum(spend) AS spend FROM " BY_MODEL " WHERE" RECENT
                    "GROUP BY day HAVING sum(n) > 0 ORDER BY day",
                    EVER);
}

/* ---- the most expensive ---- */

void api_global_spend_keys(struct call *c)
{
    struct str user = own_user(c);
    int64_t limit;

    if (!in_limit(c, INT64_MAX, &limit))
        return;
    if (user.p)
        REPLY_QUERY(
            c,
            "SELECT k.api_key, k.total_spend, v.key_alias, v.key_name FROM"
            " (SELECT api_key, sum(spend) AS total_spend FROM " BY_KEY
            "  WHERE \"user\" = $3 GROUP BY 1 HAVING sum(n) > 0 ORDER BY 2 DESC, 1 LIMIT 10)"
            " k LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = k.api_key"
            " ORDER BY k.total_spend DESC, k.api_key",
            EVER, DB_TEXT(user));
    else
        REPLY_QUERY(c,
                    "SELECT k.api_key, v.key_alias, v.key_name, k.total_spend FROM"
                    " (SELECT api_key, sum(spend) AS total_spend FROM " BY_KEY " WHERE" RECENT
                    "GROUP BY 1 HAVING sum(n) > 0 ORDER BY 2 DESC, 1 LIMIT $3) k"
                    " LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = k.api_key"
                    " ORDER BY k.total_spend DESC, k.api_key",
                    EVER, DB_INT(limit));
}

void api_global_spend_models(struct call *c)
{
    struct str user = own_user(c);
    int64_t limit;

    if (!in_limit(c, 10, &limit))
        return;
    if (user.p)
        REPLY_QUERY(c,
                    "SELECT model, sum(spend) AS total_spend, sum(total_tokens) AS total_tokens"
                    " FROM " SPEND_DAYS " WHERE \"user\" = $3 GROUP BY 1 HAVING sum(n) > 0"
                    " ORDER BY 2 DESC, 1 LIMIT $4",
                    EVER, DB_TEXT(user), DB_INT(limit));
    else
        REPLY_QUERY(c,
                    "SELECT model, sum(spend) AS total_spend FROM " BY_MODEL " WHERE" RECENT
                    "AND model <> '' GROUP BY 1 HAVING sum(n) > 0 ORDER BY 2 DESC, 1 LIMIT $3",
                    EVER, DB_INT(limit));
}

void api_global_spend_teams(struct call *c)
{
    static const char sql[] =
        "WITH g AS MATERIALIZED (SELECT coalesce(a.team_alias, 'Unassigned') AS alias, t.day,"
        "  round(sum(t.spend)::numeric, 2)::double precision AS spend FROM " BY_MODEL
        "  LEFT JOIN \"LiteLLM_TeamTable\" a ON a.team_id = t.team_id WHERE" RECENT
        "  GROUP BY a.team_alias, t.day HAVING sum(t.n) > 0)"
        " SELECT json_build_object("
        "  'daily_spend', (SELECT coalesce(json_agg(o ORDER BY day), '[]') FROM (SELECT day,"
        "   jsonb_build_object('date', day) || jsonb_object_agg(alias, spend) AS o FROM g"
        "   GROUP BY day) x),"
        "  'teams', (SELECT coalesce(json_agg(alias ORDER BY alias), '[]')"
        "   FROM (SELECT DISTINCT alias FROM g) x),"
        "  'total_spend_per_team', (SELECT coalesce(json_agg(json_build_object('team_id', alias,"
        "   'total_spend', spend) ORDER BY spend DESC, alias), '[]') FROM (SELECT alias,"
        "   sum(spend) AS spend FROM g GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10) x))";

    if (wants_csv(c)) {
        REPLY_QUERY(c,
                    "SELECT t.day AS date, coalesce(a.team_alias, 'Unassigned') AS team,"
                    " sum(t.spend) AS spend FROM " BY_MODEL
                    " LEFT JOIN \"LiteLLM_TeamTable\" a ON a.team_id = t.team_id WHERE" RECENT
                    "GROUP BY 1, 2 HAVING sum(t.n) > 0 ORDER BY 1, 2",
                    EVER);
        return;
    }
    spend_begin(c);
    reply_object(c, TX_QUERY(&c->store.tx, sql, EVER));
}

/* ---- by provider ---- */

/* What the deployment says, else what its model's name means. */
static struct str provider_of(const yyjson_mut_val *model)
{
    const yyjson_mut_val *params = row_val(model, "litellm_params");
    struct str stated = row_text(params, "custom_llm_provider"), name;
    const struct provider *p =
        stated.n ? provider_find(stated)
                 : provider_split(row_text(params, "model"), row_text(params, "api_base"), &name);

    return p ? p->id : stated;
}

void api_global_spend_provider(struct call *c)
{
    yyjson_mut_val *all, *model;
    struct str *ids, *providers, user = own_user(c);
    struct days days;
    size_t i, n, k = 0;

    if (!in_days(c, &days))
        return;
    all = model_all(c);
    n = yyjson_mut_arr_size(all);
    ids = arena_alloc(&c->arena, 2 * (n + 1) * sizeof *ids);
    if (!ids)
        return;
    providers = ids + n + 1;
    yyjson_mut_arr_foreach(all, i, n, model)
    {
        ids[k] = row_text(row_val(model, "model_info"), "id");
        providers[k] = provider_of(model);
        k += ids[k].n && providers[k].n;
    }
    if (user.p)
        REPLY_QUERY(c,
                    "SELECT p.provider, sum(t.spend) AS spend FROM " SPEND_DAYS
                    " JOIN unnest($3::text[], $4::text[]) p (id, provider) ON p.id = t.model_id"
                    " WHERE t.\"user\" = $5 GROUP BY 1 HAVING sum(t.n) > 0 ORDER BY 2 DESC, 1",
                    DB_TEXT(days.from), DB_TEXT(days.to), DB_TEXTS(ids, k), DB_TEXTS(providers, k),
                    DB_TEXT(user));
    else
        REPLY_QUERY(c,
                    "SELECT p.provider, sum(t.spend) AS spend FROM " BY_MODEL
                    " JOIN unnest($3::text[], $4::text[]) p (id, provider) ON p.id = t.model_id"
                    " GROUP BY 1 HAVING sum(t.n) > 0 ORDER BY 2 DESC, 1",
                    DB_TEXT(days.from), DB_TEXT(days.to), DB_TEXTS(ids, k), DB_TEXTS(providers, k));
}

/* ---- by tag ---- */

void api_global_spend_tags(struct call *c)
{
    static const char rows[] =
        "SELECT tag AS name, round(sum(spend)::numeric, 4)::double precision AS spend,"
        " sum(n) AS log_count FROM " SPEND_TAGS
        " WHERE $3::text IS NULL OR tag = ANY (string_to_array($3, ','))"
        " GROUP BY 1 HAVING sum(n) > 0 ORDER BY sum(spend) DESC, 1";
    struct str tags = in_text(c, "tags"), list = {0}, rest = tags, one = {0};
    struct days days;
    bool all = !tags.n;

    if (!in_text(c, "start_date").p || !in_text(c, "end_date").p) {
        refuse_as(c, 400, "bad_request", NULL, "Please provide start_date and end_date");
        return;
    }
    if (!in_days(c, &days))
        return;
    for (bool more = !all; more;) {
        more = str_cut(rest, ',', &one, &rest);
        all |= str_eq(one, STR("all-tags"));
    }
    list = all ? (struct str){0} : tags;
    if (wants_csv(c)) {
        REPLY_QUERY(c, rows, DB_TEXT(days.from), DB_TEXT(days.to), DB_TEXT_OR_NULL(list));
        return;
    }
    struct str sql = arena_printf(&c->arena,
                                  "SELECT json_build_object('spend_per_tag',"
                                  " (SELECT coalesce(json_agg(r), '[]') FROM (%s) r))",
                                  rows);
    spend_begin(c);
    if (sql.n)
        reply_object(c, TX_QUERY(&c->store.tx, sql.p, DB_TEXT(days.from), DB_TEXT(days.to),
                                 DB_TEXT_OR_NULL(list)));
}

void api_global_spend_all_tag_names(struct call *c)
{
    spend_begin(c);
    reply_object(c, TX_QUERY(&c->store.tx,
                             "SELECT json_build_object('tag_names',"
                             " (SELECT coalesce(json_agg(tag ORDER BY tag), '[]') FROM"
                             "  (SELECT tag FROM " SPEND_TAGS " GROUP BY 1 HAVING sum(n) > 0) x))",
                             EVER));
}

/* ---- by end user ---- */

/*
 * Log rows from $1 up to $2 (timestamps) by end user: whole days out of their sums, the parts of
 * days at both ends out of the index, what has no entry yet out of the rows themselves.
 */
#define END_USERS                                                                                  \
    "WITH a AS (SELECT greatest($1::timestamp, covered_from) AS lo, $2::timestamp AS hi,"          \
    "  $1::timestamp AS since, covered_from FROM weir.log_state),"                                 \
    " b AS (SELECT *, (lo + interval '1 day' - interval '1 microsecond')::date AS first,"          \
    "  hi::date AS last FROM a),"                                                                  \
    " u AS (SELECT end_user, n, spend FROM (SELECT day, end_user, n, spend"                        \
    "   FROM weir.log_day_end_user UNION ALL SELECT day, end_user, n, spend FROM weir.log_delta) " \
    "d"                                                                                            \
    "  WHERE day >= (SELECT first FROM b) AND day < (SELECT last FROM b)"                          \
    "  UNION ALL SELECT end_user, 1, spend FROM weir.log WHERE at >= (SELECT lo FROM b)"           \
    "   AND at < (SELECT least(first, hi) FROM b)"                                                 \
    "  UNION ALL SELECT end_user, 1, spend FROM weir.log"                                          \
    "   WHERE at >= (SELECT greatest(first, last) FROM b) AND at < (SELECT hi FROM b)"             \
    "  UNION ALL SELECT end_user, 1, spend FROM \"LiteLLM_SpendLogs\""                             \
    "   WHERE \"startTime\" >= (SELECT since FROM b)"                                              \
    "   AND \"startTime\" < (SELECT least(hi, covered_from) FROM b))"

/* The same of one key, $3, out of the index. */
#define END_USERS_OF_KEY                                                                           \
    "WITH a AS (SELECT greatest($1::timestamp, covered_from) AS lo, $2::timestamp AS hi,"          \
    "  $1::timestamp AS since, covered_from FROM weir.log_state),"                                 \
    " u AS (SELECT end_user, 1 AS n, spend FROM weir.log WHERE series = ANY (ARRAY(SELECT id"      \
    "   FROM weir.log_series WHERE level = 0 AND api_key = $3)) AND at >= (SELECT lo FROM a)"      \
    "   AND at < (SELECT hi FROM a)"                                                               \
    "  UNION ALL SELECT end_user, 1, spend FROM \"LiteLLM_SpendLogs\" WHERE api_key = $3"          \
    "   AND \"startTime\" >= (SELECT since FROM a)"                                                \
    "   AND \"startTime\" < (SELECT least(hi, covered_from) FROM a))"

#define TOP_END_USERS                                                                              \
    " SELECT row_to_json(r) FROM (SELECT end_user, sum(n) AS total_count,"                         \
    " sum(spend) AS total_spend FROM u GROUP BY 1 HAVING sum(n) > 0"                               \
    " ORDER BY 3 DESC, 1 LIMIT 100) r"

void api_global_spend_end_users(struct call *c)
{
    struct str since = in_text(c, "startTime"), until = in_text(c, "endTime");
    struct str key = in_text(c, "api_key");
    struct tx *tx = &c->store.tx;

    spend_begin(c);
    struct rows t = TX_QUERY(tx,
                             "SELECT coalesce($1::timestamptz, now() - interval '30 days')"
                             " AT TIME ZONE 'UTC', coalesce($2::timestamptz, now())"
                             " AT TIME ZONE 'UTC'",
                             DB_TEXT_OR_NULL(since), DB_TEXT_OR_NULL(until));
    since = rows_text(t, 0, 0);
    until = rows_text(t, 0, 1);
    reply_rows(c, key.p ? TX_QUERY(tx, END_USERS_OF_KEY TOP_END_USERS, DB_TEXT(since),
                                   DB_TEXT(until), DB_TEXT(key))
                        : TX_QUERY(tx, END_USERS TOP_END_USERS, DB_TEXT(since), DB_TEXT(until)));
}

void api_global_all_end_users(struct call *c)
{
    spend_begin(c);
    reply_object(c, TX_QUERY(&c->store.tx,
                             END_USERS " SELECT json_build_object('end_users', (SELECT"
                                       " coalesce(json_agg(end_user ORDER BY end_user), '[]') FROM"
                                       " (SELECT end_user FROM u GROUP BY 1 HAVING sum(n) > 0) x))",
                             EVER));
}

/* ---- back to nothing ---- */

void api_global_spend_reset(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *changes;
    static const struct {
        enum table table;
        const char *sql;
    } rows[] = {
        {TABLE_TEAM, "WITH l AS (SELECT team_id FROM \"LiteLLM_TeamTable\" WHERE spend <> 0"
                     " ORDER BY team_id FOR UPDATE) UPDATE \"LiteLLM_TeamTable\" t SET spend = 0"
                     " FROM l WHERE l.team_id = t.team_id"},
        {TABLE_KEY, "WITH l AS (SELECT token FROM \"LiteLLM_VerificationToken\" WHERE spend <> 0"
                    " ORDER BY token FOR UPDATE) UPDATE \"LiteLLM_VerificationToken\" t"
                    " SET spend = 0 FROM l WHERE l.token = t.token"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        changes = row_new(s);
        row_put_num(s, changes, "spend", 0);
        row_put_int(s, changes, "rows", rows_affected(TX_QUERY0(&s->tx, rows[i].sql)));
        audit_write(c, AUDIT_UPDATED, rows[i].table, STR("*"), NULL, changes);
    }
    row_put_text(s, out, "message", STR("Spend for all API Keys and Teams reset successfully"));
    row_put_text(s, out, "status", STR("success"));
    reply(c, out);
}
