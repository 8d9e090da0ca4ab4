/* Errors in each API's words, and upstreams' errors in any shape. */

#include "dialect/envelope.h"
#include "tests/unit/test.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static void test_bodies(void **state)
{
    static const struct {
        enum api api;
        struct error_facts facts;
        const char *want;
    } rows[] = {
        {API_CHAT,
         {.status = 429, .message = STR_INIT("a \"b\"\n")},
         "{\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"type\":\"throttling_error\",\"param\":null,"
         "\"code\":\"429\"}}"},
        {API_COUNT,
         {.status = 404, .message = STR_INIT("m"), .param = STR_INIT("p"), .type = STR_INIT("t")},
         "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":\"p\",\"code\":\"404\"}}"},
        {API_EMBEDDINGS,
         {.status = 503,
          .message = STR_INIT("m"),
          .provider_type = STR_INIT("t"),
          .provider_code = STR_INIT("x")},
         "{\"error\":{\"message\":\"m\",\"type\":\"internal_server_error\",\"param\":null,\"code\":"
         "\"503\",\"provider_specific_fields\":{\"type\":\"t\",\"code\":\"x\"}}}"},
        {API_RESPONSES,
         {.status = 401, .message = STR_INIT("m")},
         "{\"error\":{\"message\":\"m\",\"type\":\"authentication_error\",\"param\":null,\"code\":"
         "\"401\"}}"},
        {API_MESSAGES,
         {.status = 529, .message = STR_INIT("m"), .request_id = STR_INIT("r")},
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"},"
         "\"request_"
         "id\":\"r\"}"},
        {API_MESSAGES,
         {.status = 400, .message = STR_INIT("m"), .details = STR_INIT("{\"error_code\":\"c\"}")},
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\","
         "\"details\":{\"error_code\":\"c\"}}}"},
        {API_CHAT,
         {.status = 400,
          .message = STR_INIT("m"),
          .type = STR_INIT("t"),
          .details = STR_INIT("{}")},
         "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"400\"}}"},
        {API_COUNT_TOKENS,
         {.status = 500, .message = STR_INIT("m"), .type = STR_INIT("ignored")},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"},
        {API_CHAT,
         {.status = 503, .message = STR_INIT("m"), .type = STR_INIT("t"), .code = STR_INIT("c")},
         "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"c\"}}"},
        {API_MESSAGES,
         {.status = 422, .message = STR_INIT("m")},
         "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}"},
        {API_MESSAGES,
         {.status = 415, .message = STR_INIT("m"), .type = STR_INIT("invalid_request_error")},
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\"}}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(envelope_body(&arena, rows[i].api, &rows[i].facts), rows[i].want);
}

static void test_events(void **state)
{
    static const struct error_facts f = {
        .status = 500, .message = STR_INIT("m"), .sequence = 7, .request_id = STR_INIT("r")};
    static const struct {
        enum api api;
        const char *want;
    } rows[] = {
        {API_CHAT,
         "data: {\"error\":{\"message\":\"m\",\"type\":\"internal_server_error\",\"param\":"
         "null,\"code\":\"500\"}}\n\n"},
        {API_MESSAGES, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
                       "\"message\":\"m\"},\"request_id\":\"r\"}\n\n"},
        {API_RESPONSES, "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\","
                        "\"message\":\"m\",\"param\":null,\"sequence_number\":7}\n\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(envelope_event(&arena, rows[i].api, &f), rows[i].want);
}

static void test_upstreams_errors_are_read(void **state)
{
    static const struct {
        const char *body, *message, *type, *param, *code;
    } rows[] = {
        {"{\"error\":{\"message\":\"no\",\"type\":\"t\",\"param\":\"p\",\"code\":\"c\"}}", "no",
         "t", "p", "c"},
        {"{\"error\":{\"message\":\"no\",\"type\":null,\"param\":null,\"code\":429}}", "no", "", "",
         ""},
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}",
         "busy", "overloaded_error", "", ""},
        {"{\"error\":\"plain\"}", "plain", "", "", ""},
        {"{\"message\":\"m\",\"type\":\"t\"}", "m", "t", "", ""},
        {"{\"detail\":\"d\"}", "d", "", "", ""},
        {"{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"missing\"}]}", "missing", "", "", ""},
        {"{\"errors\":[{\"message\":\"first\"},{\"message\":\"second\"}]}", "first", "", "", ""},
        {"[{\"error\":{\"code\":404,\"message\":\"no\",\"status\":\"NOT_FOUND\",\"type\":\"t\"}}]",
         "no", "t", "", ""},
        {"{\"error\":{\"message\":\"key sk-secret-1 and sk-secret-1sk-secret-1 are wrong\"}}",
         "key *********** and ********************** are wrong", "", "", ""},
        {"{\"error\":{}}", "The model service answered with status 418.", "", "", ""},
        {"{\"error\":{\"message\":\"\"}}", "The model service answered with status 418.", "", "",
         ""},
        {"[]", "The model service answered with status 418.", "", "", ""},
        {"<html>", "The model service answered with status 418.", "", "", ""},
        {"", "The model service answered with status 418.", "", "", ""},
        {"{\"error\":{\"message\":\"cut", "The model service answered with status 418.", "", "",
         ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error_facts f = {.status = 418};
        envelope_read(&arena, &f, str_of(rows[i].body), STR("sk-secret-1"));
        assert_str(f.message, rows[i].message);
        assert_str(f.type, "");
        assert_str(f.provider_type, rows[i].type);
        assert_str(f.param, rows[i].param);
        assert_str(f.provider_code, rows[i].code);
        assert_str(f.details, "");
        assert_int_equal(f.status, 418);
    }
}

static void test_details_are_kept(void **state)
{
    static char large[8192];
    static const struct {
        const char *details, *want;
    } rows[] = {
        {"{\"error_code\": \"c\", \"unsupported\": [\"x\"]}",
         "{\"error_code\":\"c\",\"unsupported\":[\"x\"]}"},
        {"{\"key\":\"sk-secret-1\"}", "{\"key\":\"***********\"}"},
        {"\"text\"", ""},
        {"[]", ""},
        {"null", ""},
        {large, ""},
    };

    (void)state;
    (void)snprintf(large, sizeof large, "{\"a\":\"%05000d\"}", 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error_facts f = {.status = 400};
        envelope_read(
            &arena, &f,
            arena_printf(&arena, "{\"error\":{\"message\":\"m\",\"details\":%s}}", rows[i].details),
            STR("sk-secret-1"));
        assert_str(f.details, rows[i].want);
        assert_str(f.message, "m");
    }
}

static void test_statuses(void **state)
{
    static const struct {
        const char *body;
        unsigned status;
    } inside[] = {
        {"{\"error\":{\"code\":429}}", 429},
        {"{\"error\":{\"code\":\"429\"}}", 429},
        {"{\"error\":{\"code\":200,\"type\":\"not_found_error\"}}", 404},
        {"{\"error\":{\"code\":4294967725}}", 500}, /* 429 in 32 bits */
        {"{\"error\":{\"code\":-429}}", 500},
        {"{\"error\":{\"code\":\"invalid\",\"type\":\"invalid_request_error\"}}", 400},
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", 529},
        {"[{\"error\":{\"code\":404}}]", 404},
        {"{\"error\":{\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}", 429},
        {"{\"type\":\"error\",\"code\":\"rate_limit_exceeded\",\"message\":\"m\"}", 429},
        {"{\"error\":{\"code\":503}}\n\ndata: [DONE]", 503},
        {"{\"error\":\"x\"}", 500},
        {"", 500},
    };
    static const struct {
        enum api api;
        unsigned upstream, status;
    } outside[] = {
        {API_CHAT, 529, 503}, {API_MESSAGES, 529, 529}, {API_COUNT_TOKENS, 529, 529},
        {API_CHAT, 424, 502}, {API_CHAT, 498, 401},     {API_CHAT, 499, 502},
        {API_CHAT, 301, 502}, {API_CHAT, 600, 502},     {API_CHAT, 0, 502},
        {API_CHAT, 400, 400}, {API_CHAT, 599, 599},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(inside); i++)
        assert_int_equal(envelope_error_status(str_of(inside[i].body)), inside[i].status);
    for (size_t i = 0; i < ARRAY_LEN(outside); i++) {
        struct error_facts f = {0};
        envelope_refusal(&f, outside[i].api, outside[i].upstream);
        assert_int_equal(f.status, outside[i].status);
        bool overloaded = outside[i].upstream == 529 && f.status == 503;
        assert_str(f.type, overloaded ? "service_unavailable_error" : "");
        assert_str(f.code, overloaded ? "server_is_overloaded" : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_events, setup, teardown),
        cmocka_unit_test_setup_teardown(test_upstreams_errors_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_details_are_kept, setup, teardown),
        cmocka_unit_test(test_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
