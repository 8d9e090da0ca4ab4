/* Any bytes as a segment of a spool: records are found within them, in order, and nothing else. */

#include "common/gateway/spool_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct spool_entry en;
    size_t end = 0, len;

    for (;;) {
        size_t at = spool_record_find(data, n, end);
        ASSERT(at >= end && at <= n);
        if (at == n)
            break;
        ASSERT(spool_record_read(data + at, n - at, &en, &len));
        ASSERT(len >= SPOOL_RECORD_LEAST && len <= n - at);
        ASSERT((const uint8_t *)en.body.p == data + at + SPOOL_HEAD);
        ASSERT(en.body.n == len - SPOOL_RECORD_LEAST);
        end = at + len;
    }
    return 0;
}
