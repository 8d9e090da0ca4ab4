#pragma once

/* Between the files of the family of teams: teams.c makes and changes, team_members.c does so with
 * members, teams_read.c shows, team_rules.c judges. Those that return bool have answered when they
 * return false. */

#include "api/members.h"
#include "store/team.h"

/* ---- team_rules.c ---- */

/* The row, locked when `lock`; NULL without an answer: there is none, or the caller may not know of
 * it. */
yyjson_mut_val *team_find(struct call *c, struct str team_id, bool lock);

/* default_internal_user_params.available_teams: whoever wants may join these. A list, or NULL. */
yyjson_mut_val *teams_available(struct call *c);
bool team_is_available(struct call *c, struct str team_id);

/* Its members, an array; a copy. */
yyjson_mut_val *team_members(struct store *s, const yyjson_mut_val *team);

/* May act for it; `route` is what the refusal names. */
bool team_check_runs(struct call *c, const yyjson_mut_val *team, const char *route);

/* May change the team itself: a proxy_admin, and admins of its organization. */
bool team_is_governed(const struct call *c, const yyjson_mut_val *team);

/* Numbers, periods, the order of budgets; `stored` NULL: a new one. */
bool team_check_values(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *stored);

/* What it asks for lies within the organization. */
bool team_check_organization(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *org);

/* A team that moves fits there. */
bool team_check_move(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *org);

/* Models that others than a proxy_admin add are their own, and the organization's. */
bool team_check_models(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *models);

/* The names that team_member_permissions may hold; of others 422. */
bool team_check_permissions(struct call *c, const yyjson_mut_val *list);
yyjson_mut_val *team_permissions(struct store *s);

/* ---- teams.c ---- */

/* A request that was judged becomes the locked row, with its entry; the row as it is then, or NULL
 * with a fault. */
yyjson_mut_val *team_change(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *req);

/* What /team/update does with a request that names its team; the row as it is then, or NULL with an
 * answer or a fault. */
yyjson_mut_val *team_update(struct call *c, struct str id, yyjson_mut_val *req);

/* The row goes among the deleted; keys, models and memberships go with it. Whoever calls has
 * judged. */
void team_remove(struct call *c, const yyjson_mut_val *team);

/* ---- team_members.c ---- */

/* Those of `members` not in `team` yet become members: users, memberships, and the team's list,
 * which it gives. */
struct team_addition {
    struct member *members;
    size_t n;
    yyjson_mut_val *terms; /* max_budget_in_team, budget_duration, allowed_models; or NULL */
    yyjson_mut_val *users; /* arrays that are added to */
    yyjson_mut_val *memberships;
};
yyjson_mut_val *team_add_members(struct call *c, const yyjson_mut_val *team,
                                 struct team_addition *a);

/* ---- teams_read.c ---- */

/* The row as it is shown, with its other names of models. */
yyjson_mut_val *team_shown(struct call *c, const yyjson_mut_val *team);
yyjson_mut_val *membership_shown(struct call *c, const yyjson_mut_val *membership);
