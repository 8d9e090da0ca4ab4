#pragma once

/* One file of identities, as its readers here share it: the workers' view and the directory. */

#include "snapshot/identity.h"

/* The checks of a base (`base` 0) or of an overlay over base `base`: whatever it holds, the
 * functions below then stay inside. */
MUST_CHECK enum errc identity_check(const struct snapshot *s, uint64_t base, struct err *e);

/* Maps and checks. Gives one reference. */
MUST_CHECK enum errc identity_map(struct snapshot **ret_s, int fd, uint64_t base, struct err *e);

/* A view of two files that are mapped and checked; takes a reference of each, also on failure. */
MUST_CHECK enum errc identities_join(struct identities **ret_i, struct snapshot *take_base,
                                     struct snapshot *take_overlay, struct err *e);

/* The entry of an entity in one file, IDENTITY_GONE or not; NULL: none. */
const struct identity *identity_find(const struct snapshot *s, enum identity_kind kind,
                                     struct str id, uint32_t hash);
const struct identity *identity_of_slot(const struct snapshot *s, uint32_t slot);
