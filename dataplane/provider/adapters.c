/* The adapters: how each family of providers is addressed and signed in to. */

#include "common/gateway/price_map.h"

#include "provider/target_priv.h"

/* Ends of a path below the base, for providers that serve several APIs side by side. */
static const struct {
    enum provider_endpoint endpoint;
    struct str path;
} apis[API_COUNT] = {
    [API_CHAT] = {ENDPOINT_CHAT, STR_INIT("/chat/completions")},
    [API_COMPLETIONS] = {ENDPOINT_COMPLETIONS, STR_INIT("/completions")},
    [API_EMBEDDINGS] = {ENDPOINT_EMBEDDINGS, STR_INIT("/embeddings")},
    [API_MODERATIONS] = {ENDPOINT_MODERATIONS, STR_INIT("/moderations")},
    [API_RESPONSES] = {ENDPOINT_RESPONSES, STR_INIT("/responses")},
    [API_INPUT_TOKENS] = {ENDPOINT_INPUT_TOKENS, STR_INIT("/responses/input_tokens")},
};

/* Messages are served where the dialect is Anthropic's, by the adapter's own paths. */
static bool serves(const struct make *m, enum api api)
{
    return apis[api].path.n && (m->row->endpoints & BIT(apis[api].endpoint));
}

/* What stands in a wildcard's request path: the part before '*' and the one behind it. */
static struct str model_in_path(struct make *m)
{
    if (!memchr(m->t->model.p, '*', m->t->model.n))
        return url_encode(m->t->model, m->a);
    m->t->model_in_path = true;
    return (struct str){0};
}

/* --- OpenAI and its likes -----------------------------------------------------------------------
 */

void make_path(struct make *m, enum api api, struct str path)
{
    m->t->path[api].before = path;
    m->t->path[api].after = m->after;
}

bool make_cut_base(struct make *m, struct str suffix)
{
    if (!suffix.n || !str_ends(m->base.path, suffix))
        return false;
    m->base.path.n -= suffix.n;
    return true;
}

/* Messages beside OpenAI's APIs: `path` stands below the host of them all, behind what leads to it.
 */
static void make_messages_beside(struct make *m, struct str path)
{
    static const struct str versions[] = {STR_INIT("/v1"), STR_INIT("/beta")};
    struct str base = m->base.path;

    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        if (str_ends(base, versions[i])) {
            base.n -= versions[i].n;
            break;
        }
    make_path(m, API_MESSAGES, arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(base), STR_ARG(path)));
}

/*
 * The main path may begin with segments of its own ("/v1/chat/completions"): those are common to
 * all APIs. A base that already ends in the path, or in its beginning, is not given it twice.
 */
void make_paths(struct make *m)
{
    struct str main = m->main_path, slash = {0}, prefix;

    if (str_ends(main, STR("/"))) {
        slash = STR("/");
        main.n--;
    }
    prefix = main;
    (void)make_cut_base(m, main); /* it may end in it or not */
    if (str_ends(main, apis[API_CHAT].path)) {
        prefix.n -= apis[API_CHAT].path.n;
        (void)make_cut_base(m, prefix);
    }
    for (enum api api = 0; api < API_COUNT; api++) {
        struct str path = m->q.path[api];

        if (!serves(m, api))
            continue;
        if (path.n)
            path = arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(m->base.path), STR_ARG(path));
        else if (prefix.n == main.n) /* one API, whose path is the main one */
            path = arena_printf(m->a, STR_FMT STR_FMT STR_FMT, STR_ARG(m->base.path), STR_ARG(main),
                                STR_ARG(slash));
        else
            path = arena_printf(m->a, STR_FMT STR_FMT STR_FMT STR_FMT, STR_ARG(m->base.path),
                                STR_ARG(prefix), STR_ARG(apis[api].path), STR_ARG(slash));
        make_path(m, api, path);
    }
    if (m->c->serves_messages)
        make_messages_beside(m, STR("/v1/messages"));
    else if (m->q.path[API_MESSAGES].n)
        make_messages_beside(m, m->q.path[API_MESSAGES]);
}

enum errc make_openai(struct make *m)
{
    enum errc rc = make_base(m);

    if (rc)
        return rc;
    make_key(m);
    if (m->base_is_configured && m->q.base_suffix.n && !str_ends(m->base.path, m->q.base_suffix) &&
        !str_ends(m->base.path, m->row->path))
        m->base.path =
            arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(m->base.path), STR_ARG(m->q.base_suffix));
    if (m->base.query.n)
        m->after = arena_printf(m->a, "?" STR_FMT, STR_ARG(m->base.query));
    m->t->dialect = DIALECT_OPENAI;
    rc = hook_run(m);
    if (rc)
        return rc;
    if (m->t->dialect == DIALECT_ANTHROPIC)
        make_path(
            m, API_MESSAGES,
            arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(m->base.path), STR_ARG(m->main_path)));
    else
        make_paths(m);
    return ERRC_OK;
}

/* --- Anthropic ---------------------------------------------------------------------------------
 */

/* Messages and what counts their tokens, at the given path. */
static void make_messages(struct make *m, struct str path)
{
    m->t->dialect = DIALECT_ANTHROPIC;
    make_path(m, API_MESSAGES, path);
    make_path(m, API_COUNT_TOKENS, arena_printf(m->a, STR_FMT "/count_tokens", STR_ARG(path)));
}

static void add_header(struct make *m, struct str name, struct str value)
{
    ASSERT(m->q.n_headers < QUIRK_HEADERS);
    m->q.header[m->q.n_headers].name = name;
    m->q.header[m->q.n_headers++].sources = value;
}

/* OAuth tokens and ANTHROPIC_AUTH_TOKEN are bearer tokens (providers.md 6.3). */
static void make_anthropic_key(struct make *m)
{
    bool is_token = false;

    m->key = m->c->api_key.n ? m->c->api_key : make_env(m, STR("ANTHROPIC_API_KEY"));
    if (!m->key.n) {
        m->key = make_env(m, STR("ANTHROPIC_AUTH_TOKEN"));
        is_token = m->key.n != 0;
    }
    bool is_oauth = str_starts(m->key, STR("sk-ant-oat"));
    m->key_names = m->row->keys;
    m->key_header = is_token || is_oauth ? STR("Authorization") : m->row->auth_arg;
    m->key_word = is_token || is_oauth ? STR("Bearer ") : (struct str){0};
    if (is_oauth) {
        add_header(m, STR("anthropic-beta"), STR("oauth-2025-04-20"));
        add_header(m, STR("anthropic-dangerous-direct-browser-access"), STR("true"));
    }
}

enum errc make_anthropic(struct make *m)
{
    enum errc rc = make_base(m);

    if (rc)
        return rc;
    make_anthropic_key(m);
    if (m->base.query.n)
        m->after = arena_printf(m->a, "?" STR_FMT, STR_ARG(m->base.query));
    if (str_ieq(make_env(m, STR("LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX")), STR("true"))) {
        make_messages(m, m->base.path);
        return ERRC_OK;
    }
    (void)(make_cut_base(m, m->row->path) || make_cut_base(m, STR("/v1"))); /* either or none */
    make_messages(
        m, arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(m->base.path), STR_ARG(m->row->path)));
    return ERRC_OK;
}

/* --- Azure ----------------------------------------------------------------------------------- */

/* The newest general version whose paths name the deployment. */
#define AZURE_API_VERSION "2024-10-21"
/* What the inference route of Azure AI Foundry needs to be told. */
#define AZURE_AI_API_VERSION "2024-05-01-preview"

/* api-key, else an Entra token; configured ones before those of the environment. */
static void make_azure_key(struct make *m)
{
    struct str token = m->c->azure_ad_token;

    make_key(m);
    m->key_header = STR("api-key");
    m->key_word = (struct str){0};
    if (!m->c->api_key.n && !token.n && !m->key.n)
        token = make_env(m, STR("AZURE_AD_TOKEN"));
    if (m->c->api_key.n || !token.n)
        return;
    m->key = token;
    m->key_header = STR("Authorization");
    m->key_word = STR("Bearer ");
}

/* Encoded: it becomes part of the request line. */
static struct str azure_version(struct make *m)
{
    struct str v = m->c->api_version;

    if (!v.n)
        v = url_query_value(&m->base, STR("api-version"));
    if (!v.n)
        v = make_env(m, STR("AZURE_API_VERSION"));
    return url_encode(v, m->a);
}

/* The paths of all APIs served, `root` before and the API's own end behind. */
static void make_azure_paths(struct make *m, struct str root, struct str model)
{
    for (enum api api = 0; api < API_COUNT; api++) {
        if (!serves(m, api) || api == API_RESPONSES)
            continue;
        if (m->t->model_in_path) {
            m->t->path[api].before = root;
            m->t->path[api].after =
                arena_printf(m->a, STR_FMT STR_FMT, STR_ARG(apis[api].path), STR_ARG(m->after));
        } else {
            make_path(m, api,
                      arena_printf(m->a, STR_FMT STR_FMT STR_FMT, STR_ARG(root), STR_ARG(model),
                                   STR_ARG(apis[api].path)));
        }
    }
}

static void make_azure_responses(struct make *m, struct str path)
{
    if (serves(m, API_RESPONSES))
        make_path(m, API_RESPONSES, path);
}

/* "/openai/v1" takes the deployment in the body, like OpenAI itself. */
static void make_azure_v1(struct make *m, struct str version)
{
    struct str root;

    if (str_eq(version, STR("preview")) || str_eq(version, STR("latest")))
        m->after = arena_printf(m->a, "?api-version=" STR_FMT, STR_ARG(version));
    (void)make_cut_base(m, STR("/openai/v1")); /* put back below */
    root = arena_printf(m->a, STR_FMT "/openai/v1", STR_ARG(m->base.path));
    make_azure_paths(m, root, (struct str){0});
    make_azure_responses(m, arena_printf(m->a, STR_FMT "/responses", STR_ARG(root)));
}

static void make_azure_deployment(struct make *m, struct str version)
{
    const struct str deployments = STR("/openai/deployments");
    const struct str base = m->base.path;
    size_t at = str_find(base, deployments);
    struct str root, resource = base, named = {0}, rest;

    m->after = arena_printf(m->a, "?api-version=" STR_FMT,
                            STR_ARG(version.n ? version : STR(AZURE_API_VERSION)));
    if (at !=
        SIZE_MAX) { /* a base with its deployment, perhaps with an API's path: used as it is */
        resource.n = at;
        str_cut(str_from(base, at + deployments.n + 1), '/', &named, &rest);
    }
    if (str_eq(m->base.host, STR("gateway.ai.cloudflare.com")))
        root = arena_printf(m->a, STR_FMT "/", STR_ARG(base));
    else
        root = arena_printf(m->a, STR_FMT STR_FMT "/", STR_ARG(resource), STR_ARG(deployments));
    make_azure_paths(m, root, named.n ? named : model_in_path(m));
    if (version.n)
        make_azure_responses(m, arena_printf(m->a, STR_FMT "/openai/responses", STR_ARG(resource)));
    else { /* no version asked for: the route that needs none */
        m->after = (struct str){0};
        make_azure_responses(m,
                             arena_printf(m->a, STR_FMT "/openai/v1/responses", STR_ARG(resource)));
    }
}

enum errc make_azure(struct make *m)
{
    enum errc rc = make_base(m);

    if (rc)
        return rc;
    make_azure_key(m);
    if (str_starts(m->key, STR("oidc/"))) {
        m->t->unsupported = STR("provider azure: azure_ad_token oidc/... needs a token exchange, "
                                "which this release does not do");
        return ERRC_OK;
    }
    m->t->dialect = DIALECT_OPENAI;
    struct str version = azure_version(m);
    if (str_ends(m->base.path, STR("/openai/v1")) || str_eq(version, STR("v1")) ||
        str_eq(version, STR("preview")) || str_eq(version, STR("latest")))
        make_azure_v1(m, version);
    else
        make_azure_deployment(m, version);
    return ERRC_OK;
}

static bool is_openai_model(struct str name)
{
    struct priced_model priced;

    return price_map_get(NULL, name, &priced) && str_eq(priced.provider, STR("openai"));
}

enum errc make_azure_ai(struct make *m)
{
    enum errc rc = make_base(m);

    if (rc)
        return rc;
    bool is_foundry = str_ends(m->base.host, STR(".services.ai.azure.com"));
    bool is_azure = is_foundry || str_ends(m->base.host, STR(".openai.azure.com"));
    if (is_azure && is_openai_model(m->name)) {
        m->t->provider = STR("azure");
        return make_azure(m);
    }
    make_azure_key(m);
    if (str_starts(m->name, STR("claude"))) {
        (void)make_cut_base(m, STR("/v1/messages")); /* whatever the base has of it already */
        (void)make_cut_base(m, STR("/anthropic"));
        make_messages(m,
                      arena_printf(m->a, STR_FMT "/anthropic/v1/messages", STR_ARG(m->base.path)));
        return ERRC_OK;
    }
    if (!is_azure) {
        m->key_header = STR("Authorization");
        m->key_word = STR("Bearer ");
    }
    struct str version = azure_version(m);
    if (!version.n && is_foundry)
        version = STR(AZURE_AI_API_VERSION);
    if (version.n)
        m->after = arena_printf(m->a, "?api-version=" STR_FMT, STR_ARG(version));
    if (is_foundry)
        m->main_path = STR("/models/chat/completions");
    m->t->dialect = DIALECT_OPENAI;
    make_paths(m);
    return ERRC_OK;
}
