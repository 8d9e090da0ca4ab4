/* The string of a join: any bytes as base64url text, and as the JSON below it. */

#include <sodium.h>

#include "common/gateway/join.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t cap = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    struct arena a;
    struct err e = {0};
    struct join j;

    arena_init(&a, NULL, 8 << 20);
    if (join_read(&j, (struct str){(const char *)data, size}, &a, &e) == ERRC_OK)
        ASSERT(join_write(&j, &a).n != 0);
    char *text = arena_alloc(&a, cap);
    if (text) {
        sodium_bin2base64(text, cap, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        if (join_read(&j, (struct str){text, cap - 1}, &a, &e) == ERRC_OK)
            ASSERT(j.n_addresses > 0 && j.token);
    }
    arena_reset(&a);
    return 0;
}
