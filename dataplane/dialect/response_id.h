#pragma once

/*
 * Response ids as clients of the gateway see them: LiteLLM's form, "resp_" +
 * base64("litellm:custom_llm_provider:P;model_id:D;response_id:ID"), so that a later GET, DELETE
 * or previous_response_id finds the deployment that made the response (litellm-dataplane.md 2.2).
 *
 * Behind the upstream's id stands a seal, ";seal:" and 32 digits: half of an HMAC-SHA256 over whose
 * the response is and over the text before. Digits, because an id stands in paths, and base64 of
 * bytes has slashes. Nothing is kept, and nobody but the gateway can make an id, or
 * make one of another's. Pure.
 */

#include "common/str.h"

enum {
    RESPONSE_ID_MAX = 640,
    RESPONSE_ID_TEXT_MAX = 448,
    RESPONSE_OWNER = 32,
    RESPONSE_SEAL_KEY = 32,
    RESPONSE_SEAL = 32, /* hex digits */
};

struct response_owner { /* whose a response is; all 0: the master key's, or nobody's */
    unsigned char is[RESPONSE_OWNER];
};

struct response_id {
    struct str deployment, upstream; /* in `text` */
    struct str sealed, seal;         /* what the seal is of, and it; empty: there is none */
    char text[RESPONSE_ID_TEXT_MAX];
};

/* What stands before the upstream's id, in `out` (RESPONSE_ID_TEXT_MAX); empty when too long. */
struct str response_id_tag(char *out, struct str provider, struct str deployment);

/*
 * Writes the gateway's id for `upstream` to `out` (RESPONSE_ID_MAX); its length, 0 when too long.
 * `key` (RESPONSE_SEAL_KEY) empty: not sealed.
 */
size_t response_id_make(char *out, struct str tag, struct str upstream, struct str key,
                        const struct response_owner *owner);

/* Takes a gateway's id apart; false: it is not one of ours. Whose it is has not been asked yet. */
bool response_id_read(struct response_id *ret, struct str id);

/* The id was made for `owner`, with this key. */
bool response_id_is_of(const struct response_id *id, struct str key,
                       const struct response_owner *owner);
