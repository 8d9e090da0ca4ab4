/* Numbers from text: what is refused, what is exact. */

#include "common/num.h"

#include "tests/unit/test.h"

static void test_reads_digits_and_refuses_the_rest(void **state)
{
    static const char *const bad[] = {"",   "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616",
                                      "1.0"};
    uint64_t v = 7;

    (void)state;
    assert_true(num_u64(STR("18446744073709551615"), &v));
    assert_true(v == UINT64_MAX);
    v = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(num_u64(str_of(bad[i]), &v));
    assert_true(v == 7);
}

static void test_signed_reaches_both_ends(void **state)
{
    int64_t v;

    (void)state;
    assert_true(num_i64(STR("-9223372036854775808"), &v) && v == INT64_MIN);
    assert_true(num_i64(STR("9223372036854775807"), &v) && v == INT64_MAX);
    assert_false(num_i64(STR("9223372036854775808"), &v));
    assert_false(num_i64(STR("-"), &v));
}

static void test_scales_decimals_exactly(void **state)
{
    static const struct {
        const char *text;
        int scale;
        int64_t want;
    } rows[] = {
        {"2.5e-06", 12, 2500000},
        {"1.5e-07", 12, 150000},
        {"0.00000015", 12, 150000},
        {"3", 3, 3000},
        {"0.5", 0, 1},
        {"0.49", 0, 0},
        {"1e-13", 12, 0},
        {"5e-13", 12, 1},
        {"-0.25", 2, -25},
        {"0", 12, 0},
        {"0e5", 12, 0},
        {"1.0000000000000000001", 3, 1000},
        {"12345678901234567890e-19", 3, 1235},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = -1;
        assert_true(num_scaled(str_of(rows[i].text), rows[i].scale, &v));
        if (v != rows[i].want)
            fail_msg("%s: got %lld", rows[i].text, (long long)v);
    }
}

static void test_scaled_refuses_what_is_no_number(void **state)
{
    static const char *const bad[] = {"",    "-",     ".5",   "5.",   "1e", "1e+",
                                      "abc", "1e999", "1e19", "0x10", "NaN"};
    int64_t v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(num_scaled(str_of(bad[i]), 0, &v));
}

static void test_puts_as_printf_does(void **state)
{
    char out[20], want[24];
    uint64_t v = 1;

    (void)state;
    assert_int_equal(num_put_u64(out, 0), 1);
    assert_int_equal(out[0], '0');
    for (unsigned i = 0; i < 200; i++, v = v * 3 + i) { /* every length, and wrapped ones */
        int n = snprintf(want, sizeof want, "%llu", (unsigned long long)v);
        assert_int_equal(num_put_u64(out, v), n);
        assert_memory_equal(out, want, n);
    }
    assert_int_equal(num_put_u64(out, UINT64_MAX), 20);
    assert_memory_equal(out, "18446744073709551615", 20);
}

static void test_puts_hex(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(num_put_hex(out, "\x00\x9f\xa0\xff", 4), 8);
    assert_memory_equal(out, "009fa0ff", 8);
    assert_int_equal(num_put_hex(out, "", 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_digits_and_refuses_the_rest),
        cmocka_unit_test(test_signed_reaches_both_ends),
        cmocka_unit_test(test_scales_decimals_exactly),
        cmocka_unit_test(test_scaled_refuses_what_is_no_number),
        cmocka_unit_test(test_puts_as_printf_does),
        cmocka_unit_test(test_puts_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
