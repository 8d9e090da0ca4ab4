#include "analytics/range.h"

static bool is_leap(int y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static int month_days(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[m - 1] + (m == 2 && is_leap(y));
}

/* The proleptic Gregorian calendar, years that begin in March. */
static int32_t days_from_civil(int y, int m, int d)
{
    y -= m <= 2;
    int era = y / 400, of_era = y % 400;
    int of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool digits(struct str s, size_t at, size_t n, int *ret)
{
    *ret = 0;
    for (size_t i = at; i < at + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *ret = 10 * *ret + (s.p[i] - '0');
    }
    return true;
}

bool day_read(struct str s, int32_t *ret_day)
{
    int y, m, d;

    if (s.n != DAY_TEXT || s.p[4] != '-' || s.p[7] != '-' || !digits(s, 0, 4, &y) ||
        !digits(s, 5, 2, &m) || !digits(s, 8, 2, &d))
        return false;
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > month_days(y, m))
        return false;
    *ret_day = days_from_civil(y, m, d);
    return true;
}

void day_write(char out[DAY_TEXT], int32_t day)
{
    int z = day + 719468;
    int era = z / 146097, of_era = z % 146097;
    int y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int of_year = of_era - (365 * y + y / 4 - y / 100), march = (5 * of_year + 2) / 153;
    int d = of_year - (153 * march + 2) / 5 + 1, m = march < 10 ? march + 3 : march - 9;
    char text[32];

    y += 400 * era + (m <= 2);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02d", y, m, d);
    memcpy(out, text, DAY_TEXT);
}

struct str day_text(struct arena *a, int32_t day)
{
    char text[DAY_TEXT];

    day_write(text, day);
    return arena_str(a, (struct str){text, sizeof text});
}

int32_t day_of(int64_t wall_us)
{
    int64_t day = wall_us / INT64_C(86400000000);

    return (int32_t)(wall_us % INT64_C(86400000000) < 0 ? day - 1 : day);
}

const char *range_read(struct day_range *ret, struct str from, struct str to)
{
    *ret = (struct day_range){.from = from, .to = to};
    if (!from.p || !to.p)
        return "Please provide start_date and end_date";
    if (!day_read(from, &ret->from_day) || !day_read(to, &ret->to_day))
        return "start_date and end_date must be valid YYYY-MM-DD dates";
    return ret->to_day < ret->from_day ? "end_date must be on or after start_date" : NULL;
}

const char *range_read_bounded(struct day_range *ret, struct str from, struct str to)
{
    const char *why = range_read(ret, from, to);

    static_assert(RANGE_DAYS_MAX == 400, "the text below says so");
    if (!why && ret->to_day - ret->from_day > RANGE_DAYS_MAX)
        why = "Date range must be at most 400 days";
    return why;
}

void range_widen(struct day_range *r, struct arena *a, int64_t timezone_min, int64_t wall_us)
{
    int64_t minutes = MIN(MAX(timezone_min, -1440), 1440);
    int32_t today = day_of(wall_us), theirs = day_of(wall_us - minutes * 60000000);

    if (r->to_day < theirs || today <= r->to_day)
        return;
    r->to_day = today;
    r->to = day_text(a, today);
}
