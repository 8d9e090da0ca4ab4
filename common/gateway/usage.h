#pragma once

/*
 * Usage of one exchange in disjoint buckets: each token is counted in exactly one of them, whatever
 * way the provider nests its own counts (threats M-14). Sums: prompt = the five inputs, completion
 * = the outputs.
 */

#include "common/base.h"

struct usage {
    uint64_t input;          /* text input, neither read from nor written to a cache */
    uint64_t cache_read;     /* input read from the provider's cache */
    uint64_t cache_write;    /* input written to it, kept 5 minutes */
    uint64_t cache_write_1h; /* input written to it, kept 1 hour */
    uint64_t audio_in;
    uint64_t image_in;
    uint64_t output; /* text output without reasoning */
    uint64_t reasoning;
    uint64_t audio_out;
    uint64_t image_out;
    uint32_t web_searches;
    uint8_t tier;      /* enum usage_tier: what the reply says it was served at */
    uint8_t seen;      /* the provider reported usage */
    uint8_t estimated; /* some bucket is our estimate */
    uint8_t reserved;
};

enum usage_tier { TIER_DEFAULT, TIER_PRIORITY, TIER_FLEX, TIER_BATCH };

static inline uint64_t usage_prompt(const struct usage *u)
{
    return u->input + u->cache_read + u->cache_write + u->cache_write_1h + u->audio_in +
           u->image_in;
}

static inline uint64_t usage_completion(const struct usage *u)
{
    return u->output + u->reasoning + u->audio_out + u->image_out;
}
