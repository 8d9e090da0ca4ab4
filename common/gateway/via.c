/* Native before translated; among translations the one that loses least of what the model has. */

#include "common/gateway/via.h"

enum via_kind via_kind_of(enum price_mode mode)
{
    return mode == PRICE_MODE_CHAT        ? VIA_CHAT
           : mode == PRICE_MODE_RESPONSES ? VIA_RESPONSES
                                          : VIA_UNKNOWN;
}

static bool serves(const struct via_config *c, enum api api)
{
    return c->native & BIT(api);
}

/* What a request for text becomes when nothing is said about the API it came by. */
static enum api text_upstream(const struct via_config *c, enum via_kind model)
{
    if (serves(c, API_RESPONSES) && (model == VIA_RESPONSES || !serves(c, API_CHAT)))
        return API_RESPONSES;
    if (serves(c, API_CHAT))
        return API_CHAT;
    return serves(c, API_MESSAGES) ? API_MESSAGES : API_COUNT;
}

enum api via_of(const struct via_config *c, enum via_kind model, enum api client)
{
    bool both = serves(c, API_CHAT) && serves(c, API_RESPONSES), native = serves(c, client);
    enum api text = text_upstream(c, model);

    switch (client) {
    case API_CHAT:
        return both && c->chat_by_responses ? API_RESPONSES : text;
    case API_COMPLETIONS:
        if (native && model != VIA_RESPONSES && !(model == VIA_CHAT && c->refuses_completions))
            return client;
        return both && c->chat_by_responses ? API_RESPONSES : text;
    case API_MESSAGES:
        if (native)
            return client;
        return both && c->responses_by_chat       ? API_CHAT
               : both && c->messages_by_responses ? API_RESPONSES
                                                  : text;
    case API_RESPONSES:
        return both && c->responses_by_chat ? API_CHAT : native ? client : text;
    case API_COUNT_TOKENS:
        return native ? client : serves(c, API_INPUT_TOKENS) ? API_INPUT_TOKENS : API_COUNT;
    case API_EMBEDDINGS:
    case API_MODERATIONS:
        break;
    case API_INPUT_TOKENS: /* no client's */
    case API_COUNT:
        return API_COUNT;
    }
    return native ? client : API_COUNT;
}
