/* Whose log rows and sums a caller sees. */

#include "api/spend.h"
#include "store/user.h"

static const struct str log_route = {"/spend/logs", 11};

/* Team admins read their team's rows, members where the team lets them. */
static bool reads(const struct call *c, const yyjson_mut_val *team)
{
    return rbac_is_team_admin(&c->caller, team) ||
           (team_role_of(team, c->caller.user_id).n && team_permits(team, log_route));
}

struct spend_scope spend_own(const struct call *c)
{
    bool is_user = c->caller.role == ROLE_USER || c->caller.role == ROLE_USER_VIEWER;

    return (struct spend_scope){.all = !is_user, .user_id = c->caller.user_id};
}

struct spend_scope spend_scope_of(struct call *c)
{
    struct spend_scope scope = {.all = rbac_sees_all(&c->caller), .user_id = c->caller.user_id};
    yyjson_mut_val *teams, *team;
    size_t i, n;

    if (scope.all || !scope.user_id.n)
        return scope;
    teams = user_teams(&c->store, scope.user_id);
    scope.teams = arena_alloc(&c->arena, (yyjson_mut_arr_size(teams) + 1) * sizeof *scope.teams);
    yyjson_mut_arr_foreach(teams, i, n, team)
    {
        if (scope.teams && reads(c, team))
            scope.teams[scope.n_teams++] = row_text(team, "team_id");
    }
    return scope;
}

bool spend_reads_team(struct call *c, struct str team_id)
{
    yyjson_mut_val *team = team_id.n ? store_get(&c->store, TABLE_TEAM, team_id) : NULL;

    return rbac_sees_all(&c->caller) || (team && reads(c, team));
}

void spend_filter(struct filter *f, const struct spend_scope *scope)
{
    if (scope->all)
        return;
    if (!scope->user_id.n)
        FILTER_ADD0(f, "false");
    else if (scope->n_teams)
        FILTER_ADD(f, "\"user\" = $? OR team_id = ANY ($?::text[])", DB_TEXT(scope->user_id),
                   DB_TEXTS(scope->teams, scope->n_teams));
    else
        FILTER_ADD(f, "\"user\" = $?", DB_TEXT(scope->user_id));
}

void spend_where(struct log_query *q, const struct spend_scope *scope)
{
    spend_filter(&q->series, scope);
    spend_filter(&q->rows, scope);
    if (!scope->all)
        q->levels &= LOG_OF_KEY;
}
