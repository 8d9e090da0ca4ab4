/* WEIR_JOIN: written, read, and refused without a word of what it holds. */

#include <sodium.h>

#include "common/gateway/join.h"

#include "test.h"

static void test_what_is_written_is_read(void **state)
{
    struct arena a;
    struct err e = {0};
    struct join j = {.ca = "CA\n", .cert = "CERT", .key = "KEY", .token = "wt-1"}, got;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(join_address(&j, STR("ipc:///run/weir/plane.sock"), &a, &e), ERRC_OK);
    assert_int_equal(join_address(&j, STR("tls+tcp://cp.example:4002"), &a, &e), ERRC_OK);
    assert_int_equal(join_read(&got, join_write(&j, &a), &a, &e), ERRC_OK);
    assert_int_equal(got.n_addresses, 2);
    assert_string_equal(got.addresses[0], "ipc:///run/weir/plane.sock");
    assert_string_equal(got.addresses[1], "tls+tcp://cp.example:4002");
    assert_string_equal(got.ca, "CA\n");
    assert_string_equal(got.cert, "CERT");
    assert_string_equal(got.key, "KEY");
    assert_string_equal(got.token, "wt-1");
    assert_true(join_wants_tls(&got));
    arena_reset(&a);
}

static struct str encoded(const char *json, struct arena *a)
{
    size_t n = strlen(json);
    size_t cap = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_alloc(a, cap);

    assert_non_null(text);
    sodium_bin2base64(text, cap, (const unsigned char *)json, n,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return (struct str){text, cap - 1};
}

static void test_what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *json, *told;
    } rows[] = {
        {"", "WEIR_JOIN: it is not what weirctl join new printed"},
        {"[]", "WEIR_JOIN: it is not what weirctl join new printed"},
        {"{}", "WEIR_JOIN: it names no address"},
        {"{\"addresses\":[]}", "WEIR_JOIN: it names no address"},
        {"{\"addresses\":[7]}",
         "WEIR_JOIN: an address of a control plane begins with ipc:// or tls+tcp://"},
        {"{\"addresses\":[\"tcp://h:1\"]}",
         "WEIR_JOIN: an address of a control plane begins with ipc:// or tls+tcp://"},
        {"{\"addresses\":[\"ipc://a\\u0000b\"],\"token\":\"t\"}",
         "WEIR_JOIN: an address of a control plane is unusable"},
        {"{\"addresses\":[\"tls+tcp://h:1\"],\"token\":\"sk-secret\",\"ca\":\"c\"}",
         "WEIR_JOIN: ca, cert or key is missing"},
        {"{\"addresses\":[\"ipc:///s\"]}", "WEIR_JOIN: token is missing"},
        {"{\"addresses\":[\"ipc:///s\"],\"token\":\"a\\u0000b\"}", "WEIR_JOIN: token is missing"},
        {"{\"addresses\":[\"ipc:///s\"],\"token\":\"t\"}", ""},
    };
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = {0};
        struct join j;
        enum errc rc = join_read(&j, encoded(rows[i].json, &a), &a, &e);
        assert_int_equal(rc, rows[i].told[0] ? ERRC_INVALID : ERRC_OK);
        assert_string_equal(e.msg, rows[i].told);
    }
    struct err e = {0};
    struct join j;
    assert_int_equal(join_read(&j, STR("not base64!"), &a, &e), ERRC_INVALID);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_is_wrong_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
