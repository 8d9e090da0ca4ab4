#pragma once

/*
 * Deadlines of one loop: arming and disarming are two list operations, one coarse tick fires what
 * is due. Precision is the tick; far deadlines wait in their slot for further rounds.
 */

#include "common/list.h"

enum { WHEEL_SLOTS = 512, WHEEL_TICK_MS = 50 };

struct timer;
typedef void (*timer_fn)(struct timer *t);

/* Embedded in what waits. timer_init() before use; disarmed by timer_disarm() before the object
 * goes. */
struct timer {
    struct list link; /* private */
    uint64_t due_ns;  /* monotonic */
    timer_fn fn;
};

struct wheel {
    struct list slot[WHEEL_SLOTS]; /* private */
    uint64_t tick;                 /* private: the next to be looked at */
};

void wheel_init(struct wheel *w, uint64_t now_ns);

static inline void timer_init(struct timer *t, timer_fn fn)
{
    list_init(&t->link);
    t->fn = fn;
}

/* (Re)arms: fn(t) runs from wheel_run() at or up to a tick after `due_ns`. */
void timer_arm(struct wheel *w, struct timer *t, uint64_t due_ns);

static inline void timer_disarm(struct timer *t)
{
    list_drop(&t->link);
}

static inline bool timer_is_armed(const struct timer *t)
{
    return !list_is_empty(&t->link);
}

/* Fires everything due by `now_ns`. Call each WHEEL_TICK_MS. fn may arm and disarm any timer and
 * free its own object. */
void wheel_run(struct wheel *w, uint64_t now_ns);
