/* What users and teams are made with where nothing else is said: members of litellm_settings that
 * have routes of their own (litellm-controlplane.md 2.15). */

#include "api/fields.h"
#include "api/limits.h"
#include "api/settings_write.h"
#include "api/teams_priv.h"
#include "store/access_group.h"

static yyjson_mut_val *schema_of(struct store *s, enum field_list l)
{
    yyjson_mut_val *out = row_new(s), *properties = row_new(s), *one;
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l))) {
        static const char *const types[] = {
#define X(id, json) [FIELD_##id] = json,
            FIELD_TYPES(X)
#undef X
        };
        one = row_new(s);
        row_put_text(s, one, "description", str_of(f->sentence));
        row_put_text(s, one, "type", str_of(types[f->type]));
        row_put(s, properties, f->name.p, one);
    }
    row_put_text(s, out, "description", str_of(field_list_title(l)));
    row_put(s, out, "properties", properties);
    return out;
}

static void reply_defaults(struct call *c, enum setting_id id, enum field_list l)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *values = row_new(s), *now = setting_get(c, id), *v;
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l))) {
        v = row_val(now, f->name.p);
        if (!v && f->dflt)
            v = store_json(s, str_of(f->dflt));
        row_put(s, values, f->name.p, v);
    }
    row_put(s, out, "values", values);
    row_put(s, out, "field_schema", schema_of(s, l));
    reply(c, out);
}

void api_internal_user_settings(struct call *c)
{
    reply_defaults(c, SETTING_LITELLM_default_internal_user_params, FIELDS_USER_DEFAULTS);
}

void api_default_team_settings(struct call *c)
{
    reply_defaults(c, SETTING_LITELLM_default_team_params, FIELDS_TEAM_DEFAULTS);
}

/* ---- changed ---- */

/* The members sent and the list's defaults become the setting. */
static void write_defaults(struct call *c, enum setting_id id, const char *message)
{
    static const char section[] = "litellm_settings";
    struct store *s = &c->store;
    struct str key = setting_at(id)->key;
    struct field_walk w = {0};
    const struct field *f;
    yyjson_mut_val *value = row_new(s), *was, *now, *out = row_new(s);

    while ((f = field_next(&w, (enum field_list)c->route->input)))
        if (in_val(c, f->name.p))
            row_put(s, value, f->name.p, in_val(c, f->name.p));
    if (!settings_check_stored(c) || !setting_check_change(c, SECTION_LITELLM, key, value))
        return;
    was = settings_lock(c, section);
    if (!was)
        return;
    now = row_copy(s, was);
    row_put(s, now, key.p, value);
    (void)settings_write(c, section, was, now);
    row_put_text(s, out, "message", str_of(message));
    row_put_text(s, out, "status", STR("success"));
    row_put(s, out, "settings", value);
    reply(c, out);
}

static struct str team_id_of(const yyjson_mut_val *v)
{
    if (yyjson_mut_is_str((yyjson_mut_val *)(uintptr_t)v))
        return (struct str){yyjson_mut_get_str((yyjson_mut_val *)(uintptr_t)v),
                            yyjson_mut_get_len((yyjson_mut_val *)(uintptr_t)v)};
    return row_text(v, "team_id");
}

/* Ids, or objects with one: each once, and there. */
static bool check_teams(struct call *c, yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    yyjson_mut_val *seen = row_new(s), *v;
    struct str missing = {0};
    size_t i, n;

    yyjson_mut_arr_foreach(teams, i, n, v)
    {
        struct str id = team_id_of(v);
        if (!id.n) {
            refuse_value(c, "teams", "a team's id, or an object with team_id, is wanted");
            return false;
        }
        if (row_sent(seen, id.p)) {
            refuse(c, 400,
                   "Duplicate default team id(s): " STR_FMT ". List each default team only once.",
                   STR_ARG(id));
            return false;
        }
        row_put_null(s, seen, id.p);
        if (!store_get(s, TABLE_TEAM, id))
            missing = arena_printf(&c->arena, STR_FMT "%s" STR_FMT, STR_ARG(missing),
                                   missing.n ? ", " : "", STR_ARG(id));
    }
    if (missing.n)
        refuse(c, 400,
               "Team(s) not found: " STR_FMT ". A team must exist before it can be set as a "
               "default team for new users.",
               STR_ARG(missing));
    return !missing.n;
}

/* What a member may spend there is the team's to know. */
static void give_member_budgets(struct call *c, yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    yyjson_mut_val *v, *team, *req;
    size_t i, n;

    yyjson_mut_arr_foreach(teams, i, n, v)
    {
        double most;
        if (!row_num(v, "max_budget_in_team", &most))
            continue;
        team = store_lock(s, TABLE_TEAM, team_id_of(v));
        req = row_new(s);
        row_put_num(s, req, "team_member_budget", most);
        if (team)
            (void)team_change(c, team, req);
    }
}

static bool check_limits(struct call *c)
{
    return check_not_negative(c, c->in, "max_budget") &&
           limit_check_period(c, c->in, "budget_duration");
}

void api_update_internal_user_settings(struct call *c)
{
    yyjson_mut_val *teams = in_val(c, "teams"), *v;
    size_t i, n;

    if (!check_limits(c) || !check_teams(c, teams))
        return;
    yyjson_mut_arr_foreach(teams, i, n, v)
    {
        if (!check_not_negative(c, v, "max_budget_in_team"))
            return;
    }
    write_defaults(c, SETTING_LITELLM_default_internal_user_params,
                   "Internal user settings updated successfully");
    if (!c->is_refused)
        give_member_budgets(c, teams);
}

static bool check_organization(struct call *c)
{
    struct str id = in_text(c, "organization_id");

    if (!id.p || store_get(&c->store, TABLE_ORGANIZATION, id))
        return true;
    refuse(c, 400,
           "Organization not found: " STR_FMT ". An organization must exist before it can be set "
           "as the default organization for new teams.",
           STR_ARG(id));
    return false;
}

static bool check_groups(struct call *c)
{
    struct texts ids = store_texts(&c->store, in_val(c, "access_group_ids"));
    struct str missing = {0};

    for (size_t i = 0; i < ids.n; i++)
        if (!store_get(&c->store, TABLE_ACCESS_GROUP, ids.p[i]))
            missing = arena_printf(&c->arena, STR_FMT "%s" STR_FMT, STR_ARG(missing),
                                   missing.n ? ", " : "", STR_ARG(ids.p[i]));
    if (missing.n)
        refuse(c, 400,
               "Access group(s) not found: " STR_FMT ". Create the access group first or remove it "
               "from the default team settings.",
               STR_ARG(missing));
    return !missing.n;
}

void api_update_default_team_settings(struct call *c)
{
    if (check_limits(c) && check_not_negative(c, c->in, "tpm_limit") &&
        check_not_negative(c, c->in, "rpm_limit") &&
        team_check_permissions(c, in_val(c, "team_member_permissions")) && check_organization(c) &&
        check_groups(c))
        write_defaults(c, SETTING_LITELLM_default_team_params,
                       "Default team settings updated successfully");
}
