/* Listening sockets. */

#include "manager/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

static bool is_loopback(const union address *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) && a->in6.sin6_addr.s6_addr[12] == 127);
}

static socklen_t length_of(const union address *a)
{
    return a->sa.sa_family == AF_INET ? sizeof a->in : sizeof a->in6;
}

static void print(char out[LISTEN_TEXT], const union address *a)
{
    char ip[INET6_ADDRSTRLEN];

    if (a->sa.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof ip);
        (void)snprintf(out, LISTEN_TEXT, "%s:%u", ip, ntohs(a->in.sin_port));
    } else {
        (void)inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof ip);
        (void)snprintf(out, LISTEN_TEXT, "[%s]:%u", ip, ntohs(a->in6.sin6_port));
    }
}

static bool read_literal(union address *a, const char *host, uint16_t port)
{
    *a = (union address){0};
    if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons(port);
        return true;
    }
    if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons(port);
        return true;
    }
    return false;
}

static enum errc open_one(struct listeners *l, const union address *a, struct err *e)
{
    const int on = 1, off = 0;
    union address bound;
    socklen_t len = sizeof bound;
    char text[LISTEN_TEXT];

    print(text, a);
    if (l->n == LISTEN_MAX)
        return err_set(e, ERRC_LIMIT, 0, "more than %d addresses to listen on", LISTEN_MAX);
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "listen on %s", text);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        (a->sa.sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
        bind(fd, &a->sa, length_of(a)) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, &bound.sa, &len) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "listen on %s", text);
        close(fd);
        return rc;
    }
    print(l->text[l->n], &bound);
    l->fd[l->n++] = fd;
    return ERRC_OK;
}

static enum errc open_checked(struct listeners *l, const union address *a, const char *host,
                              bool loopback_only, struct err *e)
{
    if (loopback_only && !is_loopback(a))
        return err_set(e, ERRC_INVALID, 0,
                       "will not listen on %s without a master key: anybody could use the "
                       "providers' credentials; set general_settings.master_key or "
                       "LITELLM_MASTER_KEY, or listen on 127.0.0.1",
                       host);
    return open_one(l, a, e);
}

/* Names go through the system's resolver: at start, in the manager, it may block. */
static enum errc open_named(struct listeners *l, const char *host, uint16_t port,
                            bool loopback_only, struct err *e)
{
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM}, *list;
    enum errc rc = ERRC_OK;
    char service[8];

    (void)snprintf(service, sizeof service, "%u", port);
    int gai = getaddrinfo(host, service, &hints, &list);
    if (gai != 0)
        return err_set(e, ERRC_INVALID, 0, "address to listen on, %s: %s", host, gai_strerror(gai));
    for (const struct addrinfo *ai = list; ai && !rc; ai = ai->ai_next) {
        union address a = {0};
        memcpy(&a, ai->ai_addr, MIN(ai->ai_addrlen, sizeof a));
        rc = open_checked(l, &a, host, loopback_only, e);
    }
    freeaddrinfo(list);
    return rc;
}

enum errc listen_open(struct listeners *l, const char *host, uint16_t port, bool loopback_only,
                      struct err *e)
{
    union address a;

    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (read_literal(&a, host, port))
        return open_checked(l, &a, host, loopback_only, e);
    return open_named(l, host, port, loopback_only, e);
}

bool listen_is_loopback(const struct listeners *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        union address a = {0};
        socklen_t len = sizeof a;
        if (getsockname(l->fd[i], &a.sa, &len) != 0 || !is_loopback(&a))
            return false;
    }
    return true;
}
