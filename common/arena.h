#pragma once

/*
 * Memory that lives as long as a request or a build: bump allocation in blocks, freed at once.
 *
 * Overflow sticks: when the ceiling is reached or memory ends arena_alloc() returns NULL from then
 * on, builders go quiet, and one arena_ok() at the end decides. Blocks of ARENA_BLOCK bytes come
 * from a pool that keeps them for the next request, so the steady state allocates nothing; larger
 * single objects get a block of their own.
 */

#include "common/str.h"

enum { ARENA_BLOCK = 16 * 1024 };

struct arena_block;

/* Spare blocks of one worker. Storage belongs to the caller; zeroed is a valid empty pool. */
struct arena_pool {
    struct arena_block *spare; /* private */
    unsigned n_spare;          /* private */
    unsigned max_spare;        /* blocks kept beyond use; 0: none */
};

struct arena {
    struct arena_pool *pool;   /* private; may be NULL: blocks go to malloc and back */
    struct arena_block *block; /* private: newest first */
    char *at, *end;            /* private: free part of the newest block */
    size_t used, ceiling;      /* bytes taken from the system, and the most it may take */
    bool failed;
};

/* `pool` is borrowed for the life of the arena and may be NULL. `ceiling` in bytes. Allocates
 * nothing yet. */
void arena_init(struct arena *a, struct arena_pool *pool, size_t ceiling);

/* Gives every block back; the arena is empty and usable again. Safe on a zeroed one. */
void arena_reset(struct arena *a);

/* Frees the spare blocks. */
void arena_pool_deinit(struct arena_pool *pool);

/* `n` bytes aligned to 16, not zeroed; NULL once the arena failed (and from then on always). */
void *arena_alloc(struct arena *a, size_t n);

/* The same, zeroed. */
void *arena_zalloc(struct arena *a, size_t n);

/* False once any allocation failed: what was built is incomplete. */
static inline bool arena_ok(const struct arena *a)
{
    return !a->failed;
}

/* A copy of `s` in the arena (with a NUL behind it that does not count); empty after failure. */
struct str arena_str(struct arena *a, struct str s);

/* Formatted text in the arena, NUL-terminated; empty after failure. */
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF(2, 3);
