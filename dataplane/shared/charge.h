#pragma once

/*
 * Which counters an exchange adds to and gives back to. It lies beside the record in the in-flight
 * slot, so that the link can do for a dead worker what that can no longer do: add the cost, give
 * back what ran at once. Tokens that were reserved stay counted then; they are the best estimate.
 */

#include "shared/counters.h"

enum { CHARGE_SLOTS = 32, CHARGE_PAIRS = 48, CHARGE_POD = 0xfffffffe /* in place of a slot */ };

enum charge_what {
    CHARGE_SPEND = BIT(0),
    CHARGE_TOKENS = BIT(1),   /* a limit counts them: charges.reserved are taken */
    CHARGE_REQUEST = BIT(2),  /* one is taken */
    CHARGE_PARALLEL = BIT(3), /* one runs */
};

struct charge_slot {
    uint32_t slot; /* or CHARGE_POD */
    uint32_t what; /* enum charge_what, bits */
};

struct charge_pair {
    uint64_t id;
    uint32_t index;
    uint32_t what;
};

struct charges {
    uint32_t n_slots, n_pairs;
    uint32_t taken_s;  /* wall second */
    uint32_t window_s; /* length of the windows */
    uint64_t reserved; /* tokens */
    struct charge_slot slot[CHARGE_SLOTS];
    struct charge_pair pair[CHARGE_PAIRS];
};

static inline void charges_init(struct charges *c)
{
    c->n_slots = c->n_pairs = 0;
}

/* What is in use of it: most of it seldom is. */
static inline void charges_copy(struct charges *to, const struct charges *from)
{
    memcpy(to, from, offsetof(struct charges, slot));
    memcpy(to->slot, from->slot, from->n_slots * sizeof *from->slot);
    memcpy(to->pair, from->pair, from->n_pairs * sizeof *from->pair);
}

static inline bool charges_any(const struct charges *c)
{
    return c->n_slots || c->n_pairs;
}

/* Remembers `what` of a slot or a pair; false: there is no room for more. */
bool charge_slot_add(struct charges *c, uint32_t slot, unsigned what);
bool charge_pair_add(struct charges *c, const struct counters *n, const struct pair_counter *p,
                     unsigned what);

/* Adds what an exchange that ended at `end_s` cost to everything with CHARGE_SPEND. */
void charges_spend(const struct charges *c, const struct counters *n, int64_t nusd, uint32_t end_s);

/* In place of the reserved tokens those that were used. */
void charges_tokens(const struct charges *c, const struct counters *n, uint32_t now_s,
                    uint64_t used);

/* Gives back a slot of everything with CHARGE_PARALLEL. */
void charges_release(const struct charges *c, const struct counters *n);

/* As if it had never been asked: requests, tokens and parallel. */
void charges_undo(const struct charges *c, const struct counters *n, uint32_t now_s);
