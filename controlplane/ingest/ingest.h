#pragma once

/*
 * From spools to spend: the records of batches become rows of LiteLLM_SpendLogs, daily totals and
 * spend columns, in one transaction with the cursor of their spool. So a batch counts once, however
 * often it is sent.
 *
 *   ingest.c   batches to transactions
 *   cursor.c   where a spool stands, what it lost
 *
 * On pool threads of a lane of its own; several at a time, and several control planes.
 */

#include "common/err.h"

#include "weir.pb-c.h"

enum {
    INGEST_SPOOL_ID = 16,
    INGEST_BATCH_MAX = 512 * 1024, /* bytes of records */
    INGEST_MERGE_MAX = 16,         /* batches of one transaction */
};

struct db;
struct ingest;

/* One of a process. */
MUST_CHECK enum errc ingest_new(struct ingest **ret_in, struct err *e);
struct ingest *ingest_free(struct ingest *in);
DEFINE_AUTO_FREE(ingest)

/*
 * Takes a batch; *ret is where its spool stands afterwards, committed. One that begins before the
 * cursor is not read: the answer says where to go on. One that begins behind it leaves a gap, which
 * is recorded; so a reader goes on exactly where the answer said, if only by an empty batch that
 * names the next segment.
 *
 * ERRC_INVALID: not a batch. ERRC_CLOSED: the database is away, nothing is lost, nobody knows
 * whether it was taken: ask again. ERRC_NOMEM.
 */
MUST_CHECK enum errc ingest_batch(struct ingest *in, struct db *db, const Weir__UsageBatch *b,
                                  Weir__UsageTaken *ret, struct err *e);

/*
 * The same for up to INGEST_MERGE_MAX batches, of one spool in their order or of several, in one
 * transaction: cheaper by far when there is a backlog. All of them or none; ret[i] answers b[i].
 */
MUST_CHECK enum errc ingest_batches(struct ingest *in, struct db *db,
                                    const Weir__UsageBatch *const *b, size_t n,
                                    Weir__UsageTaken *ret, struct err *e);
