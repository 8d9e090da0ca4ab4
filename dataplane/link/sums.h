#pragma once

/*
 * Usage while the spool takes no records (threats M-04): added up by who pays, for what and in
 * which hour, in the memory of the link. Written as records that say of how many exchanges they are
 * the sum, once the spool works again; lost with the link before that. Link only.
 */

#include "link/spool.h"
#include "shared/record.h"

enum { SUMS_MAX = 10000 }; /* beyond it all else becomes one sum, of nobody */

struct sums;

struct sums *sums_new(void); /* NULL: no memory */
struct sums *sums_free(struct sums *s);

/* False: no memory, it is not counted. */
MUST_CHECK bool sums_add(struct sums *s, const struct record *r);

size_t sums_count(const struct sums *s);

/* Appends what there is to the spool; what it does not take stays. `epoch`: of the shared file. */
MUST_CHECK enum errc sums_write(struct sums *s, struct spool *spool, uint64_t epoch, struct err *e);
