#pragma once

/*
 * run_dir/shared: one MAP_SHARED file with what must outlive any process. A header, then one region
 * per worker slot. A region has one writer, the worker that holds it; the link reads rings and
 * settles dead regions; every worker reads the counters of all regions for /metrics. Pages are
 * touched only when used: even a read of an untouched one costs 4 KiB, so nobody looks beyond
 * shared_regions(), inflight_high and the deployments of the generation.
 *
 *   manager   makes the file, hands regions to workers, marks a region dead when its worker is
 *   worker    heartbeat, counters, in-flight slots, ring head
 *   link      ring tail; of a dead region: settles the slots, empties the ring, then frees it
 */

#include "common/err.h"

#include "shared/charge.h"
#include "shared/record.h"

#define SHARED_MAGIC UINT64_C(0x3144455241485357) /* "WSHARED1" */
enum {
    SHARED_VERSION = 3,
    SHARED_ORIGINS = 1024,     /* slots of upstream origins */
    SHARED_DEPLOYMENTS = 2048, /* slots of deployments; the last one collects what has none */
    REGION_INFLIGHT = 16384,   /* exchanges in flight per worker */
    REGION_RING =
        16
        << 20, /* bytes, a power of two: half a second of a busy worker, for a disk that stalls */
    CACHE_LINE = 64,
    SHARED_HEADER = 4096,   /* bytes before the first region */
    RING_REWIND = 64 << 10, /* an empty ring starts again at its beginning beyond this */
};

/* The rows of proto/metrics.def, by where they are kept: each worker's region, or the header. */
enum metric {
#define COUNTER(id, name, help) METRIC_##id,
#define GAUGE(id, name, help)   METRIC_##id,
#include "proto/metrics.def"
    METRICS,
};

enum metric_histogram {
#define HISTOGRAM(id, name, help) HISTOGRAM_##id,
#include "proto/metrics.def"
    METRIC_HISTOGRAMS,
};

enum pod_metric {
#define POD_COUNTER(id, name, help) POD_##id,
#define POD_GAUGE(id, name, help)   POD_##id,
#include "proto/metrics.def"
    POD_METRICS,
};

enum { HISTOGRAM_BUCKETS = 64 }; /* two per power of two of nanoseconds from 1 us on */

struct histogram {
    uint64_t count, sum_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

enum {
    STATUS_CLASSES = 6, /* status / 100; 0: none was sent */
    REGION_ROUTES = 64, /* rows of routes.def; the last one counts what has no route */
};

struct deployment_counters { /* one or two cache lines: everything one exchange adds */
    uint64_t requests, success, failure;
    uint64_t input_tokens, output_tokens;
    uint64_t spend_nusd;
    uint64_t latency_ns_sum; /* of successes, until the last byte of the reply */
    uint64_t first_token_ns_sum, first_token_count;
    uint64_t in_flight;
    uint64_t unpriced;
    uint64_t reserved[5];
};

enum region_state { REGION_FREE, REGION_HELD, REGION_DEAD };

enum inflight_state {
    INFLIGHT_FREE,
    INFLIGHT_OPEN,       /* record under construction: settle it if the worker dies */
    INFLIGHT_PUBLISHING, /* being copied into the ring: done if the head has passed `ring_at` */
};

struct inflight {
    _Atomic uint32_t state; /* enum inflight_state */
    uint32_t next_free;     /* private to the worker */
    uint64_t ring_at;       /* ring head when publishing began */
    struct charges charges; /* what the link charges, and gives back, for a dead worker */
    union {
        struct record record;
        char bytes[RECORD_MAX];
    };
};

struct region {
    /* written by manager, link and worker, rarely */
    _Atomic uint32_t state; /* enum region_state */
    _Atomic uint32_t pid;
    _Atomic uint64_t heartbeat_ns;  /* monotonic, by the worker's loop each 100 ms */
    _Atomic uint64_t generation;    /* the worker serves with */
    uint64_t next_seq;              /* of records; kept over workers */
    _Atomic uint32_t inflight_high; /* slots from here on were never used */
    _Atomic uint64_t identity;      /* n of the overlay the worker serves with; 0: none */

    /* ring: single producer (worker), single consumer (link) */
    _Alignas(CACHE_LINE) _Atomic uint64_t ring_head; /* bytes ever written */
    uint64_t jump_from, jump_to; /* private to ring.c: the ring went on at jump_to */
    _Alignas(CACHE_LINE) _Atomic uint64_t ring_tail; /* bytes ever consumed */

    /* counters: plain words, one writer, read by anybody; monotonic over the life of the file but
     * gauges */
    _Alignas(CACHE_LINE) uint64_t metric[METRICS];
    uint64_t requests[REGION_ROUTES][STATUS_CLASSES];
    struct histogram histogram[METRIC_HISTOGRAMS];
    uint32_t origin_connections[SHARED_ORIGINS]; /* open to each origin by this worker */
    struct deployment_counters deployment[SHARED_DEPLOYMENTS];

    _Alignas(CACHE_LINE) unsigned char ring[REGION_RING];
    struct inflight inflight[REGION_INFLIGHT];
};

struct shared_header {
    uint64_t magic;
    uint32_t version, capacity; /* regions the file has room for */
    uint64_t region_size, total_size;
    uint64_t epoch;              /* wall microseconds when the file was made */
    _Atomic uint32_t n_regions;  /* handed out so far; only grows */
    _Atomic uint32_t link_pid;   /* the newest link: an older one without a manager makes way */
    _Atomic uint64_t generation; /* the last one built, over all links */
    _Atomic uint64_t session_ns; /* monotonic: when a control plane last answered the link; 0: none
                                    is configured */
    _Alignas(
        CACHE_LINE) uint64_t metric[POD_METRICS]; /* each row has one writer: link or manager */
};

static_assert(sizeof(struct shared_header) <= SHARED_HEADER, "layout");

struct shared { /* a mapping of it */
    struct shared_header *header;
    size_t size;
    unsigned capacity; /* regions inside this mapping: the file may have grown since */
};

/*
 * Makes or opens `path` (0600) with room for `capacity` regions and maps it. A file left behind is
 * kept, since its rings may hold records, and grown where it is smaller; one of another layout is
 * replaced. *ret_fd is the caller's. Manager.
 */
MUST_CHECK enum errc shared_make(struct shared *s, const char *path, unsigned capacity, int *ret_fd,
                                 struct err *e);

/* Maps the inherited descriptor `fd` and checks its header. Worker, link. */
MUST_CHECK enum errc shared_map(struct shared *s, int fd, struct err *e);

void shared_unmap(struct shared *s);

/* Regions in use since the file was made: 0 .. n-1 exist, and may be free, held or dead. */
static inline unsigned shared_regions(const struct shared *s)
{
    return MIN(atomic_load_explicit(&s->header->n_regions, memory_order_acquire), s->capacity);
}

static inline struct region *shared_region(const struct shared *s, unsigned i)
{
    ASSERT(i < s->capacity);
    return (struct region *)(void *)((char *)s->header + SHARED_HEADER +
                                     (size_t)i * s->header->region_size);
}

/* Zeroes what says "now": gauges, connection counts, in-flight counts. For a region nobody holds.
 */
void region_reset_gauges(struct region *r);

/* True when every region is free and every ring is empty: the file holds nothing but counters. */
bool shared_is_settled(const struct shared *s);

/* One writer per region: a relaxed load and store are enough and cost no locked instruction. */
static inline void counter_add(uint64_t *word, uint64_t n)
{
    __atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline void metric_add(struct region *r, enum metric m, uint64_t n)
{
    counter_add(&r->metric[m], n);
}

static inline void pod_metric_add(const struct shared *s, enum pod_metric m, uint64_t n)
{
    counter_add(&s->header->metric[m], n);
}

static inline void pod_metric_set(const struct shared *s, enum pod_metric m, uint64_t v)
{
    __atomic_store_n(&s->header->metric[m], v, __ATOMIC_RELAXED);
}

/* Bucket of a duration: 0 up to 1 us, then two per power of two; the last is open. */
static inline unsigned histogram_bucket(uint64_t ns)
{
    if (ns <= 1000)
        return 0;
    uint64_t v = ns / 1000; /* us, at least 1 */
    unsigned log2 = 63 - (unsigned)__builtin_clzll(v);
    unsigned half = log2 ? (unsigned)(v >> (log2 - 1)) & 1 : 0;
    unsigned b = 1 + 2 * log2 + half;
    return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}

static inline void metric_observe(struct region *r, enum metric_histogram h, uint64_t ns)
{
    struct histogram *hist = &r->histogram[h];

    counter_add(&hist->count, 1);
    counter_add(&hist->sum_ns, ns);
    counter_add(&hist->bucket[histogram_bucket(ns)], 1);
}

/* --- ring ------------------------------------------------------------------------------------ */

/* Free bytes, for the worker or the link: a record needs its size rounded up to 8, and at the end
 * of the ring up to RECORD_MAX more. Not head less tail: a ring may have jumped between them. */
size_t ring_free(const struct region *r);

/*
 * Publishes a copy of a record with its `seq` stamped: false when there is no room, and then
 * nothing is written. After true it survives the worker. Worker, or the link for a dead region.
 */
MUST_CHECK bool ring_put(struct region *r, const struct record *rec);

enum ring_got {
    RING_EMPTY,
    RING_RECORD,
    RING_BROKEN, /* no record lies there: the region was overwritten; *ret_next is its head */
};

/* The oldest record at or after position `from` (between tail and head) copied to `out` (RECORD_MAX
 * bytes), *ret_next: position after it. Link only. */
enum ring_got ring_peek(const struct region *r, uint64_t from, struct record *out,
                        uint64_t *ret_next);

/* Frees everything before `tail`. Link only, after the records are safe elsewhere. */
void ring_release(struct region *r, uint64_t tail);

/* --- in-flight slots ------------------------------------------------------------------------- */

/* From now on the link settles the slot's record, already filled in, if the worker dies. */
static inline void inflight_open(struct region *r, struct inflight *f)
{
    uint32_t i = (uint32_t)(f - r->inflight);

    if (i >= atomic_load_explicit(&r->inflight_high, memory_order_relaxed))
        atomic_store_explicit(&r->inflight_high, i + 1, memory_order_relaxed);
    atomic_store_explicit(&f->state, INFLIGHT_OPEN, memory_order_release);
}

/*
 * Puts the slot's record into the ring and frees the slot, so that at whatever instruction the
 * worker dies the record is published exactly once: by it or by the link. False when the ring is
 * full: the slot is open as before.
 */
MUST_CHECK bool inflight_publish(struct region *r, struct inflight *f);

/* Ends a slot without a record. */
static inline void inflight_drop(struct inflight *f)
{
    atomic_store_explicit(&f->state, INFLIGHT_FREE, memory_order_release);
}

/* True when the slot of a dead worker holds a record that did not reach the ring. Link only. */
bool inflight_is_lost(const struct region *r, const struct inflight *f);
