/*
 * An entry of model_list with its credential's values and default_litellm_params merged under its
 * own parameters, and os.environ/NAME replaced where whoever wrote it may name it.
 */

#include "common/gateway/config_file.h"
#include "common/gateway/provider.h"

static struct str text_of(const struct conf_node *map, const char *key)
{
    struct str text;

    return conf_text(NULL, conf_get(map, str_of(key)), &text) ? text : (struct str){0};
}

static struct str base_of(const struct conf_node *params)
{
    struct str base = text_of(params, "api_base");

    return base.n ? base : text_of(params, "base_url");
}

/* ---- whose origin it is ---- */

/* Hosts of providers that give each customer a name of its own. */
static const struct {
    struct str suffix, providers;
} own_hosts[] = {
    {STR_INIT(".openai.azure.com"), STR_INIT("azure|azure_ai|azure_text")},
    {STR_INIT(".cognitiveservices.azure.com"), STR_INIT("azure|azure_ai|azure_text")},
    {STR_INIT(".services.ai.azure.com"), STR_INIT("azure|azure_ai|azure_text")},
    {STR_INIT(".models.ai.azure.com"), STR_INIT("azure_ai")},
    {STR_INIT(".inference.ai.azure.com"), STR_INIT("azure_ai")},
    {STR_INIT(".amazonaws.com"), STR_INIT("bedrock|bedrock_converse|sagemaker|sagemaker_chat")},
    {STR_INIT(".googleapis.com"), STR_INIT("gemini|vertex_ai")},
    {STR_INIT(".cloud.databricks.com"), STR_INIT("databricks")},
    {STR_INIT(".azuredatabricks.net"), STR_INIT("databricks")},
    {STR_INIT(".snowflakecomputing.com"), STR_INIT("snowflake")},
    {STR_INIT(".ml.cloud.ibm.com"), STR_INIT("watsonx|watsonx_text")},
};

/* The host of an https URL that is read in one way only; empty: it is none. */
static struct str host_of(struct str url)
{
    const struct str scheme = STR("https://");
    struct str host;

    if (!str_starts(url, scheme) || !str_is_printable(url))
        return (struct str){0};
    host = str_from(url, scheme.n);
    for (size_t i = 0; i < host.n; i++) {
        if (strchr("@\\ ", host.p[i]))
            return (struct str){0};
        if (strchr("/?#", host.p[i]))
            host.n = i;
    }
    (void)str_cut(host, ':', &host, &(struct str){0}); /* a port; an IPv6 address is nobody's */
    return host;
}

static bool is_own_host(const struct provider *p, struct str host)
{
    for (size_t i = 0; i < ARRAY_LEN(own_hosts); i++)
        if (host.n > own_hosts[i].suffix.n &&
            str_ieq(str_from(host, host.n - own_hosts[i].suffix.n), own_hosts[i].suffix) &&
            str_is_among(p->id, own_hosts[i].providers))
            return true;
    return false;
}

static bool has_word(struct str words, struct str word)
{
    struct str one;

    while (provider_next_word(&words, &one))
        if (str_eq(one, word))
            return true;
    return false;
}

/* The base is the provider's: none is given, the operator's own variable, or its public host. */
static bool is_own_origin(struct config_file *f, const struct provider *p, struct str base)
{
    struct str host, words = p->bases, one, url;

    if (base.n == 0)
        return true;
    if (str_starts(base, CONFIG_ENV))
        return has_word(p->bases, str_from(base, CONFIG_ENV.n));
    host = host_of(base);
    if (host.n == 0)
        return false;
    while (provider_next_word(&words, &one)) {
        struct str mine = host_of(config_env(f, one));
        if (mine.n && str_ieq(mine, host))
            return true;
    }
    url = arena_printf(&f->arena, "https://" STR_FMT "/", STR_ARG(host));
    return str_ieq(host_of(p->base), host) || provider_of_base(url) == p || is_own_host(p, host);
}

/* As it is written: what a prefix is rerouted to has other variables. */
static const struct provider *provider_of(const struct conf_node *params)
{
    struct str model = text_of(params, "model"), prefix, name;
    struct str custom = text_of(params, "custom_llm_provider");
    const struct provider *p = NULL;

    if (custom.n)
        return provider_find(custom);
    if (!model.n)
        return NULL;
    if (str_cut(model, '/', &prefix, &name))
        p = provider_find(prefix);
    return p ? p : provider_split(model, (struct str){0}, &name);
}

/* ---- what is merged ---- */

static const struct conf_node *credential(struct config_file *f, const struct conf_node *own,
                                          struct conf_log *log)
{
    const struct conf_node *n = conf_get(own, STR("litellm_credential_name"));
    struct str name;

    if (!conf_text(NULL, config_resolve(f, n), &name))
        return NULL;
    CONF_FOREACH(f->value[SETTING_TOP_credential_list], it)
    if (str_eq(text_of(it, "credential_name"), name))
        return conf_get(it, STR("credential_values"));
    conf_note(log, CONF_ERROR, n, "litellm_credential_name: credential_list has no " STR_FMT,
              STR_ARG(name));
    return NULL;
}

/* What names a caller of the provider, and is not sent where somebody else says. */
static bool is_secret(struct str key)
{
    static const struct str secrets[] = {
        STR_INIT("api_key"),       STR_INIT("azure_ad_token"), STR_INIT("extra_headers"),
        STR_INIT("headers"),       STR_INIT("extra_body"),     STR_INIT("organization"),
        STR_INIT("client_secret"), STR_INIT("azure_password"), STR_INIT("vertex_credentials"),
    };

    for (size_t i = 0; i < ARRAY_LEN(secrets); i++)
        if (str_eq(secrets[i], key))
            return true;
    return str_starts(key, STR("aws_"));
}

static const struct conf_node *defaults(struct config_file *f, const struct conf_node *own)
{
    const struct conf_node *all = f->value[SETTING_ROUTER_default_litellm_params];
    uint32_t n = 0;

    if (!all || own->source != CONF_OF_OTHERS || base_of(own).n == 0)
        return all;
    struct conf_node *children = arena_alloc(&f->arena, (all->n + 1) * sizeof *children);
    if (!children)
        return NULL;
    CONF_FOREACH(all, it)
    if (!is_secret(it->key))
        children[n++] = *it;
    return config_node(f, all, CONF_MAP, children, n);
}

/* ---- what may be named ---- */

/* Whether somebody who is no proxy_admin asks for what only one may have. */
static bool is_modest(const struct conf_node *own, struct conf_log *log)
{
    const struct conf_node *credential = conf_get(own, STR("litellm_credential_name"));
    const struct conf_node *verify = conf_get(own, STR("ssl_verify"));
    bool truth;

    if (own->source != CONF_OF_OTHERS)
        return true;
    if (!conf_is_off(credential) && base_of(own).n)
        conf_note(log, CONF_ERROR, credential,
                  "litellm_credential_name: beside an api_base it is for a proxy_admin");
    else if (!conf_is_off(verify) && !conf_bool(NULL, verify, &truth))
        conf_note(log, CONF_ERROR, verify, "ssl_verify: a file is for a proxy_admin to name");
    else
        return true;
    return false;
}

static bool may_name(struct config_entry *en, const struct provider *p, const struct conf_node *it,
                     struct conf_log *log)
{
    struct str name = str_from(it->text, CONFIG_ENV.n);
    const char *why = NULL;

    if (it->source == CONF_OF_OTHERS || en->own->source == CONF_OF_OTHERS)
        why = "only a proxy_admin may write it";
    else if (!p || !(has_word(p->keys, name) || has_word(p->bases, name)))
        why = "it is no variable of this provider";
    else if (!en->has_env)
        why = "api_base is not this provider's";
    if (why)
        conf_note(log, CONF_ERROR, en->own, STR_FMT ": os.environ/ in a row of the database: %s",
                  STR_ARG(it->key), why);
    return !why;
}

/* Parameters of rows: LiteLLM replaces names at the top level, others stay text. */
static const struct conf_node *resolve_rows(struct config_entry *en, const struct provider *p,
                                            struct conf_log *log)
{
    const struct conf_node *raw = en->raw;
    struct conf_node *children = arena_alloc(&en->file->arena, (raw->n + 1) * sizeof *children);
    uint32_t n = 0;
    bool ok = true;

    if (!children)
        return NULL;
    CONF_FOREACH(raw, it)
    {
        struct conf_node *to = &children[n++];
        *to = *it;
        if (it->source == CONF_OF_FILE || it->kind != CONF_STR || !str_starts(it->text, CONFIG_ENV))
            continue;
        ok = may_name(en, p, it, log) && ok;
        to->text = config_env(en->file, str_from(it->text, CONFIG_ENV.n));
        to->kind = to->text.n ? CONF_STR : CONF_NULL;
    }
    return ok ? config_node(en->file, raw, CONF_MAP, children, n) : NULL;
}

struct str config_entry_env(void *ctx, struct str name)
{
    struct config_entry *en = ctx;

    return en->has_env ? config_env(en->file, name) : (struct str){0};
}

bool config_entry_read(struct config_entry *ret, struct config_file *f, const struct conf_node *at,
                       struct conf_log *log)
{
    struct config_entry en = {.own = conf_get(at, STR("litellm_params")), .file = f};
    unsigned errors = log->n_errors;

    if (!is_modest(en.own, log))
        return false;
    en.raw = config_under(f, en.own, credential(f, en.own, log));
    en.raw = config_under(f, en.raw, defaults(f, en.own));
    const struct provider *p = provider_of(en.raw);
    en.has_env = en.own->source == CONF_OF_FILE ||
                 (en.own->source == CONF_OF_ADMIN && p && is_own_origin(f, p, base_of(en.raw)));
    const struct conf_node *params = en.raw;
    if (params && params->kind == CONF_MAP)
        params = resolve_rows(&en, p, log);
    if (log->n_errors > errors || !params)
        return false;
    en.params = config_resolve(f, params);
    en.info = config_resolve(
        f, config_under(f, conf_get(at, STR("model_info")), conf_get(en.raw, STR("model_info"))));
    *ret = en;
    return true;
}
