#include "policy/auth.h"

#include <mbedtls/sha256.h>

const struct str auth_master_name = STR_INIT("litellm_proxy_master_key");

static enum auth_result key_check(struct str master, struct str key)
{
    if (bearer_is(key, master))
        return AUTH_MASTER;
    return str_starts(key, STR("sk-")) ? AUTH_UNKNOWN : AUTH_NOT_A_KEY;
}

enum auth_result auth_check(const struct snapshot *s, bearer_header_fn header, const void *ctx,
                            struct str *ret_key)
{
    static const enum auth_result results[] = {
        [BEARER_NONE] = AUTH_NONE,
        [BEARER_MALFORMED] = AUTH_MALFORMED,
        [BEARER_AMBIGUOUS] = AUTH_AMBIGUOUS,
    };

    *ret_key = (struct str){0};
    if (!(s->h->settings.flags & SNAP_HAS_MASTER_KEY))
        return AUTH_OPEN;
    enum bearer found = bearer_find(snap_str(s, s->h->settings.key_header), header, ctx, ret_key);
    return found == BEARER_FOUND ? key_check(snap_str(s, s->h->settings.master_key), *ret_key)
                                 : results[found];
}

struct identity_found auth_look_up(const struct identities *i, struct auth_cache *cache,
                                   struct str key, const unsigned char **ret_hash)
{
    bool kept = cache->n && bearer_is(key, (struct str){cache->key, cache->n});

    *ret_hash = cache->hash;
    if (!kept) {
        cache->n = 0;
        if (mbedtls_sha256((const unsigned char *)key.p, key.n, cache->hash, 0))
            return (struct identity_found){0}; /* cannot fail in software */
        if (key.n <= AUTH_CACHED) {
            memcpy(cache->key, key.p, key.n);
            cache->n = (uint8_t)key.n;
        }
    }
    return i ? identities_key(i, cache->hash) : (struct identity_found){0};
}

enum auth_key auth_judge(const struct identities *i, const struct identity_found *f,
                         uint64_t session_ns, uint64_t now_ns, int64_t now_us)
{
    const struct identity *k = f->identity;

    if (k && (!(k->flags & IDENTITY_SUCCEEDED) || !k->expires_us || now_us < k->expires_us))
        return AUTH_KEY_FOUND;
    if (!session_ns && !i)
        return AUTH_KEY_NOBODY;
    /* the clock may have been read before the link wrote down its moment */
    if (session_ns && now_ns < session_ns + AUTH_FRESH_S * UINT64_C(1000000000))
        return AUTH_KEY_NONE;
    return AUTH_KEY_STALE;
}
