/*
 * Any bytes as a whole reply, behind those that choose the APIs: a client gets one of its own API,
 * or events where it asked for them.
 */

#include "tests/fuzz/replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 256 << 20};
static struct arena_pool blocks = {.max_spare = 64};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct reply_outcome o;

    if (n < REPLY_CHOICE_BYTES)
        return 0;
    struct reply_case c = reply_case_of(data, n);
    if (reply_play(&c, &pool, &blocks, true, 0, &o))
        reply_judge(&c, &o);
    buf_free(&pool, &o.out);
    ASSERT(pool.lent == 0);
    return 0;
}
