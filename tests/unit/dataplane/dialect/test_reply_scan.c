/* Usage as providers spell it, made disjoint: golden vectors; what else a reply says. */

#include "dialect/reply_scan.h"
#include "tests/unit/test.h"

static struct reply_scan scan;

/* Documents one per line, as events of one stream. */
static void read_documents(const char *text, size_t step)
{
    struct str rest = str_of(text), line;

    reply_scan_init(&scan);
    while (rest.n) {
        (void)str_cut(rest, '\n', &line, &rest);
        reply_scan_begin(&scan);
        for (size_t at = 0; at < line.n; at += step)
            (void)reply_scan_feed(&scan, line.p + at, MIN(step, line.n - at));
    }
}

static void test_usage_in_disjoint_buckets(void **state)
{
    static const struct {
        const char *what;
        enum dialect dialect;
        const char *in;
        struct usage want;
    } rows[] = {
        {"none", DIALECT_OPENAI, "{\"choices\":[]}", {0}},
        {"null", DIALECT_OPENAI, "{\"usage\":null}", {0}},
        {"OpenAI, plain",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}",
         {.input = 10, .output = 5, .seen = 1}},
        {"OpenAI, cached, audio, reasoning",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,\"total_tokens\":150,"
         "\"prompt_tokens_details\":{\"cached_tokens\":60,\"audio_tokens\":10,\"cache_write_"
         "tokens\":"
         "5},\"completion_tokens_details\":{\"reasoning_tokens\":20,\"audio_tokens\":7,"
         "\"accepted_prediction_tokens\":1,\"rejected_prediction_tokens\":2}}}",
         {.input = 25,
          .cache_read = 60,
          .cache_write = 5,
          .audio_in = 10,
          .output = 23,
          .reasoning = 20,
          .audio_out = 7,
          .seen = 1}},
        {"OpenAI, null details",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"prompt_tokens_details\":null,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":null}}}",
         {.input = 10, .output = 5, .seen = 1}},
        {"images",
         DIALECT_OPENAI,
         "{\"usage\":{\"input_tokens\":50,\"output_tokens\":400,\"input_tokens_details\":{\"image_"
         "tokens\":40},\"output_tokens_details\":{\"image_tokens\":390}}}",
         {.input = 10, .image_in = 40, .output = 10, .image_out = 390, .seen = 1}},
        {"embeddings",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
         {.input = 8, .seen = 1}},
        {"DeepSeek",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":9,\"total_tokens\":39,\"prompt_"
         "cache_hit_tokens\":20,\"prompt_cache_miss_tokens\":10}}",
         {.input = 10, .cache_read = 20, .output = 9, .seen = 1}},
        {"DeepSeek, said twice",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":9,\"prompt_cache_hit_tokens\":20,"
         "\"prompt_tokens_details\":{\"cached_tokens\":20}}}",
         {.input = 10, .cache_read = 20, .output = 9, .seen = 1}},
        {"Moonshot",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":21,\"total_tokens\":40,\"cached_"
         "tokens\":10}}",
         {.input = 9, .cache_read = 10, .output = 21, .seen = 1}},
        {"Responses",
         DIALECT_OPENAI,
         "{\"type\":\"response.created\",\"response\":{\"usage\":null}}\n"
         "{\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":40,\"input_"
         "tokens_details\":{\"cached_tokens\":15},\"output_tokens\":30,\"output_tokens_details\":{"
         "\"reasoning_tokens\":12},\"total_tokens\":70}}}",
         {.input = 25, .cache_read = 15, .output = 18, .reasoning = 12, .seen = 1}},
        {"xAI, reasoning only in the total",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":115,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":100}}}",
         {.input = 10, .output = 5, .reasoning = 100, .seen = 1}},
        {"reasoning inside, total agrees",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":105,\"total_tokens\":115,"
         "\"completion_tokens_details\":{\"reasoning_tokens\":100}}}",
         {.input = 10, .output = 5, .reasoning = 100, .seen = 1}},
        {"on every chunk, the last wins",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":1}}\n"
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":2}}\n"
         "{\"usage\":null}\n{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3}}",
         {.input = 10, .output = 3, .seen = 1}},
        {"absurd, negative, fractional, of another type: not believed",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":4294967296,\"completion_tokens\":-3,\"total_tokens\":"
         "99999999999999999999999999}}\n"
         "{\"usage\":{\"prompt_tokens\":1e9,\"completion_tokens\":1.5,\"total_tokens\":\"7\"}}\n"
         "{\"usage\":{\"prompt_tokens\":[1],\"completion_tokens\":{},\"total_tokens\":true}}",
         {0}},
        {"the largest",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":4294967295,\"completion_tokens\":4294967295}}",
         {.input = UINT32_MAX, .output = UINT32_MAX, .seen = 1}},
        {"parts beyond their whole",
         DIALECT_OPENAI,
         "{\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":10,\"prompt_tokens_details\":{"
         "\"cached_tokens\":8,\"audio_tokens\":8},\"completion_tokens_details\":{\"reasoning_"
         "tokens\":8,\"audio_tokens\":8}}}",
         {.cache_read = 8, .audio_in = 2, .reasoning = 8, .audio_out = 2, .seen = 1}},
        {"usage elsewhere",
         DIALECT_OPENAI,
         "{\"choices\":[{\"usage\":{\"prompt_tokens\":3}}],\"x\":{\"usage\":{\"prompt_tokens\":3}},"
         "\"prompt_tokens\":3}",
         {0}},
        {"Anthropic, whole",
         DIALECT_ANTHROPIC,
         "{\"type\":\"message\",\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":100,"
         "\"cache_read_input_tokens\":1000,\"cache_creation\":{\"ephemeral_5m_input_tokens\":70,"
         "\"ephemeral_1h_input_tokens\":30},\"output_tokens\":5,\"server_tool_use\":{\"web_search_"
         "requests\":2,\"web_fetch_requests\":9},\"service_tier\":\"priority\"}}",
         {.input = 10,
          .cache_read = 1000,
          .cache_write = 70,
          .cache_write_1h = 30,
          .output = 5,
          .web_searches = 2,
          .tier = TIER_PRIORITY,
          .seen = 1}},
        {"Anthropic, the sum alone",
         DIALECT_ANTHROPIC,
         "{\"usage\":{\"input_tokens\":10,\"cache_creation_input_tokens\":100,\"cache_creation\":"
         "null,\"cache_read_input_tokens\":null,\"output_tokens\":5}}",
         {.input = 10, .cache_write = 100, .output = 5, .seen = 1}},
        {"Anthropic, the split alone",
         DIALECT_ANTHROPIC,
         "{\"usage\":{\"input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":70,"
         "\"ephemeral_1h_input_tokens\":30},\"output_tokens\":5}}",
         {.input = 10, .cache_write = 70, .cache_write_1h = 30, .output = 5, .seen = 1}},
        {"Anthropic, an hour beyond the sum",
         DIALECT_ANTHROPIC,
         "{\"usage\":{\"input_tokens\":1,\"cache_creation_input_tokens\":20,\"cache_creation\":{"
         "\"ephemeral_1h_input_tokens\":30},\"output_tokens\":5}}",
         {.input = 1, .cache_write_1h = 20, .output = 5, .seen = 1}},
        {"Anthropic, thinking",
         DIALECT_ANTHROPIC,
         "{\"usage\":{\"input_tokens\":1,\"output_tokens\":9,\"output_tokens_details\":{\"thinking_"
         "tokens\":4}}}",
         {.input = 1, .output = 5, .reasoning = 4, .seen = 1}},
        {"Anthropic, streamed: cumulative, null is unchanged",
         DIALECT_ANTHROPIC,
         "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_creation_"
         "input_tokens\":0,\"cache_read_input_tokens\":7,\"output_tokens\":1,\"service_tier\":"
         "\"batch\"}}}\n{\"type\":\"ping\"}\n"
         "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"input_"
         "tokens\":null,\"cache_read_input_tokens\":null,\"output_tokens\":20,\"service_tier\":"
         "null}}\n{\"type\":\"message_stop\"}",
         {.input = 10, .cache_read = 7, .output = 20, .tier = TIER_BATCH, .seen = 1}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 5000; step = step * 5 + 2) {
            struct usage u;
            memset(&u, 0, sizeof u);
            read_documents(rows[i].in, step);
            reply_usage(&scan, rows[i].dialect, &u);
            if (memcmp(&u, &rows[i].want, offsetof(struct usage, reserved)))
                fail_msg("%s: input %u read %u write %u/%u audio %u image %u output %u reasoning "
                         "%u audio %u image %u searches %u tier %u seen %u",
                         rows[i].what, (unsigned)u.input, (unsigned)u.cache_read,
                         (unsigned)u.cache_write, (unsigned)u.cache_write_1h, (unsigned)u.audio_in,
                         (unsigned)u.image_in, (unsigned)u.output, (unsigned)u.reasoning,
                         (unsigned)u.audio_out, (unsigned)u.image_out, u.web_searches, u.tier,
                         u.seen);
        }
}

static void test_what_else_a_reply_says(void **state)
{
    static const struct {
        const char *in;
        uint64_t text, next_sequence;
        enum usage_tier tier;
        bool terminal, failed;
        const char *id;
    } rows[] = {
        {"{}", 0, 0, TIER_DEFAULT, 0, 0, ""},
        {"[]", 0, 0, TIER_DEFAULT, 0, 0, ""},
        {"{\"id\":\"a\"}\n{\"id\":\"b\"}", 0, 0, TIER_DEFAULT, 0, 0, "a"},
        {"{\"id\":\"\"}\n{\"id\":7}\n{\"id\":\"b\"}", 0, 0, TIER_DEFAULT, 0, 0, "b"},
        {"{\"service_tier\":\"flex\"}\n{\"service_tier\":null}", 0, 0, TIER_FLEX, 0, 0, ""},
        {"{\"service_tier\":\"flex\"}\n{\"service_tier\":\"default\"}", 0, 0, TIER_DEFAULT, 0, 0,
         ""},
        {"{\"sequence_number\":0}\n{\"sequence_number\":4}", 0, 5, TIER_DEFAULT, 0, 0, ""},
        {"{\"sequence_number\":3}\n{\"sequence_number\":-1}", 0, 4, TIER_DEFAULT, 0, 0, ""},
        {"{\"choices\":[{\"message\":{\"content\":\"ab\",\"reasoning_content\":\"c\",\"reasoning\":"
         "\"d\",\"refusal\":\"e\",\"tool_calls\":[{\"function\":{\"name\":\"xx\",\"arguments\":"
         "\"fg\"}}]},\"finish_reason\":\"stop\"}]}",
         7, 0, TIER_DEFAULT, 1, 0, ""},
        {"{\"choices\":[{\"delta\":{\"content\":null}}]}", 0, 0, TIER_DEFAULT, 0, 0, ""},
        {"{\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"abc\"}}\n"
         "{\"delta\":{\"partial_json\":\"de\"}}\n{\"delta\":{\"thinking\":\"f\"}}",
         6, 0, TIER_DEFAULT, 0, 0, ""},
        {"{\"content\":[{\"type\":\"text\",\"text\":\"abc\"},{\"thinking\":\"de\"}]}", 5, 0,
         TIER_DEFAULT, 0, 0, ""},
        {"{\"type\":\"response.output_text.delta\",\"delta\":\"abc\"}", 3, 0, TIER_DEFAULT, 0, 0,
         ""},
        {"{\"delta\":{\"stop_reason\":\"end_turn\"}}", 0, 0, TIER_DEFAULT, 1, 0, ""},
        {"{\"type\":\"message_stop\"}", 0, 0, TIER_DEFAULT, 1, 0, ""},
        {"{\"type\":\"response.incomplete\"}", 0, 0, TIER_DEFAULT, 1, 0, ""},
        {"{\"type\":\"error\"}", 0, 0, TIER_DEFAULT, 1, 1, ""},
        {"{\"error\":{}}", 0, 0, TIER_DEFAULT, 0, 1, ""},
        {"{\"error\":[]}\n{}", 0, 0, TIER_DEFAULT, 0, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 5000; step = step * 5 + 2) {
            read_documents(rows[i].in, step);
            assert_int_equal(scan.text_bytes, rows[i].text);
            assert_int_equal(scan.next_sequence, rows[i].next_sequence);
            assert_int_equal(scan.tier, rows[i].tier);
            assert_int_equal(scan.terminal, rows[i].terminal);
            assert_int_equal(scan.failed, rows[i].failed);
            assert_str(((struct str){scan.response_id, scan.response_id_n}), rows[i].id);
        }
}

static void test_ids_of_any_length(void **state)
{
    char text[REPLY_ID_MAX + 16];

    (void)state;
    for (unsigned n = REPLY_ID_MAX - 1; n < REPLY_ID_MAX + 2; n++) {
        (void)snprintf(text, sizeof text, "{\"id\":\"%0*d\"}", (int)n, 0);
        read_documents(text, 7);
        assert_int_equal(scan.response_id_n, n <= REPLY_ID_MAX ? n : 0);
        assert_int_equal(scan.id.end - scan.id.at, n + 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_in_disjoint_buckets),
        cmocka_unit_test(test_what_else_a_reply_says),
        cmocka_unit_test(test_ids_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
