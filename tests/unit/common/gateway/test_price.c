/* Prices: fields by name, the compiled-in table, LiteLLM's map, the names of one model. */

#include <unistd.h>

#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "tests/unit/test.h"

static void test_fields_are_set_by_their_names(void **state)
{
    struct price p;

    (void)state;
    price_init(&p);
    for (size_t i = 0; i < PRICE_ITEMS; i++)
        assert_false(price_known(&p, (enum price_item)i));
    assert_int_equal(price_set(&p, STR("input_cost_per_token"), STR("2.5e-06")), PRICE_FIELD_SET);
    assert_int_equal(p.item[PRICE_INPUT], 2500000);
    assert_int_equal(price_set(&p, STR("output_cost_per_token"), STR("0")), PRICE_FIELD_SET);
    assert_true(price_known(&p, PRICE_OUTPUT));
    assert_int_equal(price_set(&p, STR("max_tokens"), STR("4096")), PRICE_FIELD_SET);
    assert_int_equal(p.max_output_tokens, 4096);
    assert_int_equal(price_set(&p, STR("max_output_tokens"), STR("8192")), PRICE_FIELD_SET);
    assert_int_equal(price_set(&p, STR("max_tokens"), STR("4096")), PRICE_FIELD_SET);
    assert_int_equal(p.max_output_tokens, 8192);
    assert_int_equal(price_set(&p, STR("max_input_tokens"), STR("1.28e5")), PRICE_FIELD_SET);
    assert_int_equal(p.max_input_tokens, 128000);
    assert_int_equal(price_set(&p, STR("mode"), STR("chat")), PRICE_FIELD_OTHER);
    assert_int_equal(price_set(&p, STR(""), STR("1")), PRICE_FIELD_OTHER);
    assert_int_equal(price_item_named(STR("output_cost_per_reasoning_token")), PRICE_REASONING);
    assert_int_equal(price_item_named(STR("output_cost_per")), PRICE_ITEMS);
}

static void test_bad_numbers_leave_the_price_alone(void **state)
{
    static const char *const bad[] = {"-1", "", "1e99", "free", "1,5", "0x1", " 1"};
    struct price p;

    (void)state;
    price_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(price_set(&p, STR("input_cost_per_token"), str_of(bad[i])),
                         PRICE_FIELD_BAD);
        assert_int_equal(
            price_set(&p, STR("input_cost_per_token_above_200k_tokens"), str_of(bad[i])),
            PRICE_FIELD_BAD);
        assert_int_equal(price_set(&p, STR("max_tokens"), str_of(bad[i])), PRICE_FIELD_BAD);
    }
    assert_false(price_known(&p, PRICE_INPUT));
    assert_int_equal(p.band[0].above_tokens, 0);
    assert_int_equal(p.max_output_tokens, 0);
}

static void test_bands_stand_in_order(void **state)
{
    struct price p;

    (void)state;
    price_init(&p);
    assert_int_equal(price_set(&p, STR("output_cost_per_token_above_200k_tokens"), STR("3e-6")),
                     PRICE_FIELD_SET);
    assert_int_equal(price_set(&p, STR("input_cost_per_token_above_128k_tokens"), STR("1e-6")),
                     PRICE_FIELD_SET);
    assert_int_equal(price_set(&p, STR("cache_read_input_token_cost_above_512k_tokens"), STR("0")),
                     PRICE_FIELD_SET);
    assert_int_equal(p.band[0].above_tokens, 128000);
    assert_int_equal(p.band[0].input, 1000000);
    assert_int_equal(p.band[0].output, PRICE_UNKNOWN);
    assert_int_equal(p.band[1].above_tokens, 200000);
    assert_int_equal(p.band[1].output, 3000000);
    assert_int_equal(p.band[2].cache_read, 0);
    assert_int_equal(price_set(&p, STR("input_cost_per_token_above_1k_tokens"), STR("1e-6")),
                     PRICE_FIELD_BAD);
    assert_null(price_band_of(&p, 128000));
    assert_ptr_equal(price_band_of(&p, 128001), &p.band[0]);
    assert_ptr_equal(price_band_of(&p, 200001), &p.band[1]);
    assert_ptr_equal(price_band_of(&p, UINT64_MAX), &p.band[2]);
    assert_int_equal(price_set(&p, STR("input_cost_per_token_above_k_tokens"), STR("1")),
                     PRICE_FIELD_OTHER);
    assert_int_equal(price_set(&p, STR("x_above_1k_tokens"), STR("1")), PRICE_FIELD_OTHER);
    assert_int_equal(price_set(&p, STR("cache_creation_input_token_cost_above_1hr"), STR("6e-06")),
                     PRICE_FIELD_SET);
    assert_int_equal(p.item[PRICE_CACHE_WRITE_1H], 6000000);
}

static void test_table_is_sorted_and_sane(void **state)
{
    struct priced_model m, before = {0}, found;

    (void)state;
    assert_int_equal(price_map_count(NULL), 552);
    for (size_t i = 0; i < price_map_count(NULL); i++) {
        price_map_row(NULL, i, &m);
        if (i && strcmp(before.name.p, m.name.p) >= 0)
            fail_msg("%s is out of order", m.name.p);
        if (!provider_find(m.provider))
            fail_msg("%s: no provider %s", m.name.p, m.provider.p);
        assert_true(price_map_get(NULL, m.name, &found) && str_eq(found.name, m.name));
        for (size_t b = 0; b < PRICE_BANDS && m.price.band[b].above_tokens; b++)
            if (b && m.price.band[b].above_tokens <= m.price.band[b - 1].above_tokens)
                fail_msg("%s: bands", m.name.p);
        for (size_t k = 0; k < PRICE_ITEMS; k++)
            if (m.price.item[k] < 0 && m.price.item[k] != PRICE_UNKNOWN)
                fail_msg("%s: a negative price", m.name.p);
        before = m;
    }
    assert_false(price_map_get(NULL, STR("gpt-4"), &found) && !str_eq(found.name, STR("gpt-4")));
    assert_false(price_map_get(NULL, STR(""), &found));
}

static void test_table_says_what_was_published(void **state)
{
    struct priced_model m;

    (void)state;
    assert_true(price_map_get(NULL, STR("gpt-5.4"), &m));
    assert_str(m.provider, "openai");
    assert_int_equal(m.mode, PRICE_MODE_CHAT);
    assert_int_equal(m.price.item[PRICE_INPUT], 2500000);
    assert_int_equal(m.price.item[PRICE_OUTPUT_PRIORITY], 30000000);
    assert_int_equal(m.price.band[0].above_tokens, 272000);
    assert_int_equal(m.price.band[0].output, 22500000);
    assert_int_equal(m.price.band[0].cache_write, PRICE_UNKNOWN);
    assert_true(m.features & BIT(PRICE_FEATURE_REASONING));
    assert_false(m.features & BIT(PRICE_FEATURE_AUDIO_IN));
    price_regional(&m.price, STR("api.openai.com"));
    assert_int_equal(m.price.item[PRICE_INPUT], 2500000);
    price_regional(&m.price, STR("EU.api.openai.com"));
    assert_int_equal(m.price.item[PRICE_INPUT], 2750000);
    assert_int_equal(m.price.band[0].output, 24750000);
    assert_int_equal(m.price.band[0].cache_write, PRICE_UNKNOWN);
    assert_true(price_map_get(NULL, STR("dashscope/qwen3-coder-plus"), &m));
    assert_int_equal(m.price.band[2].above_tokens, 256000);
    assert_int_equal(m.price.band[2].output, 60000000);
}

static void test_names_of_one_model(void **state)
{
    static const struct {
        const char *provider, *name, *found;
    } rows[] = {
        {"openai", "gpt-4o", "gpt-4o"},
        {"azure", "gpt-4o", "azure/gpt-4o"},
        {"", "azure/gpt-4o", "azure/gpt-4o"},
        {"", "openai/gpt-4o", "gpt-4o"},
        {"anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"},
        {"vertex_ai", "claude-sonnet-4-5@20250929", "vertex_ai/claude-sonnet-4-5"},
        {"bedrock", "jp.anthropic.claude-opus-4-7", "anthropic.claude-opus-4-7"},
        {"bedrock", "eu.anthropic.claude-opus-4-7", "eu.anthropic.claude-opus-4-7"},
        {"azure", "global/gpt-4o-2031-01-01", "azure/gpt-4o"},
        {"openai", "ft:gpt-4o-2024-11-20:org::id", "ft:gpt-4o-2024-11-20"},
        {"groq", "openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"},
        {"amazon_nova", "nova-lite-v1", "amazon-nova/nova-lite-v1"},
        {"qwencloud", "qwen3-max", "dashscope/qwen3-max"},
        {"hosted_vllm", "my-own", NULL},
        {"", "", NULL},
        {"openai", "-2024-01-01", NULL},
        {"openai", "@001", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct priced_model m;
        bool found = price_map_find(NULL, str_of(rows[i].provider), str_of(rows[i].name), &m);
        if (found != (rows[i].found != NULL))
            fail_msg("%s: %s", rows[i].name, found ? m.name.p : "nothing");
        if (found)
            assert_str(m.name, rows[i].found);
    }
}

static void test_reads_a_price_map(void **state)
{
    static const char json[] =
        "{\"sample_spec\":{\"input_cost_per_token\":\"a number\"},"
        "\"zz/model\":{\"litellm_provider\":\"vertex_ai-language-models\",\"mode\":\"chat\","
        "\"input_cost_per_token\":1.25e-06,\"output_cost_per_token\":\"0.00001\","
        "\"input_cost_per_token_above_200k_tokens\":2.5e-06,\"max_tokens\":65536,"
        "\"supports_vision\":true,\"supports_reasoning\":false,\"supports_tool_choice\":true,"
        "\"source\":\"https://x\",\"supported_modalities\":[\"text\"],\"metadata\":{\"a\":[1]},"
        "\"search_context_cost_per_query\":{\"search_context_size_low\":0.01,"
        "\"search_context_size_medium\":0.02},\"cache_read_input_token_cost\":null},"
        "\"gpt-4o\":{\"litellm_provider\":\"openai\",\"input_cost_per_token\":7e-06},"
        "\"dashscope/t\":{\"litellm_provider\":\"dashscope\",\"tiered_pricing\":["
        "{\"range\":[0,32000.0],\"input_cost_per_token\":1e-06,\"output_cost_per_token\":2e-06},"
        "{\"range\":[32000.0,128000],\"input_cost_per_token\":3e-06}]}}";
    AUTO_FREE(price_map) struct price_map *map = NULL;
    struct priced_model m;
    struct err e = {0};

    (void)state;
    if (price_map_parse(&map, STR(json), &e))
        fail_msg("%s", e.msg);
    assert_int_equal(price_map_count(map), 3);
    price_map_row(map, 0, &m);
    assert_str(m.name, "dashscope/t");
    assert_int_equal(m.price.item[PRICE_OUTPUT], 2000000);
    assert_int_equal(m.price.band[0].above_tokens, 32000);
    assert_int_equal(m.price.band[0].input, 3000000);
    assert_int_equal(m.price.band[0].output, PRICE_UNKNOWN);
    assert_true(price_map_get(map, STR("zz/model"), &m));
    assert_str(m.provider, "vertex_ai");
    assert_int_equal(m.mode, PRICE_MODE_CHAT);
    assert_int_equal(m.price.item[PRICE_OUTPUT], 10000000);
    assert_int_equal(m.price.item[PRICE_WEB_SEARCH], 20000000000);
    assert_false(price_known(&m.price, PRICE_CACHE_READ));
    assert_int_equal(m.price.band[0].input, 2500000);
    assert_int_equal(m.price.max_output_tokens, 65536);
    assert_int_equal(m.features, BIT(PRICE_FEATURE_VISION) | BIT(PRICE_FEATURE_TOOL_CHOICE));
    assert_true(price_map_find(map, STR("openai"), STR("gpt-4o-2024-08-06"), &m));
    assert_int_equal(m.price.item[PRICE_INPUT], 7000000); /* the map wins over the table */
    assert_true(price_map_find(map, STR("openai"), STR("gpt-5.4"), &m));
}

static void test_a_bad_price_map_is_refused(void **state)
{
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"", "not JSON"},
        {"[]", "not one JSON object"},
        {"{\"a\":{\"input_cost_per_token\":-1}}", "model a: input_cost_per_token"},
        {"{\"a\":{\"input_cost_per_token\":\"much\"}}", "model a: input_cost_per_token"},
        {"{\"a\":{},\"a\":{}}", "twice"},
        {"{\"a\":{\"tiered_pricing\":[{\"range\":[1e30,2]}]}}", "model a: tiered_pricing"},
        {"{\"a\":{\"input_cost_per_token\":1", "not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE(price_map) struct price_map *map = NULL;
        struct err e = {0};

        if (price_map_parse(&map, str_of(rows[i].json), &e) != ERRC_INVALID ||
            !strstr(e.msg, rows[i].says))
            fail_msg("row %zu: %s", i, e.msg);
    }
}

static void test_files_that_are_none_are_refused(void **state)
{
    AUTO_FREE(price_map) struct price_map *map = NULL;
    char path[] = "/tmp/test_price.XXXXXX";
    struct err e;

    (void)state;
    assert_int_equal(price_map_load(&map, "/nonexistent/map.json", &e), ERRC_SYS);
    assert_int_equal(price_map_load(&map, "/tmp", &e), ERRC_INVALID);
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (16 << 20) + 1), 0);
    assert_int_equal(price_map_load(&map, path, &e), ERRC_LIMIT);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(write(fd, "{\"a\":{}}", 8), 8);
    close(fd);
    assert_int_equal(price_map_load(&map, path, &e), ERRC_OK);
    assert_int_equal(price_map_count(map), 1);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_set_by_their_names),
        cmocka_unit_test(test_bad_numbers_leave_the_price_alone),
        cmocka_unit_test(test_bands_stand_in_order),
        cmocka_unit_test(test_table_is_sorted_and_sane),
        cmocka_unit_test(test_table_says_what_was_published),
        cmocka_unit_test(test_names_of_one_model),
        cmocka_unit_test(test_reads_a_price_map),
        cmocka_unit_test(test_a_bad_price_map_is_refused),
        cmocka_unit_test(test_files_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
