#pragma once

/* Where the control planes stand in a spool (weir.spool), what they never saw (weir.spool_gap), and
 * what they could not read (weir.spool_refused). A spool is named by its id in hex. */

#include "store/tx.h"

struct spool_place {
    uint64_t segment, offset;
};

struct spool_counts {
    uint64_t records, refused, damaged;
};

static inline int spool_place_cmp(struct spool_place a, struct spool_place b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

/* Locks the spool's row, made if new, until the transaction ends; where it stands. {0, 0}: nothing
 * of it was taken yet. */
struct spool_place cursor_lock(struct tx *tx, struct str spool);

void cursor_advance(struct tx *tx, struct str spool, struct spool_place to,
                    const struct spool_counts *more);

/* What lies between was never seen. */
void cursor_gap(struct tx *tx, struct str spool, struct spool_place from, struct spool_place to);

/* A record that does not become a row, and why. */
void cursor_refuse(struct tx *tx, struct str spool, struct spool_place at, struct str record,
                   const char *why);
