/* Years that begin in March, in eras of 400 of them, which have 146,097 days each: what a leap year
 * adds comes last. */

#include "common/date.h"

enum { ERA_YEARS = 400, ERA_DAYS = 146097, MARCH_0000 = -719468 };

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct date date_of_day(int64_t day)
{
    int64_t n = day - MARCH_0000, era = floor_div(n, ERA_DAYS), of_era = n - era * ERA_DAYS;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153; /* 0: March */
    unsigned civil = (unsigned)(month < 10 ? month + 3 : month - 9);

    return (struct date){.year = year + era * ERA_YEARS + (civil <= 2),
                         .month = civil,
                         .day = (unsigned)(of_year - (153 * month + 2) / 5 + 1)};
}

int64_t date_day(struct date d)
{
    int64_t year = d.year - (d.month <= 2), era = floor_div(year, ERA_YEARS);
    int64_t of_era = year - era * ERA_YEARS;
    int64_t of_year = (153 * ((d.month + 9) % 12) + 2) / 5 + d.day - 1;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year + MARCH_0000;
}

unsigned date_month_days(int64_t year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && is_leap);
}

static char *put_digits(char *p, uint64_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

char *date_put(char out[DATE_TEXT], int64_t day)
{
    struct date d = date_of_day(day);
    char *p = put_digits(out, (uint64_t)d.year, 4);

    *p++ = '-';
    p = put_digits(p, d.month, 2);
    *p++ = '-';
    return put_digits(p, d.day, 2);
}
