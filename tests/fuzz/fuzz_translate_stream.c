/*
 * Any bytes as a stream of events, behind those that choose the APIs: however it is cut the client
 * gets the same, and what it gets keeps the rules of its protocol.
 */

#include "tests/fuzz/replies.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 256 << 20};
static struct arena_pool blocks = {.max_spare = 64};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct reply_outcome whole, pieces;

    if (n < REPLY_CHOICE_BYTES)
        return 0;
    struct reply_case c = reply_case_of(data, n);
    if (reply_play(&c, &pool, &blocks, false, SIZE_MAX, &whole)) {
        reply_judge(&c, &whole);
        size_t steps[] = {0, 1, 1 + c.cut % 64};
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            ASSERT(reply_play(&c, &pool, &blocks, false, steps[i], &pieces));
            ASSERT(pieces.ok == whole.ok && pieces.done == whole.done &&
                   pieces.failed == whole.failed && pieces.events == whole.events);
            ASSERT(pieces.out.n == whole.out.n &&
                   (!whole.out.n || !memcmp(pieces.out.p, whole.out.p, whole.out.n)));
            ASSERT(!memcmp(pieces.scan.count, whole.scan.count, sizeof whole.scan.count));
            buf_free(&pool, &pieces.out);
        }
    }
    buf_free(&pool, &whole.out);
    ASSERT(pool.lent == 0);
    return 0;
}
