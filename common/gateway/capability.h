#pragma once

/*
 * What models can and cannot do that a translator must know: data by name (capabilities.def),
 * overridden by model_info.
 */

#include "common/str.h"

#define CAPABILITIES(X)                                                                            \
    X(REASONING, "reasons at all: effort, thinking")                                               \
    X(THINKING_BUDGET, "Claude up to 4.6: thinking {enabled, budget_tokens}")                      \
    X(THINKING_ADAPTIVE, "Claude from 4.6: thinking {adaptive}")                                   \
    X(THINKING_ALWAYS, "cannot be switched off")                                                   \
    X(EFFORT, "Claude: output_config.effort")                                                      \
    X(EFFORT_XHIGH, "takes effort xhigh")                                                          \
    X(EFFORT_MAX, "takes effort max")                                                              \
    X(PREFILL, "a final assistant message is continued")                                           \
    X(SAMPLING, "takes temperature, top_p (and top_k) at other than their defaults")               \
    X(FORCED_TOOLS, "takes tool_choice any/tool")                                                  \
    X(JSON_SCHEMA, "structured output natively")                                                   \
    X(SYSTEM, "has system messages at all; else they are the user's")                              \
    X(SYSTEM_INSIDE, "system messages between the others")                                         \
    X(MAX_COMPLETION, "chat: wants max_completion_tokens, not max_tokens")                         \
    X(DEVELOPER, "chat: has the developer role")                                                   \
    X(CUSTOM_TOOLS, "chat: tools that take free text")                                             \
    X(TOOLS_OR_REASONING, "chat: takes function tools only while it does not reason")              \
    X(CONTENT_PARTS, "chat: content may be a list in every role")                                  \
    X(REASONING_CONTENT, "chat: wants reasoning_content of turns with tool calls back")

enum capability_bit {
#define X(id, what) CAP_BIT_##id,
    CAPABILITIES(X)
#undef X
        CAPABILITY_COUNT,
};

enum capability {
#define X(id, what) CAP_##id = 1 << CAP_BIT_##id,
    CAPABILITIES(X)
#undef X
};

/* What the writer of a request must know of who will read it. */
struct upstream_model {
    struct str name;     /* sent upstream */
    struct str provider; /* id */
    uint32_t can;        /* enum capability, bits */
    uint32_t max_output; /* default where the API demands one; 0: not known */
    bool stream;         /* what is asked of the upstream */
    bool counts;         /* the request is only counted */
    bool stream_usage;   /* ... which understands stream_options.include_usage */
    bool modify_params;  /* may mend what the provider would refuse */
    bool drop_params;    /* drop what cannot be carried instead of refusing it */
    bool in_path;        /* the model stands in the path, not in the body */
};

/*
 * The bits of a model by its provider and name (without prefix), and its default max output where
 * the price map has none, 0: not known.
 */
uint32_t capability_of(struct str provider, struct str model, uint32_t *ret_max_output);

/* Further ones that the price map states: `features` are bits of enum price_feature. */
uint32_t capability_priced(uint32_t features);

/* The bits a key of model_info in LiteLLM's names ("supports_reasoning") speaks of; 0: none. */
uint32_t capability_named(struct str key);

/* The bit of a name, in either case; 0: none. */
uint32_t capability_called(struct str name);

/* "REASONING" of CAP_BIT_REASONING, and what it means. */
const char *capability_name(enum capability_bit b);
const char *capability_sentence(enum capability_bit b);
