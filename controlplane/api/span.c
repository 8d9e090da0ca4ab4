#include "api/span.h"

#include "common/clock.h"

#include "analytics/range.h"
#include "api/reply.h"

static bool read_day(struct call *c, struct str *ret, const char *name, int32_t dflt)
{
    struct str s = in_text(c, name);
    int32_t day;

    *ret = s.n ? s : day_text(&c->arena, dflt);
    if (!s.n || day_read(s, &day))
        return true;
    refuse(c, 400, "%s: a day is needed, as 2026-01-31", name);
    return false;
}

bool span_read(struct call *c, struct span *ret, int32_t days)
{
    int32_t today = day_of(clock_wall_us());

    if (!read_day(c, &ret->to, "to", today) || !read_day(c, &ret->from, "from", today - days))
        return false;
    if (ret->to.n && memcmp(ret->from.p, ret->to.p, ret->to.n) > 0) {
        refuse(c, 400, "to: it is before from");
        return false;
    }
    return true;
}
