/* Blocks in a chain, newest first; a bump pointer in the newest. */

#include "common/arena.h"

#include "common/num.h"
#include "common/poison.h"

struct arena_block {
    struct arena_block *next;
    size_t size; /* with this header */
};

enum { BLOCK_HEAD = 16, ALIGN = 16 };
static_assert(sizeof(struct arena_block) <= BLOCK_HEAD, "block header");

void arena_init(struct arena *a, struct arena_pool *pool, size_t ceiling)
{
    *a = (struct arena){.pool = pool, .ceiling = ceiling};
}

void arena_reset(struct arena *a)
{
    struct arena_pool *pool = a->pool;

    while (a->block) {
        struct arena_block *b = a->block;
        a->block = b->next;
        if (pool && b->size == ARENA_BLOCK && pool->n_spare < pool->max_spare) {
            b->next = pool->spare;
            pool->spare = b;
            pool->n_spare++;
            ASAN_POISON_MEMORY_REGION((char *)b + BLOCK_HEAD, ARENA_BLOCK - BLOCK_HEAD);
        } else {
            free(b);
        }
    }
    arena_init(a, pool, a->ceiling);
}

void arena_pool_deinit(struct arena_pool *pool)
{
    while (pool->spare) {
        struct arena_block *b = pool->spare;
        pool->spare = b->next;
        free(b);
    }
    pool->n_spare = 0;
}

static struct arena_block *block_get(struct arena *a, size_t size)
{
    struct arena_pool *pool = a->pool;
    struct arena_block *b;

    if (pool && pool->spare && size == ARENA_BLOCK) {
        b = pool->spare;
        pool->spare = b->next;
        pool->n_spare--;
        ASAN_UNPOISON_MEMORY_REGION(b, ARENA_BLOCK);
        return b;
    }
    b = malloc(size);
    if (b)
        b->size = size;
    return b;
}

/* A new block that holds `n`; a large object goes behind the newest block, which stays in use. */
static void *arena_grow(struct arena *a, size_t n)
{
    size_t want, total;
    bool own = n > ARENA_BLOCK - BLOCK_HEAD;

    if (!size_add(n, BLOCK_HEAD, &want))
        goto fail;
    want = own ? want : ARENA_BLOCK;
    if (!size_add(a->used, want, &total) || total > a->ceiling)
        goto fail;
    struct arena_block *b = block_get(a, want);
    if (!b)
        goto fail;
    a->used = total;
    char *p = (char *)b + BLOCK_HEAD;
    if (own && a->block) {
        b->next = a->block->next;
        a->block->next = b;
        return p;
    }
    b->next = a->block;
    a->block = b;
    a->at = p + n;
    a->end = (char *)b + want;
    return p;
fail:
    a->failed = true;
    a->at = a->end = NULL;
    return NULL;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (UNLIKELY(a->failed || n > SIZE_MAX - ALIGN))
        return NULL;
    n = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (LIKELY(n <= (size_t)(a->end - a->at))) {
        char *p = a->at;
        a->at += n;
        return p;
    }
    return arena_grow(a, n);
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    if (p)
        memset(p, 0, n);
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (!p)
        return (struct str){0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p)
        (void)vsnprintf(p, (size_t)n + 1, fmt, again); /* its length is known */
    va_end(again);
    va_end(ap);
    return p ? (struct str){p, (size_t)n} : (struct str){0};
}
