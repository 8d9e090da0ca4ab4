/*
 * Models as one entry a name: what their deployments can do together, and which of them everybody
 * is shown. The best of the deployments counts, limits add up (litellm-dataplane.md 2.9).
 */

#include "common/crc32c.h"
#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "api/models_priv.h"
#include "api/settings_write.h"
#include "config.h"
#include "daemon.h"

static const char litellm[] = "litellm_settings";

struct summary {
    struct str name;
    yyjson_mut_val *providers; /* of texts */
    uint32_t max_input, max_output;
    int64_t input, output; /* pico-dollars, or PRICE_UNKNOWN */
    double tpm, rpm;
    bool has_tpm, has_rpm;
    uint32_t features;
    struct str mode;
};

/* ---- one deployment ---- */

static void add_provider(struct store *s, yyjson_mut_val *list, struct str id)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (str_eq((struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}, id))
            return;
    }
    row_append_text(s, list, id);
}

/* What the deployment itself says goes before the table. */
static void read_figures(struct store *s, struct price *p, const yyjson_mut_val *map)
{
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)map, i, n, k, v)
    {
        if (yyjson_mut_is_num(v))
            (void)price_set(p, (struct str){yyjson_mut_get_str(k), yyjson_mut_get_len(k)},
                            row_json(s, v));
    }
}

static void add_limit(const yyjson_mut_val *params, const char *name, double *sum, bool *has)
{
    double v;

    if (row_num(params, name, &v)) {
        *sum += v;
        *has = true;
    }
}

static void add(struct call *c, struct summary *sum, const yyjson_mut_val *model)
{
    struct store *s = &c->store;
    yyjson_mut_val *params = row_val(model, "litellm_params"), *info = row_val(model, "model_info");
    struct str own = row_text(params, "custom_llm_provider"), base = row_text(info, "base_model");
    struct str name, mode = row_text(info, "mode");
    const struct provider *p =
        provider_split(row_text(params, "model"), row_text(params, "api_base"), &name);
    struct priced_model priced = {0};

    if (own.n)
        p = provider_find(own);
    if (p)
        add_provider(s, sum->providers, p->id);
    if (!p || !price_map_find(c->d->config->prices, p->id, base.n ? base : name, &priced))
        price_init(&priced.price);
    read_figures(s, &priced.price, params);
    read_figures(s, &priced.price, info);
    sum->max_input = MAX(sum->max_input, priced.price.max_input_tokens);
    sum->max_output = MAX(sum->max_output, priced.price.max_output_tokens);
    sum->input = MAX(sum->input, priced.price.item[PRICE_INPUT]);
    sum->output = MAX(sum->output, priced.price.item[PRICE_OUTPUT]);
    add_limit(params, "tpm", &sum->tpm, &sum->has_tpm);
    add_limit(params, "rpm", &sum->rpm, &sum->has_rpm);
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++) {
        const char *feature = price_feature_name((enum price_feature)f).p;
        if (row_val(info, feature) ? row_bool(info, feature) : priced.features & BIT(f))
            sum->features |= BIT(f);
    }
    if (!sum->mode.n)
        sum->mode = mode.n ? mode : price_mode_name(priced.mode);
}

/* ---- one name ---- */

static void put_tokens(struct store *s, yyjson_mut_val *out, const char *name, uint32_t n)
{
    if (n)
        row_put_int(s, out, name, n);
    else
        row_put_null(s, out, name);
}

static void put_price(struct store *s, yyjson_mut_val *out, const char *name, int64_t pusd)
{
    if (pusd != PRICE_UNKNOWN)
        row_put_num(s, out, name, (double)pusd / 1e12);
    else
        row_put_null(s, out, name);
}

static void put_limit(struct store *s, yyjson_mut_val *out, const char *name, double v, bool has)
{
    if (has)
        row_put_num(s, out, name, v);
    else
        row_put_null(s, out, name);
}

static yyjson_mut_val *shown(struct call *c, const struct summary *sum, bool is_public)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_text(s, out, "model_group", sum->name);
    row_put(s, out, "providers", sum->providers);
    put_tokens(s, out, "max_input_tokens", sum->max_input);
    put_tokens(s, out, "max_output_tokens", sum->max_output);
    put_price(s, out, "input_cost_per_token", sum->input);
    put_price(s, out, "output_cost_per_token", sum->output);
    row_put_null(s, out, "input_cost_per_pixel");
    row_put_text(s, out, "mode", sum->mode.n ? sum->mode : STR("chat"));
    put_limit(s, out, "tpm", sum->tpm, sum->has_tpm);
    put_limit(s, out, "rpm", sum->rpm, sum->has_rpm);
    for (unsigned f = 0; f < PRICE_FEATURE_COUNT; f++)
        row_put_bool(s, out, price_feature_name((enum price_feature)f).p, sum->features & BIT(f));
    row_put_bool(s, out, "is_public_model_group", is_public);
    return out;
}

static yyjson_mut_val *public_names(struct call *c)
{
    return setting_get(c, SETTING_LITELLM_public_model_groups);
}

static bool is_among(const yyjson_mut_val *list, struct str name)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        if (str_eq((struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}, name))
            return true;
    }
    return false;
}

typedef bool (*wanted_fn)(struct call *c, const yyjson_mut_val *model);

/* Where each name's summary is: open addressing over names that admins gave. */
struct places {
    struct summary *sums;
    size_t n, mask;
    uint32_t *slots; /* index + 1; 0: free */
};

static bool places_init(struct places *p, struct arena *a, size_t most)
{
    size_t cap = 16;

    while (cap < 2 * most)
        cap *= 2;
    *p = (struct places){.sums = arena_alloc(a, (most + 1) * sizeof *p->sums),
                         .slots = arena_alloc(a, cap * sizeof *p->slots),
                         .mask = cap - 1};
    if (p->slots)
        memset(p->slots, 0, cap * sizeof *p->slots);
    return p->sums && p->slots;
}

static struct summary *place_of(struct places *p, struct store *s, struct str name)
{
    size_t at = crc32c(0, name.p, name.n) & p->mask;

    for (; p->slots[at]; at = (at + 1) & p->mask)
        if (str_eq(p->sums[p->slots[at] - 1].name, name))
            return &p->sums[p->slots[at] - 1];
    p->sums[p->n] = (struct summary){
        .name = name, .providers = row_list(s), .input = PRICE_UNKNOWN, .output = PRICE_UNKNOWN};
    p->slots[at] = (uint32_t)++p->n;
    return &p->sums[p->n - 1];
}

typedef bool (*wanted_fn)(struct call *c, const yyjson_mut_val *model);

/* Those wanted, a name once, in the order they come. */
static yyjson_mut_val *summaries(struct call *c, wanted_fn wanted)
{
    struct store *s = &c->store;
    yyjson_mut_val *all = model_all(c), *out = row_list(s), *published = public_names(c), *v;
    struct places p;
    size_t i, n;

    if (!places_init(&p, &c->arena, yyjson_mut_arr_size(all)))
        return out;
    yyjson_mut_arr_foreach(all, i, n, v)
    {
        struct str name = model_public_name(v);
        if (name.n && wanted(c, v))
            add(c, place_of(&p, s, name), v);
    }
    for (i = 0; i < p.n; i++)
        row_append(s, out, shown(c, &p.sums[i], is_among(published, p.sums[i].name)));
    return out;
}

static bool is_asked(struct call *c, const yyjson_mut_val *model)
{
    struct str one = in_text(c, "model_group");

    return model_is_visible(&c->caller, model) && (!one.n || str_eq(one, model_public_name(model)));
}

void api_model_group_summaries(struct call *c)
{
    yyjson_mut_val *out = row_new(&c->store);

    row_put(&c->store, out, "data", summaries(c, is_asked));
    reply(c, out);
}

/* ---- what everybody is shown ---- */

static bool is_published(struct call *c, const yyjson_mut_val *model)
{
    return is_among(public_names(c), model_public_name(model));
}

/* What the last check found, beside each. */
static void add_health(struct call *c, yyjson_mut_val *list)
{
    struct store *s = &c->store;
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        yyjson_mut_val *check = STORE_FIRST(
            s, TABLE_HEALTH_CHECK, "WHERE t.model_name = $1 ORDER BY t.checked_at DESC LIMIT 1",
            DB_TEXT(row_text(v, "model_group")));
        row_put(s, v, "health_status", row_val(check, "status"));
        row_put(s, v, "health_response_time", row_val(check, "response_time_ms"));
        row_put(s, v, "health_checked_at", row_val(check, "checked_at"));
    }
}

void api_public_model_hub(struct call *c)
{
    yyjson_mut_val *list = public_names(c) ? summaries(c, is_published) : row_list(&c->store);

    add_health(c, list);
    reply(c, list);
}

void api_public_model_hub_info(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_text(s, out, "docs_title", STR("Weir"));
    row_put_null(s, out, "custom_docs_description");
    row_put_text(s, out, "litellm_version", STR(WEIR_VERSION));
    row_put(s, out, "useful_links", setting_get(c, SETTING_LITELLM_public_model_groups_links));
    reply(c, out);
}

/* ---- who says so ---- */

/* Keeps one setting in the database; false with an answer. */
static bool keep(struct call *c, enum setting_id id, const yyjson_mut_val *value)
{
    struct store *s = &c->store;
    struct str key = setting_at(id)->key;
    yyjson_mut_val *was, *now;

    if (!settings_check_stored(c) || !setting_check_change(c, SECTION_LITELLM, key, value))
        return false;
    was = settings_lock(c, litellm);
    if (!was)
        return false;
    now = row_copy(s, was);
    row_put(s, now, key.p, value);
    return settings_write(c, litellm, was, now) != NULL;
}

static void done(struct call *c, const char *message, const char *member,
                 const yyjson_mut_val *value)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_text(s, out, "message", str_of(message));
    row_put(s, out, member, value);
    row_put_text(s, out, "updated_by", c->caller.user_id);
    reply(c, out);
}

void api_model_group_make_public(struct call *c)
{
    yyjson_mut_val *names = in_val(c, "model_groups");

    if (keep(c, SETTING_LITELLM_public_model_groups, names))
        done(c, "Successfully updated public model groups", "public_model_groups", names);
}

void api_model_hub_links(struct call *c)
{
    yyjson_mut_val *links = in_val(c, "useful_links");

    if (keep(c, SETTING_LITELLM_public_model_groups_links, links))
        done(c, "Successfully updated useful links", "useful_links", links);
}
