/* base64 and SHA-256 by the library; the text inside is LiteLLM's but for the seal. */

#include "dialect/response_id.h"

#include <mbedtls/base64.h>
#include <mbedtls/sha256.h>

#include "common/num.h"

enum { HMAC_BLOCK = 64, HMAC_HASH = 32 };

static const struct str prefix = STR_INIT("resp_");
static const struct str head = STR_INIT("litellm:custom_llm_provider:");
static const struct str model_part = STR_INIT(";model_id:");
static const struct str id_part = STR_INIT(";response_id:");
static const struct str seal_part = STR_INIT(";seal:");

static size_t text_add(char *out, size_t n, struct str s)
{
    if (n == SIZE_MAX || s.n > RESPONSE_ID_TEXT_MAX - n)
        return SIZE_MAX;
    if (s.n)
        memcpy(out + n, s.p, s.n);
    return n + s.n;
}

struct str response_id_tag(char *out, struct str provider, struct str deployment)
{
    size_t n = text_add(out, 0, head);

    n = text_add(out, n, provider);
    n = text_add(out, n, model_part);
    n = text_add(out, n, deployment);
    n = text_add(out, n, id_part);
    return n == SIZE_MAX ? (struct str){0} : (struct str){out, n};
}

/* SHA-256 of `pad` over the key, then of both parts. Software: it cannot fail. */
static void hash_padded(unsigned char out[HMAC_HASH], struct str key, unsigned char pad,
                        struct str one, struct str two)
{
    unsigned char block[HMAC_BLOCK];
    mbedtls_sha256_context c;

    memset(block, pad, sizeof block);
    for (size_t i = 0; i < key.n; i++)
        block[i] ^= (unsigned char)key.p[i];
    mbedtls_sha256_init(&c);
    (void)mbedtls_sha256_starts(&c, 0);
    (void)mbedtls_sha256_update(&c, block, sizeof block);
    (void)mbedtls_sha256_update(&c, (const unsigned char *)one.p, one.n);
    (void)mbedtls_sha256_update(&c, (const unsigned char *)two.p, two.n);
    (void)mbedtls_sha256_finish(&c, out);
    mbedtls_sha256_free(&c);
}

/* HMAC-SHA256 (RFC 2104), whose own interface of the library allocates; the first half of it.
 */
static void seal_make(char out[RESPONSE_SEAL], struct str text, struct str key,
                      const struct response_owner *owner)
{
    unsigned char inner[HMAC_HASH], outer[HMAC_HASH];

    hash_padded(inner, key, 0x36, (struct str){(const char *)owner->is, RESPONSE_OWNER}, text);
    hash_padded(outer, key, 0x5c, (struct str){(const char *)inner, sizeof inner}, STR(""));
    (void)num_put_hex(out, outer, RESPONSE_SEAL / 2);
}

size_t response_id_make(char *out, struct str tag, struct str upstream, struct str key,
                        const struct response_owner *owner)
{
    char text[RESPONSE_ID_TEXT_MAX], seal[RESPONSE_SEAL];
    size_t n = text_add(text, text_add(text, 0, tag), upstream), len;

    if (n != SIZE_MAX && key.n == RESPONSE_SEAL_KEY) {
        seal_make(seal, (struct str){text, n}, key, owner);
        n = text_add(text, text_add(text, n, seal_part), (struct str){seal, sizeof seal});
    }
    if (n == SIZE_MAX)
        return 0;
    memcpy(out, prefix.p, prefix.n);
    if (mbedtls_base64_encode((unsigned char *)out + prefix.n, RESPONSE_ID_MAX - prefix.n, &len,
                              (const unsigned char *)text, n))
        return 0;
    return prefix.n + len;
}

/* The library's decoder passes over blanks, which would make several ids of one. */
static bool is_base64(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ')
            return false;
    return true;
}

/* Cuts the seal off the end of the text. */
static struct str seal_cut(struct response_id *id, struct str text)
{
    size_t tail = seal_part.n + RESPONSE_SEAL;

    id->sealed = id->seal = (struct str){0};
    if (text.n < tail || !str_starts(str_from(text, text.n - tail), seal_part))
        return text;
    id->sealed = (struct str){text.p, text.n - tail};
    id->seal = str_from(text, text.n - RESPONSE_SEAL);
    return id->sealed;
}

bool response_id_read(struct response_id *ret, struct str id)
{
    size_t n;

    if (!str_starts(id, prefix))
        return false;
    id = str_from(id, prefix.n);
    if (!is_base64(id) || mbedtls_base64_decode((unsigned char *)ret->text, sizeof ret->text, &n,
                                                (const unsigned char *)id.p, id.n))
        return false;
    struct str text = seal_cut(ret, (struct str){ret->text, n});
    size_t model_at = str_find(text, model_part), id_at = str_find(text, id_part);
    if (!str_starts(text, head) || model_at == SIZE_MAX || id_at == SIZE_MAX || id_at < model_at)
        return false;
    ret->deployment =
        (struct str){text.p + model_at + model_part.n, id_at - model_at - model_part.n};
    ret->upstream = str_from(text, id_at + id_part.n);
    return ret->upstream.n != 0;
}

bool response_id_is_of(const struct response_id *id, struct str key,
                       const struct response_owner *owner)
{
    char seal[RESPONSE_SEAL];
    unsigned char differs = 0;

    if (id->seal.n != RESPONSE_SEAL || key.n != RESPONSE_SEAL_KEY)
        return false;
    seal_make(seal, id->sealed, key, owner);
    for (size_t i = 0; i < RESPONSE_SEAL; i++)
        differs |= (unsigned char)(seal[i] ^ id->seal.p[i]);
    return !differs;
}
