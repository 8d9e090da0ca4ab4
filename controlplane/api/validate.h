#pragma once

/*
 * The members of a route's list out of query or body, in their types: a struct call's `in`. What
 * does not fit is a 422 as pydantic words it (litellm-controlplane.md 1.2 C); unknown members are
 * ignored, as LiteLLM ignores them. Lax as it is lax: "12" and 12.0 are integers, "true" a boolean.
 */

#include "api/call.h"

enum { VALIDATE_DEPTH = 64, VALIDATE_VALUES = 50000 }; /* of a body */

/* False when it has answered. */
bool validate(struct call *c);

/* One value against a field; NULL with an error appended to `errors`. `loc` is an array of where
 * it stands. Exposed for tests. */
yyjson_mut_val *validate_value(struct store *s, const struct field *f, yyjson_mut_val *v,
                               const yyjson_mut_val *loc, yyjson_mut_val *errors);
