/*
 * Hourly: what is kept of spend in several places is compared (store/reconcile.h). A run is one
 * day, the newest that was touched first; when none is left, the day that was not looked at for
 * longest, the totals and the spools. What differs is kept in weir.difference and said in the log
 * each time.
 */

#include "store/reconcile.h"

#include "common/log.h"

#include "config.h"
#include "daemon.h"
#include "jobs/jobs.h"

enum { FINDINGS_MAX = 1000 };

static void keep(struct job *j, const char *const *checks, size_t n, struct str day,
                 const struct findings *f)
{
    reconcile_keep(&j->store, checks, n, day, f);
    if (!f->total || !tx_ok(&j->store.tx))
        return;
    log_error(
        "spend_differs",
        "check=%s day=" STR_FMT " kind=" STR_FMT " field=" STR_FMT
        " differences=%llu consequence=\"nothing is changed; weirctl spend verify says which\"",
        f->f[0].check, STR_ARG(day.n ? day : STR("-")), STR_ARG(f->f[0].kind),
        STR_ARG(f->f[0].field), (unsigned long long)f->total);
}

static void check_day(struct job *j, struct str day)
{
    static const char *const checks[] = {"rows_daily", "daily_sums"};
    struct findings f;

    findings_init(&f, FINDINGS_MAX);
    int64_t rows = reconcile_day(&j->store, day, j->d->config->runs_jobs, &f);
    if (rows >= 0)
        keep(j, checks, ARRAY_LEN(checks), day, &f);
    reconcile_day_done(&j->store, day, rows);
}

static void check_rest(struct job *j)
{
    static const char *const checks[] = {"daily_totals", "rows_totals", "rows_spools", "spools"};
    struct findings f;

    findings_init(&f, FINDINGS_MAX);
    reconcile_totals(&j->store, &f);
    reconcile_spools(&j->store, &f);
    keep(j, checks, ARRAY_LEN(checks), STR(""), &f);
}

void job_reconcile(struct job *j)
{
    struct str day = reconcile_next_day(&j->store), oldest;

    if (day.n) {
        check_day(j, day);
        j->again = true;
        return;
    }
    oldest = reconcile_oldest_day(&j->store);
    if (oldest.n)
        check_day(j, oldest);
    check_rest(j);
}
