#pragma once

/*
 * Requests and tokens a minute, and requests at once, of everybody a request concerns
 * (litellm-dataplane.md section 4). All limits are asked at once: a request that one of them
 * refuses has taken nothing of the others. Tokens are reserved by estimate and settled by what was
 * used.
 */

#include "common/gateway/usage.h"

#include "policy/ask.h"
#include "shared/charge.h"

enum limit_descriptor {
#define LIMIT(id, name) LIMIT_##id,
#include "policy/limits.def"
#undef LIMIT
    LIMIT_DESCRIPTORS
};

enum limit_type { LIMIT_REQUESTS, LIMIT_TOKENS, LIMIT_PARALLEL, LIMIT_TYPES };

/* How a limit stood when the request was let in; for its reply's headers. */
struct limit_status {
    uint8_t descriptor, type;
    int64_t limit, remaining;
};

enum { LIMITS_MAX = 48 }; /* more than a caller with CALLER_TAGS can have */

struct limits {
    unsigned n;
    struct limit_status status[];
};

extern const struct str limit_descriptor_name[LIMIT_DESCRIPTORS];
extern const struct str limit_type_name[LIMIT_TYPES];

/*
 * Takes what the request needs, and remembers in `c` what is to be charged and given back. False
 * with the ask's refusal set. *ret_limits lies in the arena; NULL: nothing is limited.
 */
bool limits_take(struct ask *k, struct charges *c, const struct limits **ret_limits);

/* Which of the tokens used count towards limits, as token_rate_limit_type says. */
uint64_t limits_tokens(const struct snapshot *s, const struct usage *u);
