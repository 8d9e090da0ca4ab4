/* The directories and the lock of an instance. */

#include "manager/places.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/str.h"

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

static enum errc find_state(char *out, struct err *e)
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

static enum errc find_run(char *out, const char *state_dir, struct err *e)
{
    enum errc rc = from_env(out, "WEIR_RUN_DIR", "RUNTIME_DIRECTORY", e);

    if (rc != ERRC_CLOSED)
        return rc;
    rc = set_path(out, "/run/weir", "", e);
    if (!rc && !make_dirs(out, e))
        return ERRC_OK;
    rc = set_path(out, state_dir, "/run", e);
    return rc ? rc : make_dirs(out, e);
}

enum errc places_find(struct places *p, struct err *e)
{
    enum errc rc = find_state(p->state_dir, e);

    if (!rc)
        rc = find_run(p->run_dir, p->state_dir, e);
    if (rc)
        return rc;
    size_t socket = strlen(p->run_dir) + strlen("/manager.sock");
    if (socket > PLACE_SOCKET_MAX)
        return err_set(e, ERRC_LIMIT, 0,
                       "run directory %s is too long: %s/manager.sock would have %zu bytes, a "
                       "socket may have %d; set WEIR_RUN_DIR",
                       p->run_dir, p->run_dir, socket, PLACE_SOCKET_MAX);
    if (setenv("WEIR_STATE_DIR", p->state_dir, 1) != 0 ||
        setenv("WEIR_RUN_DIR", p->run_dir, 1) != 0)
        return err_set(e, ERRC_NOMEM, 0, "environment");
    return ERRC_OK;
}

enum errc places_lock(struct places *p, struct err *e)
{
    char path[PLACE_MAX + 8], pid[24] = "";

    (void)snprintf(path, sizeof path, "%s/lock", p->run_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int sys = errno;
        ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
        close(fd);
        if (sys != EWOULDBLOCK)
            return err_set(e, ERRC_SYS, sys, "lock %s", path);
        pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
        return err_set(e, ERRC_LIMIT, 0,
                       "already running here: process %s has %s; another instance needs its own "
                       "WEIR_RUN_DIR and WEIR_STATE_DIR",
                       pid[0] ? pid : "(unknown)", path);
    }
    int n = snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "write %s", path);
        close(fd);
        return rc;
    }
    p->lock_fd = fd;
    return ERRC_OK;
}
