/* /model: deployments made and changed in the database. Texts of litellm_params are sealed. */

#include "api/models_priv.h"
#include "api/sealed.h"
#include "api/settings.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"
#include "store/credential.h"
#include "store/model.h"

static bool check_store_to_change(struct call *c)
{
    if (settings_are_stored(c))
        return true;
    refuse_as(c, 400, "validation_error", NULL,
              "Model updates only supported for DB-stored models");
    return false;
}

/* ---- who may ---- */

static struct str team_of(const yyjson_mut_val *row)
{
    return row_text(row_val(row, "model_info"), "team_id");
}

/* A team the caller is in or runs; of another one nothing is known. */
static yyjson_mut_val *team_known(struct call *c, struct str team_id)
{
    yyjson_mut_val *team = store_get(&c->store, TABLE_TEAM, team_id);

    if (!team || rbac_runs_team(&c->caller, team) || team_role_of(team, c->caller.user_id).n)
        return team;
    return NULL;
}

/* Models of a team are its admins' business, all others a proxy_admin's. */
static bool check_may(struct call *c, struct str team_id)
{
    yyjson_mut_val *team;

    if (c->caller.role == ROLE_VIEWER || c->caller.role == ROLE_USER_VIEWER) {
        refuse_text(c, 403, "View-only users cannot manage models.");
        return false;
    }
    if (!team_id.n) {
        if (!rbac_is_admin(&c->caller))
            refuse(c, 403,
                   "User does not have permission to make this model call. Your role=%s. You can "
                   "only make model calls if you are a PROXY_ADMIN or if you are a team admin, by "
                   "specifying a team_id in the model_info.",
                   role_name(c->caller.role));
        return rbac_is_admin(&c->caller);
    }
    team = team_known(c, team_id);
    if (!team)
        refuse(c, 400, "Team id=" STR_FMT " does not exist in db", STR_ARG(team_id));
    else if (!rbac_runs_team(&c->caller, team))
        refuse(c, 403,
               "Team ID=" STR_FMT " does not match the API key's team ID=" STR_FMT
               ", OR you are not the admin for this team. Check `/user/info` to verify your team "
               "admin status.",
               STR_ARG(team_id), STR_ARG(row_text(c->caller.team, "team_id")));
    return !c->status;
}

/* The model is of a team the caller knows nothing of: then there is no such model. */
static bool is_foreign(struct call *c, const yyjson_mut_val *row)
{
    struct str team_id = team_of(row);

    return team_id.n && !rbac_is_admin(&c->caller) && !team_known(c, team_id);
}

static bool names_environment(const yyjson_mut_val *v, unsigned depth)
{
    yyjson_mut_val *k, *one, *any = (yyjson_mut_val *)(uintptr_t)v;
    struct str text = {yyjson_mut_get_str(any), yyjson_mut_get_len(any)};
    size_t i, n;

    if (depth > 32)
        return true;
    if (text.p)
        return str_find(text, STR("os.environ/")) != SIZE_MAX || str_starts(text, STR("oidc/"));
    yyjson_mut_arr_foreach(any, i, n, one)
    {
        if (names_environment(one, depth + 1))
            return true;
    }
    yyjson_mut_obj_foreach(any, i, n, k, one)
    {
        if (names_environment(one, depth + 1))
            return true;
    }
    return false;
}

/* What only a proxy_admin may set: it reaches secrets that are not the caller's. */
static bool check_params(struct call *c, const yyjson_mut_val *params, const yyjson_mut_val *was)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"litellm_credential_name",
         "Only a proxy admin can attach a stored credential (litellm_credential_name) on a model."},
        {"aws_session_tags", "Only a proxy admin can set aws_session_tags on a model."},
    };

    if (rbac_is_admin(&c->caller))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const yyjson_mut_val *v = row_val(params, rows[i].name);
        if (!v || yyjson_mut_equals((yyjson_mut_val *)(uintptr_t)v, row_val(was, rows[i].name)))
            continue;
        refuse_as(c, 403, "auth_error", rows[i].name, "%s Your role=%s.", rows[i].text,
                  role_name(c->caller.role));
        return false;
    }
    struct str vertex = row_text(params, "vertex_credentials");
    if (names_environment(params, 0) || (vertex.n && vertex.p[0] != '{')) {
        refuse_as(c, 403, "auth_error", "litellm_params",
                  "Only a proxy admin can name the server's environment, files or identity in "
                  "litellm_params. Your role=%s.",
                  role_name(c->caller.role));
        return false;
    }
    return true;
}

static bool check_credential(struct call *c, const yyjson_mut_val *params,
                             const yyjson_mut_val *was)
{
    struct str name = row_text(params, "litellm_credential_name");

    if (!name.p || (name.n && str_eq(name, row_text(was, "litellm_credential_name"))))
        return true;
    if (!name.n)
        refuse_as(c, 400, "validation_error", "litellm_credential_name",
                  "litellm_credential_name cannot be an empty string. Send null to detach the "
                  "stored credential or omit the field to leave it unchanged.");
    else if (!credential_find(&c->store, name, false) && !credential_is_configured(c, name))
        refuse_as(c, 400, "validation_error", "litellm_credential_name",
                  "Credential '" STR_FMT "' not found. Create it via /credentials before attaching "
                  "it to a model.",
                  STR_ARG(name));
    return !c->status;
}

static bool check_blocked(struct call *c, bool refused, const char *text)
{
    if (refused && !rbac_is_admin(&c->caller))
        refuse_as(c, 403, "auth_error", "blocked", "%s", text);
    return !c->status;
}

static bool check_groups(struct call *c, const yyjson_mut_val *info)
{
    yyjson_mut_val *list = row_val(info, "access_groups"), *v;
    bool ok = !list || yyjson_mut_is_arr(list);
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        ok = ok && yyjson_mut_is_str(v);
    }
    if (!ok)
        refuse(c, 400, "model_info.access_groups must be a list of strings");
    return ok;
}

/* ---- new ---- */

static bool check_has_model(struct call *c, const yyjson_mut_val *params)
{
    struct store *s = &c->store;
    yyjson_mut_val *errors, *fault, *loc;

    if (row_text(params, "model").p)
        return true;
    errors = row_list(s);
    fault = row_new(s);
    loc = row_list(s);
    row_append_text(s, loc, STR("body"));
    row_append_text(s, loc, STR("litellm_params"));
    row_append_text(s, loc, STR("model"));
    row_put_text(s, fault, "type", STR("missing"));
    row_put(s, fault, "loc", loc);
    row_put_text(s, fault, "msg", STR("Field required"));
    row_put(s, fault, "input", row_new(s)); /* not repeated: it may hold a key */
    row_append(s, errors, fault);
    refuse_invalid(c, errors);
    return false;
}

/* model_info with the members it always has; an id that is a number becomes a text. */
static yyjson_mut_val *info_made(struct call *c, struct str *ret_id)
{
    struct store *s = &c->store;
    yyjson_mut_val *info = row_copy(s, in_val(c, "model_info")), *id = row_val(info, "id");

    if (id && !yyjson_mut_is_str(id))
        *ret_id = row_json(s, id);
    else
        *ret_id = yyjson_mut_get_len(id) ? row_text(info, "id") : store_uuid(s);
    row_put_text(s, info, "id", *ret_id);
    if (!yyjson_mut_is_bool(row_val(info, "db_model")))
        row_put_bool(s, info, "db_model", false);
    return info;
}

static struct str team_model_name(struct call *c, struct str team_id)
{
    return arena_printf(&c->arena, "model_name_" STR_FMT "_" STR_FMT, STR_ARG(team_id),
                        STR_ARG(store_uuid(&c->store)));
}

void api_model_new(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *params = in_val(c, "litellm_params"), *row = row_new(s), *info, *made;
    struct str name = in_text(c, "model_name"), id;

    if (!check_has_model(c, params))
        return;
    info = info_made(c, &id);
    struct str team_id = row_text(info, "team_id");
    if (!check_may(c, team_id) ||
        !check_blocked(c, in_bool(c, "blocked"),
                       "Only proxy admins can set a model's blocked flag.") ||
        !check_params(c, params, NULL) || !check_groups(c, info) || !settings_check_stored(c))
        return;
    params = values_seal(c, params);
    if (!params)
        return;
    if (team_id.n) {
        row_put_text(s, info, "team_public_model_name", name);
        row_put_text(s, row, "model_name", team_model_name(c, team_id));
    } else {
        row_put_text(s, row, "model_name", name);
    }
    row_put_text(s, row, "model_id", id);
    row_put(s, row, "litellm_params", params);
    row_put(s, row, "model_info", info);
    row_put_bool(s, row, "blocked", in_bool(c, "blocked"));
    row_put_text(s, row, "created_by", c->caller.user_id);
    row_put_text(s, row, "updated_by", c->caller.user_id);
    made = model_is_configured(c, id) ? NULL : store_insert(s, TABLE_MODEL, row);
    if (!made) {
        refuse(c, 500, "Failed to add model to db. Check your server logs for more details.");
        return;
    }
    if (team_id.n)
        model_give_team(s, team_id, name);
    audit_created(c, TABLE_MODEL, id, made);
    reply(c, made);
}

/* ---- update ---- */

/* Members of model_info that are not the caller's to set: they follow from others. */
static bool is_fixed(struct str name)
{
    return str_is_among(name, STR("id|db_model|team_id|team_public_model_name|created_at|"
                                  "created_by|updated_at|updated_by|key|access_via_team_ids|"
                                  "direct_access"));
}

static yyjson_mut_val *info_merged(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *was = row_val(row, "model_info"), *out = was ? row_copy(s, was) : row_new(s);
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach(in_val(c, "model_info"), i, n, k, v)
    {
        struct str name = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        if (!is_fixed(name) && !yyjson_mut_is_null(v))
            (void)yyjson_mut_obj_put(out, row_copy(s, k), row_copy(s, v));
    }
    return out;
}

/* A price or the like: null takes it away. Of others null is as good as nothing. */
static bool is_clearable(struct str name)
{
    return str_find(name, STR("cost_per_")) != SIZE_MAX || str_ends(name, STR("_token_cost")) ||
           str_is_among(name, STR("cache_control_injection_points|litellm_credential_name"));
}

/* The stored parameters with those sent; NULL with an answer. */
static yyjson_mut_val *params_merged(struct call *c, const yyjson_mut_val *row,
                                     yyjson_mut_val *info)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = in_val(c, "litellm_params"), *sealed = values_seal(c, sent);
    yyjson_mut_val *out, *k, *v;
    size_t i, n;

    if (!sealed)
        return NULL;
    out = row_copy(s, row_val(row, "litellm_params"));
    yyjson_mut_obj_foreach(sealed, i, n, k, v)
    {
        (void)yyjson_mut_obj_put(out, row_copy(s, k), row_copy(s, v));
    }
    yyjson_mut_obj_foreach(sent, i, n, k, v)
    {
        struct str name = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        if (!yyjson_mut_is_null(v) || !is_clearable(name))
            continue;
        (void)yyjson_mut_obj_remove_keyn(out, name.p, name.n);
        (void)yyjson_mut_obj_remove_keyn(info, name.p, name.n);
    }
    return out;
}

/* The name people use: of a team's model it stands in model_info. */
static struct str public_name(const yyjson_mut_val *row)
{
    struct str name = row_text(row_val(row, "model_info"), "team_public_model_name");

    return name.n ? name : row_text(row, "model_name");
}

/* Another name was sent, and not the one that a team's model has inside. */
static bool is_renamed(struct call *c, const yyjson_mut_val *row, struct str team_id)
{
    struct str name = in_text(c, "model_name");
    struct str inner = arena_printf(&c->arena, "model_name_" STR_FMT "_", STR_ARG(team_id));

    return name.n && !str_eq(name, row_text(row, "model_name")) &&
           !(team_id.n && str_starts(name, inner));
}

/* Lists that name the model follow its new name, when no other deployment has the old one. */
static void rename_in_lists(struct call *c, const yyjson_mut_val *row, struct str to)
{
    struct str from = row_text(row, "model_name");

    if (!model_row_has_name(&c->store, from, row_text(row, "model_id")) &&
        !model_name_is_configured(c, from))
        model_rename_in_lists(&c->store, from, to);
}

/* The team's list of models follows. */
static void rename_in_team(struct call *c, const yyjson_mut_val *row, struct str team_id,
                           struct str to)
{
    struct store *s = &c->store;
    struct str from = public_name(row), was_team = team_of(row);

    model_give_team(s, team_id, to);
    if (was_team.n && !(str_eq(was_team, team_id) && str_eq(from, to)) &&
        !model_row_has_public_name(s, was_team, from, row_text(row, "model_id")))
        model_take_from_team(s, was_team, from);
}

/* Writes what both forms of update have in common; NULL with an answer, or a fault. */
static yyjson_mut_val *change(struct call *c, const yyjson_mut_val *row, struct str team_id,
                              yyjson_mut_val *params, yyjson_mut_val *info)
{
    struct store *s = &c->store;
    struct str id = row_text(row, "model_id"), name = in_text(c, "model_name");
    bool moves = team_id.n && !str_eq(team_id, team_of(row));
    bool renamed = is_renamed(c, row, team_id);
    yyjson_mut_val *changes = row_new(s), *now;

    if (team_id.n) {
        row_put_text(s, info, "team_id", team_id);
        row_put_text(s, info, "team_public_model_name", renamed ? name : public_name(row));
        if (moves)
            row_put_text(s, changes, "model_name", team_model_name(c, team_id));
        rename_in_team(c, row, team_id, renamed ? name : public_name(row));
    } else if (renamed) {
        row_put_text(s, changes, "model_name", name);
        rename_in_lists(c, row, name);
    }
    row_put(s, changes, "litellm_params", params);
    row_put(s, changes, "model_info", info);
    if (in_set(c, "blocked"))
        row_put_bool(s, changes, "blocked", in_bool(c, "blocked"));
    row_put_text(s, changes, "updated_by", c->caller.user_id);
    now = store_update(s, TABLE_MODEL, id, changes);
    if (now)
        audit_updated(c, TABLE_MODEL, id, row, changes);
    return now;
}

/* Rules for what is sent, whatever the form. */
static bool check_change(struct call *c, const yyjson_mut_val *row, struct str team_id)
{
    const yyjson_mut_val *was = values_open(c, row_val(row, "litellm_params"));
    const yyjson_mut_val *params = in_val(c, "litellm_params");

    if (!check_may(c, team_of(row)) ||
        (team_id.n && !str_eq(team_id, team_of(row)) && !check_may(c, team_id)))
        return false;
    return check_blocked(c, in_set(c, "blocked"),
                         "Only proxy admins can change a model's blocked flag.") &&
           check_params(c, params, was) && check_credential(c, params, was) &&
           check_groups(c, in_val(c, "model_info"));
}

void api_model_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *info = in_val(c, "model_info"), *row, *params, *now;
    struct str id = row_text(info, "id");

    if (!info || !id.n) {
        refuse_text(c, 400, info ? "model_info.id not provided" : "model_info not provided");
        return;
    }
    row = store_lock(s, TABLE_MODEL, id);
    if (!row || is_foreign(c, row)) {
        if (!row && model_is_configured(c, id))
            refuse(c, 400,
                   "Can't edit model. Model in config. Store model in db via `/model/new`. to "
                   "edit.");
        else
            refuse_text(c, 400, "model not found");
        return;
    }
    if (!check_change(c, row, team_of(row)) || !settings_check_stored(c))
        return;
    if (!in_set(c, "litellm_params")) {
        refuse_text(c, 400, "litellm_params not provided");
        return;
    }
    info = info_merged(c, row);
    params = params_merged(c, row, info);
    now = params ? change(c, row, team_of(row), params, info) : NULL;
    if (now)
        reply(c, now);
}

/* The row of a deployment that may be changed, locked; NULL with an answer. */
static yyjson_mut_val *lock_stored(struct call *c, struct str id)
{
    yyjson_mut_val *row = store_lock(&c->store, TABLE_MODEL, id);

    if (row && !is_foreign(c, row))
        return row;
    if (!row && model_is_configured(c, id))
        refuse_as(c, 400, "validation_error", NULL,
                  "Cannot edit config-based model. Store model in DB via /model/new first.");
    else
        refuse_as(c, 404, "not_found_error", NULL, "Model " STR_FMT " not found on proxy.",
                  STR_ARG(id));
    return NULL;
}

/* Names of parameters that go; false with an answer. */
static bool remove_params(struct call *c, yyjson_mut_val *params, yyjson_mut_val *info)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(in_val(c, "litellm_params_to_remove"), i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (str_eq(name, STR("model"))) {
            refuse_text(c, 422, "The required litellm_params.model cannot be removed");
            return false;
        }
        (void)yyjson_mut_obj_remove_keyn(params, name.p, name.n);
        if (is_clearable(name))
            (void)yyjson_mut_obj_remove_keyn(info, name.p, name.n);
    }
    return true;
}

void api_model_item_update(struct call *c)
{
    yyjson_mut_val *row, *info, *params, *now;
    struct str team_id = row_text(in_val(c, "model_info"), "team_id");

    if (!check_store_to_change(c))
        return;
    row = lock_stored(c, in_param(c, 0));
    if (!row)
        return;
    if (!team_id.n)
        team_id = team_of(row);
    if (!check_change(c, row, team_id))
        return;
    info = info_merged(c, row);
    params = params_merged(c, row, info);
    if (!params || !remove_params(c, params, info))
        return;
    now = change(c, row, team_id, params, info);
    if (now)
        reply(c, now);
}

static void set_blocked(struct call *c, bool blocked)
{
    struct store *s = &c->store;
    yyjson_mut_val *row, *changes = row_new(s), *now;

    if (!check_store_to_change(c))
        return;
    row = lock_stored(c, in_text(c, "model_id"));
    if (!row)
        return;
    row_put_bool(s, changes, "blocked", blocked);
    row_put_text(s, changes, "updated_by", c->caller.user_id);
    now = store_update(s, TABLE_MODEL, row_text(row, "model_id"), changes);
    if (!now)
        return;
    audit_write(c, AUDIT_BLOCKED, TABLE_MODEL, row_text(row, "model_id"), row, changes);
    reply(c, now);
}

void api_model_block(struct call *c)
{
    set_blocked(c, true);
}

void api_model_unblock(struct call *c)
{
    set_blocked(c, false);
}

/* ---- delete ---- */

static void forget_names(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    struct str name = row_text(row, "model_name"), id = row_text(row, "model_id");
    struct str team_id = team_of(row), shown = public_name(row);
    bool is_served = model_row_has_name(s, name, id) || model_name_is_configured(c, name);

    if (!is_served)
        model_drop_from_groups(s, name);
    if (!team_id.n)
        return;
    if (!is_served)
        model_drop_aliases(s, name);
    if (!model_row_has_public_name(s, team_id, shown, id) && !model_name_exists(c, shown))
        model_take_from_team(s, team_id, shown);
}

void api_model_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "id");
    yyjson_mut_val *row = store_lock(s, TABLE_MODEL, id), *out = row_new(s);

    if (!row || is_foreign(c, row)) {
        refuse(c, 400, "Model with id=" STR_FMT " not found in db", STR_ARG(id));
        return;
    }
    struct str team_id = team_of(row);
    bool is_orphan = team_id.n && !store_get(s, TABLE_TEAM, team_id);
    if (is_orphan ? !rbac_is_admin(&c->caller) : !check_may(c, team_id)) {
        refuse(c, 403, "Only a proxy admin can delete a model whose team has been deleted.");
        return;
    }
    if (!settings_check_stored(c))
        return;
    (void)store_delete(s, TABLE_MODEL, id);
    forget_names(c, row);
    audit_deleted(c, TABLE_MODEL, id, row);
    row_put_text(s, out, "message",
                 arena_printf(&c->arena, "Model: " STR_FMT " deleted successfully", STR_ARG(id)));
    reply(c, out);
}
