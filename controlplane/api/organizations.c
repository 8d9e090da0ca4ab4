/* Organizations made, changed, deleted and shown (litellm-controlplane.md 2.4). */

#include "api/keys_priv.h"
#include "api/organizations_priv.h"
#include "api/teams_priv.h"
#include "audit/audit.h"
#include "store/filter.h"

enum { LIST_MAX = 1000 };

/* Members of a request that are columns of the organization's budget. */
static const char *const of_budget[] = {
    "max_budget", "soft_budget",      "max_parallel_requests", "tpm_limit",      "rpm_limit",
    "tpd_limit",  "model_max_budget", "budget_duration",       "allowed_models",
};

/* Members that are kept in the row's metadata. */
static const char *const in_metadata[] = {"model_rpm_limit", "model_tpm_limit"};

/* ---- who ---- */

yyjson_mut_val *org_find(struct call *c, struct str org_id, bool lock)
{
    if (!org_id.n || (!rbac_sees_all(&c->caller) && !rbac_is_org_admin(&c->caller, org_id)))
        return NULL;
    return lock ? store_lock(&c->store, TABLE_ORGANIZATION, org_id)
                : store_get(&c->store, TABLE_ORGANIZATION, org_id);
}

/* ---- shown ---- */

static yyjson_mut_val *members_of(struct call *c, struct str org_id, bool with_users)
{
    struct store *s = &c->store;
    yyjson_mut_val *rows =
        STORE_LIST(s, TABLE_ORGANIZATION_MEMBERSHIP,
                   "WHERE t.organization_id = $1 ORDER BY t.user_id", DB_TEXT(org_id));
    yyjson_mut_val *row;
    size_t i, n;

    if (!with_users)
        return rows;
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        yyjson_mut_val *user = store_get(s, TABLE_USER, row_text(row, "user_id"));
        row_put(s, row, "user", user ? member_shown(c, user) : NULL);
        row_put(s, row, "user_email", row_val(user, "user_email"));
    }
    return rows;
}

static yyjson_mut_val *org_shown(struct call *c, const yyjson_mut_val *org, bool with_users)
{
    struct store *s = &c->store;
    struct str id = row_text(org, "organization_id"),
               permission = row_text(org, "object_permission_id");
    yyjson_mut_val *out = row_copy(s, org);

    row_put(s, out, "litellm_budget_table", store_get(s, TABLE_BUDGET, row_text(org, "budget_id")));
    row_put(s, out, "object_permission",
            permission.n ? store_get(s, TABLE_OBJECT_PERMISSION, permission) : NULL);
    row_put(s, out, "members", members_of(c, id, with_users));
    row_put(
        s, out, "teams",
        STORE_LIST(s, TABLE_TEAM, "WHERE t.organization_id = $1 ORDER BY t.team_id", DB_TEXT(id)));
    return out;
}

/* ---- values ---- */

static bool check_values(struct call *c, const yyjson_mut_val *req)
{
    static const char *const numbers[] = {"max_budget", "soft_budget", "max_parallel_requests",
                                          "tpm_limit",  "rpm_limit",   "tpd_limit"};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!check_not_negative(c, req, numbers[i]))
            return false;
    return limit_check_period(c, req, "budget_duration");
}

static bool check_budget_id(struct call *c, const yyjson_mut_val *req)
{
    struct str id = row_text(req, "budget_id");

    if (!id.p || store_get(&c->store, TABLE_BUDGET, id))
        return true;
    refuse(c, 400, "Budget not found for budget_id=" STR_FMT, STR_ARG(id));
    return false;
}

/* A key that may not name every model gives none that it may not name. */
static bool check_models(struct call *c, const yyjson_mut_val *req)
{
    yyjson_mut_val *held = row_val(c->caller.key, "models"), *wanted = row_val(req, "models");
    struct str model = models_beyond(wanted, held);

    if (!yyjson_mut_arr_size(held))
        return true;
    if (!yyjson_mut_arr_size(wanted))
        refuse(c, 400,
               "User not allowed to give access to all models. Select models you want org to have "
               "access to.");
    else if (model.n)
        refuse(c, 403,
               "User=" STR_FMT " does not have access to model=" STR_FMT
               ", so the organization cannot have it.",
               STR_ARG(c->caller.user_id), STR_ARG(model));
    else
        return true;
    return false;
}

/* What the request says of the budget. */
static yyjson_mut_val *budget_sent(struct call *c, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *budget = row_new(s);

    for (size_t i = 0; i < ARRAY_LEN(of_budget); i++)
        if (row_sent(req, of_budget[i]))
            row_put(s, budget, of_budget[i], row_val(req, of_budget[i]));
    if (row_sent(budget, "allowed_models") && !row_val(budget, "allowed_models"))
        row_put(s, budget, "allowed_models", row_list(s));
    limit_put_period(c, budget, budget);
    return budget;
}

/* The stored metadata with what the request says; a member that is null there goes. */
static void put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                         const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *made = stored ? row_copy(s, stored) : row_new(s),
                   *sent = row_val(req, "metadata"), *k, *v;
    size_t i, n;
    bool changes = sent != NULL;

    yyjson_mut_obj_foreach(sent, i, n, k, v)
    {
        row_put(s, made, yyjson_mut_get_str(k), v);
    }
    for (i = 0; i < ARRAY_LEN(in_metadata); i++) {
        v = row_val(req, in_metadata[i]);
        changes |= v != NULL;
        if (v)
            row_put(s, made, in_metadata[i], v);
    }
    if (changes)
        row_put(s, row, "metadata", made);
}

/* ---- new ---- */

void api_organization_new(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *req = row_copy(s, c->in), *row = row_new(s), *made;
    struct str id = row_text(req, "organization_id"), by = audit_actor(c);

    if (!check_values(c, req) || !check_budget_id(c, req) || !check_models(c, req) ||
        (!rbac_is_admin(&c->caller) && !limit_check_metadata(c, req, NULL)))
        return;
    if (!id.n)
        id = store_uuid(s);
    if (store_get(s, TABLE_ORGANIZATION, id)) {
        refuse(c, 400,
               "Organization id = " STR_FMT
               " already exists. Please use a different organization id.",
               STR_ARG(id));
        return;
    }
    row_put_text(s, row, "organization_id", id);
    row_put_text(s, row, "organization_alias", row_text(req, "organization_alias"));
    row_put_text(s, row, "budget_id",
                 row_text(req, "budget_id").p ? row_text(req, "budget_id")
                                              : budget_create(c, budget_sent(c, req)));
    if (row_val(req, "models"))
        row_put(s, row, "models", row_val(req, "models"));
    else
        row_put(s, row, "models", row_list(s));
    put_metadata(c, row, req, NULL);
    object_permission_put(c, row, req, (struct str){0});
    row_put_text(s, row, "created_by", by);
    row_put_text(s, row, "updated_by", by);
    made = store_insert(s, TABLE_ORGANIZATION, row);
    if (!made) {
        refuse(c, 409, "Organization id = " STR_FMT " was made meanwhile.", STR_ARG(id));
        return;
    }
    audit_created(c, TABLE_ORGANIZATION, id, made);
    made = row_copy(s, made);
    row_put(s, made, "litellm_budget_table",
            store_get(s, TABLE_BUDGET, row_text(made, "budget_id")));
    reply(c, made);
}

/* ---- update ---- */

/* What bounds an organization is not for its own admins to change. */
static bool check_may_change(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *org)
{
    bool bounds = row_val(req, "models") || row_val(req, "model_rpm_limit") ||
                  row_val(req, "model_tpm_limit") || row_val(req, "object_permission");

    if (rbac_is_admin(&c->caller))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(in_metadata); i++)
        bounds |= row_sent(row_val(req, "metadata"), in_metadata[i]) != NULL;
    for (size_t i = 0; i < ARRAY_LEN(of_budget); i++)
        bounds |= row_sent(req, of_budget[i]) != NULL;
    if (!bounds)
        return limit_check_metadata(c, req, row_val(org, "metadata"));
    refuse(c, 403,
           "Only proxy admins can change an organization's budget, limits, models or permissions.");
    return false;
}

static void update_budget(struct call *c, const yyjson_mut_val *org, yyjson_mut_val *budget)
{
    struct store *s = &c->store;
    struct str id = row_text(org, "budget_id");
    yyjson_mut_val *was;

    if (!yyjson_mut_obj_size(budget))
        return;
    was = store_lock(s, TABLE_BUDGET, id);
    row_put_text(s, budget, "updated_by", audit_actor(c));
    (void)store_update(s, TABLE_BUDGET, id, budget);
    audit_updated(c, TABLE_BUDGET, id, was, budget);
}

static yyjson_mut_val *find_to_update(struct call *c, struct str id)
{
    yyjson_mut_val *org;

    if (!c->caller.user_id.n) {
        refuse(c, 400,
               "Cannot associate a user_id to this action. Check `/key/info` to validate if "
               "'user_id' is set.");
        return NULL;
    }
    if (!id.p) {
        refuse(c, 400, "organization_id is required");
        return NULL;
    }
    org = org_find(c, id, true);
    if (!org)
        refuse(c, 404, "Organization not found for organization_id=" STR_FMT, STR_ARG(id));
    return org;
}

/* The request with the members of its litellm_budget_table beside the others. */
static yyjson_mut_val *flattened(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *req = row_copy(s, c->in), *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach(in_val(c, "litellm_budget_table"), i, n, k, v)
    {
        row_put(s, req, yyjson_mut_get_str(k), v);
    }
    return req;
}

void api_organization_update(struct call *c)
{
    static const char *const columns[] = {"organization_alias", "budget_id", "spend", "models"};
    struct store *s = &c->store;
    yyjson_mut_val *req = flattened(c), *changes = row_new(s), *org, *now;
    struct str id = in_text(c, "organization_id");

    org = find_to_update(c, id);
    if (!org || !check_values(c, req) || !check_budget_id(c, req) || !check_may_change(c, req, org))
        return;
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (row_val(req, columns[i]))
            row_put(s, changes, columns[i], row_val(req, columns[i]));
    put_metadata(c, changes, req, row_val(org, "metadata"));
    object_permission_put(c, changes, req, row_text(org, "object_permission_id"));
    row_put_text(s, changes, "updated_by", audit_actor(c));
    now = store_update(s, TABLE_ORGANIZATION, id, changes);
    if (!now)
        return;
    update_budget(c, now, budget_sent(c, req));
    audit_updated(c, TABLE_ORGANIZATION, id, org, changes);
    reply(c, org_shown(c, now, false));
}

/* ---- delete ---- */

/* Teams and keys go with it, and are kept among the deleted. */
static void remove_org(struct call *c, const yyjson_mut_val *org)
{
    struct store *s = &c->store;
    struct str id = row_text(org, "organization_id");
    yyjson_mut_val *rows, *row;
    size_t i, n;

    rows = STORE_LIST(s, TABLE_TEAM, "WHERE t.organization_id = $1 ORDER BY t.team_id FOR UPDATE",
                      DB_TEXT(id));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        team_remove(c, row);
    }
    rows = STORE_LIST(s, TABLE_KEY, "WHERE t.organization_id = $1 ORDER BY t.token FOR UPDATE",
                      DB_TEXT(id));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        key_remove(c, row);
    }
    org_leave(s, id, (struct str){0});
    audit_deleted(c, TABLE_ORGANIZATION, id, org);
    (void)store_delete(s, TABLE_ORGANIZATION, id);
}

void api_organization_delete(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *ids = in_val(c, "organization_ids"), *out = row_list(s), *org, *v;
    size_t i, n;

    yyjson_mut_arr_foreach(ids, i, n, v)
    {
        struct str id = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        org = store_lock(s, TABLE_ORGANIZATION, id);
        if (!org) {
            refuse(c, 404, "Organization=" STR_FMT " not found", STR_ARG(id));
            return;
        }
        row_append(s, out, org_shown(c, org, false));
        remove_org(c, org);
    }
    c->is_unchanged = n == 0;
    reply(c, out);
}

/* ---- reading ---- */

void api_organization_info(struct call *c)
{
    yyjson_mut_val *org = org_find(c, in_text(c, "organization_id"), false);

    if (org)
        reply(c, org_shown(c, org, true));
    else
        refuse(c, 404, "Organization not found");
}

void api_organizations_info(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *ids = in_val(c, "organizations"), *out = row_list(s), *org, *v;
    size_t i, n;

    if (!yyjson_mut_arr_size(ids) || yyjson_mut_arr_size(ids) > LIST_MAX) {
        refuse(c, 400, "Specify 1 to %d organization ids to query", LIST_MAX);
        return;
    }
    yyjson_mut_arr_foreach(ids, i, n, v)
    {
        org = org_find(c, (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}, false);
        if (org)
            row_append(s, out, org_shown(c, org, false));
    }
    reply(c, out);
}

void api_organization_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str id = in_text(c, "org_id"), alias = in_text(c, "org_alias");
    yyjson_mut_val *out = row_list(s), *rows, *row;
    size_t i, n;

    if (!rbac_sees_all(&c->caller))
        FILTER_ADD(
            &f,
            "EXISTS (SELECT FROM \"LiteLLM_OrganizationMembership\" m"
            " WHERE m.organization_id = t.organization_id AND m.user_id = $? AND m.user_id <> '')",
            DB_TEXT(c->caller.user_id));
    if (id.n)
        FILTER_ADD(&f, "t.organization_id = $?", DB_TEXT(id));
    if (alias.n)
        FILTER_ADD(&f, "t.organization_alias ILIKE $?", DB_TEXT(filter_contains(&c->arena, alias)));
    rows = filter_page(s, TABLE_ORGANIZATION, &f, "t.organization_id", LIST_MAX + 1, 0);
    if (yyjson_mut_arr_size(rows) > LIST_MAX) {
        refuse(c, 400, "Too many organizations for one answer. Ask with org_id or org_alias.");
        return;
    }
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, out, org_shown(c, row, false));
    }
    reply(c, out);
}
