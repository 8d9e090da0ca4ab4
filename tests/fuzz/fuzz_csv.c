/* Any bytes as comma-separated values: fields lie in the text or the arena, and it ends. */

#include "common/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a;
    uint64_t line = 0;
    size_t rest = n + 1;

    arena_init(&a, NULL, 64 << 20);
    struct csv_reader c = csv_read((struct str){(const char *)data, n}, &a);
    while (csv_next(&c) == CSV_RECORD) {
        ASSERT(c.n_fields >= 1 && c.n_fields <= CSV_FIELDS && c.line > line && c.rest.n < rest);
        line = c.line;
        rest = c.rest.n;
        for (unsigned i = 0; i < c.n_fields; i++)
            for (size_t k = 0; k < c.field[i].n; k++)
                ASSERT(c.field[i].p[k] != '\n' || c.next_line > c.line);
    }
    arena_reset(&a);
    return 0;
}
