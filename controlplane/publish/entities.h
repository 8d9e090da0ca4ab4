#pragma once

/* Entities from the database: those that changes touch, and all of them, page by page. */

#include "publish/entity.h"
#include "store/catalog.h"
#include "store/tx.h"

struct entities; /* the statements, composed for the columns that this database has; shared by
                    threads */

MUST_CHECK enum errc entities_new(struct entities **ret_en, const struct catalog *catalog,
                                  const struct seal_key *seal, struct err *e);
struct entities *entities_free(struct entities *en);

enum {
    ENTITIES_PAGE = 512 * 1024, /* bytes of a page, unless one entity is larger */
    ENTITIES_TOUCHED = 50000,   /* more of a kind: a full sync costs less */
};

/* A row of weir.change: of which table, the first and second column of its key. */
struct changed {
    enum table table;
    bool is_part; /* "<table>/part" */
    struct str key1, key2;
};

/*
 * What those changes touch, as it is now or gone, into `out`. False: more than ENTITIES_TOUCHED.
 * Faults stick in `tx`.
 */
bool entities_touched(const struct entities *en, struct tx *tx, const struct changed *changes,
                      size_t n, struct packed *out);

/* What the entities of those rows have spent, packed as totals. False: too many. */
bool entities_totals(const struct entities *en, struct tx *tx, const struct changed *changes,
                     size_t n, struct packed *out);

/* Where the next page of everything begins. {0}: at the beginning. */
struct entities_place {
    unsigned kind;
    struct str key1, key2; /* behind this one; empty: its first */
};

/* A page of everything from `at` on, into `out`; moves `at` on, its keys then valid until
 * tx_end(). True: that was the last one. */
bool entities_page(const struct entities *en, struct tx *tx, struct entities_place *at,
                   struct packed *out);
