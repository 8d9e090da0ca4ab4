#pragma once

/*
 * Entries of the index of log rows, and what goes into its sums (store/migrations/0008_logs.sql):
 * what the trigger of LiteLLM_SpendLogs makes of rows, made of the records themselves.
 */

#include "ingest/copy.h"
#include "ingest/spent.h"

/* Those of rows with all columns. The unit's arena is reset. */
void entries_add(struct tx *tx, struct copy *copy, struct spent *const *s, size_t n);
