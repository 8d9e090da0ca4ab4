/* madvise() on whole pages; a failure costs memory and nothing else. */

#include "common/pages.h"

#include <sys/mman.h>

enum { PAGE = 4096 };

static void pages_advise(void *p, size_t n, int advice)
{
    uintptr_t from = ((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t to = ((uintptr_t)p + n) & ~(uintptr_t)(PAGE - 1);

    if (from < to)
        (void)madvise((void *)from, to - from, advice);
}

void pages_forget(void *p, size_t n)
{
    pages_advise(p, n, MADV_DONTNEED);
}

void pages_remove(void *p, size_t n)
{
    pages_advise(p, n, MADV_REMOVE);
}

void pages_huge(void *p, size_t n)
{
    pages_advise(p, n, MADV_HUGEPAGE);
}
