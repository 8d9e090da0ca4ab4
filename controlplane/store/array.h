#pragma once

/* Arrays of many elements as values of a statement: in binary, which neither side has to spell. The
 * statement names their type, $1::text[] or $1::bigint[]. In the arena. */

#include "store/tx.h"

struct db_arg array_of_texts(struct arena *a, const struct str *v, size_t n);
struct db_arg array_of_ints(struct arena *a, const int64_t *v, size_t n);
