#pragma once

/*
 * Byte buffers of one worker in size classes, kept for the next use: bodies, held events, unsent
 * output. The steady state allocates nothing; what lies idle is given back to the system by
 * bufpool_trim(). The sum of all buffers lent is bounded, which bounds memory. Large ones (4 MiB)
 * grow without being copied.
 */

#include "common/num.h"
#include "common/page_pool.h"

enum {
    BUF_CLASSES = 14, /* 4 KiB, 8 KiB ... 32 MiB */
    BUF_MIN = PAGE_BYTES,
    BUF_MAX = BUF_MIN << (BUF_CLASSES - 1)
};

struct buf_spare;

struct bufpool {
    struct page_pool pages;               /* private: the smallest class */
    struct buf_spare *spare[BUF_CLASSES]; /* private */
    unsigned low[BUF_CLASSES];            /* private: fewest spares since the last trim */
    unsigned n_spare[BUF_CLASSES];        /* private */
    size_t lent, ceiling;                 /* bytes lent now, and the most that may be */
};

/* A growing byte buffer out of a pool. Zeroed is empty. */
struct buf {
    char *p;
    size_t n, cap;
};

/* Frees every spare buffer. Lent ones must be back. */
void bufpool_deinit(struct bufpool *pool);

/* Frees what was not needed since the last call, but for `keep` bytes in each class. Returns the
 * bytes freed. */
size_t bufpool_trim(struct bufpool *pool, size_t keep);

/* Room for `want` bytes in all; false when the pool's ceiling or memory ends (the buffer stays as
 * it was). */
MUST_CHECK bool buf_reserve(struct bufpool *pool, struct buf *b, size_t want);

/* Appends; false as buf_reserve(). */
MUST_CHECK static inline bool buf_add(struct bufpool *pool, struct buf *b, const char *p, size_t n)
{
    size_t want;

    if (UNLIKELY(n > b->cap - b->n) && (!size_add(b->n, n, &want) || !buf_reserve(pool, b, want)))
        return false;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

/* Gives the memory back; the buffer is empty. Safe on an empty one. */
void buf_free(struct bufpool *pool, struct buf *b);
