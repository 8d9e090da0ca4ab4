#pragma once

/*
 * The authority of an installation: made when first needed, kept in weir.authority with its key
 * sealed for that certificate. It signs the certificates of control planes (for JOIN_SERVER_NAME,
 * whatever their address) and of data planes (as clients alone).
 */

#include "common/gateway/seal.h"

#include "store/tx.h"

struct authority { /* PEM, NUL-terminated, in the arena; holds a secret */
    const char *certificate, *key;
};

struct identity_pem { /* the same */
    const char *certificate, *key;
};

enum authority_for { AUTHORITY_SERVER, AUTHORITY_CLIENT };

/*
 * The one of this database, made if there is none. ERRC_INVALID without a key to seal with, or with
 * another one than it was sealed with; ERRC_CLOSED for a fault, which sticks in `tx`.
 */
MUST_CHECK enum errc authority_get(struct authority *ret_a, struct tx *tx,
                                   const struct seal_key *key, struct arena *arena, struct err *e);

/* A new key and its certificate, valid until `until_us` (0: ten years). ERRC_NOMEM, ERRC_INVALID.
 */
MUST_CHECK enum errc authority_sign(struct identity_pem *ret_i, const struct authority *a,
                                    enum authority_for purpose, const char *name, int64_t until_us,
                                    struct arena *arena, struct err *e);
