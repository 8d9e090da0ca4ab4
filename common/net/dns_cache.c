/* A hash table of names, and the rules of RFC 8767 (serving stale data) as arithmetic. */

#include "common/net/dns_cache.h"

static struct list *bucket_of(struct dns_cache *k, const char *text, size_t n)
{
    uint32_t h = UINT32_C(0x811c9dc5); /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * UINT32_C(0x01000193);
    return &k->bucket[(h ^ (h >> 16)) % ARRAY_LEN(k->bucket)];
}

static bool name_is_forgettable(const struct dns_name *e, uint64_t now_ms)
{
    return list_is_empty(&e->waits) && !e->is_asking && now_ms >= e->recheck_ms &&
           !dns_name_is_stale_ok(e, now_ms);
}

static void name_forget(struct dns_cache *k, struct dns_name *e)
{
    list_drop(&e->in_bucket);
    k->n_names--;
    free(e);
}

static void cache_sweep(struct dns_cache *k, uint64_t now_ms)
{
    for (size_t i = 0; i < ARRAY_LEN(k->bucket); i++)
        LIST_FOREACH (&k->bucket[i], struct dns_name, e, in_bucket)
            if (name_is_forgettable(e, now_ms))
                name_forget(k, e);
}

void dns_cache_init(struct dns_cache *k)
{
    k->n_names = 0;
    for (size_t i = 0; i < ARRAY_LEN(k->bucket); i++)
        list_init(&k->bucket[i]);
}

void dns_cache_deinit(struct dns_cache *k)
{
    for (size_t i = 0; i < ARRAY_LEN(k->bucket); i++)
        LIST_FOREACH (&k->bucket[i], struct dns_name, e, in_bucket) {
            ASSERT(list_is_empty(&e->waits) && !e->is_asking);
            name_forget(k, e);
        }
}

struct dns_name *dns_cache_get(struct dns_cache *k, struct str host, uint64_t now_ms)
{
    char text[DNS_NAME_MAX + 1];

    if (host.n == 0 || host.n > DNS_NAME_MAX || memchr(host.p, '\0', host.n))
        return NULL;
    for (size_t i = 0; i < host.n; i++)
        text[i] = char_lower(host.p[i]);
    text[host.n] = '\0';

    struct list *bucket = bucket_of(k, text, host.n);
    LIST_FOREACH (bucket, struct dns_name, it, in_bucket) {
        if (it->n == host.n && memcmp(it->text, text, host.n) == 0) {
            return it;
        }
    }
    if (k->n_names >= DNS_NAMES)
        cache_sweep(k, now_ms);
    struct dns_name *e = k->n_names < DNS_NAMES ? calloc(1, sizeof *e) : NULL;
    if (!e)
        return NULL;
    list_init(&e->waits);
    e->n = (uint8_t)host.n;
    memcpy(e->text, text, host.n + 1);
    list_push(bucket, &e->in_bucket);
    k->n_names++;
    return e;
}

enum dns_use dns_name_use(const struct dns_name *e, uint64_t now_ms)
{
    if (e->addrs.n > 0 && now_ms < e->fresh_until_ms)
        return DNS_USE;
    if (now_ms < e->recheck_ms)
        return dns_name_is_stale_ok(e, now_ms) ? DNS_USE : DNS_FAIL;
    return DNS_ASK;
}

void dns_name_found(struct dns_name *e, const struct dns_addrs *a, uint32_t ttl_s, uint64_t now_ms)
{
    uint64_t ttl_ms = MIN(MAX((uint64_t)ttl_s * 1000, DNS_TTL_MIN_MS), DNS_TTL_MAX_MS);

    e->addrs = *a;
    e->fresh_until_ms = now_ms + ttl_ms;
    e->stale_until_ms = e->fresh_until_ms + DNS_STALE_MS;
    e->recheck_ms = 0;
}

void dns_name_failed(struct dns_name *e, uint64_t now_ms)
{
    e->recheck_ms =
        now_ms + (dns_name_is_stale_ok(e, now_ms) ? DNS_STALE_RECHECK_MS : DNS_FAILURE_MS);
}
