#include "jobs/jobs.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "api/route.h"
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
    pthread_t thread;
    int wake_fd;
    atomic_bool ending;
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
    struct db_wait w = {.deadline_ns = clock_mono_ns() + RUN_MS * UINT64_C(1000000),
                        .cancelled = &j->ending,
                        .wake_fd = j->wake_fd};
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

static void *thread_main(void *arg)
{
    struct jobs *j = arg;

    (void)prctl(PR_SET_NAME, "weir-jobs", 0, 0, 0);
    while (!atomic_load(&j->ending)) {
        uint64_t next = UINT64_MAX;
        for (unsigned id = 0; id < JOBS && !atomic_load(&j->ending); id++) {
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
        struct pollfd p = {.fd = j->wake_fd, .events = POLLIN};
        (void)poll(&p, 1, (int)MIN(ms, UINT64_C(60000)));
    }
    return NULL;
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
    j->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum errc rc = j->wake_fd >= 0 ? db_new(&j->db, &o, d->health, e)
                                   : err_set(e, ERRC_SYS, 0, "jobs: eventfd");
    int sys = rc ? 0 : pthread_create(&j->thread, NULL, thread_main, j);
    if (!rc && !sys) {
        *ret_j = j;
        return ERRC_OK;
    }
    j->db = db_free(j->db);
    if (j->wake_fd >= 0)
        (void)close(j->wake_fd);
    free(j);
    return rc ? rc : err_set(e, ERRC_SYS, sys, "jobs: thread");
}

struct jobs *jobs_free(struct jobs *j)
{
    uint64_t one = 1;

    if (!j)
        return NULL;
    atomic_store(&j->ending, true);
    (void)!write(j->wake_fd, &one, sizeof one);
    (void)pthread_join(j->thread, NULL);
    j->db = db_free(j->db);
    (void)close(j->wake_fd);
    free(j);
    return NULL;
}
