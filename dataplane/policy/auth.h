#pragma once

/*
 * Who calls: the credential of a request found where LiteLLM looks for it, in its order
 * (litellm-dataplane.md 3.1), and compared with what the generation knows (3.2, 3.4).
 */

#include "snapshot/view.h"

enum auth_result {
    AUTH_OPEN, /* no master key is configured: everybody is let in */
    AUTH_MASTER,
    AUTH_NONE,      /* no credential */
    AUTH_MALFORMED, /* a header without a usable scheme */
    AUTH_NOT_A_KEY, /* does not begin with sk- */
    AUTH_UNKNOWN,
    AUTH_AMBIGUOUS, /* one credential header twice with different values (threats H-15) */
};

/* A request header by lower-case name; sets *ret_repeated when it came again with another value. */
typedef struct str (*auth_header_fn)(const void *ctx, struct str name, bool *ret_repeated);

/* *ret_key borrows the credential from the request. */
enum auth_result auth_check(const struct snapshot *s, auth_header_fn header, const void *ctx,
                            struct str *ret_key);

/* The record's name for the holder of the master key. */
extern const struct str auth_master_name;
