#pragma once

/* Between the files of the manager's loop: manager.c, children.c, ending.c. */

#include "manager/child.h"
#include "manager/identities.h"
#include "manager/listen.h"
#include "manager/manager.h"
#include "manager/places.h"
#include "shared/control.h"
#include "shared/region.h"

enum {
    RESTART_LINK_MS = 1000, /* between its starts, at most: without it the rings fill */
    SPARE_REGIONS = 2,
};

enum manager_state { MANAGER_STARTING, MANAGER_SERVING, MANAGER_DRAINING, MANAGER_FLUSHING };

struct manager {
    const struct manager_options *options;
    enum manager_state state;
    struct places places;
    struct shared shared;
    int shared_fd;
    int responses_fd, counters_fd, transcripts_fd;
    struct listeners listeners;
    int epoll, signals;
    struct child link;
    struct child *workers;
    unsigned n_workers;
    int generation_fd; /* -1: none yet */
    uint64_t generation;
    struct identities_in_force identities;
    unsigned drain_ms;
    uint64_t deadline_ns; /* of draining and flushing */
    uint64_t checked_ns;  /* heartbeats */
    bool served;          /* a worker was ready once */
    bool orphans;         /* workers of a manager that died still hold regions */
    bool done;
    int exit_code;
};

static inline void manager_finish(struct manager *m, int exit_code)
{
    m->done = true;
    m->exit_code = exit_code;
}

/* --- children.c ------------------------------------------------------------------------------ */

MUST_CHECK enum errc link_start(struct manager *m, struct err *e);

/* Starts what is due; what cannot be started is due again later. */
void child_start_due(struct manager *m, struct child *c, uint64_t now_ns);

/* `pass_fd`: -1 or a descriptor that goes along. A child that is gone or hung is noticed elsewhere.
 */
void child_tell(const struct child *c, enum control_type type, uint64_t n, int pass_fd);
void child_close_control(struct child *c);
void child_kill(struct child *c);

unsigned workers_in(const struct manager *m, enum child_state state);

/* --- ending.c -------------------------------------------------------------------------------- */

/* New connections are taken for `accept_ms` more, so that who balances the load can notice. */
void begin_drain(struct manager *m, uint64_t now_ns, unsigned accept_ms);

/* To be called when a worker has ended: with the last the link may write the rest and end. */
void workers_gone(struct manager *m, uint64_t now_ns);

/* The second TERM, or the bound of draining or flushing. */
void end_now(struct manager *m, uint64_t now_ns);
