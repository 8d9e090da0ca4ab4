#pragma once

/*
 * Which models somebody may name: LiteLLM's rules for lists of models (litellm-dataplane.md 3.5),
 * read off release 1.110.2.
 *
 *   nothing, "*", "all-proxy-models"   every model
 *   "all-team-models"                  of a key: what its team has; of others: every configured
 * model "no-default-models"                of a user: none a name of model_info.access_groups the
 * models that bear it a pattern, a name ids of access groups               beside the list: the
 * models of those aliases                            of team and key; the key's change what must be
 * allowed
 */

#include "policy/ask.h"

/* What aliases of the team and then of the key make of a model's name. */
struct str access_dispatched(const struct caller *c, struct str model);

/* The group whose members serve `name`, for its access groups; NULL: none does. */
const struct snap_group *access_group_of(const struct snapshot *s, const struct snap_found *found);

/* The group bears the name in its members' model_info.access_groups. */
bool access_group_serves(const struct snapshot *s, const struct snap_group *group, struct str name);

/* Each true, or false with the ask's refusal set. */
bool access_key(struct ask *k);
bool access_team(struct ask *k);
bool access_member(struct ask *k);
bool access_user(struct ask *k);
bool access_project(struct ask *k);
bool access_end_user(struct ask *k);

/* All of them, for lists of models: the caller may name `model`, which `group` answers. */
bool access_may_use(const struct snapshot *s, struct caller *c, struct str model,
                    const struct snap_group *group);

/* The same where aliases made `dispatched` of it; of a deployment named by itself: its group twice.
 */
bool access_may_reach(const struct snapshot *s, struct caller *c, struct str model,
                      struct str dispatched, const struct snap_group *group);
