/* What is known until the table of models is there: the families by name. */

#include "common/gateway/capability.h"

#include "common/gateway/glob.h"

static const struct {
    struct str models;
    uint32_t can, max_output;
} families[] = {
    {STR_INIT("claude-3*|claude-*-4|claude-*-4-0*|claude-*-4-1*|claude-*-4-2025*"),
     CAP_REASONING | CAP_THINKING_BUDGET | CAP_PREFILL | CAP_SAMPLING | CAP_FORCED_TOOLS, 8192},
    {STR_INIT("claude-*-4-5*"),
     CAP_REASONING | CAP_THINKING_BUDGET | CAP_PREFILL | CAP_SAMPLING | CAP_FORCED_TOOLS |
         CAP_JSON_SCHEMA,
     64000},
    {STR_INIT("claude*"),
     CAP_REASONING | CAP_THINKING_ADAPTIVE | CAP_FORCED_TOOLS | CAP_JSON_SCHEMA, 64000},
    {STR_INIT("o1*|o3*|o4*|gpt-5*"),
     CAP_REASONING | CAP_FORCED_TOOLS | CAP_JSON_SCHEMA | CAP_MAX_COMPLETION | CAP_DEVELOPER |
         CAP_CUSTOM_TOOLS | CAP_CONTENT_PARTS | CAP_SYSTEM_INSIDE,
     0},
    {STR_INIT("*"),
     CAP_SAMPLING | CAP_FORCED_TOOLS | CAP_JSON_SCHEMA | CAP_CONTENT_PARTS | CAP_SYSTEM_INSIDE |
         CAP_PREFILL,
     0},
};

uint32_t capability_of(struct str provider, struct str model, uint32_t *ret_max_output)
{
    (void)provider;
    for (size_t i = 0;; i++)
        if (globs_match(families[i].models, model)) {
            *ret_max_output = families[i].max_output;
            return families[i].can;
        }
}
