#pragma once

/* A record as the message UsageRecord of proto/weir.proto. Link only. */

#include "shared/record.h"

enum { USAGE_PACK_MAX = RECORD_MAX + 512 }; /* bytes of the message made of any record */

/* Writes the message to `out` (USAGE_PACK_MAX bytes) and returns its length. `exchanges`: 0, or of
 * how many it is the sum. No allocation. */
size_t usage_pack(unsigned char *out, const struct record *r, uint64_t exchanges);
