/*
 * GET /weir/explain/model/{name}: deployments of config.yaml and of the database that answer to a
 * name, and for each of their fields where it comes from. As in LiteLLM the two lists are one:
 * deployments of one name share its load, wherever they stand. What a deployment leaves out comes
 * from its credential, then from what is known of its provider and its model.
 */

#include "common/gateway/glob.h"
#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "api/explain.h"
#include "api/models_priv.h"
#include "api/sealed.h"
#include "config.h"
#include "daemon.h"
#include "store/credential.h"
#include "store/model.h"

/* A variable of the environment is shown by its name, which is no secret. */
static bool is_reference(yyjson_mut_val *v)
{
    struct str text = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};

    return yyjson_mut_is_str(v) && str_starts(text, STR("os.environ/"));
}

static void put_member(struct call *c, yyjson_mut_val *list, const char *map, struct str name,
                       yyjson_mut_val *v, struct str from, bool decides)
{
    struct store *s = &c->store;
    struct str field = arena_printf(&c->arena, "%s." STR_FMT, map, STR_ARG(name));
    struct explained e = {.value = v, .from = from, .decides = decides};

    if (!field.p || !v || yyjson_mut_is_null(v))
        return;
    e.field = field.p;
    if (value_is_secret(name) && !is_reference(v)) {
        yyjson_mut_val *secret = row_new(s);
        row_put(s, secret, name.p, v);
        e.value = row_val(values_mask(c, secret), name.p);
    }
    explain_put(c, list, &e);
}

static void put_map(struct call *c, yyjson_mut_val *list, const char *map, yyjson_mut_val *values,
                    struct str from)
{
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach(values, i, n, k, v)
    {
        struct str name = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        put_member(c, list, map, name, v, from, true);
    }
}

static struct str line_of(struct call *c, const struct conf_node *n)
{
    return arena_printf(&c->arena, "%s:%u", n->file, n->key_line ? n->key_line : n->line);
}

static yyjson_mut_val *as_value(struct call *c, const struct conf_node *n)
{
    return store_json(&c->store, conf_json(&c->arena, n));
}

/* As written, each with its line; a variable that is not set decides nothing. */
static void put_node(struct call *c, yyjson_mut_val *list, const char *map,
                     const struct conf_node *members, const yyjson_mut_val *resolved)
{
    CONF_FOREACH(members, it)
    {
        struct str name = arena_str(&c->arena, it->key);
        if (name.p)
            put_member(c, list, map, name, as_value(c, it), line_of(c, it),
                       row_val(resolved, name.p) != NULL);
    }
}

/* ---- what a deployment leaves out ---- */

static const struct conf_node *configured_credential(struct call *c, struct str name)
{
    CONF_FOREACH(conf_get(c->d->config->file.root, STR("credential_list")), it)
    {
        const struct conf_node *own = conf_get(it, STR("credential_name"));
        if (own && str_eq(own->text, name))
            return it;
    }
    return NULL;
}

static void put_credential(struct call *c, yyjson_mut_val *list, const yyjson_mut_val *params)
{
    struct store *s = &c->store;
    struct str name = row_text(params, "litellm_credential_name");
    const struct conf_node *node = name.n ? configured_credential(c, name) : NULL;
    yyjson_mut_val *row = name.n && !node ? credential_find(s, name, false) : NULL, *k, *v;
    yyjson_mut_val *values = node  ? as_value(c, conf_get(node, STR("credential_values")))
                             : row ? values_open(c, row_val(row, "credential_values"))
                                   : NULL;
    struct str from = arena_printf(&c->arena, "credential " STR_FMT " (" STR_FMT ")", STR_ARG(name),
                                   STR_ARG(node  ? line_of(c, node)
                                           : row ? STR("database")
                                                 : STR("not found")));
    size_t i, n;

    if (name.n && !values)
        put_member(c, list, "litellm_params", STR("litellm_credential_name"),
                   row_val(params, "litellm_credential_name"), from, false);
    yyjson_mut_obj_foreach(values, i, n, k, v)
    {
        struct str key = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        if (!row_val(params, key.p))
            put_member(c, list, "litellm_params", key, v, from, true);
    }
}

static yyjson_mut_val *text_value(struct call *c, struct str text)
{
    return yyjson_mut_strncpy(c->store.doc, text.n ? text.p : "", text.n);
}

/* The provider's own address and the variables its key is looked for in. */
static void put_provider(struct call *c, yyjson_mut_val *list, const struct provider *p,
                         const yyjson_mut_val *params)
{
    struct str from = arena_printf(&c->arena, "provider " STR_FMT, STR_ARG(p->id));
    struct str keys = p->keys, one, text = {0};

    if (row_text(params, "litellm_credential_name").n)
        return; /* it may say both */
    if (!row_val(params, "api_base") && !row_val(params, "base_url") && p->base.n)
        put_member(c, list, "litellm_params", STR("api_base"), text_value(c, p->base), from, true);
    if (row_val(params, "api_key"))
        return;
    while (provider_next_word(&keys, &one))
        text = arena_printf(&c->arena, STR_FMT "%sos.environ/" STR_FMT, STR_ARG(text),
                            text.n ? ", " : "", STR_ARG(one));
    if (text.n)
        put_member(c, list, "litellm_params", STR("api_key"), text_value(c, text), from, true);
}

/* Pico-dollars as dollars. */
static void put_price(struct call *c, yyjson_mut_val *list, const char *name, int64_t pusd,
                      const yyjson_mut_val *params, const yyjson_mut_val *info)
{
    if (pusd != PRICE_UNKNOWN && !row_val(params, name) && !row_val(info, name))
        put_member(c, list, "model_info", str_of(name),
                   yyjson_mut_real(c->store.doc, (double)pusd / 1e12), STR("built-in price map"),
                   true);
}

/* Everything that no place of the deployment says. */
static void put_defaults(struct call *c, yyjson_mut_val *list, const yyjson_mut_val *params,
                         const yyjson_mut_val *info)
{
    struct str name, own = row_text(params, "custom_llm_provider");
    struct str base_model = row_text(info, "base_model");
    const struct provider *p =
        provider_split(row_text(params, "model"), row_text(params, "api_base"), &name);
    struct priced_model priced;

    put_credential(c, list, params);
    if (own.n)
        p = provider_find(own);
    if (!p)
        return;
    put_provider(c, list, p, params);
    if (!price_map_find(c->d->config->prices, p->id, base_model.n ? base_model : name, &priced))
        return;
    put_price(c, list, "input_cost_per_token", priced.price.item[PRICE_INPUT], params, info);
    put_price(c, list, "output_cost_per_token", priced.price.item[PRICE_OUTPUT], params, info);
}

/* ---- deployments ---- */

static void put_deployment(struct call *c, yyjson_mut_val *deployments, struct str id,
                           struct str model_name, const char *source, const yyjson_mut_val *fields)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s);

    row_put_text(s, row, "id", id);
    row_put_text(s, row, "model_name", model_name);
    row_put_text(s, row, "source", str_of(source));
    row_put(s, row, "fields", fields);
    row_append(s, deployments, row);
}

static bool answers(struct str name, struct str model_name, struct str id)
{
    return str_eq(name, id) || glob_match(model_name, name);
}

/* config.models holds the entries that count, in order, with their ids. */
static void put_configured(struct call *c, yyjson_mut_val *deployments, struct str name)
{
    const struct conf_node *list = conf_get(c->d->config->file.root, STR("model_list"));
    yyjson_mut_val *pairs = store_json(&c->store, c->d->config->models);
    size_t at = 0;

    CONF_FOREACH(list, it)
    {
        const struct conf_node *params = conf_get(it, STR("litellm_params"));
        const struct conf_node *info = conf_get(it, STR("model_info"));
        const struct conf_node *own = conf_get(it, STR("model_name"));
        struct str model_name;
        if (!params || !conf_text(NULL, own, &model_name))
            continue;
        yyjson_mut_val *pair = yyjson_mut_arr_get(pairs, at++), *fields = row_list(&c->store);
        struct str id = {yyjson_mut_get_str(yyjson_mut_arr_get(pair, 0)),
                         yyjson_mut_get_len(yyjson_mut_arr_get(pair, 0))};
        if (!answers(name, model_name, id))
            continue;
        yyjson_mut_val *resolved = yyjson_mut_arr_get(pair, 1);
        yyjson_mut_val *p = row_val(resolved, "litellm_params"),
                       *m = row_val(resolved, "model_info");
        put_node(c, fields, "litellm_params", params, p);
        put_node(c, fields, "model_info", info, m);
        put_defaults(c, fields, p, m);
        put_deployment(c, deployments, id, model_name, "config", fields);
    }
}

static void put_stored(struct call *c, yyjson_mut_val *deployments, struct str name)
{
    yyjson_mut_val *row;
    size_t i, n;

    yyjson_mut_arr_foreach(model_rows(&c->store), i, n, row)
    {
        struct str id = row_text(row, "model_id"), model_name = row_text(row, "model_name");
        yyjson_mut_val *info = row_val(row, "model_info"), *fields = row_list(&c->store);
        if (!answers(name, model_name, id) &&
            !str_eq(row_text(info, "team_public_model_name"), name))
            continue;
        yyjson_mut_val *params = values_open(c, row_val(row, "litellm_params"));
        put_map(c, fields, "litellm_params", params, STR("database"));
        put_map(c, fields, "model_info", info, STR("database"));
        if (row_bool(row, "blocked"))
            explain_put(c, fields,
                        &(struct explained){.field = "blocked",
                                            .value = row_val(row, "blocked"),
                                            .from = STR("database"),
                                            .decides = true});
        put_defaults(c, fields, params, info);
        put_deployment(c, deployments, id, model_name, "database", fields);
    }
}

/* What router_settings.model_group_alias makes of a name; empty: nothing. */
static struct str alias_of(const struct call *c, struct str name)
{
    const struct conf_node *to =
        conf_get(config_map(c->d->config, SETTING_ROUTER_model_group_alias), name);

    if (to && to->kind == CONF_MAP)
        to = conf_get(to, STR("model"));
    return to && to->kind == CONF_STR ? to->text : (struct str){0};
}

void api_explain_model(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_param(c, 0), alias = alias_of(c, name);
    yyjson_mut_val *out = row_new(s), *deployments = row_list(s);

    put_configured(c, deployments, alias.n ? alias : name);
    put_stored(c, deployments, alias.n ? alias : name);
    if (!yyjson_mut_arr_size(deployments)) {
        refuse(c, 404, "No deployment answers to the model " STR_FMT, STR_ARG(name));
        return;
    }
    row_put_text(s, out, "model", name);
    if (alias.n)
        row_put_text(s, out, "alias_of", alias);
    row_put(s, out, "deployments", deployments);
    reply(c, out);
}
