/* The top level of a request: what is read, what is refused, where members lie. */

#include "dialect/request_scan.h"
#include "tests/unit/test.h"

static struct request_scan scan;
static struct arena arena;

static enum request_scan_result scan_in_steps(struct str body, size_t step)
{
    enum request_scan_result r = REQUEST_SCAN_MORE;

    arena_reset(&arena);
    arena_init(&arena, NULL, 1 << 20);
    request_scan_init(&scan, &arena);
    for (size_t at = 0; at < body.n; at += step)
        r = request_scan_feed(&scan, body.p + at, MIN(step, body.n - at));
    return r;
}

static enum request_scan_result scan_body(const char *body)
{
    return scan_in_steps(str_of(body), SIZE_MAX / 2);
}

static void test_reads_what_the_gateway_decides_by(void **state)
{
    static const struct {
        const char *body;
        const char *model, *user;
        bool stream, include_usage, has_include_usage;
    } rows[] = {
        {"{}", "", "", 0, 0, 0},
        {"{\"model\":\"gpt-4o\"}", "gpt-4o", "", 0, 0, 0},
        {"{\"\\u006dodel\":\"gpt\"}", "gpt", "", 0, 0, 0},
        {"{\"model\":\"\\u0067pt\\/4o\"}", "gpt/4o", "", 0, 0, 0},
        {"{\"model\":\"\\ud83d\\ude00\"}", "\xf0\x9f\x98\x80", "", 0, 0, 0},
        {"{\"model\":\"\\x\"}", "", "", 0, 0, 0},
        {"{\"model\":17}", "", "", 0, 0, 0},
        {"{\"model\":null}", "", "", 0, 0, 0},
        {"{\"x\":{\"model\":\"other\",\"stream\":true}}", "", "", 0, 0, 0},
        {"{\"model\":\"m\",\"stream\":true}", "m", "", 1, 0, 0},
        {"{\"stream\":false}", "", "", 0, 0, 0},
        {"{\"stream\":null}", "", "", 0, 0, 0},
        {"{\"stream_options\":{\"include_usage\":true}}", "", "", 0, 1, 1},
        {"{\"stream_options\":{\"include\\u005fusage\":true}}", "", "", 0, 1, 1},
        {"{\"stream_options\":{\"include_usage\":false}}", "", "", 0, 0, 1},
        {"{\"stream_options\":{\"x\":{\"include_usage\":true}}}", "", "", 0, 0, 0},
        {"{\"stream_options\":null}", "", "", 0, 0, 0},
        {"{\"user\":\"ann\"}", "", "ann", 0, 0, 0},
        {"{\"user\":3}", "", "", 0, 0, 0},
        {"{\"metadata\":{\"user_id\":\"bob\"}}", "", "bob", 0, 0, 0},
        {"{\"metadata\":{\"x\":{\"user_id\":\"bob\"}}}", "", "", 0, 0, 0},
        {"{\"safety_identifier\":\"eve\"}", "", "eve", 0, 0, 0},
        {"{\"metadata\":{\"user_id\":\"bob\"},\"safety_identifier\":\"eve\",\"user\":\"ann\"}", "",
         "ann", 0, 0, 0},
        {"{\"user\":\"ann\",\"safety_identifier\":\"eve\",\"metadata\":{\"user_id\":\"bob\"}}", "",
         "ann", 0, 0, 0},
        {"{\"metadata\":{\"user_id\":\"bob\"},\"safety_identifier\":\"eve\"}", "", "bob", 0, 0, 0},
        {"{\"litellm_metadata\":{\"user\":\"joe\"},\"metadata\":{\"user_id\":\"bob\"}}", "", "joe",
         0, 0, 0},
        {"{\"user\":\"\",\"metadata\":{\"user_id\":\"bob\"}}", "", "bob", 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 6; step += 4) {
            struct str body = str_of(rows[i].body);
            assert_int_equal(scan_in_steps(body, step == 5 ? body.n : step), REQUEST_SCAN_DONE);
            assert_str(scan.model, rows[i].model);
            assert_str(scan.user, rows[i].user);
            assert_int_equal(scan.stream, rows[i].stream);
            assert_int_equal(scan.include_usage, rows[i].include_usage);
            assert_int_equal(scan.has_include_usage, rows[i].has_include_usage);
            assert_false(scan.bad_value);
            assert_false(scan.too_many);
            assert_false(request_scan_repeats(&scan, body.p));
        }
}

static void test_the_session_is_named_in_several_places(void **state)
{
    static const struct {
        const char *body, *session;
    } rows[] = {
        {"{\"litellm_session_id\":\"s\"}", "s"},
        {"{\"litellm_trace_id\":\"t\"}", "t"},
        {"{\"litellm_trace_id\":\"t\",\"litellm_session_id\":\"s\"}", "s"},
        {"{\"litellm_session_id\":\"s\",\"litellm_trace_id\":\"t\"}", "s"},
        {"{\"metadata\":{\"trace_id\":\"t\"}}", "t"},
        {"{\"metadata\":{\"session_id\":\"s\",\"trace_id\":\"t\"}}", "s"},
        {"{\"litellm_metadata\":{\"session_id\":\"a\\u0062\"},\"metadata\":{\"trace_id\":\"t\"}}",
         "ab"},
        {"{\"metadata\":{\"session_id\":\"m\"},\"litellm_trace_id\":\"t\"}", "t"},
        {"{\"metadata\":{\"session_id\":7,\"x\":{\"session_id\":\"m\"}},\"session_id\":\"y\"}", ""},
        {"{\"litellm_session_id\":\"\",\"metadata\":{\"session_id\":\"m\"}}", "m"},
        {"{}", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 1; step < 100; step += 98) {
            assert_int_equal(scan_in_steps(str_of(rows[i].body), step), REQUEST_SCAN_DONE);
            assert_str(scan.session, rows[i].session);
        }
}

static void test_values_of_the_wrong_kind(void **state)
{
    static const char *const bad[] = {
        "{\"stream\":1}",
        "{\"stream\":\"true\"}",
        "{\"stream\":[]}",
        "{\"stream\":{\"a\":true}}",
        "{\"stream_options\":{\"include_usage\":1}}",
        "{\"stream_options\":{\"include_usage\":{}}}",
        "{\"model\":\"a\\nb\"}",
        "{\"model\":\"a\\u0000b\"}",
        "{\"model\":\"a\\u007fb\"}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(scan_body(bad[i]), REQUEST_SCAN_DONE);
        assert_true(scan.bad_value);
    }
}

static void test_only_an_object_is_a_request(void **state)
{
    static const char *const bad[] = {
        "[]",    "[{\"model\":\"m\"}]",    "\"model\"",         "null", "x",
        "{} {}", "{\"mod\\u006l\":\"m\"}", "{\"model\":\"m\",}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(scan_body(bad[i]), REQUEST_SCAN_BAD);
    assert_int_equal(scan_body("{\"model\":\"m\""), REQUEST_SCAN_MORE);
    assert_int_equal(scan_body(" {\"model\":\"m\"} \n"), REQUEST_SCAN_DONE);
}

static void test_members_are_found_by_field(void **state)
{
    static const char body[] = "{ \"x\":1, \"messages\" : [ {} ] , \"tools\":null}";

    (void)state;
    assert_int_equal(scan_body(body), REQUEST_SCAN_DONE);
    assert_int_equal(scan.n_members, 3);
    assert_null(request_member(&scan, FIELD_MODEL));
    const struct member *m = request_member(&scan, FIELD_MESSAGES);
    assert_non_null(m);
    assert_str(((struct str){body + m->key_at, m->key_end - m->key_at}), "\"messages\"");
    assert_str(((struct str){body + m->at, m->end - m->at}), "[ {} ]");
    assert_int_equal(m->type, JSON_ARRAY);
    assert_int_equal(m->prev_end, 7);
    assert_int_equal(request_member(&scan, FIELD_TOOLS)->type, JSON_NULL);
    assert_int_equal(scan.member[0].field, FIELD_NONE);
}

static void test_every_field_is_found_by_its_name(void **state)
{
    char body[100];

    (void)state;
    for (unsigned f = FIELD_NONE + 1; f < FIELD_INCLUDE_USAGE; f++) {
        (void)snprintf(body, sizeof body, "{\"" STR_FMT "\":null}",
                       STR_ARG(field_name((enum field)f)));
        assert_int_equal(scan_body(body), REQUEST_SCAN_DONE);
        assert_non_null(request_member(&scan, (enum field)f));
    }
    assert_int_equal(field_what(FIELD_METADATA, API_CHAT), FIELD_OWN);
    assert_int_equal(field_what(FIELD_METADATA, API_MESSAGES), FIELD_READ);
    assert_int_equal(field_what(FIELD_API_BASE, API_MESSAGES), FIELD_REFUSE);
    assert_int_equal(field_what(FIELD_NONE, API_CHAT), FIELD_READ);
}

static void test_repeated_members(void **state)
{
    static const struct {
        const char *body;
        bool repeated;
    } rows[] = {
        {"{\"model\":\"a\",\"model\":\"b\"}", true},
        {"{\"model\":\"a\",\"x\":1,\"model\":\"a\"}", true},
        {"{\"stream_options\":{},\"stream_options\":{}}", true},
        {"{\"x\":1,\"y\":2,\"x\":1}", true},
        {"{\"\":1,\"\":2}", true},
        {"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", true},
        {"{\"xy\":1,\"x\\u0079\":2}", true},
        {"{\"\\u0078y\":1,\"x\\u0079\":2}", true},
        {"{\"a name of more than eight bytes\":1,\"a name of more than eight bytes\":2}", true},
        {"{\"a name of more than eight bytes\":1,\"a name of more than eight byteS\":2}", false},
        {"{\"stream_options\":{\"include_usage\":true,\"include_usage\":false}}", true},
        {"{\"stream_options\":{\"include_usage\":true,\"include\\u005fusage\":false}}", true},
        {"{\"metadata\":{\"user_id\":\"a\",\"user_id\":\"b\"}}", true},
        {"{\"x\":1,\"y\":2,\"X\":1,\"xx\":3}", false},
        {"{\"x\":{\"a\":1,\"a\":2},\"messages\":[{\"role\":1,\"role\":2}]}", false},
        {"{\"metadata\":{\"a\":1,\"a\":2}}", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(scan_body(rows[i].body), REQUEST_SCAN_DONE);
        assert_int_equal(request_scan_repeats(&scan, rows[i].body), rows[i].repeated);
    }
}

static size_t put_members(char *out, unsigned n, bool last_again)
{
    size_t len = 0;

    out[len++] = '{';
    for (unsigned i = 0; i < n; i++)
        len += (size_t)snprintf(out + len, 32, "%s\"k%04u\":%u", i ? "," : "",
                                last_again && i + 1 == n ? 0 : i, i);
    out[len++] = '}';
    return len;
}

static void test_members_are_bounded(void **state)
{
    static char body[32 * 1024];

    (void)state;
    size_t n = put_members(body, MEMBERS_MAX, false);
    assert_int_equal(scan_in_steps((struct str){body, n}, n), REQUEST_SCAN_DONE);
    assert_int_equal(scan.n_members, MEMBERS_MAX);
    assert_false(scan.too_many);
    assert_false(request_scan_repeats(&scan, body));
    n = put_members(body, MEMBERS_MAX, true);
    assert_int_equal(scan_in_steps((struct str){body, n}, n), REQUEST_SCAN_DONE);
    assert_true(request_scan_repeats(&scan, body));
    n = put_members(body, MEMBERS_MAX + 1, false);
    assert_int_equal(scan_in_steps((struct str){body, n}, n), REQUEST_SCAN_DONE);
    assert_true(scan.too_many);
}

static void test_no_memory_is_too_many(void **state)
{
    struct arena none;

    (void)state;
    arena_init(&none, NULL, 0);
    request_scan_init(&scan, &none);
    assert_int_equal(request_scan_feed(&scan, "{\"model\":\"m\"}", 13), REQUEST_SCAN_DONE);
    assert_true(scan.too_many);
    assert_int_equal(scan.model.n, 0);
}

static void test_cache_control_is_seen_where_messages_or_tools_have_it(void **state)
{
    (void)state;
    assert_int_equal(scan_body("{\"tools\":[{\"cache_control\":{}}]}"), REQUEST_SCAN_DONE);
    assert_true(scan.json.word_seen);
    assert_int_equal(scan_body("{\"messages\":[{\"content\":\"say \\\"cache_control\\\"\"}]}"),
                     REQUEST_SCAN_DONE);
    assert_false(scan.json.word_seen);
}

static int arena_end(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_the_gateway_decides_by),
        cmocka_unit_test(test_the_session_is_named_in_several_places),
        cmocka_unit_test(test_values_of_the_wrong_kind),
        cmocka_unit_test(test_only_an_object_is_a_request),
        cmocka_unit_test(test_members_are_found_by_field),
        cmocka_unit_test(test_every_field_is_found_by_its_name),
        cmocka_unit_test(test_repeated_members),
        cmocka_unit_test(test_members_are_bounded),
        cmocka_unit_test(test_no_memory_is_too_many),
        cmocka_unit_test(test_cache_control_is_seen_where_messages_or_tools_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, arena_end);
}
