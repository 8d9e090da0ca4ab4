#pragma once

/* Between organizations.c and organization_members.c. */

#include "api/members.h"
#include "store/organization.h"

/* The row, locked when `lock`; NULL without an answer: there is none, or the caller does not
 * administer it. */
yyjson_mut_val *org_find(struct call *c, struct str org_id, bool lock);
