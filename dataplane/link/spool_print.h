#pragma once

/* `weir-link --spool DIR`: for people and tests. */

#include "common/base.h"

/* Prints every record of the spool in `dir` to `out`, one JSON object a line. Returns the exit
 * code: 1 when the spool cannot be read or holds damaged places. */
int spool_print(const char *dir, FILE *out);
