/* Projects, between a team and its keys (litellm-controlplane.md 2.8). */

#include "api/parts.h"
#include "audit/audit.h"
#include "store/filter.h"

enum { PROJECTS_MAX = 500 };

static const char *const columns[] = {"project_alias", "description", "models",
                                      "blocked",       "team_id",     "budget_id"};

/* Members that are kept in the row's metadata. */
static const char *const in_metadata[] = {
    "model_rpm_limit", "model_tpm_limit", "model_itpm_limit", "model_otpm_limit", "tags",
    "guardrails",      "policies"};

static void refuse_missing(struct call *c, const char *param, struct str id)
{
    refuse_as(c, 404, "not_found", param, "Project not found, project_id=" STR_FMT, STR_ARG(id));
}

/* ---- limits ---- */

static bool over_team(struct call *c, const yyjson_mut_val *team, const char *name, bool is_float)
{
    struct arena *a = &c->arena;
    double own, most;

    if (!row_num(c->in, name, &own) || !row_num(team, name, &most) || own <= most)
        return false;
    struct str own_text = is_float ? python_float(a, own) : arena_printf(a, "%.0f", own);
    struct str most_text = is_float ? python_float(a, most) : arena_printf(a, "%.0f", most);
    refuse(c, 400, "Project %s (" STR_FMT ") exceeds team's %s (" STR_FMT "). Team: " STR_FMT, name,
           STR_ARG(own_text), name, STR_ARG(most_text), STR_ARG(row_text(team, "team_id")));
    return true;
}

static bool check_not_below(struct call *c, const char *name)
{
    double d;

    if (!row_num(c->in, name, &d) || d >= 0)
        return true;
    refuse(c, 400, "%s cannot be negative. Received: " STR_FMT, name,
           STR_ARG(python_float(&c->arena, d)));
    return false;
}

/* A project fits its team. */
static bool check_limits(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    double soft, most;
    struct str model;

    if (!check_not_below(c, "max_budget") || !check_not_below(c, "soft_budget") ||
        !budget_check(c, c->in))
        return false;
    if (row_num(c->in, "soft_budget", &soft) && row_num(c->in, "max_budget", &most) &&
        soft >= most) {
        refuse(c, 400,
               "soft_budget (" STR_FMT ") must be strictly lower than max_budget (" STR_FMT ")",
               STR_ARG(python_float(&c->arena, soft)), STR_ARG(python_float(&c->arena, most)));
        return false;
    }
    model = models_beyond(row_val(c->in, "models"), row_val(team, "models"));
    if (model.n) {
        refuse(c, 400,
               "Model '" STR_FMT "' not in team's allowed models. Team allowed models=" STR_FMT
               ". Team: " STR_FMT,
               STR_ARG(model), STR_ARG(python_list(s, row_val(team, "models"))),
               STR_ARG(row_text(team, "team_id")));
        return false;
    }
    return !over_team(c, team, "max_budget", true) && !over_team(c, team, "tpm_limit", false) &&
           !over_team(c, team, "rpm_limit", false);
}

/* NULL with an answer when there is none. */
static yyjson_mut_val *find_team(struct call *c, struct str id)
{
    yyjson_mut_val *team = store_get(&c->store, TABLE_TEAM, id);

    if (!team)
        refuse_as(c, 404, "not_found", "team_id", "Team not found, team_id=" STR_FMT, STR_ARG(id));
    return team;
}

static void put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = in_val(c, "metadata"), *made;

    made = sent ? row_copy(s, sent) : stored ? row_copy(s, stored) : row_new(s);
    row_take(s, made, c->in, in_metadata, ARRAY_LEN(in_metadata));
    row_put(s, row, "metadata", made);
}

/* ---- new, update ---- */

void api_project_new(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "project_id"), by = audit_actor(c);
    yyjson_mut_val *team = find_team(c, in_text(c, "team_id")), *row = row_new(s), *made;

    if (!team || !check_limits(c, team))
        return;
    if (id.n && store_get(s, TABLE_PROJECT, id)) {
        refuse_as(c, 400, "bad_request", "project_id",
                  "Project id = " STR_FMT " already exists. Please use a different project id.",
                  STR_ARG(id));
        return;
    }
    if (!id.n)
        id = store_uuid(s);
    row_put_text(s, row, "project_id", id);
    row_take(s, row, c->in, columns, ARRAY_LEN(columns));
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    put_metadata(c, row, NULL);
    if (!row_val(row, "budget_id"))
        row_put_text(s, row, "budget_id", budget_create(c, budget_values(c, c->in, false)));
    object_permission_put(c, row, c->in, (struct str){0});
    row_put_text(s, row, "created_by", by);
    row_put_text(s, row, "updated_by", by);
    made = store_insert(s, TABLE_PROJECT, row);
    if (!made)
        return;
    audit_created(c, TABLE_PROJECT, id, made);
    reply(c, row_with_parts(c, made));
}

/* Keys of a project are keys of its team. */
static bool check_move(struct call *c, const yyjson_mut_val *was)
{
    struct str id = row_text(was, "project_id"), to = in_text(c, "team_id");
    struct rows r;

    if (!to.p || str_eq(to, row_text(was, "team_id")))
        return true;
    r = TX_QUERY(&c->store.tx,
                 "SELECT count(*) FROM \"LiteLLM_VerificationToken\""
                 " WHERE project_id = $1 AND team_id IS DISTINCT FROM $2",
                 DB_TEXT(id), DB_TEXT(to));
    if (!rows_int(r, 0, 0))
        return true;
    refuse_as(c, 400, "bad_request", "team_id",
              "Project " STR_FMT " has %lld key(s) that do not belong to team " STR_FMT
              ". Detach or delete them before moving the project.",
              STR_ARG(id), (long long)rows_int(r, 0, 0), STR_ARG(to));
    return false;
}

/* Into the row of its budget, or one that is made for it. */
static void put_budget(struct call *c, yyjson_mut_val *changes, const yyjson_mut_val *was)
{
    struct store *s = &c->store;
    struct str budget = row_text(was, "budget_id");
    yyjson_mut_val *values = budget_values(c, c->in, false);

    if (in_sent(c, "max_budget") && !in_set(c, "max_budget")) {
        values = values ? values : row_new(s);
        row_put_null(s, values, "max_budget");
    }
    if (!values)
        return;
    if (budget.n)
        budget_change(c, budget, values);
    else if (!in_set(c, "budget_id"))
        row_put_text(s, changes, "budget_id", budget_create(c, values));
}

void api_project_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "project_id");
    yyjson_mut_val *was = store_lock(s, TABLE_PROJECT, id), *changes = row_new(s), *now, *team;
    struct str team_id = in_set(c, "team_id") ? in_text(c, "team_id") : row_text(was, "team_id");

    if (!was) {
        refuse_missing(c, "project_id", id);
        return;
    }
    team = team_id.n ? find_team(c, team_id) : NULL;
    if ((team_id.n && !team) || !check_limits(c, team) || !check_move(c, was))
        return;
    row_take(s, changes, c->in, columns, ARRAY_LEN(columns));
    put_metadata(c, changes, row_val(was, "metadata"));
    put_budget(c, changes, was);
    object_permission_put(c, changes, c->in, row_text(was, "object_permission_id"));
    row_put_text(s, changes, "updated_by", audit_actor(c));
    now = store_update(s, TABLE_PROJECT, id, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_PROJECT, id, was, changes);
    reply(c, row_with_parts(c, now));
}

/* ---- delete ---- */

static bool check_unused(struct call *c, struct str id)
{
    struct rows r = TX_QUERY(&c->store.tx,
                             "SELECT count(*) FROM \"LiteLLM_VerificationToken\""
                             " WHERE project_id = $1",
                             DB_TEXT(id));

    if (!rows_int(r, 0, 0))
        return true;
    refuse_as(c, 400, "bad_request", "project_ids",
              "Cannot delete project " STR_FMT
              ". %lld key(s) are associated with it. Please delete or reassign the keys first.",
              STR_ARG(id), (long long)rows_int(r, 0, 0));
    return false;
}

void api_project_delete(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_list(s);
    size_t n;
    struct str *ids = row_texts(c, in_val(c, "project_ids"), &n);

    if (!n || n > PROJECTS_MAX) {
        refuse(c, 400, "project_ids must name 1 to %d projects", PROJECTS_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *was = store_lock(s, TABLE_PROJECT, ids[i]);
        if (!was) {
            refuse_missing(c, "project_ids", ids[i]);
            return;
        }
        if (!check_unused(c, ids[i]))
            return;
        audit_deleted(c, TABLE_PROJECT, ids[i], was);
        (void)store_delete(s, TABLE_PROJECT, ids[i]);
        row_append(s, out, was);
    }
    reply(c, out);
}

/* ---- info, list ---- */

/* Of a team the caller is in, or whose organization they administer. */
static bool is_visible(struct call *c, const yyjson_mut_val *row)
{
    struct str team_id = row_text(row, "team_id");
    yyjson_mut_val *team;

    if (rbac_sees_all(&c->caller))
        return true;
    team = team_id.n ? store_get(&c->store, TABLE_TEAM, team_id) : NULL;
    return team && (team_role_of(team, c->caller.user_id).n || rbac_runs_team(&c->caller, team));
}

void api_project_info(struct call *c)
{
    struct str id = in_text(c, "project_id");
    yyjson_mut_val *row = store_get(&c->store, TABLE_PROJECT, id);

    if (row && is_visible(c, row))
        reply(c, row_with_parts(c, row));
    else
        refuse_missing(c, "project_id", id);
}

void api_project_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");
    struct str user_id = c->caller.user_id;
    yyjson_mut_val *rows, *out = row_list(s), *row;
    size_t i, n;

    if (!rbac_sees_all(&c->caller))
        FILTER_ADD(
            &f,
            "EXISTS (SELECT FROM \"LiteLLM_TeamTable\" m WHERE m.team_id = t.team_id AND"
            " (m.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id', $?::text))"
            "  OR EXISTS (SELECT FROM \"LiteLLM_OrganizationMembership\" o"
            "             WHERE o.organization_id = m.organization_id AND o.user_id = $?"
            "             AND o.user_role = 'org_admin')))",
            DB_TEXT(user_id.p ? user_id : STR("")), DB_TEXT(user_id.p ? user_id : STR("")));
    rows = filter_page(s, TABLE_PROJECT, &f, "t.project_id", size, (page - 1) * size);
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, out, row_with_parts(c, row));
    }
    reply(c, out);
}
