/* Events out of bytes, however those are cut. */

#include "dialect/sse.h"
#include "tests/unit/test.h"

static struct bufpool pool = {.ceiling = 64 << 20};

struct seen {
    char text[1024];
    size_t n;
};

static bool note(void *ctx, struct str name, struct str data)
{
    struct seen *s = ctx;

    s->n += (size_t)snprintf(s->text + s->n, sizeof s->text - s->n, "<" STR_FMT "|" STR_FMT ">",
                             STR_ARG(name), STR_ARG(data));
    return !str_eq(data, STR("stop"));
}

static void test_events(void **state)
{
    static const struct {
        const char *bytes, *seen;
    } rows[] = {
        {"data: a\n\n", "<|a>"},
        {"data:a\n\ndata:  b\n\n", "<|a><| b>"},
        {"event: e\ndata: a\n\n", "<e|a>"},
        {"event: e\n\ndata: a\n\n", "<|a>"},
        {"data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", "<|a><|b><|c>"},
        {"data: a\ndata: b\ndata\n\n", "<|a\nb\n>"},
        {": c\nid: 1\nretry: 2\nother: x\ndata: a\n\n", "<|a>"},
        {"\xef\xbb\xbf"
         "data: a\n\n",
         "<|a>"},
        {"\n\n\ndata: a\n\n", "<|a>"},
        {"data:\n\n", "<|>"},
        {"data: a", "<|a>"},
        {"data: a\n", "<|a>"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].bytes);
        for (size_t cut = 0; cut <= n; cut++) {
            struct seen seen = {.n = 0};
            struct sse s;
            sse_init(&s, &pool, note, &seen);
            size_t step = cut ? cut : 1;
            for (size_t at = 0; at < n; at += step, step = cut ? n : 1)
                assert_true(sse_feed(&s, rows[i].bytes + at, MIN(step, n - at)));
            assert_true(sse_end(&s));
            assert_str(((struct str){seen.text, seen.n}), rows[i].seen);
            sse_deinit(&s);
        }
    }
    assert_int_equal(pool.lent, 0);
}

static void test_a_callback_may_stop(void **state)
{
    struct seen seen = {.n = 0};
    struct sse s;

    (void)state;
    sse_init(&s, &pool, note, &seen);
    assert_false(sse_feed(&s, "data: stop\n\ndata: b\n\n", 21));
    assert_str(((struct str){seen.text, seen.n}), "<|stop>");
    sse_deinit(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_a_callback_may_stop),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    bufpool_deinit(&pool);
    return failed;
}
