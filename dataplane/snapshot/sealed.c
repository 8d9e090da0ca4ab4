/* memfd_create, write, F_ADD_SEALS. */

#include "snapshot/sealed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum errc sealed_open(int *ret_fd, const char *what, struct err *e)
{
    int fd = memfd_create(what, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "%s: memfd_create", what);
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc sealed_write(int fd, const void *p, size_t n, const char *what, struct err *e)
{
    const char *at = p;

    while (n) {
        ssize_t put = write(fd, at, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_set(e, ERRC_SYS, errno, "%s: write", what);
        at += put;
        n -= (size_t)put;
    }
    return ERRC_OK;
}

enum errc sealed_finish(int fd, const char *what, struct err *e)
{
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return err_set(e, ERRC_SYS, errno, "%s: seal", what);
    return ERRC_OK;
}
