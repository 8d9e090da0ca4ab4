#include "analytics/range.h"

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

    if (s.n != DATE_TEXT || s.p[4] != '-' || s.p[7] != '-' || !digits(s, 0, 4, &y) ||
        !digits(s, 5, 2, &m) || !digits(s, 8, 2, &d))
        return false;
    struct date date = {y, (unsigned)m, (unsigned)d};
    if (y < 1 || m < 1 || m > 12 || d < 1 || date.day > date_month_days(y, date.month))
        return false;
    *ret_day = (int32_t)date_day(date);
    return true;
}

struct str day_text(struct arena *a, int32_t day)
{
    char text[DATE_TEXT];

    (void)date_put(text, day);
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
