#pragma once

/* Rows of LiteLLM_SpendLogs, of the columns that this database has. */

#include "ingest/copy.h"
#include "ingest/spent.h"
#include "store/catalog.h"

struct log_rows {
    const char *sql;  /* COPY, of ... */
    uint32_t columns; /* ... these, by bit; private */
    unsigned n;
};

/* Of this database; the statement lies in the arena. */
void log_rows_init(struct log_rows *l, const struct catalog *c, struct arena *a);

/* `scratch` is reset. */
void log_row_put(struct copy *to, const struct log_rows *l, const struct spent *s,
                 struct arena *scratch);

/* What LiteLLM keeps as the row's metadata, as JSON; what only we know is its member "weir". */
struct str log_row_metadata(const struct spent *s, struct arena *a);
