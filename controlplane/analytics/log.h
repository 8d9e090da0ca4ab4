#pragma once

/*
 * Pages of LiteLLM_SpendLogs out of any number of rows (store/migrations/0008_logs.sql). What rows
 * are filtered by most are their series; those of a query are few and found first. How many rows a
 * day or hour has of them is known, so the page is looked for where it lies, in the narrow index.
 * Rows that the index does not have yet, and filters that need the row itself, are read from
 * LiteLLM's table: slower, never different.
 */

#include "store/filter.h"

enum log_sort {
    LOG_BY_START,
    LOG_BY_SPEND,
    LOG_BY_TOKENS,
    LOG_BY_END,
    LOG_BY_DURATION,
    LOG_BY_MODEL,
    LOG_BY_FIRST_TOKEN,
    LOG_SORTS,
};
/* "startTime" of LOG_BY_START. */
extern const char *const log_sort_names[LOG_SORTS];

enum { LOG_COUNT_MAX = 10000 }; /* as LiteLLM counts, where counting is all there is */

/* Series lie in three levels, each with sums of its own: which of them have a column. */
enum {
    LOG_OF_ROW = 0,   /* the finest alone: key_alias */
    LOG_OF_MODEL = 1, /* status, model, deployment, error */
    LOG_OF_KEY = 2,   /* api_key, user */
    LOG_OF_BOTH = 3,  /* team_id, call_type */
};

struct log_found {      /* a condition that has an index of its own */
    const char *entry;  /* on weir.log; "$?" */
    const char *packed; /* on weir.log_held h; "$2" */
    struct db_arg arg;
};

struct log_query {
    struct filter series, index,
        rows;                  /* on weir.log_series; on weir.log; both, and more, on rows */
    unsigned levels;           /* that can answer `series` */
    bool needs_rows;           /* `rows` says more than `series` and `index` */
    struct log_found found[2]; /* of what `index` says */
    unsigned n_found;
    bool has_failed;        /* rows that failed alone */
    double least, most;     /* of spend; infinite: open */
    struct str from, until; /* both included, "2026-01-31 00:00:00"; p NULL: open */
    struct str exact;       /* a row of this request_id comes first; p NULL: none */
    enum log_sort sort;
    bool asc;
    int64_t limit, offset;
};

struct log_query log_query_init(struct store *s);

/* A condition on columns that series of these levels have, spelt `row` of a row; filter_add(). */
void log_where(struct log_query *q, unsigned levels, const char *series, const char *row,
               const struct db_arg *args, int n);
#define LOG_WHERE(q, levels, series, row, ...)                                                     \
    log_where((q), (levels), (series), (row), (const struct db_arg[]){__VA_ARGS__},                \
              (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
#define LOG_WHERE0(q, levels, series, row) log_where((q), (levels), (series), (row), NULL, 0)

/* Rows that cost so much at least and at most. */
void log_where_least(struct log_query *q, double spend);
void log_where_most(struct log_query *q, double spend);

/* A condition on the row itself. */
void log_where_row(struct log_query *q, const char *row, const struct db_arg *args, int n);
#define LOG_WHERE_ROW(q, row, ...)                                                                 \
    log_where_row((q), (row), (const struct db_arg[]){__VA_ARGS__},                                \
                  (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))

/* Rows of that request_id, or of that call; those are told apart by q->exact. */
void log_where_request(struct store *s, struct log_query *q, struct str id);
/* Rows of the window with that id in whichever column; `at_any_time`: a request of that id is found
 * outside of it as well. */
void log_where_any(struct store *s, struct log_query *q, struct str id, bool at_any_time);
/* Rows of that session; where there is none, of sessions whose id holds the text. */
void log_where_session(struct store *s, struct log_query *q, struct str text);
/* Rows of that end user; empty: of none. */
void log_where_end_user(struct log_query *q, struct str id);
/* Rows whose metadata says so: "true", "false". */
void log_where_token(struct store *s, struct log_query *q, struct str value);
/* Rows that failed with a message that holds this text. */
void log_where_error(struct log_query *q, struct str text);

struct log_page {
    struct rows rows; /* a JSON object each: log_columns() */
    int64_t total;
    bool is_capped; /* there are more than total */
};
void log_page(struct store *s, const struct log_query *q, struct log_page *ret);

/*
 * The columns of "LiteLLM_SpendLogs" t that lists show, those that this database has; times end
 * with `zone` ("Z", "+00:00"). Bodies are left out.
 */
struct str log_columns(struct store *s, const char *zone);

/* Milliseconds of a row t. */
const char *log_duration(const struct store *s);

/* The conditions of a query on rows t, its window among them; "true" without any. */
struct filter log_conditions(const struct log_query *q);
/* "ORDER BY ..." of rows t; adds to the filter's values. */
struct str log_order(struct store *s, const struct log_query *q, struct filter *f);

/* The statement of all rows of a query in its order, for a cursor; f->args go with it. */
struct str log_all(struct store *s, const struct log_query *q, struct filter *ret_f);

/* Plans for the values at hand, and none that are compiled first: these statements see ranges from
 * an hour to years. On the connection of this unit of work. */
void log_begin(struct store *s);
