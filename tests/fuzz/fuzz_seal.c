/* Any bytes as a sealed value: none opens but those of the key, and what opens seals to the same.
 */

#include "common/gateway/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct seal_key key;
    struct arena a;
    struct str plain, again;

    arena_init(&a, NULL, 64 << 20);
    ASSERT(seal_key_init(&key, STR("sk-1234")));
    char *copy = malloc(n + 1); /* the sanitizer sees a read beyond it */
    ASSERT(copy);
    memcpy(copy, data, n);
    struct str text = {copy, n};
    if (seal_open(&key, text, &a, &plain)) {
        text = seal(&key, seal_format_of(text), plain, &a);
        ASSERT(text.n && seal_open(&key, text, &a, &again) && str_eq(plain, again));
    }
    ASSERT(!seal_own_open(&key, STR("place"), text, &a, &plain)); /* nobody knows the key */
    arena_reset(&a);
    free(copy);
    return 0;
}
