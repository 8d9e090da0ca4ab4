#include "fake_dns.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test.h"

enum { HEADER = 12, TYPE_A = 1, TYPE_AAAA = 28, MESSAGE_MAX = 4096 };

static unsigned char *put16(unsigned char *at, unsigned v)
{
    *at++ = (unsigned char)(v >> 8);
    *at++ = (unsigned char)v;
    return at;
}

/* RFC 1035 4.1.3, the name as a pointer to the question. */
static unsigned char *put_answers(struct fake_dns *d, unsigned char *at, unsigned type,
                                  unsigned *count)
{
    const char *const *rows = type == TYPE_A ? d->v4 : type == TYPE_AAAA ? d->v6 : NULL;
    size_t size = type == TYPE_A ? 4 : 16;

    for (; rows && *rows; rows++, (*count)++) {
        at = put16(at, 0xc000 | HEADER);
        at = put16(at, type);
        at = put16(at, 1);
        at = put16(at, d->ttl_s >> 16);
        at = put16(at, d->ttl_s & 0xffff);
        at = put16(at, (unsigned)size);
        assert_int_equal(inet_pton(type == TYPE_A ? AF_INET : AF_INET6, *rows, at), 1);
        at += size;
    }
    return at;
}

static void on_query(uv_poll_t *poll, int status, int events)
{
    struct fake_dns *d = poll->data;
    unsigned char m[MESSAGE_MAX];
    struct sockaddr_in from;
    socklen_t from_n = sizeof from;
    size_t at = HEADER;
    unsigned count = 0;

    (void)status;
    (void)events;
    ssize_t n = recvfrom(d->fd, m, 512, 0, (struct sockaddr *)&from, &from_n);
    if (n < HEADER)
        return;
    while (at < (size_t)n && m[at])
        at += m[at] + 1u;
    at += 5; /* root, type, class */
    assert_true(at <= (size_t)n);
    unsigned type = m[at - 4] << 8 | m[at - 3];
    d->n_v4 += type == TYPE_A;
    d->n_v6 += type == TYPE_AAAA;
    if (d->mode == FAKE_DNS_SILENT)
        return;
    unsigned char *end = m + at;
    if (d->mode == FAKE_DNS_ANSWER)
        end = put_answers(d, end, type, &count);
    (void)put16(m + 2, 0x8180 | (d->mode == FAKE_DNS_NXDOMAIN ? 3 : 0));
    (void)put16(m + 6, count);
    memset(m + 8, 0, 4); /* neither authority nor additional */
    (void)sendto(d->fd, m, (size_t)(end - m), 0, (struct sockaddr *)&from, from_n);
}

void fake_dns_open(struct fake_dns *d, uv_loop_t *loop)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;

    *d = (struct fake_dns){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    assert_true(d->fd >= 0);
    assert_int_equal(bind(d->fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(getsockname(d->fd, (struct sockaddr *)&a, &n), 0);
    (void)snprintf(d->server, sizeof d->server, "127.0.0.1:%u", ntohs(a.sin_port));
    assert_int_equal(uv_poll_init(loop, &d->poll, d->fd), 0);
    d->poll.data = d;
    assert_int_equal(uv_poll_start(&d->poll, UV_READABLE, on_query), 0);
}

void fake_dns_close(struct fake_dns *d)
{
    (void)uv_poll_stop(&d->poll);
    uv_close((uv_handle_t *)&d->poll, NULL);
    close(d->fd);
}
