/* Bases that are taken, and the many that are not. */

#include "provider/url.h"
#include "tests/unit/test.h"

enum { ARENA_BYTES = 1 << 20 };

static void test_takes_what_is_plainly_a_url(void **state)
{
    static const struct {
        const char *text, *host, *path, *query, *shown;
        uint16_t port;
        bool tls;
    } rows[] = {
        {"https://api.openai.com/v1/", "api.openai.com", "/v1", "", "https://api.openai.com/v1",
         443, true},
        {"HTTP://LocalHost:8000", "localhost", "", "", "http://localhost:8000", 8000, false},
        {"http://my_vllm:80//", "my_vllm", "", "", "http://my_vllm", 80, false},
        {"https://[2001:DB8::1]:8443/a%20b?k=v", "2001:db8::1", "/a%20b", "k=v",
         "https://[2001:db8::1]:8443/a%20b", 8443, true},
        {"http://127.0.0.1:65535/x:y@z", "127.0.0.1", "/x:y@z", "", "http://127.0.0.1:65535/x:y@z",
         65535, false},
        {"https://a.b?x=1&y=/?", "a.b", "", "x=1&y=/?", "https://a.b", 443, true},
        {"https://a.b/...", "a.b", "/...", "", "https://a.b/...", 443, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct url u;
        struct err e = {0};

        arena_init(&a, NULL, ARENA_BYTES);
        if (url_parse(&u, str_of(rows[i].text), &a, &e))
            fail_msg("%s: %s", rows[i].text, e.msg);
        assert_str(u.host, rows[i].host);
        assert_str(u.path, rows[i].path);
        assert_str(u.query, rows[i].query);
        assert_str(url_text(&u, &a), rows[i].shown);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(u.tls, rows[i].tls);
        arena_reset(&a);
    }
}

static void test_refuses_the_rest_without_showing_it(void **state)
{
    static const char *const bad[] = {
        "",
        "api.openai.com/v1",
        "//api.openai.com",
        "ftp://a.b",
        "https:/a.b",
        "https://",
        "https:///v1",
        "https://secret@a.b/v1",
        "https://user:secret@a.b/v1",
        "https://a.b@secret",
        "https://a.b/v1#secret",
        "https://a.b#@secret/",
        "https://a b/v1",
        "https://a.b/v 1",
        "https://a.b/v1\r\nX: y",
        "https://a.b\\secret/v1",
        "https://a.b/v1\\x",
        "https://a.b:0/",
        "https://a.b:65536/",
        "https://a.b:/",
        "https://a.b:80a/",
        "https://a.b:-1/",
        "https://a.b:8 0/",
        "https://.a.b/",
        "https://a..b/",
        "https://a.b./",
        "https://-a.b/",
        "https://a-.b/",
        "https://a%2eb/",
        "https://\xc3\xa4.b/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://1.2.3.256/",
        "https://1.2.3.4.5/",
        "https://[::1/",
        "https://::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[1.2.3.4]/",
        "https://a.b/%zz",
        "https://a.b/%4",
        "https://a.b/../x",
        "https://a.b/x/..",
        "https://a.b/x/.",
        "https://a.b/%2E%2e/x",
        "https://a.b/.%2e",
        "https://a.b/v1//x",
        "https://a.b/{region}",
        "https://a.b/\"x\"",
        "https://a.b/?q=<x>",
        "https://{region}.a.b/",
        "https://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b/",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        struct url u;
        struct err e = {0};

        arena_init(&a, NULL, ARENA_BYTES);
        if (url_parse(&u, str_of(bad[i]), &a, &e) != ERRC_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_true(strncmp(e.msg, "api_base: ", 10) == 0);
        assert_null(strstr(e.msg, "secret"));
        arena_reset(&a);
    }
}

static void test_every_truncation_is_taken_or_refused(void **state)
{
    static const char text[] = "https://[2001:db8::1]:8443/a%20b/c?k=v%20&x=/";

    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        char *exact = malloc(n ? n : 1); /* so that a read behind the end is seen */
        struct arena a;
        struct url u;

        assert_non_null(exact);
        memcpy(exact, text, n);
        arena_init(&a, NULL, ARENA_BYTES);
        enum errc rc = url_parse(&u, (struct str){exact, n}, &a, NULL);
        assert_true(rc == ERRC_OK || rc == ERRC_INVALID);
        arena_reset(&a);
        free(exact);
    }
}

static void test_too_long_is_refused(void **state)
{
    static char text[3000] = "https://a.b/";
    struct arena a;
    struct url u;

    (void)state;
    memset(text + 12, 'x', sizeof text - 12);
    arena_init(&a, NULL, ARENA_BYTES);
    assert_int_equal(url_parse(&u, (struct str){text, sizeof text}, &a, NULL), ERRC_INVALID);
    arena_reset(&a);
}

static void test_encodes_all_but_the_unreserved(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, ARENA_BYTES);
    assert_str(url_encode(STR("a/b ~c.d_e-%f?\xff"), &a), "a%2Fb%20~c.d_e-%25f%3F%FF");
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_what_is_plainly_a_url),
        cmocka_unit_test(test_refuses_the_rest_without_showing_it),
        cmocka_unit_test(test_every_truncation_is_taken_or_refused),
        cmocka_unit_test(test_too_long_is_refused),
        cmocka_unit_test(test_encodes_all_but_the_unreserved),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
