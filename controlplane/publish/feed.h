#pragma once

/*
 * What changed lately, packed: the revisions that are answered from memory. Bounded by bytes; what
 * fell out is answered by a full sync. Pure; its owner locks.
 */

#include "publish/entity.h"

enum { FEED_MAX = 16 * 1024 * 1024, FEED_REVISIONS = 4096 };

struct feed_batch {
    uint64_t to; /* the revision that holds once these entities were taken */
    struct packed entities;
};

struct feed {
    uint64_t epoch;             /* 0: nothing is known yet */
    uint64_t base, n;           /* whoever has one of base..n is answered from here */
    struct feed_batch *batches; /* private: a ring of FEED_REVISIONS */
    unsigned first, count;      /* private */
    size_t bytes;               /* private */
};

MUST_CHECK bool feed_init(struct feed *f);
void feed_deinit(struct feed *f);

/* Nothing before this revision is known from here. */
void feed_reset(struct feed *f, uint64_t epoch, uint64_t n);

/* The entities (taken) lead from f->n to `n`. */
void feed_push(struct feed *f, uint64_t n, struct packed *take_entities);

/* Where a page begins: in the batch that leads to `to`, behind `offset` bytes. */
struct feed_place {
    uint64_t to;
    size_t offset;
};

/* It was a revision, and all that came behind it is here. Between two revisions there may be
 * numbers that never were one, or were one of a database that is lost. */
bool feed_has(const struct feed *f, uint64_t epoch, uint64_t n);

/* How many revisions came behind it; those before the base count as one. */
uint64_t feed_behind(const struct feed *f, uint64_t n);

/*
 * Whole entities behind revision `have`, from `at` on ({0}: the first), up to `max` bytes but at
 * least one, given piece by piece to `put`; `at` moves on. True: those were the last. False with
 * at->to 0: what `at` named is not here any more.
 */
bool feed_page(const struct feed *f, uint64_t have, struct feed_place *at, size_t max,
               void (*put)(void *ctx, struct str piece), void *ctx);
