#pragma once

/* What a dead worker left behind: exchanges without an end. Link only. */

#include "shared/region.h"
#include "snapshot/view.h"

/*
 * Completes the record of an exchange whose worker died: RECORD_DIED, the time of its end, and
 * usage estimated from bytes where the provider had reported none, priced by `snap` (may be NULL:
 * then RECORD_UNPRICED). Repeating it changes nothing but the time.
 */
void record_settle(struct record *r, const struct snapshot *snap, int64_t now_us);

/*
 * Publishes what is lost of a dead region into its own ring, from where it goes the way of every
 * record. What it cost is charged, and what ran at once is given back. False: the ring is full; to
 * be called again once it is drained. *ret_settled grows by the records published.
 */
bool region_settle(struct region *r, const struct snapshot *snap, const struct counters *counters,
                   uint64_t *ret_settled);
