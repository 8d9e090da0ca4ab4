/* Index and sums kept whole: store/migrations/0008_logs.sql, 0012_daily_sums.sql and
 * 0019_log_late.sql do it. */

#include "jobs/jobs.h"

enum {
    MERGED = 200000, /* lines of a run */
    TAKEN = 20000,   /* rows */
    FORGOTTEN = 50000,
    PACKED_MIN = 16384, /* entries of a block */
    PACKED = 131072,
};

static void step(struct job *j, const char *sql, int64_t most)
{
    j->again = rows_bool(TX_QUERY(&j->store.tx, sql, DB_INT(most)), 0, 0);
}

void job_log_merge(struct job *j)
{
    step(j, "SELECT weir.log_merge($1)", MERGED);
    if (!j->again)
        (void)TX_QUERY0(&j->store.tx, "SELECT weir.log_shrink()");
}

void job_log_backfill(struct job *j)
{
    step(j, "SELECT weir.log_backfill($1)", TAKEN);
}

void job_log_forget(struct job *j)
{
    step(j, "SELECT weir.log_forget($1)", FORGOTTEN);
}

void job_log_pack(struct job *j)
{
    j->again = rows_bool(
        TX_QUERY(&j->store.tx, "SELECT weir.log_pack($1, $2)", DB_INT(PACKED_MIN), DB_INT(PACKED)),
        0, 0);
}

void job_daily_sum_up(struct job *j)
{
    j->again = rows_bool(TX_QUERY0(&j->store.tx, "SELECT weir.daily_sum_up()"), 0, 0);
}
