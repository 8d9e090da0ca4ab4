#pragma once

/*
 * The record of an exchange from its first moment to the ring. It lies in an in-flight slot of the
 * shared file all the while, so that whatever happens to the worker the link can settle it;
 * published, it is the ledger's.
 */

#include "api/context.h"

/* All slots free, no matter what a predecessor left: the link settled them. Called once at start.
 */
void meter_init(struct context *cx);

/* A slot with a record that says when it began (monotonic), not yet the link's business, or NULL
 * when REGION_INFLIGHT exchanges are open or the ring is nearly full. */
struct inflight *meter_open(struct context *cx, uint64_t start_ns);

/* The record says who and where: from now on the link settles it if this worker dies. */
void meter_start(struct context *cx, struct inflight *slot);

/*
 * Charges what it cost, publishes the finished record and frees the slot. Without room in the ring
 * the slot waits, complete (end_us is set), and meter_retry() publishes it later.
 */
void meter_close(struct context *cx, struct inflight *slot);

/* Frees the slot without a record: nothing happened. */
void meter_drop(struct context *cx, struct inflight *slot);

/* Publishes what waits for room in the ring. Called by the worker's coarse timer. */
void meter_retry(struct context *cx);

/* With nothing in flight: gives the pages of slots and ring that a busy time touched back to the
 * system. */
void meter_trim(struct context *cx);

/* Usage into the record, priced by `p` (NULL: unpriced); adds to the counters of deployment `slot`.
 */
void meter_price(struct record *rec, const struct usage *u, const struct price *p);

/* Adds a closed exchange to the deployment's counters. */
void meter_count(struct context *cx, uint32_t deployment_slot, const struct record *rec,
                 bool success);
