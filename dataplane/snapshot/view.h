#pragma once

/* A generation as a worker reads it: mapped once, checked once, every offset clamped on use. */

#include "common/err.h"

#include "snapshot/layout.h"

struct identity_header; /* snapshot/identity.h */

struct snapshot {
    const char *base;
    size_t size;
    union { /* what it is: a generation, or identities */
        const struct snap_header *h;
        const struct identity_header *identity;
    };
    unsigned refs;
};

/*
 * Maps the sealed memfd `fd` (borrowed), of either kind and at least `least` bytes long, and gives
 * one reference; nothing in it was looked at. `what` begins the reason. ERRC_INVALID, ERRC_SYS,
 * ERRC_NOMEM.
 */
MUST_CHECK enum errc snapshot_map(struct snapshot **ret_s, int fd, size_t least, const char *what,
                                  struct err *e);

/*
 * Maps the sealed memfd `fd` (borrowed; may be closed after) and checks magic, version, size, seals
 * and the bounds of every array. Gives one reference. ERRC_INVALID with the reason, ERRC_SYS from
 * the kernel.
 */
MUST_CHECK enum errc snapshot_open(struct snapshot **ret_s, int fd, struct err *e);

struct snapshot *snapshot_ref(struct snapshot *s);

/* Drops a reference; the last one unmaps. Returns NULL. */
struct snapshot *snapshot_unref(struct snapshot *s);

/*
 * The checks of snapshot_open() over `n` bytes at `base` (aligned to 8), which stay the caller's:
 * everything below is then safe on them, whatever they hold.
 */
MUST_CHECK enum errc snapshot_check(struct snapshot *s, const void *base, size_t n, struct err *e);

/* The bytes of `r`, borrowed from the mapping; empty when out of bounds. */
static inline struct str snap_str(const struct snapshot *s, struct snap_ref r)
{
    if (UNLIKELY((uint64_t)r.off + r.n > s->size))
        return (struct str){s->base, 0};
    return (struct str){s->base + r.off, r.n};
}

/* True when the whole of an array is inside the file, and aligned. */
static inline bool snap_array_fits(const struct snapshot *s, struct snap_ref r, size_t size)
{
    return r.off % 8 == 0 && (uint64_t)r.off + (uint64_t)r.n * size <= s->size;
}

/* An index is a power of two with free places, so that every probe ends. */
static inline bool snap_index_fits(const struct snapshot *s, struct snap_ref index, uint32_t n)
{
    return snap_array_fits(s, index, sizeof(uint32_t)) && !(index.n & (index.n - 1)) && index.n > n;
}

/* Element i of an array, or NULL beyond its end or the file's, or where none can lie. */
static inline const void *snap_at(const struct snapshot *s, struct snap_ref r, uint32_t i,
                                  size_t size)
{
    uint64_t off = r.off + (uint64_t)i * size;

    return LIKELY(i < r.n && off + size <= s->size && r.off % 8 == 0) ? s->base + off : NULL;
}

#define SNAP_AT(s, ref, type, i) ((const type *)snap_at((s), (ref), (i), sizeof(type)))

enum { SNAP_STARS = 4 };

/* A name a client sent: exact names first, then patterns. */
struct snap_found {
    const struct snap_group *group;           /* NULL when a deployment was named by its id */
    const struct snap_deployment *deployment; /* NULL unless so */
    struct str captured[SNAP_STARS]; /* what the stars of the pattern matched; borrows from `name`
                                        or from the snapshot (an alias) */
    unsigned n_captured;
};

/*
 * Deployment id, alias or exact name; then the most specific pattern; then a deployment whose
 * litellm_params.model it is (the order of LiteLLM's router). False: none of them. No allocation.
 */
bool snap_find(const struct snapshot *s, struct str name, struct snap_found *ret);

/* What a deployment's model can do, its own or the one a wildcard was filled with. */
struct snap_model {
    uint32_t can;        /* enum capability, bits */
    uint32_t max_output; /* asked for where an API demands it; 0: not known */
};

struct snap_model snap_model(const struct snapshot *s, const struct snap_deployment *d,
                             struct str model);

/*
 * The API spoken upstream for a client's API to a deployment whose model is `model` (its own, or
 * what a wildcard was filled with); API_COUNT: none, COUNT_TOKENS is then answered here. `stops`:
 * the request names stop sequences, which the Responses API has not.
 */
enum api snap_via(const struct snapshot *s, const struct snap_deployment *d, struct str model,
                  enum api client, bool stops);

/* The price row of `model`, by the look-up order of providers.md section 8; NULL when there is
 * none. */
const struct price *snap_price(const struct snapshot *s, struct str provider, struct str model);
