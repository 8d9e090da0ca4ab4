/* Requests as bytes: whole, byte by byte, split at every offset. */

#include "common/http/h1_in.h"

#include "tests/unit/test.h"

enum { MAX_BODY = 64 };

static struct bufpool pool = {.ceiling = 1024 * 1024};

static const struct row {
    const char *bytes;
    unsigned status;                  /* 0: complete */
    const char *target, *body, *rest; /* of a complete one; what is left to the next */
} rows[] = {
    {"GET /a HTTP/1.1\r\nHost: x\r\n\r\n", 0, "/a", "", ""},
    {"\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\nGET", 0, "/a", "", "GET"},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcdef", 0, "/", "abc", "def"},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n2\r\nab\r\n1;e=1\r\nc\r\n0\r\nT: 1\r\n\r\n",
     0, "/", "abc", ""},
    {"GET / HTTP/1.0\r\n\r\n", 0, "/", "", ""},
    {"GET / HTTP/1.1\r\n\r\n", 400, NULL, NULL, NULL},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, NULL, NULL, NULL},
    {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, NULL, NULL, NULL},
    {"\n\n\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400, NULL, NULL, NULL},
    {"GET / HTTP/1.1\r\nHost: x\r\nA : 1\r\n\r\n", 400, NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
     NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400, NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400, NULL, NULL,
     NULL},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
     "chunked\r\n\r\n00000000000000000000000000000001\r\na\r\n",
     400, NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n", 413, NULL, NULL, NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n", 413, NULL, NULL,
     NULL},
    {"POST / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, NULL, NULL, NULL},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, NULL, NULL, NULL},
};

/* Feeds `bytes` in pieces that end at each `step` and at `cut`. */
static void play(const struct row *r, size_t step, size_t cut)
{
    struct str left = str_of(r->bytes);
    struct h1_in in;
    enum h1_got got = H1_MORE;
    size_t at = 0, used;

    h1_in_init(&in, &pool, MAX_BODY);
    while (got == H1_MORE && left.n) {
        size_t n = MIN(step, left.n);
        if (at < cut && at + n > cut)
            n = cut - at;
        got = h1_in_feed(&in, left.p, n, &used);
        assert_true(used <= n && (got != H1_MORE || used == n));
        at += used;
        left = str_from(left, used);
    }
    if (got != (r->status ? H1_BAD : H1_DONE) || in.status != r->status)
        print_error("%s: %d %u\n", r->bytes, (int)got, in.status);
    assert_int_equal(got, r->status ? H1_BAD : H1_DONE);
    assert_int_equal(in.status, r->status);
    if (!r->status) {
        assert_str(h1_in_target(&in), r->target);
        assert_str(((struct str){in.body.p, in.body.n}), r->body);
        assert_str(left, r->rest);
    }
    h1_in_reset(&in);
}

static void test_requests_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].bytes);
        for (size_t cut = 0; cut <= n; cut++)
            play(&rows[i], n, cut);
        play(&rows[i], 1, 0);
    }
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
}

static void test_headers_by_name(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\na: 2\r\nB:\r\n\r\n";
    struct h1_in in;
    size_t used;
    bool repeated = false;

    (void)state;
    h1_in_init(&in, &pool, MAX_BODY);
    assert_int_equal(h1_in_feed(&in, text, sizeof text - 1, &used), H1_DONE);
    assert_str(h1_in_method(&in), "GET");
    assert_str(h1_in_header(&in, STR("a"), &repeated), "1");
    assert_true(repeated);
    repeated = false;
    assert_str(h1_in_header(&in, STR("host"), &repeated), "x");
    assert_false(repeated);
    assert_null(h1_in_header(&in, STR("c"), NULL).p);
    h1_in_reset(&in);
    bufpool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_however_they_are_cut),
        cmocka_unit_test(test_headers_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
