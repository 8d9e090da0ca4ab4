/* States of a child, and how long to wait before starting one again. */

#include "manager/child.h"

static const struct {
    const char *name;
    uint32_t next; /* states that may follow, as bits */
} child_states[CHILD_STATES] = {
    [CHILD_DOWN] = {"down", BIT(CHILD_STARTING) | BIT(CHILD_ENDED)},
    [CHILD_STARTING] = {"starting",
                        BIT(CHILD_UP) | BIT(CHILD_ABORTED) | BIT(CHILD_ENDING) | BIT(CHILD_DOWN)},
    [CHILD_UP] = {"up", BIT(CHILD_ABORTED) | BIT(CHILD_ENDING) | BIT(CHILD_DOWN)},
    [CHILD_ABORTED] = {"aborted", BIT(CHILD_ENDING) | BIT(CHILD_DOWN)},
    [CHILD_ENDING] = {"ending", BIT(CHILD_ENDED)},
    [CHILD_ENDED] = {"ended", 0},
};

const char *child_state_name(enum child_state s)
{
    return child_states[s].name;
}

void child_enter(struct child *c, enum child_state to)
{
    ASSERT(child_states[c->state].next & BIT(to));
    c->state = to;
}

unsigned child_back_off(struct child *c, uint64_t now_ns, unsigned most_ms)
{
    static const unsigned waits_ms[] = {0, 100, 200, 400, 800, 1600, 3200, 5000};
    const uint64_t well_ns = UINT64_C(10000000000); /* lived this long: its death is a first one */

    if (now_ns - c->started_ns >= well_ns)
        c->failures = 0;
    unsigned wait_ms = MIN(waits_ms[MIN(c->failures, ARRAY_LEN(waits_ms) - 1)], most_ms);
    c->failures++;
    c->due_ns = now_ns + wait_ms * UINT64_C(1000000);
    return wait_ms;
}
