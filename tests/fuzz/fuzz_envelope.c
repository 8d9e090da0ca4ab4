/*
 * Any bytes as an upstream's error body, behind two that choose API and status: what is made of it
 * is JSON, and a credential of ours in it does not come through. Also as a response id.
 */

#include <yyjson.h>

#include "dialect/envelope.h"
#include "dialect/response_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct str secret = STR_INIT("sk-secret");

static void assert_is_json(struct str s)
{
    yyjson_doc *doc = yyjson_read(s.p, s.n, 0);

    ASSERT(doc && yyjson_is_obj(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    struct response_id id;

    if (n < 2)
        return 0;
    enum api api = (enum api)(data[0] % (API_COUNT + 1));
    char *copy = malloc(n - 2 + 1); /* the sanitizer sees a read beyond it */
    ASSERT(copy);
    memcpy(copy, data + 2, n - 2);
    struct str body = {copy, n - 2};
    struct error_facts f = {.status = envelope_status(api, data[1] * 3u)};

    ASSERT(f.status >= 400 && f.status <= 599);
    uint16_t status = envelope_error_status(body);
    ASSERT(status >= 400 && status <= 599);
    arena_init(&a, NULL, 64 << 20);
    envelope_read(&a, &f, body, secret);
    ASSERT(f.message.n);
    struct str text = envelope_body(&a, api, &f);
    assert_is_json(text);
    text = envelope_event(&a, api, &f);
    ASSERT(str_find(text, secret) == SIZE_MAX);
    size_t at = str_find(text, STR("data: "));
    ASSERT(at != SIZE_MAX && str_ends(text, STR("\n\n")));
    assert_is_json((struct str){text.p + at + 6, text.n - at - 8});
    if (response_id_read(&id, body))
        ASSERT(id.upstream.n && id.deployment.p >= id.text &&
               id.upstream.p + id.upstream.n <= id.text + sizeof id.text);
    arena_reset(&a);
    free(copy);
    return 0;
}
