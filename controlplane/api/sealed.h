#pragma once

/* Maps of values some of which are secrets: litellm_params, credential_values, and the like. At
 * rest each text of them is sealed by itself (common/gateway/seal.h). */

#include "api/call.h"

/* A copy with every text sealed and nulls left out; NULL with an answer where none can be. */
yyjson_mut_val *values_seal(struct call *c, const yyjson_mut_val *map);

/* A copy with every text opened; what does not open stays as it is. */
yyjson_mut_val *values_open(struct call *c, const yyjson_mut_val *map);

/* A name whose value nobody is shown: it has key, token, secret, password ... in it. */
bool value_is_secret(struct str name);

/* A copy for showing: texts of secrets become "ab****yz". */
yyjson_mut_val *values_mask(struct call *c, const yyjson_mut_val *map);

/* `text` is what values_mask() makes of a secret: sent back unchanged, it means "as it was". */
bool value_is_masked(struct str text);
