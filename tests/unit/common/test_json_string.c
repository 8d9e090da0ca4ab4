/* The insides of literals: by rows, and any text of tokens beside the plainest code for it. */

#include "common/json_string.h"

#include "tests/unit/test.h"

static uint32_t random_next(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

static void test_unescape(void **state)
{
    static const struct {
        const char *in, *out; /* out NULL: refused */
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac"},
        {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
        {"\\ud83d", "\xef\xbf\xbd"},
        {"\\ud83dx", "\xef\xbf\xbdx"},
        {"\\ude00", "\xef\xbf\xbd"},
        {"\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80"},
        {"\\ud83d\\u0041", "\xef\xbf\xbd"
                           "A"},
        {"\xc3\xa9", "\xc3\xa9"},
        {"\\", NULL},
        {"\\x", NULL},
        {"\\u", NULL},
        {"\\u12", NULL},
        {"\\u12g4", NULL},
        {"\\u+123", NULL},
        {"x\\", NULL},
        {"\\ud83d\\u12", NULL},
        {"\\ud83d\\u12x4", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str in = str_of(rows[i].in);
        char *out = malloc(in.n + 1); /* what the contract asks for, so that more is seen */
        assert_non_null(out);
        size_t n = json_unescape(out, in);
        if (rows[i].out)
            assert_str(((struct str){out, n == SIZE_MAX ? 0 : n}), rows[i].out);
        else
            assert_true(n == SIZE_MAX);
        free(out);
    }
    char nul[8];
    assert_int_equal(json_unescape(nul, STR("a\\u0000b")), 3);
    assert_memory_equal(nul, "a\0b", 3);
}

static void test_string_end(void **state)
{
    static const struct {
        const char *text; /* behind the first quote */
        int end;          /* -1: none */
    } rows[] = {
        {"\"", 1},
        {"abc\"x", 4},
        {"a\\\"b\"", 5},
        {"\\\\\"", 3},
        {"", -1},
        {"abc", -1},
        {"a\\", -1},
        {"a\\\"", -1},
        {"a\nb\"", -1},
        {"0123456789012345678901234567890123456789012345678901234567890123456789\"", 71},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *p = rows[i].text, *end = json_string_end(p, p + strlen(p));
        assert_int_equal(end ? end - p : -1, rows[i].end);
    }
}

/* --- beside a model of few words ----------------------------------------------------------------
 */

enum { TOKENS = 40, TEXT_MAX = 1024 };

struct text {
    char p[TEXT_MAX];
    size_t n;
};

static void put(struct text *t, const char *s, size_t n)
{
    memcpy(t->p + t->n, s, n);
    t->n += n;
}

/* Some tokens, mostly of one kind: texts are like that. */
static struct text text_of(const struct str *tokens, unsigned n_tokens, uint32_t *seed)
{
    struct text t = {.n = 0};
    unsigned usual = random_next(seed) % n_tokens, n = random_next(seed) % TOKENS;

    for (unsigned i = 0; i < n; i++) {
        unsigned k = random_next(seed) % 3 ? usual : random_next(seed) % n_tokens;
        put(&t, tokens[k].p, tokens[k].n);
    }
    return t;
}

/* A copy without a byte to spare, so that whoever reads or writes beside it is seen. */
static char *exactly(const char *p, size_t n)
{
    char *copy = malloc(n ? n : 1);

    assert_non_null(copy);
    memcpy(copy, p, n);
    return copy;
}

/* Of the \u escape at p: 1 the first half of a pair, 2 the second, 0 neither; -1: there is none. */
static int half_of(const char *p, const char *end)
{
    char digits[5] = "";
    unsigned v;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    memcpy(digits, p + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4 || sscanf(digits, "%x", &v) != 1)
        return -1;
    return (v & 0xfc00) == 0xd800 ? 1 : (v & 0xfc00) == 0xdc00 ? 2 : 0;
}

/* What json_units_mend() is to make of t; the bytes it passes over. */
static size_t mend_model(struct text *t, uint32_t *lone)
{
    size_t at = 0;
    int half;

    while ((half = half_of(t->p + at, t->p + t->n)) >= 0) {
        bool paired = half == 1 && half_of(t->p + at + 6, t->p + t->n) == 2;
        if (half && !paired) {
            memcpy(t->p + at, "\\ufffd", 6);
            ++*lone;
        }
        at += paired ? 12 : 6;
    }
    return at;
}

static void test_units_are_those_of_the_model(void **state)
{
    static const struct str tokens[] = {
        STR_INIT("\\ud83d\\ude00"), STR_INIT("\\u0041"), STR_INIT("\\uD83D"), STR_INIT("\\udfff"),
        STR_INIT("\\uD7fF"),        STR_INIT("\\ue000"), STR_INIT("\\udbFF"), STR_INIT("\\n"),
        STR_INIT("\\u12g4"),        STR_INIT("x"),       STR_INIT("\\u00"),   STR_INIT("\\uDC00"),
    };
    uint32_t seed = 1;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct text t = text_of(tokens, ARRAY_LEN(tokens) - (round % 2 ? 5 : 0), &seed), model = t;
        uint32_t lone = 0, model_lone = 0;
        size_t n = mend_model(&model, &model_lone);
        char *p = exactly(t.p, t.n);
        assert_int_equal(json_units_pass(p, p + t.n, &lone) - p, n);
        assert_int_equal(lone, model_lone);
        assert_int_equal(json_units_mend(p, p + t.n) - p, n);
        assert_memory_equal(p, model.p, t.n);
        free(p);
    }
}

static size_t escape_model(char *out, struct text t)
{
    size_t n = 0;

    for (size_t i = 0; i < t.n; i++) {
        const char *letters = "\n\r\t\"\\", *at = t.p[i] ? strchr(letters, t.p[i]) : NULL;
        if (at)
            n += (size_t)snprintf(out + n, 7, "\\%c", "nrt\"\\"[at - letters]);
        else if ((unsigned char)t.p[i] < 0x20)
            n += (size_t)snprintf(out + n, 7, "\\u%04x", (unsigned char)t.p[i]);
        else
            out[n++] = t.p[i];
    }
    return n;
}

static void test_escapes_are_those_of_the_model(void **state)
{
    static const struct str tokens[] = {
        STR_INIT("plain text"), STR_INIT("\""),      STR_INIT("\\"),   STR_INIT("\n"),
        STR_INIT("\x01"),       STR_INIT("\\\"\\n"), STR_INIT("\r\t"), STR_INIT("\xc3\xa9"),
        STR_INIT("\x1f"),       STR_INIT("\v"),      STR_INIT("\x7f"), {"\0", 1},
    };
    uint32_t seed = 2;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct text t = text_of(tokens, ARRAY_LEN(tokens), &seed);
        char model[TEXT_MAX * 6];
        size_t n = escape_model(model, t), slack = round % 40;
        struct str s = {exactly(t.p, t.n), t.n};
        char *out = malloc(n + slack + 1);
        assert_non_null(out);
        assert_int_equal(json_escape_growth(s), n - t.n);
        assert_int_equal(json_escape(out, n + slack, s), n);
        assert_memory_equal(out, model, n);
        char *exact = exactly(out, n), *plain = exactly(out, n);
        assert_int_equal(json_unescape(plain, (struct str){exact, n}), t.n);
        assert_memory_equal(plain, t.p, t.n);
        free(plain);
        free(exact);
        free(out);
        free((char *)(uintptr_t)s.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_string_end),
        cmocka_unit_test(test_units_are_those_of_the_model),
        cmocka_unit_test(test_escapes_are_those_of_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
