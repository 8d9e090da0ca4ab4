#pragma once

/*
 * Which deployment serves a request, and which after it failed: simple-shuffle over the group, each
 * tried once before any is tried again, retries by LiteLLM's rules (litellm-dataplane.md 5.2, 5.3),
 * at most ATTEMPTS_MAX in all (threats C-02).
 */

#include "snapshot/view.h"

enum { ATTEMPTS_MAX = 4, PLAN_EXCLUDED_MAX = 64 };

struct route_plan {
    const struct snapshot *s;
    struct snap_found found;
    uint32_t max_retries;
    unsigned attempts;                         /* made so far */
    uint64_t excluded[PLAN_EXCLUDED_MAX / 64]; /* members tried, by position in the group */
    const struct snap_deployment *deployment;  /* the current one */
};

/* `requested_retries` as the client asked, SNAP_NONE: it did not. */
void plan_init(struct route_plan *p, const struct snapshot *s, const struct snap_found *found,
               uint32_t requested_retries);

/* Chooses the next deployment by `random`; NULL: no attempt is left. */
const struct snap_deployment *plan_next(struct route_plan *p, uint64_t random);

/* Retries beyond the first attempt that are allowed: the current deployment's, else what
 * plan_init() found. */
uint32_t plan_retries(const struct route_plan *p);

/* Whether an upstream's status (0: no reply came) may be tried again, here or elsewhere. */
bool plan_may_retry(const struct route_plan *p, unsigned status);

/* How long to wait before it, in milliseconds: nothing while other deployments are left. `random`
 * gives the jitter. */
uint32_t plan_wait_ms(const struct route_plan *p, uint32_t retry_after_ms, uint64_t random);
