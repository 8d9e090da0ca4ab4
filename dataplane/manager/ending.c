/* The workers end first, then the link, each within its bound. */

#include "common/clock.h"
#include "common/log.h"

#include "manager/manager_priv.h"

enum {
    DRAIN_GRACE_MS = 2000, /* beyond what workers were given */
    FLUSH_MS = 10000,
};

/* All workers are gone: the link may write the rest and end. */
static void begin_flush(struct manager *m, uint64_t now_ns, unsigned bound_ms)
{
    m->state = MANAGER_FLUSHING;
    m->deadline_ns = now_ns + clock_ms(bound_ms);
    if (m->link.state == CHILD_DOWN) { /* it died: one more, for what lies in the rings */
        m->link.due_ns = now_ns;
        child_start_due(m, &m->link, now_ns);
    }
    if (m->link.pid == 0) {
        manager_finish(m, 1);
        return;
    }
    child_tell(&m->link, CONTROL_DRAIN, bound_ms, -1);
    child_enter(&m->link, CHILD_ENDING);
}

void workers_gone(struct manager *m, uint64_t now_ns)
{
    if (m->state == MANAGER_DRAINING && workers_in(m, CHILD_ENDED) == m->n_workers)
        begin_flush(m, now_ns, FLUSH_MS);
}

void begin_drain(struct manager *m, uint64_t now_ns, unsigned accept_ms)
{
    log_info("draining", "workers=%u bound_ms=%u", m->n_workers, m->drain_ms);
    m->state = MANAGER_DRAINING;
    m->deadline_ns = now_ns + clock_ms(m->drain_ms + DRAIN_GRACE_MS);
    for (unsigned i = 0; i < m->n_workers; i++) {
        struct child *w = &m->workers[i];
        if (w->state == CHILD_DOWN) {
            child_enter(w, CHILD_ENDED);
            continue;
        }
        child_tell(w, CONTROL_DRAIN, control_drain(m->drain_ms, accept_ms), -1);
        child_enter(w, CHILD_ENDING);
    }
    workers_gone(m, now_ns);
}

void end_now(struct manager *m, uint64_t now_ns)
{
    if (m->state == MANAGER_DRAINING) {
        log_warn("drain_cut", "workers=%u", m->n_workers - workers_in(m, CHILD_ENDED));
        for (unsigned i = 0; i < m->n_workers; i++)
            child_kill(&m->workers[i]);
        m->deadline_ns = now_ns + clock_ms(FLUSH_MS); /* they go at once; then the link's turn */
        return;
    }
    log_warn("flush_cut", "%s", "the rings keep what is not yet in the spool");
    child_kill(&m->link);
    manager_finish(m, 1);
}
