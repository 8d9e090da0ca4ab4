#pragma once

/*
 * What both planes know of a prompt with its reply on its way (proto/weir.proto). Each is sealed
 * (seal.h) by a key of its own, which follows from its identity: there are more of them than one
 * key with random nonces bears (NIST SP 800-38D 8.3: 2^32).
 */

#include "common/gateway/seal.h"

enum {
    TRANSCRIPTS_BATCH = 64,              /* of a request */
    TRANSCRIPTS_BYTES = 4 * 1024 * 1024, /* of a request, sealed */
    TRANSCRIPT_MAX = 2304 * 1024,        /* bytes of one, before it is sealed */
};

struct transcript_id { /* of its record; `call` is borrowed, printable text */
    struct str call;
    int64_t start_us;
    uint32_t attempt;
};

/* In the arena; empty without a key, without memory, or beyond TRANSCRIPT_MAX. */
struct str transcript_seal(const struct seal_key *k, const struct transcript_id *id,
                           struct str plain, struct arena *a);

/* False: not sealed by this key for this exchange. *ret_plain lies in the arena. */
MUST_CHECK bool transcript_open(const struct seal_key *k, const struct transcript_id *id,
                                struct str sealed, struct arena *a, struct str *ret_plain);
