/* Headers in a table, first non-empty wins; the comparison takes the same time wherever it differs.
 */

#include "policy/auth.h"

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
