/* The JSON writer: commas, escapes, exact decimals. */

#include "common/jw.h"

#include "tests/unit/test.h"

static void test_writes_nested_values(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    struct jw w = jw_init(&a);
    jw_obj(&w);
    jw_key(&w, STR("a"));
    jw_arr(&w);
    jw_put_u64(&w, UINT64_MAX);
    jw_put_i64(&w, INT64_MIN);
    jw_put_null(&w);
    jw_obj(&w);
    jw_end(&w);
    jw_end(&w);
    jw_key(&w, STR("b\"\n\x01"));
    jw_put_bool(&w, false);
    jw_end(&w);
    assert_str(
        jw_finish(&w),
        "{\"a\":[18446744073709551615,-9223372036854775808,null,{}],\"b\\\"\\n\\u0001\":false}");
    arena_reset(&a);
}

static void test_pico_is_a_decimal_of_whole_units(void **state)
{
    static const struct {
        int64_t pico;
        const char *want;
    } rows[] = {
        {0, "0"},
        {2500000, "2.5e-06"},
        {150000, "1.5e-07"},
        {1, "1e-12"},
        {1000000000000, "1"},
        {20000000000000, "20"},
        {1234500000000, "1.2345"},
        {1000000000, "0.001"},
        {123000000, "0.000123"},
        {-500000000000, "-0.5"},
    };
    struct arena a;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        arena_init(&a, NULL, 1 << 20);
        struct jw w = jw_init(&a);
        jw_put_pico(&w, rows[i].pico);
        assert_str(jw_finish(&w), rows[i].want);
        arena_reset(&a);
    }
}

static void test_overflow_leaves_nothing(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, ARENA_BLOCK);
    struct jw w = jw_init(&a);
    jw_arr(&w);
    for (int i = 0; i < 100000; i++)
        jw_put_u64(&w, 1);
    jw_end(&w);
    assert_int_equal(jw_finish(&w).n, 0);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_nested_values),
        cmocka_unit_test(test_pico_is_a_decimal_of_whole_units),
        cmocka_unit_test(test_overflow_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
