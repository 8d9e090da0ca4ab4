#include "common/date.h"

#include "test.h"

static void test_days_and_dates(void **state)
{
    static const struct {
        int64_t day;
        struct date date;
    } rows[] = {{0, {1970, 1, 1}},       {-1, {1969, 12, 31}},     {59, {1970, 3, 1}},
                {11016, {2000, 2, 29}},  {11017, {2000, 3, 1}},    {19782, {2024, 2, 29}},
                {20512, {2026, 2, 28}},  {20513, {2026, 3, 1}},    {47540, {2100, 2, 28}},
                {47541, {2100, 3, 1}},   {-719468, {0, 3, 1}},     {-719528, {0, 1, 1}},
                {-719529, {-1, 12, 31}}, {2932896, {9999, 12, 31}}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct date d = date_of_day(rows[i].day);
        assert_int_equal(d.year, rows[i].date.year);
        assert_int_equal(d.month, rows[i].date.month);
        assert_int_equal(d.day, rows[i].date.day);
        assert_int_equal(date_day(rows[i].date), rows[i].day);
    }
}

/* Day after day through two eras: the next one is tomorrow, or the first of a month. */
static void test_days_follow_each_other(void **state)
{
    struct date last = date_of_day(-200000);

    (void)state;
    for (int64_t day = -199999; day < 200000; day++) {
        struct date d = date_of_day(day);
        bool ends = last.day == date_month_days(last.year, last.month);
        unsigned next = last.month % 12 + 1;
        assert_int_equal(d.day, ends ? 1 : last.day + 1);
        assert_int_equal(d.month, ends ? next : last.month);
        assert_int_equal(d.year, last.year + (ends && next == 1));
        assert_int_equal(date_day(d), day);
        last = d;
    }
}

static void test_texts(void **state)
{
    static const struct {
        int64_t day;
        const char *text;
    } rows[] = {
        {0, "1970-01-01"}, {11016, "2000-02-29"}, {-719528, "0000-01-01"}, {2932896, "9999-12-31"}};
    char text[DATE_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_ptr_equal(date_put(text, rows[i].day), text + DATE_TEXT);
        assert_memory_equal(text, rows[i].text, DATE_TEXT);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_and_dates),
        cmocka_unit_test(test_days_follow_each_other),
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
