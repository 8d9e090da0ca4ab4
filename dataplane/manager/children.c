/* Starts the link and workers, tells them things, ends them. */

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/proc.h"

#include "manager/manager_priv.h"
#include "shared/region.h"

void child_close_control(struct child *c)
{
    if (c->control >= 0)
        close(c->control); /* epoll forgets it by itself */
    c->control = -1;
}

void child_tell(const struct child *c, enum control_type type, uint64_t n, int pass_fd)
{
    struct control_msg msg = {.type = type, .n = n};
    struct err e;

    /* a child that is gone or hung is noticed elsewhere */
    if (c->control >= 0 && control_send(c->control, &msg, pass_fd, &e))
        log_warn("message_not_sent", "pid=%d type=%d error=\"%s\"", (int)c->pid, type, e.msg);
}

/* Starts `argv` with a socket pair at CONTROL_FD that already holds the generation in force, the
 * shared files, and `n_fds` listeners. `id` names the child in epoll: 0 the link, 1 + i worker i.
 */
static enum errc child_start(struct manager *m, struct child *c, unsigned id, char *const *argv,
                             const char *path, char *const *envp, unsigned n_fds, struct err *e)
{
    int pair[2], fds[LISTEN_FD - PROC_FIRST_FD + LISTEN_MAX];
    struct proc_spec spec = {path, argv, envp, fds, LISTEN_FD - PROC_FIRST_FD + n_fds};
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = id};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(e, ERRC_SYS, errno, "socket pair");
    fds[CONTROL_FD - PROC_FIRST_FD] = pair[1];
    fds[SHARED_FD - PROC_FIRST_FD] = m->shared_fd;
    fds[RESPONSES_FD - PROC_FIRST_FD] = m->responses_fd;
    fds[COUNTERS_FD - PROC_FIRST_FD] = m->counters_fd;
    fds[TRANSCRIPTS_FD - PROC_FIRST_FD] = m->transcripts_fd;
    for (unsigned i = 0; i < n_fds; i++)
        fds[LISTEN_FD - PROC_FIRST_FD + i] = m->listeners.fd[i];
    struct control_msg generation = {.type = CONTROL_GENERATION, .n = m->generation};
    enum errc rc = ERRC_OK;
    c->control = pair[0];
    c->base_n = c->overlay_n = 0;
    identities_give(&m->identities, c); /* the first things it finds: */
    if (m->generation_fd >= 0)          /* with the generation it begins to serve */
        rc = control_send(pair[0], &generation, m->generation_fd, e);
    if (!rc && epoll_ctl(m->epoll, EPOLL_CTL_ADD, pair[0], &ev) != 0)
        rc = err_set(e, ERRC_SYS, errno, "watch a child");
    if (!rc)
        rc = proc_spawn(&c->pid, &spec, e);
    close(pair[1]);
    if (rc) {
        child_close_control(c);
        return rc;
    }
    c->started_ns = clock_mono_ns();
    c->alive_ns = c->started_ns;
    child_enter(c, CHILD_STARTING);
    return ERRC_OK;
}

enum errc link_start(struct manager *m, struct err *e)
{
    char path[4096];
    char *argv[] = {(char *)(uintptr_t) "weir-link", (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)m->options->config, NULL};
    enum errc rc = proc_sibling(path, sizeof path, "weir-link", e);

    return rc ? rc : child_start(m, &m->link, 0, argv, path, environ, 0, e);
}

/* A region nobody holds; ERRC_LIMIT while the link has not settled enough dead ones. */
static enum errc region_take(struct manager *m, unsigned *ret_region, struct err *e)
{
    unsigned n = shared_regions(&m->shared);
    unsigned most = MIN(2 * m->n_workers + SPARE_REGIONS, m->shared.capacity);

    for (unsigned i = 0; i < n; i++)
        if (shared_region(&m->shared, i)->state == REGION_FREE) {
            *ret_region = i;
            return ERRC_OK;
        }
    if (n >= most)
        return err_set(e, ERRC_LIMIT, 0, "no free region: the link has not settled the dead ones");
    m->shared.header->n_regions = n + 1;
    *ret_region = n;
    return ERRC_OK;
}

static enum errc worker_start(struct manager *m, unsigned i, struct err *e)
{
    struct child *w = &m->workers[i];
    char region_text[16], listeners_text[16];
    char *argv[] = {(char *)(uintptr_t) "weir-dataplane", (char *)(uintptr_t) "--worker",
                    region_text, listeners_text, NULL};
    char *envp[] = {NULL}; /* no secret of ours is any of a worker's business */
    enum errc rc = region_take(m, &w->region, e);

    if (rc)
        return rc;
    struct region *r = shared_region(&m->shared, w->region);
    (void)snprintf(region_text, sizeof region_text, "%u", w->region);
    (void)snprintf(listeners_text, sizeof listeners_text, "%u", m->listeners.n);
    r->pid = 0;
    r->heartbeat_ns = 0;
    r->state = REGION_HELD;
    rc = child_start(m, w, 1 + i, argv, "/proc/self/exe", envp, m->listeners.n, e);
    if (rc) {
        r->state = REGION_FREE;
        return rc;
    }
    r->pid = (uint32_t)w->pid;
    return ERRC_OK;
}

void child_start_due(struct manager *m, struct child *c, uint64_t now_ns)
{
    struct err e;
    enum errc rc;

    if (c->state != CHILD_DOWN || now_ns < c->due_ns)
        return;
    rc = c == &m->link ? link_start(m, &e) : worker_start(m, (unsigned)(c - m->workers), &e);
    if (rc) {
        c->started_ns = now_ns;
        unsigned wait_ms = child_back_off(c, now_ns, RESTART_LINK_MS);
        log_error("start_failed", "process=%s error=\"%s\" retry_ms=%u",
                  c == &m->link ? "link" : "worker", e.msg, wait_ms);
    }
}

unsigned workers_in(const struct manager *m, enum child_state state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < m->n_workers; i++)
        n += m->workers[i].state == state;
    return n;
}

void child_kill(struct child *c)
{
    if (c->pid > 0 && kill(c->pid, SIGKILL) != 0)
        log_warn("kill_failed", "pid=%d errno=%d", (int)c->pid, errno);
}
