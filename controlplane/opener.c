#include "opener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "alert/alerts.h"
#include "api/route.h"
#include "config.h"
#include "daemon.h"
#include "jobs/jobs.h"
#include "publish/publish.h"
#include "store/catalog.h"
#include "store/migrate.h"

enum {
    PAUSE_MS = 200,
    CATALOG_MS = 10 * 1000,
    CATALOG_MAX = 16 * 1024 * 1024,
};

struct opener {
    struct daemon *d;
    struct opener_options o;
    pthread_t thread;
    int wake_fd;
    atomic_bool ending;
};

static struct db_wait wait_ms(const struct opener *o, uint64_t ms)
{
    return (struct db_wait){.deadline_ns = clock_mono_ns() + ms * UINT64_C(1000000),
                            .cancelled = &o->ending,
                            .wake_fd = o->wake_fd};
}

static enum errc do_migrate(struct daemon *d, enum migrate_mode mode, bool adopt,
                            const struct db_wait *w, struct err *e)
{
    return migrate(db_options(d->db[LANE_CRUD]), d->health, mode, adopt, w, stderr, e);
}

enum errc opener_migrate(struct daemon *d, bool adopt, struct err *e)
{
    struct db_wait w = {.deadline_ns = UINT64_MAX, .wake_fd = -1};

    return do_migrate(d, MIGRATE_RUN, adopt, &w, e);
}

static enum errc load_catalog(struct opener *o, struct err *e)
{
    struct db_wait w = wait_ms(o, CATALOG_MS);
    struct daemon *d = o->d;
    struct db *db = d->db[LANE_CRUD];
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, CATALOG_MAX);
    tx_init(&tx, db, &arena, &w);
    d->catalog = catalog_free(d->catalog);
    enum errc rc = catalog_load(&d->catalog, &tx, db_options(db)->schema, e);
    tx_end(&tx);
    arena_reset(&arena);
    return rc;
}

/* Whole, or to be tried again from the start. */
static enum errc open_once(struct opener *o, struct err *e)
{
    struct daemon *d = o->d;
    bool verify = config_bool(&d->config->file, SETTING_ENV_DISABLE_SCHEMA_UPDATE);
    struct db_wait forever = {
        .deadline_ns = UINT64_MAX, .cancelled = &o->ending, .wake_fd = o->wake_fd};
    struct db_wait w;

    enum errc rc = do_migrate(d, verify ? MIGRATE_VERIFY : MIGRATE_RUN, o->o.adopt, &forever, e);
    if (!rc)
        rc = load_catalog(o, e);
    if (rc)
        return rc;
    w = wait_ms(o, CATALOG_MS);
    rc = publish_open(d->publish, &w, e);
    if (!rc)
        rc = jobs_new(&d->jobs, d, e);
    if (!rc)
        rc = alerts_new(&d->alerts, d, e);
    return rc;
}

static bool may_work_again(enum errc rc)
{
    return rc == ERRC_CLOSED || rc == ERRC_TIMEOUT;
}

static void *thread_main(void *arg)
{
    struct opener *o = arg;
    struct pollfd p = {.fd = o->wake_fd, .events = POLLIN};
    struct err e = {0}, said = {0};
    uint64_t begun_ns = clock_mono_ns();
    enum errc rc;

    (void)prctl(PR_SET_NAME, "weir-open", 0, 0, 0);
    while (may_work_again(rc = open_once(o, &e)) && !atomic_load(&o->ending)) {
        if (db_health_is_up(o->d->health) && strcmp(e.msg, said.msg) != 0)
            log_warn("open", "what=\"%s\" consequence=\"tried again\"", e.msg);
        said = e;
        (void)poll(&p, 1, PAUSE_MS);
    }
    if (atomic_load(&o->ending))
        return NULL;
    if (!rc) {
        daemon_set_open(o->d);
        log_info("ready", "after_ms=%llu",
                 (unsigned long long)((clock_mono_ns() - begun_ns) / 1000000));
    }
    o->o.done(o->o.ctx, rc ? &e : NULL);
    return NULL;
}

enum errc opener_new(struct opener **ret_o, struct daemon *d, const struct opener_options *options,
                     struct err *e)
{
    struct opener *o = calloc(1, sizeof *o);

    if (!o)
        return err_set(e, ERRC_NOMEM, 0, "start");
    o->d = d;
    o->o = *options;
    o->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int sys = o->wake_fd < 0 ? errno : pthread_create(&o->thread, NULL, thread_main, o);
    if (sys) {
        if (o->wake_fd >= 0)
            (void)close(o->wake_fd);
        free(o);
        return err_set(e, ERRC_SYS, sys, "start: thread");
    }
    *ret_o = o;
    return ERRC_OK;
}

struct opener *opener_free(struct opener *o)
{
    uint64_t one = 1;

    if (!o)
        return NULL;
    atomic_store(&o->ending, true);
    (void)!write(o->wake_fd, &one, sizeof one);
    (void)pthread_join(o->thread, NULL);
    (void)close(o->wake_fd);
    free(o);
    return NULL;
}
