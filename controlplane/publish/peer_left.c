/*
 * nng before 1.6 takes EPIPE of a peer that left during the greeting or the handshake for its
 * own listener closed, and accepts nobody any more. Its calls come here before they reach libc,
 * and a peer that left is ECONNRESET, after which it accepts the next. Part of the program, not
 * of a library: what libraries define is hidden from nng.
 */

#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define BEFORE_LIBC __attribute__((visibility("default"), used))

static ssize_t peer_left(long n)
{
    if (n < 0 && errno == EPIPE)
        errno = ECONNRESET;
    return n;
}

BEFORE_LIBC ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    return peer_left(syscall(SYS_sendmsg, fd, m, flags));
}

BEFORE_LIBC ssize_t readv(int fd, const struct iovec *v, int n)
{
    return peer_left(syscall(SYS_readv, fd, v, n));
}
