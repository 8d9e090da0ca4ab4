#pragma once

/*
 * What the code of a request may reach: the worker's loop, its generation, its connections to
 * upstreams, its memory, its region of the shared file. Made by worker/worker.c, one per worker;
 * passed down, never global.
 */

#include <uv.h>

#include "common/arena.h"
#include "common/bufpool.h"
#include "common/wheel.h"

#include "shared/counters.h"
#include "shared/region.h"
#include "shared/response_store.h"
#include "shared/transcripts.h"
#include "snapshot/identity.h"
#include "snapshot/view.h"
#include "upstream/pool.h"

enum { READ_BUFFER = 64 * 1024, DATE_LINE = 38 };

struct context {
    uv_loop_t *loop;
    struct snapshot *snapshot;     /* the current generation; a request takes a reference */
    struct identities *identities; /* likewise; NULL: none was published yet */
    struct pool *pool;
    struct shared shared;
    struct region *region;
    unsigned region_index;
    struct response_store responses;
    struct transcripts transcripts;
    struct counters counters;
    struct wheel wheel;
    struct bufpool bufs;
    struct bufpool transcript_bufs; /* a bound of their own: they never cost a request */
    struct arena_pool arenas;
    struct buf out;          /* scratch of the write being built; empty between callbacks */
    struct list unpublished; /* closed meters that wait for room in the ring */
    uint64_t random;         /* state of context_random() */
    uint64_t tick_ns;        /* monotonic time of the last tick */
    int64_t wall_ahead_us;   /* wall clock minus monotonic, as of then */
    bool draining;           /* no new requests on kept-alive connections */
    unsigned open_requests;
    unsigned n_forwards;               /* of them with the control plane */
    unsigned n_gone;                   /* of them read on for a client that left */
    struct list conns;                 /* struct conn */
    uint32_t n_free_slots, slots_used; /* of region->inflight: given back, ever given out */
    uint16_t free_slot[REGION_INFLIGHT];
    char date[DATE_LINE];   /* "date: Fri, 20 Nov 2026 13:00:00 GMT\r\n", refreshed each second */
    char read[READ_BUFFER]; /* of the read callback that runs */
};

/* The date of a monotonic moment, microseconds since 1970. */
static inline int64_t context_wall_us(const struct context *cx, uint64_t mono_ns)
{
    return (int64_t)(mono_ns / 1000) + cx->wall_ahead_us;
}

/* Fast, not cryptographic: ids, shuffling, jitter. */
static inline uint64_t context_random(struct context *cx)
{
    uint64_t z = cx->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}
