/*
 * Entries of /v1/model/info and /model_group/info (litellm-dataplane.md 2.9): what was configured,
 * without what is secret, and what the price table knows. Values of the environment are not shown:
 * `os.environ/NAME` stays as written.
 */

#include "link/config_priv.h"

/* ---- what must not be shown ---- */

static bool is_secret(struct str key)
{
    static const char *const endings[] = {"key", "_key_id", "_token", "_auth"};
    static const char *const parts[] = {"secret", "password", "credential", "authorization"};

    if (str_find(key, STR("cost")) != SIZE_MAX || str_eq(key, STR("litellm_credential_name")))
        return false; /* input_cost_per_token is none */
    if (str_ieq(key, STR("token")) || str_ieq(key, STR("extra_headers")) ||
        str_ieq(key, STR("headers")))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++)
        if (str_ends(key, str_of(endings[i])))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (str_find(key, str_of(parts[i])) != SIZE_MAX)
            return true;
    return false;
}

static bool has_secret(const struct conf_node *n)
{
    CONF_FOREACH(n, it)
    if ((n->kind == CONF_MAP && is_secret(it->key)) || has_secret(it))
        return true;
    return false;
}

/* Members of a map, each but the secret ones and those of `but`. */
static void put_members(struct config *c, struct jw *w, const struct conf_node *map,
                        const char *const *but, size_t n_but)
{
    CONF_FOREACH(map, it)
    {
        bool skip = is_secret(it->key) || has_secret(it);
        for (size_t i = 0; i < n_but; i++)
            skip = skip || str_eq(it->key, str_of(but[i]));
        if (skip)
            continue;
        jw_key(w, it->key);
        jw_put_raw(w, conf_json(&c->file.arena, it));
    }
}

/* ---- figures of the price table ---- */

/* The keys of model_info a price map adds; those in `own` are there already. */
struct adder {
    struct jw *w;
    const struct conf_node *own;
};

static bool add_key(struct adder *a, struct str key)
{
    if (conf_get(a->own, key))
        return false;
    jw_key(a->w, key);
    return true;
}

/* A price_figure_fn. */
static void add_price(void *ctx, struct str key, int64_t pico)
{
    struct adder *a = ctx;

    if (add_key(a, key))
        jw_put_pico(a->w, pico);
}

static void add_limit(struct adder *a, const char *key, uint32_t v)
{
    if (!add_key(a, str_of(key)))
        return;
    if (v)
        jw_put_u64(a->w, v);
    else
        jw_put_null(a->w);
}

static void add_text(struct adder *a, const char *key, struct str v)
{
    if (!add_key(a, str_of(key)))
        return;
    if (v.n)
        jw_put_str(a->w, v);
    else
        jw_put_null(a->w);
}

/* Said by model_info, else by the price table. */
static bool has_feature(const struct config_deployment *d, enum price_feature f)
{
    bool truth;

    if (conf_bool(NULL, conf_get(d->info, price_feature_name(f)), &truth))
        return truth;
    return d->priced.features & BIT(f);
}

static struct str mode_name(const struct config_deployment *d)
{
    struct str own;

    return conf_text(NULL, conf_get(d->info, STR("mode")), &own) ? own
                                                                 : price_mode_name(d->priced.mode);
}

static void put_model_info(struct config *c, struct jw *w, const struct config_deployment *d)
{
    static const char *const ours[] = {"id", "db_model"};
    struct adder a = {w, d->info};

    jw_obj(w);
    jw_key(w, STR("id"));
    jw_put_str(w, d->id);
    jw_key(w, STR("db_model"));
    jw_put_bool(w, false);
    put_members(c, w, d->info, ours, ARRAY_LEN(ours));
    add_text(&a, "key", d->priced.name.n ? d->priced.name : d->base_model);
    add_limit(&a, "max_tokens", d->price.max_output_tokens);
    add_limit(&a, "max_input_tokens", d->price.max_input_tokens);
    add_limit(&a, "max_output_tokens", d->price.max_output_tokens);
    price_each(&d->price, add_price, &a);
    add_text(&a, "litellm_provider", d->target.provider);
    add_text(&a, "mode", mode_name(d));
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++)
        if ((d->priced.features & BIT(f)) && add_key(&a, price_feature_name((enum price_feature)f)))
            jw_put_bool(w, true);
    jw_end(w);
}

struct str config_deployment_info(struct config *c, const struct config_deployment *d)
{
    static const char *const ours[] = {"model", "api_base", "base_url", "organization",
                                       "model_info"};
    struct jw w = jw_init(&c->file.arena);

    jw_obj(&w);
    jw_key(&w, STR("model_name"));
    jw_put_str(&w, d->group);
    jw_key(&w, STR("litellm_params"));
    jw_obj(&w);
    put_members(c, &w, d->raw_params, ours, ARRAY_LEN(ours));
    if (conf_get(d->raw_params, STR("api_base")) || conf_get(d->raw_params, STR("base_url"))) {
        jw_key(&w, STR("api_base"));
        jw_put_str(&w, d->target.api_base); /* without credentials and query */
    }
    if (d->organization.n) {
        jw_key(&w, STR("organization"));
        jw_put_str(&w, d->organization);
    }
    jw_key(&w, STR("model"));
    jw_put_str(&w, d->litellm_model);
    jw_end(&w);
    jw_key(&w, STR("model_info"));
    put_model_info(c, &w, d);
    jw_end(&w);
    return jw_finish(&w);
}

/* ---- groups ---- */

struct group_sum { /* the best of a group's deployments, and the sum of their limits */
    uint32_t max_input, max_output;
    int64_t input, output;
    int64_t rpm, tpm;
    uint32_t features;
    struct str mode;
};

static void sum_add(struct group_sum *s, const struct config_deployment *d)
{
    s->max_input = MAX(s->max_input, d->price.max_input_tokens);
    s->max_output = MAX(s->max_output, d->price.max_output_tokens);
    s->input = MAX(s->input, d->price.item[PRICE_INPUT]);
    s->output = MAX(s->output, d->price.item[PRICE_OUTPUT]);
    s->rpm = d->rpm < 0 ? s->rpm : MAX(s->rpm, 0) + d->rpm;
    s->tpm = d->tpm < 0 ? s->tpm : MAX(s->tpm, 0) + d->tpm;
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++)
        if (has_feature(d, (enum price_feature)f))
            s->features |= BIT(f);
    if (s->mode.n == 0)
        s->mode = mode_name(d);
}

static void put_count(struct jw *w, const char *key, int64_t v)
{
    jw_key(w, str_of(key));
    if (v > 0)
        jw_put_i64(w, v);
    else
        jw_put_null(w);
}

static void put_amount(struct jw *w, const char *key, int64_t pico)
{
    jw_key(w, str_of(key));
    if (pico == PRICE_UNKNOWN)
        jw_put_null(w);
    else
        jw_put_pico(w, pico);
}

static void put_providers(const struct config *c, struct jw *w, const struct config_group *g)
{
    jw_key(w, STR("providers"));
    jw_arr(w);
    for (uint32_t i = 0; i < g->n_members; i++) {
        struct str provider = c->deployments[g->members[i]].target.provider;
        bool seen = false;
        for (uint32_t k = 0; k < i && !seen; k++)
            seen = str_eq(c->deployments[g->members[k]].target.provider, provider);
        if (!seen)
            jw_put_str(w, provider);
    }
    jw_end(w);
}

struct str config_group_info(struct config *c, const struct config_group *g)
{
    struct group_sum s = {.input = PRICE_UNKNOWN, .output = PRICE_UNKNOWN, .rpm = -1, .tpm = -1};
    struct jw w = jw_init(&c->file.arena);

    for (uint32_t i = 0; i < g->n_members; i++)
        sum_add(&s, &c->deployments[g->members[i]]);
    jw_obj(&w);
    jw_key(&w, STR("model_group"));
    jw_put_str(&w, g->name);
    put_providers(c, &w, g);
    put_count(&w, "max_input_tokens", s.max_input);
    put_count(&w, "max_output_tokens", s.max_output);
    put_amount(&w, "input_cost_per_token", s.input);
    put_amount(&w, "output_cost_per_token", s.output);
    put_amount(&w, "input_cost_per_pixel", PRICE_UNKNOWN);
    jw_key(&w, STR("mode"));
    if (s.mode.n)
        jw_put_str(&w, s.mode);
    else
        jw_put_null(&w);
    put_count(&w, "tpm", s.tpm);
    put_count(&w, "rpm", s.rpm);
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++) {
        jw_key(&w, price_feature_name((enum price_feature)f));
        jw_put_bool(&w, s.features & BIT(f));
    }
    jw_end(&w);
    return jw_finish(&w);
}
