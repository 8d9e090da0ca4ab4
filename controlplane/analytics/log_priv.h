#pragma once

/* Between the files of log pages. */

#include "analytics/log.h"

enum {                          /* what a plan is chosen by */
       LOG_FEW_ROWS = 30000,    /* sorted with all they have */
       LOG_SOME_ROWS = 300000,  /* looked through one by one, their values sorted */
       LOG_PACKED_ROWS = 10000, /* more are looked through where they are packed */
};

/* What the index has in order, and its type; column NULL: it has no such order. */
struct log_value {
    const char *column, *type;
};
extern const struct log_value log_values[LOG_SORTS];

/* What rows t are sorted by. */
const char *log_sort_column(const struct store *s, enum log_sort sort);

/* Every row since then has its entry in the index. */
bool log_is_covered(struct store *s, struct str from);

/* A page out of LiteLLM's table. */
void log_page_of_rows(struct store *s, const struct log_query *q, struct log_page *ret);

struct log_series {    /* of a query; as arrays: "{1,2}" */
    struct str own;    /* p NULL: all */
    struct str summed; /* of the level whose sums are read */
    const char *sums;  /* their table */
    int64_t n;         /* of them; INT64_MAX: all */
};

/* Conditions of the query on entries of the index. */
struct filter log_entries_of(const struct log_query *q, const struct log_series *of);

/* Where they lie. */
static inline const char *log_entries_table(const struct log_query *q)
{
    return q->has_failed ? "log_failed" : "log";
}

struct log_window { /* of the entries that match, in their order */
    int64_t limit, skip;
    bool is_few;      /* sorted; else an index is walked in that order */
    bool is_reversed; /* counted from the other end */
};
/* Their places in the index first, then the rows themselves. */
struct rows log_read_entries(struct store *s, const struct log_query *q, const struct filter *f,
                             const struct log_window *w);

/* `n` of them were seen: counted as far as LiteLLM counts. */
static inline void log_count_capped(struct log_page *ret, int64_t n)
{
    ret->is_capped = n > LOG_COUNT_MAX;
    ret->total = MIN(n, (int64_t)LOG_COUNT_MAX);
}

/* Counts the entries that match day by day, and reads the page where its order is that of time. */
void log_by_day(struct store *s, const struct log_query *q, const struct filter *f,
                struct log_page *ret);

/* The page in the order of a value. There are about `n` entries of the query's series (INT64_MAX:
 * no series are asked for), of which `total` match (INT64_MAX: not known). */
struct rows log_by_value(struct store *s, const struct log_query *q, const struct filter *f,
                         int64_t n, int64_t total);

/*
 * The page in the order of a value that is packed, of series, a range of spend and what is found.
 * False, and nothing of it: there are no blocks, or too much lies in none.
 */
bool log_page_packed(struct store *s, const struct log_query *q, const struct log_series *of,
                     struct log_page *ret);

/* To the time in which rows may be: of blocks k that `may` holds of (the value is "$3"), and of no
 * block. Where that is short, rows of other times are not looked at. */
void log_narrow(struct store *s, struct log_query *q, const char *may, struct str value);
