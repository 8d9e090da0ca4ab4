/* Rows of capabilities.def as they add up for models people name. */

#include "common/gateway/capability.h"
#include "common/gateway/price_map.h"

#include "tests/unit/test.h"

/* Of the bits that tell the generations of Claude apart, and OpenAI's families. */
static const struct {
    char letter;
    uint32_t bit;
} letters[] = {
    {'R', CAP_REASONING},          {'b', CAP_THINKING_BUDGET},  {'a', CAP_THINKING_ADAPTIVE},
    {'A', CAP_THINKING_ALWAYS},    {'e', CAP_EFFORT},           {'x', CAP_EFFORT_XHIGH},
    {'m', CAP_EFFORT_MAX},         {'p', CAP_PREFILL},          {'s', CAP_SAMPLING},
    {'f', CAP_FORCED_TOOLS},       {'j', CAP_JSON_SCHEMA},      {'i', CAP_SYSTEM_INSIDE},
    {'M', CAP_MAX_COMPLETION},     {'d', CAP_DEVELOPER},        {'c', CAP_CUSTOM_TOOLS},
    {'t', CAP_TOOLS_OR_REASONING}, {'r', CAP_REASONING_CONTENT}};

static const struct {
    const char *provider, *model, *can;
    uint32_t max_output;
} rows[] = {
    {"anthropic", "claude-fable-5-1", "RaAexmji", 128000},
    {"anthropic", "claude-fable-5", "RaAexmfji", 128000},
    {"anthropic", "claude-opus-5-5", "RaAexmji", 128000},
    {"anthropic", "claude-sonnet-5-5-20270101", "RaAexmji", 128000},
    {"anthropic", "claude-haiku-5-5", "Raexmfji", 128000},
    {"anthropic", "claude-opus-5", "Raexmfji", 128000},
    {"anthropic", "claude-opus-4-8", "Raexmfji", 64000},
    {"anthropic", "claude-newfamily-9", "Raexmfji", 64000},
    {"anthropic", "claude-opus-4-7-20260416", "Raexmfj", 128000},
    {"anthropic", "claude-sonnet-4-6", "Rbaemsfj", 128000},
    {"openrouter", "anthropic/claude-sonnet-4.6", "Rbaemsfj", 128000},
    {"bedrock", "eu.anthropic.claude-opus-4-6-v1", "Rbaemsfj", 128000},
    {"anthropic", "claude-opus-4-5-20251101", "Rbepsfj", 64000},
    {"anthropic", "claude-sonnet-4-5-20250929", "Rbpsfj", 64000},
    {"anthropic", "claude-haiku-4-5", "Rbpsfj", 64000},
    {"anthropic", "claude-opus-4-1-20250805", "Rbpsf", 32000},
    {"anthropic", "claude-opus-4-20250514", "Rbpsf", 32000},
    {"anthropic", "claude-4-opus-20250514", "Rbpsf", 32000},
    {"vertex_ai", "claude-sonnet-4@20250514", "Rbpsf", 64000},
    {"anthropic", "claude-sonnet-4-20250514", "Rbpsf", 64000},
    {"anthropic", "claude-3-7-sonnet-latest", "Rbpsf", 64000},
    {"anthropic", "claude-3-5-haiku-20241022", "psf", 8192},
    {"anthropic", "claude-3-haiku-20240307", "psf", 4096},
    {"anthropic", "kimi-for-coding", "xmpsfji", 128000},
    {"openai", "gpt-4o", "xmpsfji", 0},
    {"openai", "gpt-4-turbo", "xmpsfi", 0},
    {"openai", "gpt-3.5-turbo", "xmpsfi", 0},
    {"openai", "o3-mini", "RxmpfjiMd", 0},
    {"azure", "gpt-5", "RxmpfjiMc", 0},
    {"openai", "gpt-5-mini-2025-08-07", "RxmpfjiMc", 0},
    {"openai", "gpt-5.1", "RxmpsfjiMc", 0},
    {"openai", "gpt-5.1-codex", "RxmpfjiMc", 0},
    {"openai", "gpt-5.4-nano", "RxmpsfjiMct", 0},
    {"openai", "gpt-5.5", "RxmpfjiMct", 0},
    {"openai", "gpt-6-sol", "RxmpfjiMct", 0},
    {"openai", "gpt-5-chat-latest", "xmpsfji", 0},
    {"hosted_vllm", "gpt-5", "Rxmpsfjir", 0},
    {"deepseek", "deepseek-chat", "Rxmpsfjir", 0},
    {"moonshot", "kimi-k2-thinking", "xmpsfjir", 0},
    {"moonshot", "moonshot-v1-8k", "xmpsfji", 0},
};

static void test_rows_add_up(void **state)
{
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char got[ARRAY_LEN(letters) + 1] = "";
        size_t n = 0;
        uint32_t max_output,
            can = capability_of(str_of(rows[i].provider), str_of(rows[i].model), &max_output);
        for (size_t k = 0; k < ARRAY_LEN(letters); k++)
            if (can & letters[k].bit)
                got[n++] = letters[k].letter;
        if (strcmp(got, rows[i].can) == 0 && max_output == rows[i].max_output)
            continue;
        print_error("%s/%s: %s %u, not %s %u\n", rows[i].provider, rows[i].model, got, max_output,
                    rows[i].can, rows[i].max_output);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void test_the_price_map_adds_reasoning(void **state)
{
    (void)state;
    assert_int_equal(capability_priced(BIT(PRICE_FEATURE_REASONING) | BIT(PRICE_FEATURE_VISION)),
                     CAP_REASONING);
    assert_int_equal(capability_priced(BIT(PRICE_FEATURE_VISION)), 0);
}

/* Every Claude of the price table is known to reason in a way its API takes, but the oldest. */
static void test_every_claude_has_a_style(void **state)
{
    unsigned n = 0;

    (void)state;
    for (size_t i = 0; i < price_map_count(NULL); i++) {
        struct priced_model m;
        uint32_t max_output;
        price_map_row(NULL, i, &m);
        if (!str_eq(m.provider, STR("anthropic")) || !str_starts(m.name, STR("claude-")))
            continue;
        uint32_t can = capability_of(m.provider, m.name, &max_output);
        bool thinks = can & (CAP_THINKING_BUDGET | CAP_THINKING_ADAPTIVE);
        if (thinks != ((can & CAP_REASONING) != 0) || !max_output)
            fail_msg(STR_FMT, STR_ARG(m.name));
        n++;
    }
    assert_true(n > 10);
}

static void test_names_of_model_info(void **state)
{
    (void)state;
    assert_int_equal(capability_named(STR("supports_reasoning")), CAP_REASONING);
    assert_int_equal(capability_named(STR("supports_vision")), 0);
    assert_int_equal(capability_named(STR("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_add_up),
        cmocka_unit_test(test_the_price_map_adds_reasoning),
        cmocka_unit_test(test_every_claude_has_a_style),
        cmocka_unit_test(test_names_of_model_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
