#include "store/daily.h"

static const struct {
    const char *kind, *table, *entity;
} tables[DAILY_KINDS] = {
#define X(id, name, table, entity) [DAILY_##id] = {name, table, entity},
    DAILY_KINDS_OF(X)
#undef X
};

/* Planned with the values at hand, so that what was not asked for costs nothing. */
static const char where[] = "d.date >= $1 AND d.date <= $2"
                            " AND ($3::text[] IS NULL OR d.entity = ANY ($3))"
                            " AND ($4::text[] IS NULL OR d.entity IS NULL OR d.entity <> ALL ($4))"
                            " AND ($5::text IS NULL OR d.model = $5"
                            "      OR ($5 = 'unknown-model' AND coalesce(d.model, '') = ''))"
                            " AND ($6::text[] IS NULL OR d.api_key = ANY ($6))"
                            " AND d.api_key <> '__ptu_flat_cost__'";

static struct db_arg list_arg(const struct daily_list *l)
{
    return l->is_given ? DB_TEXTS(l->id, l->n) : DB_NULL;
}

/* DAILY_ARGS of them. */
static void scope_args(const struct daily_scope *scope, struct db_arg *ret)
{
    ret[0] = DB_TEXT(scope->from);
    ret[1] = DB_TEXT(scope->to);
    ret[2] = list_arg(&scope->entities);
    ret[3] = scope->excluded.n ? list_arg(&scope->excluded) : DB_NULL;
    ret[4] = scope->model.n ? DB_TEXT(scope->model) : DB_NULL;
    ret[5] = list_arg(&scope->keys);
}

#define DIMS                                                                                       \
    " api_key, model, model_group, custom_llm_provider, endpoint, mcp_namespaced_tool_name,"
#define SUMS                                                                                       \
    " spend, compression_savings_spend, prompt_caching_savings_spend,"                             \
    " gateway_injected_caching_savings_spend, autorouter_savings_spend, prompt_tokens,"            \
    " completion_tokens, cache_read_input_tokens, cache_creation_input_tokens,"                    \
    " compression_saved_tokens, successful_requests, failed_requests, api_requests,"               \
    " total_response_time_ms, timed_requests"

/* The sums of a grain tell apart what the scope asks about. */
static bool has_grain(const struct daily_scope *scope, enum daily_grain grain)
{
    bool of_entities = scope->entities.is_given || scope->excluded.n;

    switch (grain) {
    case DAILY_ROWS:
        return false;
    case DAILY_BY_CELL:
        return !of_entities && !scope->keys.is_given;
    case DAILY_BY_ENTITY:
        return !scope->keys.is_given && !scope->model.n;
    case DAILY_BY_KEY:
        return !scope->model.n;
    }
    return false;
}

/* What d is: rows, or sums and the rows of days that have none. */
static struct str relation(struct store *s, const struct daily_scope *scope, enum daily_grain grain)
{
    const char *kind = tables[scope->kind].kind, *table = tables[scope->kind].table;
    const char *entity = tables[scope->kind].entity;

    if (!has_grain(scope, grain))
        return arena_printf(s->arena, "(SELECT t.%s AS entity, 1 AS n, t.* FROM \"%s\" t)", entity,
                            table);
    return arena_printf(s->arena,
                        "(SELECT date, entity," DIMS " n," SUMS " FROM weir.daily_sum"
                        " WHERE kind = '%s' AND grain = %d AND date IN (SELECT date"
                        "  FROM weir.daily_day WHERE kind = '%s' AND is_summed)"
                        " UNION ALL SELECT date, %s," DIMS " 1," SUMS " FROM \"%s\""
                        " WHERE date = ANY (weir.daily_live('%s', $1, $2)))",
                        kind, (int)grain, kind, entity, table, kind);
}

static struct str statement_text(struct store *s, const struct daily_scope *scope,
                                 const struct daily_statement *st)
{
    return arena_printf(s->arena, "%sSELECT %s%s FROM " STR_FMT " d WHERE %s %s%s%s",
                        st->outer ? "WITH k AS MATERIALIZED (" : "", st->columns,
                        st->metrics ? st->metrics : "", STR_ARG(relation(s, scope, st->grain)),
                        where, st->tail, st->outer ? ") " : "", st->outer ? st->outer : "");
}

struct rows daily_query(struct store *s, const struct daily_scope *scope,
                        const struct daily_statement *st, const struct db_arg *extra, int n_extra)
{
    struct db_arg args[DAILY_ARGS + DAILY_EXTRA_MAX];
    struct str sql = statement_text(s, scope, st);

    ASSERT(n_extra <= DAILY_EXTRA_MAX);
    scope_args(scope, args);
    if (n_extra)
        memcpy(args + DAILY_ARGS, extra, (size_t)n_extra * sizeof *extra);
    return sql.n ? tx_query(&s->tx, sql.p, args, DAILY_ARGS + n_extra) : (struct rows){0};
}

void daily_open_cursor(struct store *s, const struct daily_scope *scope,
                       const struct daily_statement *st)
{
    struct db_arg args[DAILY_ARGS];
    struct str sql = statement_text(s, scope, st);

    scope_args(scope, args);
    if (sql.n)
        tx_open_cursor(&s->tx, sql.p, args, DAILY_ARGS);
}

struct rows daily_keys(struct store *s, const struct str *keys, size_t n)
{
    if (!n)
        return (struct rows){0};
    /* A key that is gone belongs to whoever it was counted for, if that was one. */
    return TX_QUERY(
        &s->tx,
        "SELECT w.key, jsonb_build_object('key_alias', coalesce(v.key_alias, x.key_alias),"
        " 'team_id', coalesce(v.team_id, x.team_id), 'user_id', o.user_id,"
        " 'user_email', nullif(u.user_email, ''), 'key_exists', v.token IS NOT NULL)"
        " FROM unnest($1::text[]) w(key)"
        " LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = w.key"
        " LEFT JOIN LATERAL (SELECT d.key_alias, d.team_id, d.user_id"
        "  FROM \"LiteLLM_DeletedVerificationToken\" d WHERE d.token = w.key"
        "  ORDER BY d.deleted_at DESC LIMIT 1) x ON v.token IS NULL"
        " LEFT JOIN LATERAL (SELECT min(y.user_id) AS user_id FROM (SELECT d.user_id"
        "  FROM \"LiteLLM_DailyUserSpend\" d WHERE d.api_key = w.key AND d.user_id <> ''"
        "  LIMIT 1000) y HAVING min(y.user_id) = max(y.user_id)) z"
        "  ON v.token IS NULL AND coalesce(x.user_id, '') = ''"
        " CROSS JOIN LATERAL (SELECT coalesce(v.user_id, nullif(x.user_id, ''), z.user_id)) "
        "o(user_id)"
        " LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = o.user_id",
        DB_TEXTS(keys, n));
}

struct rows daily_entities(struct store *s, enum daily_kind kind, const struct str *ids, size_t n)
{
    static const char *const statements[DAILY_KINDS] = {
        [DAILY_USER] = "SELECT user_id, jsonb_build_object('user_email', user_email, 'user_alias',"
                       " user_alias) FROM \"LiteLLM_UserTable\" WHERE user_id = ANY ($1)",
        [DAILY_TEAM] = "SELECT team_id, jsonb_build_object('team_alias', team_alias)"
                       " FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY ($1)",
        [DAILY_ORGANIZATION] =
            "SELECT organization_id, jsonb_build_object('organization_alias', organization_alias)"
            " FROM \"LiteLLM_OrganizationTable\" WHERE organization_id = ANY ($1)",
        [DAILY_CUSTOMER] = "SELECT user_id, jsonb_build_object('alias', alias)"
                           " FROM \"LiteLLM_EndUserTable\" WHERE user_id = ANY ($1)",
        [DAILY_AGENT] = "SELECT agent_id, jsonb_build_object('agent_name', agent_name)"
                        " FROM \"LiteLLM_AgentsTable\" WHERE agent_id = ANY ($1)",
    };

    if (!n || !statements[kind])
        return (struct rows){0};
    return TX_QUERY(&s->tx, statements[kind], DB_TEXTS(ids, n));
}
