/*
 * The manager's loop: signals, messages of the children, times.
 *
 *   STARTING   the link reads the configuration
 *      | first generation accepted: sockets opened, workers started
 *   SERVING
 *      | TERM
 *   DRAINING   workers finish what they have
 *      | all gone
 *   FLUSHING   the link writes what is left in the rings
 *      | gone
 *   done
 *
 * A child may die in any state and is started again until the draining begins. What it left behind
 * is in its region: the link settles that, and then the region is free for another worker.
 */

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/proc.h"

#include "manager/manager_priv.h"
#include "shared/counters.h"
#include "shared/response_store.h"
#include "shared/transcripts.h"
#include "snapshot/view.h"

enum {
    CHECK_MS = 500,    /* between looks at the heartbeats */
    LATE_MS = 1500,    /* since the last look: we slept ourselves, and so may have they */
    ACCEPT_MS = 5000,  /* after TERM new connections are still taken for */
    RESTART_MS = 5000, /* between starts of what keeps dying, at most */
    MIN_CAPACITY = 66, /* regions; costs only address space */
};

static bool is_ending(const struct manager *m)
{
    return m->state >= MANAGER_DRAINING;
}

/* --- generations ----------------------------------------------------------------------------- */

static unsigned workers_wanted(const struct manager *m, const struct snap_settings *s)
{
    unsigned n = m->options->workers ? m->options->workers : s->workers ? s->workers : proc_cpus();
    unsigned most = (m->shared.capacity - SPARE_REGIONS) / 2;

    if (n > most)
        log_warn("workers_limited", "wanted=%u workers=%u", n, most);
    return MIN(n, most);
}

/* Opens the sockets for the first generation: the choice of the command line, of the file, or all
 * addresses; only this machine's without a master key. */
static enum errc open_listeners(struct manager *m, const struct snapshot *snap, struct err *e)
{
    bool has_key = snap->h->settings.flags & SNAP_HAS_MASTER_KEY;
    struct str host = snap_str(snap, snap->h->settings.host);
    char text[256];

    if (m->options->host)
        host = str_of(m->options->host);
    else if (host.n == 0)
        host = has_key ? STR("0.0.0.0") : STR("127.0.0.1");
    if (host.n >= sizeof text)
        return err_set(e, ERRC_LIMIT, 0, "the address to listen on is too long");
    (void)snprintf(text, sizeof text, STR_FMT, STR_ARG(host));
    if (!has_key)
        log_warn("no_master_key",
                 "consequence=\"only this machine may connect, any key is taken\"");
    uint16_t port =
        (uint16_t)(m->options->port >= 0 ? m->options->port : (int32_t)snap->h->settings.port);
    enum errc rc = listen_open(&m->listeners, text, port, !has_key, e);
    if (rc == ERRC_SYS && e->sys == EADDRINUSE)
        return err_wrap(e, "another process has the port (--port chooses another one)");
    return rc;
}

static enum errc serve(struct manager *m, const struct snapshot *snap, struct err *e)
{
    enum errc rc = open_listeners(m, snap, e);

    if (rc)
        return rc;
    m->n_workers = workers_wanted(m, &snap->h->settings);
    m->workers = calloc(m->n_workers, sizeof *m->workers);
    if (!m->workers)
        return err_set(e, ERRC_NOMEM, 0, "process table");
    for (unsigned i = 0; i < m->n_workers; i++)
        m->workers[i] = (struct child){.control = -1};
    m->state = MANAGER_SERVING;
    return ERRC_OK;
}

/* Looks at a generation before anybody serves with it; ERRC_INVALID: it must not replace the one in
 * force. */
static enum errc accept_generation(struct manager *m, int fd, struct err *e)
{
    struct snapshot *snap;
    enum errc rc = snapshot_open(&snap, fd, e);

    if (rc)
        return err_wrap(e, "generation of the link");
    if (m->state == MANAGER_STARTING)
        rc = serve(m, snap, e);
    else if (!(snap->h->settings.flags & SNAP_HAS_MASTER_KEY) && !listen_is_loopback(&m->listeners))
        rc = err_set(e, ERRC_INVALID, 0,
                     "the new configuration has no master key, and %s is open to other machines",
                     m->listeners.text[0]);
    if (!rc)
        m->drain_ms = snap->h->settings.drain_ms;
    (void)snapshot_unref(snap);
    return rc;
}

/* Takes `fd`. */
static void on_generation(struct manager *m, uint64_t n, int fd)
{
    bool first = m->state == MANAGER_STARTING;
    struct err e;

    if (fd < 0) {
        log_error("generation_lost", "generation=%llu", (unsigned long long)n);
        return;
    }
    if (accept_generation(m, fd, &e)) {
        close(fd);
        log_error("generation_refused", "generation=%llu error=\"%s\" consequence=\"%s\"",
                  (unsigned long long)n, e.msg, first ? "not started" : "nothing changed");
        pod_metric_add(&m->shared, POD_GENERATIONS_REFUSED, 1);
        if (first)
            manager_finish(m, 1);
        return;
    }
    if (m->generation_fd >= 0)
        close(m->generation_fd);
    m->generation_fd = fd;
    m->generation = n;
    pod_metric_set(&m->shared, POD_GENERATION, n);
    if (!first)
        log_info("generation", "generation=%llu", (unsigned long long)n);
    for (unsigned i = 0; i < m->n_workers; i++)
        child_tell(&m->workers[i], CONTROL_GENERATION, n, fd);
}

/* To workers; the link has them. */
static void give_identities(struct manager *m)
{
    for (unsigned i = 0; i < m->n_workers; i++)
        identities_give(&m->identities, &m->workers[i]);
}

/* Takes `fd`. */
static void on_identities(struct manager *m, const struct control_msg *msg, int fd)
{
    if (identities_take(&m->identities, msg, fd, &m->link))
        give_identities(m);
}

static void on_refused(struct manager *m, const char *text)
{
    log_error("configuration_refused", "error=\"%s\" consequence=\"%s\"", text,
              m->state == MANAGER_STARTING ? "not started" : "nothing changed");
    pod_metric_add(&m->shared, POD_GENERATIONS_REFUSED, 1);
    if (m->state == MANAGER_STARTING)
        manager_finish(m, 1);
}

static void on_ready(struct manager *m, struct child *c)
{
    if (c->state != CHILD_STARTING)
        return; /* it is being ended, or took another generation */
    child_enter(c, CHILD_UP);
    c->alive_ns = clock_mono_ns();
    pod_metric_set(&m->shared, POD_WORKERS, workers_in(m, CHILD_UP));
    if (m->served)
        return;
    m->served = true;
    for (unsigned i = 0; i < m->listeners.n; i++)
        log_info("serving", "address=%s workers=%u generation=%llu pid=%d", m->listeners.text[i],
                 m->n_workers, (unsigned long long)m->generation, (int)getpid());
}

/* --- what happens ---------------------------------------------------------------------------- */

/* Handles one message; false when there was none. */
static bool on_message(struct manager *m, struct child *c)
{
    struct control_msg msg;
    struct err e;
    int fd;
    enum errc rc = control_recv(c->control, &msg, &fd, &e);

    if (rc == ERRC_TIMEOUT)
        return false;
    if (rc) {
        if (rc != ERRC_CLOSED)
            log_error("message_bad", "pid=%d error=\"%s\"", (int)c->pid, e.msg);
        child_close_control(c); /* SIGCHLD tells the rest */
        return false;
    }
    bool from_link = c == &m->link;
    if (from_link && msg.type == CONTROL_GENERATION) {
        if (c->state == CHILD_STARTING)
            child_enter(c, CHILD_UP);
        on_generation(m, msg.n, fd);
        return true;
    }
    if (from_link && (msg.type == CONTROL_BASE || msg.type == CONTROL_OVERLAY)) {
        on_identities(m, &msg, fd);
        return true;
    }
    if (from_link && msg.type == CONTROL_REFUSED)
        on_refused(m, msg.text);
    else if (!from_link && msg.type == CONTROL_READY)
        on_ready(m, c);
    /* CONTROL_REGION_FREE needs no answer: the region says so itself */
    if (fd >= 0)
        close(fd);
    return true;
}

static void describe_exit(char *out, size_t cap, int status)
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, cap, "signal=%s", sigabbrev_np(WTERMSIG(status)));
    else
        (void)snprintf(out, cap, "exit=%d", WEXITSTATUS(status));
}

static void on_worker_exit(struct manager *m, struct child *w, int status, uint64_t now_ns)
{
    struct region *r = shared_region(&m->shared, w->region);
    char how[32];

    describe_exit(how, sizeof how, status);
    r->pid = 0;
    r->state = REGION_DEAD; /* also after a clean end: the link empties the ring first */
    child_tell(&m->link, CONTROL_WORKER_DIED, w->region, -1);
    if (w->state == CHILD_ENDING) {
        if (status != 0)
            log_warn("worker_ended", "worker=%u %s", (unsigned)(w - m->workers), how);
        child_enter(w, CHILD_ENDED);
        workers_gone(m, now_ns);
        return;
    }
    pod_metric_add(&m->shared, POD_WORKER_DEATHS, 1);
    unsigned wait_ms = child_back_off(w, now_ns, RESTART_MS);
    log_error("worker_died", "worker=%u pid=%d region=%u state=%s %s restart_ms=%u",
              (unsigned)(w - m->workers), (int)w->pid, w->region, child_state_name(w->state), how,
              wait_ms);
    child_enter(w, CHILD_DOWN);
}

static void on_link_exit(struct manager *m, int status, uint64_t now_ns)
{
    char how[32];

    describe_exit(how, sizeof how, status);
    if (m->link.state == CHILD_ENDING) {
        if (status != 0)
            log_error("link_failed", "%s", how);
        child_enter(&m->link, CHILD_ENDED);
        manager_finish(m, status != 0);
        return;
    }
    if (m->state == MANAGER_STARTING) {
        log_error("link_died", "%s consequence=\"not started\"", how);
        manager_finish(m, 1);
        return;
    }
    pod_metric_add(&m->shared, POD_LINK_DEATHS, 1);
    unsigned wait_ms = child_back_off(&m->link, now_ns, RESTART_LINK_MS);
    log_error("link_died", "pid=%d %s restart_ms=%u", (int)m->link.pid, how, wait_ms);
    child_enter(&m->link, CHILD_DOWN);
}

static void reap(struct manager *m)
{
    uint64_t now_ns = clock_mono_ns();
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *c = pid == m->link.pid ? &m->link : NULL;
        for (unsigned i = 0; !c && i < m->n_workers; i++)
            c = m->workers[i].pid == pid ? &m->workers[i] : NULL;
        if (!c)
            continue; /* process 1 of a container reaps anybody's */
        while (c->control >= 0 && on_message(m, c))
            ; /* what it said before it died */
        child_close_control(c);
        if (c == &m->link)
            on_link_exit(m, status, now_ns);
        else
            on_worker_exit(m, c, status, now_ns);
        c->pid = 0;
    }
    pod_metric_set(&m->shared, POD_WORKERS, workers_in(m, CHILD_UP));
}

static void on_term(struct manager *m, unsigned accept_ms)
{
    uint64_t now_ns = clock_mono_ns();

    switch (m->state) {
    case MANAGER_STARTING:
        child_kill(&m->link);
        manager_finish(m, 0);
        return;
    case MANAGER_SERVING:
        begin_drain(m, now_ns, accept_ms);
        return;
    case MANAGER_DRAINING:
    case MANAGER_FLUSHING:
        end_now(m, now_ns);
        return;
    }
}

static void on_signals(struct manager *m)
{
    struct signalfd_siginfo si;

    while (!m->done && read(m->signals, &si, sizeof si) == (ssize_t)sizeof si) {
        switch (si.ssi_signo) {
        case SIGCHLD:
            reap(m);
            break;
        case SIGTERM:
            on_term(m, ACCEPT_MS);
            break;
        case SIGINT: /* a person at a terminal: nobody balances load here */
            on_term(m, 0);
            break;
        case SIGHUP:
            child_tell(&m->link, CONTROL_RELOAD, 0, -1);
            break;
        case SIGUSR1:
            child_tell(&m->link, CONTROL_REOPEN, 0, -1);
            break;
        default:
            log_warn("signal_ignored", "signal=%u", si.ssi_signo);
        }
    }
}

/* --- times ----------------------------------------------------------------------------------- */

/* A worker whose loop stands still: ABRT first, for the trace it leaves, then KILL. */
static void check_heartbeat(struct manager *m, struct child *w, uint64_t now_ns)
{
    struct region *r = shared_region(&m->shared, w->region);

    if (w->state == CHILD_ABORTED && now_ns >= w->due_ns) {
        child_kill(w);
        w->due_ns = UINT64_MAX;
        return;
    }
    if (w->state != CHILD_STARTING && w->state != CHILD_UP)
        return;
    uint64_t alive_ns = MAX(r->heartbeat_ns, w->alive_ns);
    unsigned bound_ms = w->state == CHILD_UP ? CHILD_BEAT_MS : CHILD_START_MS;
    if (now_ns < alive_ns + clock_ms(bound_ms))
        return;
    log_error("worker_hangs", "worker=%u pid=%d silent_ms=%llu consequence=\"aborted\"",
              (unsigned)(w - m->workers), (int)w->pid,
              (unsigned long long)((now_ns - alive_ns) / 1000000));
    (void)kill(w->pid, SIGABRT); /* ours until reaped */
    w->due_ns = now_ns + clock_ms(CHILD_ABORT_MS);
    child_enter(w, CHILD_ABORTED);
}

/* What a manager that died left behind: as its workers go, their regions are the link's to settle.
 * A worker of ours is no orphan: until it is reaped its process id is taken. */
static void bury_orphans(struct manager *m)
{
    m->orphans = false;
    for (unsigned i = 0; i < shared_regions(&m->shared); i++) {
        struct region *r = shared_region(&m->shared, i);
        if (r->state != REGION_HELD)
            continue;
        if (r->pid == 0 || (kill((pid_t)r->pid, 0) != 0 && errno == ESRCH))
            r->state = REGION_DEAD;
        else
            m->orphans = true;
    }
}

static void check_heartbeats(struct manager *m, uint64_t now_ns)
{
    bool late = now_ns - m->checked_ns > clock_ms(LATE_MS);

    m->checked_ns = now_ns;
    give_identities(m); /* to whoever did not read when they came */
    if (m->orphans)
        bury_orphans(m);
    for (unsigned i = 0; i < m->n_workers; i++) {
        if (late)
            m->workers[i].alive_ns = now_ns;
        check_heartbeat(m, &m->workers[i], now_ns);
    }
}

/* Does what is due and returns how long to sleep. */
static int on_time(struct manager *m)
{
    uint64_t now_ns = clock_mono_ns(), next_ns = now_ns + clock_ms(CHECK_MS);

    if (is_ending(m)) {
        if (now_ns >= m->deadline_ns)
            end_now(m, now_ns);
        next_ns = MIN(next_ns, m->deadline_ns);
    } else {
        child_start_due(m, &m->link, now_ns);
        if (m->link.state == CHILD_DOWN)
            next_ns = MIN(next_ns, m->link.due_ns);
        for (unsigned i = 0; i < m->n_workers; i++) {
            struct child *w = &m->workers[i];
            child_start_due(m, w, now_ns);
            if (w->state == CHILD_DOWN || w->state == CHILD_ABORTED)
                next_ns = MIN(next_ns, w->due_ns);
        }
    }
    if (now_ns - m->checked_ns >= clock_ms(CHECK_MS) || next_ns < now_ns + clock_ms(CHECK_MS))
        check_heartbeats(m, now_ns);
    return (int)((MAX(next_ns, now_ns) - now_ns + 999999) / 1000000);
}

static void loop(struct manager *m)
{
    struct epoll_event ev[16];

    while (!m->done) {
        int wait_ms = on_time(m);
        if (m->done)
            return;
        int n = epoll_wait(m->epoll, ev, ARRAY_LEN(ev), wait_ms);
        for (int i = 0; i < n && !m->done; i++) {
            uint64_t id = ev[i].data.u64;
            struct child *c = id == 0 ? &m->link : &m->workers[id - 1];
            if (id == UINT64_MAX)
                on_signals(m);
            else if (c->control >= 0)
                (void)on_message(m, c); /* more of them wake us again */
        }
    }
}

/* --- start and end --------------------------------------------------------------------------- */

static enum errc watch_signals(struct manager *m, struct err *e)
{
    static const int numbers[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        (void)sigaddset(&set, numbers[i]);
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
        return err_set(e, ERRC_SYS, errno, "block signals");
    (void)signal(SIGPIPE, SIG_IGN); /* logs may be piped to a reader that left */
    m->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    m->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (m->signals < 0 || m->epoll < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, m->signals, &ev) != 0)
        return err_set(e, ERRC_SYS, errno, "watch signals");
    return ERRC_OK;
}

static enum errc start(struct manager *m, struct err *e)
{
    char path[PLACE_MAX + 16];
    unsigned workers = MAX(m->options->workers, proc_cpus());
    unsigned capacity = MAX(2 * workers + SPARE_REGIONS, (unsigned)MIN_CAPACITY);
    enum errc rc = places_find(&m->places, e);

    if (!rc)
        rc = places_lock(&m->places, e);
    if (!rc)
        rc = watch_signals(m, e);
    if (rc)
        return rc;
    (void)snprintf(path, sizeof path, "%s/shared", m->places.run_dir);
    rc = shared_make(&m->shared, path, capacity, &m->shared_fd, e);
    if (rc)
        return rc;
    (void)snprintf(path, sizeof path, "%s/responses", m->places.run_dir);
    rc = response_store_make(path, m->shared.capacity, &m->responses_fd, e);
    if (rc)
        return rc;
    (void)snprintf(path, sizeof path, "%s/counters", m->places.run_dir);
    rc = counters_make(path, &m->counters_fd, e);
    if (!rc)
        rc = transcripts_make(m->shared.capacity, &m->transcripts_fd, e);
    if (rc)
        return rc;
    bury_orphans(m);
    m->checked_ns = clock_mono_ns();
    return link_start(m, e);
}

/* The counters go with an orderly end; records nobody has written yet stay for the next start. */
static void remove_shared(const struct manager *m)
{
    char path[PLACE_MAX + 8];

    if (!m->shared.header || !shared_is_settled(&m->shared))
        return;
    (void)snprintf(path, sizeof path, "%s/shared", m->places.run_dir);
    (void)unlink(path); /* left behind it is only used again */
}

int manager_main(const struct manager_options *o)
{
    static struct manager m; /* the process context; large */
    struct err e;

    m = (struct manager){.options = o,
                         .shared_fd = -1,
                         .responses_fd = -1,
                         .counters_fd = -1,
                         .transcripts_fd = -1,
                         .generation_fd = -1,
                         .identities = IDENTITIES_NONE,
                         .link = {.control = -1},
                         .drain_ms = 30000};
    log_init("manager", LOG_INFO);
    (void)prctl(PR_SET_NAME, "weir-dataplane", 0, 0, 0);
    proc_harden(getenv("WEIR_CORES"));
    if (start(&m, &e)) {
        log_error("start_failed", "error=\"%s\"", e.msg);
        return 1;
    }
    loop(&m);
    remove_shared(&m);
    log_info("ended", "exit=%d", m.exit_code);
    free(m.workers);
    return m.exit_code;
}
