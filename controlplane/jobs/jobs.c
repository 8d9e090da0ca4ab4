#include "jobs/jobs.h"

#include "common/clock.h"
#include "common/log.h"

#include "api/route.h"
#include "background.h"
#include "config.h"
#include "daemon.h"

enum {
    RUN_MS = 60 * 1000,
    STATEMENT_MS = 30 * 1000,
    ARENA_MAX = 64 * 1024 * 1024,
};

enum whose { OURS, LITELLMS };

enum job_id {
#define JOB(id, period_ms, whose, run, sentence) JOB_##id,
#include "jobs/jobs.def"
#undef JOB
    JOBS,
};

static const struct {
    const char *name;
    job_fn run;
    unsigned period_ms;
    enum whose whose;
} rows[JOBS] = {
#define JOB(id, period_ms, whose, run, sentence) [JOB_##id] = {#run, job_##run, (period_ms), whose},
#include "jobs/jobs.def"
#undef JOB
};

struct jobs {
    const struct daemon *d;
    struct db *db;
    struct background thread;
    uint64_t due_ns[JOBS];
    bool failed[JOBS]; /* the last run: it is said once */
};

static bool lock(struct tx *tx, enum job_id id)
{
    struct rows r =
        TX_QUERY(tx, "SELECT pg_try_advisory_xact_lock(7311022, 1000 + $1::integer)", DB_INT(id));

    return rows_bool(r, 0, 0);
}

static void note(struct jobs *j, enum job_id id, const struct tx *tx)
{
    bool failed = !tx_ok(tx) && tx->fault != DB_CANCELLED;

    if (failed && !j->failed[id])
        log_warn("job", "name=%s fault=%s what=\"%s\" consequence=\"tried again\"", rows[id].name,
                 db_fault_name(tx->fault), tx->err.msg);
    else if (!failed && j->failed[id])
        log_info("job", "name=%s again=ok", rows[id].name);
    j->failed[id] = failed;
}

/* True: at once again. */
static bool run(struct jobs *j, enum job_id id)
{
    struct job job = {.d = j->d};
    struct db_wait w = background_wait(&j->thread, RUN_MS);
    struct arena arena;

    arena_init(&arena, NULL, ARENA_MAX);
    if (store_init(&job.store, j->db, j->d->catalog, &arena, &w)) {
        struct tx *tx = &job.store.tx;
        tx_begin(tx);
        if (lock(tx, id))
            rows[id].run(&job);
        if (tx_ok(tx) && !arena_ok(&arena))
            tx->fault = DB_NOMEM;
        (void)tx_commit(tx); /* the fault sticks */
        job.again &= tx_ok(tx);
        note(j, id, tx);
        store_end(&job.store);
    }
    arena_reset(&arena);
    return job.again;
}

static void run_due(void *ctx)
{
    struct jobs *j = ctx;

    while (background_goes_on(&j->thread)) {
        uint64_t next = UINT64_MAX;
        for (unsigned id = 0; id < JOBS && background_goes_on(&j->thread); id++) {
            if (rows[id].whose == LITELLMS && !j->d->config->runs_jobs)
                continue;
            if (clock_mono_ns() >= j->due_ns[id]) {
                bool again = run(j, (enum job_id)id);
                j->due_ns[id] =
                    clock_mono_ns() + (again ? 0 : rows[id].period_ms * UINT64_C(1000000));
            }
            next = MIN(next, j->due_ns[id]);
        }
        uint64_t now = clock_mono_ns(), ms = next > now ? (next - now) / 1000000 + 1 : 0;
        background_pause(&j->thread, MIN(ms, UINT64_C(60000)));
    }
}

enum errc jobs_new(struct jobs **ret_j, const struct daemon *d, struct err *e)
{
    struct db_options o = *db_options(d->db[LANE_CRUD]);
    struct jobs *j = calloc(1, sizeof *j);

    if (!j)
        return err_set(e, ERRC_NOMEM, 0, "jobs");
    o.name = "weir jobs";
    o.max_conns = 1;
    o.statement_timeout_ms = STATEMENT_MS;
    j->d = d;
    enum errc rc = db_new(&j->db, &o, d->health, e);
    if (!rc)
        rc = background_start(&j->thread, "weir-jobs", run_due, j, e);
    *ret_j = rc ? jobs_free(j) : j;
    return rc;
}

struct jobs *jobs_free(struct jobs *j)
{
    if (!j)
        return NULL;
    background_end(&j->thread);
    j->db = db_free(j->db);
    free(j);
    return NULL;
}
