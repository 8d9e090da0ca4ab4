#include "store/organization.h"

#define MEMBERSHIP "\"LiteLLM_OrganizationMembership\""

yyjson_mut_val *org_membership(struct store *s, struct str org_id, struct str user_id)
{
    return STORE_FIRST(s, TABLE_ORGANIZATION_MEMBERSHIP,
                       "WHERE t.organization_id = $1 AND t.user_id = $2", DB_TEXT(org_id),
                       DB_TEXT(user_id));
}

yyjson_mut_val *org_join(struct store *s, struct str org_id, struct str user_id, struct str role,
                         struct str budget_id)
{
    struct rows r =
        TX_QUERY(&s->tx,
                 "INSERT INTO " MEMBERSHIP " (organization_id, user_id, user_role, budget_id)"
                 " VALUES ($1, $2, $3, $4) ON CONFLICT (user_id, organization_id) DO NOTHING",
                 DB_TEXT(org_id), DB_TEXT(user_id), DB_TEXT(role), DB_TEXT_OR_NULL(budget_id));

    return rows_affected(r) ? org_membership(s, org_id, user_id) : NULL;
}

yyjson_mut_val *org_change_member(struct store *s, struct str org_id, struct str user_id,
                                  struct str role, struct str budget_id)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE " MEMBERSHIP
                   " SET user_role = coalesce($3, user_role), budget_id = coalesce($4, budget_id),"
                   " updated_at = now() WHERE organization_id = $1 AND user_id = $2",
                   DB_TEXT(org_id), DB_TEXT(user_id), DB_TEXT_OR_NULL(role),
                   DB_TEXT_OR_NULL(budget_id));
    return org_membership(s, org_id, user_id);
}

void org_leave(struct store *s, struct str org_id, struct str user_id)
{
    (void)TX_QUERY(&s->tx,
                   "DELETE FROM " MEMBERSHIP
                   " WHERE organization_id = $1 AND ($2::text IS NULL OR user_id = $2)",
                   DB_TEXT(org_id), DB_TEXT_OR_NULL(user_id));
}
