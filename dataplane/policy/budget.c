#include "policy/budget.h"

#include "common/gateway/duration.h"
#include "common/num.h"

#include "policy/budget_model.h"
#include "policy/guards.h"

enum { NUSD = 1000000000 }; /* a dollar, in nano-dollars */

#define BUDGET_TEXT                                                                                \
    "Budget has been exceeded! %s=" STR_FMT " Current cost: " STR_FMT ", Max budget: " STR_FMT

size_t nusd_put(char *out, int64_t nusd)
{
    uint64_t v = nusd < 0 ? 0 - (uint64_t)nusd : (uint64_t)nusd;
    char digits[20];
    size_t at = 0, n;

    if (nusd < 0)
        out[at++] = '-';
    if (v && v < 100000) { /* below 0.0001: 1e-05, 2.5e-07 */
        n = num_put_u64(digits, v);
        char exponent = (char)('0' + 10 - n);
        while (n > 1 && digits[n - 1] == '0')
            n--;
        out[at++] = digits[0];
        if (n > 1)
            out[at++] = '.';
        memcpy(out + at, digits + 1, n - 1);
        at += n - 1;
        memcpy(out + at, "e-0", 3);
        out[at + 3] = exponent;
        return at + 4;
    }
    at += num_put_u64(out + at, v / NUSD);
    out[at++] = '.';
    n = num_put_u64(digits, NUSD + v % NUSD); /* a one before nine digits */
    while (n > 2 && digits[n - 1] == '0')
        n--;
    memcpy(out + at, digits + 1, n - 1);
    return at + n - 1;
}

struct str nusd_text(struct arena *a, int64_t nusd)
{
    char *out = arena_alloc(a, NUSD_TEXT);

    return out ? (struct str){out, nusd_put(out, nusd)} : (struct str){0};
}

int64_t budget_of(const struct identity_rules *r, int64_t now_us)
{
    if (r->max_budget_nusd < 0)
        return LIMIT_NONE;
    int64_t extra = now_us < r->extra_until_us ? MAX(r->extra_budget_nusd, (int64_t)0) : 0;
    return r->max_budget_nusd > INT64_MAX - extra ? INT64_MAX : r->max_budget_nusd + extra;
}

const struct counter *budget_counter(const struct counters *c, const struct identity_found *f,
                                     int64_t now_us)
{
    struct counter *n = counters_at(c, f->identity->slot);
    int64_t reset_us = f->identity->budget_reset_us;
    uint32_t now_s = (uint32_t)(now_us / 1000000);

    if (!n || reset_us <= 0 || !f->rules ||
        LIKELY(atomic_load_explicit(&n->ends_s, memory_order_relaxed) &&
               !counter_is_over(n, now_s)))
        return n;
    struct period p = duration_period(snap_str(f->s, f->rules->budget_duration), reset_us, now_us);
    counter_begin(n, now_s, (uint32_t)(p.began_us / 1000000),
                  (uint32_t)MIN(p.ends_us / 1000000, (int64_t)UINT32_MAX));
    return n;
}

/* Spend and budget of an entity that has one which is used up. */
static bool used_up(const struct ask *k, const struct identity_found *f, int64_t *ret_spend,
                    int64_t *ret_max)
{
    if (!f->rules)
        return false;
    *ret_max = budget_of(f->rules, k->now_us);
    if (*ret_max == LIMIT_NONE)
        return false;
    const struct counter *n = budget_counter(k->counters, f, k->now_us);
    *ret_spend = n ? counter_spend(n) : 0;
    return *ret_spend >= *ret_max;
}

static bool exceeded(struct ask *k, const char *what, struct str who, int64_t spend, int64_t max)
{
    return ask_refuse(k, ERROR_BUDGET,
                      arena_printf(k->arena, BUDGET_TEXT, what, STR_ARG(who),
                                   STR_ARG(nusd_text(k->arena, spend)),
                                   STR_ARG(nusd_text(k->arena, max))));
}

bool budget_check(struct ask *k, const struct identity_found *f, const char *what)
{
    int64_t spend, max;

    return !used_up(k, f, &spend, &max) || exceeded(k, what, found_id(f), spend, max);
}

/* Of users and end users, in other words. */
static bool check_person(struct ask *k, const struct identity_found *f, const char *what)
{
    int64_t spend, max;

    if (!used_up(k, f, &spend, &max))
        return true;
    return ask_refuse(k, ERROR_BUDGET,
                      arena_printf(k->arena,
                                   "ExceededBudget: %s=" STR_FMT " over budget. Spend=" STR_FMT
                                   ", Budget=" STR_FMT,
                                   what, STR_ARG(found_id(f)), STR_ARG(nusd_text(k->arena, spend)),
                                   STR_ARG(nusd_text(k->arena, max))));
}

bool budget_member(struct ask *k)
{
    const struct caller *c = k->caller;
    int64_t spend, max;

    if (!used_up(k, &c->member, &spend, &max))
        return true;
    struct str user = found_id(&c->user), team = found_id(&c->team);
    struct str who = arena_printf(k->arena, STR_FMT ":" STR_FMT, STR_ARG(user), STR_ARG(team));
    return exceeded(k, "TeamMember", who, spend, max);
}

bool budget_key(struct ask *k)
{
    const struct identity_found *f = &k->caller->key;
    int64_t spend, max;

    if (!k->is_inference || !used_up(k, f, &spend, &max))
        return true;
    k->throttled = k->guarded && guard_throttles(k);
    if (k->throttled)
        return true;
    struct str alias = identity_alias(f), name = identity_name(f);
    alias = alias.n ? alias : STR("key");
    struct str who =
        str_starts(name, STR("sk-..."))
            ? arena_printf(k->arena, STR_FMT " (" STR_FMT ")", STR_ARG(alias), STR_ARG(name))
            : alias;
    return exceeded(k, "Key", who, spend, max);
}

bool budget_project(struct ask *k)
{
    return budget_check(k, &k->caller->project, "Project");
}

bool budget_team(struct ask *k)
{
    return budget_check(k, &k->caller->team, "Team");
}

bool budget_organization(struct ask *k)
{
    return budget_check(k, &k->caller->organization, "Organization");
}

bool budget_tags(struct ask *k)
{
    for (unsigned i = 0; i < k->caller->n_tags; i++)
        if (!budget_check(k, &k->caller->tag[i].found, "Tag"))
            return false;
    return true;
}

bool budget_user(struct ask *k)
{
    if (found(&k->caller->team) && !(k->s->h->settings.flags & SNAP_USER_BUDGET_OF_TEAM_KEYS))
        return true;
    return check_person(k, &k->caller->user, "User");
}

bool budget_end_user(struct ask *k)
{
    int64_t max;

    if (!check_person(k, &k->caller->end_user, "End User"))
        return false;
    const struct pair_counter *p = end_user_pair(k, &max);
    if (!p || max == LIMIT_NONE)
        return true;
    int64_t spend = atomic_load_explicit(&p->added_nusd, memory_order_relaxed);
    if (spend < max)
        return true;
    return ask_refuse(k, ERROR_BUDGET,
                      arena_printf(k->arena,
                                   "ExceededBudget: End User=" STR_FMT
                                   " over budget. Spend=" STR_FMT ", Budget=" STR_FMT,
                                   STR_ARG(k->caller->end_user_id),
                                   STR_ARG(nusd_text(k->arena, spend)),
                                   STR_ARG(nusd_text(k->arena, max))));
}

bool budget_pod(struct ask *k)
{
    int64_t max = k->s->h->settings.max_budget_nusd;

    if (max <= 0 || !k->is_inference || !k->counters->header)
        return true;
    int64_t spend = counter_spend(&k->counters->header->pod);
    if (spend < max)
        return true;
    return ask_refuse(
        k, ERROR_BUDGET,
        arena_printf(k->arena,
                     "Budget has been exceeded! Current cost: " STR_FMT ", Max budget: " STR_FMT,
                     STR_ARG(nusd_text(k->arena, spend)), STR_ARG(nusd_text(k->arena, max))));
}
