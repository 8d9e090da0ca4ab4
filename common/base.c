/* The end of a process whose own promises did not hold. */

#include "common/base.h"

void assert_failed(const char *cond, const char *file, int line)
{
    (void)fprintf(stderr, "assertion failed: %s (%s:%d)\n", cond, file, line);
    abort();
}
