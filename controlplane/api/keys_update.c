/* Keys changed, replaced, refused (litellm-controlplane.md 2.1, 3.6, 3.7). */

#include "common/clock.h"
#include "common/digest.h"
#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/parts.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"

/* ---- update ---- */

/* Unblocking, or another project, is for those who run the key, as a budget is. */
static bool is_state_change(const yyjson_mut_val *req, const yyjson_mut_val *row)
{
    yyjson_mut_val *blocked = row_sent(req, "blocked"), *project = row_sent(req, "project_id");

    return (blocked && yyjson_mut_is_true(blocked) != row_bool(row, "blocked")) ||
           (project && !str_eq(row_text(req, "project_id"), row_text(row, "project_id")));
}

static bool is_budget_change(const yyjson_mut_val *req)
{
    static const char *const names[] = {"max_budget", "budget_limits", "spend", "budget_id",
                                        "soft_budget"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (row_sent(req, names[i]))
            return true;
    return false;
}

static bool check_owner_change(struct call *c, const yyjson_mut_val *req,
                               const struct key_target *t)
{
    yyjson_mut_val *sent = row_sent(req, "user_id");
    struct str now = row_text(req, "user_id"), was = row_text(t->row, "user_id");

    if (!sent || rbac_is_admin(&c->caller) || str_eq(now, was))
        return true;
    if (!now.n)
        refuse_text(c, 403, "Non-admin users cannot remove the user_id from a key.");
    else
        refuse_text(c, 403,
                    "Non-admin caller is not allowed to rebind the key from user=" STR_FMT
                    " to user=" STR_FMT,
                    STR_ARG(was), STR_ARG(now));
    return false;
}

bool key_check_may_update(struct call *c, const yyjson_mut_val *req, const struct key_target *t)
{
    bool budget = is_budget_change(req);

    if (key_is_run(c, t))
        return true;
    if (t->team && team_role_of(t->team, c->caller.user_id).n &&
        !key_check_member(c, t->team, STR("/key/update")))
        return false;
    if (!budget && !is_state_change(req, t->row) &&
        (key_is_own(c, t) || (t->team && team_role_of(t->team, c->caller.user_id).n)))
        return true;
    refuse(
        c, 403,
        "Only proxy admins, team admins, or org admins can call %s. user_role=%s, user_id=" STR_FMT,
        budget ? "/key/update (max_budget/spend)" : "/key/update", role_name(c->caller.role),
        STR_ARG(c->caller.user_id));
    return false;
}

/* A key that moves to another team fits there. */
static bool check_move(struct call *c, const struct key_target *t, const yyjson_mut_val *to)
{
    struct str team_id = row_text(to, "team_id"), user_id = row_text(t->row, "user_id");
    struct str hash = t->hash, model;
    double own, most;

    model = models_beyond(row_val(t->row, "models"), row_val(to, "models"));
    if (model.n && !str_eq(model, STR("all-team-models"))) {
        refuse_text(c, 403, "Team=" STR_FMT " does not have access to model=" STR_FMT,
                    STR_ARG(team_id), STR_ARG(model));
        return false;
    }
    if (row_num(t->row, "tpm_limit", &own) && row_num(to, "tpm_limit", &most) && own > most) {
        refuse_text(c, 403,
                    "Key=" STR_FMT " has a tpm_limit=%.0f which is greater than the team's "
                    "tpm_limit=%.0f.",
                    STR_ARG(hash), own, most);
        return false;
    }
    if (row_num(t->row, "rpm_limit", &own) && row_num(to, "rpm_limit", &most) && own > most) {
        refuse_text(c, 403,
                    "Key=" STR_FMT " has a rpm_limit=%.0f which is greater than the team's "
                    "rpm_limit=%.0f.",
                    STR_ARG(hash), own, most);
        return false;
    }
    if (user_id.n && !team_role_of(to, user_id).n) {
        refuse_text(c, 403,
                    "User=" STR_FMT " is not a member of the team=" STR_FMT
                    ". Check team members via `/team/info`.",
                    STR_ARG(user_id), STR_ARG(team_id));
        return false;
    }
    if (rbac_runs_team(&c->caller, to) ||
        (team_role_of(to, c->caller.user_id).n && team_permits(to, STR("/key/update"))))
        return true;
    refuse_text(c, 403,
                "User=" STR_FMT " is not a Proxy Admin or Team Admin for team=" STR_FMT
                ". Please ask your Proxy Admin to allow this action under 'Member Permissions' for "
                "this team.",
                STR_ARG(c->caller.user_id), STR_ARG(team_id));
    return false;
}

/* The team the key will be of; false with an answer when it cannot be moved there. */
static bool check_team(struct call *c, const yyjson_mut_val *req, const struct key_target *t,
                       yyjson_mut_val **ret_team)
{
    struct str to = row_text(req, "team_id");

    *ret_team = t->team;
    if (!to.n && row_sent(req, "team_id") && t->team && !rbac_is_admin(&c->caller)) {
        refuse_text(c, 403, "Non-admin users cannot remove the team_id from a key.");
        return false;
    }
    if (!to.p || str_eq(to, row_text(t->row, "team_id")))
        return true;
    *ret_team = store_hold(&c->store, TABLE_TEAM, to);
    if (*ret_team)
        return check_move(c, t, *ret_team);
    refuse_text(c, 400,
                "Team not found for team_id=" STR_FMT
                ". Non-admin users cannot set keys to non-existent teams.",
                STR_ARG(to));
    return false;
}

/* What of the row changes; NULL with an answer. */
static yyjson_mut_val *changes_of(struct call *c, yyjson_mut_val *req, const struct key_target *t)
{
    yyjson_mut_val *row = row_new(&c->store);

    key_put_columns(c, row, req, false);
    key_put_moments(c, row, req);
    limit_put_windows(c, row, req);
    if (!key_put_metadata(c, row, req, row_val(t->row, "metadata")))
        return NULL;
    object_permission_put(c, row, req, row_text(t->row, "object_permission_id"));
    row_put_text(&c->store, row, "updated_by", c->caller.user_id);
    return row;
}

static yyjson_mut_val *check_changes(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    yyjson_mut_val *team;

    if (!key_check_values(c, req) || !check_owner_change(c, req, t) ||
        !check_team(c, req, t, &team) || !key_check_grant(c, req, t->row, team) ||
        !key_check_upper_bounds(c, req, false) || !key_check_throughput(c, req, t->row, team) ||
        !key_check_organization(c, row_text(req, "organization_id"), team) ||
        !key_check_project(c, req, t->row, team) ||
        !key_check_alias(c, row_text(req, "key_alias"), t->hash))
        return NULL;
    return changes_of(c, req, t);
}

yyjson_mut_val *key_change(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    yyjson_mut_val *changes = check_changes(c, req, t), *now;

    if (!changes)
        return NULL;
    now = store_update(&c->store, TABLE_KEY, t->hash, changes);
    if (now)
        audit_updated(c, TABLE_KEY, t->hash, t->row, changes);
    return now;
}

/* By key, or by name alone. */
static bool find_to_update(struct call *c, struct key_target *t)
{
    struct store *s = &c->store;
    struct str key = in_text(c, "key"), alias = in_text(c, "key_alias");

    if (key.n)
        return key_find(c, key, true, t, "Key not found.");
    if (!alias.n) {
        refuse_as(c, 400, "bad_request_error", "key", "either key or key_alias must be provided");
        return false;
    }
    yyjson_mut_val *rows = key_lock_named(s, &alias, 1);
    *t = (struct key_target){.row = yyjson_mut_arr_get_first(rows)};
    if (!t->row || !key_is_visible(c, t)) {
        refuse_as(c, 404, "not_found_error", "key_alias",
                  "Key not found. No key with key_alias='" STR_FMT "'.", STR_ARG(alias));
        return false;
    }
    if (yyjson_mut_arr_size(rows) > 1) {
        refuse_as(c, 400, "bad_request_error", "key_alias",
                  "Multiple keys share key_alias='" STR_FMT
                  "', so it cannot be used as an identifier.",
                  STR_ARG(alias));
        return false;
    }
    t->hash = row_text(t->row, "token");
    return true;
}

void api_key_update(struct call *c)
{
    struct key_target t;
    yyjson_mut_val *req = row_copy(&c->store, c->in), *now, *out;

    if (!find_to_update(c, &t) || !key_check_may_update(c, req, &t))
        return;
    now = key_change(c, req, &t);
    if (!now)
        return;
    out = row_copy(&c->store, now);
    row_put_text(&c->store, out, "key", in_set(c, "key") ? in_text(c, "key") : t.hash);
    reply(c, out);
}

/* ---- regenerate ---- */

/* In the path, in the body, or behind the question mark. */
static struct str key_to_regenerate(struct call *c)
{
    struct str key = c->match.param[0].n ? in_param(c, 0) : in_text(c, "key");

    return key.n ? key : in_query(c, STR("key"));
}

static void deprecate(struct call *c, const yyjson_mut_val *req, struct str was, struct str now)
{
    struct str grace = row_text(req, "grace_period");
    struct duration d;

    if (!grace.n)
        grace = config_text(&c->d->config->file, SETTING_ENV_LITELLM_KEY_ROTATION_GRACE_PERIOD);
    if (duration_parse(grace, &d) && d.n)
        key_deprecate(&c->store, was, now, duration_after(d, clock_wall_us()));
}

static void regenerate(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "new_key");
    struct key_deletion who = key_deletion(c);

    if (!key_check_chosen(c, key, false))
        return;
    if (!key.p)
        key = key_random(c);
    yyjson_mut_val *changes = check_changes(c, req, t), *now;
    if (!changes)
        return;
    struct str hash = sha256_hex(&c->arena, key);
    if (store_get(s, TABLE_KEY, hash)) {
        refuse(c, 400, "This key exists already.");
        return;
    }
    key_put_routes(c, changes, req);
    key_put_name(c, changes, key);
    row_put_text(s, changes, "token", hash);
    key_archive(s, t->row, &who);
    deprecate(c, req, t->hash, hash);
    now = store_update(s, TABLE_KEY, t->hash, changes);
    if (!now)
        return;
    audit_write(c, AUDIT_ROTATED, TABLE_KEY, t->hash, t->row, changes);
    key_reply_generated(c, now, key, req);
}

void api_key_regenerate(struct call *c)
{
    yyjson_mut_val *req = row_copy(&c->store, c->in);
    struct str name = key_to_regenerate(c);
    struct key_target t;

    if (in_set(c, "new_master_key")) {
        refuse(c, 501, "The master key is that of the configuration; it is not changed here.");
        return;
    }
    if (!name.n) {
        refuse(c, 400, "No key passed in.");
        return;
    }
    t = (struct key_target){.hash = key_hash_of(&c->arena, name)};
    t.row = store_lock(&c->store, TABLE_KEY, t.hash);
    if (!t.row || !key_is_visible(c, &t)) {
        refuse(c, 404, "Key " STR_FMT " not found.", STR_ARG(key_shown(&c->arena, name)));
        return;
    }
    if (!key_may_modify(c, &t)) {
        refuse(c, 403, "You are not authorized to regenerate this key");
        return;
    }
    if (t.team && !key_check_member(c, t.team, STR("/key/regenerate")))
        return;
    if ((is_budget_change(req) || is_state_change(req, t.row)) && !key_check_may_update(c, req, &t))
        return;
    regenerate(c, req, &t);
}

/* ---- block, unblock, spend ---- */

static void set_blocked(struct call *c, bool blocked)
{
    struct store *s = &c->store;
    struct str key = in_text(c, "key");
    yyjson_mut_val *changes = row_new(s), *now;
    struct key_target t;

    if (!str_starts(key, STR("sk-")) && key.n != 64) {
        refuse_as(c, 400, "bad_request_error", "key", "Invalid key format.");
        return;
    }
    if (!key_find(c, key, true, &t, "Key not found."))
        return;
    if (!key_is_run(c, &t)) {
        refuse(c, 403,
               "Only proxy admins, team admins, or org admins can call " STR_FMT
               ". user_role=%s, user_id=" STR_FMT,
               STR_ARG(c->route->path), role_name(c->caller.role), STR_ARG(c->caller.user_id));
        return;
    }
    row_put_bool(s, changes, "blocked", blocked);
    now = store_update(s, TABLE_KEY, t.hash, changes);
    if (!now)
        return;
    audit_write(c, AUDIT_BLOCKED, TABLE_KEY, t.hash, t.row, changes);
    reply(c, now);
}

void api_key_block(struct call *c)
{
    set_blocked(c, true);
}

void api_key_unblock(struct call *c)
{
    set_blocked(c, false);
}

/* What may be spent: the lesser of the key's own and its budget row's limit. */
static bool limit_of(struct call *c, const yyjson_mut_val *row, double *ret)
{
    struct str id = row_text(row, "budget_id");
    yyjson_mut_val *budget = id.n ? store_get(&c->store, TABLE_BUDGET, id) : NULL;
    double of_budget, own;
    bool has_own = row_num(row, "max_budget", &own);
    bool has_budget = row_num(budget, "max_budget", &of_budget);

    if (has_own || has_budget)
        *ret = !has_own ? of_budget : !has_budget ? own : MIN(own, of_budget);
    return has_own || has_budget;
}

static bool check_reset(struct call *c, const yyjson_mut_val *row, double to, double spent)
{
    struct arena *a = &c->arena;
    double most;

    if (to < 0)
        refuse(c, 400, "reset_to must be >= 0");
    else if (to > spent)
        refuse(c, 400, "reset_to (" STR_FMT ") must be <= current spend (" STR_FMT ")",
               STR_ARG(python_float(a, to)), STR_ARG(python_float(a, spent)));
    else if (limit_of(c, row, &most) && to > most)
        refuse(c, 400, "reset_to (" STR_FMT ") must be <= budget (" STR_FMT ")",
               STR_ARG(python_float(a, to)), STR_ARG(python_float(a, most)));
    else
        return true;
    return false;
}

void api_key_reset_spend(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_param(c, 0);
    double to = in_num(c, "reset_to"), spent = 0;
    yyjson_mut_val *changes = row_new(s), *now, *out;
    struct key_target t = {.hash = key_hash_of(&c->arena, name)};

    t.row = store_lock(s, TABLE_KEY, t.hash);
    if (!t.row || !key_is_visible(c, &t)) {
        refuse(c, 404, "Key " STR_FMT " not found.", STR_ARG(key_shown(&c->arena, name)));
        return;
    }
    if (!key_is_run(c, &t)) {
        refuse(c, 403, "You must be a proxy admin or team admin to reset key spend");
        return;
    }
    (void)row_num(t.row, "spend", &spent);
    if (!check_reset(c, t.row, to, spent))
        return;
    row_put_num(s, changes, "spend", to);
    now = store_update(s, TABLE_KEY, t.hash, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_KEY, t.hash, t.row, changes);
    out = row_new(s);
    row_put_text(s, out, "key_hash", t.hash);
    row_put_num(s, out, "spend", to);
    row_put_num(s, out, "previous_spend", spent);
    row_put(s, out, "max_budget", row_val(now, "max_budget"));
    row_put(s, out, "budget_reset_at", row_val(now, "budget_reset_at"));
    reply(c, out);
}
