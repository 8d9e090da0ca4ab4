/* Days, sums and cells of reports. */

#include "analytics/csv.h"
#include "analytics/metrics.h"
#include "analytics/range.h"
#include "tests/unit/test.h"

static void test_days(void **state)
{
    static const struct {
        const char *text;
        int32_t day; /* -1: none */
    } rows[] = {
        {"1970-01-01", 0},
        {"1970-03-01", 59},
        {"2000-02-29", 11016},
        {"2026-01-31", 20484},
        {"2024-02-29", 19782},
        {"9999-12-31", 2932896},
        {"2026-02-29", -1},
        {"2100-02-29", -1},
        {"2026-1-31", -1},
        {"20260131", -1},
        {"2026-00-10", -1},
        {"2026-13-01", -1},
        {"2026-04-31", -1},
        {"2026-01-00", -1},
        {" 2026-01-1", -1},
        {"2026-01-011", -1},
        {"0000-01-01", -1},
        {"2026/01/01", -1},
        {"", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int32_t day = -1;
        char back[DATE_TEXT];
        assert_int_equal(day_read(str_of(rows[i].text), &day), rows[i].day >= 0);
        assert_int_equal(day, rows[i].day);
        if (day < 0)
            continue;
        (void)date_put(back, day);
        assert_str(((struct str){back, DATE_TEXT}), rows[i].text);
    }
    for (int32_t day = -200000; day < 400000; day += 7) { /* there and back, leap years and all */
        char text[DATE_TEXT];
        int32_t back;
        (void)date_put(text, day);
        assert_true(day_read((struct str){text, DATE_TEXT}, &back));
        assert_int_equal(back, day);
    }
    assert_int_equal(day_of(-1), -1);
    assert_int_equal(day_of(INT64_C(86400000000)), 1);
}

static void test_ranges(void **state)
{
    static const struct {
        const char *from, *to, *why;
    } rows[] = {
        {"2026-01-01", "2026-01-01", NULL},
        {"2026-01-01", "2027-02-05", NULL}, /* 400 days */
        {NULL, "2026-01-01", "Please provide start_date and end_date"},
        {"2026-01-01", NULL, "Please provide start_date and end_date"},
        {"", "2026-01-01", "start_date and end_date must be valid YYYY-MM-DD dates"},
        {"2026-01-01", "2026-01-32", "start_date and end_date must be valid YYYY-MM-DD dates"},
        {"2026-01-02", "2026-01-01", "end_date must be on or after start_date"},
        {"2026-01-01", "2027-02-06", "Date range must be at most 400 days"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct day_range r;
        struct str from = str_of(rows[i].from), to = str_of(rows[i].to);
        const char *why = range_read_bounded(&r, from.p && !from.n ? STR("") : from, to);
        assert_str(str_of(why), rows[i].why ? rows[i].why : "");
    }
}

static void test_widening(void **state)
{
    const int64_t hour = INT64_C(3600000000);
    const int64_t now = 20484 * 24 * hour + 3 * hour; /* 2026-01-31 03:00 UTC */
    static const struct {
        const char *to;
        int timezone_min;
        const char *becomes;
    } rows[] = {
        {"2026-01-30", 480, "2026-01-31"}, /* Pacific: it is still the 30th */
        {"2026-01-29", 480, "2026-01-29"}, /* the past stays */
        {"2026-01-30", -60, "2026-01-30"}, /* east: their day is the 31st, the range ended */
        {"2026-01-31", -60, "2026-01-31"},    {"2026-02-01", 480, "2026-02-01"},
        {"2026-01-30", 999999, "2026-01-31"},
    };
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 4096 * 16);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct day_range r;
        assert_null(range_read(&r, STR("2026-01-01"), str_of(rows[i].to)));
        range_widen(&r, &a, rows[i].timezone_min, now);
        assert_str(r.to, rows[i].becomes);
    }
    arena_reset(&a);
}

static void test_dollars(void **state)
{
    static const struct {
        double usd;
        const char *text;
    } rows[] = {
        {0, "0.0"},
        {-0.0, "0.0"},
        {0.1 + 0.2, "0.3"},
        {1, "1.0"},
        {1e-9, "0.000000001"},
        {12.345678901, "12.345678901"},
        {1e-14, "0.0"},
        {-0.5, "-0.5"},
        {123456.789, "123456.789"},
        {1e17, "1e+17"},
        {0.000001234, "0.000001234"},
    };
    char out[USD_TEXT];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(usd_text(out, rows[i].usd), rows[i].text);
}

static void test_sums(void **state)
{
    struct metrics a = {.usd = {[USD_spend] = 0.1}, .count = {[COUNT_total_tokens] = 3}};
    struct metrics b = {.usd = {[USD_spend] = 0.2}, .count = {[COUNT_total_tokens] = INT64_MAX}};
    struct arena arena;

    (void)state;
    arena_init(&arena, NULL, 4096 * 16);
    metrics_add(&a, &a);
    metrics_add(&a, &(struct metrics){.usd = {[USD_spend] = 0.1}});
    struct jw w = jw_init(&arena);
    jw_obj(&w);
    metrics_put_totals(&w, &a);
    jw_end(&w);
    struct str json = jw_finish(&w);
    assert_true(str_find(json, STR("\"total_spend\":0.3,")) != SIZE_MAX);
    assert_true(str_find(json, STR("\"total_tokens\":6,")) != SIZE_MAX);
    assert_true(str_find(json, STR("\"total_response_time_ms\":0,")) != SIZE_MAX);
    assert_true(str_find(json, STR("total_total_")) == SIZE_MAX);
    metrics_add(&b, &b); /* wraps, without more harm */
    assert_int_equal(b.count[COUNT_total_tokens], -2);
    arena_reset(&arena);
}

static bool collect(void *ctx, struct str piece)
{
    struct str *all = ctx;

    assert_true(piece.n > 0 && piece.n <= JW_PIECE);
    all->n += piece.n;
    return true;
}

static void test_cells(void **state)
{
    struct arena a;
    struct str all = {0};

    (void)state;
    arena_init(&a, NULL, 1024 * 1024);
    struct jw w = jw_init(&a);
    struct csv c = csv_init(&w);
    csv_put(&c, STR("plain"));
    csv_put(&c, STR("=1+1"));
    csv_put(&c, STR("a \"b\", c"));
    csv_put(&c, STR("-2\r\n\""));
    csv_put(&c, (struct str){0});
    csv_put_i64(&c, -7);
    csv_end(&c);
    csv_put(&c, STR("@x"));
    csv_end(&c);
    assert_str(jw_finish(&w), "plain,'=1+1,\"a \"\"b\"\", c\",\"'-2\r\n\"\"\",,-7\r\n'@x\r\n");
    w = jw_init_sink(&a, collect, &all); /* far more than the arena holds */
    c = csv_init(&w);
    for (int i = 0; i < 100000; i++) {
        csv_put(&c, STR("twenty characters ab"));
        csv_end(&c);
    }
    struct str rest = jw_finish(&w);
    assert_int_equal(all.n + rest.n, 100000 * 22);
    assert_true(arena_ok(&a));
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_widening), cmocka_unit_test(test_dollars),
        cmocka_unit_test(test_sums),     cmocka_unit_test(test_cells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
