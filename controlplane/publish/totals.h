#pragma once

/*
 * Spend on its way down: which entities' spend changed since the last look (weir.spent, filled by
 * triggers whoever writes), what it is now and where the spools stand, all of one snapshot, to the
 * hub. A thread with a connection of its own, a look each half second while a data plane asks: so a
 * busy key costs a line a look and not one a request.
 */

#include "publish/entities.h"
#include "publish/hub.h"

struct totals;

struct totals_options { /* all borrowed until totals_free() */
    struct db *db;
    const struct entities *entities;
    struct hub *hub;
};

MUST_CHECK enum errc totals_new(struct totals **ret_t, const struct totals_options *o,
                                struct err *e);
struct totals *totals_free(struct totals *t);
