/* Who may do what to teams, and what they may ask for (litellm-controlplane.md 2.2, 4). */

#include "api/settings.h"
#include "api/teams_priv.h"

/* ---- who ---- */

yyjson_mut_val *teams_available(struct call *c)
{
    return setting_names(c, setting_get(c, SETTING_LITELLM_default_internal_user_params),
                         "available_teams");
}

bool team_is_available(struct call *c, struct str team_id)
{
    yyjson_mut_val *name;
    size_t i, n;

    yyjson_mut_arr_foreach(teams_available(c), i, n, name)
    {
        if (yyjson_mut_equals_strn(name, team_id.p, team_id.n))
            return true;
    }
    return false;
}

yyjson_mut_val *team_find(struct call *c, struct str team_id, bool lock)
{
    const struct caller *who = &c->caller;
    yyjson_mut_val *team = lock ? store_lock(&c->store, TABLE_TEAM, team_id)
                                : store_get(&c->store, TABLE_TEAM, team_id);
    bool is_own = team_id.n && str_eq(row_text(who->key, "team_id"), team_id);

    if (!team || rbac_sees_all(who) || is_own || team_role_of(team, who->user_id).n ||
        rbac_runs_team(who, team) || team_is_available(c, team_id))
        return team;
    return NULL;
}

yyjson_mut_val *team_members(struct store *s, const yyjson_mut_val *team)
{
    yyjson_mut_val *list = row_val(team, "members_with_roles");

    return yyjson_mut_is_arr(list) ? row_copy(s, list)
                                   : row_list(s); /* the column's default is an object */
}

bool team_check_runs(struct call *c, const yyjson_mut_val *team, const char *route)
{
    if (rbac_runs_team(&c->caller, team))
        return true;
    refuse(c, 403,
           "Call not allowed. User not proxy admin OR team admin. route=%s, team_id=" STR_FMT,
           route, STR_ARG(row_text(team, "team_id")));
    return false;
}

bool team_is_governed(const struct call *c, const yyjson_mut_val *team)
{
    struct str org = row_text(team, "organization_id");

    return rbac_is_admin(&c->caller) || (org.n && rbac_is_org_admin(&c->caller, org));
}

/* ---- values ---- */

static bool check_budget_order(struct call *c, const yyjson_mut_val *req,
                               const yyjson_mut_val *stored)
{
    struct arena *a = &c->arena;
    double soft, most;
    bool sets_soft = row_num(req, "soft_budget", &soft),
         sets_most = row_num(req, "max_budget", &most);

    if (!sets_soft && !sets_most)
        return true;
    bool has_soft =
        sets_soft || (!row_sent(req, "soft_budget") && row_num(stored, "soft_budget", &soft));
    bool has_most =
        sets_most || (!row_sent(req, "max_budget") && row_num(stored, "max_budget", &most));
    if (!has_soft || !has_most || soft < most)
        return true;
    if (sets_soft)
        refuse(c, 400,
               "soft_budget (" STR_FMT ") must be strictly lower than max_budget (" STR_FMT ")",
               STR_ARG(python_float(a, soft)), STR_ARG(python_float(a, most)));
    else
        refuse(c, 400,
               "max_budget (" STR_FMT ") must be strictly greater than soft_budget (" STR_FMT ")",
               STR_ARG(python_float(a, most)), STR_ARG(python_float(a, soft)));
    return false;
}

bool team_check_values(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *stored)
{
    static const char *const numbers[] = {
        "max_budget", "team_member_budget",    "soft_budget",
        "tpd_limit",  "team_member_rpm_limit", "team_member_tpm_limit"};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!check_not_negative(c, req, numbers[i]))
            return false;
    if (!limit_check_period(c, req, "budget_duration") ||
        !limit_check_period(c, req, "team_member_budget_duration") ||
        !limit_check_duration(c, req, "team_member_key_duration") || !limit_check_windows(c, req))
        return false;
    return check_budget_order(c, req, stored) &&
           (rbac_is_admin(&c->caller) || limit_check_metadata(c, req, row_val(stored, "metadata")));
}

/* ---- organizations ---- */

static struct str shown_number(struct arena *a, const yyjson_mut_val *row, const char *name)
{
    double d = 0;

    (void)row_num(row, name, &d);
    return str_eq(str_of(name), STR("max_budget")) ? python_float(a, d)
                                                   : arena_printf(a, "%.0f", d);
}

/* The first of the limits of `row` that is greater than the organization's, or NULL. */
static const char *limit_beyond(const yyjson_mut_val *row, const yyjson_mut_val *budget)
{
    static const char *const names[] = {"max_budget", "tpm_limit", "rpm_limit"};
    double own, most;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (row_num(row, names[i], &own) && row_num(budget, names[i], &most) && own > most)
            return names[i];
    return NULL;
}

static yyjson_mut_val *budget_of(struct call *c, const yyjson_mut_val *org)
{
    return store_get(&c->store, TABLE_BUDGET, row_text(org, "budget_id"));
}

bool team_check_organization(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *org)
{
    struct arena *a = &c->arena;
    struct str id = row_text(org, "organization_id");
    struct str model = models_beyond(row_val(req, "models"), row_val(org, "models"));
    yyjson_mut_val *budget = budget_of(c, org);
    const char *name = limit_beyond(req, budget);

    if (name) {
        refuse(c, 400,
               "Team %s (" STR_FMT ") exceeds organization's %s (" STR_FMT
               "). Organization: " STR_FMT,
               name, STR_ARG(shown_number(a, req, name)), name,
               STR_ARG(shown_number(a, budget, name)), STR_ARG(id));
        return false;
    }
    if (!model.n)
        return true;
    refuse(c, 400,
           "Model '" STR_FMT
           "' not in organization's allowed models. Organization allowed models=" STR_FMT
           ". Organization: " STR_FMT,
           STR_ARG(model), STR_ARG(python_list(&c->store, row_val(org, "models"))), STR_ARG(id));
    return false;
}

/* Members that are not the organization's; only a proxy_admin brings such. */
static bool check_members_known(struct call *c, const yyjson_mut_val *team,
                                struct str organization_id)
{
    struct store *s = &c->store;
    yyjson_mut_val *strangers = row_list(s), *members = team_members(s, team), *m;
    size_t i, n;

    if (rbac_is_admin(&c->caller))
        return true;
    yyjson_mut_arr_foreach(members, i, n, m)
    {
        struct str user = row_text(m, "user_id");
        if (user.n && !STORE_FIRST(s, TABLE_ORGANIZATION_MEMBERSHIP,
                                   "WHERE t.organization_id = $1 AND t.user_id = $2",
                                   DB_TEXT(organization_id), DB_TEXT(user)))
            row_append_text(s, strangers, user);
    }
    if (!yyjson_mut_arr_size(strangers))
        return true;
    refuse(c, 403,
           "Cannot move team to organization. Team has user_id " STR_FMT
           " that is not a member of the organization.",
           STR_ARG(python_list(s, strangers)));
    return false;
}

bool team_check_move(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *org)
{
    struct arena *a = &c->arena;
    yyjson_mut_val *held = row_val(org, "models"), *budget = budget_of(c, org);
    struct str model = models_beyond(row_val(team, "models"), held);
    const char *name = limit_beyond(team, budget);

    if (yyjson_mut_arr_size(held) && !row_has(org, "models", STR("all-proxy-models")) &&
        !yyjson_mut_arr_size(row_val(team, "models")))
        refuse(c, 403,
               "Cannot move team to organization. Team has access to all proxy models, but the "
               "organization does "
               "not.");
    else if (model.n)
        refuse(
            c, 403,
            "Cannot move team to organization. Organization does not have access to model " STR_FMT
            ".",
            STR_ARG(model));
    else if (name)
        refuse(c, 403,
               "Cannot move team to organization. Team has %s " STR_FMT
               " that is greater than the organization's %s " STR_FMT ".",
               name, STR_ARG(shown_number(a, team, name)), name,
               STR_ARG(shown_number(a, budget, name)));
    else
        return check_members_known(c, team, row_text(org, "organization_id"));
    return false;
}

/* ---- models, permissions ---- */

bool team_check_models(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *models)
{
    const struct caller *who = &c->caller;
    struct str org_id = row_text(team, "organization_id"), model = {0};

    if (rbac_is_admin(who))
        return true;
    yyjson_mut_val *org = org_id.n ? store_get(&c->store, TABLE_ORGANIZATION, org_id) : NULL;
    model = models_beyond(models, row_val(org, "models"));
    if (!model.n)
        model = models_beyond(models, row_val(who->user, "models"));
    if (!model.n)
        return true;
    refuse(c, 403,
           "User=" STR_FMT " does not have access to model=" STR_FMT
           ", so their team cannot have it.",
           STR_ARG(who->user_id), STR_ARG(model));
    return false;
}

static const char *const permissions[] = {
    "/key/generate",
    "/key/update",
    "/key/delete",
    "/key/regenerate",
    "/key/service-account/generate",
    "/key/{key_id}/regenerate",
    "/key/block",
    "/key/unblock",
    "/key/bulk_update",
    "/team/key/bulk_update",
    "/key/{key_id}/reset_spend",
    "/key/access_group_assignment",
    "/auto_router/manage",
    "/key/info",
    "/key/health",
    "/key/list",
    "/key/aliases",
    "/team/daily/activity",
    "/team/daily/activity/aggregated",
    "/spend/logs",
    "/spend/logs/v2",
};

yyjson_mut_val *team_permissions(struct store *s)
{
    yyjson_mut_val *list = row_list(s);

    for (size_t i = 0; i < ARRAY_LEN(permissions); i++)
        row_append_text(s, list, str_of(permissions[i]));
    return list;
}

/* "'a', 'b' or 'c'" */
static struct str permissions_shown(struct arena *a)
{
    struct str out = {0};

    for (size_t i = 0; i < ARRAY_LEN(permissions); i++)
        out = arena_printf(a, STR_FMT "%s'%s'", STR_ARG(out),
                           !i                                ? ""
                           : i + 1 == ARRAY_LEN(permissions) ? " or "
                                                             : ", ",
                           permissions[i]);
    return out;
}

bool team_check_permissions(struct call *c, const yyjson_mut_val *list)
{
    struct store *s = &c->store;
    yyjson_mut_val *known = row_new(s), *errors = row_list(s), *v;
    size_t i, n;

    row_put(s, known, "names", team_permissions(s));
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (row_has(known, "names", name))
            continue;
        yyjson_mut_val *one = row_new(s), *loc = row_list(s), *ctx = row_new(s);
        struct str shown = permissions_shown(&c->arena);
        row_append_text(s, loc, STR("body"));
        row_append_text(s, loc, STR("team_member_permissions"));
        (void)yyjson_mut_arr_add_uint(s->doc, loc, i);
        row_put_text(s, ctx, "expected", shown);
        row_put_text(s, one, "type", STR("enum"));
        row_put(s, one, "loc", loc);
        row_put_text(s, one, "msg",
                     arena_printf(&c->arena, "Input should be " STR_FMT, STR_ARG(shown)));
        row_put_text(s, one, "input", name);
        row_put(s, one, "ctx", ctx);
        row_append(s, errors, one);
    }
    if (!yyjson_mut_arr_size(errors))
        return true;
    refuse_invalid(c, errors);
    return false;
}
