#pragma once

/* The client APIs a deployment may serve, and the dialects an upstream may speak. */

#include "common/base.h"

enum api {
    API_CHAT,         /* POST /chat/completions */
    API_COMPLETIONS,  /* POST /completions */
    API_EMBEDDINGS,   /* POST /embeddings */
    API_MODERATIONS,  /* POST /moderations */
    API_MESSAGES,     /* POST /messages */
    API_COUNT_TOKENS, /* POST /messages/count_tokens */
    API_RESPONSES,    /* POST /responses, and GET, DELETE, cancel, input_items below it */
    API_COUNT,
};

enum dialect {
    DIALECT_OPENAI, /* chat, completions, embeddings, moderations, responses of OpenAI and its likes
                     */
    DIALECT_ANTHROPIC, /* messages, count_tokens */
    DIALECT_OTHER,     /* a dialect this build does not speak */
};
