#include "api/settings_write.h"

#include "api/reply.h"
#include "api/sealed.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"

/* Read when a process starts, and before it has a database. */
static const enum setting_id of_start[] = {
    SETTING_GENERAL_master_key,
    SETTING_GENERAL_database_url,
    SETTING_GENERAL_database_connection_pool_limit,
    SETTING_GENERAL_encryption_algorithm,
    SETTING_GENERAL_litellm_key_header_name,
};

/* Maps whose every value is a secret, whatever its name. */
static const char *const secret_maps[] = {"alert_to_webhook_url", "database_url"};

yyjson_mut_val *settings_lock(struct call *c, const char *section)
{
    struct store *s = &c->store;
    struct str name = str_of(section);
    yyjson_mut_val *row = store_lock(s, TABLE_CONFIG, name), *value;

    if (!row && tx_ok(&s->tx)) {
        row = row_new(s);
        row_put_text(s, row, "param_name", name);
        row_put(s, row, "param_value", row_new(s));
        (void)store_insert(s, TABLE_CONFIG, row); /* or somebody else did meanwhile */
        row = store_lock(s, TABLE_CONFIG, name);
    }
    value = row_val(row, "param_value");
    if (row && value && !yyjson_mut_is_obj(value)) {
        refuse(c, 400,
               "%s is stored in the database as something other than a JSON object, so no field "
               "can be changed in it",
               section);
        return NULL;
    }
    return value ? value : row_new(s);
}

static yyjson_mut_val *all_masked(struct store *s, const yyjson_mut_val *map)
{
    yyjson_mut_val *out = row_new(s), *k, *v;
    size_t i, n;

    if (!yyjson_mut_is_obj((yyjson_mut_val *)(uintptr_t)map))
        return yyjson_mut_str(s->doc, "********");
    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)map, i, n, k, v)
    {
        row_put(s, out, yyjson_mut_get_str(k), yyjson_mut_str(s->doc, "********"));
    }
    return out;
}

yyjson_mut_val *settings_masked(struct call *c, const char *section, const yyjson_mut_val *map)
{
    struct store *s = &c->store;
    yyjson_mut_val *out;

    if (str_eq(str_of(section), STR("environment_variables")))
        return all_masked(s, map);
    out = values_mask(c, map);
    for (size_t i = 0; i < ARRAY_LEN(secret_maps); i++)
        if (row_val(out, secret_maps[i]))
            row_put(s, out, secret_maps[i], all_masked(s, row_val(map, secret_maps[i])));
    return out;
}

yyjson_mut_val *settings_write(struct call *c, const char *section, const yyjson_mut_val *was,
                               const yyjson_mut_val *now)
{
    struct store *s = &c->store;
    yyjson_mut_val *changes = row_new(s), *row;

    row_put(s, changes, "param_value", now);
    row = store_update(s, TABLE_CONFIG, str_of(section), changes);
    audit_updated(c, TABLE_CONFIG, str_of(section), settings_masked(c, section, was),
                  settings_masked(c, section, now));
    memset(c->settings, 0, sizeof c->settings); /* what was read is no longer true */
    return row;
}

bool setting_is_of_file(struct call *c, enum setting_section section, struct str key)
{
    enum setting_id id = setting_find(section, key);

    return id != SETTINGS && c->d->config->file.value[id];
}

void refuse_setting_of_file(struct call *c, enum setting_section section, struct str key)
{
    bool shadowed = row_val(settings_section(c, section), key.p) != NULL;

    refuse(c, 400,
           STR_FMT " key '" STR_FMT "' is set in the config file and cannot be changed here."
                   "%s" STR_FMT "%s",
           STR_ARG(setting_section_name(section)), STR_ARG(key),
           shadowed ? " The value already stored in the database for " : "",
           STR_ARG(shadowed ? key : STR("")),
           shadowed ? " is ignored and will never be applied." : "");
}

/* As Python names the type of a value. */
static const char *python_type(const yyjson_mut_val *value)
{
    yyjson_mut_val *v = (yyjson_mut_val *)(uintptr_t)value;

    return yyjson_mut_is_str(v)    ? "str"
           : yyjson_mut_is_bool(v) ? "bool"
           : yyjson_mut_is_int(v)  ? "int"
           : yyjson_mut_is_real(v) ? "float"
           : yyjson_mut_is_arr(v)  ? "list"
           : yyjson_mut_is_obj(v)  ? "dict"
                                   : "NoneType";
}

/* By the table's own rules, which read a tree: JSON is YAML. */
static bool check_value(struct call *c, enum setting_id id, const yyjson_mut_val *value)
{
    const struct setting *row = setting_at(id);
    struct conf_log log = {.arena = &c->arena};
    const struct conf_node *n;
    struct err e;

    if (conf_parse(&n, &c->arena, "value", row_json(&c->store, value), &e)) {
        refuse(c, 400, "Invalid value of field=" STR_FMT ": it is too deep, or too large.",
               STR_ARG(row->key));
        return false;
    }
    if (row->verdict == VERDICT_HONOURED && !setting_check(row, n, &log)) {
        refuse(c, 400, "Invalid type of field value=<class '%s'> passed in.", python_type(value));
        return false;
    }
    if (!setting_is_default(row, n) && setting_enforces(row, n)) {
        refuse(c, 400, STR_FMT " cannot be set: %s", STR_ARG(row->key), row->sentence);
        return false;
    }
    return true;
}

bool setting_check_change(struct call *c, enum setting_section section, struct str key,
                          const yyjson_mut_val *value)
{
    enum setting_id id = setting_find(section, key);
    yyjson_mut_val *of_file;

    if (id == SETTINGS && section == SECTION_ROUTER) {
        refuse(c, 400, "Unsupported router settings: " STR_FMT " are not valid router settings",
               STR_ARG(key));
        return false;
    }
    if (id == SETTINGS) {
        refuse(c, 400, "Invalid field=" STR_FMT " passed in.", STR_ARG(key));
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(of_start); i++)
        if (id == of_start[i]) {
            refuse(c, 400,
                   STR_FMT " is read when a process starts: set it in the config file or the "
                           "environment.",
                   STR_ARG(key));
            return false;
        }
    of_file = setting_of_file(c, id);
    if (setting_is_of_file(c, section, key) &&
        !yyjson_mut_equals(of_file, (yyjson_mut_val *)(uintptr_t)value)) {
        refuse_setting_of_file(c, section, key);
        return false;
    }
    return check_value(c, id, value);
}
