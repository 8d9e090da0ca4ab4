#pragma once

/*
 * What is known of names: addresses with their time to live, failures, and when to ask again.
 * Pure: no sockets, and time comes in as a parameter (monotonic milliseconds).
 */

#include "common/list.h"
#include "common/net/addr.h"

enum {
    DNS_ADDRS = 16, /* of one name used; more are ignored */
    DNS_NAME_MAX = 253,
    DNS_TTL_MIN_MS = 5 * 1000, /* threats B-10 */
    DNS_TTL_MAX_MS = 300 * 1000,
    DNS_STALE_MS = 3600 * 1000,       /* an old answer serves so long while asking fails */
    DNS_STALE_RECHECK_MS = 30 * 1000, /* RFC 8767 section 5: failure recheck timer */
    DNS_FAILURE_MS = 1000,            /* a failure without an old answer is remembered so long */
    DNS_NAMES = 4096,                 /* names are configured, not sent by clients */
};

struct dns_addrs {
    unsigned n;
    union addr addr[DNS_ADDRS]; /* port 0 */
};

struct dns_name {
    struct list in_bucket; /* private */
    struct list waits;     /* of the resolver: who waits for the answer */
    bool is_asking;        /* of the resolver: a query is under way */
    uint64_t asked_ms;     /* of the resolver: since when */
    uint64_t fresh_until_ms, stale_until_ms;
    uint64_t recheck_ms; /* not asked again before, after a failure */
    struct dns_addrs addrs;
    uint8_t n;
    char text[DNS_NAME_MAX + 1]; /* lower case, NUL-terminated */
};

enum dns_use {
    DNS_USE,  /* the addresses answer */
    DNS_ASK,  /* ask; if that fails or takes too long, dns_name_is_stale_ok() */
    DNS_FAIL, /* failed a moment ago: fail again without asking */
};

struct dns_cache {
    struct list bucket[256]; /* private */
    unsigned n_names;
};

void dns_cache_init(struct dns_cache *k);

/* No name may have waits or a query under way. */
void dns_cache_deinit(struct dns_cache *k);

/*
 * The entry of a name (ASCII case ignored), made if missing; owned by the cache, kept while it has
 * waits, a query under way or an answer worth keeping. NULL: no host name, full or no memory.
 */
struct dns_name *dns_cache_get(struct dns_cache *k, struct str host, uint64_t now_ms);

enum dns_use dns_name_use(const struct dns_name *e, uint64_t now_ms);

static inline bool dns_name_is_stale_ok(const struct dns_name *e, uint64_t now_ms)
{
    return e->addrs.n > 0 && now_ms < e->stale_until_ms;
}

/* An answer came: `a` holds 1 or more addresses, the least of their TTLs is `ttl_s`. */
void dns_name_found(struct dns_name *e, const struct dns_addrs *a, uint32_t ttl_s, uint64_t now_ms);

/* Asking failed or took too long. An old answer stays. */
void dns_name_failed(struct dns_name *e, uint64_t now_ms);
