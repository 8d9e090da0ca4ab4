#pragma once

/* Deployments in the database, and whoever names them. */

#include "store/access_group.h"

enum { MODELS_MAX = 10000 }; /* listed at once */

/* All of them by name and age. */
yyjson_mut_val *model_rows(struct store *s);

/* Those that answer to a name: by it, as a pattern, as a team's public name, or by their id. */
yyjson_mut_val *model_rows_for(struct store *s, struct str name);

/* Who made the row and who changed it last is a proxy_admin, now. */
bool model_is_by_admin(struct store *s, const yyjson_mut_val *row);

/* Deployments of these names or, when there are any, of these ids; and those marked with `group`
 * (p NULL: none). Locked, in the order of their ids. */
yyjson_mut_val *model_lock_group(struct store *s, struct texts names, struct texts ids,
                                 struct str group);

/* [{"access_group", "model_names", "deployment_count", "spend", "budget"}] by name; of one group
 * only when `group` is not empty. */
yyjson_mut_val *model_groups(struct store *s, struct str group);

/* The group's budget is no longer its own; the budget's row stays. */
void model_group_drop_budget(struct store *s, struct str group);

/* Another deployment than `except` has the name. */
bool model_row_has_name(struct store *s, struct str name, struct str except);

/* A deployment of the team, other than `except`, answers to the public name. */
bool model_row_has_public_name(struct store *s, struct str team_id, struct str name,
                               struct str except);

/* The team may use the model; one that might use all goes on to. */
void model_give_team(struct store *s, struct str team_id, struct str name);
void model_take_from_team(struct store *s, struct str team_id, struct str name);

/* Teams' aliases that lead to the deployment's name go. */
void model_drop_aliases(struct store *s, struct str name);

/* The last deployment of a name got another: lists of models and access groups follow. */
void model_rename_in_lists(struct store *s, struct str from, struct str to);

/* The last deployment of a name is gone: access groups forget it. */
void model_drop_from_groups(struct store *s, struct str name);
