#pragma once

/* Members of teams and organizations, as requests name them: by a user's id or e-mail address. */

#include "api/fields.h"
#include "api/parts.h"

struct member {
    struct str user_id, user_email, role;
    yyjson_mut_val *user; /* its row; NULL: not made yet */
};

enum { MEMBERS_MAX = 500 };

/* `value`, an object or a list of objects of list `l`; false when it has answered. */
bool members_read(struct call *c, yyjson_mut_val *value, enum field_list l, struct member **ret,
                  size_t *ret_n);

/* Finds the user, and fills in what of id and address was not said; false when it has answered. */
bool member_resolve(struct call *c, struct member *m);

/* The user's row, made with its entry when there is none yet. */
void member_make_user(struct call *c, struct member *m);

/* One of user_id and user_email was sent; else 422. */
bool member_check_named(struct call *c);

/* A user's row as the caller may see it: whole for admins, else who it is. */
yyjson_mut_val *member_shown(struct call *c, const yyjson_mut_val *user);
