/*
 * Each bucket of usage finds its price in the same three steps (band, tier, plain) and falls back
 * to the text price of its side. Sums are kept in half pico-dollars, because a batch may cost half
 * of an odd price, and saturate at the top of 128 bits.
 */

#include "common/gateway/cost.h"

typedef unsigned __int128 sum_t; /* half pico-dollars */

enum { HALF_PICO_PER_NANO = 2000 };

/* A rate in half pico-dollars; unknown is no rate at all. */
struct rate {
    uint64_t half_pusd;
    bool known;
};

struct pricing {
    const struct price *p;
    const struct price_band *band; /* the prompt's, or NULL */
    enum usage_tier tier;
};

enum { NO_ITEM = PRICE_ITEMS };

/* Where the price of a bucket stands besides its own item. */
struct bucket_desc {
    uint8_t item, priority, flex, batch; /* enum price_item, or NO_ITEM */
    uint8_t band_at;                     /* offset in struct price_band, or 0 */
};

#define BAND(field) offsetof(struct price_band, field)
static const struct bucket_desc text_in = {PRICE_INPUT, PRICE_INPUT_PRIORITY, PRICE_INPUT_FLEX,
                                           PRICE_INPUT_BATCHES, BAND(input)};
static const struct bucket_desc text_out = {PRICE_OUTPUT, PRICE_OUTPUT_PRIORITY, PRICE_OUTPUT_FLEX,
                                            PRICE_OUTPUT_BATCHES, BAND(output)};
static const struct bucket_desc cache_read = {PRICE_CACHE_READ, PRICE_CACHE_READ_PRIORITY,
                                              PRICE_CACHE_READ_FLEX, NO_ITEM, BAND(cache_read)};
static const struct bucket_desc cache_write = {PRICE_CACHE_WRITE, NO_ITEM, NO_ITEM, NO_ITEM,
                                               BAND(cache_write)};
#undef BAND

static bool stated(const struct price *p, unsigned item)
{
    return item != NO_ITEM && p->item[item] != PRICE_UNKNOWN;
}

/* `halves` 2 is the whole price. A negative one cannot be paid: as good as unknown. */
static struct rate rate_of(int64_t pusd, unsigned halves)
{
    if (pusd < 0)
        return (struct rate){0};
    return (struct rate){(uint64_t)pusd * halves, true};
}

static struct rate bucket_rate(const struct pricing *by, const struct bucket_desc *b)
{
    const unsigned halves = by->tier == TIER_BATCH ? 1 : 2;
    int64_t banded = PRICE_UNKNOWN;

    if (by->band && b->band_at)
        memcpy(&banded, (const char *)by->band + b->band_at, sizeof banded);
    if (banded != PRICE_UNKNOWN)
        return rate_of(banded, halves);
    if (by->tier == TIER_PRIORITY && stated(by->p, b->priority))
        return rate_of(by->p->item[b->priority], 2);
    if (by->tier == TIER_FLEX && stated(by->p, b->flex))
        return rate_of(by->p->item[b->flex], 2);
    if (by->tier == TIER_BATCH && stated(by->p, b->batch))
        return rate_of(by->p->item[b->batch], 2);
    return rate_of(by->p->item[b->item], halves);
}

static struct rate or_else(struct rate own, struct rate text)
{
    return own.known ? own : text;
}

/* The rate of a kind of token that has but one item; `plain` is the text item of its side. */
static struct rate kind_rate(const struct pricing *by, enum price_item item, enum price_item plain,
                             struct rate text)
{
    const struct bucket_desc kind = {(uint8_t)item, NO_ITEM, NO_ITEM, NO_ITEM, 0};

    if (by->p->item[item] == by->p->item[plain])
        return text;
    return or_else(bucket_rate(by, &kind), text);
}

/* Adds `units` at `r` to *sum; units without a rate make the exchange unpriced. */
static void sum_add(struct cost *c, sum_t *sum, uint64_t units, struct rate r)
{
    sum_t part;

    if (units == 0)
        return;
    if (!r.known) {
        c->unpriced = true;
        return;
    }
    if (__builtin_mul_overflow((sum_t)units, (sum_t)r.half_pusd, &part) ||
        __builtin_add_overflow(*sum, part, sum))
        *sum = ~(sum_t)0;
}

static int64_t sum_nusd(sum_t sum)
{
    sum_t nano = sum / HALF_PICO_PER_NANO + (sum % HALF_PICO_PER_NANO >= HALF_PICO_PER_NANO / 2);

    return nano > INT64_MAX ? INT64_MAX : (int64_t)nano;
}

void cost_of(struct cost *c, const struct price *p, const struct usage *u)
{
    const struct pricing by = {p, price_band_of(p, usage_prompt(u)), (enum usage_tier)u->tier};
    const struct rate in = bucket_rate(&by, &text_in), out = bucket_rate(&by, &text_out);
    const struct rate write = or_else(bucket_rate(&by, &cache_write), in);
    sum_t input = 0, output = 0, read = 0, written = 0, other = 0;

    *c = (struct cost){0};
    sum_add(c, &input, u->input, in);
    sum_add(c, &input, u->audio_in, kind_rate(&by, PRICE_AUDIO_IN, PRICE_INPUT, in));
    sum_add(c, &input, u->image_in, kind_rate(&by, PRICE_IMAGE_IN, PRICE_INPUT, in));
    sum_add(c, &read, u->cache_read, or_else(bucket_rate(&by, &cache_read), in));
    sum_add(c, &written, u->cache_write, write);
    sum_add(c, &written, u->cache_write_1h,
            kind_rate(&by, PRICE_CACHE_WRITE_1H, PRICE_CACHE_WRITE, write));
    sum_add(c, &output, u->output, out);
    sum_add(c, &output, u->reasoning, kind_rate(&by, PRICE_REASONING, PRICE_OUTPUT, out));
    sum_add(c, &output, u->audio_out, kind_rate(&by, PRICE_AUDIO_OUT, PRICE_OUTPUT, out));
    sum_add(c, &output, u->image_out, kind_rate(&by, PRICE_IMAGE_OUT, PRICE_OUTPUT, out));
    if (price_known(p, PRICE_REQUEST))
        sum_add(c, &other, 1, rate_of(p->item[PRICE_REQUEST], 2));
    sum_add(c, &other, u->web_searches, rate_of(p->item[PRICE_WEB_SEARCH], 2));

    c->input_nusd = sum_nusd(input);
    c->output_nusd = sum_nusd(output);
    c->cache_read_nusd = sum_nusd(read);
    c->cache_write_nusd = sum_nusd(written);
    const sum_t parts[] = {output, read, written, other};
    sum_t total = input;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (__builtin_add_overflow(total, parts[i], &total))
            total = ~(sum_t)0;
    c->total_nusd = sum_nusd(total);
}
