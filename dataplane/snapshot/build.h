#pragma once

/* Builds a generation from a loaded configuration: flat file in a memfd, bounds-checked, sealed.
 * Link only. */

#include "common/err.h"

struct config; /* link/config.h */

/*
 * Gives a sealed memfd of generation `n`. Slots of deployments and origins are kept from `prev`
 * (may be NULL) for equal ids. ERRC_INVALID with file, line and key when a deployment cannot be
 * compiled.
 */
struct slots;
MUST_CHECK enum errc snapshot_build(int *ret_fd, const struct config *c, uint64_t n,
                                    struct slots *slots, struct err *e);
