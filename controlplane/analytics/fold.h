#pragma once

/*
 * Rows of a daily table folded into LiteLLM's DailyActivity: by day, and in each day by model,
 * model group, provider, endpoint, MCP tool, entity and key; in each of those by key again.
 *
 *     total
 *     day ── metrics
 *         ├─ models ── "gpt" ── metrics
 *         │                  └─ by key ── "9f86..." ── metrics
 *         ├─ ...
 *         └─ api_keys
 *
 * Everything lies in the arena, texts as copies.
 */

#include "analytics/metrics.h"

enum fold_dim {
    DIM_MODEL,
    DIM_MODEL_GROUP,
    DIM_PROVIDER,
    DIM_ENDPOINT,
    DIM_MCP,
    DIM_ENTITY,
    DIM_KEY,
    DIMS,
};

struct fold_row {         /* borrows */
    struct str date;      /* YYYY-MM-DD */
    struct str dim[DIMS]; /* as they lie in the table: empty ones get their name here */
    struct metrics m;
};

/* Where a row counts. */
enum fold_part {
    FOLD_DAY = BIT(0),        /* total and day */
    FOLD_DIMS = BIT(1),       /* models to MCP tools */
    FOLD_ENTITY = BIT(2),     /* the entity */
    FOLD_KEYS = BIT(3),       /* the key, in the day and in all dimensions but the entity */
    FOLD_ENTITY_KEY = BIT(4), /* the key in the entity */
    FOLD_ALL = BIT(5) - 1,
};

struct fold;

/* NULL without memory, which the arena remembers. */
struct fold *fold_new(struct arena *a);
void fold_add(struct fold *f, const struct fold_row *row, unsigned parts);

/* Distinct names of a dimension as rows have them, keys and entities to be looked up. */
size_t fold_names(const struct fold *f, enum fold_dim dim, const struct str **ret_names);
/* What is known of a name of DIM_KEY or DIM_ENTITY, as JSON. */
void fold_describe(struct fold *f, enum fold_dim dim, struct str name, struct str json);

const struct metrics *fold_total(const struct fold *f);

/* Its days as items of the array "results", the latest first. */
void fold_put_days(struct jw *w, const struct fold *f);

/* The name a key has in reports, and the key behind a name of reports. */
struct str key_bucket(struct arena *a, struct str key);
struct str key_of_bucket(struct str name);
