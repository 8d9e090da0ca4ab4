/* Headers in a table, first non-empty wins; the comparison takes the same time wherever it differs.
 */

#include "policy/auth.h"

#include <mbedtls/sha256.h>

const struct str auth_master_name = STR_INIT("litellm_proxy_master_key");

static const struct {
    struct str header;
    bool scheme; /* needs Bearer or Basic */
} sources[] = {
    {STR_INIT("x-litellm-api-key"), false}, {STR_INIT("authorization"), true},
    {STR_INIT("api-key"), false},           {STR_INIT("x-api-key"), false},
    {STR_INIT("x-goog-api-key"), false},    {STR_INIT("ocp-apim-subscription-key"), false},
};

/* Equal, in time that depends on the lengths alone. */
static bool same_secret(struct str a, struct str b)
{
    unsigned char diff = a.n != b.n;

    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ (b.n ? b.p[i % b.n] : 0));
    return diff == 0;
}

/* What follows a scheme; empty when there is none of ours. */
static struct str scheme_strip(struct str value)
{
    static const struct str schemes[] = {STR_INIT("bearer "), STR_INIT("basic ")};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (value.n > schemes[i].n && str_ieq((struct str){value.p, schemes[i].n}, schemes[i]))
            return str_trim(str_from(value, schemes[i].n));
    return (struct str){0};
}

static enum auth_result key_check(struct str master, struct str key)
{
    if (same_secret(key, master))
        return AUTH_MASTER;
    return str_starts(key, STR("sk-")) ? AUTH_UNKNOWN : AUTH_NOT_A_KEY;
}

enum auth_result auth_check(const struct snapshot *s, auth_header_fn header, const void *ctx,
                            struct str *ret_key)
{
    struct str own = snap_str(s, s->h->settings.key_header);
    struct str master = snap_str(s, s->h->settings.master_key);
    bool repeated = false;

    *ret_key = (struct str){0};
    if (!(s->h->settings.flags & SNAP_HAS_MASTER_KEY))
        return AUTH_OPEN;
    if (own.n) { /* litellm_key_header_name replaces everything below */
        struct str value = str_trim(header(ctx, own, &repeated));
        if (repeated)
            return AUTH_AMBIGUOUS;
        *ret_key = scheme_strip(value);
        return ret_key->n ? key_check(master, *ret_key) : value.n ? AUTH_MALFORMED : AUTH_NONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct str value = str_trim(header(ctx, sources[i].header, &repeated));
        if (repeated)
            return AUTH_AMBIGUOUS;
        if (!value.n)
            continue;
        struct str bare = scheme_strip(value);
        if (!bare.n && sources[i].scheme)
            return AUTH_MALFORMED;
        *ret_key = bare.n ? bare : value;
        return key_check(master, *ret_key);
    }
    return AUTH_NONE;
}

struct identity_found auth_look_up(const struct identities *i, struct auth_cache *cache,
                                   struct str key, const unsigned char **ret_hash)
{
    bool kept = cache->n && same_secret(key, (struct str){cache->key, cache->n});

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
