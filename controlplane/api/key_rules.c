/* Who may do what to keys, and what they may ask for (litellm-controlplane.md 3, 4). */

#include "common/clock.h"
#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/parts.h"
#include "api/settings.h"
#include "config.h"
#include "daemon.h"

enum { ALIAS_MAX = 255, KEY_MIN = 16 };

/* ---- who ---- */

bool key_find(struct call *c, struct str name, bool lock, struct key_target *ret,
              const char *missing)
{
    struct store *s = &c->store;

    *ret = (struct key_target){.hash = key_hash_of(s->arena, name)};
    ret->row = lock ? store_lock(s, TABLE_KEY, ret->hash) : store_get(s, TABLE_KEY, ret->hash);
    if (ret->row && key_is_visible(c, ret))
        return true;
    refuse_as(c, 404, "not_found_error", "key", "%s", missing);
    return false;
}

bool key_is_visible(struct call *c, struct key_target *t)
{
    struct str team_id = row_text(t->row, "team_id");
    const struct caller *who = &c->caller;

    if (team_id.n)
        t->team = store_get(&c->store, TABLE_TEAM, team_id);
    return rbac_sees_all(who) || str_eq(who->key_hash, row_text(t->row, "token")) ||
           key_is_own(c, t) || rbac_is_self(who, row_text(t->row, "created_by")) ||
           (t->team && (team_role_of(t->team, who->user_id).n || rbac_runs_team(who, t->team)));
}

bool key_is_run(const struct call *c, const struct key_target *t)
{
    return rbac_is_admin(&c->caller) || (t->team && rbac_runs_team(&c->caller, t->team));
}

bool key_check_member(struct call *c, const yyjson_mut_val *team, struct str route)
{
    struct str team_id = row_text(team, "team_id");

    if (rbac_runs_team(&c->caller, team) || team_permits(team, route))
        return true;
    refuse_as(
        c, 401, "team_member_permission_error", route.p,
        "Team member does not have permissions for endpoint: " STR_FMT
        ". You only have access to the following endpoints: " STR_FMT " for team " STR_FMT ".",
        STR_ARG(route), STR_ARG(python_list(&c->store, row_val(team, "team_member_permissions"))),
        STR_ARG(team_id));
    return false;
}

/* ---- values ---- */

bool key_check_values(struct call *c, const yyjson_mut_val *req)
{
    static const char *const numbers[] = {"max_budget", "soft_budget", "tpm_limit",
                                          "rpm_limit",  "tpd_limit",   "max_parallel_requests"};
    static const char *const durations[] = {"duration", "budget_duration", "rotation_interval",
                                            "grace_period"};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!check_not_negative(c, req, numbers[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(durations); i++)
        if (!limit_check_duration(c, req, durations[i]))
            return false;
    return limit_check_windows(c, req);
}

void key_fill_defaults(struct call *c, yyjson_mut_val *req)
{
    static const char *const names[] = {"max_budget", "user_id",         "team_id",
                                        "tpm_limit",  "rpm_limit",       "max_parallel_requests",
                                        "duration",   "budget_duration", "models",
                                        "metadata"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        yyjson_mut_val *dflt =
            setting_member(c, SETTING_LITELLM_default_key_generate_params, names[i]);
        yyjson_mut_val *v = row_val(req, names[i]);
        bool is_empty = yyjson_mut_is_ctn(v) && yyjson_mut_get_len(v) == 0;
        if (dflt && (!v || is_empty))
            row_put(&c->store, req, names[i], dflt);
    }
}

static bool over_bound(struct call *c, const char *name, struct str value, struct str most)
{
    refuse(c, 400,
           "%s is over max limit set in config - user_value=" STR_FMT "; max_value=" STR_FMT, name,
           STR_ARG(value), STR_ARG(most));
    return false;
}

bool key_check_upper_bounds(struct call *c, yyjson_mut_val *req, bool fill)
{
    static const struct {
        const char *name;
        bool is_duration;
    } rows[] = {{"max_budget", false}, {"max_parallel_requests", false},
                {"tpm_limit", false},  {"rpm_limit", false},
                {"duration", true},    {"budget_duration", true}};
    int64_t now = clock_wall_us();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_mut_val *bound =
            setting_member(c, SETTING_LITELLM_upperbound_key_generate_params, rows[i].name);
        struct str most_text = {yyjson_mut_get_str(bound), yyjson_mut_get_len(bound)};
        struct duration d, most;
        double value;
        if (!bound)
            continue;
        if (!row_val(req, rows[i].name)) {
            if (fill)
                row_put(&c->store, req, rows[i].name, bound);
        } else if (!rows[i].is_duration) {
            if (yyjson_mut_is_num(bound) && row_num(req, rows[i].name, &value) &&
                value > yyjson_mut_get_num(bound))
                return over_bound(c, rows[i].name, python_float(&c->arena, value),
                                  row_json(&c->store, bound));
        } else if (most_text.p && duration_parse(most_text, &most)) {
            struct str text = row_text(req, rows[i].name);
            if (str_eq(text, STR("-1")) || (duration_parse(text, &d) &&
                                            duration_seconds(d, now) > duration_seconds(most, now)))
                return over_bound(c, rows[i].name, text, most_text);
        }
    }
    return true;
}

/* ---- grants ---- */

static bool check_models(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *team)
{
    const struct caller *who = &c->caller;
    const yyjson_mut_val *wanted = row_val(req, "models");
    struct str name;

    if (team) {
        name = models_beyond(wanted, row_val(team, "models"));
        if (name.n && !str_eq(name, STR("all-team-models"))) {
            refuse_text(c, 403,
                        "Team=" STR_FMT " does not have access to model=" STR_FMT
                        ", so its keys cannot have it.",
                        STR_ARG(row_text(team, "team_id")), STR_ARG(name));
            return false;
        }
    } else if (who->user) {
        name = models_beyond(wanted, row_val(who->user, "models"));
        if (name.n) {
            refuse_text(c, 403,
                        "User=" STR_FMT " does not have access to model=" STR_FMT
                        ", so their keys cannot have it.",
                        STR_ARG(who->user_id), STR_ARG(name));
            return false;
        }
    }
    return true;
}

/* A caller's own limit bounds what it hands on; a dashboard's session key is no such limit. */
static bool check_budget(struct call *c, const yyjson_mut_val *req)
{
    const struct caller *who = &c->caller;
    yyjson_mut_val *windows = row_val(req, "budget_limits"), *w;
    double wanted, own;
    size_t i, n;

    if (!row_num(who->is_session ? who->user : who->key, "max_budget", &own))
        return true;
    if (row_num(req, "max_budget", &wanted) && wanted > own) {
        refuse(c, 400,
               "max_budget (" STR_FMT ") cannot exceed the caller's own max_budget (" STR_FMT ").",
               STR_ARG(python_float(&c->arena, wanted)), STR_ARG(python_float(&c->arena, own)));
        return false;
    }
    yyjson_mut_arr_foreach(windows, i, n, w)
    {
        if (row_num(w, "max_budget", &wanted) && wanted > own) {
            refuse(c, 400,
                   "budget_limits entry max_budget (" STR_FMT
                   ") cannot exceed the caller's own max_budget (" STR_FMT ").",
                   STR_ARG(python_float(&c->arena, wanted)), STR_ARG(python_float(&c->arena, own)));
            return false;
        }
    }
    return true;
}

static bool check_metadata(struct call *c, const yyjson_mut_val *req)
{
    if (!limit_check_metadata(c, req, NULL))
        return false;
    if (!row_bool(req, "throttle_on_budget_exceeded"))
        return true;
    refuse(c, 403, "Only proxy admins can enable throttle_on_budget_exceeded on a key.");
    return false;
}

/* Routes of a new key may be narrowed by its type; those of a key that has some stay. */
static bool check_routes(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row)
{
    yyjson_mut_val *wanted = row_sent(req, "allowed_routes"),
                   *held = row_val(row, "allowed_routes");
    bool is_narrow = yyjson_mut_arr_size(held) > 0;
    bool keeps = yyjson_mut_arr_size(wanted) == 0 ? !is_narrow : yyjson_mut_equals(wanted, held);
    struct str type = row_text(req, "key_type");

    if ((!wanted || keeps) && !str_eq(type, STR("management")) && !(type.n && is_narrow))
        return true;
    refuse(c, 403,
           "Only proxy admins can set `allowed_routes` on a key. Use `key_type` to pick a preset "
           "route bucket instead.");
    return false;
}

bool key_check_grant(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                     const yyjson_mut_val *team)
{
    return rbac_is_admin(&c->caller) || (check_models(c, req, team) && check_budget(c, req) &&
                                         check_metadata(c, req) && check_routes(c, req, row));
}

/* ---- making ---- */

static bool check_required(struct call *c, const yyjson_mut_val *req,
                           const yyjson_mut_val *settings)
{
    yyjson_mut_val *names = setting_names(c, settings, "required_params"), *name;
    size_t i, n;

    yyjson_mut_arr_foreach(names, i, n, name)
    {
        if (yyjson_mut_is_str(name) && !row_sent(req, yyjson_mut_get_str(name))) {
            refuse_text(c, 400, "Required param %s not in data", yyjson_mut_get_str(name));
            return false;
        }
    }
    return true;
}

/* `role` is among the names of a list of settings, or there is none. */
static bool allows(const yyjson_mut_val *list, struct str role)
{
    yyjson_mut_val *name;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, name)
    {
        if (yyjson_mut_equals_strn(name, role.p, role.n))
            return true;
    }
    return !list;
}

static void refuse_not_assigned(struct call *c, struct str user_id, struct str team_id)
{
    refuse_text(c, 400, "User=" STR_FMT " not assigned to team=" STR_FMT, STR_ARG(user_id),
                STR_ARG(team_id));
}

static bool check_team_member(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *team,
                              const yyjson_mut_val *settings, struct str route)
{
    yyjson_mut_val *roles = setting_names(c, settings, "allowed_team_member_roles");
    struct str user_id = row_text(req, "user_id"), team_id = row_text(team, "team_id");
    struct str role = team_role_of(team, c->caller.user_id);

    if (user_id.n && !team_role_of(team, user_id).n) {
        refuse_not_assigned(c, user_id, team_id);
        return false;
    }
    if (!role.n && !rbac_runs_team(&c->caller, team)) {
        refuse_not_assigned(c, c->caller.user_id, team_id);
        return false;
    }
    if (role.n && !allows(roles, role)) {
        refuse_text(c, 400,
                    "Team member role " STR_FMT " not in allowed_team_member_roles=" STR_FMT,
                    STR_ARG(role), STR_ARG(python_list(&c->store, roles)));
        return false;
    }
    return key_check_member(c, team, route);
}

bool key_check_may_generate(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *team,
                            struct str route)
{
    yyjson_mut_val *settings = setting_get(c, SETTING_LITELLM_key_generation_settings);
    yyjson_mut_val *for_team = row_val(settings, "team_key_generation");
    yyjson_mut_val *personal = row_val(settings, "personal_key_generation");
    yyjson_mut_val *roles = setting_names(c, personal, "allowed_user_roles");
    struct str team_id = row_text(req, "team_id"), user_id = row_text(req, "user_id");

    if (rbac_is_admin(&c->caller) && team_id.p && !team && yyjson_mut_is_obj(settings)) {
        refuse_text(c, 400, "Unable to find team object in database. Team ID: " STR_FMT,
                    STR_ARG(team_id));
        return false;
    }
    if (rbac_is_admin(&c->caller))
        return true;
    if (team_id.p && !team) { /* as of a team of others: its absence is no news either */
        refuse_not_assigned(c, c->caller.user_id, team_id);
        return false;
    }
    if (user_id.p && !rbac_is_self(&c->caller, user_id)) {
        refuse_text(c, 403,
                    "User can only create keys for themselves. Got user_id=" STR_FMT
                    ", Your ID=" STR_FMT,
                    STR_ARG(user_id), STR_ARG(c->caller.user_id));
        return false;
    }
    if (team)
        return check_team_member(c, req, team, for_team, route) && check_required(c, req, for_team);
    if (!allows(roles, str_of(role_name(c->caller.role)))) {
        refuse_text(c, 400,
                    "Personal key creation has been restricted by admin. Allowed roles=" STR_FMT
                    ". Your role=%s",
                    STR_ARG(python_list(&c->store, roles)), role_name(c->caller.role));
        return false;
    }
    return check_required(c, req, personal);
}

/* ---- names and keys ---- */

static bool is_alnum(char ch)
{
    ch = char_lower(ch);
    return (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9');
}

bool key_check_alias(struct call *c, struct str alias, struct str except)
{
    if (!alias.p)
        return true;
    for (size_t i = 0; i < alias.n; i++) {
        if ((unsigned char)alias.p[i] >= 0x20 && alias.p[i] != 0x7f)
            continue;
        refuse_as(c, 400, "bad_request_error", "key_alias",
                  "Invalid key_alias: must not contain control characters (such as tab or newline) "
                  "or a \"..\" path segment");
        return false;
    }
    if (yyjson_mut_is_true(setting_get(c, SETTING_LITELLM_enable_key_alias_format_validation)) &&
        (alias.n < 2 || alias.n > ALIAS_MAX || !is_alnum(alias.p[0]) ||
         !is_alnum(alias.p[alias.n - 1]))) {
        refuse_as(c, 400, "bad_request_error", "key_alias",
                  "Invalid key_alias format. Must be 2-255 characters, start and end with "
                  "alphanumeric.");
        return false;
    }
    if (!key_alias_is_taken(&c->store, alias, except))
        return true;
    refuse_as(c, 400, "bad_request_error", "key_alias",
              "Key with alias '" STR_FMT
              "' already exists. Unique key aliases across all keys are required.",
              STR_ARG(alias));
    return false;
}

bool key_check_chosen(struct call *c, struct str key, bool is_new)
{
    if (!key.p)
        return true;
    if (!str_starts(key, STR("sk-"))) {
        if (is_new)
            refuse(
                c, 400,
                "Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: " STR_FMT,
                STR_ARG(key_abbreviated(&c->arena, key)));
        else
            refuse(c, 400,
                   "New key must start with 'sk-'. This is to distinguish a key hash (used by "
                   "litellm for logging / internal logic) from the actual key.");
        return false;
    }
    if (key.n >= KEY_MIN)
        return true;
    if (is_new)
        refuse(c, 400,
               "Invalid key format. LiteLLM Virtual Key must be at least %d characters long.",
               KEY_MIN);
    else
        refuse(c, 400, "New key must be at least %d characters long.", KEY_MIN);
    return false;
}

/* ---- throughput, organization ---- */

/* The request's value, else that of the row it changes. */
static bool effective_num(const yyjson_mut_val *req, const yyjson_mut_val *row, const char *name,
                          double *ret)
{
    if (row_sent(req, name))
        return row_num(req, name, ret);
    return row_num(row, name, ret);
}

static bool is_guaranteed(const yyjson_mut_val *req, const yyjson_mut_val *row, const char *name)
{
    struct str type = row_text(req, name);

    if (!type.n)
        type = row_text(row_val(row, "metadata"), name);
    return str_eq(type, STR("guaranteed_throughput"));
}

static bool check_sum(struct call *c, const char *kind, const char *scope, bool has_own, double own,
                      int64_t promised, bool has_most, double most)
{
    if (!has_own || !has_most || own + (double)promised <= most)
        return true;
    refuse_text(c, 400,
                "Allocated %s limit=%lld + Key %s limit=%.0f is greater than %s %s limit=%.0f",
                kind, (long long)promised, kind, own, scope, kind, most);
    return false;
}

bool key_check_throughput(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                          const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str token = row ? row_text(row, "token") : STR("");
    struct str org_id = row_text(req, "organization_id");
    bool rpm = is_guaranteed(req, row, "rpm_limit_type");
    bool tpm = is_guaranteed(req, row, "tpm_limit_type");
    double own_rpm = 0, own_tpm = 0, most = 0;

    if (!rpm && !tpm)
        return true;
    bool has_rpm = rpm && effective_num(req, row, "rpm_limit", &own_rpm);
    bool has_tpm = tpm && effective_num(req, row, "tpm_limit", &own_tpm);
    if (team) {
        struct key_promise p = key_promised_in_team(s, row_text(team, "team_id"), token);
        bool has = row_num(team, "tpm_limit", &most);
        if (!check_sum(c, "TPM", "team", has_tpm, own_tpm, p.tpm, has, most))
            return false;
        has = row_num(team, "rpm_limit", &most);
        if (!check_sum(c, "RPM", "team", has_rpm, own_rpm, p.rpm, has, most))
            return false;
    }
    if (!org_id.n)
        org_id = row_text(row, "organization_id");
    yyjson_mut_val *org = org_id.n ? store_get(s, TABLE_ORGANIZATION, org_id) : NULL;
    yyjson_mut_val *budget = org ? store_get(s, TABLE_BUDGET, row_text(org, "budget_id")) : NULL;
    if (!budget)
        return true;
    struct key_promise p = key_promised_in_org(s, org_id, token);
    bool has = row_num(budget, "tpm_limit", &most);
    if (!check_sum(c, "TPM", "organization", has_tpm, own_tpm, p.tpm, has, most))
        return false;
    has = row_num(budget, "rpm_limit", &most);
    return check_sum(c, "RPM", "organization", has_rpm, own_rpm, p.rpm, has, most);
}

bool key_check_organization(struct call *c, struct str organization_id, const yyjson_mut_val *team)
{
    bool inherited = team && str_eq(row_text(team, "organization_id"), organization_id);
    yyjson_mut_val *m;
    size_t i, n;
    bool is_member = false;

    if (!organization_id.n)
        return true;
    yyjson_mut_arr_foreach(c->caller.orgs, i, n, m)
    {
        is_member |= str_eq(row_text(m, "organization_id"), organization_id);
    }
    if ((rbac_is_admin(&c->caller) || inherited || is_member) &&
        store_get(&c->store, TABLE_ORGANIZATION, organization_id))
        return true;
    refuse_text(c, 400, "Organization not found for organization_id=" STR_FMT,
                STR_ARG(organization_id));
    return false;
}
