#include "common/gateway/cron.h"

#include <time.h>

#include "common/num.h"

enum { DAY_S = 24 * 3600, DAYS_MAX = 8 * 366 + 2 /* over 1900 or 2100, which lack a leap day */ };

static const struct field {
    uint32_t min, max;
    const char *names; /* of `min` and those behind it */
} fields[] = {
    {0, 59, ""},
    {0, 23, ""},
    {1, 31, ""},
    {1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
    {0, 6, "mon tue wed thu fri sat sun"},
};

static bool read_value(const struct field *f, struct str s, uint32_t *ret)
{
    struct str name, rest = str_of(f->names);
    uint32_t at = f->min;

    while (rest.n) {
        (void)str_cut(rest, ' ', &name, &rest); /* the last one is all of it */
        if (str_ieq(name, s)) {
            *ret = at;
            return true;
        }
        at++;
    }
    return num_u32(s, ret) && *ret >= f->min && *ret <= f->max;
}

/* "*", "a", "a-b", each perhaps with "/step" behind it. */
static bool read_range(const struct field *f, struct str s, uint64_t *bits)
{
    struct str range = s, step_text, first, last;
    uint32_t from = f->min, to = f->max, step = 1;
    bool has_step = str_cut(s, '/', &range, &step_text);

    if (has_step && (!num_u32(step_text, &step) || !step))
        return false;
    if (!has_step)
        range = s;
    if (!str_eq(range, STR("*"))) {
        bool is_range = str_cut(range, '-', &first, &last);
        if (!read_value(f, is_range ? first : range, &from))
            return false;
        to = has_step ? f->max : from; /* "5/10": from 5 on */
        if (is_range && !read_value(f, last, &to))
            return false;
    }
    if (from > to)
        return false;
    for (uint64_t i = from; i <= to; i += step)
        *bits |= UINT64_C(1) << i;
    return true;
}

static bool read_field(const struct field *f, struct str s, uint64_t *bits)
{
    struct str one;
    bool more;

    *bits = 0;
    do {
        more = str_cut(s, ',', &one, &s);
        if (!read_range(f, one, bits))
            return false;
    } while (more);
    return true;
}

bool cron_parse(struct str s, struct cron *ret)
{
    uint64_t bits[ARRAY_LEN(fields)];
    struct str rest = str_trim(s), one;

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        bool more = str_cut(rest, ' ', &one, &rest);
        if (more != (i + 1 < ARRAY_LEN(fields)) || !read_field(&fields[i], one, &bits[i]))
            return false;
        rest = str_trim(rest);
    }
    *ret = (struct cron){bits[0], (uint32_t)bits[1], (uint32_t)bits[2], (uint32_t)bits[3],
                         (uint32_t)bits[4]};
    return true;
}

static bool day_matches(const struct cron *c, const struct tm *t)
{
    return (c->months >> (t->tm_mon + 1) & 1) && (c->days >> t->tm_mday & 1) &&
           (c->weekdays >> ((t->tm_wday + 6) % 7) & 1);
}

bool cron_next(const struct cron *c, int64_t from_us, int64_t *ret_us)
{
    int64_t at = from_us / 1000000 / 60 * 60 + 60; /* the first minute that may be it */

    for (unsigned i = 0; i < DAYS_MAX; i++) {
        time_t day = at / DAY_S * DAY_S;
        struct tm t;
        if (!gmtime_r(&day, &t))
            return false;
        for (; day_matches(c, &t) && at < day + DAY_S; at += 60) {
            int64_t minute = (at - day) / 60;
            if ((c->hours >> (minute / 60) & 1) && (c->minutes >> (minute % 60) & 1)) {
                *ret_us = at * 1000000;
                return true;
            }
        }
        at = day + DAY_S;
    }
    return false;
}
