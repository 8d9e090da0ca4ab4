/* Any bytes as a line of crontab: what is taken has a next time that fits, or none. */

#include "common/gateway/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int64_t from = INT64_C(1700000000000000);
    struct cron c;
    int64_t next;

    if (!cron_parse((struct str){(const char *)data, n}, &c))
        return 0;
    ASSERT(c.minutes && c.hours && c.days && c.months && c.weekdays);
    if (cron_next(&c, from, &next))
        ASSERT(next > from && next % 60000000 == 0);
    return 0;
}
