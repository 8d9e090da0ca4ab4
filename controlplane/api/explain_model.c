/*
 * GET /weir/explain/model/{name}: deployments of config.yaml and of the database that answer to a
 * name, and for each of their fields where it comes from. They are merged as data planes merge them
 * (api/merged.h). What a deployment leaves out comes from its credential, default_litellm_params,
 * then from what is known of its provider and its model.
 */

#include "common/gateway/config_file.h"
#include "common/gateway/glob.h"
#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "api/explain.h"
#include "api/merged.h"
#include "api/sealed.h"
#include "config.h"
#include "daemon.h"
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

static bool is_stored(const struct conf_node *n)
{
    return n->source != CONF_OF_FILE;
}

static struct str place_of(struct call *c, const struct conf_node *n)
{
    if (is_stored(n))
        return STR("database");
    return arena_printf(&c->arena, "%s:%u", n->file, n->key_line ? n->key_line : n->line);
}

static yyjson_mut_val *as_value(struct call *c, const struct conf_node *n)
{
    return n ? store_json(&c->store, conf_json(&c->arena, n)) : NULL;
}

/* ---- parameters ---- */

static const struct conf_node *credential_of(const struct config_file *f, struct str name)
{
    CONF_FOREACH(conf_get(f->root, STR("credential_list")), it)
    {
        const struct conf_node *own = conf_get(it, STR("credential_name"));
        if (own && str_eq(own->text, name))
            return it;
    }
    return NULL;
}

/* Where a parameter that the deployment itself does not give comes from. */
static struct str lender(struct call *c, const struct config_file *f, const struct config_entry *en,
                         const struct conf_node *it)
{
    const struct conf_node *name = conf_get(en->own, STR("litellm_credential_name"));
    const struct conf_node *credential = name ? credential_of(f, name->text) : NULL;
    struct str place = place_of(c, it);

    if (credential && conf_get(conf_get(credential, STR("credential_values")), it->key))
        return arena_printf(&c->arena, "credential " STR_FMT " (" STR_FMT ")", STR_ARG(name->text),
                            STR_ARG(place));
    return arena_printf(&c->arena, "default_litellm_params (" STR_FMT ")", STR_ARG(place));
}

/* As written; a variable that is not set decides nothing. */
static void put_params(struct call *c, yyjson_mut_val *list, const struct config_file *f,
                       const struct config_entry *en, const yyjson_mut_val *resolved)
{
    CONF_FOREACH(en->raw, it)
    {
        struct str name = arena_str(&c->arena, it->key);
        struct str from = conf_get(en->own, it->key) ? place_of(c, it) : lender(c, f, en, it);
        if (name.p)
            put_member(c, list, "litellm_params", name, as_value(c, it), from,
                       row_val(resolved, name.p) != NULL);
    }
}

static void put_info(struct call *c, yyjson_mut_val *list, const struct conf_node *info,
                     const yyjson_mut_val *resolved)
{
    CONF_FOREACH(info, it)
    {
        struct str name = arena_str(&c->arena, it->key);
        if (name.p)
            put_member(c, list, "model_info", name, as_value(c, it), place_of(c, it),
                       row_val(resolved, name.p) != NULL);
    }
}

/* ---- what a deployment leaves out ---- */

static yyjson_mut_val *text_value(struct call *c, struct str text)
{
    return yyjson_mut_strncpy(c->store.doc, text.n ? text.p : "", text.n);
}

/* The provider's own address and, where they may be asked, the variables its key is looked for in.
 */
static void put_provider(struct call *c, yyjson_mut_val *list, const struct provider *p,
                         const struct config_entry *en, const yyjson_mut_val *params)
{
    struct str from = arena_printf(&c->arena, "provider " STR_FMT, STR_ARG(p->id));
    struct str keys = p->keys, one, text = {0};

    if (!row_val(params, "api_base") && !row_val(params, "base_url") && p->base.n)
        put_member(c, list, "litellm_params", STR("api_base"), text_value(c, p->base), from, true);
    if (row_val(params, "api_key") || !en->has_env)
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
    struct str from = c->d->config->prices ? STR("price map") : STR("built-in price map");

    if (pusd != PRICE_UNKNOWN && !row_val(params, name) && !row_val(info, name))
        put_member(c, list, "model_info", str_of(name),
                   yyjson_mut_real(c->store.doc, (double)pusd / 1e12), from, true);
}

static void put_defaults(struct call *c, yyjson_mut_val *list, const struct config_entry *en,
                         const yyjson_mut_val *params, const yyjson_mut_val *info)
{
    struct str name, own = row_text(params, "custom_llm_provider");
    struct str base_model = row_text(info, "base_model");
    const struct provider *p =
        provider_split(row_text(params, "model"), row_text(params, "api_base"), &name);
    struct priced_model priced;

    if (own.n)
        p = provider_find(own);
    if (!p)
        return;
    put_provider(c, list, p, en, params);
    if (!price_map_find(c->d->config->prices, p->id, base_model.n ? base_model : name, &priced))
        return;
    put_price(c, list, "input_cost_per_token", priced.price.item[PRICE_INPUT], params, info);
    put_price(c, list, "output_cost_per_token", priced.price.item[PRICE_OUTPUT], params, info);
}

/* ---- deployments ---- */

static struct str text_of(const struct conf_node *map, const char *key)
{
    struct str text;

    return conf_text(NULL, conf_get(map, str_of(key)), &text) ? text : (struct str){0};
}

static struct str id_of(struct config_file *f, const struct conf_node *it, struct str model_name)
{
    struct str id = text_of(conf_get(it, STR("model_info")), "id");

    return id.n ? id
                : config_deployment_id(f, model_name, conf_get(it, STR("litellm_params")), STR(""));
}

/* Why it is left out: what the log has since `before`. */
static struct str reason(struct call *c, const struct conf_note *n)
{
    struct str text = {0};

    for (; n; n = n->next)
        text = arena_printf(&c->arena, STR_FMT "%s" STR_FMT, STR_ARG(text), text.n ? "; " : "",
                            STR_ARG(n->text));
    return text;
}

static void put_deployment(struct call *c, yyjson_mut_val *deployments, struct config_file *f,
                           const struct conf_node *it, struct str model_name)
{
    struct store *s = &c->store;
    struct conf_log log = {.arena = &f->arena};
    yyjson_mut_val *row = row_new(s), *fields = row_list(s), *params, *info;
    struct config_entry en;

    row_put_text(s, row, "id", id_of(f, it, model_name));
    row_put_text(s, row, "model_name", model_name);
    row_put_text(s, row, "source", is_stored(it) ? STR("database") : STR("config"));
    if (config_entry_read(&en, f, it, &log)) {
        params = as_value(c, en.params);
        info = as_value(c, en.info);
        put_params(c, fields, f, &en, params);
        put_info(c, fields, conf_get(it, STR("model_info")), info);
        put_defaults(c, fields, &en, params, info);
    } else {
        row_put_text(s, row, "left_out", reason(c, log.first));
    }
    row_put(s, row, "fields", fields);
    row_append(s, deployments, row);
}

static bool answers(struct config_file *f, const struct conf_node *it, struct str name,
                    struct str model_name)
{
    return glob_match(model_name, name) || str_eq(name, id_of(f, it, model_name)) ||
           str_eq(name, text_of(conf_get(it, STR("model_info")), "team_public_model_name"));
}

static void put_all(struct call *c, yyjson_mut_val *deployments, struct config_file *f,
                    struct str name)
{
    CONF_FOREACH(conf_get(f->root, STR("model_list")), it)
    {
        struct str model_name = text_of(it, "model_name");
        if (model_name.n && conf_get(it, STR("litellm_params")) && answers(f, it, name, model_name))
            put_deployment(c, deployments, f, it, model_name);
    }
}

/* What router_settings.model_group_alias makes of a name; empty: nothing. */
static struct str alias_of(struct call *c, struct str name)
{
    struct config_file f = {0};
    struct str alias = {0};

    merged_config(c, NULL, &f);
    const struct conf_node *to = conf_get(f.value[SETTING_ROUTER_model_group_alias], name);
    if (to && to->kind == CONF_MAP)
        to = conf_get(to, STR("model"));
    if (to && to->kind == CONF_STR)
        alias = arena_str(&c->arena, to->text);
    config_file_deinit(&f);
    return alias;
}

void api_explain_model(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_param(c, 0), alias = alias_of(c, name), wanted = alias.n ? alias : name;
    yyjson_mut_val *out = row_new(s), *deployments = row_list(s);
    struct config_file f = {0};

    merged_config(c, model_rows_for(s, wanted), &f);
    put_all(c, deployments, &f, wanted);
    config_file_deinit(&f);
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
