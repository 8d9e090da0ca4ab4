/* One price: its fields by LiteLLM's names, its bands in order. */

#include "common/gateway/price.h"

#include "common/num.h"

static const struct str item_names[PRICE_ITEMS] = {
#define PRICE(id, name) STR_INIT(name),
#include "common/gateway/price.def"
#undef PRICE
};

/* What a band may state: "<name>_above_200k_tokens". */
static const struct {
    struct str name;
    size_t at;
} band_fields[] = {
    {STR_INIT("input_cost_per_token"), offsetof(struct price_band, input)},
    {STR_INIT("output_cost_per_token"), offsetof(struct price_band, output)},
    {STR_INIT("cache_read_input_token_cost"), offsetof(struct price_band, cache_read)},
    {STR_INIT("cache_creation_input_token_cost"), offsetof(struct price_band, cache_write)},
};

/* Items counted in tokens: what a regional factor raises. */
static const enum price_item token_items[] = {
    PRICE_INPUT,
    PRICE_OUTPUT,
    PRICE_CACHE_READ,
    PRICE_CACHE_WRITE,
    PRICE_CACHE_WRITE_1H,
    PRICE_REASONING,
    PRICE_AUDIO_IN,
    PRICE_AUDIO_OUT,
    PRICE_IMAGE_IN,
    PRICE_IMAGE_OUT,
    PRICE_INPUT_PRIORITY,
    PRICE_OUTPUT_PRIORITY,
    PRICE_CACHE_READ_PRIORITY,
    PRICE_INPUT_FLEX,
    PRICE_OUTPUT_FLEX,
    PRICE_CACHE_READ_FLEX,
    PRICE_INPUT_BATCHES,
    PRICE_OUTPUT_BATCHES,
};

static const struct {
    struct str host;
    enum price_item factor;
} regions[] = {
    {STR_INIT("eu.api.openai.com"), PRICE_UPLIFT_EU},
    {STR_INIT("us.api.openai.com"), PRICE_UPLIFT_US},
};

enum { DOLLAR_DIGITS = 12 }; /* pico */

void price_init(struct price *p)
{
    *p = (struct price){0};
    for (size_t i = 0; i < PRICE_ITEMS; i++)
        p->item[i] = PRICE_UNKNOWN;
    for (size_t i = 0; i < PRICE_BANDS; i++)
        p->band[i] =
            (struct price_band){0, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN};
}

enum price_item price_item_named(struct str name)
{
    for (size_t i = 0; i < PRICE_ITEMS; i++)
        if (str_eq(name, item_names[i]))
            return (enum price_item)i;
    return PRICE_ITEMS;
}

static bool price_number(struct str value, int64_t *ret)
{
    int64_t v;

    if (!num_scaled(value, DOLLAR_DIGITS, &v) || v < 0)
        return false;
    *ret = v;
    return true;
}

/* The band that begins at `above`, made in its place if there is room; NULL when there is none. */
static struct price_band *price_band_at(struct price *p, uint64_t above)
{
    size_t i = 0;

    while (i < PRICE_BANDS && p->band[i].above_tokens && p->band[i].above_tokens < above)
        i++;
    if (i < PRICE_BANDS && p->band[i].above_tokens == above)
        return &p->band[i];
    if (p->band[PRICE_BANDS - 1].above_tokens)
        return NULL;
    for (size_t k = PRICE_BANDS - 1; k > i; k--)
        p->band[k] = p->band[k - 1];
    p->band[i] =
        (struct price_band){above, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN};
    return &p->band[i];
}

bool price_add_band(struct price *p, const struct price_band *band)
{
    struct price_band *at = price_band_at(p, band->above_tokens);

    if (at)
        *at = *band;
    return at != NULL;
}

/* "input_cost_per_token_above_200k_tokens". */
static enum price_field price_set_band(struct price *p, struct str name, struct str value)
{
    size_t at = str_find(name, STR("_above_"));
    struct str kind = {name.p, at};
    uint32_t thousands;
    int64_t pusd;

    if (at == SIZE_MAX || !str_ends(name, STR("k_tokens")))
        return PRICE_FIELD_OTHER;
    struct str digits = str_from(name, at + STR("_above_").n);
    digits.n -= MIN(digits.n, STR("k_tokens").n);
    for (size_t i = 0; i < ARRAY_LEN(band_fields); i++) {
        if (!str_eq(kind, band_fields[i].name) || !num_u32(digits, &thousands) || !thousands)
            continue;
        if (!price_number(value, &pusd))
            return PRICE_FIELD_BAD;
        struct price_band *b = price_band_at(p, thousands * UINT64_C(1000));
        if (!b)
            return PRICE_FIELD_BAD;
        memcpy((char *)b + band_fields[i].at, &pusd, sizeof pusd);
        return PRICE_FIELD_SET;
    }
    return PRICE_FIELD_OTHER;
}

/* A count of tokens; published maps write some as 1.28e5. */
static enum price_field price_set_limit(uint32_t *ret, struct str value)
{
    int64_t v;

    if (!num_scaled(value, 0, &v) || v < 0 || v > UINT32_MAX)
        return PRICE_FIELD_BAD;
    *ret = (uint32_t)v;
    return PRICE_FIELD_SET;
}

void price_each(const struct price *p, price_figure_fn fn, void *ctx)
{
    char name[64];

    for (size_t i = 0; i < PRICE_ITEMS; i++)
        if (p->item[i] != PRICE_UNKNOWN)
            fn(ctx, item_names[i], p->item[i]);
    for (size_t i = 0; i < PRICE_BANDS && p->band[i].above_tokens; i++)
        for (size_t k = 0; k < ARRAY_LEN(band_fields); k++) {
            int64_t pusd;
            memcpy(&pusd, (const char *)&p->band[i] + band_fields[k].at, sizeof pusd);
            int n = snprintf(name, sizeof name, STR_FMT "_above_%lluk_tokens",
                             STR_ARG(band_fields[k].name),
                             (unsigned long long)(p->band[i].above_tokens / 1000));
            if (pusd != PRICE_UNKNOWN)
                fn(ctx, (struct str){name, (size_t)n}, pusd);
        }
}

enum price_field price_set(struct price *p, struct str name, struct str value)
{
    enum price_item i = price_item_named(name);

    if (i != PRICE_ITEMS)
        return price_number(value, &p->item[i]) ? PRICE_FIELD_SET : PRICE_FIELD_BAD;
    if (str_eq(name, STR("max_input_tokens")))
        return price_set_limit(&p->max_input_tokens, value);
    if (str_eq(name, STR("max_output_tokens")))
        return price_set_limit(&p->max_output_tokens, value);
    if (str_eq(name, STR("max_tokens"))) { /* the older name; the newer one beside it wins */
        uint32_t v;
        enum price_field how = price_set_limit(&v, value);
        if (how == PRICE_FIELD_SET && !p->max_output_tokens)
            p->max_output_tokens = v;
        return how;
    }
    return price_set_band(p, name, value);
}

/* v times trillionths, rounded half up, saturating. */
static int64_t scaled(int64_t v, int64_t trillionths)
{
    const __int128 one = INT64_C(1000000000000);

    if (v == PRICE_UNKNOWN)
        return v;
    __int128 product = ((__int128)v * trillionths + one / 2) / one;
    return product > INT64_MAX ? INT64_MAX : (int64_t)product;
}

void price_regional(struct price *p, struct str host)
{
    for (size_t r = 0; r < ARRAY_LEN(regions); r++) {
        if (!str_ieq(host, regions[r].host) || !price_known(p, regions[r].factor))
            continue;
        int64_t factor = p->item[regions[r].factor];
        for (size_t i = 0; i < ARRAY_LEN(token_items); i++)
            p->item[token_items[i]] = scaled(p->item[token_items[i]], factor);
        for (size_t i = 0; i < PRICE_BANDS; i++) {
            struct price_band *b = &p->band[i];
            b->input = scaled(b->input, factor);
            b->output = scaled(b->output, factor);
            b->cache_read = scaled(b->cache_read, factor);
            b->cache_write = scaled(b->cache_write, factor);
        }
    }
}

const struct price_band *price_band_of(const struct price *p, uint64_t prompt_tokens)
{
    const struct price_band *in = NULL;

    for (size_t i = 0; i < PRICE_BANDS && p->band[i].above_tokens; i++)
        if (prompt_tokens > p->band[i].above_tokens)
            in = &p->band[i];
    return in;
}
