/* Headers in a table; the first that is not empty wins. */

#include "common/gateway/bearer.h"

static const struct {
    struct str header;
    bool scheme; /* needs Bearer or Basic */
} sources[] = {
    {STR_INIT("x-litellm-api-key"), false}, {STR_INIT("authorization"), true},
    {STR_INIT("api-key"), false},           {STR_INIT("x-api-key"), false},
    {STR_INIT("x-goog-api-key"), false},    {STR_INIT("ocp-apim-subscription-key"), false},
};

/* What follows a scheme; empty when there is none of ours. */
static struct str scheme_strip(struct str value)
{
    static const struct str schemes[] = {STR_INIT("bearer "), STR_INIT("basic ")};

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
        if (value.n > schemes[i].n && str_ieq((struct str){value.p, schemes[i].n}, schemes[i]))
            return str_trim(str_from(value, schemes[i].n));
    return (struct str){0};
}

/* What one header says; BEARER_NONE: look at the next. */
static enum bearer find_in(struct str name, bool scheme, bearer_header_fn header, const void *ctx,
                           struct str *ret_key)
{
    bool repeated = false;
    struct str value = str_trim(header(ctx, name, &repeated));

    if (repeated)
        return BEARER_AMBIGUOUS;
    if (!value.n)
        return BEARER_NONE;
    struct str bare = scheme_strip(value);
    if (!bare.n && scheme)
        return BEARER_MALFORMED;
    *ret_key = bare.n ? bare : value;
    return BEARER_FOUND;
}

enum bearer bearer_find(struct str own, bearer_header_fn header, const void *ctx,
                        struct str *ret_key)
{
    enum bearer found = BEARER_NONE;

    *ret_key = (struct str){0};
    if (own.n)
        return find_in(own, true, header, ctx, ret_key);
    for (size_t i = 0; i < ARRAY_LEN(sources) && found == BEARER_NONE; i++)
        found = find_in(sources[i].header, sources[i].scheme, header, ctx, ret_key);
    return found;
}

bool bearer_is(struct str a, struct str b)
{
    const char *other = a.n == b.n ? b.p : a.p; /* as long in any case */
    unsigned char diff = a.n != b.n;

    for (size_t i = 0; i < a.n; i++)
        diff |= (unsigned char)(a.p[i] ^ other[i]);
    return diff == 0;
}
