#pragma once

/* Credentials by name. */

#include "store/store.h"

/* The row of that name, locked when `lock`; NULL: none. */
yyjson_mut_val *credential_find(struct store *s, struct str name, bool lock);

/* All of them by name, a thousand at most. */
yyjson_mut_val *credential_all(struct store *s);
