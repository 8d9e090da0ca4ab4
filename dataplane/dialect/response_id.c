/* base64 by the library; the text inside is LiteLLM's. */

#include "dialect/response_id.h"

#include <mbedtls/base64.h>

static const struct str prefix = STR_INIT("resp_");
static const struct str head = STR_INIT("litellm:custom_llm_provider:");
static const struct str model_part = STR_INIT(";model_id:");
static const struct str id_part = STR_INIT(";response_id:");

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

size_t response_id_make(char *out, struct str tag, struct str upstream)
{
    char text[RESPONSE_ID_TEXT_MAX];
    size_t n = text_add(text, text_add(text, 0, tag), upstream), len;

    if (n == SIZE_MAX)
        return 0;
    memcpy(out, prefix.p, prefix.n);
    if (mbedtls_base64_encode((unsigned char *)out + prefix.n, RESPONSE_ID_MAX - prefix.n, &len,
                              (const unsigned char *)text, n))
        return 0;
    return prefix.n + len;
}

bool response_id_read(struct response_id *ret, struct str id)
{
    size_t n;

    if (!str_starts(id, prefix))
        return false;
    id = str_from(id, prefix.n);
    if (mbedtls_base64_decode((unsigned char *)ret->text, sizeof ret->text, &n,
                              (const unsigned char *)id.p, id.n))
        return false;
    struct str text = {ret->text, n};
    size_t model_at = str_find(text, model_part), id_at = str_find(text, id_part);
    if (!str_starts(text, head) || model_at == SIZE_MAX || id_at == SIZE_MAX || id_at < model_at)
        return false;
    ret->deployment =
        (struct str){text.p + model_at + model_part.n, id_at - model_at - model_part.n};
    ret->upstream = str_from(text, id_at + id_part.n);
    return ret->upstream.n != 0;
}
