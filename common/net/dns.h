#pragma once

/*
 * Names to addresses without blocking: c-ares on the loop, a cache with real times to live, one
 * query per name under way however many wait for it (threats B-10). /etc/hosts, search domains and
 * nameservers are the host's unless configured.
 *
 * An answer that has run out serves on for an hour while asking fails, and after DNS_PATIENCE_MS
 * while asking takes long (RFC 8767).
 */

#include <uv.h>

#include "common/err.h"
#include "common/net/dns_cache.h"

enum {
    DNS_PATIENCE_MS = 1000, /* then an old answer is taken */
    DNS_LIMIT_MS = 3000,    /* then the look-up has failed */
};

struct dns;
struct dns_wait;

struct dns_config {
    const char *nameservers; /* "1.2.3.4,[::1]:5353"; NULL or "": as /etc/resolv.conf says */
    bool is_ipv4_only;
};

/* `addrs` (port 0) is valid during the call; NULL: the name has no address, or nobody answers. */
typedef void (*dns_got_fn)(struct dns_wait *w, const struct dns_addrs *addrs);

struct dns_wait {     /* storage of the caller, from dns_get() to the callback or dns_cancel() */
    struct list link; /* private */
    dns_got_fn cb;    /* set before dns_get() */
};

enum dns_got { DNS_FOUND, DNS_NONE, DNS_LATER };

/* `lookups` (borrowed, may be NULL) counts the queries made. Reads the system's resolver files. */
MUST_CHECK enum errc dns_new(struct dns **ret_d, uv_loop_t *loop, const struct dns_config *cfg,
                             uint64_t *lookups, struct err *e);

/* Changes the configuration; the cache stays, and queries under way are asked again. */
MUST_CHECK enum errc dns_configure(struct dns *d, const struct dns_config *cfg, struct err *e);

/* Nobody may be waiting. Memory goes when the loop has closed the handles. NULL is fine. */
void dns_close(struct dns *d);

/*
 * The addresses of `host`, numeric or a name, in the order to be tried. DNS_FOUND: *ret is filled.
 * DNS_LATER: w->cb runs later on the loop, within DNS_LIMIT_MS, unless dns_cancel() comes first.
 */
enum dns_got dns_get(struct dns *d, struct str host, struct dns_addrs *ret, struct dns_wait *w);
void dns_cancel(struct dns_wait *w);
