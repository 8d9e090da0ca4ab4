#pragma once

/*
 * Budgets against what is known to be spent: the sum the control plane told, and what this pod
 * added since. A request is refused once the spend has reached the budget; one that is let in may
 * exceed it by its own cost.
 */

#include "policy/ask.h"

enum pair_kind { PAIR_MODEL, PAIR_TAG, PAIR_END_USER };

/* Each true, or false with the ask's refusal set. */
bool budget_member(struct ask *k);
bool budget_key(struct ask *k);
bool budget_key_model(struct ask *k);
bool budget_project(struct ask *k);
bool budget_team(struct ask *k);
bool budget_organization(struct ask *k);
bool budget_tags(struct ask *k);
bool budget_user(struct ask *k);
bool budget_end_user(struct ask *k);
bool budget_pod(struct ask *k);

/* A limit per model that holds for the request: it names the model or its group. NULL: none. */
const struct identity_model_limit *model_limit_of(const struct ask *k,
                                                  const struct identity_found *f);

/* The counter of end users without one of their own, where they have a budget; NULL. */
struct pair_counter *end_user_pair(const struct ask *k);

/* The counter of what a budget per model is spent of, begun anew when its time is over; NULL. */
struct pair_counter *model_budget_pair(const struct ask *k, const struct identity_found *f,
                                       const struct identity_model_limit *l);

/* Its budget now, with an increase that holds; LIMIT_NONE: none. */
int64_t budget_of(const struct identity_rules *r, int64_t now_us);

/* Dollars as Python prints a float, into `out` of NUSD_TEXT bytes; not terminated, returns the
 * length. */
enum { NUSD_TEXT = 24 };
size_t nusd_put(char *out, int64_t nusd);
struct str nusd_text(struct arena *a, int64_t nusd);
