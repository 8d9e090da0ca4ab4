/* The rows of capabilities.def, applied from the first to the last. */

#include "common/gateway/capability.h"

#include "common/gateway/glob.h"
#include "common/gateway/price_map.h"

static const struct {
    struct str providers, models; /* globs_match() */
    uint32_t gains, loses, max_output;
} rows[] = {
#define C(id) | CAP_##id
#define CAPABLE(providers, models, gains, loses, max_output)                                       \
    {STR_INIT(providers), STR_INIT(models), 0 gains, 0 loses, max_output},
#include "common/gateway/capabilities.def"
#undef CAPABLE
#undef C
};

static const struct {
    const char *name, *sentence;
} capabilities[] = {
#define X(id, what) {#id, what},
    CAPABILITIES(X)
#undef X
};

/* Keys of model_info, by LiteLLM's names. */
static const struct {
    struct str key;
    uint32_t bits;
} named[] = {
    {STR_INIT("supports_reasoning"), CAP_REASONING},
    {STR_INIT("supports_adaptive_thinking"), CAP_THINKING_ADAPTIVE},
    {STR_INIT("supports_legacy_thinking"), CAP_THINKING_BUDGET},
    {STR_INIT("thinking_always_on"), CAP_THINKING_ALWAYS},
    {STR_INIT("supports_output_config"), CAP_EFFORT},
    {STR_INIT("supports_xhigh_reasoning_effort"), CAP_EFFORT_XHIGH},
    {STR_INIT("supports_max_reasoning_effort"), CAP_EFFORT_MAX},
    {STR_INIT("supports_assistant_prefill"), CAP_PREFILL},
    {STR_INIT("supports_sampling_params"), CAP_SAMPLING},
    {STR_INIT("supports_forced_tool_use"), CAP_FORCED_TOOLS},
    {STR_INIT("supports_tool_choice"), CAP_FORCED_TOOLS},
    {STR_INIT("supports_response_schema"), CAP_JSON_SCHEMA},
    {STR_INIT("supports_native_structured_output"), CAP_JSON_SCHEMA},
    {STR_INIT("supports_system_messages"), CAP_SYSTEM | CAP_SYSTEM_INSIDE},
    {STR_INIT("supports_system_message"), CAP_SYSTEM | CAP_SYSTEM_INSIDE}, /* of litellm_params */
    {STR_INIT("supports_mid_conversation_system"), CAP_SYSTEM_INSIDE},
};

uint32_t capability_of(struct str provider, struct str model, uint32_t *ret_max_output)
{
    uint32_t can = 0;

    *ret_max_output = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!globs_match(rows[i].providers, provider) || !globs_match(rows[i].models, model))
            continue;
        can = (can | rows[i].gains) & ~rows[i].loses;
        if (rows[i].max_output)
            *ret_max_output = rows[i].max_output;
    }
    return can;
}

uint32_t capability_priced(uint32_t features)
{
    return features & BIT(PRICE_FEATURE_REASONING) ? CAP_REASONING : 0;
}

uint32_t capability_named(struct str key)
{
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (str_eq(key, named[i].key))
            return named[i].bits;
    return 0;
}

uint32_t capability_called(struct str name)
{
    for (unsigned i = 0; i < ARRAY_LEN(capabilities); i++)
        if (str_ieq(name, str_of(capabilities[i].name)))
            return BIT(i);
    return 0;
}

const char *capability_name(enum capability_bit b)
{
    return capabilities[b].name;
}

const char *capability_sentence(enum capability_bit b)
{
    return capabilities[b].sentence;
}
