/*
 * Power-of-two classes, one LIFO list each, of the smallest a pool of pages; larger than the
 * largest class is refused. Those from 4 MiB up share a list: each is the address space of the
 * largest, of which only what was written takes memory, in huge pages where the system has them. So
 * they grow where they are, and the first use of one costs little.
 */

#include "common/bufpool.h"

#include "common/pages.h"
#include "common/poison.h"

enum {
    LARGE = 10, /* the first class of those */
    LARGE_ALIGN = BUF_MIN << LARGE,
};

struct buf_spare {
    struct buf_spare *next;
};

static unsigned buf_class(size_t n)
{
    return n <= BUF_MIN ? 0 : (unsigned)(64 - __builtin_clzll((n - 1) / BUF_MIN));
}

static unsigned list_of(unsigned c)
{
    return MIN(c, (unsigned)LARGE);
}

void bufpool_deinit(struct bufpool *pool)
{
    page_pool_deinit(&pool->pages);
    for (unsigned c = 1; c <= LARGE; c++)
        while (pool->spare[c]) {
            struct buf_spare *s = pool->spare[c];
            pool->spare[c] = s->next;
            free(s);
        }
    memset(pool->n_spare, 0, sizeof pool->n_spare);
}

size_t bufpool_trim(struct bufpool *pool, size_t keep)
{
    size_t freed = (size_t)BUF_MIN * page_pool_trim(&pool->pages, (unsigned)(keep / BUF_MIN));

    for (unsigned c = 1; c <= LARGE; c++) {
        size_t size = (size_t)BUF_MIN << c, kept = keep / size;
        for (unsigned i = MIN(pool->low[c], pool->n_spare[c]); i && pool->n_spare[c] > kept; i--) {
            struct buf_spare *s = pool->spare[c];
            pool->spare[c] = s->next;
            pool->n_spare[c]--;
            free(s);
            freed += size;
        }
        pool->low[c] = pool->n_spare[c];
    }
    return freed;
}

static void *large_new(void)
{
    void *p = aligned_alloc(LARGE_ALIGN, BUF_MAX);

    if (p)
        pages_huge(p, BUF_MAX);
    return p;
}

static void *pool_take(struct bufpool *pool, unsigned c)
{
    unsigned list = list_of(c);
    struct buf_spare *s = pool->spare[list];

    if (c == 0)
        return page_pool_take(&pool->pages);
    if (!s) {
        s = c < LARGE ? malloc((size_t)BUF_MIN << c) : large_new();
    } else {
        pool->spare[list] = s->next;
        pool->n_spare[list]--;
        pool->low[list] = MIN(pool->low[list], pool->n_spare[list]);
    }
    if (!s)
        return NULL;
    if (c >= LARGE)
        ASAN_POISON_MEMORY_REGION(s, BUF_MAX);
    ASAN_UNPOISON_MEMORY_REGION(s, (size_t)BUF_MIN << c);
    return s;
}

static void pool_give(struct bufpool *pool, void *p, size_t cap)
{
    unsigned c = buf_class(cap), list = list_of(c);
    struct buf_spare *s = p;

    pool->lent -= cap;
    if (c == 0) {
        page_pool_give(&pool->pages, p);
        return;
    }
    s->next = pool->spare[list];
    pool->spare[list] = s;
    pool->n_spare[list]++;
    ASAN_POISON_MEMORY_REGION(s + 1, cap - sizeof *s);
}

/* A large buffer has its room already. */
static bool grow_in_place(struct bufpool *pool, struct buf *b, size_t cap)
{
    if (pool->lent + (cap - b->cap) > pool->ceiling)
        return false;
    pool->lent += cap - b->cap;
    ASAN_UNPOISON_MEMORY_REGION(b->p + b->cap, cap - b->cap);
    b->cap = cap;
    return true;
}

bool buf_reserve(struct bufpool *pool, struct buf *b, size_t want)
{
    if (want <= b->cap)
        return true;
    unsigned c = buf_class(want);
    if (c >= BUF_CLASSES)
        return false;
    size_t cap = (size_t)BUF_MIN << c;
    if (b->cap >= LARGE_ALIGN)
        return grow_in_place(pool, b, cap);
    if (pool->lent + cap > pool->ceiling)
        return false;
    char *p = pool_take(pool, c);
    if (!p)
        return false;
    pool->lent += cap;
    if (b->n)
        memcpy(p, b->p, b->n);
    if (b->p)
        pool_give(pool, b->p, b->cap);
    b->p = p;
    b->cap = cap;
    return true;
}

void buf_free(struct bufpool *pool, struct buf *b)
{
    if (b->p)
        pool_give(pool, b->p, b->cap);
    *b = (struct buf){0};
}
