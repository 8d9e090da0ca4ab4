#pragma once

/* The partitions of spend logs, in a database of ours: a day each, made ahead by a job, and on
 * demand where a record is of another day. */

#include <pthread.h>

#include "ingest/spent.h"

struct db;
struct db_wait;

enum { DAYS_KNOWN = 64 };

struct days { /* private */
    pthread_mutex_t lock;
    int32_t known[DAYS_KNOWN]; /* 0: free */
    unsigned at;
    int by_day; /* -1: not asked yet */
};

void days_init(struct days *d);
void days_deinit(struct days *d);

/*
 * Sees to the partitions of these records, in transactions of its own. Where that cannot be done
 * now, or the day is far off (a clock that jumped), the default partition takes them. *ret_by_day:
 * spend logs are partitioned. False: the database is away.
 */
MUST_CHECK bool days_ensure(struct days *d, struct db *db, const struct spent *s, size_t n,
                            bool *ret_by_day);
