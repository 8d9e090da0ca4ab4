/* A whole completion as events. */

#include "dialect/chat_stream.h"
#include "tests/unit/test.h"

#define EVENT(choice)                                                                              \
    "data: "                                                                                       \
    "{\"id\":\"c\",\"model\":\"m\",\"object\":\"chat.completion.chunk\",\"choices\":[" choice      \
    "]}\n\n"
#define REPLY(rest) "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"m\"," rest "}"

static void test_completions_become_events(void **state)
{
    static const struct {
        const char *reply;
        bool include_usage;
        const char *want;
    } rows[] = {
        {REPLY("\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
               "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1}"),
         false,
         EVENT(
             "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
             "null}")
             EVENT("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}") "data: [DONE]\n\n"},
        {REPLY("\"choices\":[],\"usage\":{\"prompt_tokens\":1}"), true,
         "data: {\"id\":\"c\",\"model\":\"m\",\"object\":\"chat.completion.chunk\",\"choices\":[],"
         "\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n"},
        /* two choices without an index; numbers as written */
        {REPLY("\"choices\":[{\"message\":{\"content\":null,\"x\":12345678901234567890123}},"
               "{\"message\":{\"n\":1.0},\"finish_reason\":\"length\"}]"),
         true,
         EVENT("{\"index\":0,\"delta\":{\"content\":null,\"x\":12345678901234567890123},\"finish_"
               "reason\":null}") EVENT("{\"index\":0,\"delta\":{},\"finish_reason\":null}")
             EVENT("{\"index\":1,\"delta\":{\"n\":1.0},\"finish_reason\":null}") EVENT(
                 "{\"index\":1,\"delta\":{},\"finish_reason\":\"length\"}") "data: [DONE]\n\n"},
        /* tool calls get their index */
        {REPLY("\"choices\":[{\"index\":0,\"message\":{\"tool_calls\":[{\"id\":\"a\"},{\"index\":7,"
               "\"id\":\"b\"}]},\"finish_reason\":\"tool_calls\"}]"),
         false,
         EVENT("{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\"},{\"index\":1,"
               "\"id\":\"b\"}]},\"finish_reason\":null}")
             EVENT(
                 "{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}") "data: [DONE]\n\n"},
        {"{\"error\":{}}", false, ""},
        {"{\"choices\":{}}", false, ""},
        {"[]", false, ""},
        {"{\"choices\":[", false, ""},
        {"", false, ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        arena_init(&a, NULL, 1 << 20);
        assert_str(chat_stream_of(&a, str_of(rows[i].reply), rows[i].include_usage), rows[i].want);
        arena_reset(&a);
    }
}

static void test_nothing_comes_of_too_little_memory(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 64);
    assert_int_equal(chat_stream_of(&a, STR("{\"choices\":[{\"message\":{}}]}"), true).n, 0);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completions_become_events),
        cmocka_unit_test(test_nothing_comes_of_too_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
