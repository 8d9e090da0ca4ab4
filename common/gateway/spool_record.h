#pragma once

/*
 * A record as it lies in a segment of a data plane's spool, and travels: little endian
 *
 *   length u32 (of all of it), type u8, version u8, id (epoch u64, region u32, seq u64), body,
 *   CRC-32C u32 of all before
 *
 * Pure.
 */

#include "common/str.h"

enum {
    SPOOL_HEAD = 26,
    SPOOL_CRC = 4,
    SPOOL_BODY_MAX = 4096,
    SPOOL_RECORD_LEAST = SPOOL_HEAD + SPOOL_CRC,
    SPOOL_RECORD_MOST = SPOOL_HEAD + SPOOL_BODY_MAX + SPOOL_CRC,
    SPOOL_USAGE = 1, /* type: body is UsageRecord */
    SPOOL_VERSION = 1,
};

struct spool_id {
    uint64_t epoch;
    uint32_t region;
    uint64_t seq;
};

struct spool_place { /* in a spool; {0, 0}: before all of it */
    uint64_t segment, offset;
};

static inline int spool_place_cmp(struct spool_place a, struct spool_place b)
{
    if (a.segment != b.segment)
        return a.segment < b.segment ? -1 : 1;
    return a.offset < b.offset ? -1 : a.offset > b.offset;
}

struct spool_entry { /* borrowed from the segment */
    struct spool_id id;
    uint8_t type, version;
    struct str body;
};

/* The record at the start of `n` bytes; false when there is no whole one. */
bool spool_record_read(const unsigned char *p, size_t n, struct spool_entry *ret, size_t *ret_len);

/* Writes head and checksum around a body that lies at p + SPOOL_HEAD; returns the length. */
size_t spool_record_seal(unsigned char *p, const struct spool_id *id, uint8_t type,
                         size_t body_len);

/*
 * Where the next record begins from `at` on: there, unless something is damaged. Behind damage
 * every byte may be a beginning, and is taken for one when two records follow each other: a text
 * inside a damaged record may look like one, not like two. `n`: there is none.
 */
size_t spool_record_find(const unsigned char *p, size_t n, size_t at);
