#pragma once

/*
 * A control plane begins whether or not its database is there. One thread brings the database up to
 * date and begins what needs it, as often as that takes; until then requests are 503, data planes
 * are told AWAY, and the process is alive. Only what another try does not mend ends it: a database
 * of somebody else's, a newer schema, an authority that does not open.
 */

#include "common/err.h"

struct daemon;
struct opener;

struct opener_options {
    bool adopt;
    /* On its thread, once: daemon_is_open() holds, or `e` says why it never will. */
    void (*done)(void *ctx, const struct err *e);
    void *ctx;
};

MUST_CHECK enum errc opener_new(struct opener **ret_o, struct daemon *d,
                                const struct opener_options *options, struct err *e);
/* Ends the thread, in the middle of it if need be; what it began is the daemon's. */
struct opener *opener_free(struct opener *o);

/* The database brought up to date, and nothing else: --migrate. */
MUST_CHECK enum errc opener_migrate(struct daemon *d, bool adopt, struct err *e);
