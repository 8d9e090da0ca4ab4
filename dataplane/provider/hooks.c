/*
 * What of a provider's addressing no clause can say: each hook changes the model name, the base or
 * the main path before paths are built.
 */

#include "provider/target_priv.h"

static bool is_wildcard(struct str name)
{
    return name.n && memchr(name.p, '*', name.n);
}

/* A bare model name is one of Fireworks' own. */
static enum errc hook_fireworks(struct make *m)
{
    if (!memchr(m->name.p, '/', m->name.n) && !memchr(m->name.p, '#', m->name.n))
        m->t->model = arena_printf(m->a, "accounts/fireworks/models/" STR_FMT, STR_ARG(m->name));
    return ERRC_OK;
}

/* user.app.model is the model's URL. */
static enum errc hook_clarifai(struct make *m)
{
    struct str user, app, model, rest;

    if (str_cut(m->name, '.', &user, &rest) && str_cut(rest, '.', &app, &model) && model.n)
        m->t->model =
            arena_printf(m->a, "https://clarifai.com/" STR_FMT "/" STR_FMT "/models/" STR_FMT,
                         STR_ARG(user), STR_ARG(app), STR_ARG(model));
    return ERRC_OK;
}

/* OpenRouter's own models ("openrouter/auto") keep the prefix, others have an owner in the name. */
static enum errc hook_openrouter(struct make *m)
{
    if (!memchr(m->name.p, '/', m->name.n) && !is_wildcard(m->name))
        m->t->model = arena_printf(m->a, "openrouter/" STR_FMT, STR_ARG(m->name));
    return ERRC_OK;
}

/* provider/owner/model: the router reads the provider behind a colon. */
static enum errc hook_huggingface(struct make *m)
{
    struct str provider, model, owner, name;

    if (!m->base_is_configured && str_cut(m->name, '/', &provider, &model) &&
        str_cut(model, '/', &owner, &name))
        m->t->model = arena_printf(m->a, STR_FMT ":" STR_FMT, STR_ARG(model), STR_ARG(provider));
    return ERRC_OK;
}

/* The id of a dedicated deployment, eight letters and digits, has a host of its own. */
static enum errc hook_baseten(struct make *m)
{
    bool is_id = m->name.n == 8;

    for (size_t i = 0; i < m->name.n; i++) {
        char c = char_lower(m->name.p[i]);
        is_id = is_id && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'));
    }
    if (!is_id || m->base_is_configured)
        return ERRC_OK;
    return make_base_at(m, arena_printf(m->a,
                                        "https://model-" STR_FMT
                                        ".api.baseten.co/environments/production/sync/v1",
                                        STR_ARG(m->name)));
}

/* The path ends in a slash; a deployment's own URL is complete. */
static enum errc hook_datarobot(struct make *m)
{
    if (str_find(m->base.path, STR("/api/v2/deployments")) != SIZE_MAX) {
        m->main_path = STR("/");
    } else {
        (void)(make_cut_base(m, STR("/api/v2/genai/llmgw/chat/completions")) ||
               make_cut_base(m, STR("/api/v2"))); /* either way what is left is the host */
    }
    return ERRC_OK;
}

/* chat/ID/MODEL or agent/ID/MODEL; the base may come with its version. */
static enum errc hook_ragflow(struct make *m)
{
    struct str kind, id, model, rest;
    const char *chats;

    if (!str_cut(m->name, '/', &kind, &rest) || !str_cut(rest, '/', &id, &model) || !id.n ||
        !model.n)
        kind = (struct str){0};
    if (str_eq(kind, STR("chat")))
        chats = "chats_openai";
    else if (str_eq(kind, STR("agent")))
        chats = "agents_openai";
    else
        return err_set(m->e, ERRC_INVALID, 0,
                       "model: names of ragflow are ragflow/chat/ID/MODEL or "
                       "ragflow/agent/ID/MODEL");
    (void)(make_cut_base(m, STR("/api/v1")) || make_cut_base(m, STR("/v1"))); /* either or none */
    struct str encoded = url_encode(id, m->a);
    m->main_path =
        arena_printf(m->a, "/api/v1/%s/" STR_FMT "/chat/completions", chats, STR_ARG(encoded));
    m->t->model = model;
    return ERRC_OK;
}

/* An agent's endpoint serves the API below /api. */
static enum errc hook_gradient_ai(struct make *m)
{
    if (m->base_is_configured)
        m->main_path = STR("/api/v1/chat/completions");
    return ERRC_OK;
}

/* Claude goes by its own API; the kind of token is said in a header. */
static enum errc hook_snowflake(struct make *m)
{
    if (!make_cut_base(m, STR("/cortex/v1")) && m->base.path.n == 0)
        m->base.path = STR("/api/v2");
    if (str_starts(m->name, STR("claude"))) {
        m->t->dialect = DIALECT_ANTHROPIC;
        m->main_path = STR("/cortex/v1/messages");
    }
    bool is_pat = str_starts(m->key, STR("pat/"));
    if (is_pat)
        m->key = str_from(m->key, 4);
    m->q.header[m->q.n_headers].name = STR("X-Snowflake-Authorization-Token-Type");
    m->q.header[m->q.n_headers++].sources =
        is_pat ? STR("PROGRAMMATIC_ACCESS_TOKEN") : STR("KEYPAIR_JWT");
    return ERRC_OK;
}

static const struct {
    struct str name;
    enum errc (*run)(struct make *m);
} hooks[] = {
    {STR_INIT("baseten"), hook_baseten},         {STR_INIT("clarifai"), hook_clarifai},
    {STR_INIT("datarobot"), hook_datarobot},     {STR_INIT("fireworks"), hook_fireworks},
    {STR_INIT("gradient_ai"), hook_gradient_ai}, {STR_INIT("huggingface"), hook_huggingface},
    {STR_INIT("openrouter"), hook_openrouter},   {STR_INIT("ragflow"), hook_ragflow},
    {STR_INIT("snowflake"), hook_snowflake},
};

bool hook_exists(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (str_eq(name, hooks[i].name))
            return true;
    return false;
}

enum errc hook_run(struct make *m)
{
    for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
        if (str_eq(m->q.hook, hooks[i].name))
            return hooks[i].run(m);
    ASSERT(m->q.hook.n == 0); /* a test compares the table with this one */
    return ERRC_OK;
}
