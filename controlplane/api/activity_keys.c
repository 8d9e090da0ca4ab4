/* Keys and users by what they spent: lists below /<kind>/daily/activity/aggregated. */

#include "api/activity_priv.h"
#include "api/parts.h"
#include "store/filter.h"

enum { KEYS_MAX = 100, ROW_METRICS = 2 };

/* "<what>, how many there are", then metrics */
#define KEYS "d.api_key, count(*) OVER ()"
#define MOST "GROUP BY d.api_key ORDER BY sum(d.spend) DESC, d.api_key"

/* What is told of a key in a list, of metrics. */
static const enum metric_count told_counts[] = {
    COUNT_prompt_tokens,
    COUNT_completion_tokens,
    COUNT_total_tokens,
    COUNT_api_requests,
    COUNT_successful_requests,
    COUNT_failed_requests,
    COUNT_cache_read_input_tokens,
    COUNT_cache_creation_input_tokens,
};
enum { TOLD_OF_USERS = 6 };

static void put_told(struct jw *w, const struct metrics *m, size_t n)
{
    jw_key(w, STR("spend"));
    jw_put_usd(w, m->usd[USD_spend]);
    for (size_t i = 0; i < n; i++) {
        jw_key(w, metric_count_name(told_counts[i]));
        jw_put_i64(w, m->count[told_counts[i]]);
    }
}

/* ---- keys ---- */

/* What is known of a key in rows of daily_keys(). */
static struct str known(struct rows r, struct str key)
{
    if (!key.n)
        return STR(ACTIVITY_NO_KEY);
    for (int i = 0; i < r.n; i++)
        if (str_eq(rows_text(r, i, 0), key))
            return rows_text(r, i, 1);
    return STR("{}");
}

static void put_keys(struct call *c, struct jw *w, struct rows r, bool is_whole)
{
    struct str keys[KEYS_MAX] = {0};
    struct metrics m;

    ASSERT(r.n <= KEYS_MAX);
    for (int i = 0; i < r.n; i++)
        keys[i] = rows_text(r, i, 0);
    struct rows meta = daily_keys(&c->store, keys, (size_t)r.n);
    jw_key(w, STR("api_keys"));
    jw_arr(w);
    for (int i = 0; i < r.n; i++) {
        metrics_read(&m, r, i, ROW_METRICS);
        jw_obj(w);
        jw_key(w, STR("api_key"));
        jw_put_str(w, key_bucket(&c->arena, keys[i]));
        jw_key(w, STR("metrics"));
        jw_obj(w);
        if (is_whole)
            metrics_put(w, &m);
        else
            put_told(w, &m, ARRAY_LEN(told_counts));
        jw_end(w);
        jw_key(w, STR("metadata"));
        jw_put_raw(w, known(meta, keys[i]));
        jw_end(w);
    }
    jw_end(w);
}

static void begin(struct out *o, struct call *c)
{
    out_begin(o, c, STR("application/json"));
    jw_obj(&o->w);
}

static void end(struct out *o)
{
    jw_end(&o->w);
    out_end(o);
}

static void put_window(struct call *c, struct jw *w, struct rows r, const char *total,
                       const struct daily_scope *sc, const struct daily_statement *count)
{
    int64_t n = rows_int(r, 0, 1);

    if (!r.n && in_int(c, "offset"))
        n = rows_int(DAILY_QUERY0(&c->store, sc, count), 0, 0);
    jw_key(w, str_of(total));
    jw_put_i64(w, n);
    jw_key(w, STR("offset"));
    jw_put_i64(w, in_int(c, "offset"));
    jw_key(w, STR("limit"));
    jw_put_i64(w, in_int(c, "limit"));
}

void api_activity_keys(struct call *c)
{
    static const struct daily_statement st = {KEYS, metrics_sums, MOST " LIMIT $7 OFFSET $8", NULL,
                                              DAILY_BY_KEY};
    static const struct daily_statement count = {"count(DISTINCT d.api_key)", NULL, "", NULL,
                                                 DAILY_BY_KEY};
    struct daily_scope sc;
    struct out o;

    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct rows r =
        DAILY_QUERY(&c->store, &sc, &st, DB_INT(in_int(c, "limit")), DB_INT(in_int(c, "offset")));
    begin(&o, c);
    put_keys(c, &o.w, r, false);
    put_window(c, &o.w, r, "total_api_keys", &sc, &count);
    end(&o);
}

void api_activity_search(struct call *c)
{
    static const struct daily_statement st = {
        KEYS, metrics_sums,
        "AND (CASE WHEN d.api_key = '' THEN 'unattributed'"
        " WHEN d.api_key = 'unattributed' OR d.api_key LIKE 'raw:%' THEN 'raw:' || d.api_key"
        " ELSE d.api_key END ILIKE $7 OR d.api_key IN"
        " (SELECT v.token FROM (SELECT token, key_alias, user_id FROM \"LiteLLM_VerificationToken\""
        "  UNION ALL SELECT token, key_alias, user_id FROM \"LiteLLM_DeletedVerificationToken\") v"
        "  LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = v.user_id"
        "  WHERE v.key_alias ILIKE $7 OR v.user_id ILIKE $7 OR u.user_email ILIKE $7)) " MOST
        " LIMIT $8",
        NULL, DAILY_BY_KEY};
    struct str search = in_text(c, "search");
    struct daily_scope sc;
    struct out o;

    if (!search.n) {
        refuse_value(c, "search", "String should have at least 1 character");
        return;
    }
    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct rows r = DAILY_QUERY(&c->store, &sc, &st, DB_TEXT(filter_contains(&c->arena, search)),
                                DB_INT(in_int(c, "limit")));
    begin(&o, c);
    put_keys(c, &o.w, r, true);
    end(&o);
}

void api_activity_model_keys(struct call *c)
{
    static const struct daily_statement by_model = {
        KEYS, metrics_sums,
        "AND coalesce(nullif(d.model, ''), 'unknown-model') = $7 " MOST " LIMIT $8", NULL,
        DAILY_ROWS};
    static const struct daily_statement by_group = {
        KEYS, metrics_sums,
        "AND coalesce(nullif(d.model_group, ''), nullif(d.model, ''), 'unknown-model-group') = "
        "$7 " MOST " LIMIT $8",
        NULL, DAILY_ROWS};
    struct str model = in_text(c, "model_group");
    struct daily_scope sc;
    struct out o;

    if (!model.n) {
        refuse_value(c, "model_group", "String should have at least 1 character");
        return;
    }
    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct rows r =
        DAILY_QUERY(&c->store, &sc, in_bool(c, "by_model_group") ? &by_group : &by_model,
                    DB_TEXT(model), DB_INT(in_int(c, "limit")));
    begin(&o, c);
    jw_key(&o.w, STR("model"));
    jw_put_str(&o.w, model);
    jw_key(&o.w, STR("by_model_group"));
    jw_put_bool(&o.w, in_bool(c, "by_model_group"));
    put_keys(c, &o.w, r, false);
    end(&o);
}

void api_activity_leakage(struct call *c)
{
    static const struct daily_statement st = {
        KEYS, metrics_sums,
        "GROUP BY d.api_key HAVING sum(d.prompt_tokens) - sum(d.cache_read_input_tokens) > 0"
        " ORDER BY sum(d.prompt_tokens) - sum(d.cache_read_input_tokens) DESC, d.api_key LIMIT $7",
        NULL, DAILY_BY_KEY};
    struct daily_scope sc;
    struct out o;

    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct rows r = DAILY_QUERY(&c->store, &sc, &st, DB_INT(in_int(c, "limit")));
    begin(&o, c);
    put_keys(c, &o.w, r, false);
    end(&o);
}

/* ---- users ---- */

/* JSON null for what is absent. */
static void put_text(struct jw *w, const char *name, struct str text)
{
    jw_key(w, str_of(name));
    if (text.p)
        jw_put_str(w, text);
    else
        jw_put_null(w);
}

void api_activity_users(struct call *c)
{
    static const struct daily_statement st = {
        "nullif(d.entity, ''), count(*) OVER ()", metrics_sums,
        "GROUP BY 1 ORDER BY sum(d.spend) DESC, 1 NULLS LAST LIMIT $7 OFFSET $8", NULL,
        DAILY_BY_ENTITY};
    static const struct daily_statement count = {
        "count(DISTINCT nullif(d.entity, '')) + coalesce(max((coalesce(d.entity, '') = '')::int),"
        " 0)",
        NULL, "", NULL, DAILY_BY_ENTITY};
    struct store *s = &c->store;
    struct str users[KEYS_MAX] = {0};
    struct daily_scope sc;
    struct metrics m;
    struct out o;

    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct rows r =
        DAILY_QUERY(s, &sc, &st, DB_INT(in_int(c, "limit")), DB_INT(in_int(c, "offset")));
    for (int i = 0; i < r.n; i++)
        users[i] = rows_text(r, i, 0);
    struct rows meta = daily_entities(s, DAILY_USER, users, (size_t)r.n);
    begin(&o, c);
    jw_key(&o.w, STR("users"));
    jw_arr(&o.w);
    for (int i = 0; i < r.n; i++) {
        yyjson_mut_val *of = users[i].n ? store_json(s, known(meta, users[i])) : NULL;
        metrics_read(&m, r, i, ROW_METRICS);
        jw_obj(&o.w);
        put_text(&o.w, "user_id", users[i]);
        put_text(&o.w, "user_email", row_text(of, "user_email"));
        put_text(&o.w, "user_alias", row_text(of, "user_alias"));
        put_told(&o.w, &m, TOLD_OF_USERS);
        jw_end(&o.w);
    }
    jw_end(&o.w);
    put_window(c, &o.w, r, "total_users", &sc, &count);
    end(&o);
}
