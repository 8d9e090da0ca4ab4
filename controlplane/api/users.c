/* Users made and deleted (litellm-controlplane.md 2.3, 3.4). */

#include "common/clock.h"
#include "common/gateway/duration.h"

#include "api/settings.h"
#include "api/users_priv.h"
#include "api/validate.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"

/* Members of a request that are columns of the same name. */
static const char *const columns[] = {"user_alias",      "user_email", "user_role",
                                      "sso_user_id",     "max_budget", "spend",
                                      "models",          "tpm_limit",  "max_parallel_requests",
                                      "rpm_limit",       "team_id",    "allowed_cache_controls",
                                      "model_max_budget"};

/* ---- values ---- */

bool user_check_values(struct call *c, const yyjson_mut_val *req)
{
    return check_not_negative(c, req, "spend") && budget_check(c, req) && key_check_values(c, req);
}

static void fill(struct call *c, yyjson_mut_val *req, const char *name, const yyjson_mut_val *v)
{
    yyjson_mut_val *now = row_val(req, name);

    if (v && (!now || (yyjson_mut_is_arr(now) && !yyjson_mut_arr_size(now))))
        row_put(&c->store, req, name, v);
}

void user_fill_limits(struct call *c, yyjson_mut_val *req)
{
    if (!str_eq(row_text(req, "user_role"), STR("internal_user")))
        return;
    fill(c, req, "max_budget", setting_get(c, SETTING_LITELLM_max_internal_user_budget));
    fill(c, req, "budget_duration", setting_get(c, SETTING_LITELLM_internal_user_budget_duration));
}

static void fill_defaults(struct call *c, yyjson_mut_val *req)
{
    static const char *const names[] = {"user_role", "max_budget", "budget_duration", "models",
                                        "teams",     "tpm_limit",  "rpm_limit",       "metadata"};
    yyjson_mut_val *dflt = setting_get(c, SETTING_LITELLM_default_internal_user_params);
    bool is_plain = str_eq(in_text(c, "user_role"), STR("internal_user"));

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!str_eq(in_text(c, "user_role"), STR("proxy_admin")))
            fill(c, req, names[i], row_val(dflt, names[i]));
    if (is_plain)
        user_fill_limits(c, req);
}

/* ---- who may be made ---- */

static bool check_new(struct call *c, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    struct str id = row_text(req, "user_id"), email = row_text(req, "user_email");
    struct str role = in_text(c, "user_role");
    yyjson_mut_val *other;

    if (in_set(c, "password")) {
        refuse_value(c, "password",
                     "password cannot be set via /user/new. Users set their own password through "
                     "an invitation link (POST /invitation/new).");
        return false;
    }
    if (in_set(c, "user_id") && !id.n) {
        refuse_value(c, "user_id", "user_id must not be empty or contain only whitespace");
        return false;
    }
    if (!user_check_values(c, req))
        return false;
    if (id.n && store_get(s, TABLE_USER, id)) {
        refuse(c, 409, "User with id " STR_FMT " already exists", STR_ARG(id));
        return false;
    }
    other = email.n ? user_lock_email(s, email) : NULL;
    if (other) {
        refuse(c, 409, "User with email " STR_FMT " already exists",
               STR_ARG(row_text(other, "user_email")));
        return false;
    }
    if (rbac_is_admin(&c->caller) || !str_starts(role, STR("proxy_admin")))
        return true;
    refuse_text(c, 403,
                "Only proxy admins can create administrative users (proxy_admin, "
                "proxy_admin_viewer). Attempted to create user with role: " STR_FMT
                ". Your role: %s",
                STR_ARG(role), role_name(c->caller.role));
    return false;
}

/* An organization's admin makes users of organizations they administer, with what they hold. */
static bool check_scope(struct call *c, yyjson_mut_val *req)
{
    yyjson_mut_val *orgs = in_val(c, "organizations"), *v;
    struct str team_id = row_text(req, "team_id");
    yyjson_mut_val *team = team_id.n ? store_get(&c->store, TABLE_TEAM, team_id) : NULL;
    size_t i, n;

    if (team_id.n && (!team || !rbac_runs_team(&c->caller, team))) {
        refuse(c, 404, "Team not found for team_id=" STR_FMT, STR_ARG(team_id));
        return false;
    }
    if (rbac_is_admin(&c->caller))
        return true;
    if (!yyjson_mut_arr_size(orgs)) {
        refuse(c, 403, "Only proxy admins can create users outside organizations.");
        return false;
    }
    yyjson_mut_arr_foreach(orgs, i, n, v)
    {
        struct str id = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (!id.n || !rbac_is_org_admin(&c->caller, id)) {
            refuse(c, 404, "Organization not found for organization_id=" STR_FMT, STR_ARG(id));
            return false;
        }
    }
    return key_check_grant(c, req, NULL, NULL) && key_check_upper_bounds(c, req, false);
}

/* Ids, or objects of USER_TEAM, as objects; false with a 422. */
static bool read_teams(struct call *c, const yyjson_mut_val *sent, yyjson_mut_val **ret_teams)
{
    static const struct field items = {
        .name = STR_INIT("teams"), .type = FIELD_LIST, .sub = FIELDS_USER_TEAM};
    struct store *s = &c->store;
    yyjson_mut_val *errors = row_list(s), *list = row_list(s), *loc = row_list(s), *v;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)sent, i, n, v)
    {
        yyjson_mut_val *one = row_new(s);
        if (yyjson_mut_is_str(v))
            row_put(s, one, "team_id", v);
        row_append(s, list, yyjson_mut_is_str(v) ? one : v);
    }
    row_append_text(s, loc, STR("body"));
    row_append_text(s, loc, items.name);
    *ret_teams = validate_value(s, &items, list, loc, errors);
    if (yyjson_mut_arr_size(errors)) {
        refuse_invalid(c, errors);
        return false;
    }
    yyjson_mut_arr_foreach(*ret_teams, i, n, v)
    {
        if (!check_not_negative(c, v, "max_budget_in_team"))
            return false;
    }
    return true;
}

/* ---- teams and organizations of a new user ---- */

/* A budget of the membership: the request's own, else the team's for its members. */
static void put_membership(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *wish,
                           struct str user_id)
{
    struct store *s = &c->store;
    struct str budget = row_text(row_val(team, "metadata"), "team_member_budget_id");
    yyjson_mut_val *row = row_new(s), *values = row_new(s);
    double most;

    if (!budget.n && row_num(wish, "max_budget_in_team", &most)) {
        row_put_num(s, values, "max_budget", most);
        budget = budget_create(c, values);
    }
    if (!budget.n)
        return;
    row_put_text(s, row, "user_id", user_id);
    row_put(s, row, "team_id", row_val(team, "team_id"));
    row_put_text(s, row, "budget_id", budget);
    (void)store_insert(s, TABLE_TEAM_MEMBERSHIP, row);
}

/* Into a team that exists and that the caller runs; any other is passed over. */
static bool join_team(struct call *c, const yyjson_mut_val *wish, const yyjson_mut_val *user)
{
    struct store *s = &c->store;
    struct str team_id = row_text(wish, "team_id"), user_id = row_text(user, "user_id");
    yyjson_mut_val *team = store_lock(s, TABLE_TEAM, team_id);
    yyjson_mut_val *member = row_new(s), *changes = row_new(s), *list;
    struct str role = row_text(wish, "user_role");

    if (!team || !rbac_runs_team(&c->caller, team))
        return false;
    row_put_text(s, member, "user_id", user_id);
    row_put(s, member, "user_email", row_val(user, "user_email"));
    row_put_text(s, member, "role", role.n ? role : STR("user"));
    list = row_copy(s, row_val(team, "members_with_roles"));
    if (!yyjson_mut_is_arr(list))
        list = row_list(s);
    if (!team_role_of(team, user_id).n)
        row_append(s, list, member);
    row_put(s, changes, "members_with_roles", list);
    if (store_update(s, TABLE_TEAM, team_id, changes))
        audit_updated(c, TABLE_TEAM, team_id, team, changes);
    put_membership(c, team, wish, user_id);
    return true;
}

/* The user's row with the teams they are in then. */
static yyjson_mut_val *join_teams(struct call *c, const yyjson_mut_val *wishes,
                                  yyjson_mut_val *user)
{
    struct store *s = &c->store;
    yyjson_mut_val *joined = row_list(s), *changes = row_new(s), *wish;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)wishes, i, n, wish)
    {
        if (join_team(c, wish, user))
            row_append(s, joined, row_val(wish, "team_id"));
    }
    if (!yyjson_mut_arr_size(joined))
        return user;
    row_put(s, changes, "teams", joined);
    return store_update(s, TABLE_USER, row_text(user, "user_id"), changes);
}

static void join_organizations(struct call *c, struct str user_id)
{
    struct store *s = &c->store;
    yyjson_mut_val *orgs = in_val(c, "organizations"), *v, *row;
    size_t i, n;

    yyjson_mut_arr_foreach(orgs, i, n, v)
    {
        struct str id = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (!store_get(s, TABLE_ORGANIZATION, id))
            continue;
        row = row_new(s);
        row_put_text(s, row, "user_id", user_id);
        row_put_text(s, row, "organization_id", id);
        row_put_text(s, row, "user_role", STR("internal_user"));
        if (store_insert(s, TABLE_ORGANIZATION_MEMBERSHIP, row))
            audit_created(c, TABLE_ORGANIZATION_MEMBERSHIP, id, row);
    }
}

/* ---- new ---- */

static yyjson_mut_val *insert(struct call *c, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s), *made;
    struct str id = row_text(req, "user_id");

    row_put_text(s, row, "user_id", id);
    row_take(s, row, req, columns, ARRAY_LEN(columns));
    limit_put_period(c, row, req);
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    if (!key_put_metadata(c, row, req, NULL))
        return NULL;
    object_permission_put(c, row, req, (struct str){0});
    made = store_insert(s, TABLE_USER, row);
    if (made)
        audit_created(c, TABLE_USER, id, made);
    else
        refuse(c, 409, "User with sso_user_id " STR_FMT " already exists",
               STR_ARG(row_text(req, "sso_user_id")));
    return made;
}

/* The key that comes with a user: without a budget of its own, with the user's models. */
static yyjson_mut_val *make_key(struct call *c, const yyjson_mut_val *req, struct str *ret_key)
{
    static const char *const of_user[] = {"max_budget", "budget_duration", "object_permission"};
    yyjson_mut_val *of_key = row_copy(&c->store, req);

    for (size_t i = 0; i < ARRAY_LEN(of_user); i++)
        (void)yyjson_mut_obj_remove_key(of_key, of_user[i]);
    if (!key_check_alias(c, row_text(of_key, "key_alias"), STR("")))
        return NULL;
    return key_create(c, of_key, ret_key);
}

static void reply_new(struct call *c, const yyjson_mut_val *user, const yyjson_mut_val *key_row,
                      struct str key)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = key_row ? row_copy(s, key_row) : row_new(s), *k, *v;
    size_t i, n;

    (void)yyjson_mut_obj_remove_key(out, "token");
    user = user_shown(c, user);
    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)user, i, n, k, v)
    {
        row_put(s, out, yyjson_mut_get_str(k), v);
    }
    row_put_text(s, out, "key", key.p ? key : STR(""));
    reply(c, out);
}

void api_user_new(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *req = row_copy(s, c->in), *teams, *user, *key_row = NULL;
    struct str id = str_trim(in_text(c, "user_id")), key = {0};

    row_put_text(s, req, "user_id", id);
    if (!check_new(c, req) || !check_scope(c, req))
        return;
    if (!id.n)
        row_put_text(s, req, "user_id", store_uuid(s));
    fill_defaults(c, req);
    teams = row_val(req, "teams");
    if (row_val(req, "team_id")) {
        teams = row_list(s);
        row_append(s, teams, row_val(req, "team_id"));
    }
    if (!read_teams(c, teams, &teams))
        return;
    user = insert(c, req);
    if (!user)
        return;
    join_organizations(c, row_text(user, "user_id"));
    user = join_teams(c, teams, user);
    if (in_bool(c, "auto_create_key")) {
        key_row = make_key(c, req, &key);
        if (!key_row)
            return;
    }
    if (user)
        reply_new(c, user, key_row, key);
}

/* ---- delete ---- */

/* An organization's admin deletes whom all organizations of are theirs, and no administrators. */
static bool check_delete(struct call *c, const yyjson_mut_val *row, struct str id)
{
    size_t n;
    struct str *mine;
    struct user_orgs orgs;

    if (!row || !user_is_visible(c, row)) {
        refuse(c, 404, "User not found, passed user_id=" STR_FMT, STR_ARG(id));
        return false;
    }
    if (rbac_is_admin(&c->caller))
        return true;
    mine = user_my_orgs(c, &n);
    orgs = user_orgs(&c->store, id, mine, n);
    if (orgs.n && orgs.n == orgs.n_within &&
        !str_starts(row_text(row, "user_role"), STR("proxy_admin")))
        return true;
    refuse(c, 403,
           "User " STR_FMT " is not within your admin scope. Only PROXY_ADMIN may delete users "
           "outside your administered organizations.",
           STR_ARG(id));
    return false;
}

static void leave_teams(struct call *c, struct str id)
{
    struct store *s = &c->store;
    yyjson_mut_val *teams = user_lock_teams(s, id), *team, *m;
    size_t i, n, k, n_members;

    yyjson_mut_arr_foreach(teams, i, n, team)
    {
        yyjson_mut_val *members = row_val(team, "members_with_roles"), *left = row_list(s);
        yyjson_mut_val *changes = row_new(s);
        struct str team_id = row_text(team, "team_id");
        yyjson_mut_arr_foreach(members, k, n_members, m)
        {
            if (!str_eq(row_text(m, "user_id"), id))
                row_append(s, left, m);
        }
        if (yyjson_mut_arr_size(left) == yyjson_mut_arr_size(members))
            continue;
        row_put(s, changes, "members_with_roles", left);
        if (store_update(s, TABLE_TEAM, team_id, changes))
            audit_updated(c, TABLE_TEAM, team_id, team, changes);
    }
}

static void delete_one(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    struct str id = row_text(row, "user_id");
    yyjson_mut_val *keys = user_lock_keys(s, id), *key;
    size_t i, n;

    yyjson_mut_arr_foreach(keys, i, n, key)
    {
        key_remove(c, key);
    }
    leave_teams(c, id);
    user_detach(s, id);
    audit_deleted(c, TABLE_USER, id, row);
    (void)store_delete(s, TABLE_USER, id);
}

void api_user_delete(struct call *c)
{
    struct store *s = &c->store;
    size_t n;
    struct str *ids = row_texts(c, in_val(c, "user_ids"), &n);

    if (!n) {
        refuse(c, 400, "No user id passed in");
        return;
    }
    if (n > USERS_MAX) {
        refuse(c, 400, "Maximum %d users can be deleted at once. Found %zu.", USERS_MAX, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *row = store_lock(s, TABLE_USER, ids[i]);
        if (!check_delete(c, row, ids[i]))
            return;
        delete_one(c, row);
    }
    reply(c, yyjson_mut_sint(s->doc, (int64_t)n));
}
