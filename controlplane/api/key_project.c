/* A key's project: between it and its team (litellm-controlplane.md 2.8). */

#include "api/keys_priv.h"

/* The value sent, else that of the row it changes. */
static struct str effective(const yyjson_mut_val *req, const yyjson_mut_val *row, const char *name)
{
    return row_text(row_sent(req, name) ? req : row, name);
}

static bool check_team(struct call *c, const yyjson_mut_val *project, const yyjson_mut_val *team)
{
    struct str id = row_text(project, "project_id"), owner = row_text(project, "team_id");
    struct str of_key = row_text(team, "team_id");

    if (!owner.n || str_eq(owner, of_key))
        return true;
    refuse(c, 400,
           "Project " STR_FMT " belongs to team " STR_FMT ", but the key belongs to " STR_FMT
           ". A key can only be attached to a project owned by its own team.",
           STR_ARG(id), STR_ARG(owner), STR_ARG(of_key.n ? of_key : STR("no team")));
    return false;
}

static bool check_bounds(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *project)
{
    struct store *s = &c->store;
    struct str id = row_text(project, "project_id"), budget_id = row_text(project, "budget_id");
    struct str model = models_beyond(row_val(req, "models"), row_val(project, "models"));
    yyjson_mut_val *budget = budget_id.n ? store_get(s, TABLE_BUDGET, budget_id) : NULL;
    double own, most;

    if (model.n && !str_eq(model, STR("all-team-models")) &&
        !str_eq(model, STR("all-proxy-models"))) {
        refuse(c, 400,
               "Model '" STR_FMT
               "' not in project's allowed models. Project allowed models=" STR_FMT
               ". Project: " STR_FMT,
               STR_ARG(model), STR_ARG(python_list(s, row_val(project, "models"))), STR_ARG(id));
        return false;
    }
    if (!row_num(req, "max_budget", &own) || !row_num(budget, "max_budget", &most) || own <= most)
        return true;
    refuse(c, 400,
           "Key max_budget (" STR_FMT ") exceeds project's max_budget (" STR_FMT
           "). Project: " STR_FMT,
           STR_ARG(python_float(&c->arena, own)), STR_ARG(python_float(&c->arena, most)),
           STR_ARG(id));
    return false;
}

bool key_check_project(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                       const yyjson_mut_val *team)
{
    struct str id = effective(req, row, "project_id");
    yyjson_mut_val *project = id.n ? store_get(&c->store, TABLE_PROJECT, id) : NULL;
    bool is_same = row && str_eq(id, row_text(row, "project_id")) &&
                   str_eq(effective(req, row, "team_id"), row_text(row, "team_id"));

    if (!id.n || (is_same && !project))
        return true; /* none, or one that was deleted since */
    bool sees = rbac_sees_all(&c->caller) ||
                (team && str_eq(row_text(project, "team_id"), row_text(team, "team_id")));
    if (!project || (!is_same && !sees)) {
        refuse(c, 404, "Project not found, project_id=" STR_FMT, STR_ARG(id));
        return false;
    }
    return (is_same || check_team(c, project, team)) && check_bounds(c, req, project);
}
