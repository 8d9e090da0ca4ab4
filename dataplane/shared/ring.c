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
 * ring found empty jumps to its beginning once it is RING_REWIND bytes on, so that a link that
 * keeps up leaves the same few pages in use, and in the processor's cache. The jump is told beside
 * the head, not by a pad, which would count as unread and hold the room of the whole ring.
 *
 * Only head and tail are shared. A store of head (release) publishes the bytes before it and the
 * jump and pairs with the load in ring_peek() (acquire); a store of tail (release) says that the
 * bytes before it have been read and pairs with the load in ring_put() (acquire). A jump is only
 * replaced by the next one when the tail has reached the head, behind it. Because a record becomes
 * visible by one store of head, a worker killed anywhere has published it whole or not at all;
 * killed after it wrote down a jump it has not jumped, and who writes next will jump just so.
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

/* The oldest position whose bytes are in use: the tail, or where the ring went on from there. */
static uint64_t used_from(const struct region *r)
{
    uint64_t tail = atomic_load_explicit(&r->ring_tail, memory_order_acquire);

    return tail == r->jump_from ? r->jump_to : tail;
}

size_t ring_free(const struct region *r)
{
    uint64_t head = atomic_load_explicit(&r->ring_head, memory_order_acquire);

    return REGION_RING - (size_t)(head - MIN(used_from(r), head));
}

bool ring_put(struct region *r, const struct record *rec)
{
    uint64_t at = atomic_load_explicit(&r->ring_head, memory_order_relaxed); /* ours */
    uint64_t used = used_from(r);
    size_t off = (size_t)(at & RING_MASK), need = round8(rec->size);

    ASSERT(rec->size >= sizeof *rec && rec->size <= RECORD_MAX);
    if (used >= at && off >= RING_REWIND) { /* empty; beyond the head: a jump that was not made */
        uint64_t to = at + REGION_RING - off;
        r->jump_to = to; /* first: until jump_from is `at` it means nothing */
        __atomic_store_n(&r->jump_from, at, __ATOMIC_RELEASE);
        used = at = to;
    } else if (off + need > REGION_RING) {
        struct ring_entry pad = {.size = (uint32_t)(REGION_RING - off)};
        if (pad.size + need > REGION_RING - (size_t)(at - used))
            return false;
        memcpy(r->ring + off, &pad, sizeof pad);
        at += pad.size;
    } else if (need > REGION_RING - (size_t)(at - used)) {
        return false;
    }
    unsigned char *p = r->ring + (at & RING_MASK);
    uint64_t seq = r->next_seq++; /* before the head: a number is never given twice */

    memcpy(p, rec, rec->size);
    memcpy(p + offsetof(struct record, seq), &seq, sizeof seq);
    atomic_store_explicit(&r->ring_head, at + need, memory_order_release);
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
        if (from == r->jump_from && r->jump_to != from) {
            if (r->jump_to - from >= left) /* a record lies behind a jump */
                return RING_BROKEN;
            from = r->jump_to;
            continue;
        }
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
