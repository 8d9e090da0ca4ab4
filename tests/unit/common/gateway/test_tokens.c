/*
 * Estimates against counts of o200k_base (the second number of a row) where texts are long enough
 * to have one, and what must hold for any text.
 */

#include "common/gateway/tokens.h"

#include "tests/unit/test.h"

static uint64_t of(const char *text)
{
    return tokens_estimate((struct jstr){text, strlen(text)});
}

static const struct {
    const char *text;
    unsigned o200k;
} samples[] = {
    {"The quick brown fox jumps over the lazy dog. It had been raining all night, and the path "
     "behind the mill was nothing but mud.",
     28},
    {"static enum errc url_parse(struct url *u, struct str text, struct arena *a)\\n{\\n    if "
     "(!text.n)\\n        return ERRC_INVALID;\\n}\\n",
     34},
    {"{\\\"type\\\": \\\"object\\\", \\\"properties\\\": {\\\"city\\\": {\\\"type\\\": "
     "\\\"string\\\"}}, \\\"required\\\": [\\\"city\\\"]}",
     26},
    {"2026-11-30T01:28:25.118Z 10.0.0.7 GET /v1/models 200 1532", 33},
    {"Der Wehrmeister \\u00f6ffnete am Morgen die Schleuse, und das Wasser stieg langsam "
     "\\u00fcber "
     "die Wiesen.",
     22},
    {"\xd0\xa3\xd1\x82\xd1\x80\xd0\xbe\xd0\xbc \xd0\xb2\xd0\xbe\xd0\xb4\xd0\xb0 \xd0\xbc\xd0\xb5"
     "\xd0\xb4\xd0\xbb\xd0\xb5\xd0\xbd\xd0\xbd\xd0\xbe \xd0\xbf\xd0\xbe\xd0\xb4\xd0\xbd\xd1\x8f"
     "\xd0\xbb\xd0\xb0\xd1\x81\xd1\x8c.",
     9},
    {"\xe6\x97\xa9\xe6\x99\xa8\xe6\xb0\xb4\xe6\x85\xa2\xe6\x85\xa2\xe5\x9c\xb0\xe6\xb6\xa8\xe8\xb5"
     "\xb7\xe6\x9d\xa5\xe4\xba\x86\xe3\x80\x82",
     10},
};

static void test_samples_are_near(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        uint64_t got = of(samples[i].text);
        if (got * 10 < samples[i].o200k * 7u || got * 10 > samples[i].o200k * 14u)
            fail_msg("row %zu: %llu, %u counted", i, (unsigned long long)got, samples[i].o200k);
    }
}

static void test_escapes_count_as_what_they_mean(void **state)
{
    static const char *const pairs[][2] = {
        {"a\\u0062c", "abc"},
        {"\\u00fcber", "\xc3\xbc"
                       "ber"},
        {"\\ud83c\\udf0a", "\xf0\x9f\x8c\x8a"},
        {"\\/\\/", "//"},
        {"x\\u0009y", "x\\ty"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
        assert_int_equal(of(pairs[i][0]), of(pairs[i][1]));
    assert_true(of("\\n") >= 1);
}

/* Cut anywhere, even inside an escape or a character, a text is read to its end and not behind it.
 */
static void test_any_bytes_are_read(void **state)
{
    static const char text[] = "ab\\u00fc \\ud83c\\udf0a\xf0\x9f\x8c\x8a \\\" \xe6\x97 12345\\";

    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, text, n);
        uint64_t got = tokens_estimate((struct jstr){copy, n});
        assert_true(got <= 3 * n + 1 && (n == 0) == (got == 0));
        free(copy);
    }
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c;
        assert_true(tokens_estimate((struct jstr){&byte, 1}) <= 4);
    }
}

static void test_no_text_is_free(void **state)
{
    static const char *const repeated[] = {" ", "\\n", "=", "a", "1", "!?", "\xd1\x8f", "{}"};
    enum { N = 6000 };
    static char text[2 * N + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(repeated); i++) {
        size_t unit = strlen(repeated[i]);
        for (size_t k = 0; k < N / 2; k++)
            memcpy(text + k * unit, repeated[i], unit);
        if (tokens_estimate((struct jstr){text, N / 2 * unit}) < N / 2 / 64)
            fail_msg("%s repeated", repeated[i]);
    }
}

static void test_what_is_not_looked_at_counts_like_the_rest(void **state)
{
    enum { UNIT = 16, N = 4 * TOKENS_LOOKED_AT };
    static const char unit[] = "word by word, so";
    char *text = malloc(N);

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < N; i += UNIT)
        memcpy(text + i, unit, UNIT);
    uint64_t part = tokens_estimate((struct jstr){text, TOKENS_LOOKED_AT});
    uint64_t whole = tokens_estimate((struct jstr){text, N});
    assert_true(whole >= 4 * part - 4 && whole <= 4 * part + 4);
    free(text);
}

static void test_texts_add_up(void **state)
{
    struct tokens t = {.whole = 7};

    (void)state;
    tokens_add(&t, JSTR("hello"));
    tokens_add(&t, JSTR_NONE);
    tokens_add(&t, JSTR("hello"));
    assert_int_equal(tokens_total(&t), 7 + (2 * 1159 + 999) / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_are_near),
        cmocka_unit_test(test_escapes_count_as_what_they_mean),
        cmocka_unit_test(test_any_bytes_are_read),
        cmocka_unit_test(test_no_text_is_free),
        cmocka_unit_test(test_what_is_not_looked_at_counts_like_the_rest),
        cmocka_unit_test(test_texts_add_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
