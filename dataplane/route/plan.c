/* Weighted choice among the members not tried yet. */

#include "route/plan.h"

enum {
    RETRY_AFTER_MAX_MS = 60 * 1000,
    BACKOFF_MS = 500,
    BACKOFF_MAX_MS = 8000,
};

void plan_init(struct route_plan *p, const struct snapshot *s, const struct snap_found *found,
               uint32_t requested_retries)
{
    uint32_t group = found->group ? found->group->num_retries : SNAP_NONE;

    *p = (struct route_plan){.s = s, .found = *found};
    p->max_retries = requested_retries != SNAP_NONE ? requested_retries
                     : group != SNAP_NONE           ? group
                                                    : s->h->settings.num_retries;
}

static const struct snap_member *plan_member(const struct route_plan *p, uint32_t i)
{
    return SNAP_AT(p->s, p->found.group->members, struct snap_member, i);
}

static bool plan_is_excluded(const struct route_plan *p, uint32_t i)
{
    return i < PLAN_EXCLUDED_MAX && p->excluded[i / 64] & BIT64(i % 64);
}

/* Members that may be chosen, and the sum of their weights. */
static uint64_t plan_weight(const struct route_plan *p)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < p->found.group->members.n; i++) {
        const struct snap_member *m = plan_member(p, i);
        if (m && !plan_is_excluded(p, i))
            sum += m->weight;
    }
    return sum;
}

const struct snap_deployment *plan_next(struct route_plan *p, uint64_t random)
{
    if (p->attempts == ATTEMPTS_MAX)
        return NULL;
    p->attempts++;
    if (!p->found.group)
        return p->deployment = p->found.deployment;
    uint64_t sum = plan_weight(p);
    if (!sum) { /* all tried: once more from the start */
        memset(p->excluded, 0, sizeof p->excluded);
        sum = plan_weight(p);
    }
    if (!sum)
        return NULL;
    uint64_t pick = random % sum;
    for (uint32_t i = 0; i < p->found.group->members.n; i++) {
        const struct snap_member *m = plan_member(p, i);
        if (!m || plan_is_excluded(p, i))
            continue;
        if (pick < m->weight) {
            if (i < PLAN_EXCLUDED_MAX)
                p->excluded[i / 64] |= BIT64(i % 64);
            return p->deployment =
                       SNAP_AT(p->s, p->s->h->deployments, struct snap_deployment, m->deployment);
        }
        pick -= m->weight;
    }
    return NULL;
}

static unsigned plan_deployments(const struct route_plan *p)
{
    return p->found.group ? p->found.group->members.n : 1;
}

uint32_t plan_retries(const struct route_plan *p)
{
    bool own = p->deployment && p->deployment->num_retries != SNAP_NONE;

    return own ? p->deployment->num_retries : p->max_retries;
}

bool plan_may_retry(const struct route_plan *p, unsigned status)
{
    if (p->attempts > plan_retries(p) || p->attempts == ATTEMPTS_MAX)
        return false;
    switch (status) {
    case 0:
    case 408:
    case 409:
    case 429:
        return true;
    case 401:
    case 403:
        return plan_deployments(p) > 1;
    default:
        return status >= 500;
    }
}

uint32_t plan_wait_ms(const struct route_plan *p, uint32_t retry_after_ms, uint64_t random)
{
    uint32_t least = p->s->h->settings.retry_after_ms;

    if (p->found.group && plan_weight(p))
        return least;
    if (retry_after_ms && retry_after_ms <= RETRY_AFTER_MAX_MS)
        return MAX(retry_after_ms, least);
    uint32_t backoff = MIN((uint32_t)BACKOFF_MS << (p->attempts - 1), (uint32_t)BACKOFF_MAX_MS);
    backoff -= (uint32_t)(random % 750) * backoff / 1000;
    return MAX(backoff, least);
}
