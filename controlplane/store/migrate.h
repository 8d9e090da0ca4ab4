#pragma once

/*
 * The database is brought to what this program needs, before anything of it is served: forward only, one
 * control plane at a time (advisory lock), each step in its own transaction and recorded in
 * weir.migration. A database that LiteLLM made is adopted: its tables stay as they are, ours go
 * into the schema weir, triggers tell us of changes.
 */

#include "common/err.h"

#include "store/db.h"

enum migrate_mode {
    MIGRATE_RUN,    /* do what is missing; an unknown database only with `adopt` */
    MIGRATE_VERIFY, /* change nothing; fail when something is missing */
};

/* Says what it does, or would do, on `out`. ERRC_INVALID with what to do about it: a database with
 * foreign tables, one newer than this program, one to be adopted without `adopt`. ERRC_CLOSED,
 * ERRC_TIMEOUT: another try may work. */
MUST_CHECK enum errc migrate(const struct db_options *o, struct db_health *h,
                             enum migrate_mode mode, bool adopt, const struct db_wait *w, FILE *out,
                             struct err *e);
