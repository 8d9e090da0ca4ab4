#pragma once

/*
 * From spools to spend: the records of batches become rows of LiteLLM_SpendLogs, daily totals and
 * spend columns, in one transaction with the cursor of their spool. So a batch counts once, however
 * often it is sent.
 *
 *   ingest.c   batches to transactions; a record that the database refuses is set aside
 *   batch.c    the records of a batch
 *   spent.c    what a record says
 *   cursor.c   where a spool stands, what it lost
 *   ids.c      request_id of each row
 *   days.c     partitions
 *   periods.c  whether budgets' periods have begun
 *   log_row.c  rows, by copy.c
 *   entries.c  their index and its sums
 *   daily.c, entity.c   what is added up, by tally.c
 *
 * Apart from these transcripts.c: prompts and replies into the rows.
 *
 * On pool threads of a lane of its own; several at a time, and several control planes.
 */

#include "common/err.h"
#include "common/str.h"

#include "weir.pb-c.h"

enum {
    INGEST_SPOOL_ID = 16,
    INGEST_BATCH_MAX = 512 * 1024, /* bytes of records */
    INGEST_MERGE_MAX = 16,         /* batches of one transaction */
    INGEST_STATEMENT_MS = 30000,   /* statement_timeout of the lane's connections */
};

struct catalog;
struct db;
struct ingest;

struct ingest_options {
    const struct catalog *catalog; /* borrowed */
    bool no_agent_tags;            /* litellm_settings.disable_add_user_agent_to_request_tags */
    struct str zone;               /* of budgets' calendar; as the next one borrowed */
    struct str standard_budget;    /* of end users without one; may be empty */
    bool begins_periods;           /* jobs of ours do: nothing is taken before they have */
};

struct ingest_totals { /* since it began */
    uint64_t records, refused, damaged, gaps;
};

/* One of a process. */
MUST_CHECK enum errc ingest_new(struct ingest **ret_in, const struct ingest_options *o,
                                struct err *e);
struct ingest *ingest_free(struct ingest *in);
DEFINE_AUTO_FREE(ingest)

struct ingest_totals ingest_totals(struct ingest *in);

/*
 * Takes a batch; *ret is where its spool stands afterwards, committed. One that begins before the
 * cursor is not read, and one that is empty asks: the answer says where to go on. One that begins
 * behind it leaves a gap, which is recorded, if nothing is left there (after_segment,
 * after_offset); else it is not taken: the cursor fell back with its database, and the reader does
 * as well.
 *
 * ERRC_INVALID: not a batch. ERRC_CLOSED: the database is away, nothing is lost, nobody knows
 * whether it was taken: ask again. ERRC_NOMEM.
 */
MUST_CHECK enum errc ingest_batch(struct ingest *in, struct db *db, const Weir__UsageBatch *b,
                                  Weir__UsageTaken *ret, struct err *e);

/*
 * The same for up to INGEST_MERGE_MAX batches, of one spool in their order or of several, in one
 * transaction: cheaper by far when there is a backlog. All of them or, with ERRC_CLOSED, nobody
 * knows which; ret[i] answers b[i].
 */
MUST_CHECK enum errc ingest_batches(struct ingest *in, struct db *db,
                                    const Weir__UsageBatch *const *b, size_t n,
                                    Weir__UsageTaken *ret, struct err *e);
