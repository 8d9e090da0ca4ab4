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

/* Fixed layout: lies in the snapshot as it is. */
struct price {
    int64_t item[PRICE_ITEMS]; /* pico-dollars per unit, or PRICE_UNKNOWN */
    uint64_t above_tokens; /* prompt size beyond which the _ABOVE items price the whole request; 0:
                              none */
    uint32_t max_input_tokens;  /* 0: not stated */
    uint32_t max_output_tokens; /* 0: not stated */
};

/* All items PRICE_UNKNOWN. */
void price_init(struct price *p);

/* The item of a LiteLLM field name ("input_cost_per_token"), or PRICE_ITEMS. */
enum price_item price_item_named(struct str name);

static inline bool price_known(const struct price *p, enum price_item i)
{
    return p->item[i] != PRICE_UNKNOWN;
}
