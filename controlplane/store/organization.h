#pragma once

/* Memberships of organizations: rows with a key of two parts. */

#include "store/store.h"

yyjson_mut_val *org_membership(struct store *s, struct str org_id, struct str user_id);
/* NULL: they are a member already, or a fault. */
yyjson_mut_val *org_join(struct store *s, struct str org_id, struct str user_id, struct str role,
                         struct str budget_id);
/* Texts that are NULL leave what there is; gives the row as it is then. */
yyjson_mut_val *org_change_member(struct store *s, struct str org_id, struct str user_id,
                                  struct str role, struct str budget_id);
/* `user_id` NULL text: everybody. */
void org_leave(struct store *s, struct str org_id, struct str user_id);
