#pragma once

/*
 * Socket addresses: read from text, written to text, and the one question asked before every
 * connect: may we go there (threats O-04 to O-06).
 */

#include <netinet/in.h>

#include "common/str.h"

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* Who may be dialled. Ordered: an address that embeds another counts as the worse of the two. */
enum addr_reach {
    ADDR_PUBLIC,
    ADDR_PRIVATE, /* private, loopback, "this host": only what the operator configured */
    ADDR_NEVER,   /* link-local, metadata services, multicast, reserved: nobody */
};

/*
 * The reach of an IPv4 or IPv6 address; the port plays no part. IPv4 inside IPv6 (mapped,
 * compatible, translated, 6to4, NAT64, Teredo) is looked at too. Other families: ADDR_NEVER.
 */
enum addr_reach addr_reach(const union addr *a);

static inline bool addr_is_allowed(const union addr *a, bool is_private_ok)
{
    return addr_reach(a) <= (is_private_ok ? ADDR_PRIVATE : ADDR_PUBLIC);
}

/*
 * Reads a numeric address: dotted quad in plain decimal, IPv6 with or without brackets; no zone.
 * False on anything else (names, 0x7f000001, 127.1), *ret untouched. `port` in host order.
 */
MUST_CHECK bool addr_read(struct str host, uint16_t port, union addr *ret);

/* Writes the address without port to `out`, NUL-terminated; ADDR_TEXT bytes are enough. */
enum { ADDR_TEXT = INET6_ADDRSTRLEN };
void addr_put(const union addr *a, char out[ADDR_TEXT]);

/* Same family and address; ports do not count. */
bool addr_is_same_host(const union addr *a, const union addr *b);

/* Port in host order. */
void addr_set_port(union addr *a, uint16_t port);

static inline socklen_t addr_size(const union addr *a)
{
    return a->sa.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}
