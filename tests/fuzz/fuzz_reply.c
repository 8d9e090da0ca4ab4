/* A control plane's answer: any bytes are read or refused, within the memory they may take. */

#include "link/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const Weir__Reply *r;
    struct arena a;
    struct err e;

    arena_init(&a, NULL, REPLY_ARENA);
    if (reply_read(&r, (struct str){(const char *)data, size}, &a, &e) == ERRC_OK) {
        ASSERT(weir__reply__get_packed_size(r) <= 64 * size + 64);
        if (r->is_case == WEIR__REPLY__IS_CHANGES)
            for (size_t i = 0; i < r->changes->n_entities; i++)
                ASSERT(r->changes->entities[i]);
    }
    arena_reset(&a);
    return 0;
}
