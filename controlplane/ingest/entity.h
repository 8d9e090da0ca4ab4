#pragma once

/* Spend of whoever pays: LiteLLM's columns, and weir.total. */

#include "ingest/spent.h"
#include "store/catalog.h"

enum { ENTITY_KINDS = 10 };

struct entity_tables { /* private: a statement each, NULL where there is no such table */
    const char *sql[ENTITY_KINDS];
    bool has_period[ENTITY_KINDS];
    struct str zone, standard_budget;
};

/* Of this database. Budgets have the calendar of `zone`, end users without one `standard_budget`,
 * if that is not empty; both borrowed. */
void entity_init(struct entity_tables *t, const struct catalog *c, struct str zone,
                 struct str standard_budget);

/* Adds what they cost: what ended before the period that runs not to the spend of that. One that is
 * gone meanwhile stays gone; end users are made, as LiteLLM does, and members of teams that have no
 * row yet. The unit's arena is reset. */
void entity_add(struct tx *tx, const struct entity_tables *t, struct spent *const *s, size_t n);
