#pragma once

/* What both planes know of a prompt with its reply on its way (proto/weir.proto). */

#include "common/arena.h"

enum {
    TRANSCRIPTS_BATCH = 64,              /* of a request */
    TRANSCRIPTS_BYTES = 4 * 1024 * 1024, /* of a request, sealed */
    TRANSCRIPT_MAX = 2304 * 1024,        /* bytes of one, before it is sealed */
};

/* The place it is sealed for (seal.h); in the arena, empty when that has no room. */
static inline struct str transcript_place(struct arena *a, struct str call, int64_t start_us,
                                          uint32_t attempt)
{
    return arena_printf(a, "transcript " STR_FMT " %lld %u", STR_ARG(call), (long long)start_us,
                        attempt);
}
