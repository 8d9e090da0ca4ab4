#include "api/span.h"

#include "common/clock.h"
#include "common/num.h"

#include "api/reply.h"

#define DAY_US INT64_C(86400000000)

bool span_is_day(struct str s)
{
    static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t year, month, day;

    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' || !num_u32((struct str){s.p, 4}, &year) ||
        !num_u32((struct str){s.p + 5, 2}, &month) || !num_u32((struct str){s.p + 8, 2}, &day))
        return false;
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return year && month >= 1 && month <= 12 && day >= 1 && day <= days[month - 1] &&
           (month != 2 || day < 29 || is_leap);
}

static bool read_day(struct call *c, struct str *ret, const char *name, int64_t dflt_us)
{
    struct str s = in_text(c, name);

    if (!s.n)
        s = (struct str){store_time(&c->store, dflt_us).p, 10};
    if (!span_is_day(s)) {
        refuse(c, 400, "%s: a day is needed, as 2026-01-31", name);
        return false;
    }
    *ret = s;
    return true;
}

bool span_read(struct call *c, struct span *ret, unsigned days)
{
    int64_t now = clock_wall_us();

    if (!read_day(c, &ret->to, "to", now) || !read_day(c, &ret->from, "from", now - days * DAY_US))
        return false;
    if (memcmp(ret->from.p, ret->to.p, ret->to.n) > 0) {
        refuse(c, 400, "to: it is before from");
        return false;
    }
    return true;
}
