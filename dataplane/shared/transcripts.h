#pragma once

/*
 * Prompts and replies on their way from workers to the link, where they are stored: one file in
 * memory, which no name leads to, with a ring per region of the shared file. They travel apart from
 * records, and are lossy: a ring without room takes nothing, and nobody waits for it.
 *
 *   ring    single producer (the region's worker), single consumer (the link); positions count
 *           bytes ever, the byte of position p lies at p modulo TRANSCRIPT_RING
 *   entry   struct transcript_entry, the request's body, the reply; it never wraps: a pad fills
 *           what is left before the end
 *
 * A ring found empty goes on at its beginning once it is TRANSCRIPT_REWIND bytes on, so that a link
 * that keeps up leaves the same pages in use. Pages are touched only when used.
 *
 * A store of head (release) publishes the bytes before it: a worker killed anywhere has published
 * an entry whole or not at all. The tail moves when a control plane has taken what lies before it:
 * a link killed in between finds it again.
 */

#include "common/err.h"
#include "common/str.h"

enum {
    TRANSCRIPT_VERSION = 1,
    TRANSCRIPT_RING = 16 << 20,      /* bytes, a power of two */
    TRANSCRIPT_REWIND = 4 << 20,     /* leaves room for the largest entry */
    TRANSCRIPT_TEXT_MAX = 1 << 20,   /* of a body, and of a reply */
    TRANSCRIPT_CALL = 36,            /* x-litellm-call-id */
    TRANSCRIPTS_HELD = 32 << 20,     /* bytes a worker holds of them while requests run */
    TRANSCRIPT_REGION_HEADER = 4096, /* bytes before the ring */
};

enum transcript_flags {
    TRANSCRIPT_REDACT = BIT(0), /* its texts are not to be stored */
};

struct transcript_entry {
    uint32_t size;    /* of all of it, a multiple of 8 */
    uint16_t version; /* 0: a pad */
    uint16_t flags;   /* enum transcript_flags */
    int64_t start_us; /* of its record */
    uint32_t attempt; /* likewise */
    uint32_t n_request, n_reply;
    char call[TRANSCRIPT_CALL];
    uint64_t request_bytes, reply_bytes; /* as they were: beyond what is kept nothing is */
};

static_assert(sizeof(struct transcript_entry) % 8 == 0, "entries are aligned");
static_assert(sizeof(struct transcript_entry) + 2 * TRANSCRIPT_TEXT_MAX + 8 <= TRANSCRIPT_REWIND,
              "an empty ring takes the largest entry");

struct transcript_region {
    _Alignas(64) _Atomic uint64_t head;
    _Alignas(64) _Atomic uint64_t tail;
    _Alignas(TRANSCRIPT_REGION_HEADER) unsigned char ring[TRANSCRIPT_RING];
};

struct transcripts { /* a mapping */
    unsigned char *base;
    unsigned regions;
};

/* Makes the file; *ret_fd is the caller's. Manager. */
MUST_CHECK enum errc transcripts_make(unsigned regions, int *ret_fd, struct err *e);

/* Maps the inherited descriptor. Worker, link. */
MUST_CHECK enum errc transcripts_map(struct transcripts *t, int fd, struct err *e);
void transcripts_unmap(struct transcripts *t);

static inline struct transcript_region *transcripts_region(const struct transcripts *t, unsigned i)
{
    ASSERT(i < t->regions);
    return (struct transcript_region *)(void *)(t->base + i * sizeof(struct transcript_region));
}

/* Publishes a copy; size, version and lengths of the entry are filled in. False: there is no room,
 * and nothing was written. Worker. */
MUST_CHECK bool transcript_put(struct transcript_region *r, struct transcript_entry *en,
                               struct str request, struct str reply);

struct transcript_view {
    struct transcript_entry entry; /* a copy */
    struct str request, reply;     /* in the ring, until it is released */
};

/* The oldest entry at or behind position `from`, between tail and head; *ret_next: position behind
 * it. False: there is none; what cannot be read is passed over. Link. */
MUST_CHECK bool transcript_peek(const struct transcript_region *r, uint64_t from,
                                struct transcript_view *ret, uint64_t *ret_next);

/* Frees everything before `tail`. Link. */
static inline void transcript_release(struct transcript_region *r, uint64_t tail)
{
    atomic_store_explicit(&r->tail, tail, memory_order_release);
}
