/*
 * The worker process: one loop. Takes generations from the manager, accepts connections, keeps the
 * heartbeat, drains.
 *
 *   manager ──control──▶ worker_on_control ── adopt ──▶ cx.snapshot, pool
 *   listeners ──poll──▶ worker_on_listener ── accept4 ──▶ conn_accept
 */

#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/pages.h"
#include "common/proc.h"

#include "client/conn.h"
#include "meter/meter.h"
#include "shared/control.h"

enum {
    LISTENERS_MAX = 8,
    ACCEPT_PER_TURN = 64, /* threats section 1 */
    HEARTBEAT_MS = 100,
    TRIM_MS = 1000,
    SPARE_BYTES = 1 << 20, /* of a size class, kept for the next burst */
    QUIET_S = 10,
    QUIET_TRIMS = 6, /* one each QUIET_S: pools give back with a delay of their own */
    ACCEPT_PAUSE_MS = 100,
    ORPHAN_MS = 60000, /* without a manager: serve on this long, then drain */
    DESCRIPTORS_RESERVED = 64,
    SPARE_BLOCKS = 256,
    SLICE_US = 100, /* the least there is: whom a client waits for goes before who writes files */
};

struct worker {
    struct context cx;
    uv_loop_t loop;
    uv_poll_t control;
    uv_poll_t listener[LISTENERS_MAX];
    unsigned n_listeners;
    uv_timer_t tick;
    uint64_t last_heartbeat_ns, last_trim_ns, accept_again_ns;
    uint64_t drain_until_ns, accept_until_ns, orphan_since_ns;
    time_t date_of;
    bool accepting, control_open, finished;
    int base_fd;              /* of identities, until an overlay over it comes; -1: none */
    uint64_t records_trimmed; /* when memory was last given back */
    unsigned quiet_s;         /* seconds without a request */
};

static void worker_accept_start(struct worker *w);

/* The time of this tick, and "date: ..." for the heads of this second. */
static void worker_date(struct worker *w)
{
    w->cx.tick_ns = clock_mono_ns();
    w->cx.wall_ahead_us = clock_wall_us() - (int64_t)(w->cx.tick_ns / 1000);

    time_t now = time(NULL);
    struct tm utc;

    if (now == w->date_of)
        return;
    w->date_of = now;
    (void)gmtime_r(&now, &utc);
    size_t n = strftime(w->cx.date, sizeof w->cx.date, "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &utc);
    ASSERT(n == DATE_LINE - 1);
}

static void worker_on_closed(uv_handle_t *h)
{
    (void)h;
}

/* Nothing is left to serve: every handle is closed and the loop ends. */
static void worker_finish(struct worker *w)
{
    if (w->finished)
        return;
    w->finished = true;
    while (!list_is_empty(&w->cx.conns))
        conn_abort(LIST_FIRST(&w->cx.conns, struct conn, link));
    meter_retry(&w->cx);
    pool_close(w->cx.pool);
    for (unsigned i = 0; i < w->n_listeners; i++)
        uv_close((uv_handle_t *)&w->listener[i], worker_on_closed);
    if (w->control_open)
        uv_close((uv_handle_t *)&w->control, worker_on_closed);
    uv_close((uv_handle_t *)&w->tick, worker_on_closed);
}

static void worker_drain(struct worker *w, uint64_t within_ms, uint64_t accept_ms)
{
    uint64_t until = clock_mono_ns() + within_ms * UINT64_C(1000000);

    if (w->cx.draining) {
        w->drain_until_ns = MIN(w->drain_until_ns, until);
        return;
    }
    log_info("drain", "within_ms=%llu open_requests=%u", (unsigned long long)within_ms,
             w->cx.open_requests);
    w->cx.draining = true;
    w->drain_until_ns = until;
    w->accept_until_ns = clock_mono_ns() + MIN(accept_ms, within_ms) * UINT64_C(1000000);
}

static void worker_accept_stop(struct worker *w)
{
    if (!w->accepting)
        return;
    w->accepting = false;
    for (unsigned i = 0; i < w->n_listeners; i++)
        uv_poll_stop(&w->listener[i]);
}

static void worker_on_listener(uv_poll_t *h, int status, int events)
{
    struct worker *w = h->data;
    uv_os_fd_t fd;

    (void)events;
    if (status < 0 || uv_fileno((const uv_handle_t *)h, &fd))
        return;
    for (unsigned i = 0; i < ACCEPT_PER_TURN; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;
        int client = accept4(fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                /* B-03: rest a little instead of spinning on a queue that cannot be emptied */
                worker_accept_stop(w);
                w->accept_again_ns = clock_mono_ns() + ACCEPT_PAUSE_MS * UINT64_C(1000000);
            }
            return;
        }
        if (w->cx.region->metric[METRIC_OPEN_CONNECTIONS] >=
            w->cx.snapshot->h->settings.max_connections) {
            metric_add(w->cx.region, METRIC_CONNECTIONS_REFUSED, 1);
            (void)close(client);
            continue;
        }
        conn_accept(&w->cx, client, &peer);
    }
}

static void worker_accept_start(struct worker *w)
{
    if (w->accepting)
        return;
    w->accepting = true;
    for (unsigned i = 0; i < w->n_listeners; i++)
        if (uv_poll_start(&w->listener[i], UV_READABLE, worker_on_listener))
            log_error("listener_not_polled", "index=%u", i);
}

static void worker_beat(struct worker *w, uint64_t now)
{
    w->last_heartbeat_ns = now;
    atomic_store_explicit(&w->cx.region->heartbeat_ns, now, memory_order_release);
}

/* A generation: adopted whole or not at all. */
static void worker_adopt(struct worker *w, int fd, uint64_t n)
{
    struct snapshot *s = NULL;
    struct err e = {0};

    if (snapshot_open(&s, fd, &e) || pool_adopt(w->cx.pool, s, &e)) {
        log_error("generation_refused",
                  "generation=%llu reason=\"%s\" consequence=\"the old one stays\"",
                  (unsigned long long)n, e.msg);
        s = snapshot_unref(s);
        return;
    }
    bool first = !w->cx.snapshot;
    w->cx.snapshot = snapshot_unref(w->cx.snapshot);
    w->cx.snapshot = s;
    atomic_store_explicit(&w->cx.region->generation, s->h->generation, memory_order_release);
    w->cx.bufs.ceiling =
        s->h->settings.max_inflight_bytes + (64 << 20); /* bodies, and what is between */
    response_store_resize(&w->cx.responses, w->cx.region_index,
                          s->h->settings.response_store_bytes);
    if (first) {
        /* before it serves: who waits for all workers waits for it */
        worker_beat(w, clock_mono_ns());
        worker_accept_start(w);
    }
    struct control_msg ready = {.type = CONTROL_READY, .n = s->h->generation};
    if (control_send(CONTROL_FD, &ready, -1, &e))
        log_warn("manager_not_told", "reason=\"%s\"", e.msg);
}

/* A base waits for the overlay over it. Takes `fd`. */
static void worker_base(struct worker *w, int fd)
{
    if (w->base_fd >= 0)
        (void)close(w->base_fd);
    w->base_fd = fd;
}

/* Identities: adopted whole or not at all; requests that run finish with theirs, but for those
 * whose key may not call any more. */
static void worker_identify(struct worker *w, int fd)
{
    struct context *cx = &w->cx;
    struct identities *i = NULL;
    struct err e = {0};
    enum errc rc = w->base_fd >= 0  ? identities_open(&i, w->base_fd, fd, &e)
                   : cx->identities ? identities_over(&i, cx->identities, fd, &e)
                                    : err_set(&e, ERRC_INVALID, 0, "an overlay without a base");

    if (rc) {
        log_error("identities_refused", "reason=\"%s\" consequence=\"the old ones stay\"", e.msg);
        return;
    }
    worker_base(w, -1);
    cx->identities = identities_unref(cx->identities);
    cx->identities = i;
    atomic_store_explicit(&cx->region->identity, identities_overlay(i)->n, memory_order_release);
    struct list all; /* one that is cut may end others with it: none is held across a recheck */
    list_move(&all, &cx->conns);
    while (!list_is_empty(&all)) {
        struct conn *c = LIST_FIRST(&all, struct conn, link);
        list_drop(&c->link);
        list_push(&cx->conns, &c->link);
        request_recheck(&c->req, i);
    }
}

static void worker_on_control(uv_poll_t *h, int status, int events)
{
    struct worker *w = h->data;
    struct control_msg m;
    struct err e = {0};
    int fd = -1;

    (void)events;
    for (;;) {
        enum errc rc = status < 0 ? ERRC_CLOSED : control_recv(CONTROL_FD, &m, &fd, &e);
        if (rc == ERRC_TIMEOUT)
            return;
        if (rc) {
            log_warn("manager_gone", "consequence=\"serving on for %d s, then draining\"",
                     ORPHAN_MS / 1000);
            w->orphan_since_ns = clock_mono_ns();
            w->control_open = false;
            uv_close((uv_handle_t *)&w->control, worker_on_closed);
            return;
        }
        if (m.type == CONTROL_GENERATION && fd >= 0)
            worker_adopt(w, fd, m.n);
        else if (m.type == CONTROL_BASE && fd >= 0) {
            worker_base(w, fd);
            continue;
        } else if (m.type == CONTROL_OVERLAY && fd >= 0)
            worker_identify(w, fd);
        else if (m.type == CONTROL_DRAIN)
            worker_drain(w, control_drain_within(m.n), control_drain_accept(m.n));
        if (fd >= 0)
            (void)close(fd);
        fd = -1;
    }
}

/* While draining: readiness says so for a while, then no more is accepted, idle connections go, the
 * rest may finish. */
static void worker_drain_step(struct worker *w, uint64_t now)
{
    if (now >= w->accept_until_ns)
        worker_accept_stop(w);
    LIST_FOREACH (&w->cx.conns, struct conn, c, link)
        conn_drain(c, !w->accepting);
    if ((list_is_empty(&w->cx.conns) && !w->accepting) || now >= w->drain_until_ns)
        worker_finish(w);
}

/* Gives memory back, each second: the surplus of a burst at once, everything after some quiet. */
static void worker_trim(struct worker *w)
{
    uint64_t records = w->cx.region->metric[METRIC_RECORDS];
    bool quiet = records == w->records_trimmed && !w->cx.open_requests;

    w->records_trimmed = records;
    w->quiet_s = quiet ? w->quiet_s + 1 : 0;
    bool all = w->quiet_s && w->quiet_s % QUIET_S == 0 && w->quiet_s <= QUIET_S * QUIET_TRIMS;
    if (all || w->cx.out.cap > SPARE_BYTES) /* between callbacks nothing is in it */
        buf_free(&w->cx.bufs, &w->cx.out);
    size_t freed = bufpool_trim(&w->cx.bufs, all ? 0 : SPARE_BYTES) +
                   bufpool_trim(&w->cx.transcript_bufs, all ? 0 : SPARE_BYTES);
    if (all) {
        arena_pool_deinit(&w->cx.arenas);
        meter_trim(&w->cx);
        pages_forget(w->cx.read, sizeof w->cx.read);
    }
    if (all || freed >= SPARE_BYTES)
        (void)malloc_trim(0); /* whether it found something does not matter */
}

static void worker_on_tick(uv_timer_t *t)
{
    struct worker *w = t->data;
    worker_date(w);
    uint64_t now = w->cx.tick_ns;

    wheel_run(&w->cx.wheel, now);
    meter_retry(&w->cx);
    if (now - w->last_heartbeat_ns >= HEARTBEAT_MS * UINT64_C(1000000)) {
        worker_beat(w, now);
        __atomic_store_n(&w->cx.region->metric[METRIC_BODY_BYTES], w->cx.bufs.lent,
                         __ATOMIC_RELAXED);
    }
    if (now - w->last_trim_ns >= TRIM_MS * UINT64_C(1000000)) {
        w->last_trim_ns = now;
        worker_trim(w);
    }
    if (!w->accepting && w->accept_again_ns && now >= w->accept_again_ns && !w->cx.draining) {
        w->accept_again_ns = 0;
        worker_accept_start(w);
    }
    if (w->orphan_since_ns && now - w->orphan_since_ns >= ORPHAN_MS * UINT64_C(1000000) &&
        !w->cx.draining)
        worker_drain(w, w->cx.snapshot ? w->cx.snapshot->h->settings.drain_ms : 0, 0);
    if (w->cx.draining)
        worker_drain_step(w, now);
}

/* Nothing of a worker may be read from outside, and it may open as many descriptors as the system
 * allows. */
static void worker_raise_limits(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections otherwise */
    }
}

static bool worker_open(struct worker *w, unsigned region, unsigned n_listeners, struct err *e)
{
    struct context *cx = &w->cx;

    if (n_listeners > LISTENERS_MAX)
        return err_set(e, ERRC_LIMIT, 0, "%u listeners", n_listeners), false;
    if (shared_map(&cx->shared, SHARED_FD, e) ||
        response_store_map(&cx->responses, RESPONSES_FD, e) ||
        counters_map(&cx->counters, COUNTERS_FD, e) ||
        transcripts_map(&cx->transcripts, TRANSCRIPTS_FD, e))
        return false;
    if (region >= cx->shared.capacity || region >= cx->transcripts.regions)
        return err_set(e, ERRC_INVALID, 0, "region %u", region), false;
    cx->region_index = region;
    cx->region = shared_region(&cx->shared, region);
    cx->arenas.max_spare = SPARE_BLOCKS;
    cx->bufs.ceiling = SIZE_MAX / 2;
    cx->transcript_bufs.ceiling = TRANSCRIPTS_HELD;
    list_init(&cx->conns);
    wheel_init(&cx->wheel, clock_mono_ns());
    meter_init(cx);
    if (getrandom(&cx->random, sizeof cx->random, 0) != (ssize_t)sizeof cx->random)
        return err_set(e, ERRC_SYS, errno, "random seed"), false;
    if (uv_loop_init(&w->loop))
        return err_set(e, ERRC_NOMEM, 0, "event loop"), false;
    cx->loop = &w->loop;
    if (pool_new(&cx->pool, cx->loop, &cx->shared, cx->region, e))
        return false;
    worker_date(w);
    w->control_open = true;
    w->control.data = w->tick.data = w;
    if (uv_poll_init(cx->loop, &w->control, CONTROL_FD) ||
        uv_poll_start(&w->control, UV_READABLE, worker_on_control) ||
        uv_timer_init(cx->loop, &w->tick) ||
        uv_timer_start(&w->tick, worker_on_tick, WHEEL_TICK_MS, WHEEL_TICK_MS))
        return err_set(e, ERRC_NOMEM, 0, "event loop"), false;
    for (unsigned i = 0; i < n_listeners; i++) {
        w->listener[i].data = w;
        if (uv_poll_init(cx->loop, &w->listener[i], (int)(LISTEN_FD + i)))
            return err_set(e, ERRC_NOMEM, 0, "listener %u", i), false;
        w->n_listeners++;
    }
    return true;
}

int worker_main(unsigned region, unsigned n_listeners)
{
    static struct worker w; /* large, and it lives as long as the process */

    w.base_fd = -1;
    struct err e = {0};
    char who[24];

    (void)snprintf(who, sizeof who, "worker %u", region);
    log_init(who, LOG_INFO);
    worker_raise_limits();
    proc_set_slice(SLICE_US);
    if (!worker_open(&w, region, n_listeners, &e)) {
        log_error("worker_not_started", "reason=\"%s\"", e.msg);
        return 1;
    }
    (void)uv_run(&w.loop, UV_RUN_DEFAULT);
    w.cx.snapshot = snapshot_unref(w.cx.snapshot);
    w.cx.identities = identities_unref(w.cx.identities);
    buf_free(&w.cx.bufs, &w.cx.out);
    bufpool_deinit(&w.cx.bufs);
    bufpool_deinit(&w.cx.transcript_bufs);
    arena_pool_deinit(&w.cx.arenas);
    log_info("worker_ended", "region=%u", region);
    return 0;
}
