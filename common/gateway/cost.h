#pragma once

/* The price of an exchange: summed in 128 bits of pico-dollars, rounded once, half up, to
 * nano-dollars. */

#include "common/gateway/price.h"
#include "common/gateway/usage.h"

struct cost {
    int64_t total_nusd;
    int64_t input_nusd, output_nusd, cache_read_nusd,
        cache_write_nusd; /* parts, each rounded alone, for headers */
    bool unpriced; /* a bucket with tokens has no price: the total leaves it out and says so */
};

/*
 * Prices `u` by `p` (rules: litellm-dataplane.md 9.1). Where the prompt falls in a band, the band
 * prices the whole request; else the tier's price, else the plain one. A cache, reasoning, audio or
 * image bucket without a price of its own, or with one that only repeats the plain text price,
 * takes the text price of its side. A batch is half price where no batch price is stated. Saturates
 * instead of overflowing.
 */
void cost_of(struct cost *c, const struct price *p, const struct usage *u);
