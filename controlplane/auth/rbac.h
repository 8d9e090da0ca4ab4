#pragma once

/*
 * Who may do what: the gate of a route (its policy), and the rules that handlers narrow it with.
 * Two things hold everywhere: an object of another tenant does not exist for the caller (404), and
 * nobody grants more than they hold.
 */

#include "auth/caller.h"

enum who {
    WHO_PUBLIC = BIT(0),
    WHO_KEY = BIT(1),
    WHO_VIEWER = BIT(2),
    WHO_ORG = BIT(3),
    WHO_USER = BIT(4),
    WHO_USER_VIEWER = BIT(5),
    WHO_TEAM = BIT(6), /* whoever is member or admin of a team: the handler looks which */
    WHO_MASTER = BIT(7),
    WHO_SPEND = BIT(8), /* a key with the permission get_spend_routes */
};

enum policy {
#define POLICY(id, who, sentence) POLICY_##id,
#include "auth/policies.def"
#undef POLICY
    POLICIES,
};

unsigned policy_who(enum policy p);
const char *policy_sentence(enum policy p);

/* The route's gate, the caller known. */
bool rbac_gate(const struct caller *c, enum policy p);

static inline bool rbac_is_admin(const struct caller *c)
{
    return c->role == ROLE_ADMIN;
}

/* Reads everything: proxy_admin and proxy_admin_viewer. */
static inline bool rbac_sees_all(const struct caller *c)
{
    return c->role == ROLE_ADMIN || c->role == ROLE_VIEWER;
}

/* The object is the caller's own: ids equal and not empty. */
static inline bool rbac_is_self(const struct caller *c, struct str user_id)
{
    return user_id.n && str_eq(c->user_id, user_id);
}

/* The member's role in a team's members_with_roles ("admin", "user"); empty: no member. */
struct str team_role_of(const yyjson_mut_val *team, struct str user_id);

static inline bool rbac_is_team_admin(const struct caller *c, const yyjson_mut_val *team)
{
    return str_eq(team_role_of(team, c->user_id), STR("admin"));
}

bool rbac_is_org_admin(const struct caller *c, struct str organization_id); /* "": of any */

/* May act for the team: proxy_admin, its admin, or admin of its organization. */
bool rbac_runs_team(const struct caller *c, const yyjson_mut_val *team);

/* The team lets its members call `route` (team_member_permissions; without any: key/info, health).
 */
bool team_permits(const yyjson_mut_val *team, struct str route);

/*
 * A list of models within what the holder has: `held` an array of names, NULL or empty for all.
 * Gives the first name that is not, or an empty text.
 */
struct str models_beyond(const yyjson_mut_val *wanted, const yyjson_mut_val *held);

/* The key's own allowed_routes; empty: any. */
bool key_may_call(const struct caller *c, struct str path);
