#pragma once

/* Between the files of the family of users: users.c makes and deletes, users_update.c changes,
 * users_read.c shows. */

#include "api/keys_priv.h"
#include "api/parts.h"
#include "store/user.h"

enum { USERS_MAX = 500 }; /* named at once */

/* Ids of organizations the caller administers. */
struct str *user_my_orgs(struct call *c, size_t *ret_n);

/* The caller sees the user at all: themselves, or one of a team or organization they administer. */
bool user_is_visible(struct call *c, const yyjson_mut_val *row);

/* The row as it is shown: without the password, and what only directories read. */
yyjson_mut_val *user_shown(struct call *c, const yyjson_mut_val *row);

/* Limits of a request, whoever sends it. */
bool user_check_values(struct call *c, const yyjson_mut_val *req);

/* An internal_user's limits of the configuration, where the request says nothing. */
void user_fill_limits(struct call *c, yyjson_mut_val *req);
