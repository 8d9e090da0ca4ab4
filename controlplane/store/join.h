#pragma once

#include "store/store.h"

/* A token's row; `hash` is its hex SHA-256, `expires_us` 0: never. */
struct join_row {
    struct str id, hash, description, created_by;
    const struct str *addresses;
    size_t n_addresses;
    int64_t expires_us;
};

/* As it is shown: everything but the hash. NULL: a fault. */
yyjson_mut_val *join_insert(struct store *s, const struct join_row *row);

/* The row that is revoked now, or NULL: there is none that holds. */
yyjson_mut_val *join_revoke(struct store *s, struct str id);

yyjson_mut_val *join_all(struct store *s);
