/* Address ranges as tables: what O-05 forbids, and where IPv6 hides an IPv4 address. */

#include "common/net/addr.h"

#include <arpa/inet.h>

struct range4 {
    uint32_t prefix; /* host order */
    unsigned bits;
    enum addr_reach reach;
};

static const struct range4 ranges4[] = {
    {0x00000000, 8, ADDR_PRIVATE},  /* 0/8: connects to this host */
    {0x0a000000, 8, ADDR_PRIVATE},  /* 10/8 */
    {0x64400000, 10, ADDR_PRIVATE}, /* 100.64/10 shared */
    {0x646464c8, 32, ADDR_NEVER},   /* 100.100.100.200 metadata */
    {0x7f000000, 8, ADDR_PRIVATE},  /* 127/8 */
    {0xa83f8110, 32, ADDR_NEVER},   /* 168.63.129.16 metadata */
    {0xa9fe0000, 16, ADDR_NEVER},   /* 169.254/16 link-local, metadata */
    {0xac100000, 12, ADDR_PRIVATE}, /* 172.16/12 */
    {0xc0000000, 24, ADDR_NEVER},   /* 192.0.0/24, metadata at .192 */
    {0xc0a80000, 16, ADDR_PRIVATE}, /* 192.168/16 */
    {0xc6120000, 15, ADDR_PRIVATE}, /* 198.18/15 benchmarks */
    {0xe0000000, 3, ADDR_NEVER},    /* 224/3 multicast, reserved, broadcast */
};

struct range6 {
    uint8_t prefix[16];
    unsigned bits;
    enum addr_reach reach;
};

static const struct range6 ranges6[] = {
    {{0}, 128, ADDR_PRIVATE},                                 /* :: connects to this host */
    {{[15] = 1}, 128, ADDR_PRIVATE},                          /* ::1 */
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, ADDR_PRIVATE},          /* 64:ff9b:1::/48, RFC 8215 */
    {{0xfc}, 7, ADDR_PRIVATE},                                /* fc00::/7 */
    {{0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}, 128, ADDR_NEVER}, /* fd00:ec2::23 */
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, ADDR_NEVER}, /* fd00:ec2::254 */
    {{0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}, 128, ADDR_NEVER}, /* fd20:ce::254 */
    {{0xfe, 0x80}, 10, ADDR_NEVER},                                        /* link-local */
    {{0xfe, 0xc0}, 10, ADDR_PRIVATE}, /* site-local, RFC 3879 */
    {{0xff}, 8, ADDR_NEVER},          /* multicast */
};

/* An IPv4 address at byte `at` of an IPv6 address with that prefix, its bits inverted by `mask`. */
struct embedding {
    uint8_t prefix[16];
    unsigned bits, at;
    uint32_t mask;
};

static const struct embedding embeddings[] = {
    {{0}, 96, 12, 0},                        /* ::a.b.c.d compatible */
    {{[10] = 0xff, [11] = 0xff}, 96, 12, 0}, /* ::ffff:a.b.c.d mapped */
    {{[8] = 0xff, [9] = 0xff}, 96, 12, 0},   /* ::ffff:0:a.b.c.d translated */
    {{0, 0x64, 0xff, 0x9b}, 96, 12, 0},      /* NAT64, RFC 6052 */
    {{0x20, 0x02}, 16, 2, 0},                /* 6to4, RFC 3056 */
    {{0x20, 0x01}, 32, 4, 0},                /* Teredo server, RFC 4380 */
    {{0x20, 0x01}, 32, 12, 0xffffffff},      /* Teredo client */
};

static bool prefix_matches(const uint8_t a[16], const uint8_t prefix[16], unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return memcmp(a, prefix, whole) == 0 &&
           (rest == 0 || ((a[whole] ^ prefix[whole]) >> (8 - rest)) == 0);
}

static enum addr_reach reach4(uint32_t a)
{
    enum addr_reach worst = ADDR_PUBLIC;

    for (size_t i = 0; i < ARRAY_LEN(ranges4); i++) {
        const struct range4 *r = &ranges4[i];
        if ((a ^ r->prefix) >> (32 - r->bits) == 0)
            worst = MAX(worst, r->reach);
    }
    return worst;
}

static enum addr_reach reach6(const uint8_t a[16])
{
    enum addr_reach worst = ADDR_PUBLIC;

    for (size_t i = 0; i < ARRAY_LEN(ranges6); i++)
        if (prefix_matches(a, ranges6[i].prefix, ranges6[i].bits))
            worst = MAX(worst, ranges6[i].reach);
    for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
        const struct embedding *m = &embeddings[i];
        uint32_t v4;

        if (!prefix_matches(a, m->prefix, m->bits))
            continue;
        memcpy(&v4, a + m->at, sizeof v4);
        enum addr_reach r = reach4(ntohl(v4) ^ m->mask);
        worst = MAX(worst, r);
    }
    return worst;
}

enum addr_reach addr_reach(const union addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return reach4(ntohl(a->v4.sin_addr.s_addr));
    if (a->sa.sa_family == AF_INET6)
        return reach6(a->v6.sin6_addr.s6_addr);
    return ADDR_NEVER;
}

bool addr_read(struct str host, uint16_t port, union addr *ret)
{
    char text[ADDR_TEXT];
    union addr a = {0};

    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct str){host.p + 1, host.n - 2};
    if (host.n == 0 || host.n >= sizeof text || memchr(host.p, '\0', host.n))
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET, text, &a.v4.sin_addr) == 1)
        a.v4.sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &a.v6.sin6_addr) == 1)
        a.v6.sin6_family = AF_INET6;
    else
        return false;
    addr_set_port(&a, port);
    *ret = a;
    return true;
}

void addr_put(const union addr *a, char out[ADDR_TEXT])
{
    const void *bytes = a->sa.sa_family == AF_INET6 ? (const void *)&a->v6.sin6_addr
                                                    : (const void *)&a->v4.sin_addr;

    if (!inet_ntop(a->sa.sa_family, bytes, out, ADDR_TEXT))
        memcpy(out, "?", 2);
}

bool addr_is_same_host(const union addr *a, const union addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family)
        return false;
    if (a->sa.sa_family == AF_INET6)
        return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
    return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
}

void addr_set_port(union addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}
