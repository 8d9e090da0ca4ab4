/* Any bytes as prompt and reply: what is stored is JSON without NUL, and of one redacted the
 * reply's own texts are gone. */

#include <yyjson.h>

#include "link/transcript_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    size_t cut = data[1] * (n - 2) / 255;
    const char *p = (const char *)data + 2;
    const struct transcript_part request = {{p, cut}, cut},
                                 reply = {{p + cut, n - 2 - cut}, n - 2 - cut};
    const struct transcript_rules r = {.string_max = 100, .redacts = data[0] & 1};
    struct arena a;

    arena_init(&a, NULL, 64 << 20);
    struct str text = transcript_text(&request, &reply, &r, &a);
    ASSERT(text.n);
    yyjson_doc *doc = yyjson_read(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW);
    ASSERT(yyjson_is_obj(yyjson_obj_get(yyjson_doc_get_root(doc), "proxy_server_request")) &&
           yyjson_is_obj(yyjson_obj_get(yyjson_doc_get_root(doc), "response")));
    for (size_t i = 0; i < yyjson_doc_get_val_count(doc); i++) { /* they lie behind each other */
        yyjson_val *v = yyjson_doc_get_root(doc) + i;
        ASSERT(!yyjson_is_str(v) || !memchr(yyjson_get_str(v), 0, yyjson_get_len(v)));
    }
    yyjson_doc_free(doc);
    arena_reset(&a);
    return 0;
}
