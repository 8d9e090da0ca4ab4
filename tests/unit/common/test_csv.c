/* Records of comma-separated values. */

#include "common/csv.h"

#include "tests/unit/test.h"

/* Fields with '|' behind each, records with '/' behind each; '!' for what is refused. */
static struct str read_all(struct arena *a, struct str text)
{
    struct csv_reader c = csv_read(text, a);
    struct str out = {0};
    enum csv_got got;

    while ((got = csv_next(&c)) == CSV_RECORD) {
        for (unsigned i = 0; i < c.n_fields; i++)
            out = arena_printf(a, STR_FMT STR_FMT "|", STR_ARG(out), STR_ARG(c.field[i]));
        out = arena_printf(a, STR_FMT "/%llu ", STR_ARG(out), (unsigned long long)c.line);
    }
    return got == CSV_END ? out : arena_printf(a, STR_FMT "!", STR_ARG(out));
}

static void test_records(void **state)
{
    static const struct {
        const char *text, *read;
    } rows[] = {
        {"", ""},
        {"\n\n", ""},
        {"a", "a|/1 "},
        {"a,b\n1,2\n", "a|b|/1 1|2|/2 "},
        {"a,b\r\n1,2\r\n\r\n3,4", "a|b|/1 1|2|/2 3|4|/4 "},
        {"a,b,\n,,\n", "a|b||/1 |||/2 "},
        {"a;b\n1;2,5\n", "a|b|/1 1|2,5|/2 "},
        {"a\tb,c\td\n", "a|b,c|d|/1 "},
        {"\"a;b;c\",d\n", "a;b;c|d|/1 "},
        {"\xef\xbb\xbf"
         "a,b",
         "a|b|/1 "},
        {"\"a \"\"b\"\"\",\"\"\n\"x\ny\",z\n9", "a \"b\"||/1 x\ny|z|/2 9|/4 "},
        {"a\"b,c\n", "a\"b|c|/1 "}, /* a quote in the middle is itself */
        {"\"a", "!"},
        {"x\n\"a\"b,c", "x|/1 !"},
        {"\"a\"\"", "!"},
        {"a\rb\n", "a\rb|/1 "},
    };
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str out = read_all(&a, str_of(rows[i].text));
        if (!str_eq(out, str_of(rows[i].read)))
            fail_msg("%s: " STR_FMT, rows[i].text, STR_ARG(out));
    }
    arena_reset(&a);
}

static void test_too_many_fields(void **state)
{
    char text[CSV_FIELDS + 2];
    struct arena a;

    (void)state;
    memset(text, ',', sizeof text);
    arena_init(&a, NULL, 1 << 20);
    struct csv_reader c = csv_read((struct str){text, CSV_FIELDS - 1}, &a);
    assert_int_equal(csv_next(&c), CSV_RECORD);
    assert_int_equal(c.n_fields, CSV_FIELDS);
    c = csv_read((struct str){text, CSV_FIELDS}, &a);
    assert_int_equal(csv_next(&c), CSV_LARGE);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_too_many_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
