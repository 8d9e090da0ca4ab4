#pragma once

/*
 * The audit log as a chain. A job seals each entry behind the one before:
 *
 *     mac(n) = HMAC-SHA256(key, mac(n-1) | n | the entry's columns, each with its length)
 *
 * The key is derived from LITELLM_SALT_KEY, else from the master key, so that whoever can write the
 * database alone cannot forge a link. Not in the transaction of the change: that would put all
 * writers behind each other. What the chain cannot show is that its end was cut off; for that the
 * head goes into the process's log with each run, and a head noted elsewhere can be given to
 * verify.
 */

#include "common/gateway/seal.h"

#include "store/store.h"

enum { CHAIN_MAC = 32 };

struct chain_from { /* verify what comes after an entry; zeroed: all */
    int64_t seq;
    struct str mac; /* in hex, as noted; empty: as it stands there */
};

/*
 * {"verified": n, "last": {seq, hash, at} or null, "pending": n,
 *  "broken": [{seq, id, reason}, ...], "broken_total": n}
 *
 * NULL: a fault. Reads page by page, so that the log may be larger than memory, all of one
 * snapshot.
 */
yyjson_mut_val *chain_verify(struct store *s, const struct seal_key *k,
                             const struct chain_from *from);
