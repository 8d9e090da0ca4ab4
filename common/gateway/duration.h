#pragma once

/* Durations as LiteLLM writes them ("30s", "24h", "7d", "1mo"), and the moments they lead to. Pure;
 * times are microseconds since 1970 UTC. */

#include "common/str.h"

struct duration {
    uint32_t n;
    char unit; /* 's', 'm', 'h', 'd', 'w', or 'M' for months */
};

/*
 * A number and its unit; what follows is ignored, as LiteLLM ignores it ("24hr" is 24 hours), and
 * hourly, daily, weekly, monthly are 1h, 24h, 7d, 30d. False without a number or a unit.
 */
MUST_CHECK bool duration_parse(struct str s, struct duration *ret);

/* `from_us` moved on; months keep the day, or take the month's last. */
int64_t duration_after(struct duration d, int64_t from_us);

/* Its length in seconds, beginning at `from_us`. */
int64_t duration_seconds(struct duration d, int64_t from_us);

/* When a budget of this duration next begins anew (litellm-controlplane.md 5.5), in UTC: days at
 * midnight, 7d on Monday, 30d and 1mo on the first; hours, minutes, seconds at multiples. */
int64_t duration_next_reset(struct duration d, int64_t now_us);

/* The period of a budget at `now_us`, where one ends at `reset_us`: the next ones follow it in the
 * same rhythm (30d and months by the calendar). began_us is 0 while that one still runs; ends_us is
 * INT64_MAX without a duration that could be told. */
struct period {
    int64_t began_us, ends_us;
};
struct period duration_period(struct str duration, int64_t reset_us, int64_t now_us);
