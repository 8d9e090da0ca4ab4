#include "common/gateway/duration.h"

#include "common/date.h"
#include "common/num.h"

#define SECOND_US INT64_C(1000000)
#define DAY_S     INT64_C(86400)

enum { YEARS_MAX = 10000 }; /* enough for anybody, and keeps the arithmetic in bounds */

/* Of every unit but months. */
static int64_t unit_seconds(char unit)
{
    return unit == 's'   ? 1
           : unit == 'm' ? 60
           : unit == 'h' ? 3600
           : unit == 'd' ? DAY_S
                         : 7 * DAY_S;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

bool duration_parse(struct str s, struct duration *ret)
{
    static const struct {
        struct str word, means;
    } words[] = {
        {STR_INIT("hourly"), STR_INIT("1h")},
        {STR_INIT("daily"), STR_INIT("24h")},
        {STR_INIT("weekly"), STR_INIT("7d")},
        {STR_INIT("monthly"), STR_INIT("30d")},
    };
    struct duration d = {0};
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(str_trim(s), words[i].word))
            s = words[i].means;
    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    if (!num_u32((struct str){s.p, n}, &d.n) || n == s.n)
        return false;
    if (str_starts(str_from(s, n), STR("mo")))
        d.unit = 'M';
    else if (memchr("smhdw", s.p[n], 5))
        d.unit = s.p[n];
    if (!d.unit ||
        d.n > (d.unit == 'M' ? YEARS_MAX * 12 : YEARS_MAX * 365 * DAY_S / unit_seconds(d.unit)))
        return false;
    *ret = d;
    return true;
}

int64_t duration_after(struct duration d, int64_t from_us)
{
    if (d.unit != 'M')
        return from_us + (int64_t)d.n * unit_seconds(d.unit) * SECOND_US;
    int64_t days = floor_div(from_us, DAY_S * SECOND_US);
    int64_t time_us = from_us - days * DAY_S * SECOND_US;
    struct date date = date_of_day(days);
    int64_t months = date.year * 12 + date.month - 1 + d.n;
    date.year = floor_div(months, 12);
    date.month = (unsigned)(months - date.year * 12) + 1;
    date.day = MIN(date.day, date_month_days(date.year, date.month));
    return date_day(date) * DAY_S * SECOND_US + time_us;
}

int64_t duration_seconds(struct duration d, int64_t from_us)
{
    return (duration_after(d, from_us) - from_us) / SECOND_US;
}

/* The next multiple of `n` behind `at` of a clock's field. */
static int64_t next_multiple(int64_t at, uint32_t n)
{
    return at - at % n + n;
}

int64_t duration_next_reset(struct duration d, int64_t now_us)
{
    int64_t now = floor_div(now_us, SECOND_US), days = floor_div(now, DAY_S);
    int64_t second = now - days * DAY_S, hour = second / 3600, minute = second / 60 % 60, next;
    uint32_t n = d.unit == 'w' ? d.n * 7 : d.n;

    if (!n)
        return now_us;
    switch (d.unit) {
    case 'h':
        next = next_multiple(hour, n);
        return (next >= 24 ? (days + 1) * DAY_S + next % 24 * 3600 : days * DAY_S + next * 3600) *
               SECOND_US;
    case 'm':
        next = hour * 60 + next_multiple(minute, n);
        return (days * DAY_S + next * 60) * SECOND_US;
    case 's':
        next = second - second % 60 + next_multiple(second % 60, n);
        return (days * DAY_S + next) * SECOND_US;
    case 'd':
    case 'w':
        if (n == 1)
            return (days + 1) * DAY_S * SECOND_US;
        if (n == 7) /* 1970-01-01 was a Thursday: Mondays are days 4, 11 ... */
            return (days + 7 - (days + 3) % 7) * DAY_S * SECOND_US;
        if (n != 30)
            return (days + n) * DAY_S * SECOND_US;
        break;
    default:
        break;
    }
    /* months, and 30d: the first of the next one */
    struct date date = date_of_day(days);
    return (days + 1 + date_month_days(date.year, date.month) - date.day) * DAY_S * SECOND_US;
}

struct period duration_period(struct str duration, int64_t reset_us, int64_t now_us)
{
    struct period p = {0, reset_us};
    struct duration d;

    if (now_us < reset_us)
        return p;
    if (!duration_parse(duration, &d) || !d.n)
        return (struct period){reset_us, INT64_MAX};
    if (d.unit == 'd' && d.n == 30)
        d = (struct duration){1, 'M'};
    if (d.unit == 'M') /* counted from the first one: the 31st comes back after a shorter month */
        for (uint32_t n = d.n; p.ends_us <= now_us; n += d.n) {
            p.began_us = p.ends_us;
            p.ends_us = duration_after((struct duration){n, 'M'}, reset_us);
        }
    int64_t length_us = d.unit == 'M' ? 0 : (int64_t)d.n * unit_seconds(d.unit) * SECOND_US;
    if (length_us) {
        p.began_us = now_us - (now_us - reset_us) % length_us;
        p.ends_us = p.began_us + length_us;
    }
    return p;
}
