#pragma once

/*
 * Sums by a key of some texts: what several exchanges add to one row. Read in the order of the
 * keys, so that all who add to rows lock them in one order and none waits in a circle.
 */

#include "ingest/spent.h"
#include "store/array.h"

enum { TALLY_KEY_MAX = 12 };

enum sum {
    SUM_NUSD,
    SUM_PERIOD_NUSD, /* of the period that runs: entity.c takes off what is not */
    SUM_PROMPT,
    SUM_COMPLETION,
    SUM_CACHE_READ,
    SUM_CACHE_WRITTEN,
    SUM_REQUESTS,
    SUM_SUCCEEDED,
    SUM_FAILED,
    SUM_DURATION_MS,
    SUM_TIMED,
    SUM_ROWS, /* of LiteLLM_SpendLogs, and their columns, which are integers */
    SUM_ROW_PROMPT,
    SUM_ROW_COMPLETION,
    SUM_ROW_TOTAL,
    SUMS,
};

struct tally_row {
    const struct str *key; /* n texts */
    int64_t sum[SUMS];
    const struct spent *last; /* the newest that was added */
    int64_t first_ms;         /* the earliest end of an exchange */
    uint64_t hash;            /* private */
};

struct tally { /* private but for n and rows, after tally_sort() */
    struct arena *arena;
    unsigned key_n;
    struct tally_row *rows;
    uint32_t *slots; /* index + 1 of a row */
    size_t n, cap;
};

/* Keys of `key_n` texts, borrowed until the arena ends. */
void tally_init(struct tally *t, struct arena *a, unsigned key_n);

/* Which row, in the order of their coming; none, if there was no memory. */
size_t tally_add(struct tally *t, const struct str *key, const struct spent *s);

void tally_sort(struct tally *t);

/* The one of these keys, which is among these rows; they are sorted. */
size_t tally_find(const struct tally_row *rows, size_t n, const struct str *key, unsigned key_n);

/* Columns of some rows, as values of a statement over unnest(): the i-th text of the keys (text[]),
 * a sum, the earliest end (bigint[]). In the arena. */
struct db_arg tally_keys(struct arena *a, const struct tally_row *rows, size_t n, unsigned i);
struct db_arg tally_sums(struct arena *a, const struct tally_row *rows, size_t n, enum sum which);
struct db_arg tally_firsts(struct arena *a, const struct tally_row *rows, size_t n);
