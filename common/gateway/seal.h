#pragma once

/*
 * Values at rest as LiteLLM seals them, each by itself: what it sealed opens here, what is sealed
 * here it opens. The key comes from LITELLM_SALT_KEY, else from the master key; it never leaves
 * this struct, which holds secrets.
 *
 *   box      base64url(nonce 24 | tag 16 | XSalsa20), SHA-256 of the secret; the oldest are base64
 *   v2:gcm:  prefix, base64url(nonce 12 | AES-256-GCM | tag 16), SHA-256 of the secret
 *   v3:gcm:  the same, HKDF-SHA256 of the secret, info "litellm-at-rest-v3"
 *
 * What is Weir's own and no LiteLLM reads opens in its own place alone (threats S-02):
 *
 *   weir1:   the same with a key of its own, and the place as associated data
 */

#include "common/arena.h"

enum seal_format { SEAL_BOX, SEAL_GCM2, SEAL_GCM3, SEAL_FORMATS };

enum { SEAL_MAX = 4 * 1024 * 1024 }; /* bytes of a value, plain or sealed */

struct seal_key {
    unsigned char hashed[32], derived[32];
    bool is_set; /* false: nothing opens, nothing is sealed */
};

/* An empty secret gives a key that is not set. False: the library cannot be used. */
MUST_CHECK bool seal_key_init(struct seal_key *k, struct str secret);

/* A key for another use, which `info` names: HKDF-SHA256. False: the key is not set. */
MUST_CHECK bool seal_key_derive(const struct seal_key *k, const char *info, unsigned char ret[32]);

/* The value sealed, in the arena; empty without a key, without memory, or beyond SEAL_MAX. */
struct str seal(const struct seal_key *k, enum seal_format format, struct str plain,
                struct arena *a);

/* False: not sealed, or not by this key. *ret_plain lies in the arena. */
MUST_CHECK bool seal_open(const struct seal_key *k, struct str sealed, struct arena *a,
                          struct str *ret_plain);

/* The same for a value of our own; `place` says what it is and to which row it belongs. */
struct str seal_own(const struct seal_key *k, struct str place, struct str plain, struct arena *a);
MUST_CHECK bool seal_own_open(const struct seal_key *k, struct str place, struct str sealed,
                              struct arena *a, struct str *ret_plain);

/* What a sealed value says of itself; anything without a prefix is a box. */
enum seal_format seal_format_of(struct str sealed);
