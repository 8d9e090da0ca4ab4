#pragma once

/*
 * Prompts and replies into the rows of LiteLLM_SpendLogs they belong to: opened, and stored where
 * the row is, else beside it (weir.transcript) until a job finds that (jobs/transcripts.c). Apart
 * from usage: nothing that is billed waits for this.
 */

#include "common/err.h"
#include "common/gateway/seal.h"

#include "weir.pb-c.h"

struct db;

/*
 * Takes them all; one that does not open, or that the database does not take, is told in the log
 * and gone. Waits for the database. ERRC_INVALID: too many, or too large; any other fault: to be
 * sent again.
 */
MUST_CHECK enum errc transcripts_take(const struct seal_key *key, struct db *db,
                                      const Weir__Transcripts *m, struct err *e);
