/*
 * The thread. What the control plane says is applied to the directory, sealed, handed to the
 * manager, and acknowledged by the next question once every worker serves with it:
 *
 *   connect ─▶ Hello ─▶ ChangesSince ──▶ entities ──▶ more pages? ──▶ seal ─▶ publish ─▶ workers
 *      ▲                  ▲   └ nothing new (heartbeat)  └ ask on              serve with it? ┐
 *      │ next address     └───────────────────────────────────────────────────────────────────┘
 *      └── back off ◀── no answer, refused, nonsense
 *
 * A question leaves the directory as it was until the last page is there. What was sent twice is
 * applied twice, which changes nothing; what is older than what is known breaks the session.
 */

#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "link/reply.h"
#include "link/session_priv.h"

enum {
    HELLO_MS = 3000,
    PAGE_MS = 20000,        /* a page that only the database has */
    HEARTBEAT_MIN_MS = 500, /* what a control plane may say of its heartbeat */
    HEARTBEAT_MAX_MS = 30000,
    GRACE_MS = 2500, /* beyond the heartbeat, then the answer will not come */
    BACK_OFF_MIN_MS = 50,
    BACK_OFF_MAX_MS = 5000,
    BACK_OFF_REFUSED_MS = 1000, /* at most, where finding out that nobody listens costs nothing */
    LOST_MS = 60000,            /* between two lines about one that stays away */
    AWAY_MS = 500,              /* the control plane has no database now */
    STATUS_MS = 3500,           /* between two of them, on a heartbeat */
    STATUS_LATE_MS = 10000,     /* ... or whenever */
    SAVE_MS = 60000,
    RESTARTS_MAX = 5, /* of one question */
    HELLOS_MAX = 5,   /* in a row, without a question answered */
};

enum { TOLD_HASH = BIT(0), TOLD_DOWN = BIT(1) };

static const char *address_of(const struct session *s)
{
    return s->params->join.addresses[s->address % s->params->join.n_addresses];
}

static void gauge(const struct session *s, enum pod_metric m, uint64_t v)
{
    pod_metric_set(s->o.shared, m, v);
}

static void poke(struct session *s)
{
    const uint64_t one = 1;

    (void)!write(s->wake, &one, sizeof one); /* full: it is readable as it is */
}

/* ---- news for the builder ---- */

static void settle(struct session *s, bool is_known)
{
    (void)pthread_mutex_lock(&s->lock);
    bool is_news = !s->news.is_settled || (is_known && !s->news.is_known);
    s->news.is_settled = true;
    s->news.is_known |= is_known;
    (void)pthread_mutex_unlock(&s->lock);
    if (is_news)
        poke(s);
}

/* Documents that changed go to the builder. False: no memory for the copy; tried again. */
static bool give_documents(struct session *s)
{
    uint64_t version = directory_documents(s->directory);

    if (version == s->documents)
        return true;
    struct documents *d = documents_new(s->directory);
    if (!d)
        return false;
    s->documents = version;
    (void)pthread_mutex_lock(&s->lock);
    s->news.documents = documents_free(s->news.documents);
    s->news.documents = d;
    (void)pthread_mutex_unlock(&s->lock);
    poke(s);
    return true;
}

bool session_news(struct session *s, struct session_news *ret)
{
    uint64_t count;

    if (read(s->wake, &count, sizeof count) != sizeof count)
        return false;
    (void)pthread_mutex_lock(&s->lock);
    ret->documents = TAKE(s->news.documents);
    ret->is_known = s->news.is_known;
    ret->is_settled = s->news.is_settled;
    (void)pthread_mutex_unlock(&s->lock);
    return true;
}

void session_built(struct session *s, uint64_t version, uint64_t generation, const char *error)
{
    (void)pthread_mutex_lock(&s->lock);
    s->news.version = version;
    s->news.generation = generation;
    (void)snprintf(s->news.error, sizeof s->news.error, "%s", error ? error : "");
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- asking ---- */

static void disconnect(struct session *s)
{
    s->name_len = 0;
    plane_disconnect(s->plane); /* what is asked over it ends, so the next is short */
    ship_session(s->o.ship, NULL, NULL, 0);
    transcript_ship_session(s->o.transcripts, NULL, NULL, 0);
}

/* Said at once, and now and then for as long as none answers. */
static void tell_lost(struct session *s, const struct err *e)
{
    uint64_t now_ns = clock_mono_ns();
    bool is_new = s->name_len || !(s->told & TOLD_DOWN);

    if (is_new)
        s->lost_ns = now_ns;
    else if (now_ns - s->told_lost_ns < clock_ms(LOST_MS))
        return;
    log_warn("control_plane_lost",
             "address=\"%s\" error=\"%s\" since_s=%llu failures=%u consequence=\"served as known\"",
             address_of(s), e->msg, (unsigned long long)((now_ns - s->lost_ns) / 1000000000),
             s->failures + 1);
    s->told |= TOLD_DOWN;
    s->told_lost_ns = now_ns;
}

static void lose(struct session *s, const struct err *e)
{
    tell_lost(s, e);
    disconnect(s);
    directory_abandon(s->directory);
    gauge(s, POD_PLANE_UP, 0);
    pod_metric_add(s->o.shared, POD_PLANE_FAILURES, 1);
    s->address++;
    s->failures++;
    if (s->failures >= s->params->join.n_addresses)
        settle(s, false); /* whoever waits to start need not wait longer */
}

/* The answer lies in s->arena. */
static enum errc ask(struct session *s, Weir__Request *r, unsigned timeout_ms,
                     const Weir__Reply **ret, struct err *e)
{
    struct str answer;

    r->session = (ProtobufCBinaryData){s->name_len, s->name};
    arena_reset(&s->arena);
    size_t n = weir__request__get_packed_size(r);
    uint8_t *packed = arena_alloc(&s->arena, n + 1);
    if (!packed)
        return err_set(e, ERRC_NOMEM, 0, "ask");
    (void)weir__request__pack(r, packed);
    enum errc rc =
        plane_ask(s->plane, PLANE_SESSION, (struct str){(char *)packed, n}, timeout_ms, &answer, e);
    arena_reset(&s->arena);
    return rc ? rc : reply_read(ret, answer, &s->arena, e);
}

static enum errc foreign(struct err *e, const char *what)
{
    return err_set(e, ERRC_PROTO, 0, "it %s", what);
}

/* What it will not do. ERRC_OK: it may be asked again, in this session or after another Hello. */
static enum errc refused(struct session *s, const Weir__Refusal *r, struct err *e)
{
    char text[120];
    size_t n = 0;

    for (const char *p = r->text; p && p[n] && n + 1 < sizeof text; n++)
        text[n] = p[n] >= 0x20 && p[n] < 0x7f ? p[n] : '?';
    text[n] = '\0';
    switch (r->why) {
    case WEIR__REFUSAL__WHY__EXPIRED:
        s->name_len = 0;
        return ERRC_OK;
    case WEIR__REFUSAL__WHY__AWAY:
        if (s->failures == 0)
            log_warn("control_plane_away",
                     "address=\"%s\" why=\"%s\" consequence=\"served as known\"", address_of(s),
                     text);
        s->failures++;
        settle(s, false);
        (void)plane_sleep(s->plane, AWAY_MS);
        return s->failures % 4 ? ERRC_OK : err_set(e, ERRC_CLOSED, 0, "%s", text);
    case WEIR__REFUSAL__WHY__UNKNOWN_REQUEST:
    case WEIR__REFUSAL__WHY__FORBIDDEN:
    case WEIR__REFUSAL__WHY__NO_PROTOCOL:
    case WEIR__REFUSAL__WHY__MALFORMED:
    case _WEIR__REFUSAL__WHY_IS_INT_SIZE:
        break;
    }
    return err_set(e, ERRC_PROTO, 0, "refused (%d): %s", (int)r->why, text);
}

/* ---- Hello ---- */

static void welcomed(struct session *s, const Weir__Welcome *w)
{
    struct str theirs = {(const char *)w->config_hash.data, w->config_hash.len};

    memcpy(s->name, w->session.data, w->session.len);
    s->name_len = w->session.len;
    ship_session(s->o.ship, s->plane, s->name, s->name_len);
    transcript_ship_session(s->o.transcripts, s->plane, s->name, s->name_len);
    s->heartbeat_ms = w->heartbeat_ms < HEARTBEAT_MIN_MS   ? HEARTBEAT_MIN_MS
                      : w->heartbeat_ms > HEARTBEAT_MAX_MS ? HEARTBEAT_MAX_MS
                                                           : w->heartbeat_ms;
    totals_session(&s->totals, w->totals);
    s->has_status = true;
    s->status_ns = 0;
    s->told &= ~(unsigned)TOLD_DOWN;
    pod_metric_add(s->o.shared, POD_PLANE_SESSIONS, 1);
    gauge(s, POD_PLANE_UP, 1);
    log_info("control_plane", "address=\"%s\" version=\"%.40s\" protocol=%u", address_of(s),
             w->version ? w->version : "", w->protocol);
    bool differs = theirs.n && !str_eq(theirs, s->params->config_hash);
    if (differs && !(s->told & TOLD_HASH))
        log_warn("config_differs", "consequence=\"this pod and its control plane read different "
                                   "files\"");
    s->told = differs ? s->told | TOLD_HASH : s->told & ~(unsigned)TOLD_HASH;
}

static enum errc hello(struct session *s, struct err *e)
{
    struct directory_revision r = directory_revision(s->directory);
    Weir__Revision have = WEIR__REVISION__INIT;
    Weir__Hello m;
    Weir__Request q = WEIR__REQUEST__INIT;
    const Weir__Reply *a;

    weir__hello__init(&m); /* the macro casts const away */
    have.epoch = r.epoch;
    have.n = r.n;
    m.protocol = SESSION_PROTOCOL;
    m.oldest = SESSION_PROTOCOL_OLDEST;
    m.version = (char *)(uintptr_t)WEIR_VERSION;
    m.pod = (ProtobufCBinaryData){POD_NAME, s->pod};
    m.host = s->host;
    m.config_hash = (ProtobufCBinaryData){s->params->config_hash.n,
                                          (uint8_t *)(uintptr_t)s->params->config_hash.p};
    if (s->params->join.token)
        m.token = (char *)(uintptr_t)s->params->join.token;
    m.have = &have;
    q.is_case = WEIR__REQUEST__IS_HELLO;
    q.hello = &m;
    if (++s->hellos > HELLOS_MAX)
        return foreign(e, "ends each session at once");
    enum errc rc = ask(s, &q, HELLO_MS, &a, e);
    if (rc)
        return rc;
    if (a->is_case == WEIR__REPLY__IS_REFUSAL)
        return refused(s, a->refusal, e);
    if (a->is_case != WEIR__REPLY__IS_WELCOME)
        return foreign(e, "answered Hello with something else");
    if (a->welcome->protocol < SESSION_PROTOCOL_OLDEST || a->welcome->protocol > SESSION_PROTOCOL)
        return foreign(e, "speaks a protocol that this does not");
    welcomed(s, a->welcome);
    return ERRC_OK;
}

/* ---- changes ---- */

struct sync {                            /* one question, over all of its pages */
    struct directory_revision have, now; /* now: of the first page */
    struct arena arena;                  /* the cursor */
    struct str cursor;
    bool is_full, is_begun, has_entities;
    unsigned restarts, bad;
    uint64_t begun_ns, arrived_ns;
};

/* Everything changed meanwhile: from the beginning, but not for ever. */
static enum errc sync_restart(struct session *s, struct sync *y, struct err *e)
{
    directory_abandon(s->directory);
    y->is_begun = y->is_full = false;
    y->cursor = (struct str){0};
    return ++y->restarts > RESTARTS_MAX ? foreign(e, "begins again and again") : ERRC_OK;
}

static enum errc sync_begin(struct session *s, struct sync *y, const Weir__Changes *c,
                            struct err *e)
{
    y->now = (struct directory_revision){c->now->epoch, c->now->n};
    y->is_full = c->full;
    y->is_begun = true;
    y->begun_ns = clock_mono_ns();
    if (!c->full) {
        if (y->now.epoch != y->have.epoch)
            return foreign(e, "tells of changes since a revision it does not know");
        return y->now.n < y->have.n ? foreign(e, "is behind what is served") : ERRC_OK;
    }
    pod_metric_add(s->o.shared, POD_RESYNCS, 1);
    log_info("full_sync", "epoch=%llu revision=%llu", (unsigned long long)y->now.epoch,
             (unsigned long long)y->now.n);
    return directory_full(s->directory, e);
}

static enum errc apply(struct session *s, struct sync *y, const Weir__Changes *c, struct err *e)
{
    for (size_t i = 0; i < c->n_entities; i++) {
        enum errc rc = directory_apply(s->directory, c->entities[i], e);
        if (rc == ERRC_NOMEM)
            return rc;
        if (!rc)
            continue;
        if (y->bad++ == 0) {
            (void)snprintf(s->error, sizeof s->error, "%.*s", (int)sizeof s->error - 1, e->msg);
            log_warn("entity_left_out", "error=\"%s\" consequence=\"the others hold\"", e->msg);
        }
    }
    y->has_entities |= c->n_entities > 0;
    return ERRC_OK;
}

/* One page; *ret_done: it was the last. */
static enum errc on_page(struct session *s, struct sync *y, const Weir__Changes *c, bool *ret_done,
                         struct err *e)
{
    struct str cursor = {(const char *)c->cursor.data, c->cursor.len};
    enum errc rc;

    if (y->is_begun &&
        (c->full != y->is_full || c->now->epoch != y->now.epoch || c->now->n < y->now.n))
        return sync_restart(s, y, e); /* the place of the cursor is gone */
    if (!y->is_begun && (rc = sync_begin(s, y, c, e)) != ERRC_OK)
        return rc;
    if ((rc = apply(s, y, c, e)) != ERRC_OK)
        return rc;
    if (!c->full)
        totals_told(&s->totals, s->directory, c);
    *ret_done = cursor.n == 0;
    if (cursor.n && str_eq(cursor, y->cursor))
        return foreign(e, "gives the same page again");
    arena_reset(&y->arena);
    y->cursor = arena_str(&y->arena, cursor);
    return arena_ok(&y->arena) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "cursor");
}

static enum errc ask_page(struct session *s, struct sync *y, const Weir__Reply **ret, struct err *e)
{
    Weir__Revision have = WEIR__REVISION__INIT;
    Weir__ChangesSince m = WEIR__CHANGES_SINCE__INIT;
    Weir__Request q = WEIR__REQUEST__INIT;
    unsigned char spool[TOTALS_NAME];
    bool is_first = y->cursor.n == 0;

    have.epoch = y->have.epoch;
    have.n = y->have.n;
    m.have = &have;
    m.cursor = (ProtobufCBinaryData){y->cursor.n, (uint8_t *)(uintptr_t)y->cursor.p};
    m.wait = is_first;
    totals_ask(&s->totals, &m, spool);
    q.is_case = WEIR__REQUEST__IS_CHANGES;
    q.changes = &m;
    unsigned timeout_ms = s->heartbeat_ms + GRACE_MS;
    if (!is_first || !s->is_synced || y->restarts)
        timeout_ms = MAX(timeout_ms, (unsigned)PAGE_MS);
    enum errc rc = ask(s, &q, timeout_ms, ret, e);
    y->arrived_ns = clock_mono_ns();
    return rc;
}

/* The last page is there. */
static enum errc sync_end(struct session *s, struct sync *y, struct err *e)
{
    uint64_t documents = s->documents;
    bool is_news = y->is_full || y->has_entities || y->now.n != y->have.n;
    enum errc rc = session_publish(s, y->now, e);

    if (!rc && !give_documents(s))
        rc = err_set(e, ERRC_NOMEM, 0, "models and settings");
    if (rc)
        return rc;
    s->is_synced = true;
    settle(s, true); /* before the wait: the first generation is only made then */
    if (y->is_full)
        totals_full(&s->totals, y->begun_ns);
    if (is_news && !y->bad)
        s->error[0] = '\0';
    if (is_news) {
        session_await_workers(s, s->documents != documents);
        gauge(s, POD_REVISION_LAG, (clock_mono_ns() - y->arrived_ns) / 1000000);
    }
    gauge(s, POD_REVISION, y->now.n);
    gauge(s, POD_ENTITIES, directory_count(s->directory));
    if (y->is_full)
        log_info("full_sync_done", "epoch=%llu revision=%llu entities=%llu bad=%u",
                 (unsigned long long)y->now.epoch, (unsigned long long)y->now.n,
                 (unsigned long long)directory_count(s->directory), y->bad);
    s->failures = s->hellos = 0;
    /* Fresh: what the workers serve with was all there is when this answer was written. */
    atomic_store_explicit(&s->o.shared->header->session_ns, y->arrived_ns, memory_order_relaxed);
    return ERRC_OK;
}

/* One question and its pages. */
static enum errc sync_pages(struct session *s, struct sync *y, struct err *e)
{
    const Weir__Reply *a;
    bool is_done = false;

    while (!is_done) {
        enum errc rc = ask_page(s, y, &a, e);
        if (rc)
            return rc;
        if (a->is_case == WEIR__REPLY__IS_REFUSAL) {
            directory_abandon(s->directory);
            return refused(s, a->refusal, e);
        }
        if (a->is_case != WEIR__REPLY__IS_CHANGES)
            return foreign(e, "answered ChangesSince with something else");
        rc = on_page(s, y, a->changes, &is_done, e);
        if (rc)
            return rc;
    }
    return sync_end(s, y, e);
}

static enum errc changes(struct session *s, struct err *e)
{
    struct sync y = {.have = directory_revision(s->directory)};

    arena_init(&y.arena, NULL, 4 * REPLY_CURSOR_MAX);
    enum errc rc = sync_pages(s, &y, e);
    arena_reset(&y.arena);
    return rc;
}

/* ---- Status ---- */

static enum errc tell_status(struct session *s, struct err *e)
{
    Weir__Request q = WEIR__REQUEST__INIT;
    Weir__Status st;
    Weir__Revision have;
    const Weir__Reply *a;

    status_fill(&st, &have, s);
    q.is_case = WEIR__REQUEST__IS_STATUS;
    q.status = &st;
    s->status_ns = clock_mono_ns();
    enum errc rc = ask(s, &q, HELLO_MS, &a, e);
    if (rc || a->is_case != WEIR__REPLY__IS_REFUSAL)
        return rc;
    if (a->refusal->why == WEIR__REFUSAL__WHY__UNKNOWN_REQUEST) { /* an older one */
        s->has_status = false;
        return ERRC_OK;
    }
    return refused(s, a->refusal, e);
}

static bool wants_status(const struct session *s, bool is_quiet)
{
    uint64_t since_ns = clock_mono_ns() - s->status_ns;

    return s->has_status && since_ns >= clock_ms(is_quiet ? STATUS_MS : STATUS_LATE_MS);
}

/* ---- the thread ---- */

/* At random between half and all of what it would be, so that not all pods come at once. */
static unsigned back_off_ms(const struct session *s)
{
    unsigned rounds = MIN(s->failures / s->params->join.n_addresses, 10), r = 0;
    unsigned max_ms = s->is_refused ? BACK_OFF_REFUSED_MS : BACK_OFF_MAX_MS;
    unsigned ms = MIN((unsigned)BACK_OFF_MIN_MS << rounds, max_ms);

    (void)!getrandom(&r, sizeof r, 0);
    return s->failures < s->params->join.n_addresses ? r % 10 : ms / 2 + r % (ms / 2 + 1);
}

static void take_params(struct session *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct params *p = TAKE(s->news.params);
    (void)pthread_mutex_unlock(&s->lock);
    if (!p)
        return;
    s->params = params_free(s->params);
    s->params = p;
    s->address = 0;
    disconnect(s);
}

static enum errc turn(struct session *s, struct err *e)
{
    uint64_t n = directory_n(s->directory);
    enum errc rc = ERRC_OK;

    if (!s->name_len) {
        rc = hello(s, e);
        return rc || !s->name_len ? rc : tell_status(s, e);
    }
    rc = changes(s, e);
    if (!rc && s->name_len && wants_status(s, n == directory_n(s->directory)))
        rc = tell_status(s, e);
    return rc;
}

static void save_when_due(struct session *s, bool was_synced)
{
    if (s->is_dirty && s->is_synced &&
        (!was_synced || clock_mono_ns() - s->saved_ns >= clock_ms(SAVE_MS)))
        session_save(s);
}

static void *run(void *arg)
{
    struct session *s = arg;
    struct err e;

    (void)prctl(PR_SET_NAME, "weir-session", 0, 0, 0);
    while (!plane_is_stopped(s->plane)) {
        bool was_synced = s->is_synced;
        take_params(s);
        if (s->failures && !s->name_len && !plane_sleep(s->plane, back_off_ms(s)))
            break;
        enum errc rc = ERRC_OK;
        if (!s->name_len)
            rc = plane_connect(s->plane, address_of(s), &s->params->join, &e);
        s->is_refused = rc == ERRC_CLOSED;
        s->hellos = 0;
        while (!rc && !plane_is_stopped(s->plane)) {
            rc = turn(s, &e);
            if (!rc)
                save_when_due(s, was_synced);
            was_synced = s->is_synced;
            (void)pthread_mutex_lock(&s->lock);
            bool has_params = s->news.params != NULL;
            (void)pthread_mutex_unlock(&s->lock);
            if (has_params)
                take_params(s);
            if (has_params)
                break;
        }
        if (rc && !plane_is_stopped(s->plane))
            lose(s, &e);
    }
    return NULL;
}

/* ---- its life ---- */

static uint64_t highest_n(const struct shared *sh)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < shared_regions(sh); i++)
        n = MAX(n, shared_region(sh, i)->identity);
    return n;
}

/* From disk, and from what workers serve with. */
static enum errc open_directory(struct session *s, int base_fd, int overlay_fd, struct err *e)
{
    const struct directory_options o = {.counters = totals_counters(&s->totals),
                                        .n = highest_n(s->o.shared)};

    s->directory = directory_new(&o);
    if (!s->directory)
        return err_set(e, ERRC_NOMEM, 0, "session");
    s->news.is_known = session_load(s);
    if (base_fd >= 0 && overlay_fd >= 0) {
        enum errc rc = directory_adopt(s->directory, base_fd, overlay_fd, e);
        if (rc == ERRC_NOMEM)
            return rc;
        if (rc)
            log_warn("identities_not_adopted", "error=\"%s\" consequence=\"asked for again\"",
                     e->msg);
    } else if (s->news.is_known) {
        enum errc rc = session_publish(s, directory_revision(s->directory), e);
        if (rc)
            return rc;
    }
    struct directory_revision r = directory_revision(s->directory);
    gauge(s, POD_REVISION, r.n);
    gauge(s, POD_ENTITIES, directory_count(s->directory));
    if (!give_documents(s))
        return err_set(e, ERRC_NOMEM, 0, "session");
    if (s->news.is_known) /* also when it holds no documents */
        poke(s);
    return ERRC_OK;
}

enum errc session_open(struct session **ret_s, const struct session_options *o,
                       const struct session_config *c, int base_fd, int overlay_fd, struct err *e)
{
    struct session *s = calloc(1, sizeof *s);
    enum errc rc;

    if (!s)
        return err_set(e, ERRC_NOMEM, 0, "session");
    s->o = *o;
    s->base = s->overlay = -1;
    (void)pthread_mutex_init(&s->lock, NULL); /* does not fail on Linux */
    arena_init(&s->arena, NULL, REPLY_ARENA);
    totals_init(&s->totals, o->counters, o->state_dir);
    s->params = params_new(c);
    s->plane = plane_new();
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!s->params || !s->plane || s->wake < 0) {
        rc = err_set(e, ERRC_NOMEM, 0, "session");
    } else {
        session_name_pod(s);
        if (gethostname(s->host, sizeof s->host - 1) != 0)
            s->host[0] = '\0';
        gauge(s, POD_PLANE_UP, 0);
        rc = open_directory(s, base_fd, overlay_fd, e);
    }
    if (rc) {
        (void)session_close(s);
        return rc;
    }
    *ret_s = s;
    return ERRC_OK;
}

enum errc session_start(struct session *s, struct err *e)
{
    /* Configured, and never answered: no key can be called unknown. */
    uint64_t never = 0;
    (void)atomic_compare_exchange_strong(&s->o.shared->header->session_ns, &never, 1);
    if (ship_start(s->o.ship, e))
        return e->code;
    int rc = pthread_create(&s->thread, NULL, run, s);
    if (rc)
        return err_set(e, ERRC_SYS, rc, "thread of the session");
    s->has_thread = true;
    return ERRC_OK;
}

enum errc session_renew(struct session *s, const struct session_config *c, struct err *e)
{
    struct params *p = params_new(c);

    if (!p)
        return err_set(e, ERRC_NOMEM, 0, "session");
    (void)pthread_mutex_lock(&s->lock);
    s->news.params = params_free(s->news.params);
    s->news.params = p;
    (void)pthread_mutex_unlock(&s->lock);
    return ERRC_OK;
}

void session_drain(struct session *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->news.is_draining = true;
    (void)pthread_mutex_unlock(&s->lock);
}

bool session_is_stuck(const struct session *s, uint64_t now_ns)
{
    return plane_is_stuck(s->plane, now_ns);
}

int session_fd(const struct session *s)
{
    return s->wake;
}

struct session *session_close(struct session *s)
{
    if (!s)
        return NULL;
    if (s->has_thread) {
        plane_stop(s->plane);
        (void)pthread_join(s->thread, NULL);
        disconnect(s);
        if (s->is_synced)
            session_save(s);
        gauge(s, POD_PLANE_UP, 0);
    }
    s->plane = plane_free(s->plane);
    s->directory = directory_free(s->directory);
    s->news.documents = documents_free(s->news.documents);
    s->news.params = params_free(s->news.params);
    s->params = params_free(s->params);
    arena_reset(&s->arena);
    totals_deinit(&s->totals);
    if (s->base >= 0)
        close(s->base);
    if (s->overlay >= 0)
        close(s->overlay);
    if (s->wake >= 0)
        close(s->wake);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}
