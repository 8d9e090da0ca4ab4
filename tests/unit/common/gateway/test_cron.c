/* Times of crontab, and when they come next. */

#include "common/gateway/cron.h"

#include "tests/unit/test.h"

static int64_t at(const char *text)
{
    struct tm tm = {0};

    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (int64_t)timegm(&tm) * 1000000;
}

static void test_next(void **state)
{
    static const struct {
        const char *cron, *from, *next; /* next NULL: never */
    } rows[] = {
        {"* * * * *", "2026-03-05 10:20:00", "2026-03-05 10:21:00"},
        {"* * * * *", "2026-03-05 10:20:59", "2026-03-05 10:21:00"},
        {"0 3 * * *", "2026-03-05 02:59:59", "2026-03-05 03:00:00"},
        {"0 3 * * *", "2026-03-05 03:00:00", "2026-03-06 03:00:00"},
        {"*/15 * * * *", "2026-03-05 10:44:30", "2026-03-05 10:45:00"},
        {"*/15 * * * *", "2026-12-31 23:45:00", "2027-01-01 00:00:00"},
        {"5/20 9-17/4 * * *", "2026-03-05 09:45:00", "2026-03-05 13:05:00"},
        {"0 0 * * 0", "2026-11-30 00:00:00", "2026-12-07 00:00:00"}, /* Mondays */
        {"0 0 * * mon", "2026-11-30 00:00:00", "2026-12-07 00:00:00"},
        {"0 0 * * SAT,sun", "2026-11-30 00:00:00", "2026-12-05 00:00:00"},
        {"30 1 1 jan *", "2026-01-01 01:30:00", "2027-01-01 01:30:00"},
        {"0 0 29 2 *", "2026-01-01 00:00:00", "2028-02-29 00:00:00"},
        {"0 0 29 feb *", "2096-03-01 00:00:00", "2104-02-29 00:00:00"}, /* 2100 has none */
        {"0 0 13 * fri", "2026-03-14 00:00:00", "2026-11-13 00:00:00"}, /* both */
        {"0 12 31 4,6 *", "2026-01-01 00:00:00", NULL},
        {"  1   2 3 4 *  ", "2026-01-01 00:00:00", "2026-04-03 02:01:00"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cron c;
        int64_t next = 0;
        if (!cron_parse(str_of(rows[i].cron), &c))
            fail_msg("%s is refused", rows[i].cron);
        assert_int_equal(cron_next(&c, at(rows[i].from), &next), rows[i].next != NULL);
        if (rows[i].next && next != at(rows[i].next))
            fail_msg("%s: %lld", rows[i].cron, (long long)(next - at(rows[i].next)) / 1000000);
    }
}

static void test_refused(void **state)
{
    static const char *const rows[] = {
        "",           "* * * *",        "* * * * * *",        "60 * * * *",
        "* 24 * * *", "* * 0 * *",      "* * 32 * *",         "* * * 13 *",
        "* * * * 7",  "*/0 * * * *",    "5-1 * * * *",        "1,,2 * * * *",
        "a * * * *",  "* * * * funday", "*/ * * * *",         "-1 * * * *",
        "@daily",     "1- * * * *",     "4294967296 * * * *",
    };
    struct cron c;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (cron_parse(str_of(rows[i]), &c))
            fail_msg("%s is taken", rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
