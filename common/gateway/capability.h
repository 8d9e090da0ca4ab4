#pragma once

/*
 * What models can and cannot do that a translator must know: data by name, overridden by
 * model_info (capabilities.def).
 */

#include "common/str.h"

enum capability {
    CAP_REASONING = 1 << 0,         /* reasons at all: effort, thinking */
    CAP_THINKING_BUDGET = 1 << 1,   /* Claude up to 4.5: thinking {enabled, budget_tokens} */
    CAP_THINKING_ADAPTIVE = 1 << 2, /* Claude from 4.6: thinking {adaptive}, output_config.effort */
    CAP_THINKING_ALWAYS = 1 << 3,   /* cannot be switched off */
    CAP_PREFILL = 1 << 4,           /* a final assistant message is continued */
    CAP_SAMPLING = 1 << 5, /* takes temperature, top_p (and top_k) at other than their defaults */
    CAP_FORCED_TOOLS = 1 << 6,   /* takes tool_choice any/tool */
    CAP_JSON_SCHEMA = 1 << 7,    /* structured output natively */
    CAP_SYSTEM_INSIDE = 1 << 8,  /* system messages between the others */
    CAP_MAX_COMPLETION = 1 << 9, /* chat: wants max_completion_tokens, not max_tokens */
    CAP_DEVELOPER = 1 << 10,     /* chat: has the developer role */
    CAP_CUSTOM_TOOLS = 1 << 11,  /* chat: tools that take free text */
    CAP_CONTENT_PARTS = 1 << 12, /* chat: content may be a list in every role */
    CAP_REASONING_CONTENT =
        1 << 13, /* chat: wants reasoning_content of turns with tool calls back */
};

/* What the writer of a request must know of who will read it. */
struct upstream_model {
    struct str name;     /* sent upstream */
    struct str provider; /* id */
    uint32_t can;        /* enum capability, bits */
    uint32_t max_output; /* default where the API demands one; 0: not known */
    bool stream;         /* what is asked of the upstream */
    bool stream_usage;   /* ... which understands stream_options.include_usage */
    bool modify_params;  /* may mend what the provider would refuse */
    bool drop_params;    /* drop what cannot be carried instead of refusing it */
    bool in_path;        /* the model stands in the path, not in the body */
};

/* The bits of a model by its provider and name (without prefix), and its default max output. */
uint32_t capability_of(struct str provider, struct str model, uint32_t *ret_max_output);
