#pragma once

/* Rows of LiteLLM_SpendLogs, of the columns that this database has. */

#include "ingest/copy.h"
#include "ingest/spent.h"
#include "store/catalog.h"

struct log_rows {     /* private */
    struct str names; /* of its columns, for COPY */
    uint32_t columns; /* by bit */
    unsigned n;
};

/* This database has all columns that are filled. */
bool log_rows_are_whole(const struct catalog *c);

/* Of this database; their names lie in the arena. */
void log_rows_init(struct log_rows *l, const struct catalog *c, struct arena *a);

/* Writes them; those of a day that has a partition (`by_day`) straight into it, past the triggers
 * of statements on the whole. The unit's arena and `scratch` are reset. */
void log_rows_add(struct tx *tx, struct copy *copy, const struct log_rows *l,
                  struct spent *const *s, size_t n, bool by_day, struct arena *scratch);

/* What LiteLLM keeps as the row's metadata, as JSON; what only we know is its member "weir". */
struct str log_row_metadata(const struct spent *s, struct arena *a);
