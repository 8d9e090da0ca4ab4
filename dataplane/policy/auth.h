#pragma once

/*
 * Who calls: the credential of a request found where LiteLLM looks for it, in its order
 * (litellm-dataplane.md 3.1), and compared with what the generation knows (3.2, 3.4).
 */

#include "common/gateway/bearer.h"

#include "snapshot/identity.h"
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

/* *ret_key borrows the credential from the request. AUTH_UNKNOWN: look it up. */
enum auth_result auth_check(const struct snapshot *s, bearer_header_fn header, const void *ctx,
                            struct str *ret_key);

/* The SHA-256 of the last credential of a connection, so that the next request is spared it. */
enum { AUTH_CACHED = 96 };

struct auth_cache {
    uint8_t n; /* of key; 0: none */
    char key[AUTH_CACHED];
    unsigned char hash[IDENTITY_HASH];
};

/* The key by its SHA-256, which *ret_hash borrows from the cache. No allocation. */
struct identity_found auth_look_up(const struct identities *i, struct auth_cache *cache,
                                   struct str key, const unsigned char **ret_hash);

enum auth_key {
    AUTH_KEY_FOUND,
    AUTH_KEY_NONE,   /* it is known not to exist */
    AUTH_KEY_STALE,  /* nobody can say: no control plane answered lately */
    AUTH_KEY_NOBODY, /* there is no control plane */
};

enum { AUTH_FRESH_S = 10 }; /* since a control plane answered */

/*
 * What a look-up says, at `now_ns`. `session_ns`: when a control plane last answered
 * (shared_header.session_ns). A key in its grace period is found until that ends.
 */
enum auth_key auth_judge(const struct identities *i, const struct identity_found *f,
                         uint64_t session_ns, uint64_t now_ns, int64_t now_us);

/* The record's name for the holder of the master key. */
extern const struct str auth_master_name;
