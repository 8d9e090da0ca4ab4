#include "store/model.h"

yyjson_mut_val *model_rows(struct store *s)
{
    return STORE_LIST(s, TABLE_MODEL, "ORDER BY t.model_name, t.created_at, t.model_id LIMIT $1",
                      DB_INT(MODELS_MAX));
}

yyjson_mut_val *model_rows_for(struct store *s, struct str name)
{
    return STORE_LIST(
        s, TABLE_MODEL,
        "WHERE t.model_name = $1 OR t.model_id = $1 OR position('*' in t.model_name) > 0"
        " OR t.model_info ->> 'team_public_model_name' = $1"
        " ORDER BY t.model_name, t.created_at, t.model_id LIMIT $2",
        DB_TEXT(name), DB_INT(MODELS_MAX));
}

bool model_is_by_admin(struct store *s, const yyjson_mut_val *row)
{
    return rows_bool(
        TX_QUERY(
            &s->tx,
            "SELECT NOT EXISTS (SELECT FROM unnest(ARRAY[$1::text, $2::text]) AS w(who)"
            " WHERE w.who IS DISTINCT FROM 'default_user_id' AND NOT EXISTS (SELECT FROM"
            " \"LiteLLM_UserTable\" x WHERE x.user_id = w.who AND x.user_role = 'proxy_admin'))",
            DB_TEXT_OR_NULL(row_text(row, "created_by")),
            DB_TEXT_OR_NULL(row_text(row, "updated_by"))),
        0, 0);
}

yyjson_mut_val *model_lock_group(struct store *s, struct texts names, struct texts ids,
                                 struct str group)
{
    return STORE_LIST(s, TABLE_MODEL,
                      "WHERE (cardinality($2::text[]) = 0 AND t.model_name = ANY ($1::text[]))"
                      " OR t.model_id = ANY ($2::text[])"
                      " OR t.model_info -> 'access_groups' @> to_jsonb($3::text)"
                      " ORDER BY t.model_id FOR UPDATE",
                      DB_TEXTS(names.p, names.n), DB_TEXTS(ids.p, ids.n), DB_TEXT_OR_NULL(group));
}

yyjson_mut_val *model_groups(struct store *s, struct str group)
{
    struct rows r = TX_QUERY(
        &s->tx,
        "SELECT to_jsonb(x) FROM (SELECT g.name AS access_group,"
        " jsonb_agg(DISTINCT m.model_name) AS model_names, count(*) AS deployment_count,"
        " b.spend, CASE WHEN u.budget_id IS NOT NULL THEN jsonb_build_object("
        "  'budget_id', u.budget_id, 'max_budget', u.max_budget, 'soft_budget', u.soft_budget,"
        "  'budget_duration', u.budget_duration,"
        "  'budget_reset_at', to_char(u.budget_reset_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')) END"
        " AS budget"
        " FROM \"LiteLLM_ProxyModelTable\" m"
        " CROSS JOIN LATERAL jsonb_array_elements_text(CASE WHEN"
        "  jsonb_typeof(m.model_info -> 'access_groups') = 'array'"
        "  THEN m.model_info -> 'access_groups' ELSE '[]' END) AS g(name)"
        " LEFT JOIN \"LiteLLM_ModelAccessGroupBudgetTable\" b ON b.access_group_name = g.name"
        " LEFT JOIN \"LiteLLM_BudgetTable\" u ON u.budget_id = b.budget_id"
        " WHERE $1 = '' OR g.name = $1"
        " GROUP BY g.name, b.spend, u.budget_id ORDER BY g.name COLLATE \"C\" LIMIT 10000) x",
        DB_TEXT(group));
    yyjson_mut_val *list = row_list(s);

    for (int i = 0; i < r.n; i++)
        (void)yyjson_mut_arr_append(list, store_json(s, rows_text(r, i, 0))); /* fresh: no copy */
    return list;
}

void model_group_drop_budget(struct store *s, struct str group)
{
    (void)store_delete(s, TABLE_MODEL_ACCESS_GROUP_BUDGET, group);
}

bool model_row_has_name(struct store *s, struct str name, struct str except)
{
    return TX_QUERY(&s->tx,
                    "SELECT 1 FROM \"LiteLLM_ProxyModelTable\""
                    " WHERE model_name = $1 AND model_id <> $2 LIMIT 1",
                    DB_TEXT(name), DB_TEXT(except))
               .n > 0;
}

bool model_row_has_public_name(struct store *s, struct str team_id, struct str name,
                               struct str except)
{
    return TX_QUERY(&s->tx,
                    "SELECT 1 FROM \"LiteLLM_ProxyModelTable\" WHERE model_info ->> 'team_id' = $1"
                    " AND model_info ->> 'team_public_model_name' = $2 AND model_id <> $3 LIMIT 1",
                    DB_TEXT(team_id), DB_TEXT(name), DB_TEXT(except))
               .n > 0;
}

void model_give_team(struct store *s, struct str team_id, struct str name)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_TeamTable\" SET models = CASE"
                   " WHEN cardinality(coalesce(models, '{}')) = 0"
                   " THEN ARRAY['all-proxy-models', $2::text] ELSE array_append(models, $2) END"
                   " WHERE team_id = $1 AND NOT $2 = ANY (coalesce(models, '{}'))",
                   DB_TEXT(team_id), DB_TEXT(name));
}

void model_take_from_team(struct store *s, struct str team_id, struct str name)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_TeamTable\" SET models = array_remove(models, $2)"
                   " WHERE team_id = $1 AND $2 = ANY (models)",
                   DB_TEXT(team_id), DB_TEXT(name));
}

void model_drop_aliases(struct store *s, struct str name)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_ModelTable\" m SET aliases = coalesce((SELECT"
                   " jsonb_object_agg(e.key, e.value) FROM jsonb_each(m.aliases) AS e"
                   " WHERE e.value <> to_jsonb($1::text)), '{}')"
                   " WHERE jsonb_typeof(m.aliases) = 'object' AND EXISTS (SELECT FROM"
                   " jsonb_each(m.aliases) AS e WHERE e.value = to_jsonb($1::text))",
                   DB_TEXT(name));
}

void model_rename_in_lists(struct store *s, struct str from, struct str to)
{
    static const char *const sql[] = {
        "UPDATE \"LiteLLM_VerificationToken\" SET models = array_replace(array_remove(models, $2),"
        " $1, $2) WHERE $1 = ANY (models)",
        "UPDATE \"LiteLLM_TeamTable\" SET models = array_replace(array_remove(models, $2), $1, $2)"
        " WHERE $1 = ANY (models)",
        "UPDATE \"LiteLLM_UserTable\" SET models = array_replace(array_remove(models, $2), $1, $2)"
        " WHERE $1 = ANY (models)",
        "UPDATE \"LiteLLM_OrganizationTable\" SET models = array_replace(array_remove(models, $2),"
        " $1, $2) WHERE $1 = ANY (models)",
        "UPDATE \"LiteLLM_ProjectTable\" SET models = array_replace(array_remove(models, $2), $1,"
        " $2) WHERE $1 = ANY (models)",
        "UPDATE \"LiteLLM_AccessGroupTable\" SET access_model_names ="
        " array_replace(array_remove(access_model_names, $2), $1, $2)"
        " WHERE $1 = ANY (access_model_names)",
    };

    for (size_t i = 0; i < ARRAY_LEN(sql); i++)
        (void)TX_QUERY(&s->tx, sql[i], DB_TEXT(from), DB_TEXT(to));
}

void model_drop_from_groups(struct store *s, struct str name)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_AccessGroupTable\" SET access_model_names ="
                   " array_remove(access_model_names, $1) WHERE $1 = ANY (access_model_names)",
                   DB_TEXT(name));
}
