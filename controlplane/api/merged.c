#include "api/merged.h"

#include "common/gateway/config_file.h"

#include "api/sealed.h"
#include "config.h"
#include "daemon.h"
#include "store/credential.h"
#include "store/model.h"

struct list {
    struct config_row *rows;
    size_t n;
};

static struct str json(struct call *c, const yyjson_mut_val *v)
{
    return v ? row_json(&c->store, v) : (struct str){0};
}

static void add_settings(struct call *c, struct list *l, yyjson_mut_val *settings)
{
    yyjson_mut_val *row, *value;
    size_t i, n;

    yyjson_mut_arr_foreach(settings, i, n, row)
    {
        value = row_val(row, "param_value");
        if (str_eq(row_text(row, "param_name"), STR("environment_variables")) &&
            yyjson_mut_is_obj(value))
            value = values_open(c, value);
        l->rows[l->n++] = (struct config_row){
            .kind = ROW_SETTING, .name = row_text(row, "param_name"), .value = json(c, value)};
    }
}

static void add_credentials(struct call *c, struct list *l, yyjson_mut_val *credentials)
{
    yyjson_mut_val *row;
    size_t i, n;

    yyjson_mut_arr_foreach(credentials, i, n, row)
    {
        l->rows[l->n++] =
            (struct config_row){.kind = ROW_CREDENTIAL,
                                .name = row_text(row, "credential_name"),
                                .value = json(c, values_open(c, row_val(row, "credential_values"))),
                                .info = json(c, row_val(row, "credential_info"))};
    }
}

static void add_models(struct call *c, struct list *l, yyjson_mut_val *models)
{
    yyjson_mut_val *row;
    size_t i, n;

    yyjson_mut_arr_foreach(models, i, n, row)
    {
        l->rows[l->n++] =
            (struct config_row){.kind = ROW_MODEL,
                                .id = row_text(row, "model_id"),
                                .name = row_text(row, "model_name"),
                                .value = json(c, values_open(c, row_val(row, "litellm_params"))),
                                .info = json(c, row_val(row, "model_info")),
                                .blocked = row_bool(row, "blocked"),
                                .by_proxy_admin = model_is_by_admin(&c->store, row)};
    }
}

void merged_config(struct call *c, const yyjson_mut_val *models, struct config_file *ret)
{
    struct store *s = &c->store;
    yyjson_mut_val *of_models = (yyjson_mut_val *)(uintptr_t)models;
    yyjson_mut_val *settings =
        STORE_LIST(s, TABLE_CONFIG, "ORDER BY t.param_name LIMIT $1", DB_INT(1000));
    yyjson_mut_val *credentials = credential_all(s);
    size_t n = yyjson_mut_arr_size(settings) + yyjson_mut_arr_size(credentials) +
               yyjson_mut_arr_size(of_models);
    struct list l = {.rows = arena_zalloc(&c->arena, (n + 1) * sizeof *l.rows)};

    if (l.rows) {
        add_settings(c, &l, settings);
        add_credentials(c, &l, credentials);
        add_models(c, &l, of_models);
    }
    config_file_merge(ret, &c->d->config->file, l.rows, l.n);
}
