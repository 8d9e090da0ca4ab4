/* Teams made, changed, blocked and deleted, their models and permissions
 * (litellm-controlplane.md 2.2). */

#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/settings.h"
#include "api/teams_priv.h"
#include "audit/audit.h"

/* Members of a request that are columns of the same name. */
static const char *const columns[] = {
    "team_alias",
    "organization_id",
    "admins",
    "members",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "max_budget",
    "soft_budget",
    "models",
    "blocked",
    "router_settings",
    "policies",
    "model_max_budget",
    "access_group_ids",
    "default_team_member_models",
    "team_member_permissions",
};

/* Members that are kept in the row's metadata. */
static const char *const in_metadata[] = {
    "model_rpm_limit",
    "model_tpm_limit",
    "mcp_rpm_limit",
    "rpm_limit_type",
    "tpm_limit_type",
    "allowed_vector_store_indexes",
    "enforced_batch_output_expires_after",
    "enforced_file_expires_after",
    "disable_global_guardrails",
    "guardrails",
    "policies",
    "tags",
    "team_member_key_duration",
    "prompts",
    "secret_manager_settings",
    "allowed_passthrough_routes",
};

/* A member's budget: of the request, of the budget's row. */
static const struct {
    const char *sent, *column;
} member_limits[] = {
    {"team_member_budget", "max_budget"},
    {"team_member_rpm_limit", "rpm_limit"},
    {"team_member_tpm_limit", "tpm_limit"},
    {"team_member_budget_duration", "budget_duration"},
    {"team_member_model_max_budget", "model_max_budget"},
};

/* ---- parts of a row ---- */

static void put_columns(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req, bool is_new)
{
    struct store *s = &c->store;

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        yyjson_mut_val *v = row_sent(req, columns[i]);
        if (v && !(is_new && yyjson_mut_is_null(v)))
            row_put(s, row, columns[i], v);
    }
    if (row_sent(row, "blocked") && !row_val(row, "blocked"))
        row_put_bool(s, row, "blocked", false);
    if (row_sent(row, "model_max_budget") && !row_val(row, "model_max_budget"))
        row_put(s, row, "model_max_budget", row_new(s));
}

/* The shared budget of members: made, or changed; gives its id, or an empty text. */
static struct str put_member_budget(struct call *c, const yyjson_mut_val *req, struct str existing)
{
    struct store *s = &c->store;
    yyjson_mut_val *budget = row_new(s), *was;
    struct str alias = row_text(req, "team_alias");
    bool any = false, some = false;

    for (size_t i = 0; i < ARRAY_LEN(member_limits); i++) {
        if (!row_sent(req, member_limits[i].sent))
            continue;
        any = true;
        some |= row_val(req, member_limits[i].sent) != NULL;
        row_put(s, budget, member_limits[i].column, row_val(req, member_limits[i].sent));
    }
    if (!any || (!existing.n && !some))
        return existing;
    if (!existing.n && !row_sent(budget, "budget_duration") && row_text(req, "budget_duration").n)
        row_put_text(s, budget, "budget_duration", row_text(req, "budget_duration"));
    limit_put_period(c, budget, budget);
    was = existing.n ? store_lock(s, TABLE_BUDGET, existing) : NULL;
    if (was) {
        row_put_text(s, budget, "updated_by", audit_actor(c));
        (void)store_update(s, TABLE_BUDGET, existing, budget);
        audit_updated(c, TABLE_BUDGET, existing, was, budget);
        return existing;
    }
    row_put_text(s, budget, "budget_id",
                 alias.n ? arena_printf(&c->arena, "team-" STR_FMT "-budget-" STR_FMT,
                                        STR_ARG(alias), STR_ARG(store_uuid(s)))
                         : arena_printf(&c->arena, "team-budget-" STR_FMT, STR_ARG(store_uuid(s))));
    return budget_create(c, budget);
}

/* The stored metadata, or what the request puts in its place, with the members that live there. */
static void put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                         const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = row_val(req, "metadata"), *made;
    struct str was = row_text(stored, "team_member_budget_id"),
               budget = put_member_budget(c, req, was);
    bool changes = row_sent(req, "metadata") || budget.n != was.n;

    made = sent                                   ? row_copy(s, sent)
           : row_sent(req, "metadata") || !stored ? row_new(s)
                                                  : row_copy(s, stored);
    (void)yyjson_mut_obj_remove_key(made, "team_member_budget_id"); /* ours alone to say */
    if (budget.n)
        row_put_text(s, made, "team_member_budget_id", budget);
    for (size_t i = 0; i < ARRAY_LEN(in_metadata); i++) {
        if (!row_sent(req, in_metadata[i]))
            continue;
        changes = true;
        if (row_val(req, in_metadata[i]))
            row_put(s, made, in_metadata[i], row_val(req, in_metadata[i]));
        else
            (void)yyjson_mut_obj_remove_key(made, in_metadata[i]);
    }
    if (changes || !stored)
        row_put(s, row, "metadata", made);
}

/* Other names of models stand in a row of their own. */
static void put_aliases(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                        const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *aliases = row_val(req, "model_aliases"), *id = row_val(stored, "model_id"),
                   *made = row_new(s);
    struct str by = audit_actor(c), key = id ? row_json(s, id) : (struct str){0};

    if (!row_sent(req, "model_aliases"))
        return;
    if (aliases)
        row_put(s, made, "aliases", aliases);
    else
        row_put(s, made, "aliases", row_new(s));
    row_put_text(s, made, "updated_by", by);
    if (key.n) {
        (void)TX_QUERY(&s->tx,
                       "UPDATE \"LiteLLM_ModelTable\" SET aliases = $2::jsonb, updated_by = $3, "
                       "updated_at = now()"
                       " WHERE id = $1::integer",
                       DB_TEXT(key), DB_TEXT(row_json(s, row_val(made, "aliases"))), DB_TEXT(by));
        return;
    }
    row_put_text(s, made, "created_by", by);
    row_put(s, row, "model_id", row_val(store_insert(s, TABLE_MODEL_ALIASES, made), "id"));
}

static yyjson_mut_val *row_of(struct call *c, const yyjson_mut_val *req,
                              const yyjson_mut_val *stored)
{
    yyjson_mut_val *row = row_new(&c->store);

    put_columns(c, row, req, !stored);
    limit_put_period(c, row, req);
    limit_put_windows(c, row, req);
    put_metadata(c, row, req, stored ? row_val(stored, "metadata") : NULL);
    put_aliases(c, row, req, stored);
    object_permission_put(c, row, req, row_text(stored, "object_permission_id"));
    return row;
}

/* ---- new ---- */

/* litellm_settings.default_team_params; a period sent as null is meant. */
static void fill_defaults(struct call *c, yyjson_mut_val *req)
{
    static const char *const names[] = {
        "organization_id", "max_budget", "budget_duration",         "tpm_limit",
        "rpm_limit",       "models",     "team_member_permissions", "access_group_ids"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        yyjson_mut_val *dflt = setting_member(c, SETTING_LITELLM_default_team_params, names[i]);
        bool is_meant = str_eq(str_of(names[i]), STR("budget_duration")) && row_sent(req, names[i]);
        if (dflt && !row_val(req, names[i]) && !is_meant)
            row_put(&c->store, req, names[i], dflt);
    }
}

static bool check_id(struct call *c, yyjson_mut_val *req)
{
    struct str id = str_trim(row_text(req, "team_id"));

    if (!id.n) {
        row_put_text(&c->store, req, "team_id", store_uuid(&c->store));
        return true;
    }
    if (str_eq(id, STR("litellm-dashboard")))
        refuse(c, 400,
               "team_id '" STR_FMT "' is reserved for LiteLLM UI dashboard sessions and cannot be "
               "used for a real team. Please use a "
               "different team id.",
               STR_ARG(id));
    else if (store_get(&c->store, TABLE_TEAM, row_text(req, "team_id")))
        refuse(c, 400, "Team id = " STR_FMT " already exists. Please use a different team id.",
               STR_ARG(row_text(req, "team_id")));
    else
        return true;
    return false;
}

/* In an organization of theirs, or anywhere for a proxy_admin. */
static bool check_may_make(struct call *c, const yyjson_mut_val *req)
{
    struct str org_id = row_text(req, "organization_id");
    yyjson_mut_val *org;

    if (!org_id.n && !rbac_is_admin(&c->caller)) {
        refuse_gate(c);
        return false;
    }
    if (!org_id.n)
        return true;
    org = store_get(&c->store, TABLE_ORGANIZATION, org_id);
    if (org && (rbac_is_admin(&c->caller) || rbac_is_org_admin(&c->caller, org_id)))
        return team_check_organization(c, req, org);
    refuse_text(c, 400, "Organization not found for organization_id=" STR_FMT, STR_ARG(org_id));
    return false;
}

/* Those named, and whoever makes it. */
static bool read_members(struct call *c, const yyjson_mut_val *req, struct team_addition *a)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_val(req, "members_with_roles"), *m;
    struct str self = c->caller.user_id;
    size_t i, n;
    bool has_self = !self.n;

    list = list ? row_copy(s, list) : row_list(s);
    yyjson_mut_arr_foreach(list, i, n, m)
    {
        has_self |= str_eq(row_text(m, "user_id"), self);
    }
    if (!has_self) {
        yyjson_mut_val *own = row_new(s);
        row_put_text(s, own, "user_id", self);
        row_put_text(s, own, "role", STR("admin"));
        row_append(s, list, own);
    }
    if (!members_read(c, list, FIELDS_MEMBER, &a->members, &a->n))
        return false;
    for (i = 0; i < a->n; i++)
        if (!member_resolve(c, &a->members[i]))
            return false;
    return true;
}

void api_team_new(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *req = row_copy(s, c->in), *row, *made, *list = row_list(s);
    struct team_addition a = {.users = row_list(s), .memberships = row_list(s)};

    fill_defaults(c, req);
    if (!team_check_values(c, req, NULL) || !check_id(c, req) || !check_may_make(c, req) ||
        !team_check_permissions(c, row_val(req, "team_member_permissions")) ||
        !read_members(c, req, &a))
        return;
    row = row_of(c, req, NULL);
    struct str id = row_text(req, "team_id");
    row_put_text(s, row, "team_id", id);
    row_put(s, row, "members_with_roles", list);
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    made = store_insert(s, TABLE_TEAM, row);
    if (!made) {
        refuse(c, 400, "Team id = " STR_FMT " already exists. Please use a different team id.",
               STR_ARG(id));
        return;
    }
    yyjson_mut_val *changes = row_new(s);
    row_put(s, changes, "members_with_roles", team_add_members(c, made, &a));
    made = store_update(s, TABLE_TEAM, id, changes);
    team_sync_access_groups(s, id);
    audit_created(c, TABLE_TEAM, id, made);
    reply(c, team_shown(c, made));
}

/* ---- update ---- */

static bool check_new_organization(struct call *c, yyjson_mut_val *req, const yyjson_mut_val *team)
{
    struct str to = row_text(req, "organization_id"), was = row_text(team, "organization_id");
    struct str id = to.n ? to : row_sent(req, "organization_id") && to.p ? (struct str){0} : was;
    yyjson_mut_val *org = id.n ? store_get(&c->store, TABLE_ORGANIZATION, id) : NULL;

    if (to.n && !str_eq(to, was)) {
        if (!org || (!rbac_is_admin(&c->caller) && !rbac_is_org_admin(&c->caller, to))) {
            refuse(c, 404, "Organization not found, passed organization_id=" STR_FMT, STR_ARG(to));
            return false;
        }
        if (!team_check_move(c, team, org))
            return false;
    }
    if (to.p && !to.n) {
        if (!rbac_is_admin(&c->caller)) {
            refuse(c, 403, "Only proxy admins can take a team out of its organization.");
            return false;
        }
        row_put_null(&c->store, req, "organization_id");
    } else if (!to.p) {
        (void)yyjson_mut_obj_remove_key(req, "organization_id");
    }
    return !org || team_check_organization(c, req, org);
}

/* A team that moves takes those of its members along whom the organization does not know. */
static void join_organization(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str org = row_text(team, "organization_id");

    if (org.n)
        (void)TX_QUERY(
            &s->tx,
            "INSERT INTO \"LiteLLM_OrganizationMembership\" (user_id, organization_id, user_role)"
            " SELECT DISTINCT u.user_id, $2::text, 'internal_user'"
            " FROM \"LiteLLM_TeamTable\" t, jsonb_array_elements(t.members_with_roles) e"
            "  JOIN \"LiteLLM_UserTable\" u ON u.user_id = e ->> 'user_id'"
            " WHERE t.team_id = $1 AND jsonb_typeof(t.members_with_roles) = 'array'"
            " ON CONFLICT (user_id, organization_id) DO NOTHING",
            DB_TEXT(row_text(team, "team_id")), DB_TEXT(org));
}

static bool find_governed(struct call *c, struct str id, yyjson_mut_val **ret)
{
    *ret = team_find(c, id, true);
    if (!*ret)
        refuse(c, 404, "Team not found, passed team_id=" STR_FMT, STR_ARG(id));
    else if (!team_is_governed(c, *ret))
        refuse_text(c, 403, "You do not have access to this team");
    else
        return true;
    return false;
}

yyjson_mut_val *team_change(struct call *c, const yyjson_mut_val *team, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    struct str id = row_text(team, "team_id"), budget;
    yyjson_mut_val *changes = row_of(c, req, team), *now = store_update(s, TABLE_TEAM, id, changes);

    if (!now)
        return NULL;
    audit_updated(c, TABLE_TEAM, id, team, changes);
    budget = row_text(row_val(changes, "metadata"), "team_member_budget_id");
    if (budget.n)
        team_fill_member_budgets(s, id, budget);
    if (row_text(changes, "organization_id").n)
        join_organization(c, now);
    team_sync_access_groups(s, id);
    return now;
}

yyjson_mut_val *team_update(struct call *c, struct str id, yyjson_mut_val *req)
{
    yyjson_mut_val *team;

    if (!find_governed(c, id, &team) || !team_check_values(c, req, team) ||
        !check_new_organization(c, req, team))
        return NULL;
    return team_change(c, team, req);
}

void api_team_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "team_id");
    yyjson_mut_val *now = team_update(c, id, row_copy(s, c->in)), *out;

    if (!now)
        return;
    out = row_new(s);
    row_put_text(s, out, "team_id", id);
    row_put(s, out, "data", team_shown(c, now));
    reply(c, out);
}

/* ---- delete ---- */

void team_remove(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str id = row_text(team, "team_id");
    struct team_deletion who = {c->caller.user_id, c->caller.key_hash, c->caller.changed_by};
    yyjson_mut_val *rows, *row;
    size_t i, n;

    rows =
        STORE_LIST(s, TABLE_KEY, "WHERE t.team_id = $1 ORDER BY t.token FOR UPDATE", DB_TEXT(id));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        key_remove(c, row);
    }
    rows = STORE_LIST(s, TABLE_MODEL,
                      "WHERE t.model_info ->> 'team_id' = $1 ORDER BY t.model_id FOR UPDATE",
                      DB_TEXT(id));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        audit_deleted(c, TABLE_MODEL, row_text(row, "model_id"), row);
        (void)store_delete(s, TABLE_MODEL, row_text(row, "model_id"));
    }
    team_archive(s, team, &who);
    audit_deleted(c, TABLE_TEAM, id, team);
    (void)team_take_from_users(s, id, (struct str){0});
    team_leave(s, id, (struct str){0});
    (void)store_delete(s, TABLE_TEAM, id);
    team_sync_access_groups(s, id);
}

void api_team_delete(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *ids = in_val(c, "team_ids"), *seen = row_new(s), *out = row_new(s), *team, *v;
    size_t i, n;

    row_put(s, seen, "ids", row_list(s));
    yyjson_mut_arr_foreach(ids, i, n, v)
    {
        struct str id = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (row_has(seen, "ids", id))
            continue;
        row_append_text(s, row_val(seen, "ids"), id);
        team = team_find(c, id, true);
        if (!team) {
            refuse(c, 404, "Team not found, passed team_id=" STR_FMT, STR_ARG(id));
            return;
        }
        if (!rbac_runs_team(&c->caller, team)) {
            refuse_text(c, 403, "You do not have access to this team");
            return;
        }
        team_remove(c, team);
    }
    c->is_unchanged = n == 0;
    row_put(s, out, "deleted_teams", row_val(seen, "ids"));
    reply(c, out);
}

/* ---- one column ---- */

static void set_column(struct call *c, const yyjson_mut_val *team, enum audit_action action,
                       yyjson_mut_val *changes)
{
    struct str id = row_text(team, "team_id");
    yyjson_mut_val *now = store_update(&c->store, TABLE_TEAM, id, changes);

    if (!now)
        return;
    audit_write(c, action, TABLE_TEAM, id, team, changes);
    reply(c, team_shown(c, now));
}

static void set_blocked(struct call *c, bool blocked)
{
    yyjson_mut_val *team = team_find(c, in_text(c, "team_id"), true), *changes = row_new(&c->store);

    if (!team) {
        refuse(c, 404, "Team not found, passed team_id=" STR_FMT, STR_ARG(in_text(c, "team_id")));
        return;
    }
    if (!rbac_runs_team(&c->caller, team)) {
        refuse_text(c, 403, "You do not have access to this team");
        return;
    }
    row_put_bool(&c->store, changes, "blocked", blocked);
    set_column(c, team, AUDIT_BLOCKED, changes);
}

void api_team_block(struct call *c)
{
    set_blocked(c, true);
}

void api_team_unblock(struct call *c)
{
    set_blocked(c, false);
}

static yyjson_mut_val *find_for_models(struct call *c)
{
    yyjson_mut_val *team = team_find(c, in_text(c, "team_id"), true);

    if (!team)
        refuse(c, 404, "Team not found, passed team_id=" STR_FMT, STR_ARG(in_text(c, "team_id")));
    else if (!rbac_runs_team(&c->caller, team))
        refuse(c, 403, "Only proxy admin or team admin can modify team models");
    else
        return team;
    return NULL;
}

/* All names of `list` but those of `without`, once each, after what `to` holds. */
static void add_names(struct store *s, yyjson_mut_val *to, const yyjson_mut_val *list,
                      const yyjson_mut_val *without)
{
    yyjson_mut_val *box = row_new(s), *v;
    size_t i, n;

    row_put(s, box, "without", without);
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (row_has(box, "without", name) || row_has(to, "models", name))
            continue;
        row_append_text(s, row_val(to, "models"), name);
    }
}

void api_team_model_add(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *team = find_for_models(c), *changes = row_new(s);

    if (!team || !team_check_models(c, team, in_val(c, "models")))
        return;
    row_put(s, changes, "models", row_list(s));
    if (!yyjson_mut_arr_size(row_val(team, "models"))) /* all, and stays so */
        row_append_text(s, row_val(changes, "models"), STR("all-proxy-models"));
    add_names(s, changes, row_val(team, "models"), NULL);
    add_names(s, changes, in_val(c, "models"), NULL);
    set_column(c, team, AUDIT_UPDATED, changes);
}

void api_team_model_delete(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *team = find_for_models(c), *changes = row_new(s);

    if (!team)
        return;
    row_put(s, changes, "models", row_list(s));
    add_names(s, changes, row_val(team, "models"), in_val(c, "models"));
    if (!rbac_is_admin(&c->caller) && yyjson_mut_arr_size(row_val(team, "models")) &&
        !yyjson_mut_arr_size(row_val(changes, "models"))) {
        refuse(c, 403,
               "Only proxy admins can take a team's last model away: without any it may use all.");
        return;
    }
    set_column(c, team, AUDIT_UPDATED, changes);
}

/* ---- permissions ---- */

static yyjson_mut_val *find_for_permissions(struct call *c, bool lock)
{
    struct str id = in_text(c, "team_id");
    yyjson_mut_val *team = team_find(c, id, lock);

    if (!team)
        refuse(c, 404,
               "Team doesn't exist in db. Team=" STR_FMT ". Create team via `/team/new` call.",
               STR_ARG(id));
    return team;
}

void api_team_permissions_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *team = find_for_permissions(c, false), *out = row_new(s), *list;

    if (!team || (!rbac_sees_all(&c->caller) && !team_is_available(c, in_text(c, "team_id")) &&
                  !team_check_runs(c, team, "/team/member_add")))
        return;
    list = row_val(team, "team_member_permissions");
    if (!list) {
        list = row_list(s);
        row_append_text(s, list, STR("/key/info"));
        row_append_text(s, list, STR("/key/health"));
    }
    row_put_text(s, out, "team_id", in_text(c, "team_id"));
    row_put(s, out, "team_member_permissions", list);
    row_put(s, out, "all_available_permissions", team_permissions(s));
    reply(c, out);
}

void api_team_permissions_update(struct call *c)
{
    yyjson_mut_val *team, *changes = row_new(&c->store);

    if (!team_check_permissions(c, in_val(c, "team_member_permissions")))
        return;
    team = find_for_permissions(c, true);
    if (!team || !team_check_runs(c, team, "/team/permissions_update"))
        return;
    row_put(&c->store, changes, "team_member_permissions", in_val(c, "team_member_permissions"));
    set_column(c, team, AUDIT_UPDATED, changes);
}
