#pragma once

/* Builds a generation from a loaded configuration: flat file in a memfd, bounds-checked, sealed.
 * Link only. */

#include "common/err.h"

struct config; /* link/config.h */

/* Slot numbers of shared counters, which outlive generations: one for each deployment id and each
 * origin, kept while it is configured and for two generations after. */
struct slots;
struct slots *slots_new(void); /* NULL: no memory */
struct slots *slots_free(struct slots *s);

struct snapshot; /* snapshot/view.h */

/* Takes over the slots of a generation another process of the link built. */
void slots_adopt(struct slots *s, const struct snapshot *generation);

/*
 * Gives a sealed memfd of generation `n`, which must grow from call to call of one `slots`. `c`
 * must be free of errors (config_load). ERRC_LIMIT when it does not fit a generation, ERRC_NOMEM,
 * ERRC_SYS.
 */
MUST_CHECK enum errc snapshot_build(int *ret_fd, const struct config *c, uint64_t n,
                                    struct slots *slots, struct err *e);
