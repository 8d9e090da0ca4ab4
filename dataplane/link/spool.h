#pragma once

/*
 * The spool: usage records on disk until the control plane has them. Link only; one link at a time.
 *
 *   DIR/0000000001.seg ...   segments of 64 MiB: records one after the other, little endian
 *   record                   length u32 (of all of it), type u8, version u8,
 *                            id (epoch u64, region u32, seq u64), body, CRC-32C u32 of all before
 *   DIR/lock                 held by the link that writes
 *
 * A record is safe from a dying process once spool_flush() returned ERRC_OK, and from a dying
 * machine some 10 ms later: a thread of the spool syncs. The steady state allocates nothing.
 */

#include "common/err.h"
#include "common/str.h"

enum {
    SPOOL_HEAD = 26,
    SPOOL_CRC = 4,
    SPOOL_BODY_MAX = 4096,
    SPOOL_BUFFER = 128 * 1024,
    SPOOL_USAGE = 1, /* type: body is UsageRecord */
    SPOOL_VERSION = 1,
};

struct spool_id {
    uint64_t epoch;
    uint32_t region;
    uint64_t seq;
};

struct spool_entry { /* borrowed from the segment */
    struct spool_id id;
    uint8_t type, version;
    struct str body;
};

typedef void (*spool_entry_fn)(void *ctx, const struct spool_entry *en);

struct spool_options {
    const char *dir;
    uint64_t segment_bytes; /* 0: 64 MiB */
    uint64_t max_bytes;     /* of all segments; the oldest goes beyond it. 0: 4 GiB */
};

/* What others may read at any time. */
struct spool_totals {
    uint64_t bytes;        /* on disk */
    uint64_t cut_segments; /* deleted at the cap */
    uint64_t sync_failures;
    uint64_t bad_records; /* skipped at open: bit rot */
    uint64_t torn_bytes;  /* cut off at open: the tail of a write that did not end */
};

struct spool;

/*
 * Opens or makes the spool and repairs its tail: the last segment is cut behind its last whole
 * record; damage before that is skipped and counted. seen(ctx, entry) runs during the call for each
 * record of the last two segments, which hold what a link killed between write and release had
 * written. ERRC_LIMIT: another link holds the lock; ERRC_SYS.
 */
MUST_CHECK enum errc spool_open(struct spool **ret_s, const struct spool_options *o,
                                spool_entry_fn seen, void *ctx, struct err *e);

/* Syncs, waits for that, and frees. The buffer should be empty: what it holds is forgotten. */
struct spool *spool_free(struct spool *s);
DEFINE_AUTO_FREE(spool)

/* Room for a body of SPOOL_BODY_MAX bytes, or NULL when the buffer has to be flushed first. Ends
 * with spool_end(), or not at all. */
unsigned char *spool_begin(struct spool *s);
void spool_end(struct spool *s, const struct spool_id *id, uint8_t type, size_t body_len);

/*
 * Writes the buffer. On ERRC_OK everything ended so far is in the file. ERRC_SYS (disk full, I/O
 * error): the buffer is kept and the call may be repeated; nothing is written twice.
 */
MUST_CHECK enum errc spool_flush(struct spool *s, struct err *e);

/* Gives back the memory of the buffer when it is empty. */
void spool_trim(struct spool *s);

struct spool_totals spool_totals(const struct spool *s);

/*
 * Visits every whole record of the spool in `dir`, oldest first, without changing it; it may be in
 * use. *ret_bad: damaged places that were skipped, a torn tail not counted.
 */
MUST_CHECK enum errc spool_read(const char *dir, spool_entry_fn visit, void *ctx, uint64_t *ret_bad,
                                struct err *e);
