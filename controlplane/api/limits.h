#pragma once

/* What requests about teams, members and organizations have in common beside parts.h: periods,
 * windows, reserved metadata, defaults of the settings. Those that return bool have answered when
 * they return false. */

#include "common/gateway/settings.h"

#include "api/parts.h"

/* Whether the request says anything of it, null included. */
static inline bool row_sent(const yyjson_mut_val *row, const char *name)
{
    return yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)row, name) != NULL;
}

bool limit_check_duration(struct call *c, const yyjson_mut_val *req, const char *name);
/* The same of a budget's period, as routes other than /key word it. */
bool limit_check_period(struct call *c, const yyjson_mut_val *req, const char *name);
bool limit_check_windows(struct call *c, const yyjson_mut_val *req);

/* Members of metadata that have a meaning only an admin may give them; those `stored` says alike
 * stay. */
bool limit_check_metadata(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *stored);

/* budget_duration, and the moment its period ends; null: none. */
void limit_put_period(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);
/* budget_limits: each window with the moment it begins anew; an empty list is none. */
void limit_put_windows(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);

/* The member of a MAP of the settings, as JSON or as it stands; NULL without. */
const struct conf_node *setting_node(const struct call *c, enum setting_id id, const char *key);
yyjson_mut_val *setting_val(struct call *c, const struct conf_node *n);
