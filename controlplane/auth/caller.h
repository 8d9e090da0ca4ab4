#pragma once

/*
 * Who calls: the credential of a request, where LiteLLM looks for it, and what the database knows
 * of it. The master key is a proxy_admin; any other key is found by its SHA-256.
 */

#include "common/gateway/bearer.h"

#include "store/store.h"

enum role {
    ROLE_NONE, /* a key of nobody */
    ROLE_ADMIN,
    ROLE_VIEWER,
    ROLE_USER,
    ROLE_USER_VIEWER,
};

struct caller {
    enum role role;
    bool is_master;
    bool is_session; /* a dashboard's key */
    struct str user_id;
    struct str key_hash;               /* hex; of the master key as well */
    struct str changed_by;             /* litellm-changed-by, or empty */
    yyjson_mut_val *key, *team, *user; /* rows, or NULL */
    yyjson_mut_val *orgs;              /* memberships of the user: an array, or NULL */
};

/* Where the credential is, and what it says. */
struct caller_header {
    bearer_header_fn get;
    const void *ctx;
    struct str key_header; /* litellm_key_header_name, or empty */
    struct str master_key; /* empty: everybody is an admin (loopback only) */
};

struct caller_refusal { /* of 401 or 400 */
    unsigned status;
    const char *type, *param; /* param NULL: null */
    struct str message;
};

/* False with *ret_refusal filled, or with a fault in s->tx. Reads, never writes. */
bool caller_find(struct caller *c, struct store *s, const struct caller_header *h,
                 struct caller_refusal *ret_refusal);

const char *role_name(enum role r); /* "proxy_admin" */
/* An unknown stored role counts as internal_user. */
enum role role_of(struct str name);

/* sha256_hex() of a key; what is 64 hex digits already stays. */
struct str key_hash_of(struct arena *a, struct str key);
/* "abcd****wxyz"; of a short one nothing. */
struct str key_abbreviated(struct arena *a, struct str key);
/* A key as it may be repeated to whoever named it: a hash whole, a key masked. */
struct str key_shown(struct arena *a, struct str key);
/* "sk-...1234" */
struct str key_masked(struct arena *a, struct str key);
