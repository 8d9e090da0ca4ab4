/* The table of providers, searched by halves, and the reading of model names. */

#include "common/gateway/provider.h"

#include "common/gateway/glob.h"
#include "common/gateway/price_map.h"

#define E(id)         | BIT(ENDPOINT_##id)
#define BEARER        AUTH_BEARER, STR_INIT("")
#define BEARER_OR(k)  AUTH_BEARER, STR_INIT(k)
#define SCHEME(word)  AUTH_SCHEME, STR_INIT(word)
#define HEADER(name)  AUTH_HEADER, STR_INIT(name)
#define QUERY(name)   AUTH_QUERY, STR_INIT(name)
#define KEYLESS       AUTH_KEYLESS, STR_INIT("")
#define SIGV4         AUTH_SIGV4, STR_INIT("")
#define GOOGLE        AUTH_GOOGLE, STR_INIT("")
#define IBM           AUTH_IBM, STR_INIT("")
#define OTHER_SIGN_IN AUTH_OTHER, STR_INIT("")
#define PROVIDER(id, label, wire, auth_and_arg, url, chat, key_vars, base_vars, serves, frames,    \
                 rules)                                                                            \
    {STR_INIT(id),  STR_INIT(label),  ADAPTER_##wire,     auth_and_arg,                            \
     STR_INIT(url), STR_INIT(chat),   STR_INIT(key_vars), STR_INIT(base_vars),                     \
     0 serves,      FRAMING_##frames, STR_INIT(rules)},
static const struct provider providers[] = {
#include "common/gateway/providers.def"
};
#undef E
#undef BEARER
#undef BEARER_OR
#undef SCHEME
#undef HEADER
#undef QUERY
#undef KEYLESS
#undef SIGV4
#undef GOOGLE
#undef IBM
#undef OTHER_SIGN_IN
#undef PROVIDER

static const struct str endpoint_names[] = {
#define X(id, name) STR_INIT(name),
    PROVIDER_ENDPOINTS(X)
#undef X
};

/* Hosts that name a provider when a model name does not (providers.md section 3.3). */
static const struct {
    struct str host, id;
} known_hosts[] = {
    {STR_INIT("api.perplexity.ai"), STR_INIT("perplexity")},
    {STR_INIT("api.deepinfra.com"), STR_INIT("deepinfra")},
    {STR_INIT("api.mistral.ai"), STR_INIT("mistral")},
    {STR_INIT("codestral.mistral.ai"), STR_INIT("codestral")},
    {STR_INIT("api.groq.com"), STR_INIT("groq")},
    {STR_INIT("integrate.api.nvidia.com"), STR_INIT("nvidia_nim")},
    {STR_INIT("api.cerebras.ai"), STR_INIT("cerebras")},
    {STR_INIT("api.sambanova.ai"), STR_INIT("sambanova")},
    {STR_INIT("api.ai21.com"), STR_INIT("ai21_chat")},
    {STR_INIT("api.deepseek.com"), STR_INIT("deepseek")},
    {STR_INIT("api.friendli.ai"), STR_INIT("friendliai")},
    {STR_INIT("api.galadriel.com"), STR_INIT("galadriel")},
    {STR_INIT("api.galadriel.ai"), STR_INIT("galadriel")},
    {STR_INIT("api.llama.com"), STR_INIT("meta_llama")},
    {STR_INIT("inference.api.nscale.com"), STR_INIT("nscale")},
    {STR_INIT("api.endpoints.anyscale.com"), STR_INIT("anyscale")},
    {STR_INIT("api.fireworks.ai"), STR_INIT("fireworks_ai")},
    {STR_INIT("api.together.xyz"), STR_INIT("together_ai")},
    {STR_INIT("api.x.ai"), STR_INIT("xai")},
    {STR_INIT("api.moonshot.ai"), STR_INIT("moonshot")},
    {STR_INIT("api.moonshot.cn"), STR_INIT("moonshot")},
    {STR_INIT("api.minimax.io"), STR_INIT("minimax")},
    {STR_INIT("api.minimaxi.com"), STR_INIT("minimax")},
    {STR_INIT("api.hyperbolic.xyz"), STR_INIT("hyperbolic")},
    {STR_INIT("api.novita.ai"), STR_INIT("novita")},
    {STR_INIT("api.featherless.ai"), STR_INIT("featherless_ai")},
    {STR_INIT("api.lambda.ai"), STR_INIT("lambda_ai")},
    {STR_INIT("api.studio.nebius.ai"), STR_INIT("nebius")},
    {STR_INIT("api.inference.wandb.ai"), STR_INIT("wandb")},
    {STR_INIT("app.empower.dev"), STR_INIT("empower")},
    {STR_INIT("ai-gateway.vercel.sh"), STR_INIT("vercel_ai_gateway")},
    {STR_INIT("dashscope-intl.aliyuncs.com"), STR_INIT("dashscope")},
    {STR_INIT("inference.baseten.co"), STR_INIT("baseten")},
    {STR_INIT("inference.do-ai.run"), STR_INIT("gradient_ai")},
    {STR_INIT("openrouter.ai"), STR_INIT("openrouter")},
    {STR_INIT("ollama.com"), STR_INIT("ollama_chat")},
};

/* A prefix with some model names means another row (providers.md section 3.2). */
static const struct {
    struct str prefix, names, id;
} rerouted[] = {
    {STR_INIT("cohere"), STR_INIT("command*|c4ai-*"), STR_INIT("cohere_chat")},
    {STR_INIT("anthropic"), STR_INIT("claude-2*|claude-instant*"), STR_INIT("anthropic_text")},
    {STR_INIT("ai21"), STR_INIT("jamba*"), STR_INIT("ai21_chat")},
    {STR_INIT("azure"),
     STR_INIT("command-r*|mistral-large*|mistral-medium*|mistral-small*|open-mistral-*|"
              "open-mixtral-*"),
     STR_INIT("openai")},
};

/* Families of bare names that the price map may lack (providers.md section 3.4). */
static const struct {
    struct str names, id;
} families[] = {
    {STR_INIT("gpt-*|chatgpt-*|o1*|o3*|o4-*|ft:gpt-*|ft:o4-*|text-embedding-3-*|"
              "text-embedding-ada-*|omni-moderation-*|text-moderation-*|dall-e-*|whisper-1|tts-1*"),
     STR_INIT("openai")},
    {STR_INIT("claude-2*|claude-instant*"), STR_INIT("anthropic_text")},
    {STR_INIT("claude-*"), STR_INIT("anthropic")},
    {STR_INIT("gemini-*"), STR_INIT("vertex_ai")},
    {STR_INIT("anthropic.*|amazon.*|meta.*|mistral.*|cohere.*|ai21.*|us.*|eu.*|apac.*|au.*|jp.*|"
              "global.*|us-gov.*"),
     STR_INIT("bedrock")},
    {STR_INIT("command*"), STR_INIT("cohere_chat")},
};

size_t provider_count(void)
{
    return ARRAY_LEN(providers);
}

const struct provider *provider_at(size_t i)
{
    ASSERT(i < ARRAY_LEN(providers));
    return &providers[i];
}

struct str provider_endpoint_name(enum provider_endpoint e)
{
    return endpoint_names[e];
}

bool provider_is_spoken(const struct provider *p)
{
    static const enum provider_auth known[] = {AUTH_KEYLESS, AUTH_BEARER, AUTH_SCHEME, AUTH_HEADER};

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (p->auth == known[i])
            return p->adapter <=
                   ADAPTER_AZURE_AI; /* those behind it speak a dialect of their own */
    return false;
}

const struct provider *provider_find(struct str id)
{
    size_t from = 0, to = ARRAY_LEN(providers);

    while (from < to) {
        const struct provider *mid = &providers[from + (to - from) / 2];
        int c = memcmp(id.p, mid->id.p, MIN(id.n, mid->id.n));
        if (c == 0)
            c = (id.n > mid->id.n) - (id.n < mid->id.n);
        if (c == 0)
            return mid;
        if (c < 0)
            to = (size_t)(mid - providers);
        else
            from = (size_t)(mid - providers) + 1;
    }
    return NULL;
}

const struct provider *provider_of_base(struct str api_base)
{
    size_t scheme = str_find(api_base, STR("://"));
    struct str host, rest;

    if (scheme == SIZE_MAX)
        return NULL;
    str_cut(str_from(api_base, scheme + 3), '/', &host, &rest);
    str_cut(host, ':', &host, &rest);
    for (size_t i = 0; i < ARRAY_LEN(known_hosts); i++)
        if (str_ieq(host, known_hosts[i].host))
            return provider_find(known_hosts[i].id);
    return NULL;
}

static const struct provider *rerouted_from(const struct provider *p, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rerouted); i++)
        if (str_eq(p->id, rerouted[i].prefix) && globs_match(rerouted[i].names, name))
            return provider_find(rerouted[i].id);
    return p;
}

/* "owner/name:<64 hex digits>" is a version of Replicate's. */
static bool has_replicate_version(struct str name)
{
    struct str head, version;

    if (!str_cut(name, ':', &head, &version) || version.n != 64)
        return false;
    for (size_t i = 0; i < version.n; i++)
        if (!memchr("0123456789abcdef", version.p[i], 16))
            return false;
    return true;
}

const struct provider *provider_split(struct str model, struct str api_base, struct str *ret_name)
{
    const struct provider *p;
    struct str prefix, name;
    struct priced_model priced;

    *ret_name = model;
    if (str_cut(model, '/', &prefix, &name) && (p = provider_find(prefix)) != NULL) {
        *ret_name = name;
        return rerouted_from(p, name);
    }
    if ((p = provider_of_base(api_base)) != NULL)
        return p;
    if (price_map_get(NULL, model, &priced))
        return provider_find(priced.provider);
    for (size_t i = 0; i < ARRAY_LEN(families); i++)
        if (globs_match(families[i].names, model))
            return provider_find(families[i].id);
    return has_replicate_version(model) ? provider_find(STR("replicate")) : NULL;
}

bool provider_next_word(struct str *list, struct str *ret_word)
{
    return list->n != 0 && (str_cut(*list, ' ', ret_word, list), true);
}
