/* Lines to standard error, one write each so that processes sharing it do not interleave. */

#include "common/log.h"

#include <unistd.h>

static struct {
    char who[24];
    enum log_level most;
} log_ctx = {"weir", LOG_INFO};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_init(const char *who, enum log_level most)
{
    (void)snprintf(log_ctx.who, sizeof log_ctx.who, "%s", who); /* a cut name is still a name */
    log_ctx.most = most;
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char line[1024];
    struct timespec now;
    struct tm utc;
    va_list ap;

    if (level > log_ctx.most)
        return;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    size_t n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    int more = snprintf(line + n, sizeof line - n, ".%03ldZ %s %s: %s", now.tv_nsec / 1000000,
                        level_names[level], log_ctx.who, event);
    n += more > 0 ? (size_t)more : 0;
    if (fmt[0] && n < sizeof line - 2) {
        line[n++] = ' ';
        va_start(ap, fmt);
        more = vsnprintf(line + n, sizeof line - n, fmt, ap);
        va_end(ap);
        n += more > 0 ? (size_t)more : 0;
    }
    n = MIN(n, sizeof line - 1);
    for (size_t i = 0; i < n; i++) /* a value with a line break must not forge a line */
        if ((unsigned char)line[i] < 0x20)
            line[i] = ' ';
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0)
        return; /* nobody left to tell */
}
