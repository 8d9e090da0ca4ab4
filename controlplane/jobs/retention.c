/*
 * Rows of LiteLLM_SpendLogs that are older than maximum_spend_logs_retention_period go: whole days
 * where the table is partitioned, else some at a time. Each step is a transaction of its own, so
 * that nothing is held for long, and other jobs have their turn between.
 */

#include "common/clock.h"
#include "common/gateway/cron.h"
#include "common/gateway/duration.h"
#include "common/log.h"
#include "common/num.h"

#include "config.h"
#include "daemon.h"
#include "jobs/jobs.h"

#define DAY_US INT64_C(86400000000)

struct plan {
    struct duration period, interval;
    struct cron cron;
    bool has_cron;
};

/* The file's word, else the database's. */
static struct str setting_text(struct job *j, enum setting_id id)
{
    const struct config *c = j->d->config;

    if (!c->file.value[id] && c->stores_models) {
        struct rows r = TX_QUERY(&j->store.tx,
                                 "SELECT param_value ->> $1 FROM \"LiteLLM_Config\""
                                 " WHERE param_name = 'general_settings'",
                                 DB_TEXT(setting_at(id)->key));
        if (rows_text(r, 0, 0).n)
            return rows_text(r, 0, 0);
    }
    return config_text(&c->file, id);
}

static bool read_duration(struct str s, struct duration *ret)
{
    *ret = (struct duration){.unit = 's'};
    return num_u32(s, &ret->n) || duration_parse(s, ret);
}

static bool refuse_setting(struct job *j, enum setting_id id)
{
    struct tx *tx = &j->store.tx;

    if (tx_ok(tx)) { /* said once, as any job that fails */
        tx->fault = DB_DATA;
        (void)err_set(&tx->err, ERRC_INVALID, 0, "general_settings.%s: it cannot be read",
                      setting_at(id)->key.p);
    }
    return false;
}

/* False: nothing is to go, or a setting is wrong. */
static bool plan_read(struct job *j, struct plan *p)
{
    struct str period = setting_text(j, SETTING_GENERAL_maximum_spend_logs_retention_period);
    struct str interval = setting_text(j, SETTING_GENERAL_maximum_spend_logs_retention_interval);
    struct str cron = setting_text(j, SETTING_GENERAL_maximum_spend_logs_cleanup_cron);

    if (!period.n)
        return false;
    if (!read_duration(period, &p->period) || !p->period.n)
        return refuse_setting(j, SETTING_GENERAL_maximum_spend_logs_retention_period);
    if (!read_duration(interval, &p->interval))
        return refuse_setting(j, SETTING_GENERAL_maximum_spend_logs_retention_interval);
    p->has_cron = cron.n > 0;
    if (p->has_cron && !cron_parse(cron, &p->cron))
        return refuse_setting(j, SETTING_GENERAL_maximum_spend_logs_cleanup_cron);
    return tx_ok(&j->store.tx);
}

/* Before the first time a schedule is waited for, an interval is not. */
static bool is_due(const struct plan *p, struct rows last, int64_t now_us)
{
    int64_t done_us = rows_int(last, 0, 0), next;

    if (p->has_cron)
        return !rows_is_null(last, 0, 0) && cron_next(&p->cron, done_us, &next) && next <= now_us;
    return rows_is_null(last, 0, 0) || duration_after(p->interval, done_us) <= now_us;
}

/* `period` before now; months are taken as 30 days, as LiteLLM does. */
static int64_t cutoff_us(const struct plan *p, int64_t now_us)
{
    struct duration d = p->period;

    if (d.unit == 'M') {
        d.unit = 'd';
        d.n *= 30;
    }
    return now_us - duration_seconds(d, 0) * INT64_C(1000000);
}

/* Some of what began before `cutoff`; how many. */
static int64_t delete_some(struct tx *tx, struct str cutoff, uint32_t most)
{
    struct rows r =
        TX_QUERY(tx,
                 "DELETE FROM \"LiteLLM_SpendLogs\" l USING ("
                 " SELECT request_id, \"startTime\" FROM \"LiteLLM_SpendLogs\""
                 " WHERE \"startTime\" < $1::timestamp ORDER BY \"startTime\" LIMIT $2) o"
                 " WHERE l.request_id = o.request_id"
                 " AND l.\"startTime\" = o.\"startTime\"",
                 DB_TEXT(cutoff), DB_INT(most));

    return rows_affected(r);
}

/* True: there is more. */
static bool step(struct job *j, struct str cutoff)
{
    struct tx *tx = &j->store.tx;
    uint32_t batch = config_u32(&j->d->config->file, SETTING_ENV_SPEND_LOG_CLEANUP_BATCH_SIZE);
    struct rows r =
        TX_QUERY(tx, "SELECT weir.drop_partition('\"LiteLLM_SpendLogs\"'::regclass, $1::timestamp)",
                 DB_TEXT(cutoff));

    if (rows_text(r, 0, 0).n) {
        log_info("retention", "dropped=" STR_FMT, STR_ARG(rows_text(r, 0, 0)));
        return true;
    }
    int64_t n = delete_some(tx, cutoff, batch);
    if (n > 0)
        log_info("retention", "rows=%lld before=" STR_FMT, (long long)n, STR_ARG(cutoff));
    return n == batch;
}

void job_retention(struct job *j)
{
    struct tx *tx = &j->store.tx;
    int64_t now_us = clock_wall_us();
    struct plan p;

    if (!plan_read(j, &p))
        return;
    struct rows r = TX_QUERY0(
        tx, "SELECT (extract(epoch FROM (SELECT done_at FROM weir.retention)) * 1000000)::bigint,"
            " (SELECT relkind = 'p' FROM pg_class WHERE oid = '\"LiteLLM_SpendLogs\"'::regclass)");
    int64_t at_us = cutoff_us(&p, now_us);
    if (rows_bool(r, 0, 1))
        at_us -= at_us % DAY_US; /* the day it falls into goes as a whole */
    struct str cutoff = store_time(&j->store, at_us);
    bool waits = p.has_cron && rows_is_null(r, 0, 0);
    if (!waits && !is_due(&p, r, now_us))
        return;
    j->again = !waits && step(j, cutoff);
    (void)TX_QUERY(tx,
                   "INSERT INTO weir.retention AS k (kept_from, done_at)"
                   " SELECT CASE WHEN $3 THEN '-infinity' ELSE $1::timestamp END,"
                   "  CASE WHEN $2 THEN NULL ELSE now() END ON CONFLICT (one) DO UPDATE"
                   " SET kept_from = greatest(k.kept_from, excluded.kept_from),"
                   "  done_at = coalesce(excluded.done_at, k.done_at)",
                   DB_TEXT(cutoff), DB_BOOL(j->again), DB_BOOL(waits));
}
