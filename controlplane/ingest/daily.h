#pragma once

/* LiteLLM's daily tables: what exchanges add to the rows of a day. */

#include "ingest/spent.h"
#include "store/catalog.h"

enum daily {
    DAILY_USER,
    DAILY_TEAM,
    DAILY_ORGANIZATION,
    DAILY_END_USER,
    DAILY_TAG,
    DAILY_GLOBAL,
    DAILY_MODEL,
    DAILY_TABLES,
};

struct daily_tables { /* private */
    struct daily_table {
        const char *sql;  /* NULL: this database has no such table */
        uint32_t columns; /* of its key and sums that it has */
    } table[DAILY_TABLES];
};

/* Of this database; the statements lie in the arena. */
void daily_init(struct daily_tables *d, const struct catalog *c, struct arena *a);

/* Takes the sums of days that are over out of use, where they are written to (weir.daily_day). The
 * unit's arena is reset. */
void daily_note(struct tx *tx, struct spent *const *s, size_t n);

/* Adds them. The unit's arena is reset between two tables. */
void daily_add(struct tx *tx, const struct daily_tables *d, struct spent *const *s, size_t n);
