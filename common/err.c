/* Errors as values: a class, an errno and a sentence. */

#include "common/err.h"

static const char *const errc_names[] = {
    [ERRC_OK] = "ok",           [ERRC_NOMEM] = "nomem", [ERRC_LIMIT] = "limit",
    [ERRC_INVALID] = "invalid", [ERRC_PROTO] = "proto", [ERRC_CLOSED] = "closed",
    [ERRC_TIMEOUT] = "timeout", [ERRC_SYS] = "sys",
};

enum errc err_set(struct err *e, enum errc code, int sys, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    e->code = code;
    e->sys = sys;
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (sys && n >= 0 && (size_t)n < sizeof e->msg)
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %s", strerror(sys));
    return code;
}

enum errc err_wrap(struct err *e, const char *fmt, ...)
{
    char was[sizeof e->msg];
    va_list ap;

    memcpy(was, e->msg, sizeof was);
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof e->msg)
        (void)snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %.*s",
                       (int)(sizeof e->msg - (size_t)n), was);
    return e->code;
}

const char *errc_name(enum errc code)
{
    return (size_t)code < ARRAY_LEN(errc_names) ? errc_names[code] : "unknown";
}
