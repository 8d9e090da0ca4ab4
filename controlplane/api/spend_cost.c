/* What requests cost: by their messages, by a reply's usage, by numbers of tokens. Prices are found
 * as data planes find them; tokens of texts are estimated as they estimate them. */

#include "common/gateway/cost.h"
#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"
#include "common/gateway/tokens.h"

#include "api/models_priv.h"
#include "api/parts.h"
#include "api/reply.h"
#include "api/settings.h"
#include "config.h"
#include "daemon.h"

enum { TOKENS_MAX = 1000000000, REQUESTS_MAX = 1000000000, DEPTH_MAX = 16 };

struct priced {
    struct str model, provider; /* as they go upstream */
    struct price price;
};

/* ---- prices ---- */

/* Members of a deployment that are prices. */
static bool take_prices(struct call *c, const yyjson_mut_val *members, struct price *p)
{
    yyjson_mut_val *k, *v;
    size_t i, n;
    bool found = false;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)members, i, n, k, v)
    {
        struct str name = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        struct str value = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (yyjson_mut_is_num(v))
            value = row_json(&c->store, v);
        if (value.p)
            found |= price_set(p, name, value) == PRICE_FIELD_SET &&
                     price_item_named(name) != PRICE_ITEMS;
    }
    return found;
}

/* The configured map comes before the compiled-in one. A file that cannot be read any more is as
 * none: the data planes say so. */
static bool find_price(struct call *c, struct str provider, struct str name, struct price *ret)
{
    const struct conf_node *file = c->d->config->file.value[SETTING_WEIR_model_price_map];
    AUTO_FREE(price_map) struct price_map *map = NULL;
    struct priced_model found;
    struct err e = {0};

    if (file && file->text.n && price_map_load(&map, arena_str(&c->arena, file->text).p, &e))
        map = NULL;
    if (!price_map_find(map, provider, name, &found))
        return false;
    *ret = found.price;
    return true;
}

/* "eu.api.openai.com" of "https://eu.api.openai.com/v1": some hosts have prices of their own. */
static struct str host_of(struct str base)
{
    size_t at = str_find(base, STR("://"));
    struct str rest = at == SIZE_MAX ? base : str_from(base, at + 3), host = rest;

    (void)str_cut(rest, '/', &host, &rest);
    return host;
}

/* The last deployment of that name, or of what the name is another for. */
static yyjson_mut_val *find_deployment(struct call *c, struct str name)
{
    yyjson_mut_val *aliases = setting_get(c, SETTING_ROUTER_model_group_alias), *model,
                   *found = NULL;
    struct str key = arena_str(&c->arena, name), other = {0};
    size_t i, n;

    if (aliases && key.p) {
        yyjson_mut_val *alias = row_val(aliases, key.p);
        other = yyjson_mut_is_obj(alias) ? row_text(alias, "model") : row_text(aliases, key.p);
    }
    yyjson_mut_arr_foreach(model_all(c), i, n, model)
    {
        if (str_eq(row_text(model, "model_name"), other.n ? other : name))
            found = model;
    }
    return found;
}

/* False: nothing says what it costs. */
static bool find_priced(struct call *c, struct str name, struct priced *ret)
{
    const yyjson_mut_val *model = find_deployment(c, name), *params, *info;
    struct str bare, stated, base;
    const struct provider *p;
    bool found;

    params = row_val(model, "litellm_params");
    info = row_val(model, "model_info");
    *ret = (struct priced){.model = model ? row_text(params, "model") : name};
    price_init(&ret->price);
    stated = params ? row_text(params, "custom_llm_provider") : (struct str){0};
    base = params ? row_text(params, "api_base") : (struct str){0};
    p = provider_split(ret->model, base, &bare);
    if (stated.n)
        p = provider_find(stated);
    ret->provider = p ? p->id : stated;
    base = info ? row_text(info, "base_model") : (struct str){0};
    found = find_price(c, ret->provider, base.n ? base : bare, &ret->price);
    if (found && params)
        price_regional(&ret->price, host_of(row_text(params, "api_base")));
    found |= params && take_prices(c, params, &ret->price);
    found |= info && take_prices(c, info, &ret->price);
    return found;
}

/* ---- usage ---- */

/* Texts of a message, wherever in it. */
static void add_texts(struct call *c, struct tokens *t, yyjson_mut_val *v, unsigned depth)
{
    yyjson_mut_val *k, *one;
    size_t i, n;

    if (yyjson_mut_is_str(v)) {
        struct str s = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        tokens_add(t, jstr_encode(s, &c->arena));
    }
    if (depth == DEPTH_MAX)
        return;
    yyjson_mut_arr_foreach(v, i, n, one)
    {
        add_texts(c, t, one, depth + 1);
    }
    yyjson_mut_obj_foreach(v, i, n, k, one)
    {
        if (!yyjson_mut_equals_str(k, "type") && !yyjson_mut_equals_str(k, "url"))
            add_texts(c, t, one, depth + 1);
    }
}

static uint64_t message_tokens(struct call *c, yyjson_mut_val *messages)
{
    enum { OF_MESSAGE = 3, OF_REPLY = 3 }; /* what stands around each, and where the reply begins */
    struct tokens t = {0};

    add_texts(c, &t, messages, 0);
    return tokens_total(&t) + OF_MESSAGE * yyjson_mut_arr_size(messages) + OF_REPLY;
}

static uint64_t count_of(const yyjson_mut_val *row, const char *name)
{
    double d;

    return row && row_num(row, name, &d) && d > 0 ? (uint64_t)MIN(d, (double)TOKENS_MAX) : 0;
}

/* OpenAI's usage object: cached and reasoning tokens lie within the sums; Anthropic's two beside.
 */
static struct usage usage_of(const yyjson_mut_val *u)
{
    const yyjson_mut_val *in = row_val(u, "prompt_tokens_details");
    const yyjson_mut_val *out = row_val(u, "completion_tokens_details");
    uint64_t prompt = count_of(u, "prompt_tokens"), completion = count_of(u, "completion_tokens");
    struct usage ret = {.cache_read = count_of(in, "cached_tokens"),
                        .audio_in = count_of(in, "audio_tokens"),
                        .reasoning = count_of(out, "reasoning_tokens"),
                        .audio_out = count_of(out, "audio_tokens")};

    if (!ret.cache_read)
        ret.cache_read = count_of(u, "cache_read_input_tokens");
    ret.cache_write = count_of(u, "cache_creation_input_tokens");
    uint64_t inside = ret.cache_read + ret.cache_write + ret.audio_in;
    ret.input = prompt > inside ? prompt - inside : 0;
    inside = ret.reasoning + ret.audio_out;
    ret.output = completion > inside ? completion - inside : 0;
    return ret;
}

static double usd(int64_t nusd)
{
    return (double)nusd / 1e9;
}

/* ---- /spend/calculate ---- */

static void refuse_unmapped(struct call *c, struct str model, const struct priced *p)
{
    refuse_as(c, 400, "invalid_request_error", "model",
              "This model isn't mapped yet. model=" STR_FMT ", custom_llm_provider=" STR_FMT
              ". Its price can be set in model_info, or in a file named by weir.model_price_map.",
              STR_ARG(model), STR_ARG(p->provider.n ? p->provider : STR("None")));
}

void api_spend_calculate(struct call *c)
{
    struct str model = in_text(c, "model");
    yyjson_mut_val *messages = in_val(c, "messages"), *reply_of = in_val(c, "completion_response");
    yyjson_mut_val *out = row_new(&c->store);
    struct usage u = {0};
    struct priced p;
    struct cost cost;

    if (model.p && !messages) {
        refuse_as(c, 400, "invalid_request_error", NULL,
                  "Bad Request - messages must be provided if 'model' is provided");
        return;
    }
    if (!model.p && !reply_of) {
        refuse_as(c, 400, "invalid_request_error", NULL,
                  "Bad Request - Either 'model' or 'completion_response' must be provided");
        return;
    }
    if (model.p) {
        u.input = message_tokens(c, messages);
    } else {
        model = row_text(reply_of, "model");
        u = usage_of(row_val(reply_of, "usage"));
    }
    if (!find_priced(c, model.p ? model : STR(""), &p)) {
        refuse_unmapped(c, model.p ? model : STR("None"), &p);
        return;
    }
    cost_of(&cost, &p.price, &u);
    row_put_num(&c->store, out, "cost", usd(cost.total_nusd));
    reply(c, out);
}

/* ---- /cost/estimate ---- */

struct part { /* of a request's cost */
    const char *request, *daily, *monthly;
    int64_t nusd;
};

static void put_parts(struct call *c, yyjson_mut_val *out, const struct part *parts, size_t n)
{
    static const char *const many[] = {"num_requests_per_day", "num_requests_per_month"};

    for (size_t i = 0; i < n; i++) {
        const char *const names[] = {parts[i].daily, parts[i].monthly};
        row_put_num(&c->store, out, parts[i].request, usd(parts[i].nusd));
        for (size_t k = 0; k < ARRAY_LEN(many); k++) {
            if (in_set(c, many[k]))
                row_put_num(&c->store, out, names[k],
                            (double)((__int128)parts[i].nusd * in_int(c, many[k])) / 1e9);
            else
                row_put_null(&c->store, out, names[k]);
        }
    }
}

static void put_rate(struct call *c, yyjson_mut_val *out, const char *name, int64_t banded,
                     int64_t item)
{
    int64_t pusd = banded != PRICE_UNKNOWN ? banded : item;

    if (pusd == PRICE_UNKNOWN)
        row_put_null(&c->store, out, name);
    else
        row_put_num(&c->store, out, name, (double)pusd / 1e12);
}

static void put_rates(struct call *c, yyjson_mut_val *out, const struct price *p, uint64_t prompt)
{
    static const struct price_band none = {0, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN,
                                           PRICE_UNKNOWN};
    const struct price_band *b = price_band_of(p, prompt);

    if (!b)
        b = &none;
    put_rate(c, out, "input_cost_per_token", b->input, p->item[PRICE_INPUT]);
    put_rate(c, out, "output_cost_per_token", b->output, p->item[PRICE_OUTPUT]);
    put_rate(c, out, "cache_read_input_token_cost", b->cache_read, p->item[PRICE_CACHE_READ]);
    put_rate(c, out, "cache_creation_input_token_cost", b->cache_write, p->item[PRICE_CACHE_WRITE]);
    put_rate(c, out, "output_cost_per_reasoning_token", PRICE_UNKNOWN, p->item[PRICE_REASONING]);
}

static bool check_counts(struct call *c)
{
    static const char *const names[] = {"input_tokens", "output_tokens", "num_requests_per_day",
                                        "num_requests_per_month"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (in_int(c, names[i]) > TOKENS_MAX) {
            refuse_value(c, names[i], "at most 1000000000 can be reckoned with");
            return false;
        }
    if (in_int(c, "cache_read_input_tokens") >
        in_int(c, "input_tokens") -
            MIN(in_int(c, "cache_creation_input_tokens"), in_int(c, "input_tokens") + 1))
        refuse_value(c, NULL,
                     "cache_read_input_tokens plus cache_creation_input_tokens cannot exceed "
                     "input_tokens");
    else if (in_int(c, "reasoning_tokens") > in_int(c, "output_tokens"))
        refuse_value(c, NULL, "reasoning_tokens cannot exceed output_tokens");
    return !c->status;
}

void api_cost_estimate(struct call *c)
{
    static const char *const asked[] = {
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "reasoning_tokens",
        "num_requests_per_day",
        "num_requests_per_month",
    };
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    struct str model = in_text(c, "model");
    struct priced p;
    struct cost all, plain;

    if (!check_counts(c))
        return;
    if (!find_priced(c, model, &p)) {
        refuse(c, 404,
               "Could not calculate cost for model '" STR_FMT "' (resolved to '" STR_FMT
               "'): This model isn't mapped yet.",
               STR_ARG(model), STR_ARG(p.model));
        return;
    }
    struct usage u = {.cache_read = (uint64_t)in_int(c, "cache_read_input_tokens"),
                      .cache_write = (uint64_t)in_int(c, "cache_creation_input_tokens"),
                      .reasoning = (uint64_t)in_int(c, "reasoning_tokens")};
    u.input = (uint64_t)in_int(c, "input_tokens") - u.cache_read - u.cache_write;
    u.output = (uint64_t)in_int(c, "output_tokens") - u.reasoning;
    cost_of(&all, &p.price, &u);
    struct usage unreasoned = u;
    unreasoned.reasoning = 0;
    cost_of(&plain, &p.price, &unreasoned);
    const struct part parts[] = {
        {"cost_per_request", "daily_cost", "monthly_cost", all.total_nusd},
        {"input_cost_per_request", "daily_input_cost", "monthly_input_cost",
         all.input_nusd + all.cache_read_nusd + all.cache_write_nusd},
        {"output_cost_per_request", "daily_output_cost", "monthly_output_cost", all.output_nusd},
        {"margin_cost_per_request", "daily_margin_cost", "monthly_margin_cost", 0},
        {"cache_read_cost_per_request", "daily_cache_read_cost", "monthly_cache_read_cost",
         all.cache_read_nusd},
        {"cache_creation_cost_per_request", "daily_cache_creation_cost",
         "monthly_cache_creation_cost", all.cache_write_nusd},
        {"reasoning_cost_per_request", "daily_reasoning_cost", "monthly_reasoning_cost",
         all.output_nusd - plain.output_nusd},
    };
    for (size_t i = 0; i < ARRAY_LEN(asked); i++)
        row_put(s, out, asked[i], in_val(c, asked[i]));
    put_parts(c, out, parts, ARRAY_LEN(parts));
    put_rates(c, out, &p.price, usage_prompt(&u));
    row_put_text(s, out, "provider", p.provider.n ? p.provider : (struct str){0});
    reply(c, out);
}
