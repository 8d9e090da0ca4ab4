#pragma once

/*
 * The WHERE of a list, put together from constant conditions and values: each "$?" of a condition
 * becomes the next parameter. An empty one matches everything.
 */

#include "store/store.h"

enum { FILTER_ARGS = 60 }; /* more than any list takes with all its filters at once */

struct filter {
    struct arena *arena;
    struct str sql; /* conditions, " AND " between them */
    struct db_arg args[FILTER_ARGS];
    int n;
};

static inline struct filter filter_init(struct store *s)
{
    return (struct filter){.arena = s->arena};
}

/* `condition` is a constant with one "$?" for each of `args`. */
void filter_add(struct filter *f, const char *condition, const struct db_arg *args, int n);
#define FILTER_ADD(f, condition, ...)                                                              \
    filter_add((f), (condition), (const struct db_arg[]){__VA_ARGS__},                             \
               (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
#define FILTER_ADD0(f, condition) filter_add((f), (condition), NULL, 0)

/* A pattern for ILIKE that means "contains `text`", its wildcards escaped. */
struct str filter_contains(struct arena *a, struct str text);

/* How many rows match; beyond `most` it says `most`. */
int64_t filter_count(struct store *s, enum table t, const struct filter *f, int64_t most);

/* The rows of one page; `order` is a constant ("t.created_at DESC"). */
yyjson_mut_val *filter_page(struct store *s, enum table t, const struct filter *f,
                            const char *order, int64_t limit, int64_t offset);
