#pragma once

/* Where the control planes stand in a spool (weir.spool), and what they never saw (weir.spool_gap).
 */

#include "store/tx.h"

struct spool_place {
    uint64_t segment, offset;
};

static inline int spool_place_cmp(struct spool_place a, struct spool_place b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

/* Locks the spool's row, made if new, until the transaction ends; where it stands. `spool` is its
 * id in hex. */
struct spool_place cursor_lock(struct tx *tx, struct str spool);

/* Moves it; `records` were taken, `damaged` places skipped. */
void cursor_advance(struct tx *tx, struct str spool, struct spool_place to, uint64_t records,
                    uint64_t damaged);

/* What lies between was never seen. */
void cursor_gap(struct tx *tx, struct str spool, struct spool_place from, struct spool_place to);
