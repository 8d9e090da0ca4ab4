#include "shared/charge.h"

bool charge_slot_add(struct charges *c, uint32_t slot, unsigned what)
{
    for (uint32_t i = 0; i < c->n_slots; i++)
        if (c->slot[i].slot == slot) {
            c->slot[i].what |= what;
            return true;
        }
    if (c->n_slots == CHARGE_SLOTS)
        return false;
    c->slot[c->n_slots++] = (struct charge_slot){slot, what};
    return true;
}

bool charge_pair_add(struct charges *c, const struct counters *n, const struct pair_counter *p,
                     unsigned what)
{
    uint32_t index = counters_pair_index(n, p);

    for (uint32_t i = 0; i < c->n_pairs; i++)
        if (c->pair[i].index == index) {
            c->pair[i].what |= what;
            return true;
        }
    if (c->n_pairs == CHARGE_PAIRS)
        return false;
    c->pair[c->n_pairs++] = (struct charge_pair){
        .id = atomic_load_explicit(&p->id, memory_order_relaxed), .index = index, .what = what};
    return true;
}

static struct counter *slot_counter(const struct counters *n, const struct charge_slot *s)
{
    return s->slot == CHARGE_POD && n->header ? &n->header->pod : counters_at(n, s->slot);
}

/* Bounded whatever the shared file says. */
#define EACH_SLOT(c, i) for (uint32_t i = 0; i < MIN((c)->n_slots, (uint32_t)CHARGE_SLOTS); i++)
#define EACH_PAIR(c, i) for (uint32_t i = 0; i < MIN((c)->n_pairs, (uint32_t)CHARGE_PAIRS); i++)

void charges_spend(const struct charges *c, const struct counters *n, int64_t nusd, uint32_t end_s)
{
    if (nusd <= 0)
        return;
    EACH_SLOT(c, i)
    {
        struct counter *at = c->slot[i].what & CHARGE_SPEND ? slot_counter(n, &c->slot[i]) : NULL;
        if (at)
            counter_spent(at, nusd, end_s);
    }
    EACH_PAIR(c, i)
    {
        struct pair_counter *at = c->pair[i].what & CHARGE_SPEND
                                      ? counters_pair_at(n, c->pair[i].index, c->pair[i].id)
                                      : NULL;
        if (at)
            atomic_fetch_add_explicit(&at->added_nusd, nusd, memory_order_relaxed);
    }
}

static void tokens_settle(window_word *w, const struct charges *c, uint32_t now_s, uint64_t used)
{
    window_give(w, c->taken_s, now_s, c->window_s, c->reserved);
    if (used)
        window_add(w, now_s, c->window_s, used);
}

void charges_tokens(const struct charges *c, const struct counters *n, uint32_t now_s,
                    uint64_t used)
{
    EACH_SLOT(c, i)
    {
        struct counter *at = c->slot[i].what & CHARGE_TOKENS ? slot_counter(n, &c->slot[i]) : NULL;
        if (at)
            tokens_settle(&at->tokens, c, now_s, used);
    }
    EACH_PAIR(c, i)
    {
        struct pair_counter *at = c->pair[i].what & CHARGE_TOKENS
                                      ? counters_pair_at(n, c->pair[i].index, c->pair[i].id)
                                      : NULL;
        if (at)
            tokens_settle(&at->tokens, c, now_s, used);
    }
}

void charges_release(const struct charges *c, const struct counters *n)
{
    EACH_SLOT(c, i)
    {
        struct counter *at =
            c->slot[i].what & CHARGE_PARALLEL ? slot_counter(n, &c->slot[i]) : NULL;
        if (at)
            parallel_give(at);
    }
}

void charges_undo(const struct charges *c, const struct counters *n, uint32_t now_s)
{
    charges_tokens(c, n, now_s, 0);
    charges_release(c, n);
    EACH_SLOT(c, i)
    {
        struct counter *at = c->slot[i].what & CHARGE_REQUEST ? slot_counter(n, &c->slot[i]) : NULL;
        if (at)
            window_give(&at->requests, c->taken_s, now_s, c->window_s, 1);
    }
    EACH_PAIR(c, i)
    {
        struct pair_counter *at = c->pair[i].what & CHARGE_REQUEST
                                      ? counters_pair_at(n, c->pair[i].index, c->pair[i].id)
                                      : NULL;
        if (at)
            window_give(&at->requests, c->taken_s, now_s, c->window_s, 1);
    }
}
