#pragma once

/* Where the control planes stand in a spool (weir.spool), what they never saw (weir.spool_gap), and
 * what they could not read (weir.spool_refused). A spool is named by its id in hex. */

#include "common/gateway/spool_record.h"

#include "store/tx.h"

struct spool_counts {
    uint64_t records, refused, damaged;
};

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
