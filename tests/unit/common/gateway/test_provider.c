/* Model names and the providers they mean; the surprises of the table, one by one. */

#include "common/gateway/glob.h"
#include "common/gateway/provider.h"

#include "tests/unit/test.h"

static void test_table_is_sorted_and_found(void **state)
{
    (void)state;
    assert_int_equal(provider_count(), 196);
    for (size_t i = 0; i < provider_count(); i++) {
        const struct provider *p = provider_at(i);
        assert_ptr_equal(provider_find(p->id), p);
        assert_true(p->name.n != 0);
        if (i && strcmp(provider_at(i - 1)->id.p, p->id.p) >= 0)
            fail_msg("%s is out of order", p->id.p);
    }
    assert_null(provider_find(STR("open")));
    assert_null(provider_find(STR("openai2")));
    assert_null(provider_find(STR("")));
}

static void test_bases_are_trimmed_and_paths_begin_with_a_slash(void **state)
{
    (void)state;
    for (size_t i = 0; i < provider_count(); i++) {
        const struct provider *p = provider_at(i);
        if (str_ends(p->base, STR("/")) || (p->path.n && p->path.p[0] != '/'))
            fail_msg("%s", p->id.p);
        if (p->base.n && str_find(p->base, STR("://")) == SIZE_MAX)
            fail_msg("%s: base", p->id.p);
    }
}

static void test_names_say_their_provider(void **state)
{
    static const char hex64[] = "owner/m:0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
                                "abcdef";
    const struct {
        const char *model, *base, *provider, *name;
    } rows[] = {
        {"openai/gpt-4o", "", "openai", "gpt-4o"},
        {"openrouter/anthropic/claude-x", "", "openrouter", "anthropic/claude-x"},
        {"together_ai/meta-llama/Llama-3", "", "together_ai", "meta-llama/Llama-3"},
        {"nano-gpt/m", "", "nano-gpt", "m"},
        {"text-completion-openai/m", "", "text-completion-openai", "m"},
        {"gpt-4o", "", "openai", "gpt-4o"},
        {"gpt-3.5-turbo-never-priced", "", "openai", "gpt-3.5-turbo-never-priced"},
        {"claude-sonnet-4-5", "", "anthropic", "claude-sonnet-4-5"},
        {"claude-2.1", "", "anthropic_text", "claude-2.1"},
        {"anthropic/claude-2.1", "", "anthropic_text", "claude-2.1"},
        {"gemini-2.5-pro", "", "vertex_ai", "gemini-2.5-pro"},
        {"gemini-9-never-priced", "", "vertex_ai", "gemini-9-never-priced"},
        {"us.anthropic.claude-x", "", "bedrock", "us.anthropic.claude-x"},
        {"amazon.nova-lite-v1:0", "", "bedrock", "amazon.nova-lite-v1:0"},
        {"cohere/command-r", "", "cohere_chat", "command-r"},
        {"cohere/embed-english-v3.0", "", "cohere", "embed-english-v3.0"},
        {"ai21/jamba-large", "", "ai21_chat", "jamba-large"},
        {"azure/mistral-large-latest", "", "openai", "mistral-large-latest"},
        {"azure/my-deployment", "", "azure", "my-deployment"},
        {"m", "https://api.groq.com/openai/v1", "groq", "m"},
        {"meta/llama", "https://API.MISTRAL.AI:443/v1", "meta", "llama"},
        {"owner/llama", "https://API.MISTRAL.AI:443/v1", "mistral", "owner/llama"},
        {"m", "https://api.groq.com.evil.example/v1", "", "m"},
        {"m", "api.groq.com/v1", "", "m"},
        {hex64, "", "replicate", hex64},
        {"unheard-of", "", "", "unheard-of"},
        {"nobody/m", "", "", "nobody/m"},
        {"/m", "", "", "/m"},
        {"", "", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str name;
        const struct provider *p =
            provider_split(str_of(rows[i].model), str_of(rows[i].base), &name);
        if (!str_eq(p ? p->id : STR(""), str_of(rows[i].provider)))
            fail_msg("%s: got %s", rows[i].model, p ? p->id.p : "none");
        assert_str(name, rows[i].name);
    }
}

static void test_surprises_of_the_table(void **state)
{
    static const struct {
        const char *id, *keys, *bases, *base;
    } rows[] = {
        {"deepseek", "DEEPSEEK_API_KEY", "DEEPSEEK_API_BASE", "https://api.deepseek.com/beta"},
        {"gemini", "GOOGLE_API_KEY GEMINI_API_KEY", "GEMINI_API_BASE",
         "https://generativelanguage.googleapis.com"},
        {"mistral", "MISTRAL_AZURE_API_KEY MISTRAL_API_KEY",
         "MISTRAL_AZURE_API_BASE MISTRAL_API_BASE", "https://api.mistral.ai/v1"},
        {"apertis", "STIMA_API_KEY", "", "https://api.stima.tech/v1"},
        {"scaleway", "SCW_SECRET_KEY", "", "https://api.scaleway.ai/v1"},
        {"cometapi", "COMETAPI_KEY", "COMETAPI_API_BASE", "https://api.cometapi.com/v1"},
        {"tensormesh", "TENSORMESH_INFERENCE_API_KEY", "TENSORMESH_SERVERLESS_BASE_URL",
         "https://serverless.tensormesh.ai/v1"},
        {"meta_llama", "LLAMA_API_KEY", "LLAMA_API_BASE", "https://api.llama.com/compat/v1"},
        {"docker_model_runner", "DOCKER_MODEL_RUNNER_API_KEY", "DOCKER_MODEL_RUNNER_API_BASE",
         "http://localhost:12434/engines/v1"},
        {"helicone", "HELICONE_API_KEY", "", "https://ai-gateway.helicone.ai"},
        {"qwencloud", "QWENCLOUD_API_KEY DASHSCOPE_API_KEY", "QWENCLOUD_API_BASE",
         "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"},
        {"openai", "OPENAI_API_KEY", "OPENAI_BASE_URL OPENAI_API_BASE",
         "https://api.openai.com/v1"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct provider *p = provider_find(str_of(rows[i].id));
        assert_non_null(p);
        assert_str(p->keys, rows[i].keys);
        assert_str(p->bases, rows[i].bases);
        assert_str(p->base, rows[i].base);
    }
    assert_int_equal(provider_find(STR("nvidia_riva"))->framing, FRAMING_GRPC);
}

static void test_globs(void **state)
{
    static const struct {
        const char *patterns, *name;
        bool match;
    } rows[] = {
        {"", "x", true},        {"*", "", true},        {"a", "a", true},
        {"a", "ab", false},     {"a*", "a", true},      {"*b", "ab", true},
        {"a*c", "abbc", true},  {"a*c", "abcb", false}, {"*a*b*", "xaxbx", true},
        {"*aab", "aaab", true}, {"a|b*", "bc", true},   {"a|b*", "c", false},
        {"!a|b*", "c", true},   {"!a|b*", "bc", false}, {"gpt-5|gpt-5-20*", "gpt-5.1", false},
        {"**", "x", true},      {"a**b", "ab", true},   {"?", "x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (globs_match(str_of(rows[i].patterns), str_of(rows[i].name)) != rows[i].match)
            fail_msg("\"%s\" and \"%s\"", rows[i].patterns, rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_is_sorted_and_found),
        cmocka_unit_test(test_bases_are_trimmed_and_paths_begin_with_a_slash),
        cmocka_unit_test(test_names_say_their_provider),
        cmocka_unit_test(test_surprises_of_the_table),
        cmocka_unit_test(test_globs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
