#pragma once

/*
 * Budgets against what is known to be spent: the sum the control plane told, and what this pod
 * added since. A request is refused once the spend has reached the budget; one that is let in may
 * exceed it by its own cost.
 */

#include "policy/ask.h"

enum pair_kind { PAIR_MODEL, PAIR_TAG, PAIR_END_USER, PAIR_WINDOW };

/* Each true, or false with the ask's refusal set. */
bool budget_member(struct ask *k);
bool budget_key(struct ask *k);
bool budget_project(struct ask *k);
bool budget_team(struct ask *k);
bool budget_organization(struct ask *k);
bool budget_tags(struct ask *k);
bool budget_user(struct ask *k);
bool budget_end_user(struct ask *k);
bool budget_pod(struct ask *k);

/* The same of any entity with a counter; `what` it is, in the text. */
bool budget_check(struct ask *k, const struct identity_found *f, const char *what);

/* Where its spend counts, of the period that runs: the first who asks after one ended begins the
 * next, whether it was told or not. NULL: no memory. */
const struct counter *budget_counter(const struct counters *c, const struct identity_found *f,
                                     int64_t now_us);

/* Its budget now, with an increase that holds; LIMIT_NONE: none. */
int64_t budget_of(const struct identity_rules *r, int64_t now_us);

/* Dollars as Python prints a float, into `out` of NUSD_TEXT bytes; not terminated, returns the
 * length. */
enum { NUSD_TEXT = 24 };
size_t nusd_put(char *out, int64_t nusd);
struct str nusd_text(struct arena *a, int64_t nusd);
