/* The directories and the lock of an instance. */

#include "manager/places.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/str.h"

enum errc places_find(struct places *p, struct err *e)
{
    enum errc rc = place_state(p->state_dir, e);

    if (!rc)
        rc = place_run(p->run_dir, e);
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
