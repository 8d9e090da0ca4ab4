#include "common/gateway/seal.h"

#include <mbedtls/gcm.h>
#include <mbedtls/hkdf.h>
#include <sodium.h>

enum { GCM_NONCE = 12, GCM_TAG = 16 };

static_assert(crypto_secretbox_KEYBYTES == 32 && crypto_hash_sha256_BYTES == 32, "one key for all");

static const struct str prefixes[SEAL_FORMATS] = {
    [SEAL_BOX] = STR_INIT(""),
    [SEAL_GCM2] = STR_INIT("v2:gcm:"),
    [SEAL_GCM3] = STR_INIT("v3:gcm:"),
};

bool seal_key_init(struct seal_key *k, struct str secret)
{
    static const char info[] = "litellm-at-rest-v3";
    const unsigned char *p = (const unsigned char *)secret.p;

    *k = (struct seal_key){0};
    if (!secret.n)
        return true;
    if (sodium_init() < 0 || crypto_hash_sha256(k->hashed, p, secret.n) != 0 ||
        mbedtls_hkdf(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), NULL, 0, p, secret.n,
                     (const unsigned char *)info, sizeof info - 1, k->derived,
                     sizeof k->derived) != 0)
        return false;
    k->is_set = true;
    return true;
}

bool seal_key_derive(const struct seal_key *k, const char *info, unsigned char ret[32])
{
    return k->is_set &&
           mbedtls_hkdf(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), NULL, 0, k->hashed,
                        sizeof k->hashed, (const unsigned char *)info, strlen(info), ret, 32) == 0;
}

enum seal_format seal_format_of(struct str sealed)
{
    for (enum seal_format f = SEAL_GCM2; f < SEAL_FORMATS; f++)
        if (str_starts(sealed, prefixes[f]))
            return f;
    return SEAL_BOX;
}

static const unsigned char *key_of(const struct seal_key *k, enum seal_format f)
{
    return f == SEAL_GCM3 ? k->derived : k->hashed;
}

/* nonce | ciphertext | tag; `aad` is vouched for and not kept */
static bool gcm_seal(const unsigned char *key, struct str aad, unsigned char *out, struct str plain)
{
    mbedtls_gcm_context gcm;

    mbedtls_gcm_init(&gcm);
    randombytes_buf(out, GCM_NONCE);
    bool ok = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) == 0 &&
              mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, plain.n, out, GCM_NONCE,
                                        (const unsigned char *)aad.p, aad.n,
                                        (const unsigned char *)plain.p, out + GCM_NONCE, GCM_TAG,
                                        out + GCM_NONCE + plain.n) == 0;
    mbedtls_gcm_free(&gcm);
    return ok;
}

static bool gcm_open(const unsigned char *key, struct str aad, unsigned char *out,
                     const unsigned char *in, size_t n)
{
    mbedtls_gcm_context gcm;
    size_t n_plain = n - GCM_NONCE - GCM_TAG;

    mbedtls_gcm_init(&gcm);
    bool ok =
        mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, key, 256) == 0 &&
        mbedtls_gcm_auth_decrypt(&gcm, n_plain, in, GCM_NONCE, (const unsigned char *)aad.p, aad.n,
                                 in + GCM_NONCE + n_plain, GCM_TAG, in + GCM_NONCE, out) == 0;
    mbedtls_gcm_free(&gcm);
    return ok;
}

static bool box_seal(const unsigned char *key, unsigned char *out, struct str plain)
{
    randombytes_buf(out, crypto_secretbox_NONCEBYTES);
    return crypto_secretbox_easy(out + crypto_secretbox_NONCEBYTES, (const unsigned char *)plain.p,
                                 plain.n, out, key) == 0;
}

static size_t overhead(enum seal_format f)
{
    return f == SEAL_BOX ? crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES
                         : GCM_NONCE + GCM_TAG;
}

struct str seal(const struct seal_key *k, enum seal_format format, struct str plain,
                struct arena *a)
{
    const struct str prefix = prefixes[format];
    const size_t n = plain.n + overhead(format);
    const size_t cap = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_URLSAFE);

    if (!k->is_set || plain.n > SEAL_MAX)
        return (struct str){0};
    unsigned char *raw = arena_alloc(a, n);
    char *out = arena_alloc(a, prefix.n + cap);
    if (!raw || !out)
        return (struct str){0};
    bool ok = format == SEAL_BOX ? box_seal(k->hashed, raw, plain)
                                 : gcm_seal(key_of(k, format), (struct str){0}, raw, plain);
    if (!ok)
        return (struct str){0};
    memcpy(out, prefix.p, prefix.n);
    sodium_bin2base64(out + prefix.n, cap, raw, n, sodium_base64_VARIANT_URLSAFE);
    return (struct str){out, prefix.n + cap - 1};
}

/* The alphabet of today, else that of the oldest rows. */
static bool decode(struct str text, unsigned char *out, size_t *ret_n)
{
    static const int variants[] = {sodium_base64_VARIANT_URLSAFE, sodium_base64_VARIANT_ORIGINAL};

    for (size_t i = 0; i < ARRAY_LEN(variants); i++)
        if (sodium_base642bin(out, text.n, text.p, text.n, NULL, ret_n, NULL, variants[i]) == 0)
            return true;
    return false;
}

bool seal_open(const struct seal_key *k, struct str sealed, struct arena *a, struct str *ret_plain)
{
    enum seal_format format = seal_format_of(sealed);
    struct str text = str_from(sealed, prefixes[format].n);
    size_t n;

    if (!k->is_set || !text.n || text.n > 2 * (size_t)SEAL_MAX)
        return false;
    unsigned char *raw = arena_alloc(a, text.n);
    if (!raw || !decode(text, raw, &n) || n < overhead(format))
        return false;
    size_t n_plain = n - overhead(format);
    unsigned char *plain = arena_alloc(a, n_plain + 1);
    if (!plain)
        return false;
    bool ok = format == SEAL_BOX
                  ? crypto_secretbox_open_easy(plain, raw + crypto_secretbox_NONCEBYTES,
                                               n - crypto_secretbox_NONCEBYTES, raw, k->hashed) == 0
                  : gcm_open(key_of(k, format), (struct str){0}, plain, raw, n);
    if (!ok)
        return false;
    plain[n_plain] = '\0';
    *ret_plain = (struct str){(char *)plain, n_plain};
    return true;
}

/* ---- our own ---- */

static const struct str own_prefix = STR_INIT("weir1:");

static bool own_key(const struct seal_key *k, unsigned char ret[32])
{
    return seal_key_derive(k, "weir-at-rest-v1", ret);
}

struct str seal_own(const struct seal_key *k, struct str place, struct str plain, struct arena *a)
{
    const size_t n = plain.n + GCM_NONCE + GCM_TAG;
    const size_t cap = sodium_base64_ENCODED_LEN(n, sodium_base64_VARIANT_URLSAFE);
    unsigned char key[32];

    if (plain.n > SEAL_MAX || !own_key(k, key))
        return (struct str){0};
    unsigned char *raw = arena_alloc(a, n);
    char *out = arena_alloc(a, own_prefix.n + cap);
    bool ok = raw && out && gcm_seal(key, place, raw, plain);
    sodium_memzero(key, sizeof key);
    if (!ok)
        return (struct str){0};
    memcpy(out, own_prefix.p, own_prefix.n);
    sodium_bin2base64(out + own_prefix.n, cap, raw, n, sodium_base64_VARIANT_URLSAFE);
    return (struct str){out, own_prefix.n + cap - 1};
}

bool seal_own_open(const struct seal_key *k, struct str place, struct str sealed, struct arena *a,
                   struct str *ret_plain)
{
    struct str text = str_from(sealed, own_prefix.n);
    unsigned char key[32];
    size_t n;

    if (!str_starts(sealed, own_prefix) || text.n > 2 * (size_t)SEAL_MAX || !own_key(k, key))
        return false;
    unsigned char *raw = arena_alloc(a, text.n + 1), *plain = arena_alloc(a, text.n + 1);
    bool ok = raw && plain && decode(text, raw, &n) && n >= GCM_NONCE + GCM_TAG &&
              gcm_open(key, place, plain, raw, n);
    sodium_memzero(key, sizeof key);
    if (!ok)
        return false;
    plain[n - GCM_NONCE - GCM_TAG] = '\0';
    *ret_plain = (struct str){(char *)plain, n - GCM_NONCE - GCM_TAG};
    return true;
}
