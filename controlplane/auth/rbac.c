#include "auth/rbac.h"

#include "common/gateway/glob.h"
#include "common/gateway/route_group.h"

static const struct {
    unsigned who;
    const char *sentence;
} policies[POLICIES] = {
#define POLICY(id, who, sentence) [POLICY_##id] = {who, sentence},
#include "auth/policies.def"
#undef POLICY
};

unsigned policy_who(enum policy p)
{
    return policies[p].who;
}

const char *policy_sentence(enum policy p)
{
    return policies[p].sentence;
}

bool rbac_gate(const struct caller *c, enum policy p)
{
    unsigned who = policies[p].who;

    if (who & WHO_MASTER)
        return c->is_master;
    if (c->role == ROLE_ADMIN || who & (WHO_PUBLIC | WHO_KEY))
        return true;
    if (who & WHO_SPEND && row_bool(row_val(c->key, "permissions"), "get_spend_routes"))
        return true;
    switch (c->role) {
    case ROLE_VIEWER:
        if (who & WHO_VIEWER)
            return true;
        break;
    case ROLE_USER:
        if (who & WHO_USER)
            return true;
        break;
    case ROLE_USER_VIEWER:
        if (who & WHO_USER_VIEWER)
            return true;
        break;
    case ROLE_NONE:
    case ROLE_ADMIN:
        break;
    }
    if (who & WHO_ORG && c->role != ROLE_VIEWER && rbac_is_org_admin(c, (struct str){0}))
        return true;
    return who & WHO_TEAM && c->team && c->role == ROLE_USER;
}

struct str team_role_of(const yyjson_mut_val *team, struct str user_id)
{
    yyjson_mut_val *members = row_val(team, "members_with_roles"), *m;
    size_t i, n;

    if (!user_id.n)
        return (struct str){0};
    yyjson_mut_arr_foreach(members, i, n, m)
    {
        if (str_eq(row_text(m, "user_id"), user_id))
            return row_text(m, "role");
    }
    return (struct str){0};
}

bool rbac_is_org_admin(const struct caller *c, struct str organization_id)
{
    yyjson_mut_val *m;
    size_t i, n;

    yyjson_mut_arr_foreach(c->orgs, i, n, m)
    {
        if (str_eq(row_text(m, "user_role"), STR("org_admin")) &&
            (!organization_id.n || str_eq(row_text(m, "organization_id"), organization_id)))
            return true;
    }
    return false;
}

bool rbac_runs_team(const struct caller *c, const yyjson_mut_val *team)
{
    struct str organization = row_text(team, "organization_id");

    return rbac_is_admin(c) || rbac_is_team_admin(c, team) ||
           (organization.n && rbac_is_org_admin(c, organization));
}

bool team_permits(const yyjson_mut_val *team, struct str route)
{
    yyjson_mut_val *list = row_val(team, "team_member_permissions");

    if (!yyjson_mut_arr_size(list))
        return str_eq(route, STR("/key/info")) || str_eq(route, STR("/key/health"));
    return row_has(team, "team_member_permissions", route);
}

/* `name` is held by name, by a pattern, or with everything. */
static bool holds(const yyjson_mut_val *held, struct str name)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)held, i, n, v)
    {
        struct str one = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (!one.p)
            continue;
        if (str_eq(one, name) || str_eq(one, STR("*")) || str_eq(one, STR("all-proxy-models")) ||
            (memchr(one.p, '*', one.n) && glob_match(one, name)))
            return true;
    }
    return false;
}

struct str models_beyond(const yyjson_mut_val *wanted, const yyjson_mut_val *held)
{
    yyjson_mut_val *v;
    size_t i, n;

    if (!yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)held))
        return (struct str){0};
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)wanted, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (name.p && !str_eq(name, STR("no-default-models")) && !holds(held, name))
            return name;
    }
    return (struct str){0};
}

bool key_may_call(const struct caller *c, struct str path)
{
    yyjson_mut_val *list = row_val(c->key, "allowed_routes"), *v;
    size_t i, n;

    if (!yyjson_mut_arr_size(list))
        return true;
    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (yyjson_mut_is_str(v) &&
            route_allows((struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}, path))
            return true;
    }
    return false;
}
