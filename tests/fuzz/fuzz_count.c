/* Any bytes as a text and as a request whose tokens are counted: no more than one a byte and what
 * frames and media cost. */

#include "common/bufpool.h"
#include "common/gateway/tokens.h"

#include "dialect/count.h"
#include "dialect/param_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct bufpool pool = {.ceiling = 64 << 20};
    const char *p = (const char *)data;
    struct str names[PARAM_LIST_MAX];
    struct json_tape t;
    struct arena a;

    ASSERT(tokens_estimate((struct jstr){p, n}) <= 3 * n + 1);
    json_tape_init(&t, &pool);
    if (json_tape_read(&t, p, n) == JSON_TAPE_DONE)
        ASSERT(count_prompt(&t) <= 2100 * (uint64_t)n);
    json_tape_deinit(&t);
    arena_init(&a, NULL, 1 << 20);
    ASSERT(param_list(names, (struct str){p, n}, n % 2, &a) <= PARAM_LIST_MAX);
    arena_reset(&a);
    return 0;
}
