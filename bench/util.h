#pragma once

/* What the mock upstream and the load generator share: clock, exit with a message, numbers,
 * sockets. */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull
#define NS_PER_US 1000ull

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Ends the process: a benchmark that cannot do what it was told has no result. */
#define die(...)                                                                                   \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fputc('\n', stderr);                                                                       \
        exit(2);                                                                                   \
    } while (0)

/* CLOCK_MONOTONIC in nanoseconds: the same clock in every process of the machine. */
static inline uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* Reads decimal digits up to `end`; false without a digit or above 10^18. *p is left behind them.
 */
static inline bool digits_read(const char **p, const char *end, uint64_t *ret)
{
    uint64_t v = 0;
    const char *q = *p;

    for (; q < end && *q >= '0' && *q <= '9'; q++) {
        if (v > 100000000000000000ull)
            return false;
        v = v * 10 + (uint64_t)(*q - '0');
    }
    if (q == *p)
        return false;
    *p = q;
    *ret = v;
    return true;
}

/* A whole option value as a number, or the end of the process. */
static inline uint64_t number_arg(const char *name, const char *s)
{
    const char *p = s;
    uint64_t v = 0;

    if (!digits_read(&p, s + strlen(s), &v) || *p)
        die("--%s: not a number: %s", name, s);
    return v;
}

static inline void *xalloc(size_t count, size_t size)
{
    void *p = calloc(count, size);

    if (!p)
        die("out of memory");
    return p;
}

static inline void socket_nodelay(int fd)
{
    const int one = 1;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one,
                     sizeof(one)); /* slower without, not wrong */
}
