/* Durations, and the moments they lead to. */

#include "common/gateway/duration.h"

#include "tests/unit/test.h"

/* Microseconds of a UTC date and time. */
static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};

    return (int64_t)timegm(&tm) * 1000000;
}

static void test_reads_number_and_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } rows[] = {
        {"30s", 30},
        {"10m", 600},
        {"24h", 86400},
        {"24hr", 86400},
        {"7d", 604800},
        {"2w", 1209600},
        {"1mo", 2678400},
        {"0s", 0},
        {"daily", 86400},
        {" Weekly ", 604800},
        {"hourly", 3600},
        {"monthly", 2592000},
        {"", -1},
        {"d", -1},
        {"5", -1},
        {"-1", -1},
        {"5x", -1},
        {"1.5h", -1},
        {" 1d", -1},
        {"99999999999d", -1},
        {"4294967295d", -1},
        {"4294967295mo", -1},
        {"120001mo", -1},
        {"3650001d", -1},
        {"4294967295s", 4294967295},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct duration d;
        int64_t got = duration_parse(str_of(rows[i].text), &d) ? duration_seconds(d, 0) : -1;
        if (got != rows[i].seconds)
            print_error("\"%s\"\n", rows[i].text);
        assert_true(got == rows[i].seconds);
    }
}

static void test_months_keep_the_day_or_take_the_last(void **state)
{
    const struct {
        int64_t from;
        uint32_t months;
        int64_t to;
    } rows[] = {
        {at(2026, 1, 31, 12, 0, 1), 1, at(2026, 2, 28, 12, 0, 1)},
        {at(2028, 1, 31, 0, 0, 0), 1, at(2028, 2, 29, 0, 0, 0)},
        {at(2026, 12, 5, 0, 0, 0), 1, at(2027, 1, 5, 0, 0, 0)},
        {at(2026, 11, 30, 0, 0, 0), 14, at(2028, 1, 30, 0, 0, 0)},
        {at(2000, 2, 29, 0, 0, 0), 12, at(2001, 2, 28, 0, 0, 0)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(duration_after((struct duration){rows[i].months, 'M'}, rows[i].from) ==
                    rows[i].to);
}

static void test_budgets_begin_anew_at_known_moments(void **state)
{
    const int64_t now = at(2026, 11, 30, 14, 25, 40) + 123456; /* a Monday */
    const struct {
        const char *text;
        int64_t to;
    } rows[] = {
        {"1d", at(2026, 12, 1, 0, 0, 0)},     {"7d", at(2026, 12, 7, 0, 0, 0)},
        {"1w", at(2026, 12, 7, 0, 0, 0)},     {"30d", at(2026, 12, 1, 0, 0, 0)},
        {"1mo", at(2026, 12, 1, 0, 0, 0)},    {"3d", at(2026, 12, 3, 0, 0, 0)},
        {"1h", at(2026, 11, 30, 15, 0, 0)},   {"6h", at(2026, 11, 30, 18, 0, 0)},
        {"24h", at(2026, 12, 1, 0, 0, 0)},    {"36h", at(2026, 12, 1, 12, 0, 0)},
        {"15m", at(2026, 11, 30, 14, 30, 0)}, {"30m", at(2026, 11, 30, 14, 30, 0)},
        {"30s", at(2026, 11, 30, 14, 26, 0)}, {"7s", at(2026, 11, 30, 14, 25, 42)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct duration d;
        assert_true(duration_parse(str_of(rows[i].text), &d));
        if (duration_next_reset(d, now) != rows[i].to)
            print_error("%s: %lld\n", rows[i].text, (long long)duration_next_reset(d, now));
        assert_true(duration_next_reset(d, now) == rows[i].to);
    }
}

/* Whatever the moment, the next one lies ahead, and a week's is a Monday's midnight. */
static void test_every_day_of_a_century_has_a_next_monday(void **state)
{
    (void)state;
    for (int64_t day = 0; day < 36525; day++) {
        int64_t now = day * 86400 * INT64_C(1000000) + 1;
        int64_t monday = duration_next_reset((struct duration){7, 'd'}, now);
        int64_t first = duration_next_reset((struct duration){1, 'M'}, now);
        time_t t = (time_t)(monday / 1000000), f = (time_t)(first / 1000000);
        struct tm tm;
        assert_true(monday > now && monday - now <= 7 * 86400 * INT64_C(1000000));
        assert_true(gmtime_r(&t, &tm) && tm.tm_wday == 1 && tm.tm_hour == 0);
        assert_true(first > now && gmtime_r(&f, &tm) && tm.tm_mday == 1 && tm.tm_hour == 0);
    }
}

/* What a worker does while nobody tells when the next reset is. */
static void test_periods_follow_each_other(void **state)
{
    const struct {
        const char *text;
        int64_t reset, now, began, ends;
    } rows[] = {
        /* the one that was told: before, on, and behind its end */
        {"1d", at(2026, 3, 2, 0, 0, 0), at(2026, 3, 1, 23, 59, 59), 0, at(2026, 3, 2, 0, 0, 0)},
        {"1d", at(2026, 3, 2, 0, 0, 0), at(2026, 3, 2, 0, 0, 0), at(2026, 3, 2, 0, 0, 0),
         at(2026, 3, 3, 0, 0, 0)},
        {"1d", at(2026, 3, 2, 0, 0, 0), at(2026, 3, 9, 1, 0, 0), at(2026, 3, 9, 0, 0, 0),
         at(2026, 3, 10, 0, 0, 0)},
        /* midnight elsewhere stays where it is */
        {"1d", at(2026, 3, 2, 5, 0, 0), at(2026, 3, 4, 4, 0, 0), at(2026, 3, 3, 5, 0, 0),
         at(2026, 3, 4, 5, 0, 0)},
        {"7d", at(2026, 11, 30, 0, 0, 0), at(2026, 12, 6, 23, 0, 0), at(2026, 11, 30, 0, 0, 0),
         at(2026, 12, 7, 0, 0, 0)},
        {"3d", at(2026, 12, 3, 0, 0, 0), at(2026, 12, 10, 0, 0, 0), at(2026, 12, 9, 0, 0, 0),
         at(2026, 12, 12, 0, 0, 0)},
        /* leap days, ends of months and of years */
        {"30d", at(2028, 2, 1, 0, 0, 0), at(2028, 2, 29, 12, 0, 0), at(2028, 2, 1, 0, 0, 0),
         at(2028, 3, 1, 0, 0, 0)},
        {"1mo", at(2026, 12, 1, 0, 0, 0), at(2027, 3, 31, 0, 0, 0), at(2027, 3, 1, 0, 0, 0),
         at(2027, 4, 1, 0, 0, 0)},
        {"monthly", at(2026, 12, 1, 0, 0, 0), at(2026, 12, 31, 23, 59, 59),
         at(2026, 12, 1, 0, 0, 0), at(2027, 1, 1, 0, 0, 0)},
        {"1mo", at(2026, 1, 31, 0, 0, 0), at(2026, 3, 30, 0, 0, 0), at(2026, 2, 28, 0, 0, 0),
         at(2026, 3, 31, 0, 0, 0)},
        {"1d", at(2028, 2, 29, 0, 0, 0), at(2028, 3, 1, 0, 0, 0), at(2028, 3, 1, 0, 0, 0),
         at(2028, 3, 2, 0, 0, 0)},
        {"1h", at(2026, 3, 2, 1, 0, 0), at(2026, 3, 3, 0, 30, 0), at(2026, 3, 3, 0, 0, 0),
         at(2026, 3, 3, 1, 0, 0)},
        {"30s", at(2026, 3, 2, 0, 0, 30), at(2027, 3, 2, 0, 0, 31), at(2027, 3, 2, 0, 0, 30),
         at(2027, 3, 2, 0, 1, 0)},
        /* a clock set back: the period that was told runs again */
        {"1d", at(2026, 3, 2, 0, 0, 0), at(2026, 2, 1, 0, 0, 0), 0, at(2026, 3, 2, 0, 0, 0)},
        /* none that could be told */
        {"", at(2026, 3, 2, 0, 0, 0), at(2026, 3, 3, 0, 0, 0), at(2026, 3, 2, 0, 0, 0), INT64_MAX},
        {"0d", at(2026, 3, 2, 0, 0, 0), at(2026, 3, 3, 0, 0, 0), at(2026, 3, 2, 0, 0, 0),
         INT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct period p = duration_period(str_of(rows[i].text), rows[i].reset, rows[i].now);
        if (p.began_us != rows[i].began || p.ends_us != rows[i].ends)
            print_error("row %zu: %lld %lld\n", i, (long long)p.began_us, (long long)p.ends_us);
        assert_true(p.began_us == rows[i].began && p.ends_us == rows[i].ends);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_number_and_unit),
        cmocka_unit_test(test_months_keep_the_day_or_take_the_last),
        cmocka_unit_test(test_budgets_begin_anew_at_known_moments),
        cmocka_unit_test(test_every_day_of_a_century_has_a_next_monday),
        cmocka_unit_test(test_periods_follow_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
