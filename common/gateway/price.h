#pragma once

/*
 * What a model costs, in integer pico-dollars per unit (litellm-dataplane.md 9.1, 9.3). A figure
 * that is not stated is PRICE_UNKNOWN: an exchange that needs it is "unpriced", never silently
 * free.
 */

#include "common/err.h"
#include "common/str.h"

#define PRICE_UNKNOWN INT64_MIN

enum price_item {
#define PRICE(id, name) PRICE_##id,
#include "common/gateway/price.def"
#undef PRICE
    PRICE_ITEMS,
};

/* Prices of the whole request once its prompt is larger than above_tokens. */
struct price_band {
    uint64_t above_tokens;                          /* 0: unused, and so are the bands behind it */
    int64_t input, output, cache_read, cache_write; /* PRICE_UNKNOWN: the item's */
};

enum { PRICE_BANDS = 3 };

/* Fixed layout: lies in the snapshot as it is. */
struct price {
    int64_t item[PRICE_ITEMS];           /* pico-dollars per unit, or PRICE_UNKNOWN */
    struct price_band band[PRICE_BANDS]; /* rising above_tokens */
    uint32_t max_input_tokens;           /* 0: not stated */
    uint32_t max_output_tokens;          /* 0: not stated */
};

/* Nothing stated. */
void price_init(struct price *p);

/* The item of a LiteLLM field name ("input_cost_per_token"), or PRICE_ITEMS. */
enum price_item price_item_named(struct str name);

static inline bool price_known(const struct price *p, enum price_item i)
{
    return p->item[i] != PRICE_UNKNOWN;
}

/* Each figure that is stated, bands among them, by LiteLLM's name for it; valid during the call. */
typedef void (*price_figure_fn)(void *ctx, struct str name, int64_t pusd);
void price_each(const struct price *p, price_figure_fn fn, void *ctx);

enum price_field {
    PRICE_FIELD_SET,
    PRICE_FIELD_OTHER, /* not a field of the price: *p untouched */
    PRICE_FIELD_BAD,   /* one, but `value` is no number it may have: *p untouched */
};

/*
 * Sets one field of a LiteLLM price entry or of model_info and litellm_params, `value` a decimal in
 * dollars ("2.5e-06") or tokens: the items, "..._above_200k_tokens" (any number of thousands, up to
 * PRICE_BANDS of them, more are BAD), max_tokens, max_input_tokens, max_output_tokens.
 */
enum price_field price_set(struct price *p, struct str name, struct str value);

/* Applies the regional factor of an OpenAI host ("eu.api.openai.com") to the prices of tokens. */
void price_regional(struct price *p, struct str host);

/* Adds a band in its place; false when there is no room. One that begins at the same size is
 * replaced. */
bool price_add_band(struct price *p, const struct price_band *band);

/* The band a prompt of that size falls in, or NULL. */
const struct price_band *price_band_of(const struct price *p, uint64_t prompt_tokens);
