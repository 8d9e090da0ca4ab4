#include "store/team.h"

#include "common/clock.h"

#define MEMBERSHIP "\"LiteLLM_TeamMembership\""

void team_archive(struct store *s, const yyjson_mut_val *row, const struct team_deletion *who)
{
    yyjson_mut_val *copy = row_copy(s, row);

    row_put_text(s, copy, "id", store_uuid(s));
    row_put_text(s, copy, "deleted_at", store_time(s, clock_wall_us()));
    row_put_text(s, copy, "deleted_by", who->by);
    row_put_text(s, copy, "deleted_by_api_key", who->by_key_hash);
    row_put_text(s, copy, "litellm_changed_by", who->changed_by);
    (void)store_insert(s, TABLE_DELETED_TEAM, copy);
}

void team_add_to_user(struct store *s, struct str team_id, struct str user_id)
{
    (void)TX_QUERY(
        &s->tx,
        "UPDATE \"LiteLLM_UserTable\" SET teams = array_append(teams, $1), updated_at = now()"
        " WHERE user_id = $2 AND NOT ($1 = ANY (coalesce(teams, '{}')))",
        DB_TEXT(team_id), DB_TEXT(user_id));
}

int64_t team_take_from_users(struct store *s, struct str team_id, struct str user_id)
{
    return rows_affected(TX_QUERY(
        &s->tx,
        "UPDATE \"LiteLLM_UserTable\" SET teams = array_remove(teams, $1), updated_at = now()"
        " WHERE $1 = ANY (teams) AND ($2::text IS NULL OR user_id = $2)",
        DB_TEXT(team_id), DB_TEXT_OR_NULL(user_id)));
}

yyjson_mut_val *team_membership(struct store *s, struct str team_id, struct str user_id)
{
    return STORE_FIRST(s, TABLE_TEAM_MEMBERSHIP, "WHERE t.team_id = $1 AND t.user_id = $2",
                       DB_TEXT(team_id), DB_TEXT(user_id));
}

yyjson_mut_val *team_join(struct store *s, struct str team_id, struct str user_id,
                          struct str budget_id)
{
    (void)TX_QUERY(&s->tx,
                   "INSERT INTO " MEMBERSHIP " (team_id, user_id, budget_id) VALUES ($1, $2, $3)"
                   " ON CONFLICT (user_id, team_id) DO NOTHING",
                   DB_TEXT(team_id), DB_TEXT(user_id), DB_TEXT_OR_NULL(budget_id));
    return team_membership(s, team_id, user_id);
}

void team_set_member_budget(struct store *s, struct str team_id, struct str user_id,
                            struct str budget_id)
{
    (void)TX_QUERY(&s->tx,
                   "INSERT INTO " MEMBERSHIP " (team_id, user_id, budget_id) VALUES ($1, $2, $3)"
                   " ON CONFLICT (user_id, team_id) DO UPDATE SET budget_id = excluded.budget_id",
                   DB_TEXT(team_id), DB_TEXT(user_id), DB_TEXT_OR_NULL(budget_id));
}

void team_fill_member_budgets(struct store *s, struct str team_id, struct str budget_id)
{
    (void)TX_QUERY(
        &s->tx,
        "INSERT INTO " MEMBERSHIP " AS m (team_id, user_id, budget_id)"
        " SELECT DISTINCT $1::text, e ->> 'user_id', $2::text FROM \"LiteLLM_TeamTable\" t,"
        "  jsonb_array_elements(CASE jsonb_typeof(t.members_with_roles) WHEN 'array'"
        "   THEN t.members_with_roles ELSE '[]' END) e"
        " WHERE t.team_id = $1 AND e ->> 'user_id' <> ''"
        " ON CONFLICT (user_id, team_id) DO UPDATE SET budget_id = excluded.budget_id"
        " WHERE m.budget_id IS NULL",
        DB_TEXT(team_id), DB_TEXT(budget_id));
}

void team_leave(struct store *s, struct str team_id, struct str user_id)
{
    (void)TX_QUERY(&s->tx,
                   "DELETE FROM " MEMBERSHIP
                   " WHERE team_id = $1 AND ($2::text IS NULL OR user_id = $2)",
                   DB_TEXT(team_id), DB_TEXT_OR_NULL(user_id));
}

void team_sync_access_groups(struct store *s, struct str team_id)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_AccessGroupTable\" g SET assigned_team_ids = CASE WHEN x.named"
                   "  THEN array_append(g.assigned_team_ids, $1) ELSE "
                   "array_remove(g.assigned_team_ids, $1) END"
                   " FROM (SELECT a.access_group_id, EXISTS (SELECT FROM \"LiteLLM_TeamTable\" t "
                   "WHERE t.team_id = $1"
                   "   AND a.access_group_id = ANY (t.access_group_ids)) AS named"
                   "  FROM \"LiteLLM_AccessGroupTable\" a) x"
                   " WHERE x.access_group_id = g.access_group_id"
                   "  AND x.named <> ($1 = ANY (coalesce(g.assigned_team_ids, '{}')))",
                   DB_TEXT(team_id));
}

yyjson_mut_val *users_with_email(struct store *s, struct str email)
{
    return STORE_LIST(s, TABLE_USER,
                      "WHERE lower(t.user_email) = lower($1) ORDER BY t.user_id LIMIT 2",
                      DB_TEXT(email));
}
