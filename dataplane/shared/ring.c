/*
 * The way of a record from a worker to the link: single producer, single consumer, in memory that
 * outlives both.
 *
 *      tail                    head                 positions count bytes ever; the byte of
 *       v                       v                   position p lies at p modulo REGION_RING
 *   ----[record][record][ pad ] |
 *        ^ read by the link     ^ next write of the worker
 *
 * A record never wraps: what is left before the end is filled by a pad, which the reader skips. A
 * ring found empty starts again at its beginning once it is RING_REWIND bytes on, so that a link
 * that keeps up leaves the same few pages in use, and in the processor's cache.
 *
 * Only head and tail are shared. A store of head (release) publishes the bytes before it and pairs
 * with the load in ring_peek() (acquire); a store of tail (release) says that the bytes before it
 * have been read and pairs with the load in ring_put() (acquire). Because a record becomes visible
 * by that one store of head, a worker killed anywhere has published it whole or not at all.
 */

#include "shared/region.h"

enum { RING_MASK = REGION_RING - 1 };

/* What every entry begins with; a record has the same two fields. A pad has version 0. */
struct ring_entry {
    uint32_t size;
    uint16_t version;
    uint16_t reserved;
};

static_assert(offsetof(struct record, size) == offsetof(struct ring_entry, size), "layout");
static_assert(offsetof(struct record, version) == offsetof(struct ring_entry, version), "layout");
static_assert(sizeof(struct ring_entry) == 8, "a pad fits wherever a record may end");

static size_t round8(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* Bytes to skip at position `at` so that `need` bytes lie in one piece. */
static size_t pad_at(uint64_t at, uint64_t tail, size_t need)
{
    size_t off = (size_t)(at & RING_MASK);

    if (off + need > REGION_RING || (at == tail && off >= RING_REWIND))
        return REGION_RING - off;
    return 0;
}

bool ring_put(struct region *r, const struct record *rec)
{
    uint64_t at = atomic_load_explicit(&r->ring_head, memory_order_relaxed); /* ours */
    uint64_t tail = atomic_load_explicit(&r->ring_tail, memory_order_acquire);
    size_t need = round8(rec->size);
    size_t pad = pad_at(at, tail, need);

    ASSERT(rec->size >= sizeof *rec && rec->size <= RECORD_MAX);
    if (pad + need > REGION_RING - (size_t)(at - tail))
        return false;
    if (pad) {
        struct ring_entry e = {.size = (uint32_t)pad};
        memcpy(r->ring + (at & RING_MASK), &e, sizeof e);
    }
    unsigned char *p = r->ring + ((at + pad) & RING_MASK);
    uint64_t seq = r->next_seq++; /* before the head: a number is never given twice */

    memcpy(p, rec, rec->size);
    memcpy(p + offsetof(struct record, seq), &seq, sizeof seq);
    atomic_store_explicit(&r->ring_head, at + pad + need, memory_order_release);
    return true;
}

enum ring_got ring_peek(const struct region *r, uint64_t from, struct record *out,
                        uint64_t *ret_next)
{
    uint64_t head = atomic_load_explicit(&r->ring_head, memory_order_acquire);

    while (from != head) {
        struct ring_entry e;
        size_t off = (size_t)(from & RING_MASK);
        uint64_t left = head - from;

        *ret_next = head;
        if (left > REGION_RING || left < sizeof e || from % 8 != 0)
            return RING_BROKEN;
        memcpy(&e, r->ring + off, sizeof e);
        if (e.size < sizeof e || e.size > left || e.size > REGION_RING - off)
            return RING_BROKEN;
        if (e.version == 0) {
            from += round8(e.size);
            continue;
        }
        if (e.size < sizeof *out || e.size > RECORD_MAX || e.version != RECORD_VERSION)
            return RING_BROKEN;
        memcpy(out, r->ring + off, e.size);
        *ret_next = from + round8(e.size);
        return RING_RECORD;
    }
    *ret_next = from;
    return RING_EMPTY;
}

void ring_release(struct region *r, uint64_t tail)
{
    atomic_store_explicit(&r->ring_tail, tail, memory_order_release);
}

bool inflight_publish(struct region *r, struct inflight *f)
{
    f->ring_at = atomic_load_explicit(&r->ring_head, memory_order_relaxed);
    atomic_store_explicit(&f->state, INFLIGHT_PUBLISHING, memory_order_release);
    bool done = ring_put(r, &f->record);
    atomic_store_explicit(&f->state, done ? INFLIGHT_FREE : INFLIGHT_OPEN, memory_order_release);
    return done;
}

bool inflight_is_lost(const struct region *r, const struct inflight *f)
{
    switch ((enum inflight_state)atomic_load_explicit(&f->state, memory_order_acquire)) {
    case INFLIGHT_FREE:
        return false;
    case INFLIGHT_OPEN:
        return true;
    case INFLIGHT_PUBLISHING: /* the head moves once, when the record is whole */
        return atomic_load_explicit(&r->ring_head, memory_order_acquire) == f->ring_at;
    }
    return false; /* overwritten memory */
}
