#pragma once

/*
 * How many tokens a text is, estimated: one pass over what stands in a JSON literal, escapes
 * understood, nothing decoded or allocated. Words by length, digits by threes, everything else by
 * its script (tokens.def). How good that is: docs/decisions/0010-tokens-are-estimated.md.
 */

#include "common/jstr.h"

/* Bytes that are looked at; those behind them count as the ones before did. */
enum { TOKENS_LOOKED_AT = 256 * 1024 };

struct tokens { /* zeroed: none */
    uint64_t milli;
    uint64_t seen, unseen; /* bytes */
    uint64_t whole;        /* tokens added as such */
};

void tokens_add(struct tokens *t, struct jstr text);

uint64_t tokens_total(const struct tokens *t);

static inline uint64_t tokens_estimate(struct jstr text)
{
    struct tokens t = {0};

    tokens_add(&t, text);
    return tokens_total(&t);
}
