#pragma once

/* The credential of a request: where LiteLLM looks for it, in its order (litellm-dataplane.md 3.1).
 */

#include "common/str.h"

enum bearer {
    BEARER_FOUND,
    BEARER_NONE,
    BEARER_MALFORMED, /* a header without a usable scheme */
    BEARER_AMBIGUOUS, /* one header twice with different values (threats H-15) */
};

/* A request header by lower-case name; sets *ret_repeated when it came again with another value. */
typedef struct str (*bearer_header_fn)(const void *ctx, struct str name, bool *ret_repeated);

/* `own`: litellm_key_header_name, which replaces every other place, or empty. *ret_key borrows from
 * the request; empty unless found. */
enum bearer bearer_find(struct str own, bearer_header_fn header, const void *ctx,
                        struct str *ret_key);

/* Equal, in time that depends on the lengths alone. */
bool bearer_is(struct str a, struct str b);
