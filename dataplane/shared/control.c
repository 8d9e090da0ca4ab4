/* One datagram, one descriptor: SCM_RIGHTS over SOCK_SEQPACKET. */

#include "shared/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_space { /* aligned as a control message must be */
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

enum errc control_send(int fd, const struct control_msg *m, int pass_fd, struct err *e)
{
    union fd_space space = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (pass_fd >= 0) {
        msg.msg_control = space.bytes;
        msg.msg_controllen = sizeof space.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof pass_fd);
        memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
    }
    do
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t)sizeof *m)
        return ERRC_OK;
    if (n < 0 && errno == EAGAIN)
        return err_set(e, ERRC_LIMIT, 0, "the peer does not read its messages");
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
        return err_set(e, ERRC_CLOSED, 0, "the peer is gone");
    return err_set(e, ERRC_SYS, n < 0 ? errno : EIO, "send a message of type %u", m->type);
}

enum errc control_recv(int fd, struct control_msg *ret_m, int *ret_fd, struct err *e)
{
    union fd_space space = {0};
    struct iovec iov = {.iov_base = ret_m, .iov_len = sizeof *ret_m};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = space.bytes,
                         .msg_controllen = sizeof space.bytes};
    ssize_t n;

    *ret_fd = -1;
    do
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return err_set(e, ERRC_TIMEOUT, 0, "no message");
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return err_set(e, ERRC_CLOSED, 0, "the peer is gone");
    if (n < 0)
        return err_set(e, ERRC_SYS, errno, "receive a message");
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    if (n != (ssize_t)sizeof *ret_m || ret_m->type >= CONTROL_TYPES) {
        if (*ret_fd >= 0)
            close(*ret_fd);
        *ret_fd = -1;
        return err_set(e, ERRC_PROTO, 0, "a message of %zd bytes, type %u", n, ret_m->type);
    }
    ret_m->text[sizeof ret_m->text - 1] = '\0';
    return ERRC_OK;
}
