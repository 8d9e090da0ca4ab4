/* Text out of arguments: whole, by units, and cut at each of them. */

#include "dialect/wrapped.h"
#include "tests/unit/test.h"

static struct bufpool pool = {.ceiling = 1 << 20};

/* Where the unit at `at` ends: an escape is never cut. */
static size_t unit_end(struct str s, size_t at)
{
    return at + (s.p[at] != '\\' ? 1 : s.p[at + 1] == 'u' ? 6 : 2);
}

static void feed(struct wrapped *w, struct jout *o, struct str piece)
{
    char *copy = malloc(piece.n + !piece.n); /* the sanitizer sees a read beyond it */

    assert_non_null(copy);
    memcpy(copy, piece.p, piece.n);
    wrapped_feed(w, (struct jstr){copy, piece.n}, o);
    free(copy);
}

static void play(struct str in, bool twice, size_t cut, bool by_units, enum wrapped_state end,
                 const char *want)
{
    struct wrapped w = {.is_twice = twice};
    struct buf out = {0};
    struct jout o = jout_init(&pool, &out);

    for (size_t at = 0; at < in.n;) {
        size_t to = by_units ? unit_end(in, at) : at < cut ? cut : in.n;
        feed(&w, &o, (struct str){in.p + at, to - at});
        at = to;
    }
    assert_int_equal(w.state, end);
    assert_str(((struct str){out.p, out.n}), want);
    buf_free(&pool, &out);
}

static void test_texts(void **state)
{
    static const struct {
        const char *in, *out;
        bool twice;
        enum wrapped_state end;
    } rows[] = {
        {"{\\\"content\\\":\\\"abc\\\"}", "abc", false, WRAPPED_DONE},
        {" { \\n\\\"content\\\" :\\t\\\"abc", "abc", false, WRAPPED_TEXT},
        {"{\\\"content\\\":\\\"\\\"}", "", false, WRAPPED_DONE},
        /* escapes of the inner text stay, those of the outer go */
        {"{\\\"content\\\":\\\"a\\\\n\\\\\\\"b\\\\u00e9\\\\\\\\\\/\\\"}", "a\\n\\\"b\\u00e9\\\\/",
         false, WRAPPED_DONE},
        {"\\u007b\\u0022content\\u0022:\\u0022a\\u005cn\\u00e9\\ud83d\\ude00\\u0022}",
         "a\\n\\u00e9\\ud83d\\ude00", false, WRAPPED_DONE},
        /* what its writer forgot to escape, and escapes there are none of */
        {"{\\\"content\\\":\\\"a\\nb\\\\x\\\\u12g\\\"}", "a\\nb\\\\x\\\\u12g", false, WRAPPED_DONE},
        {"{\\\"content\\\":\\\"a\\\\u\\\"", "a\\\\u", false, WRAPPED_DONE},
        /* something else */
        {"{\\\"contents\\\":1}", "", false, WRAPPED_PLAIN},
        {"{\\\"con tent\\\":\\\"a\\\"}", "", false, WRAPPED_PLAIN},
        {"{\\\"content\\\":1}", "", false, WRAPPED_PLAIN},
        {"[]", "", false, WRAPPED_PLAIN},
        {"{\\\"con", "", false, WRAPPED_HEAD},
        {"", "", false, WRAPPED_HEAD},
        /* encoded twice */
        {"\\\"{\\\\\\\"q\\\\\\\":1}\\\"", "{\\\"q\\\":1}", true, WRAPPED_DONE},
        {" \\\"\\\" ", "", true, WRAPPED_DONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str in = str_of(rows[i].in);
        play(in, rows[i].twice, 0, true, rows[i].end, rows[i].out);
        for (size_t cut = 0; cut < in.n; cut = unit_end(in, cut))
            play(in, rows[i].twice, cut, false, rows[i].end, rows[i].out);
    }
}

static void test_twice_is_told_by_the_first_character(void **state)
{
    static const struct {
        const char *in;
        bool is;
    } rows[] = {
        {"\\\"{}\\\"", true}, {" \\n\\u0022", true}, {"{\\\"a\\\"", false},
        {"", false},          {"1", false},          {"\\\\", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(wrapped_is_twice((struct jstr){rows[i].in, strlen(rows[i].in)}),
                         rows[i].is);
}

static int pool_empty(void **state)
{
    (void)state;
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_twice_is_told_by_the_first_character),
    };

    return cmocka_run_group_tests(tests, NULL, pool_empty);
}
