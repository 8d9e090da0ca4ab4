/* An owner is a hash, so that it has one size and says nothing. */

#include "policy/owner.h"

#include <mbedtls/sha256.h>

static const struct identity_found nobody;

static void hash_part(mbedtls_sha256_context *h, const struct identity_found *f)
{
    struct str id = found_id(f);
    unsigned char before[5] = {found(f) ? (unsigned char)(f->identity->kind + 1) : 0};
    uint32_t n = (uint32_t)id.n; /* no id runs into the next */

    memcpy(before + 1, &n, sizeof n);
    (void)mbedtls_sha256_update(h, before, sizeof before); /* software: it cannot fail */
    (void)mbedtls_sha256_update(h, (const unsigned char *)id.p, id.n);
}

static struct response_owner owner_make(const struct identity_found *who,
                                        const struct identity_found *team)
{
    struct response_owner o = {{0}};
    mbedtls_sha256_context h;

    if (!found(who) && !found(team))
        return o;
    mbedtls_sha256_init(&h);
    (void)mbedtls_sha256_starts(&h, 0);
    hash_part(&h, who);
    hash_part(&h, team);
    (void)mbedtls_sha256_finish(&h, o.is);
    mbedtls_sha256_free(&h);
    return o;
}

struct response_owner owner_of(const struct caller *c)
{
    bool is_key_s = !found(&c->user) && !found(&c->team);

    return owner_make(is_key_s ? &c->key : &c->user, &c->team);
}

unsigned owner_claims(const struct caller *c, struct response_owner ret[OWNER_CLAIMS])
{
    unsigned n = 0;

    ret[n++] = owner_of(c);
    if (found(&c->user) && found(&c->team)) {
        ret[n++] = owner_make(&c->user, &nobody);
        ret[n++] = owner_make(&nobody, &c->team);
    }
    return n;
}
