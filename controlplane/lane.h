#pragma once

/*
 * Pool threads for requests of one kind, behind a bounded queue: a full one refuses at once, and
 * what waited too long is not begun. Two lanes keep long reports from delaying a key being made;
 * and a user's reports come one behind the other, so that nobody takes all threads. Their
 * statements still meet in the database, so a lane can make way: few run at once, and one more
 * after each second in which they were too few and nobody asked it to.
 */

#include "api/call.h"

struct lane;

struct lane_options {
    const char *name;
    unsigned threads, queue_max;
    unsigned deadline_ms; /* of a request, waiting included */
    bool makes_way;       /* else all threads run at once */
    struct db *db;
    /* On a pool thread: runs the call to its answer. */
    void (*run)(struct call *c, struct db *db);
    /* On a pool thread, last: the call is the caller's again. */
    void (*done)(void *ctx, struct call *c);
    void *ctx;
};

MUST_CHECK enum errc lane_new(struct lane **ret_l, const struct lane_options *o, struct err *e);

/* False: the queue is full. Loop only, as all below. */
MUST_CHECK bool lane_push(struct lane *l, struct call *c);

/*
 * On a pool thread, in run(): the call is of `who`, of whom one runs at a time. LANE_ASIDE: another
 * one runs; run() returns without an answer, and runs the call again behind that. LANE_FULL: too
 * many wait already.
 */
enum lane_turn { LANE_GO, LANE_ASIDE, LANE_FULL };
MUST_CHECK enum lane_turn lane_turn(struct call *c, uint64_t who);

/* Others suffer: no more than a few are begun at once, for now. Any thread. */
void lane_make_way(struct lane *l);

/* Whoever asked is gone: the call ends as soon as it looks. It is still handed to done(). */
void lane_cancel(struct lane *l, struct call *c);

struct lane_load {
    unsigned running, queued;
    uint64_t refused; /* ever, for a full queue */
};
struct lane_load lane_load(struct lane *l); /* any thread */

/* Ends the threads once the queue is empty, then frees. */
struct lane *lane_free(struct lane *l);
