#pragma once

/*
 * The days of a report: start_date and end_date as LiteLLM's analytics take them, which is
 * YYYY-MM-DD in ASCII digits and nothing else, both days included. Pure.
 */

#include "common/arena.h"
#include "common/date.h"

enum { RANGE_DAYS_MAX = 400 };

struct day_range {
    struct str from, to;      /* as they were sent */
    int32_t from_day, to_day; /* since 1970-01-01 */
};

/* False: not a day of the calendar, or another way to write it. */
MUST_CHECK bool day_read(struct str s, int32_t *ret_day);
struct str day_text(struct arena *a, int32_t day);
/* Of microseconds since 1970 UTC. */
int32_t day_of(int64_t wall_us);

/* NULL, or why not, for a 400. An absent date has p NULL. */
MUST_CHECK const char *range_read(struct day_range *ret, struct str from, struct str to);
/* The same, and at most RANGE_DAYS_MAX days between them. */
MUST_CHECK const char *range_read_bounded(struct day_range *ret, struct str from, struct str to);

/*
 * The range of a caller `timezone_min` west of UTC (JavaScript's sign) that ends on their present
 * day, or later, also takes in UTC's present day.
 */
void range_widen(struct day_range *r, struct arena *a, int64_t timezone_min, int64_t wall_us);
