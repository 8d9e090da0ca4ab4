#pragma once

/* Two clocks that never meet: monotonic for durations, wall for dates. */

#include "common/base.h"

static inline uint64_t clock_mono_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail with this clock */
    return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* Microseconds since 1970 UTC. */
static inline int64_t clock_wall_us(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* What clock_mono_ns() gives, for functions that wait until then. */
static inline struct timespec clock_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

/* Milliseconds in nanoseconds, as clock_mono_ns() counts. */
static inline uint64_t clock_ms(uint64_t ms)
{
    return ms * UINT64_C(1000000);
}
