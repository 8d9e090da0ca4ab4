#pragma once

/* The records of a batch: what became of each. */

#include "ingest/cursor.h"
#include "ingest/spent.h"

enum { BATCH_SPOOL_HEX = 32 };

struct refusal { /* a whole record that cannot become a row */
    struct str raw;
    const char *why;
};

struct batch {
    const Weir__UsageBatch *b;
    char hex[BATCH_SPOOL_HEX];
    struct spool_place after, from, to; /* nothing is left between the first two */
    struct spent *spent;
    size_t n_spent;
    struct refusal *refused;
    size_t n_refused;
    uint64_t damaged; /* places skipped */
};

static inline struct str batch_spool(const struct batch *b)
{
    return (struct str){b->hex, sizeof b->hex};
}

/* Where in its segment something of its records lies. */
static inline uint64_t batch_offset(const struct batch *b, const char *p)
{
    return b->from.offset + (uint64_t)(p - (const char *)b->b->records.data);
}

/* Checks its place and reads its records into the arena; `b` is borrowed. ERRC_INVALID: it is no
 * batch. */
MUST_CHECK enum errc batch_read(struct batch *ret, const Weir__UsageBatch *b, bool agent_tags,
                                int64_t now_ms, struct arena *a, struct err *e);
