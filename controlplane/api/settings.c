#include "api/settings.h"

#include "api/reply.h"
#include "config.h"
#include "daemon.h"

yyjson_mut_val *setting_of_file(struct call *c, enum setting_id id)
{
    const struct conf_node *n = c->d->config->file.value[id];

    return n && n->kind != CONF_NULL ? store_json(&c->store, conf_json(&c->arena, n)) : NULL;
}

yyjson_mut_val *settings_section(struct call *c, enum setting_section section)
{
    yyjson_mut_val *row, *value;

    if (c->settings[section])
        return c->settings[section];
    row = store_get(&c->store, TABLE_CONFIG, setting_section_name(section));
    value = row_val(row, "param_value");
    c->settings[section] = yyjson_mut_is_obj(value) ? value : row_new(&c->store);
    return c->settings[section];
}

bool settings_are_stored(struct call *c)
{
    return c->d->config->stores_models ||
           row_bool(settings_section(c, SECTION_GENERAL), "store_model_in_db");
}

bool settings_check_stored(struct call *c)
{
    if (settings_are_stored(c))
        return true;
    refuse(c, 500, "Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature.");
    return false;
}

yyjson_mut_val *setting_get(struct call *c, enum setting_id id)
{
    const struct setting *s = setting_at(id);
    yyjson_mut_val *v = setting_of_file(c, id);

    if (v || !settings_are_stored(c))
        return v;
    return row_val(settings_section(c, s->section), s->key.p);
}

yyjson_mut_val *setting_member(struct call *c, enum setting_id id, const char *name)
{
    return row_val(setting_get(c, id), name);
}

yyjson_mut_val *setting_names(struct call *c, const yyjson_mut_val *map, const char *name)
{
    yyjson_mut_val *v = row_val(map, name), *list;

    if (!v || yyjson_mut_is_arr(v))
        return v;
    list = row_list(&c->store);
    row_append(&c->store, list, v);
    return list;
}
