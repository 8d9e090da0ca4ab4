/* A hashed wheel: the slot is the tick modulo WHEEL_SLOTS. */

#include "common/wheel.h"

static const uint64_t tick_ns = WHEEL_TICK_MS * UINT64_C(1000000);

void wheel_init(struct wheel *w, uint64_t now_ns)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slot[i]);
    w->tick = now_ns / tick_ns;
}

void timer_arm(struct wheel *w, struct timer *t, uint64_t due_ns)
{
    uint64_t tick = due_ns / tick_ns + 1; /* never early */

    timer_disarm(t);
    t->due_ns = due_ns;
    if (tick < w->tick)
        tick = w->tick;
    list_push(&w->slot[tick % WHEEL_SLOTS], &t->link);
}

void wheel_run(struct wheel *w, uint64_t now_ns)
{
    uint64_t last = now_ns / tick_ns;

    if (last - w->tick >= WHEEL_SLOTS && last > w->tick)
        w->tick = last - WHEEL_SLOTS + 1;
    while (w->tick <= last) {
        /* A callback that arms what is overdue must find a slot not looked at yet. */
        struct list *slot = &w->slot[w->tick++ % WHEEL_SLOTS];
        struct list due;
        /* What is due leaves the slot first: callbacks may arm into it. */
        list_init(&due);
        LIST_FOREACH (slot, struct timer, t, link) {
            if (t->due_ns <= now_ns) {
                list_drop(&t->link);
                list_push(&due, &t->link);
            }
        }
        struct timer *t;
        while ((t = LIST_FIRST(&due, struct timer, link))) {
            list_drop(&t->link);
            t->fn(t);
        }
    }
}
