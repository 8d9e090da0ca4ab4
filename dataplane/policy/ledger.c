#include "policy/ledger.h"

#include "policy/budget.h"
#include "policy/budget_model.h"

enum { RETRY_S = 5 };

static bool has_budget(const struct ask *k, const struct identity_found *f)
{
    return f->rules && budget_of(f->rules, k->now_us) != LIMIT_NONE;
}

static bool any_budget(struct ask *k)
{
    const struct caller *c = k->caller;
    const struct identity_found *of[] = {&c->key,          &c->member,  &c->team,    &c->user,
                                         &c->organization, &c->project, &c->end_user};
    int64_t max;

    for (size_t i = 0; i < ARRAY_LEN(of); i++)
        if (has_budget(k, of[i]))
            return true;
    for (unsigned i = 0; i < c->n_tags; i++)
        if (has_budget(k, &c->tag[i].found))
            return true;
    return (end_user_pair(k, &max) && max != LIMIT_NONE) || (k->guarded && budget_model_any(k));
}

bool ledger_keeps(struct ask *k)
{
    if (!k->spool_is_full || !any_budget(k))
        return true;
    k->refusal.retry_after_s = RETRY_S;
    return ask_refuse(k, ERROR_SPOOL_FULL, (struct str){0});
}
