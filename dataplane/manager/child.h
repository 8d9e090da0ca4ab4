#pragma once

/* A process the manager keeps running: the link, or the worker of one slot. Manager only. */

#include <sys/types.h>

#include "common/err.h"

enum { CHILD_BEAT_MS = 2000, CHILD_START_MS = 10000, CHILD_ABORT_MS = 1000 };

enum child_state {
    CHILD_DOWN,     /* to be started at due_ns */
    CHILD_STARTING, /* runs, has not said that it is ready */
    CHILD_UP,
    CHILD_ABORTED, /* hung: got ABRT, gets KILL next */
    CHILD_ENDING,  /* told to end */
    CHILD_ENDED,   /* and did */
    CHILD_STATES,
};

struct child {
    enum child_state state;
    pid_t pid;                  /* 0: does not run */
    int control;                /* our end of the socket pair; -1: closed */
    unsigned region;            /* of a worker */
    unsigned failures;          /* in a row */
    uint64_t started_ns;        /* monotonic, as all times here */
    uint64_t due_ns;            /* CHILD_DOWN: start; CHILD_ABORTED: kill */
    uint64_t base_n, overlay_n; /* of the identities it was last given; 0: none */
    uint64_t alive_ns; /* workers: hung when no heartbeat came since this time and its bound */
};

const char *child_state_name(enum child_state s);

/* The only setter of `state`. */
void child_enter(struct child *c, enum child_state to);

/* It ended without being told to: sets the time of the next start, after 0, 0.1, 0.2 ... 5 s and at
 * most `most_ms`. Returns that wait in milliseconds. */
unsigned child_back_off(struct child *c, uint64_t now_ns, unsigned most_ms);
