#pragma once

/* The client APIs a deployment may serve, and the dialects an upstream may speak. */

#include "common/str.h"

#define API_ROWS(X)                                                                                \
    X(CHAT, "chat")                 /* POST /chat/completions */                                   \
    X(COMPLETIONS, "completions")   /* POST /completions */                                        \
    X(EMBEDDINGS, "embeddings")     /* POST /embeddings */                                         \
    X(MODERATIONS, "moderations")   /* POST /moderations */                                        \
    X(MESSAGES, "messages")         /* POST /messages */                                           \
    X(COUNT_TOKENS, "count_tokens") /* POST /messages/count_tokens */                              \
    X(RESPONSES, "responses") /* POST /responses, and GET, DELETE, cancel, input_items below it */ \
    X(INPUT_TOKENS, "input_tokens") /* upstream alone: POST /responses/input_tokens */

enum api {
#define X(id, name) API_##id,
    API_ROWS(X)
#undef X
        API_COUNT,
};

enum dialect {
    DIALECT_OPENAI, /* chat, completions, embeddings, moderations, responses of OpenAI and its likes
                     */
    DIALECT_ANTHROPIC, /* messages, count_tokens */
    DIALECT_OTHER,     /* a dialect this build does not speak */
};

/* "chat" of API_CHAT; and back: API_COUNT when there is none of that name. */
struct str api_name(enum api api);
enum api api_named(struct str name);
