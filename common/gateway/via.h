#pragma once

/*
 * Which API an upstream is spoken to in, for each API of a client: the client's own where that is
 * served, else the nearest one, by way of translation.
 */

#include "common/gateway/api.h"
#include "common/gateway/price_map.h"

/* What is known of a model. Responses models answer in no other API. */
enum via_kind { VIA_UNKNOWN, VIA_CHAT, VIA_RESPONSES, VIA_KINDS };

struct via_config {
    uint32_t native; /* BIT(enum api): served by the upstream itself */
    /* where Responses and chat are both served */
    bool messages_by_responses;
    bool chat_by_responses;
    bool responses_by_chat;
    bool refuses_completions; /* of chat models */
};

enum via_kind via_kind_of(enum price_mode mode);

/* The API spoken upstream for a client's; API_COUNT: none. */
enum api via_of(const struct via_config *c, enum via_kind model, enum api client);
