#pragma once

/*
 * Budgets that are counted in pairs (shared/counters.h): of a model, a group of models or a pattern
 * of them (model_max_budget), of everything in a window of its own (budget_limits), of an end user
 * who has none of their own; and those of groups of models. What this pod spent counts, from the
 * beginning of the period on.
 */

#include "policy/ask.h"
#include "shared/charge.h"

/* Each true, or false with the ask's refusal set. */
bool budget_key_model(struct ask *k);
bool budget_user_model(struct ask *k);
bool budget_team_model(struct ask *k);
bool budget_member_model(struct ask *k);
bool budget_end_user_model(struct ask *k);
bool budget_key_windows(struct ask *k);
bool budget_team_windows(struct ask *k);
bool budget_model_groups(struct ask *k);

/* What the request counts in of all of them; the caller's budget_groups are named. False: there is
 * no room to remember it. */
MUST_CHECK bool budget_model_charge(struct ask *k, struct charges *c);

/* The request counts in some of them. */
bool budget_model_any(struct ask *k);

/* A limit per model that holds for the request: it names the model or its group. NULL: none. */
const struct identity_model_limit *model_limit_of(const struct ask *k,
                                                  const struct identity_found *f);

/* The budget an end user has who has none: the key's end_user_budget_id, else
 * max_end_user_budget_id. {NULL}: none. */
struct identity_found end_user_default(const struct ask *k);

/* The counter of such an end user, and what they may spend (LIMIT_NONE: anything). NULL: none. */
struct pair_counter *end_user_pair(const struct ask *k, int64_t *ret_max_nusd);
