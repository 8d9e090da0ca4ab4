#pragma once

/*
 * Times as crontab writes them, "30 3 * * mon-fri", read as LiteLLM's scheduler reads them: five
 * fields which must all match (also day and weekday, where crontab takes either), Monday is 0. In
 * UTC. Pure; times are microseconds since 1970.
 */

#include "common/str.h"

struct cron {
    uint64_t minutes; /* a bit for each */
    uint32_t hours, days, months, weekdays;
};

/* Lists, ranges, steps and names ("1,5-9/2", "jan", "sun"). False for anything else. */
MUST_CHECK bool cron_parse(struct str s, struct cron *ret);

/* The first such minute behind `from_us`. False: none within eight years (the 30th of February). */
MUST_CHECK bool cron_next(const struct cron *c, int64_t from_us, int64_t *ret_us);
