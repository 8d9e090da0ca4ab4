/* The configuration's part that the database holds (litellm-controlplane.md 2.15, 10.4). */

#include "api/reply.h"
#include "api/sealed.h"
#include "api/settings_write.h"
#include "config.h"
#include "daemon.h"

static const char general[] = "general_settings";

/* What /config/list offers, as forms name its types. */
static const struct {
    enum setting_id id;
    const char *type;
} offered[] = {
    {SETTING_GENERAL_max_parallel_requests, "Integer"},
    {SETTING_GENERAL_global_max_parallel_requests, "Integer"},
    {SETTING_GENERAL_max_request_size_mb, "Integer"},
    {SETTING_GENERAL_max_response_size_mb, "Integer"},
    {SETTING_GENERAL_pass_through_endpoints, "PydanticModel"},
    {SETTING_GENERAL_store_model_in_db, "Boolean"},
    {SETTING_GENERAL_store_prompts_in_spend_logs, "Boolean"},
    {SETTING_GENERAL_maximum_spend_logs_retention_period, "String"},
    {SETTING_GENERAL_mcp_internal_ip_ranges, "List"},
    {SETTING_GENERAL_mcp_trusted_proxy_ranges, "List"},
    {SETTING_GENERAL_mcp_xff_num_trusted_hops, "Integer"},
    {SETTING_GENERAL_always_include_stream_usage, "Boolean"},
    {SETTING_GENERAL_forward_client_headers_to_llm_api, "Boolean"},
    {SETTING_GENERAL_mcp_required_fields, "List"},
    {SETTING_GENERAL_apply_user_budget_to_team_keys, "Boolean"},
};

/* Names that processes read before they have a database. */
static const struct str of_process[] = {
    STR_INIT("LITELLM_SALT_KEY"),
    STR_INIT("LITELLM_MASTER_KEY"),
    STR_INIT("DATABASE_URL"),
    STR_INIT("STORE_MODEL_IN_DB"),
};

static struct str text_of(const yyjson_mut_val *v)
{
    return (struct str){yyjson_mut_get_str((yyjson_mut_val *)(uintptr_t)v),
                        yyjson_mut_get_len((yyjson_mut_val *)(uintptr_t)v)};
}

/* ---- update ---- */

/* A secret sent back masked stays what it was. */
static const yyjson_mut_val *meant(const yyjson_mut_val *was, struct str key,
                                   const yyjson_mut_val *sent)
{
    struct str text = text_of(sent);

    if (text.p && value_is_secret(key) && value_is_masked(text) && row_val(was, key.p))
        return row_val(was, key.p);
    return sent;
}

/* The callbacks there are and those sent, in lower case, each once. */
static yyjson_mut_val *callbacks_joined(struct call *c, const yyjson_mut_val *was,
                                        const yyjson_mut_val *sent)
{
    struct store *s = &c->store;
    yyjson_mut_val *joined = row_new(s), *list = row_list(s), *v;
    const yyjson_mut_val *both[] = {was, sent};
    size_t i, n;

    for (size_t k = 0; k < ARRAY_LEN(both); k++)
        yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)both[k], i, n, v)
        {
            struct str text = text_of(v);
            char *lower = text.p ? arena_alloc(&c->arena, text.n + 1) : NULL;
            if (!lower)
                continue;
            for (size_t x = 0; x <= text.n; x++)
                lower[x] = char_lower(text.p[x]);
            if (row_sent(joined, lower))
                continue;
            row_put_null(s, joined, lower);
            row_append_text(s, list, (struct str){lower, text.n});
        }
    return list;
}

/* Alerts that have somewhere to go are wanted. */
static void turn_alerts_on(struct store *s, yyjson_mut_val *now)
{
    yyjson_mut_val *alerting =
        row_val(now, "alerting") ? row_copy(s, row_val(now, "alerting")) : row_list(s);

    if (yyjson_mut_is_arr(alerting) && !row_has(now, "alerting", STR("slack")))
        row_append_text(s, alerting, STR("slack"));
    row_put(s, now, "alerting", alerting);
}

/* False with an answer. */
static bool change_section(struct call *c, enum setting_section section)
{
    struct store *s = &c->store;
    struct str name = setting_section_name(section);
    yyjson_mut_val *sent = in_val(c, name.p), *was, *now, *k, *v;
    size_t i, n;

    if (!sent)
        return true;
    yyjson_mut_obj_foreach(sent, i, n, k, v)
    {
        if (!yyjson_mut_is_null(v) && !setting_check_change(c, section, text_of(k), v))
            return false;
    }
    was = settings_lock(c, name.p);
    if (!was)
        return false;
    now = row_copy(s, was);
    yyjson_mut_obj_foreach(sent, i, n, k, v)
    {
        struct str key = text_of(k);
        if (yyjson_mut_is_null(v))
            continue;
        if (section == SECTION_LITELLM && str_eq(key, STR("success_callback")))
            row_put(s, now, key.p, callbacks_joined(c, row_val(was, key.p), v));
        else
            row_put(s, now, key.p, meant(was, key, v));
        if (section == SECTION_GENERAL && str_eq(key, STR("alert_to_webhook_url")))
            turn_alerts_on(s, now);
    }
    (void)settings_write(c, name.p, was, now);
    return true;
}

static bool is_variable(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char ch = char_lower(name.p[i]);
        if (!((ch >= 'a' && ch <= 'z') || ch == '_' || (i && ch >= '0' && ch <= '9')))
            return false;
    }
    return name.n > 0;
}

static bool check_variable(struct call *c, struct str name, const yyjson_mut_val *value)
{
    if (!is_variable(name)) {
        refuse(c, 400, "environment_variables: letters, digits and _ make a name.");
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(of_process); i++)
        if (str_eq(name, of_process[i])) {
            refuse(c, 400, STR_FMT " is read when a process starts: set it in the environment.",
                   STR_ARG(name));
            return false;
        }
    if (yyjson_mut_is_str((yyjson_mut_val *)(uintptr_t)value))
        return true;
    refuse(c, 400, "environment_variables." STR_FMT ": a text is wanted.", STR_ARG(name));
    return false;
}

/* Sealed, each by itself; one that comes back as it was read is sealed already. */
static bool change_variables(struct call *c)
{
    static const char name[] = "environment_variables";
    struct store *s = &c->store;
    yyjson_mut_val *sent = in_val(c, name), *plain = row_new(s), *was, *now, *sealed, *k, *v;
    struct str opened;
    size_t i, n;

    if (!sent)
        return true;
    was = settings_lock(c, name);
    if (!was)
        return false;
    now = row_copy(s, was);
    yyjson_mut_obj_foreach(sent, i, n, k, v)
    {
        if (yyjson_mut_is_null(v))
            continue;
        if (!check_variable(c, text_of(k), v))
            return false;
        bool is_sealed = seal_open(&c->d->config->seal, text_of(v), &c->arena, &opened);
        row_put(s, is_sealed ? now : plain, yyjson_mut_get_str(k), v);
    }
    sealed = values_seal(c, plain);
    if (!sealed)
        return false;
    yyjson_mut_obj_foreach(sealed, i, n, k, v)
    {
        row_put(s, now, yyjson_mut_get_str(k), v);
    }
    (void)settings_write(c, name, was, now);
    return true;
}

void api_config_update(struct call *c)
{
    static const enum setting_section sections[] = {SECTION_GENERAL, SECTION_LITELLM,
                                                    SECTION_ROUTER};
    yyjson_mut_val *out = row_new(&c->store);

    if (!settings_check_stored(c) || !change_variables(c))
        return;
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (!change_section(c, sections[i]))
            return;
    c->is_unchanged = !c->n_audits;
    row_put_text(&c->store, out, "message", STR("Config updated successfully"));
    reply(c, out);
}

/* ---- one field ---- */

static void reply_row(struct call *c, const yyjson_mut_val *row)
{
    yyjson_mut_val *out = row_copy(&c->store, row);

    row_put(&c->store, out, "param_value",
            settings_masked(c, general, row_val(row, "param_value")));
    reply(c, out);
}

void api_config_field_update(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "field_name");
    yyjson_mut_val *value = in_val(c, "field_value"), *was, *now;
    /* what turns the database's settings on is one of them */
    bool is_switch = str_eq(name, setting_at(SETTING_GENERAL_store_model_in_db)->key);

    if (!value)
        value = yyjson_mut_null(s->doc);
    if (!setting_check_change(c, SECTION_GENERAL, name, value) ||
        (!is_switch && !settings_check_stored(c)))
        return;
    was = settings_lock(c, general);
    if (!was)
        return;
    now = row_copy(s, was);
    row_put(s, now, name.p, meant(was, name, value));
    now = settings_write(c, general, was, now);
    if (now)
        reply_row(c, now);
}

void api_config_field_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "field_name");
    yyjson_mut_val *row = store_lock(s, TABLE_CONFIG, str_of(general)), *was, *now;

    was = row_val(row, "param_value");
    if (was && !yyjson_mut_is_obj(was)) {
        refuse(c, 400,
               "general_settings is stored in the database as something other than a JSON object, "
               "so no field can be removed from it");
        return;
    }
    if (setting_find(SECTION_GENERAL, name) == SETTINGS && !row_sent(was, name.p)) {
        refuse(c, 400, "Invalid field=" STR_FMT " passed in.", STR_ARG(name));
        return;
    }
    if (setting_is_of_file(c, SECTION_GENERAL, name)) {
        refuse_setting_of_file(c, SECTION_GENERAL, name);
        return;
    }
    if (!was) {
        refuse(c, 400, "Field name=" STR_FMT " not in config", STR_ARG(name));
        return;
    }
    now = row_copy(s, was);
    (void)yyjson_mut_obj_remove_keyn(now, name.p, name.n);
    now = settings_write(c, general, was, now);
    if (now)
        reply_row(c, now);
}

/* ---- shown ---- */

static const char *source_of(struct call *c, enum setting_id id)
{
    struct str key = setting_at(id)->key;

    if (setting_is_of_file(c, SECTION_GENERAL, key))
        return "config";
    return row_val(settings_section(c, SECTION_GENERAL), key.p) ? "db" : "unset";
}

/* field_name, field_value, source, editable */
static yyjson_mut_val *field_shown(struct call *c, enum setting_id id)
{
    struct store *s = &c->store;
    struct str key = setting_at(id)->key;
    const char *source = source_of(c, id);
    yyjson_mut_val *out = row_new(s), *one = row_new(s), *of_file = setting_of_file(c, id);

    row_put(s, one, key.p,
            of_file ? of_file : row_val(settings_section(c, SECTION_GENERAL), key.p));
    row_put_text(s, out, "field_name", key);
    row_put(s, out, "field_value", row_val(settings_masked(c, general, one), key.p));
    row_put_text(s, out, "source", str_of(source));
    row_put_bool(s, out, "editable", !str_eq(str_of(source), STR("config")));
    return out;
}

void api_config_field_info(struct call *c)
{
    struct str name = in_text(c, "field_name");
    enum setting_id id = setting_find(SECTION_GENERAL, name);
    yyjson_mut_val *field;

    if (id == SETTINGS) {
        refuse(c, 400, "Invalid field=" STR_FMT " passed in.", STR_ARG(name));
        return;
    }
    field = field_shown(c, id);
    if (row_val(field, "field_value"))
        reply(c, field);
    else
        refuse(c, 400, "Field name=" STR_FMT " is not set", STR_ARG(name));
}

void api_config_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_list(s), *one, *dflt;

    for (size_t i = 0; i < ARRAY_LEN(offered); i++) {
        const struct setting *row = setting_at(offered[i].id);
        one = field_shown(c, offered[i].id);
        struct str source = row_text(one, "source");
        dflt = store_json(s, row->dflt);
        row_put_text(s, one, "field_type", str_of(offered[i].type));
        row_put_text(s, one, "field_description", str_of(row->sentence));
        if (str_eq(source, STR("unset")))
            row_put_null(s, one, "stored_in_db");
        else
            row_put_bool(s, one, "stored_in_db", str_eq(source, STR("db")));
        if (!dflt && row->dflt.n)
            row_put_text(s, one, "field_default_value", row->dflt);
        else
            row_put(s, one, "field_default_value", dflt);
        row_put_bool(s, one, "premium_field", false);
        row_put_null(s, one, "nested_fields");
        row_put_null(s, one, "field_options");
        row_put_null(s, one, "field_tab");
        row_append(s, list, one);
    }
    reply(c, list);
}
