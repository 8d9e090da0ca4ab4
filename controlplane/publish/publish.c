/* The parts together, and answers that wait. */

#include "publish/publish.h"

#include "common/clock.h"
#include "common/gateway/join.h"
#include "common/log.h"
#include "common/place.h"

#include "config.h"
#include "daemon.h"
#include "ingest/ingest.h"
#include "ingest/transcripts.h"
#include "publish/authority.h"
#include "publish/intake.h"
#include "publish/pages.h"
#include "publish/reader.h"
#include "publish/roster.h"
#include "publish/sockets.h"
#include "publish/totals.h"
#include "publish/transcript_intake.h"

enum {
    BOUND_MS = 1000, /* an answer waits no longer */
    TICK_MS = 20,
    STATEMENT_MS = 1500,
    READER_CONNS = 2,
    PAGES_CONNS = 1,
    INTAKE_CONNS = 2,
    TOTALS_CONNS = 1,
};

struct waiter {
    struct waiter *next;
    struct call *call;
    uint64_t kick;       /* seen by the reader: the change has a revision */
    struct revision has; /* epoch 0: not yet */
    uint64_t until_ns;
};

struct publish {
    struct daemon *d;
    struct db *reader_db, *pages_db, *intake_db, *totals_db, *transcripts_db;
    struct ingest *ingest;
    struct entities *entities;
    struct hub *hub;
    struct pages *pages;
    _Atomic(struct intake *) intake;                 /* NULL: not open yet */
    _Atomic(struct transcript_intake *) transcripts; /* likewise */
    struct sockets *sockets;
    struct reader *_Atomic reader; /* NULL until it is open */
    struct roster roster;
    struct totals *totals;

    /* of the loop */
    uv_async_t async;
    uv_timer_t timer;
    bool has_handles;
    struct waiter *first, **last;
};

/* ---- answers that wait ---- */

static void answer(struct publish *p, struct waiter *w, struct hub_applied a)
{
    struct call *c = w->call;

    c->headers = arena_printf(&c->arena, STR_FMT "x-weir-applied: %u/%u\r\n", STR_ARG(c->headers),
                              a.have, a.all);
    free(w);
    daemon_answer(p->d, c);
}

/* True: it is answered and gone. In the order they came, so revisions only grow. */
static bool try_answer(struct publish *p, struct waiter *w, uint64_t now_ns)
{
    struct hub_applied a;

    if (!w->has.epoch && reader_seen(p->reader) >= w->kick)
        w->has = hub_revision(p->hub);
    a = hub_applied(p->hub, w->has, now_ns);
    if (!w->has.epoch)
        a.have = 0;
    bool is_over = now_ns >= w->until_ns;
    if (!is_over && (!w->has.epoch || a.waited_for))
        return false;
    if (is_over && w->has.epoch)
        hub_late(p->hub, w->has, now_ns);
    p->first = w->next;
    if (!p->first) {
        p->last = &p->first;
        hub_await(p->hub, false);
        (void)uv_timer_stop(&p->timer);
    }
    answer(p, w, a);
    return true;
}

static void look(struct publish *p)
{
    uint64_t now_ns = clock_mono_ns();

    while (p->first && try_answer(p, p->first, now_ns))
        ;
}

static void on_async(uv_async_t *async)
{
    look(async->data);
}

static void on_timer(uv_timer_t *timer)
{
    look(timer->data);
}

uint64_t publish_kick(struct daemon *d)
{
    return reader_kick(d->publish->reader);
}

bool publish_park(struct daemon *d, struct call *c)
{
    struct publish *p = d->publish;
    uint64_t now_ns = clock_mono_ns();
    struct waiter *w = NULL;

    if (hub_applied(p->hub, (struct revision){0}, now_ns).all)
        w = calloc(1, sizeof *w);
    if (!w)
        return false;
    *w = (struct waiter){
        .call = c, .kick = c->kick, .until_ns = now_ns + BOUND_MS * UINT64_C(1000000)};
    if (!p->first) {
        hub_await(p->hub, true);
        (void)uv_timer_start(&p->timer, on_timer, TICK_MS, TICK_MS);
    }
    *p->last = w;
    p->last = &w->next;
    return true;
}

/* From any thread. */
static void on_progress(void *ctx)
{
    struct publish *p = ctx;

    (void)uv_async_send(&p->async);
}

/* ---- between the parts ---- */

static void send_reply(void *ctx, void *to, struct str bytes)
{
    struct publish *p = ctx;

    sockets_send(p->sockets, to, bytes);
}

static bool ask_page(void *ctx, const struct hub_job *job)
{
    struct publish *p = ctx;

    return pages_push(p->pages, job);
}

static bool ask_usage(void *ctx, const struct hub_delivery *u)
{
    struct publish *p = ctx;

    struct intake *intake = atomic_load(&p->intake);

    return intake && intake_push(intake, u);
}

static bool ask_transcripts(void *ctx, const struct hub_delivery *u)
{
    struct publish *p = ctx;
    struct transcript_intake *transcripts = atomic_load(&p->transcripts);

    return transcripts && transcript_intake_push(transcripts, u);
}

static enum errc take_usage(void *ctx, struct db *db, const Weir__UsageBatch *const *b, size_t n,
                            Weir__UsageTaken *ret, struct err *e)
{
    return ingest_batches(ctx, db, b, n, ret, e);
}

static void on_ahead(void *ctx, struct revision r)
{
    struct publish *p = ctx;

    struct reader *reader = atomic_load(&p->reader);

    if (reader)
        reader_ahead(reader, r);
}

struct hub *publish_hub(struct publish *p)
{
    return p->hub;
}

const struct roster *publish_roster(const struct publish *p)
{
    return &p->roster;
}

/* ---- start ---- */

static enum errc open_db(struct publish *p, struct db **ret, const char *name, unsigned conns,
                         unsigned statement_ms, struct err *e)
{
    struct db_options o = *db_options(p->d->db[LANE_CRUD]);

    o.name = name;
    o.max_conns = conns;
    o.statement_timeout_ms = statement_ms;
    o.writes_much = ret == &p->intake_db;
    return db_new(ret, &o, p->d->health, e);
}

static bool is_tls(struct str address)
{
    return str_starts(address, STR("tls+tcp://"));
}

static bool wants_tls(const struct conf_node *list)
{
    struct str address;

    for (uint32_t i = 0; setting_name(list, i, &address); i++)
        if (is_tls(address))
            return true;
    return false;
}

static enum errc make_certificate(struct publish *p, struct sockets_tls *ret, struct arena *a,
                                  const struct db_wait *w, struct err *e)
{
    const struct config *c = p->d->config;
    struct authority authority;
    struct identity_pem own;
    struct tx tx;

    tx_init(&tx, p->reader_db, a, w);
    enum errc rc = authority_get(&authority, &tx, &c->seal, a, e);
    if (!rc)
        rc = authority_sign(&own, &authority, AUTHORITY_SERVER, JOIN_SERVER_NAME, 0, a, e);
    if (!rc)
        *ret = (struct sockets_tls){authority.certificate, own.certificate, own.key};
    tx_end(&tx);
    return rc;
}

static const struct conf_node *addresses(const struct publish *p)
{
    return p->d->config->file.value[SETTING_WEIR_plane_listen];
}

/* Those with TLS, or those without. */
static enum errc listen_on(struct publish *p, const struct sockets_tls *tls, struct arena *a,
                           struct err *e)
{
    struct str address;
    enum errc rc = ERRC_OK;

    for (uint32_t i = 0; !rc && setting_name(addresses(p), i, &address); i++)
        if (is_tls(address) == !!tls)
            rc = sockets_listen(p->sockets, arena_str(a, address).p, tls, e);
    return rc;
}

static enum errc listen_here(struct publish *p, struct err *e)
{
    char run_dir[PLACE_MAX], address[PLACE_MAX + 32];
    struct str any;
    struct arena a;

    arena_init(&a, NULL, 1024 * 1024);
    enum errc rc = listen_on(p, NULL, &a, e);
    bool is_default = !setting_name(addresses(p), 0, &any);
    if (!rc && is_default)
        rc = place_run(run_dir, e);
    if (!rc && is_default) {
        (void)snprintf(address, sizeof address, "ipc://%s/plane.sock", run_dir);
        rc = sockets_listen(p->sockets, address, NULL, e);
    }
    arena_reset(&a);
    return rc;
}

static enum errc start_intake(struct publish *p, struct err *e)
{
    const struct config *c = p->d->config;
    const struct ingest_options io = {
        .catalog = p->d->catalog,
        .no_agent_tags =
            config_bool(&c->file, SETTING_LITELLM_disable_add_user_agent_to_request_tags),
        .zone = c->zone,
        .standard_budget = config_text(&c->file, SETTING_LITELLM_max_end_user_budget_id),
        .begins_periods =
            c->runs_jobs && !config_bool(&c->file, SETTING_GENERAL_disable_reset_budget)};
    enum errc rc = ingest_new(&p->ingest, &io, e);
    struct intake *intake = NULL;
    const struct intake_options o = {.db = p->intake_db,
                                     .threads = INTAKE_CONNS,
                                     .hub = p->hub,
                                     .take = take_usage,
                                     .ctx = p->ingest};

    if (!rc)
        rc = intake_new(&intake, &o, e);
    atomic_store(&p->intake, intake);
    return rc;
}

static enum errc start_transcripts(struct publish *p, struct err *e)
{
    const struct transcript_intake_options o = {.db = p->transcripts_db,
                                                .hub = p->hub,
                                                .key = &p->d->config->seal,
                                                .take = transcripts_take};
    struct transcript_intake *transcripts = NULL;
    enum errc rc = transcript_intake_new(&transcripts, &o, e);

    atomic_store(&p->transcripts, transcripts);
    return rc;
}

static enum errc start(struct publish *p, struct err *e)
{
    struct hub_options ho = {.ctx = p,
                             .version = WEIR_VERSION,
                             .config_hash = p->d->config->file.hash,
                             .send = send_reply,
                             .job = ask_page,
                             .usage = ask_usage,
                             .transcripts = ask_transcripts,
                             .ahead = on_ahead,
                             .progress = on_progress};
    enum errc rc = open_db(p, &p->reader_db, "weir publish", READER_CONNS, STATEMENT_MS, e);

    if (!rc)
        rc = open_db(p, &p->pages_db, "weir pages", PAGES_CONNS, STATEMENT_MS, e);
    if (!rc)
        rc = open_db(p, &p->intake_db, "weir ingest", INTAKE_CONNS, INGEST_STATEMENT_MS, e);
    if (!rc)
        rc = open_db(p, &p->totals_db, "weir totals", TOTALS_CONNS, STATEMENT_MS, e);
    if (!rc)
        rc = open_db(p, &p->transcripts_db, "weir transcripts", 1, INGEST_STATEMENT_MS, e);
    if (!rc)
        rc = hub_new(&p->hub, &ho, e);
    if (!rc)
        rc = sockets_new(&p->sockets, p->hub, e);
    return rc ? rc : listen_here(p, e);
}

/* What needs no more than that the database was there once. */
static enum errc open_rest(struct publish *p, const struct sockets_tls *tls, struct arena *a,
                           struct err *e)
{
    struct reader_options ro = {
        .hub = p->hub, .roster = &p->roster, .db = p->reader_db, .seen = on_progress, .ctx = p};
    struct pages_options po = {.hub = p->hub, .db = p->pages_db};
    struct reader *reader = NULL;
    enum errc rc = entities_new(&p->entities, p->d->catalog, &p->d->config->seal, e);

    po.entities = ro.entities = p->entities;
    ro.catalog = p->d->catalog;
    if (!rc)
        rc = pages_new(&p->pages, &po, e);
    if (!rc)
        rc = start_intake(p, e);
    if (!rc)
        rc = start_transcripts(p, e);
    if (!rc)
        rc = reader_new(&reader, &ro, e);
    atomic_store(&p->reader, reader);
    const struct totals_options to = {p->totals_db, p->entities, p->hub};
    if (!rc)
        rc = totals_new(&p->totals, &to, e);
    return rc || !tls->key ? rc : listen_on(p, tls, a, e);
}

enum errc publish_open(struct publish *p, const struct db_wait *w, struct err *e)
{
    struct sockets_tls tls = {0};
    struct arena a;
    enum errc rc = ERRC_OK;

    arena_init(&a, NULL, 1024 * 1024);
    if (wants_tls(addresses(p)))
        rc = make_certificate(p, &tls, &a, w, e);
    if (!rc)
        rc = open_rest(p, &tls, &a, e);
    arena_reset(&a);
    return rc;
}

enum errc publish_new(struct publish **ret_p, struct daemon *d, struct err *e)
{
    struct publish *p = calloc(1, sizeof *p);

    if (!p)
        return err_set(e, ERRC_NOMEM, 0, "publishing");
    p->d = d;
    p->last = &p->first;
    roster_init(&p->roster);
    *ret_p = p; /* in any case: handles on the loop need their end */
    int rc = uv_async_init(d->loop, &p->async, on_async);
    if (!rc)
        rc = uv_timer_init(d->loop, &p->timer);
    if (rc)
        return err_set(e, ERRC_SYS, -rc, "event loop");
    p->has_handles = true;
    p->async.data = p->timer.data = p;
    return start(p, e);
}

void publish_close(struct publish *p)
{
    struct waiter *next;

    if (!p)
        return;
    for (struct waiter *w = p->first; w; w = next) { /* cut: their clients are gone */
        next = w->next;
        answer(p, w, (struct hub_applied){0});
    }
    p->first = NULL;
    p->last = &p->first;
    sockets_close(p->sockets);
    if (p->has_handles) {
        uv_close((uv_handle_t *)&p->async, NULL);
        uv_close((uv_handle_t *)&p->timer, NULL);
    }
}

struct publish *publish_free(struct publish *p)
{
    if (!p)
        return NULL;
    sockets_close(p->sockets);
    p->totals = totals_free(p->totals);
    atomic_store(&p->reader, reader_free(p->reader));
    pages_stop(p->pages);
    intake_stop(p->intake);
    transcript_intake_stop(p->transcripts);
    p->hub = hub_free(p->hub);
    p->pages = pages_free(p->pages);
    p->intake = intake_free(p->intake);
    p->transcripts = transcript_intake_free(p->transcripts);
    p->sockets = sockets_free(p->sockets);
    entities_free(p->entities);
    p->ingest = ingest_free(p->ingest);
    p->intake_db = db_free(p->intake_db);
    p->totals_db = db_free(p->totals_db);
    p->transcripts_db = db_free(p->transcripts_db);
    p->pages_db = db_free(p->pages_db);
    p->reader_db = db_free(p->reader_db);
    free(p);
    return NULL;
}
