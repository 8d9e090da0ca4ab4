/* Prompts and replies as they are stored: what is cut, masked, redacted. */

#include "link/transcript_text.h"
#include "tests/unit/test.h"

#define MARK "litellm_truncated"

static void check(const char *request, const char *reply, bool redacts, const char *expected)
{
    const struct transcript_part q = {str_of(request), strlen(request)},
                                 a = {str_of(reply), strlen(reply)};
    const struct transcript_rules rules = {.string_max = 20, .redacts = redacts};
    struct arena arena;

    arena_init(&arena, NULL, 1 << 20);
    assert_str(transcript_text(&q, &a, &rules, &arena), expected);
    arena_reset(&arena);
}

struct row {
    const char *request, *stored;
};

/* Of a body that stands for request and reply alike. */
static void check_rows(const struct row *rows, size_t n)
{
    char expected[2048];

    for (size_t i = 0; i < n; i++) {
        (void)snprintf(expected, sizeof expected, "{\"proxy_server_request\":%s,\"response\":%s}",
                       rows[i].stored, rows[i].stored);
        check(rows[i].request, rows[i].request, false, expected);
    }
}

static void test_bodies_stay_what_they_are(void **state)
{
    static const struct row rows[] = {
        {"{}", "{}"},
        {"{\"a\":[1,-2.50,1e5,12345678901234567890123,true,false,null,\"\\u00e9\\n\"]}",
         "{\"a\":[1,-2.50,1e5,12345678901234567890123,true,false,null,\"\xc3\xa9\\n\"]}"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":5}",
         "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":5}"},
        /* what no jsonb takes, or what of few bytes makes many digits */
        {"{\"a\\u0000b\":\"c\\u0000\"}", "{\"ab\":\"c\"}"},
        {"{\"a\":[1E+308,2e-999,1e1000,1E131071,-1e-16383]}",
         "{\"a\":[1E+308,2e-999,\"1e1000\",\"1E131071\",\"-1e-16383\"]}"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_of_long_texts_the_middle_is_left_out(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":\"12345678901234567890\"}", "{\"a\":\"12345678901234567890\"}"},
        {"{\"a\":\"123456789012345678901\"}",
         "{\"a\":\"1234567... (" MARK " skipped 1 chars) ...9012345678901\"}"},
        {"{\"a\":[\"aaaaaaabbbbbbbbbbbbbccccccccccccc\"]}",
         "{\"a\":[\"aaaaaaa... (" MARK " skipped 13 chars) ...ccccccccccccc\"]}"},
        /* characters, not bytes */
        {"{\"a\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
         "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}",
         "{\"a\":\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"
         "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\"}"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_credentials_are_masked_but_not_in_what_tools_say(void **state)
{
    static const struct row rows[] = {
        {"{\"api_key\":\"sk-1\",\"X-Api-Key\":\"a\",\"apikey\":\"b\",\"authorization\":\"c\"}",
         "{\"api_key\":\"REDACTED_BY_LITELM\",\"X-Api-Key\":\"REDACTED_BY_LITELM\","
         "\"apikey\":\"REDACTED_BY_LITELM\",\"authorization\":\"REDACTED_BY_LITELM\"}"},
        {"{\"tools\":[{\"headers\":{\"access_token\":\"x\"}}]}",
         "{\"tools\":[{\"headers\":{\"access_token\":\"REDACTED_BY_LITELM\"}}]}"},
        {"{\"max_tokens\":\"a\",\"monkey\":\"b\",\"token_cost\":\"c\",\"keyboards_of_the_world\":"
         "\"d\"}",
         "{\"max_tokens\":\"a\",\"monkey\":\"b\",\"token_cost\":\"c\",\"keyboards_of_the_world\":"
         "\"d\"}"},
        {"{\"secret_fields\":{\"a\":1},\"b\":2}", "{\"b\":2}"},
        {"{\"logprobs\":{\"content\":[{\"token\":\"Hi\"}]}}",
         "{\"logprobs\":{\"content\":[{\"token\":\"Hi\"}]}}"},
        {"{\"type\":\"tool_use\",\"input\":{\"key\":\"k\"}}",
         "{\"type\":\"tool_use\",\"input\":{\"key\":\"k\"}}"},
        {"{\"role\":\"tool\",\"content\":[{\"key\":\"k\"}]}",
         "{\"role\":\"tool\",\"content\":[{\"key\":\"k\"}]}"},
        {"{\"role\":\"user\",\"content\":[{\"key\":\"k\"}]}",
         "{\"role\":\"user\",\"content\":[{\"key\":\"REDACTED_BY_LITELM\"}]}"},
    };

    (void)state;
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_redacted(void **state)
{
    static const char hidden[] =
        "\"messages\":[{\"role\":\"user\",\"content\":\"redacted-by-litellm\"}"
        "],\"prompt\":\"\",\"input\":\"\"}";
    static const struct {
        const char *request, *kept, *reply, *stored;
    } rows[] = {
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"SECRET\"}],\"temperature\":1}",
         "\"model\":\"m\",\"temperature\":1,",
         "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
         "\"SECRET\",\"reasoning_content\":\"SECRET\",\"refusal\":null,\"tool_calls\":[{\"id\":"
         "\"t\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"SECRET\"}}]},\"logprobs\":{\"a\":\"SECRET\"}"
         "}],"
         "\"usage\":{\"prompt_tokens\":1}}",
         "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
         "\"redacted-by-litellm\",\"reasoning_content\":\"redacted-by-litellm\",\"refusal\":null,"
         "\"tool_calls\":[{\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":"
         "\"redacted-by-litellm\"}}]},\"logprobs\":null}],\"usage\":{\"prompt_tokens\":1}}"},
        {"{\"input\":\"SECRET\",\"instructions\":\"SECRET\"}",
         "\"instructions\":\"redacted-by-litellm\",",
         "{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":"
         "\"SECRET\"}]},{\"type\":\"reasoning\",\"summary\":[{\"text\":\"SECRET\"}]}],"
         "\"reasoning\":"
         "{\"effort\":\"low\"},\"instructions\":[{\"content\":\"SECRET\"}]}",
         "{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":"
         "\"redacted-by-litellm\"}]},{\"type\":\"reasoning\",\"summary\":[{\"text\":"
         "\"redacted-by-litellm\"}]}],\"reasoning\":null,\"instructions\":null}"},
        {"{\"prediction\":{\"content\":\"SECRET\"},\"suffix\":\"SECRET\"}", "",
         "{\"output\":[{\"type\":\"file_search_call\",\"queries\":[\"SECRET\"]},{\"revised_"
         "prompt\":"
         "\"SECRET\"},{\"outputs\":[{\"type\":\"logs\",\"logs\":\"SECRET\"}]},{\"summary\":"
         "\"SECRET\"}]}",
         "{\"output\":[{\"type\":\"file_search_call\",\"queries\":null},{\"revised_prompt\":"
         "\"redacted-by-litellm\"},{\"outputs\":[{\"type\":\"logs\",\"logs\":\"redacted-by-"
         "litellm\"}]},"
         "{\"summary\":\"redacted-by-litellm\"}]}"},
        {"{\"system\":\"SECRET\",\"prompt\":\"SECRET\"}", "\"system\":\"redacted-by-litellm\",",
         "{\"content\":[{\"type\":\"text\",\"text\":\"SECRET\"}]}",
         "{\"text\":\"redacted-by-litellm\"}"},
    };
    char expected[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(expected, sizeof expected,
                       "{\"proxy_server_request\":{%s%s,\"response\":%s}", rows[i].kept, hidden,
                       rows[i].stored);
        check(rows[i].request, rows[i].reply, true, expected);
    }
}

static void test_what_is_too_large_or_deep_or_no_object(void **state)
{
    const struct transcript_part large = {.bytes = 5000000}, none = {.bytes = 0};
    const struct transcript_rules rules = {.string_max = 20};
    char deep[512];
    struct arena a;
    size_t n = 0;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_str(transcript_text(&large, &none, &rules, &a),
               "{\"proxy_server_request\":{\"" MARK
               "\":\"skipped 5000000 bytes\"},\"response\":{}}");
    arena_reset(&a);
    check("[1,2]", "no json", false,
          "{\"proxy_server_request\":{\"" MARK "\":\"skipped 5 bytes\"},\"response\":{\"" MARK
          "\":\"skipped 7 bytes\"}}");
    n += (size_t)snprintf(deep, sizeof deep, "{\"a\":");
    memset(deep + n, '[', 100);
    memset(deep + n + 100, ']', 100);
    (void)snprintf(deep + n + 200, sizeof deep - n - 200, "}");
    const struct transcript_part bottomless = {str_of(deep), strlen(deep)};
    struct str text = transcript_text(&bottomless, &none, &rules, &a);
    assert_true(str_find(text, STR("[\"" MARK "\"]")) != SIZE_MAX);
    arena_reset(&a);
    arena_init(&a, NULL, 64); /* no room */
    assert_int_equal(transcript_text(&bottomless, &bottomless, &rules, &a).n, 0);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_stay_what_they_are),
        cmocka_unit_test(test_of_long_texts_the_middle_is_left_out),
        cmocka_unit_test(test_credentials_are_masked_but_not_in_what_tools_say),
        cmocka_unit_test(test_redacted),
        cmocka_unit_test(test_what_is_too_large_or_deep_or_no_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
