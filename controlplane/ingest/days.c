#include "ingest/days.h"

#include "common/clock.h"
#include "common/log.h"

#include "jobs/jobs.h"
#include "store/tx.h"

enum {
    WAIT_MS = 10 * 1000,
    AHEAD = 7,    /* days that the job makes */
    BEHIND = 400, /* further back, and further ahead, a clock is wrong */
    ARENA_MAX = 1024 * 1024,
};

void days_init(struct days *d)
{
    *d = (struct days){.by_day = -1};
    (void)pthread_mutex_init(&d->lock, NULL);
}

void days_deinit(struct days *d)
{
    (void)pthread_mutex_destroy(&d->lock);
}

static bool knows(struct days *d, int32_t day)
{
    bool known = false;

    (void)pthread_mutex_lock(&d->lock);
    for (unsigned i = 0; i < DAYS_KNOWN && !known; i++)
        known = d->known[i] == day;
    (void)pthread_mutex_unlock(&d->lock);
    return known;
}

static void learn(struct days *d, int32_t day)
{
    (void)pthread_mutex_lock(&d->lock);
    d->known[d->at++ % DAYS_KNOWN] = day;
    (void)pthread_mutex_unlock(&d->lock);
}

/* One day. A table in use, or a right that is missing, delays nobody: the default takes its rows.
 */
static enum db_fault make(struct db *db, int32_t day)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct arena a;
    struct tx tx;

    arena_init(&a, NULL, ARENA_MAX);
    tx_init(&tx, db, &a, &w);
    tx_begin(&tx);
    (void)TX_QUERY0(&tx, "SET LOCAL lock_timeout = '500ms'");
    struct rows r =
        TX_QUERY(&tx, "SELECT weir.spend_partition('epoch'::date + $1::integer)", DB_INT(day));
    bool made = rows_bool(r, 0, 0);
    if (tx_commit(&tx) && made)
        log_info("spend_partition", "day=%d", day);
    else if (!tx_ok(&tx) && tx.fault != DB_AWAY)
        log_warn("spend_partition",
                 "day=%d fault=%s what=\"%s\" consequence=\"its rows go to the "
                 "default partition\"",
                 day, db_fault_name(tx.fault), tx.err.msg);
    enum db_fault fault = tx.fault;
    tx_end(&tx);
    arena_reset(&a);
    return fault;
}

static bool is_by_day(struct days *d, struct db *db, bool *ret)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct arena a;
    struct tx tx;

    (void)pthread_mutex_lock(&d->lock);
    int known = d->by_day;
    (void)pthread_mutex_unlock(&d->lock);
    if (known >= 0) {
        *ret = known;
        return true;
    }
    arena_init(&a, NULL, ARENA_MAX);
    tx_init(&tx, db, &a, &w);
    struct rows r = TX_QUERY0(&tx, "SELECT EXISTS (SELECT FROM pg_partitioned_table"
                                   " WHERE partrelid = to_regclass('\"LiteLLM_SpendLogs\"'))");
    *ret = rows_bool(r, 0, 0);
    bool ok = tx_ok(&tx);
    tx_end(&tx);
    arena_reset(&a);
    (void)pthread_mutex_lock(&d->lock);
    d->by_day = ok ? *ret : -1;
    (void)pthread_mutex_unlock(&d->lock);
    return ok;
}

bool days_ensure(struct days *d, struct db *db, const struct spent *s, size_t n, bool *ret_by_day)
{
    int32_t today = (int32_t)(clock_wall_us() / 86400000000), last = 0;

    if (!is_by_day(d, db, ret_by_day))
        return false;
    for (size_t i = 0; i < n && *ret_by_day; i++) {
        int32_t day = s[i].day;
        if (day == last || day < today - BEHIND || day > today + AHEAD || knows(d, day))
            continue;
        enum db_fault fault = make(db, day);
        if (fault == DB_AWAY)
            return false;
        learn(d, day);
        last = day;
    }
    return true;
}

void job_spend_partitions(struct job *j)
{
    (void)TX_QUERY(&j->store.tx, "SELECT weir.spend_partitions($1::integer)", DB_INT(AHEAD));
}
