/* What a program may know of providers and prices before anybody logs in, from the tables that this
 * build holds (litellm-controlplane.md 2.16). All of it is answered on the loop. */

#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "api/reply.h"
#include "config.h"
#include "daemon.h"

void api_public_providers(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_list(s);

    for (size_t i = 0; i < provider_count(); i++)
        row_append_text(s, list, provider_at(i)->id);
    reply(c, list);
}

/* ---- routes for models ---- */

#define ASKED                                                                                      \
    (BIT(ENDPOINT_CHAT) | BIT(ENDPOINT_COMPLETIONS) | BIT(ENDPOINT_MESSAGES) |                     \
     BIT(ENDPOINT_RESPONSES)) /* each of these serves the others' clients, by translation */

static const struct {
    const char *key, *label, *path;
    uint32_t endpoints; /* of a provider: any of them */
} endpoints[] = {
    {"chat_completions", "Chat Completions", "/chat/completions", ASKED},
    {"messages", "Messages", "/messages", ASKED},
    {"responses", "Responses", "/responses", ASKED},
    {"text_completion", "Text Completion", "/completions", ASKED},
    {"count_tokens", "Count Tokens", "/utils/token_counter", ASKED},
    {"embeddings", "Embeddings", "/embeddings", BIT(ENDPOINT_EMBEDDINGS)},
    {"moderations", "Moderations", "/moderations", BIT(ENDPOINT_MODERATIONS)},
};

static yyjson_mut_val *providers_of(struct store *s, uint32_t wanted)
{
    yyjson_mut_val *list = row_list(s);

    for (size_t i = 0; i < provider_count(); i++) {
        const struct provider *p = provider_at(i);
        yyjson_mut_val *one;
        if (!(p->endpoints & wanted) || !provider_is_spoken(p))
            continue;
        one = row_new(s);
        row_put_text(s, one, "slug", p->id);
        row_put_text(s, one, "display_name", p->name);
        row_append(s, list, one);
    }
    return list;
}

void api_public_endpoints(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *list = row_list(s);

    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
        yyjson_mut_val *one = row_new(s);
        row_put_text(s, one, "key", str_of(endpoints[i].key));
        row_put_text(s, one, "label", str_of(endpoints[i].label));
        row_put_text(s, one, "endpoint", str_of(endpoints[i].path));
        row_put(s, one, "providers", providers_of(s, endpoints[i].endpoints));
        row_append(s, list, one);
    }
    row_put(s, out, "endpoints", list);
    reply(c, out);
}

/* ---- forms ---- */

struct form_field {
    const char *key, *label;
    bool is_secret, is_required;
    struct str placeholder;
};

static void put_field(struct store *s, yyjson_mut_val *list, const struct form_field *f)
{
    yyjson_mut_val *one = row_new(s);

    row_put_text(s, one, "key", str_of(f->key));
    row_put_text(s, one, "label", str_of(f->label));
    row_put_text(s, one, "placeholder", f->placeholder.n ? f->placeholder : (struct str){0});
    row_put_null(s, one, "tooltip");
    row_put_bool(s, one, "required", f->is_required);
    row_put_text(s, one, "field_type", f->is_secret ? STR("password") : STR("text"));
    row_put_null(s, one, "options");
    row_put_null(s, one, "default_value");
    row_append(s, list, one);
}

/* How a provider knows who asks. */
static void put_sign_in(struct store *s, yyjson_mut_val *list, const struct provider *p)
{
    static const struct form_field aws[] = {
        {"aws_access_key_id", "AWS Access Key ID", true, false, {0}},
        {"aws_secret_access_key", "AWS Secret Access Key", true, false, {0}},
        {"aws_session_token", "AWS Session Token", true, false, {0}},
        {"aws_region_name", "AWS Region", false, true, STR_INIT("us-east-1")},
    };
    static const struct form_field google[] = {
        {"vertex_project", "Vertex Project", false, true, {0}},
        {"vertex_location", "Vertex Location", false, true, STR_INIT("us-central1")},
        {"vertex_credentials", "Vertex Credentials", true, false, {0}},
    };
    static const struct form_field key[] = {{"api_key", "API Key", true, true, {0}}};
    static const struct {
        const struct form_field *fields;
        size_t n;
    } by[] = {
        [AUTH_KEYLESS] = {NULL, 0},
        [AUTH_BEARER] = {key, ARRAY_LEN(key)},
        [AUTH_SCHEME] = {key, ARRAY_LEN(key)},
        [AUTH_HEADER] = {key, ARRAY_LEN(key)},
        [AUTH_QUERY] = {key, ARRAY_LEN(key)},
        [AUTH_SIGV4] = {aws, ARRAY_LEN(aws)},
        [AUTH_GOOGLE] = {google, ARRAY_LEN(google)},
        [AUTH_IBM] = {key, ARRAY_LEN(key)},
        [AUTH_OTHER] = {key, ARRAY_LEN(key)},
    };

    bool has_default = p->auth == AUTH_BEARER && p->auth_arg.n;

    for (size_t i = 0; i < by[p->auth].n; i++) {
        struct form_field f = by[p->auth].fields[i];
        f.is_required &= !has_default;
        put_field(s, list, &f);
    }
}

void api_public_providers_fields(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_list(s);

    for (size_t i = 0; i < provider_count(); i++) {
        const struct provider *p = provider_at(i);
        yyjson_mut_val *one = row_new(s), *list = row_list(s);
        put_sign_in(s, list, p);
        put_field(s, list,
                  &(struct form_field){"api_base", "API Base", false, !p->base.n, p->base});
        if (p->adapter == ADAPTER_AZURE)
            put_field(s, list, &(struct form_field){.key = "api_version", .label = "API Version"});
        row_put_text(s, one, "provider", p->id);
        row_put_text(s, one, "provider_display_name", p->name);
        row_put_text(s, one, "litellm_provider", p->id);
        row_put(s, one, "credential_fields", list);
        row_put_text(s, one, "default_model_placeholder",
                     arena_printf(s->arena, STR_FMT "/model-name", STR_ARG(p->id)));
        row_append(s, out, one);
    }
    reply(c, out);
}

/* ---- prices ---- */

static void put_figure(void *ctx, struct str name, int64_t pusd)
{
    struct jw *w = ctx;

    jw_key(w, name);
    jw_put_pico(w, pusd);
}

static void put_tokens(struct jw *w, const char *name, uint32_t n)
{
    if (!n)
        return;
    jw_key(w, str_of(name));
    jw_put_u64(w, n);
}

static void put_model(struct jw *w, const struct priced_model *m)
{
    jw_key(w, m->name);
    jw_obj(w);
    jw_key(w, STR("litellm_provider"));
    jw_put_str(w, m->provider);
    if (m->mode) {
        jw_key(w, STR("mode"));
        jw_put_str(w, price_mode_name(m->mode));
    }
    put_tokens(w, "max_tokens", m->price.max_output_tokens);
    put_tokens(w, "max_input_tokens", m->price.max_input_tokens);
    put_tokens(w, "max_output_tokens", m->price.max_output_tokens);
    price_each(&m->price, put_figure, w);
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++)
        if (m->features & BIT(f)) {
            jw_key(w, price_feature_name((enum price_feature)f));
            jw_put_bool(w, true);
        }
    jw_end(w);
}

/* The map of the file, and of those built in what it does not name. */
void api_public_cost_map(struct call *c)
{
    const struct price_map *own = c->d->config->prices;
    struct jw w = jw_init(&c->arena);
    struct priced_model m, other;

    jw_obj(&w);
    for (size_t i = 0; own && i < price_map_count(own); i++) {
        price_map_row(own, i, &m);
        put_model(&w, &m);
    }
    for (size_t i = 0; i < price_map_count(NULL); i++) {
        price_map_row(NULL, i, &m);
        if (!own || !price_map_get(own, m.name, &other))
            put_model(&w, &m);
    }
    jw_end(&w);
    reply_text(c, STR("application/json"), jw_finish(&w));
}

void api_public_blog_posts(struct call *c)
{
    yyjson_mut_val *out = row_new(&c->store);

    row_put(&c->store, out, "posts", row_list(&c->store));
    reply(c, out);
}
