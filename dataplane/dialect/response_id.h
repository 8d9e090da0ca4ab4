#pragma once

/*
 * Response ids as clients of the gateway see them: LiteLLM's form, "resp_" +
 * base64("litellm:custom_llm_provider:P;model_id:D;response_id:ID"), so that a later GET, DELETE
 * or previous_response_id finds the deployment that made the response (litellm-dataplane.md 2.2).
 * Pure.
 */

#include "common/str.h"

enum { RESPONSE_ID_MAX = 640, RESPONSE_ID_TEXT_MAX = 448 };

struct response_id {
    struct str deployment, upstream; /* in `text` */
    char text[RESPONSE_ID_TEXT_MAX];
};

/* What stands before the upstream's id, in `out` (RESPONSE_ID_TEXT_MAX); empty when too long. */
struct str response_id_tag(char *out, struct str provider, struct str deployment);

/* Writes the gateway's id for `upstream` to `out` (RESPONSE_ID_MAX); its length, 0 when too long.
 */
size_t response_id_make(char *out, struct str tag, struct str upstream);

/* Takes a gateway's id apart; false: it is not one of ours. */
bool response_id_read(struct response_id *ret, struct str id);
