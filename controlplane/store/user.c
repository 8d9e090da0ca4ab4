#include "store/user.h"

#define IN_TEAM                                                                                    \
    "WHERE t.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id', $1::text))"     \
    " OR t.team_id = ANY (SELECT unnest(u.teams) FROM \"LiteLLM_UserTable\" u"                     \
    "                     WHERE u.user_id = $1) ORDER BY t.team_id LIMIT $2"

void user_hold_email(struct store *s, struct str email)
{
    (void)TX_QUERY(&s->tx,
                   "SELECT pg_advisory_xact_lock(hashtextextended('user_email ' || lower($1), 0))",
                   DB_TEXT(email));
}

yyjson_mut_val *user_lock_email(struct store *s, struct str email)
{
    user_hold_email(s, email);
    return STORE_FIRST(
        s, TABLE_USER,
        "WHERE lower(t.user_email) = lower($1) ORDER BY t.user_id LIMIT 1 FOR UPDATE",
        DB_TEXT(email));
}

bool user_email_is_taken(struct store *s, struct str email, struct str except)
{
    user_hold_email(s, email);
    return TX_QUERY(&s->tx,
                    "SELECT FROM \"LiteLLM_UserTable\""
                    " WHERE lower(user_email) = lower($1) AND user_id <> $2 LIMIT 1",
                    DB_TEXT(email), DB_TEXT(except))
               .n > 0;
}

struct user_orgs user_orgs(struct store *s, struct str user_id, const struct str *orgs, size_t n)
{
    struct rows r = TX_QUERY(&s->tx,
                             "SELECT count(*), count(*) FILTER (WHERE organization_id = ANY"
                             " ($2::text[])) FROM \"LiteLLM_OrganizationMembership\""
                             " WHERE user_id = $1",
                             DB_TEXT(user_id), DB_TEXTS(orgs, n));

    return (struct user_orgs){rows_int(r, 0, 0), rows_int(r, 0, 1)};
}

yyjson_mut_val *user_teams(struct store *s, struct str user_id)
{
    return STORE_LIST(s, TABLE_TEAM, IN_TEAM, DB_TEXT(user_id), DB_INT(USER_ROWS_MAX));
}

yyjson_mut_val *user_lock_teams(struct store *s, struct str user_id)
{
    return STORE_LIST(s, TABLE_TEAM, IN_TEAM " FOR UPDATE", DB_TEXT(user_id),
                      DB_INT(USER_ROWS_MAX));
}

yyjson_mut_val *user_lock_keys(struct store *s, struct str user_id)
{
    return STORE_LIST(s, TABLE_KEY, "WHERE t.user_id = $1 ORDER BY t.token FOR UPDATE",
                      DB_TEXT(user_id));
}

void user_detach(struct store *s, struct str user_id)
{
    static const char *const statements[] = {
        "DELETE FROM \"LiteLLM_TeamMembership\" WHERE user_id = $1",
        "DELETE FROM \"LiteLLM_OrganizationMembership\" WHERE user_id = $1",
        "DELETE FROM \"LiteLLM_InvitationLink\" WHERE $1 IN (user_id, created_by, updated_by)",
    };

    for (size_t i = 0; i < ARRAY_LEN(statements); i++)
        (void)TX_QUERY(&s->tx, statements[i], DB_TEXT(user_id));
}
