/*
 * From litellm_params to a target in four steps: which provider, its rules for the model, address
 * and credential by its adapter, header lines. What a provider needs and this build cannot do ends
 * in target.unsupported, never in a half-made request.
 */

#include "provider/target.h"

#include "provider/target_priv.h"

enum { HEADER_VALUE_MAX = 8192 };

struct str make_env(const struct make *m, struct str names)
{
    struct str name;

    while (provider_next_word(&names, &name)) {
        struct str value = m->c->env ? m->c->env(m->c->env_ctx, name) : (struct str){0};
        if (value.n)
            return value;
    }
    return (struct str){0};
}

/* --- which provider ----------------------------------------------------------------------------
 */

static const struct provider *config_provider(const struct target_config *c, struct str *ret_model)
{
    struct str prefix, name;

    if (!c->custom_llm_provider.n)
        return provider_split(c->model, c->api_base, ret_model);
    *ret_model = c->model;
    if (str_cut(c->model, '/', &prefix, &name) && str_eq(prefix, c->custom_llm_provider))
        *ret_model = name;
    return provider_find(c->custom_llm_provider);
}

/*
 * A name may begin with the API to speak, which is no part of what is sent: "responses/" anywhere,
 * "chat_completions/" on openai.
 */
static enum api cut_api(const struct provider *row, struct str *name)
{
    static const struct {
        struct str prefix, only;
        enum api api;
    } prefixes[] = {
        {STR_INIT("responses/"), STR_INIT(""), API_RESPONSES},
        {STR_INIT("chat_completions/"), STR_INIT("openai"), API_CHAT},
    };

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts(*name, prefixes[i].prefix) && name->n > prefixes[i].prefix.n &&
            (!prefixes[i].only.n || str_eq(row->id, prefixes[i].only))) {
            *name = str_from(*name, prefixes[i].prefix.n);
            return prefixes[i].api;
        }
    return API_COUNT;
}

/*
 * The row whose variables and default base hold: that of the prefix as it is written, also where
 * the name behind it is another row's (azure/mistral-large is no reason to send OPENAI_API_KEY).
 */
static const struct provider *config_vars(const struct target_config *c, const struct provider *row)
{
    const struct provider *written;
    struct str prefix, name;

    if (c->custom_llm_provider.n || !str_cut(c->model, '/', &prefix, &name))
        return row;
    written = provider_find(prefix);
    return written ? written : row;
}

struct str target_provider(const struct target_config *c, struct str *ret_model)
{
    const struct provider *p = config_provider(c, ret_model);

    return p ? p->id : (struct str){0};
}

/* --- base ------------------------------------------------------------------------------------- */

/* Placeholders of a default base and where their values stand. */
static const struct {
    struct str name;
    size_t config_at; /* of a member of struct target_config; 0: none */
    struct str variables;
} placeholders[] = {
    {STR_INIT("region"), offsetof(struct target_config, aws_region_name),
     STR_INIT("BEDROCK_MANTLE_REGION AWS_REGION_NAME AWS_REGION")},
    {STR_INIT("account"), 0, STR_INIT("SNOWFLAKE_ACCOUNT_ID")},
};

static enum errc placeholder_value(const struct make *m, struct str name, struct str *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(placeholders); i++) {
        if (!str_eq(name, placeholders[i].name))
            continue;
        struct str v = {0};
        if (placeholders[i].config_at)
            memcpy(&v, (const char *)m->c + placeholders[i].config_at, sizeof v);
        if (!v.n)
            v = make_env(m, placeholders[i].variables);
        /* A value is part of a host name: url_parse() judges the letters, but not a new part. */
        if (v.n && !memchr(v.p, '/', v.n) && !memchr(v.p, '?', v.n) && !memchr(v.p, ':', v.n)) {
            *ret = v;
            return ERRC_OK;
        }
        return err_set(m->e, ERRC_INVALID, 0,
                       "api_base: provider " STR_FMT " needs a " STR_FMT
                       "; set api_base or one of " STR_FMT,
                       STR_ARG(m->row->id), STR_ARG(name), STR_ARG(placeholders[i].variables));
    }
    return err_set(m->e, ERRC_INVALID, 0, "api_base: provider " STR_FMT " has no default; set it",
                   STR_ARG(m->row->id));
}

/* The row's base with its placeholders filled. */
static enum errc default_base(const struct make *m, struct str *ret)
{
    struct str head, tail, name, rest, value = {0}, base = m->vars->base;

    while (str_cut(base, '{', &head, &tail)) {
        str_cut(tail, '}', &name, &rest);
        enum errc rc = placeholder_value(m, name, &value);
        if (rc)
            return rc;
        base = arena_printf(m->a, STR_FMT STR_FMT STR_FMT, STR_ARG(head), STR_ARG(value),
                            STR_ARG(rest));
    }
    *ret = base;
    return ERRC_OK;
}

enum errc make_base_at(struct make *m, struct str text)
{
    enum errc rc = url_parse(&m->base, text, m->a, m->e);

    if (rc)
        return rc;
    m->t->api_base = url_text(&m->base, m->a);
    return ERRC_OK;
}

enum errc make_base(struct make *m)
{
    struct str text = m->c->api_base;

    if (m->base.host.n)
        return ERRC_OK; /* an adapter that hands on to another has it already */
    if (!text.n)
        text = make_env(m, m->vars->bases);
    m->base_is_configured = text.n != 0;
    if (!text.n) {
        enum errc rc = default_base(m, &text);
        if (rc)
            return rc;
    }
    if (!text.n)
        return err_set(m->e, ERRC_INVALID, 0,
                       "api_base: provider " STR_FMT " has no default; set it%s" STR_FMT,
                       STR_ARG(m->vars->id), m->vars->bases.n ? " or " : "",
                       STR_ARG(m->vars->bases));
    return make_base_at(m, text);
}

/* --- credential --------------------------------------------------------------------------------
 */

void make_key(struct make *m)
{
    const struct provider *row = m->row;

    m->key_names = m->vars->keys;
    m->key = m->c->api_key.n ? m->c->api_key : make_env(m, m->vars->keys);
    switch (row->auth) {
    case AUTH_BEARER:
        if (!m->key.n)
            m->key = row->auth_arg; /* local servers that want some key, or nothing */
        m->key_header = STR("Authorization");
        m->key_word = STR("Bearer ");
        break;
    case AUTH_SCHEME:
        m->key_header = STR("Authorization");
        m->key_word = arena_printf(m->a, STR_FMT " ", STR_ARG(row->auth_arg));
        break;
    case AUTH_HEADER:
        m->key_header = row->auth_arg;
        break;
    case AUTH_KEYLESS:
    case AUTH_QUERY:
    case AUTH_SIGV4:
    case AUTH_GOOGLE:
    case AUTH_IBM:
    case AUTH_OTHER:
        break;
    }
}

/* "A, B" of "A B". */
static struct str comma_list(struct str words, struct arena *a)
{
    struct str word, list = {0};

    while (provider_next_word(&words, &word))
        list = list.n ? arena_printf(a, STR_FMT ", " STR_FMT, STR_ARG(list), STR_ARG(word)) : word;
    return list;
}

/* --- headers ---------------------------------------------------------------------------------- */

/* What frames the message or belongs to the connection is not the configuration's to say. */
static const struct str refused_headers[] = {
    STR_INIT("host"),
    STR_INIT("content-length"),
    STR_INIT("transfer-encoding"),
    STR_INIT("connection"),
    STR_INIT("keep-alive"),
    STR_INIT("upgrade"),
    STR_INIT("te"),
    STR_INIT("trailer"),
    STR_INIT("expect"),
    STR_INIT("proxy-connection"),
    STR_INIT("proxy-authorization"),
};

/* RFC 9110 5.6.2 */
static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = char_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) &&
            (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return s.n != 0;
}

/* RFC 9110 5.5 */
static bool is_field_value(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return s.n <= HEADER_VALUE_MAX;
}

struct header_lines {
    struct make *m;
    struct str text;
};

static bool is_extra(const struct make *m, struct str name)
{
    for (size_t i = 0; i < m->c->n_extra_headers; i++)
        if (str_ieq(m->c->extra_headers[i].name, name))
            return true;
    return false;
}

static void line_append(struct header_lines *l, struct str name, struct str word, struct str value)
{
    l->text = arena_printf(l->m->a, STR_FMT STR_FMT ": " STR_FMT STR_FMT "\r\n", STR_ARG(l->text),
                           STR_ARG(name), STR_ARG(word), STR_ARG(value));
}

/* A line of ours, unless the configuration has one of that name or there is no value. */
static enum errc line_add(struct header_lines *l, const char *key, struct str name, struct str word,
                          struct str value)
{
    if (!is_field_value(value))
        return err_set(l->m->e, ERRC_INVALID, 0, "%s: holds a byte that may not be sent", key);
    if (value.n && !is_extra(l->m, name))
        line_append(l, name, word, value);
    return ERRC_OK;
}

static enum errc extra_add(struct header_lines *l, const struct target_header *h)
{
    struct err *e = l->m->e;

    if (!is_token(h->name))
        return err_set(e, ERRC_INVALID, 0,
                       "extra_headers: a name holds a byte that may not be "
                       "sent");
    for (size_t i = 0; i < ARRAY_LEN(refused_headers); i++)
        if (str_ieq(h->name, refused_headers[i]))
            return err_set(e, ERRC_INVALID, 0,
                           "extra_headers: " STR_FMT " belongs to the connection and cannot be set",
                           STR_ARG(h->name));
    if (!is_field_value(h->value))
        return err_set(e, ERRC_INVALID, 0,
                       "extra_headers: the value of " STR_FMT
                       " holds a byte that may not be sent or is longer than %d bytes",
                       (int)MIN(h->name.n, 100), h->name.p, HEADER_VALUE_MAX);
    line_append(l, h->name, STR(""), h->value);
    return ERRC_OK;
}

/* The first of "$key|$organization|$VARIABLE|text" that says something. */
static struct str source_value(const struct make *m, struct str sources)
{
    struct str one, value;

    while (sources.n) {
        str_cut(sources, '|', &one, &sources);
        if (str_eq(one, STR("$key")))
            value = m->key;
        else if (str_eq(one, STR("$organization")))
            value = m->c->organization;
        else if (str_starts(one, STR("$")))
            value = make_env(m, str_from(one, 1));
        else
            value = one;
        if (value.n)
            return value;
    }
    return (struct str){0};
}

static enum errc make_headers(struct make *m, struct str *ret_missing_key)
{
    struct header_lines l = {.m = m, .text = STR("")};
    const struct str none = STR("");
    enum errc rc;

    line_append(&l, STR("Host"), none, url_authority(&m->base, m->a));
    rc = line_add(&l, "api_key", m->key_header.n ? m->key_header : STR("Authorization"),
                  m->key_word, m->key_header.n ? m->key : none);
    if (rc)
        return rc;
    if (m->key_header.n && !m->key.n && m->key_names.n && !is_extra(m, m->key_header))
        *ret_missing_key = comma_list(m->key_names, m->a);

    static const struct {
        struct str name, value;
    } ours[] = {
        {STR_INIT("Content-Type"), STR_INIT("application/json")},
        {STR_INIT("Accept-Encoding"), STR_INIT("identity")},
        {STR_INIT("User-Agent"), STR_INIT("weir/" WEIR_VERSION)},
    };
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if ((rc = line_add(&l, "", ours[i].name, none, ours[i].value)) != ERRC_OK)
            return rc;
    for (size_t i = 0; i < m->q.n_headers; i++) {
        rc = line_add(&l, m->q.header[i].name.p, m->q.header[i].name, none,
                      source_value(m, m->q.header[i].sources));
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < m->c->n_extra_headers; i++)
        if ((rc = extra_add(&l, &m->c->extra_headers[i])) != ERRC_OK)
            return rc;
    m->t->headers = l.text;
    return ERRC_OK;
}

/* --- rules of the body --------------------------------------------------------------------------
 */

/* The model whose rules hold: on Azure a deployment's name says nothing. */
static struct str rules_model(struct make *m)
{
    static const struct {
        struct str prefix, model;
    } forced[] = {
        {STR_INIT("o_series/"), STR_INIT("o3")},
        {STR_INIT("gpt5_series/"), STR_INIT("gpt-5")},
    };
    struct str vendor, name;

    if (m->row->adapter != ADAPTER_AZURE)
        return m->name;
    for (size_t i = 0; i < ARRAY_LEN(forced); i++)
        if (str_starts(m->name, forced[i].prefix)) {
            m->t->model = m->name = str_from(m->name, forced[i].prefix.n);
            return forced[i].model;
        }
    if (!m->c->base_model.n)
        return m->name;
    return str_cut(m->c->base_model, '/', &vendor, &name) ? name : vendor;
}

/*
 * What litellm_params drop, before anything looks at it, then the rules of the row: Anthropic's own
 * where its dialect is spoken, whoever speaks it.
 */
static enum errc make_edits(struct make *m)
{
    const struct target_config *c = m->c;
    const bool is_anthropic = m->t->dialect == DIALECT_ANTHROPIC;
    struct quirks rules = m->q, dropped = {.edits.arena = m->a};
    enum errc rc = ERRC_OK;

    if (is_anthropic && m->row->adapter != ADAPTER_ANTHROPIC) {
        rules = (struct quirks){.edits.arena = m->a};
        rc = quirks_compile(&rules, provider_find(STR("anthropic"))->quirks, m->name, m->e);
        for (size_t i = 0; i < m->q.edits.n; i++)
            if (m->q.edits.v[i].apis & BIT(API_MESSAGES))
                edits_add(&rules.edits, m->q.edits.v[i]);
    } else if (!is_anthropic) {
        quirks_add_defaults(&rules);
    }
    quirks_allow(&rules, c->allowed_openai_params, c->n_allowed_openai_params);
    if (!rc)
        rc = quirks_drop(&dropped, c->additional_drop_params, c->n_additional_drop_params, m->e);
    for (size_t i = 0; i < rules.edits.n; i++)
        edits_add(&dropped.edits, rules.edits.v[i]);
    m->t->edits = dropped.edits.v;
    m->t->n_edits = dropped.edits.n;
    return rc;
}

/* --- what cannot be served -------------------------------------------------------------------- */

static struct str unsupported(const struct provider *p, struct arena *a)
{
    const uint32_t text = BIT(ENDPOINT_CHAT) | BIT(ENDPOINT_COMPLETIONS) |
                          BIT(ENDPOINT_EMBEDDINGS) | BIT(ENDPOINT_MODERATIONS) |
                          BIT(ENDPOINT_MESSAGES) | BIT(ENDPOINT_RESPONSES);
    static const struct {
        enum provider_auth auth;
        const char *what;
    } sign_ins[] = {
        {AUTH_SIGV4, "requests signed for AWS"}, {AUTH_GOOGLE, "a Google access token"},
        {AUTH_IBM, "an IBM IAM token"},          {AUTH_OTHER, "a sign-in of its own"},
        {AUTH_QUERY, "its key in the URL"},
    };

    if (!(p->endpoints & text))
        return arena_printf(a, "provider " STR_FMT " serves none of the text APIs", STR_ARG(p->id));
    if (p->adapter > ADAPTER_AZURE_AI)
        return arena_printf(
            a, "provider " STR_FMT " speaks its own dialect, which this release does not",
            STR_ARG(p->id));
    for (size_t i = 0; i < ARRAY_LEN(sign_ins); i++)
        if (p->auth == sign_ins[i].auth)
            return arena_printf(a, "provider " STR_FMT " needs %s, which this release cannot do",
                                STR_ARG(p->id), sign_ins[i].what);
    return (struct str){0};
}

static enum errc make_address(struct make *m)
{
    switch (m->row->adapter) {
    case ADAPTER_OPENAI:
        return make_openai(m);
    case ADAPTER_ANTHROPIC:
        return make_anthropic(m);
    case ADAPTER_AZURE:
        return make_azure(m);
    case ADAPTER_AZURE_AI:
        return make_azure_ai(m);
    case ADAPTER_BEDROCK:
    case ADAPTER_CLOUDFLARE:
    case ADAPTER_COHERE:
    case ADAPTER_GEMINI:
    case ADAPTER_OCI:
    case ADAPTER_OLLAMA:
    case ADAPTER_REPLICATE:
    case ADAPTER_SAGEMAKER:
    case ADAPTER_SAP:
    case ADAPTER_VERTEX:
    case ADAPTER_WATSONX:
    case ADAPTER_OTHER:
        break;
    }
    ASSERT(m->row->adapter <= ADAPTER_AZURE_AI); /* unsupported() was asked before */
    return ERRC_INVALID;
}

enum errc target_make(struct target *t, const struct target_config *c, struct arena *a,
                      struct str *ret_missing_key, struct err *e)
{
    struct make m = {.t = t, .c = c, .a = a, .e = e, .q.edits.arena = a};
    enum errc rc;

    *t = (struct target){.dialect = DIALECT_OTHER, .asked = API_COUNT};
    *ret_missing_key = (struct str){0};
    m.row = config_provider(c, &m.name);
    if (!m.row && c->custom_llm_provider.n)
        return err_set(e, ERRC_INVALID, 0, "custom_llm_provider: no provider is called " STR_FMT,
                       (int)MIN(c->custom_llm_provider.n, 100), c->custom_llm_provider.p);
    if (!m.row || !m.name.n)
        return err_set(e, ERRC_INVALID, 0,
                       "model: " STR_FMT " says no provider; write provider/model, for example "
                       "openai/" STR_FMT,
                       (int)MIN(c->model.n, 100), c->model.p, (int)MIN(c->model.n, 100),
                       c->model.p);
    m.vars = config_vars(c, m.row);
    t->asked = cut_api(m.row, &m.name);
    t->provider = m.row->id;
    t->model = m.name;
    t->unsupported = unsupported(m.row, a);
    if (t->unsupported.n)
        return ERRC_OK;

    m.main_path = m.row->path;
    rc = quirks_compile(&m.q, m.row->quirks, rules_model(&m), e);
    if (!rc)
        rc = make_address(&m);
    if (!rc && !t->unsupported.n)
        rc = make_edits(&m);
    if (!rc && !t->unsupported.n)
        rc = make_headers(&m, ret_missing_key);
    if (rc)
        return rc;
    if (!t->unsupported.n) {
        t->tls = m.base.tls;
        t->host = m.base.host;
        t->port = m.base.port;
        t->stream_usage = t->dialect == DIALECT_OPENAI && m.q.takes_stream_options;
    }
    return arena_ok(a) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "deployment");
}
