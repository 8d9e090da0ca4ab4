#pragma once

/*
 * Which columns LiteLLM's tables have in this database: an older or newer release may have made
 * it. Immutable once loaded; statements of store.c are composed of these names.
 */

#include "store/tables.h"
#include "store/tx.h"

enum column_kind { COLUMN_PLAIN, COLUMN_TIME, COLUMN_JSON };

struct column {
    struct str name;
    enum column_kind kind;
};

struct catalog_table {
    const char *name, *key;
    const struct column *columns; /* by name */
    unsigned n;
};

struct catalog {
    struct catalog_table table[TABLES];
    struct arena arena; /* private */
};

MUST_CHECK enum errc catalog_load(struct catalog **ret_c, struct tx *tx, const char *schema,
                                  struct err *e);
struct catalog *catalog_free(struct catalog *c);
DEFINE_AUTO_FREE(catalog)

/* The table of that name; TABLES: none of ours. */
enum table catalog_table(struct str name);

/* NULL: this database has no such column. */
const struct column *catalog_column(const struct catalog *c, enum table t, struct str name);
