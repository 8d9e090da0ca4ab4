/*
 * Which entry of a list of budgets governs a model is LiteLLM's choice: one named as the model,
 * then one named as a group that serves it, then the pattern that says most. Everything an entry
 * governs is counted in one place.
 */

#include "policy/budget_model.h"

#include "common/gateway/duration.h"
#include "common/gateway/glob.h"

#include "policy/access.h"
#include "policy/budget.h"

enum {
    FOREVER_S = INT32_MAX / 2,
    GROUPS_MAX = 8, /* of a model that are budgeted */
    GROUPS_TEXT = 256,
};

/* ---- counters ---- */

/* The pair of something with a budget, begun anew where its period is over. `reset_us`: when it is,
 * as the control plane told; 0: so long after it was first used. */
static struct pair_counter *spent_pair(const struct ask *k, uint32_t tenant, uint64_t owner,
                                       unsigned what, struct str name, struct str duration,
                                       int64_t reset_us)
{
    uint32_t now_s = ask_now_s(k), ends_s = UINT32_MAX;
    struct duration d;

    if (duration_parse(duration, &d)) {
        int64_t end_us = reset_us > k->now_us ? reset_us
                         : reset_us           ? duration_next_reset(d, k->now_us)
                                    : k->now_us + duration_seconds(d, k->now_us) * 1000000;
        ends_s = (uint32_t)MIN(MAX(end_us / 1000000, (int64_t)now_s + 1), (int64_t)UINT32_MAX);
    }
    struct pair_counter *p = counters_pair_of(k->counters, tenant, owner, what, name, now_s,
                                              MIN(ends_s - now_s, (uint32_t)FOREVER_S));
    if (!p)
        return NULL;
    uint32_t was_s = atomic_load_explicit(&p->ends_s, memory_order_relaxed);
    bool is_over = !was_s || now_s >= was_s;
    if ((is_over || ends_s < was_s) &&
        atomic_compare_exchange_strong_explicit(&p->ends_s, &was_s, ends_s, memory_order_relaxed,
                                                memory_order_relaxed) &&
        is_over)
        atomic_store_explicit(&p->added_nusd, 0, memory_order_relaxed);
    return p;
}

static int64_t pair_spend(const struct pair_counter *p)
{
    return atomic_load_explicit(&p->added_nusd, memory_order_relaxed);
}

static struct pair_counter *window_pair(const struct ask *k, const struct identity_found *f,
                                        const struct identity_model_limit *l)
{
    struct str duration = snap_str(f->s, l->budget_duration);

    return spent_pair(k, 0, found_owner(f), PAIR_WINDOW, duration, duration, l->reset_us);
}

/* ---- which entry governs ---- */

enum rank { RANK_NONE, RANK_PATTERN, RANK_GROUP, RANK_NAME };

static struct str behind_provider(struct str model)
{
    struct str provider, rest;

    return str_cut(model, '/', &provider, &rest) ? rest : model;
}

static bool names_model(const struct ask *k, struct str entry, bool (*is)(struct str, struct str))
{
    struct str group = k->group ? snap_str(k->s, k->group->name) : (struct str){0};
    const struct str names[] = {k->model, behind_provider(k->model), k->dispatched,
                                behind_provider(k->dispatched), group};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (names[i].n && is(entry, names[i]))
            return true;
    return false;
}

static enum rank rank_of(const struct ask *k, struct str entry)
{
    if (memchr(entry.p, '*', entry.n))
        return names_model(k, entry, glob_match) ? RANK_PATTERN : RANK_NONE;
    return names_model(k, entry, str_eq)                ? RANK_NAME
           : access_group_serves(k->s, k->group, entry) ? RANK_GROUP
                                                        : RANK_NONE;
}

/* How much a pattern says. */
static size_t literals(struct str entry)
{
    size_t n = 0;

    for (size_t i = 0; i < entry.n; i++)
        n += entry.p[i] != '*';
    return n;
}

/* The entry of `f` with a budget that governs the request's model, of `most` at most. */
static const struct identity_model_limit *budget_entry(const struct ask *k,
                                                       const struct identity_found *f,
                                                       enum rank most, enum rank *ret_rank)
{
    const struct identity_model_limit *best = NULL;
    size_t best_n = 0;

    *ret_rank = RANK_NONE;
    for (uint32_t i = 0; f->rules && k->model.n && i < f->rules->model_limits.n; i++) {
        const struct identity_model_limit *l =
            SNAP_AT(f->s, f->rules->model_limits, struct identity_model_limit, i);
        struct str entry = l ? snap_str(f->s, l->model) : (struct str){0};
        if (!entry.n || l->max_budget_nusd == LIMIT_NONE)
            continue;
        enum rank r = rank_of(k, entry);
        if (r > most || r < *ret_rank || r == RANK_NONE ||
            (r == *ret_rank && (r != RANK_PATTERN || literals(entry) <= best_n)))
            continue;
        best = l;
        best_n = literals(entry);
        *ret_rank = r;
    }
    return best;
}

const struct identity_model_limit *model_limit_of(const struct ask *k,
                                                  const struct identity_found *f)
{
    struct str group = k->group ? snap_str(k->s, k->group->name) : (struct str){0};

    for (uint32_t i = 0; f->rules && i < f->rules->model_limits.n; i++) {
        const struct identity_model_limit *l =
            SNAP_AT(f->s, f->rules->model_limits, struct identity_model_limit, i);
        struct str model = l ? snap_str(f->s, l->model) : (struct str){0};
        if (model.n &&
            (str_eq(model, k->model) || str_eq(model, k->dispatched) || str_eq(model, group)))
            return l;
    }
    return NULL;
}

/* ---- per model ---- */

enum scope { SCOPE_KEY, SCOPE_USER, SCOPE_TEAM, SCOPE_MEMBER, SCOPE_END_USER, SCOPES };

static struct identity_found scope_of(const struct ask *k, enum scope s)
{
    const struct caller *c = k->caller;

    switch (s) {
    case SCOPE_KEY:
        return c->key;
    case SCOPE_USER:
        return c->user;
    case SCOPE_TEAM:
        return c->team;
    case SCOPE_MEMBER:
        return c->member;
    case SCOPE_END_USER:
        if (found(&c->end_user) && c->end_user.identity->flags & IDENTITY_LIMITED)
            return c->end_user;
        return end_user_default(k);
    case SCOPES:
        break;
    }
    return (struct identity_found){0};
}

/* The budget of `s` for the request's model, its counter and its rank; NULL: there is none. */
static const struct identity_model_limit *
model_budget(const struct ask *k, enum scope s, struct pair_counter **ret_p, enum rank *ret_rank)
{
    struct identity_found f = scope_of(k, s);
    enum rank of_key = RANK_NONE;
    const struct identity_model_limit *l;
    bool invented = s == SCOPE_END_USER && f.identity != k->caller->end_user.identity;

    /* what the key says of the very model stands in place of what the team says of it */
    if (s == SCOPE_TEAM)
        (void)budget_entry(k, &k->caller->key, RANK_NAME, &of_key);
    l = budget_entry(k, &f, of_key == RANK_NAME ? RANK_GROUP : RANK_NAME, ret_rank);
    if (!l)
        return NULL;
    struct str name = snap_str(f.s, l->model);
    if (invented)
        name = arena_printf(k->arena, STR_FMT "/" STR_FMT, STR_ARG(k->caller->end_user_id),
                            STR_ARG(name));
    *ret_p = spent_pair(k, invented ? caller_tenant(k->caller) : 0, found_owner(&f), PAIR_MODEL,
                        name, snap_str(f.s, l->budget_duration), l->reset_us);
    return *ret_p ? l : NULL;
}

static struct str scope_text(struct ask *k, enum scope s)
{
    const struct caller *c = k->caller;
    struct arena *a = k->arena;
    struct str alias = found_alias(&c->key);

    switch (s) {
    case SCOPE_KEY:
        return arena_printf(a, "Virtual Key: " STR_FMT ", key_alias: " STR_FMT,
                            STR_ARG(key_hash_text(a, &c->key)),
                            STR_ARG(alias.n ? alias : STR("None")));
    case SCOPE_USER:
        return arena_printf(a, "User: " STR_FMT, STR_ARG(found_id(&c->user)));
    case SCOPE_TEAM:
        return arena_printf(a, "Team: " STR_FMT, STR_ARG(found_id(&c->team)));
    case SCOPE_MEMBER:
        return arena_printf(a, "Team Member: user=" STR_FMT ", team=" STR_FMT,
                            STR_ARG(found_id(&c->user)), STR_ARG(found_id(&c->team)));
    case SCOPE_END_USER:
        return arena_printf(a, "End User: " STR_FMT, STR_ARG(c->end_user_id));
    case SCOPES:
        break;
    }
    return (struct str){0};
}

static bool check_model(struct ask *k, enum scope s)
{
    struct pair_counter *p;
    enum rank rank;
    const struct identity_model_limit *l = model_budget(k, s, &p, &rank);

    if (!l || pair_spend(p) < l->max_budget_nusd)
        return true;
    struct identity_found f = scope_of(k, s);
    struct str entry = snap_str(f.s, l->model);
    struct str of = rank == RANK_NAME
                        ? (struct str){0}
                        : arena_printf(k->arena, ", budget_model=" STR_FMT, STR_ARG(entry));
    return ask_refuse(
        k, ERROR_BUDGET,
        arena_printf(k->arena, "LiteLLM " STR_FMT ", exceeded budget for model=" STR_FMT STR_FMT,
                     STR_ARG(scope_text(k, s)),
                     STR_ARG(((struct str){k->model.p, MIN(k->model.n, (size_t)128)})),
                     STR_ARG(of)));
}

bool budget_key_model(struct ask *k)
{
    return check_model(k, SCOPE_KEY);
}

bool budget_user_model(struct ask *k)
{
    return check_model(k, SCOPE_USER);
}

bool budget_team_model(struct ask *k)
{
    return check_model(k, SCOPE_TEAM);
}

bool budget_member_model(struct ask *k)
{
    return check_model(k, SCOPE_MEMBER);
}

bool budget_end_user_model(struct ask *k)
{
    return check_model(k, SCOPE_END_USER);
}

/* ---- windows ---- */

/* Dollars with `digits` behind the point, rounded half up. */
static struct str dollars(struct arena *a, int64_t nusd, unsigned digits)
{
    int64_t unit = digits == 4 ? 100000 : 10000000, scale = digits == 4 ? 10000 : 100;
    int64_t v = nusd / unit + (nusd % unit >= unit / 2);

    return arena_printf(a, "$%lld.%0*lld", (long long)(v / scale), (int)digits,
                        (long long)(v % scale));
}

/* The window of `f` behind `*at`; NULL behind the last. */
static const struct identity_model_limit *window_next(const struct identity_found *f, uint32_t *at)
{
    while (f->rules && *at < f->rules->model_limits.n) {
        const struct identity_model_limit *l =
            SNAP_AT(f->s, f->rules->model_limits, struct identity_model_limit, (*at)++);
        if (l && !l->model.n && l->max_budget_nusd != LIMIT_NONE)
            return l;
    }
    return NULL;
}

static bool check_windows(struct ask *k, const struct identity_found *f, struct str who)
{
    const struct identity_model_limit *l;

    for (uint32_t at = 0; (l = window_next(f, &at));) {
        const struct pair_counter *p = window_pair(k, f, l);
        if (!p || pair_spend(p) < l->max_budget_nusd)
            continue;
        return ask_refuse(k, ERROR_BUDGET,
                          arena_printf(k->arena,
                                       "ExceededBudget: " STR_FMT " over " STR_FMT
                                       " budget. Spend=" STR_FMT ", Limit=" STR_FMT,
                                       STR_ARG(who), STR_ARG(snap_str(f->s, l->budget_duration)),
                                       STR_ARG(dollars(k->arena, pair_spend(p), 4)),
                                       STR_ARG(dollars(k->arena, l->max_budget_nusd, 2))));
    }
    return true;
}

bool budget_key_windows(struct ask *k)
{
    return !k->is_inference || check_windows(k, &k->caller->key, STR("Key"));
}

bool budget_team_windows(struct ask *k)
{
    const struct identity_found *f = &k->caller->team;

    return check_windows(k, f, arena_printf(k->arena, "Team=" STR_FMT, STR_ARG(found_id(f))));
}

/* ---- groups of models: those by whose name somebody was let in ---- */

static bool granted(const struct ask *k, struct str group)
{
    const struct caller *c = k->caller;
    const struct identity_found *of[] = {&c->key, &c->team, &c->member, &c->project,
                                         &c->organization};
    struct str entry;

    for (size_t i = 0; i < ARRAY_LEN(of); i++)
        for (uint32_t n = 0; of[i]->rules && found_name(of[i], of[i]->rules->models, n, &entry);
             n++)
            if (str_eq(entry, group))
                return true;
    return false;
}

static unsigned budgeted_groups(const struct ask *k, struct identity_found out[GROUPS_MAX])
{
    unsigned n = 0;

    for (uint32_t i = 0;
         k->group && k->caller->identities && i < k->group->access_groups.n && n < GROUPS_MAX;
         i++) {
        const struct snap_ref *r = SNAP_AT(k->s, k->group->access_groups, struct snap_ref, i);
        struct str name = r ? snap_str(k->s, *r) : (struct str){0};
        if (!name.n || !granted(k, name))
            continue;
        out[n] = identities_named(k->caller->identities, IDENTITY_GROUP_BUDGET, name);
        n += found(&out[n]) && out[n].rules && out[n].rules->max_budget_nusd > 0;
    }
    return n;
}

bool budget_model_groups(struct ask *k)
{
    struct identity_found group[GROUPS_MAX];
    unsigned n = budgeted_groups(k, group);

    for (unsigned i = 0; i < n; i++)
        if (!budget_check(k, &group[i], "Model access group"))
            return false;
    return true;
}

/* ---- end users ---- */

struct identity_found end_user_default(const struct ask *k)
{
    const struct caller *c = k->caller;
    struct identity_found f = {0};

    if (!c->end_user_id.n || !c->identities ||
        (found(&c->end_user) && c->end_user.identity->flags & IDENTITY_LIMITED))
        return f;
    struct str of_key = json_text_inner(metadata_member(&c->key, STR("end_user_budget_id")));
    struct str of_all = snap_str(k->s, k->s->h->settings.end_user_budget);
    if (of_key.n)
        f = identities_named(c->identities, IDENTITY_BUDGET, of_key);
    if (!found(&f) && of_all.n)
        f = identities_named(c->identities, IDENTITY_BUDGET, of_all);
    return f;
}

struct pair_counter *end_user_pair(const struct ask *k, int64_t *ret_max_nusd)
{
    const struct caller *c = k->caller;
    struct identity_found f = {0};
    struct str duration = {0};
    int64_t max = k->s->h->settings.max_end_user_budget_nusd;

    *ret_max_nusd = LIMIT_NONE;
    if (!c->end_user_id.n || (c->end_user.rules && c->end_user.rules->max_budget_nusd >= 0))
        return NULL;
    if (k->guarded)
        f = end_user_default(k);
    if (found(&f) && f.rules) {
        max = budget_of(f.rules, k->now_us);
        duration = snap_str(f.s, f.rules->budget_duration);
    }
    if (max < 0 && !found(&f))
        return NULL;
    *ret_max_nusd = max;
    return spent_pair(k, caller_tenant(c), 0, PAIR_END_USER, c->end_user_id, duration,
                      found(&f) ? f.identity->budget_reset_us : 0);
}

/* ---- what is counted ---- */

static bool charge_windows(struct ask *k, struct charges *c, const struct identity_found *f)
{
    const struct identity_model_limit *l;
    bool ok = true;

    for (uint32_t at = 0; (l = window_next(f, &at));) {
        const struct pair_counter *p = window_pair(k, f, l);
        ok &= !p || charge_pair_add(c, k->counters, p, CHARGE_SPEND);
    }
    return ok;
}

/* For the record: as many as find room there. */
static struct str names_of(const struct identity_found *group, unsigned n, struct arena *a)
{
    char *text = n ? arena_alloc(a, GROUPS_TEXT) : NULL;
    size_t at = 0;

    for (unsigned i = 0; text && i < n; i++) {
        struct str name = found_id(&group[i]);
        if (at + name.n + 1 > GROUPS_TEXT)
            continue;
        if (at)
            text[at++] = '\0';
        memcpy(text + at, name.p, name.n);
        at += name.n;
    }
    return (struct str){text, at};
}

bool budget_model_charge(struct ask *k, struct charges *c)
{
    struct identity_found group[GROUPS_MAX];
    unsigned n = budgeted_groups(k, group);
    bool ok = charge_windows(k, c, &k->caller->key) && charge_windows(k, c, &k->caller->team);

    k->caller->budget_groups = names_of(group, n, k->arena);
    for (unsigned i = 0; i < n; i++)
        ok &= charge_slot_add(c, group[i].identity->slot, CHARGE_SPEND);
    for (enum scope s = 0; s < SCOPES; s++) {
        struct pair_counter *p;
        enum rank rank;
        if (model_budget(k, s, &p, &rank))
            ok &= charge_pair_add(c, k->counters, p, CHARGE_SPEND);
    }
    return ok;
}

bool budget_model_any(struct ask *k)
{
    struct charges c;

    charges_init(&c);
    return !budget_model_charge(k, &c) || charges_any(&c);
}
