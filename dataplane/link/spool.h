#pragma once

/*
 * The spool: usage records on disk until the control plane has them. Link only; one link at a time.
 *
 *   DIR/0000000001.seg ...   segments of 64 MiB: records one after the other, as they travel
 *                            (common/gateway/spool_record.h)
 *   DIR/lock                 held by the link that writes
 *   DIR/name                 16 random bytes: control planes know the spool by them
 *
 * A record is safe from a dying process once spool_flush() returned ERRC_OK, and from a dying
 * machine some 10 ms later: a thread of the spool syncs. The steady state allocates nothing.
 */

#include "common/gateway/spool_record.h"

#include "link/name_file.h"
#include "link/spool_reader.h"

enum { SPOOL_BUFFER = 128 * 1024, SPOOL_PATH = 512 };

typedef void (*spool_entry_fn)(void *ctx, const struct spool_entry *en);

struct spool_options {
    const char *dir;
    uint64_t segment_bytes;    /* 0: 64 MiB */
    uint64_t max_bytes;        /* of all segments; the oldest goes beyond it. 0: 4 GiB */
    uint64_t keep_ms;          /* what is taken stays for at least so long. 0: 60 s */
    void (*synced)(void *ctx); /* from the spool's thread: spool_synced() has moved; NULL: none */
    void *synced_ctx;
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
 * error), ERRC_LIMIT (the cap, and nothing may go): the buffer is kept and the call may be
 * repeated; nothing is written twice.
 */
MUST_CHECK enum errc spool_flush(struct spool *s, struct err *e);

/* Gives back the memory of the buffer when it is empty. */
void spool_trim(struct spool *s);

struct spool_totals spool_totals(const struct spool *s);

/* ---- what is shipped ---- */

/* The cap (0: as before), and whether only what was taken may go for it. */
void spool_limit(struct spool *s, uint64_t max_bytes, bool keeps);
uint64_t spool_max(const struct spool *s);

/*
 * Deletes whole segments before what was taken. For a database that loses what it had committed
 * some stay: the last one, and those taken within keep_ms (up to twice that), while all are below
 * half the cap.
 */
void spool_release(struct spool *s);

/* Any thread. What lies before `synced` is on the disk; of what lies before `taken` a control plane
 * has answered that it is counted. */
struct spool_place spool_synced(struct spool *s);
bool spool_is_synced(struct spool *s); /* all that was written is */
void spool_taken(struct spool *s, struct spool_place p);
const char *spool_dir(const struct spool *s);

/* Where this process began to write. */
struct spool_place spool_begun(const struct spool *s);

/* Its name, or (`renew`) another one. False: it cannot be kept, so there is none now. Any thread.
 */
MUST_CHECK bool spool_name(struct spool *s, bool renew, unsigned char out[NAME_FILE]);

/* ---- segments ---- */

void spool_segment_path(char out[SPOOL_PATH], const char *dir, uint64_t number);

/* The lowest and highest segment number in `dir`; 0, 0 when there is none. */
MUST_CHECK enum errc spool_range(const char *dir, uint64_t *ret_first, uint64_t *ret_last,
                                 struct err *e);

/*
 * Visits every whole record of the spool in `dir`, oldest first, without changing it; it may be in
 * use. *ret_bad: damaged places that were skipped, a torn tail not counted.
 */
MUST_CHECK enum errc spool_read(const char *dir, spool_entry_fn visit, void *ctx, uint64_t *ret_bad,
                                struct err *e);
