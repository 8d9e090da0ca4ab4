/* Pages are cut from extents that are never freed; the stack always has room for all of them. */

#include "common/page_pool.h"

#include "common/pages.h"
#include "common/poison.h"

enum {
#ifdef __SANITIZE_ADDRESS__
    EXTENT_PAGES = 1, /* so that each page has its bounds watched */
#else
    EXTENT_PAGES = 64,
#endif
    TRIM_MOST = 4096, /* a system call each: the loop is not to stand still for more */
};

void page_pool_deinit(struct page_pool *p)
{
    ASSERT(p->n_spare == p->n_extents * EXTENT_PAGES);
    for (unsigned i = 0; i < p->n_extents; i++)
        free(p->extent[i]);
    free(p->extent);
    free(p->spare);
    *p = (struct page_pool){0};
}

/* One more of `size` in an array of `n` that grows by doubling; NULL without memory. */
static void *array_grow(void *array, unsigned n, size_t size)
{
    bool full = (n & (n - 1)) == 0; /* none, or a power of two */

    return full ? realloc(array, (n ? 2 * (size_t)n : 1) * size) : array;
}

static bool pool_extend(struct page_pool *p)
{
    void **extent = array_grow(p->extent, p->n_extents, sizeof *extent);
    if (!extent)
        return false;
    p->extent = extent;
    void **spare = array_grow(p->spare, p->n_extents, EXTENT_PAGES * sizeof *spare);
    if (!spare)
        return false;
    p->spare = spare;
    char *pages = aligned_alloc(PAGE_BYTES, EXTENT_PAGES * PAGE_BYTES);
    if (!pages)
        return false;
    p->extent[p->n_extents++] = pages;
    for (unsigned i = EXTENT_PAGES; i-- > 0;)
        p->spare[p->n_spare++] = pages + (size_t)i * PAGE_BYTES;
    p->n_cold = p->n_spare; /* never touched */
    return true;
}

void *page_pool_take(struct page_pool *p)
{
    if (!p->n_spare && !pool_extend(p))
        return NULL;
    void *page = p->spare[--p->n_spare];
    p->n_cold = MIN(p->n_cold, p->n_spare);
    p->low = MIN(p->low, p->n_spare);
    ASAN_UNPOISON_MEMORY_REGION(page, PAGE_BYTES);
    return page;
}

void page_pool_give(struct page_pool *p, void *page)
{
    p->spare[p->n_spare++] = page;
    ASAN_POISON_MEMORY_REGION(page, PAGE_BYTES);
}

unsigned page_pool_trim(struct page_pool *p, unsigned keep)
{
    unsigned to = p->n_spare > keep ? MIN(p->low, p->n_spare - keep) : 0, n = 0;

    for (; p->n_cold < to && n < TRIM_MOST; n++)
        pages_forget(p->spare[p->n_cold++], PAGE_BYTES);
    p->low = p->n_spare;
    return n;
}
