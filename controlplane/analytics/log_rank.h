#pragma once

/*
 * Which parts of many ordered lists hold a page of them all together. Of a part is known between
 * which keys it lies and how many of its entries match; a page is found among the few that cannot
 * be told from it.
 */

#include "common/arena.h"

/* An entry's place in the order of all: those without a value come last, those of one value in the
 * order of their sources, and in a source of its own. */
struct log_key {
    bool is_null;
    double value;
    int64_t source, i;
};
int log_key_cmp(const struct log_key *a, const struct log_key *b);

struct log_part {
    struct log_key begin, end;   /* of its entries; end is beyond them */
    uint32_t source, first, n;   /* entries of a source, in its order */
    unsigned model;              /* whose alone; else 0 */
    uint32_t found;              /* of which match */
    const struct log_live *live; /* the one entry; NULL: a source's */
    bool is_near;                /* may hold entries of the page */
};

/*
 * Marks the parts that entries [offset, offset + limit) of all that match may lie in. Entries of
 * other parts are before the page or behind it: returns how many are before. The scratch is taken
 * from the arena.
 */
int64_t log_near(struct arena *a, struct log_part *parts, size_t n, int64_t offset, int64_t limit);
