#include "opener.h"

#include "common/clock.h"
#include "common/log.h"

#include "alert/alerts.h"
#include "api/route.h"
#include "background.h"
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
    struct background thread;
};

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
    struct db_wait w = background_wait(&o->thread, CATALOG_MS);
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
    struct db_wait forever = background_wait(&o->thread, UINT64_MAX);
    struct db_wait w;

    enum errc rc = do_migrate(d, verify ? MIGRATE_VERIFY : MIGRATE_RUN, o->o.adopt, &forever, e);
    if (!rc)
        rc = load_catalog(o, e);
    if (rc)
        return rc;
    w = background_wait(&o->thread, CATALOG_MS);
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

static void open_until_done(void *ctx)
{
    struct opener *o = ctx;
    struct err e = {0}, said = {0};
    uint64_t begun_ns = clock_mono_ns();
    enum errc rc;

    while (may_work_again(rc = open_once(o, &e)) && background_goes_on(&o->thread)) {
        if (db_health_is_up(o->d->health) && strcmp(e.msg, said.msg) != 0)
            log_warn("open", "what=\"%s\" consequence=\"tried again\"", e.msg);
        said = e;
        background_pause(&o->thread, PAUSE_MS);
    }
    if (!background_goes_on(&o->thread))
        return;
    if (!rc) {
        daemon_set_open(o->d);
        log_info("ready", "after_ms=%llu",
                 (unsigned long long)((clock_mono_ns() - begun_ns) / 1000000));
    }
    o->o.done(o->o.ctx, rc ? &e : NULL);
}

enum errc opener_new(struct opener **ret_o, struct daemon *d, const struct opener_options *options,
                     struct err *e)
{
    struct opener *o = calloc(1, sizeof *o);

    if (!o)
        return err_set(e, ERRC_NOMEM, 0, "start");
    o->d = d;
    o->o = *options;
    enum errc rc = background_start(&o->thread, "weir-open", open_until_done, o, e);
    if (rc) {
        free(o);
        return rc;
    }
    *ret_o = o;
    return ERRC_OK;
}

struct opener *opener_free(struct opener *o)
{
    if (o)
        background_end(&o->thread);
    free(o);
    return NULL;
}
