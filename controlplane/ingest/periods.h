#pragma once

/*
 * Budgets' periods begin before usage of them is taken. After the database, or all control planes,
 * were away over the end of a period the jobs (jobs/reset.c) and what was kept meanwhile come at
 * once; what were taken first would be set back with the period that is over.
 */

#include <stdatomic.h>

#include "store/tx.h"

struct periods { /* private */
    atomic_uint_least64_t begun_ns, stale_ns;
};

/* False: the jobs have not run for long, and are about to. Where they do not, usage waits a minute
 * and no longer. A statement of `tx`, now and then. */
MUST_CHECK bool periods_begun(struct periods *p, struct tx *tx);
