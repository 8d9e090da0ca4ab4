#pragma once

/*
 * What is done without being asked: rows of jobs.def, one after the other on a thread with a
 * connection of its own. Of several control planes on a database one at a time runs a job: each run
 * is one transaction under an advisory lock. One that fails is tried again at its next time.
 */

#include "store/store.h"

struct daemon;

struct job { /* one run */
    const struct daemon *d;
    struct store store; /* in a transaction */
    bool again;         /* said by the job: there is more to do at once */
};
typedef void (*job_fn)(struct job *j);

/* The jobs, declared by their rows. */
#define JOB(id, period_ms, whose, run, sentence) void job_##run(struct job *j);
#include "jobs/jobs.def"
#undef JOB

struct jobs;

/* Begins. `d` is borrowed until jobs_free(). */
MUST_CHECK enum errc jobs_new(struct jobs **ret_j, const struct daemon *d, struct err *e);
/* Ends the run in progress, undone, and the thread. */
struct jobs *jobs_free(struct jobs *j);
