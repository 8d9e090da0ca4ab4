#include "common/place.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes `path` and what is missing above it. */
static enum errc make_dirs(const char *path, struct err *e)
{
    char part[PLACE_MAX];

    for (size_t n = 1; path[n - 1]; n++) {
        if (path[n] != '/' && path[n] != '\0')
            continue;
        (void)snprintf(part, sizeof part, "%.*s", (int)n, path); /* fits: path did */
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return err_set(e, ERRC_SYS, errno, "make directory %s", part);
    }
    if (access(path, W_OK | X_OK) != 0)
        return err_set(e, ERRC_SYS, errno, "write to directory %s", path);
    return ERRC_OK;
}

/* Copies the first of a colon-separated list, as systemd gives them. */
static enum errc set_path(char *out, const char *first, const char *below, struct err *e)
{
    int n = snprintf(out, PLACE_MAX, "%.*s%s", (int)strcspn(first, ":"), first, below);

    if (n < 0 || n >= PLACE_MAX)
        return err_set(e, ERRC_LIMIT, 0, "path of %zu bytes is too long: %.80s...", strlen(first),
                       first);
    if (out[0] != '/')
        return err_set(e, ERRC_INVALID, 0, "not an absolute path: %s", out);
    return ERRC_OK;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);

    return v && v[0] ? v : NULL;
}

/* The directory named by either variable; ERRC_CLOSED when neither is set. */
static enum errc from_env(char *out, const char *ours, const char *systemd, struct err *e)
{
    const char *v = env(ours);

    v = v ? v : env(systemd);
    if (!v)
        return ERRC_CLOSED;
    enum errc rc = set_path(out, v, "", e);
    return rc ? rc : make_dirs(out, e);
}

enum errc place_state(char out[PLACE_MAX], struct err *e)
{
    enum errc rc = from_env(out, "WEIR_STATE_DIR", "STATE_DIRECTORY", e);

    if (rc != ERRC_CLOSED)
        return rc;
    rc = set_path(out, "/var/lib/weir", "", e);
    if (!rc && !make_dirs(out, e))
        return ERRC_OK;
    const char *home = env("HOME");
    if (!home)
        return err_set(e, ERRC_INVALID, 0,
                       "no directory for state: /var/lib/weir cannot be written, HOME is not set; "
                       "set WEIR_STATE_DIR");
    rc = set_path(out, home, "/.local/state/weir", e);
    return rc ? rc : make_dirs(out, e);
}

enum errc place_run(char out[PLACE_MAX], struct err *e)
{
    char state[PLACE_MAX];
    enum errc rc = from_env(out, "WEIR_RUN_DIR", "RUNTIME_DIRECTORY", e);

    if (rc != ERRC_CLOSED)
        return rc;
    rc = set_path(out, "/run/weir", "", e);
    if (!rc && !make_dirs(out, e))
        return ERRC_OK;
    rc = place_state(state, e);
    if (!rc)
        rc = set_path(out, state, "/run", e);
    return rc ? rc : make_dirs(out, e);
}
