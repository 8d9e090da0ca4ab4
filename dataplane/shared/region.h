#pragma once

/*
 * run_dir/shared: one MAP_SHARED file with what must outlive any process. A header, then one region
 * per worker slot. A region has one writer, the worker that holds it; the link reads rings and
 * settles dead regions; every worker reads the counters of all regions for /metrics. Pages are
 * touched only when used.
 *
 *   manager   makes the file, hands region numbers to workers, marks a region dead when its worker
 * is worker    heartbeat, counters, in-flight slots, ring head link      ring tail; settles
 * in-flight slots of dead regions, then frees the region
 */

#include "common/err.h"

#include "shared/record.h"

#define SHARED_MAGIC UINT64_C(0x3144455241485357) /* "WSHARED1" */
enum {
    SHARED_VERSION = 1,
    SHARED_ORIGINS = 1024,     /* slots of upstream origins */
    SHARED_DEPLOYMENTS = 2048, /* slots of deployments; the last one collects what has none */
    REGION_INFLIGHT = 16384,   /* exchanges in flight per worker */
    REGION_RING = 4 << 20,     /* bytes, a power of two */
    CACHE_LINE = 64,
};

/* All rows of proto/metrics.def. */
enum metric {
#define COUNTER(id, name, help) METRIC_##id,
#define GAUGE(id, name, help)   METRIC_##id,
#define HISTOGRAM(id, name, help)
#include "proto/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRICS,
};

enum metric_histogram {
#define COUNTER(id, name, help)
#define GAUGE(id, name, help)
#define HISTOGRAM(id, name, help) HISTOGRAM_##id,
#include "proto/metrics.def"
#undef COUNTER
#undef GAUGE
#undef HISTOGRAM
    METRIC_HISTOGRAMS,
};

enum { HISTOGRAM_BUCKETS = 64 }; /* two per power of two of nanoseconds from 1 us on */

struct histogram {
    uint64_t count, sum_ns;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

enum { STATUS_CLASSES = 6, REGION_ROUTES = 64 }; /* 1xx .. 5xx, 499 apart */

struct deployment_counters { /* one or two cache lines: everything one exchange adds */
    uint64_t requests, success, failure;
    uint64_t input_tokens, output_tokens;
    uint64_t spend_nusd;
    uint64_t latency_ns_sum, first_token_ns_sum, first_token_count;
    uint64_t in_flight;
    uint64_t unpriced;
    uint64_t reserved[5];
};

enum region_state { REGION_FREE, REGION_HELD, REGION_DEAD };

enum inflight_state {
    INFLIGHT_FREE,
    INFLIGHT_OPEN,       /* record under construction: settle it if the worker dies */
    INFLIGHT_PUBLISHING, /* being copied into the ring at `ring_at`: settled if the head never
                            passed it */
};

struct inflight {
    _Atomic uint32_t state; /* enum inflight_state */
    uint32_t next_free;     /* private to the worker */
    uint64_t ring_at;
    union {
        struct record record;
        char bytes[RECORD_MAX];
    };
};

struct region {
    /* written by manager, link and worker, rarely */
    _Atomic uint32_t state; /* enum region_state */
    _Atomic uint32_t pid;
    _Atomic uint64_t heartbeat_ns; /* monotonic, by the worker's loop each 100 ms */
    _Atomic uint64_t generation;   /* the worker serves with */
    uint64_t next_seq;             /* of records; kept over workers */
    char pad0[CACHE_LINE - 32];

    /* ring: single producer (worker), single consumer (link) */
    _Alignas(CACHE_LINE) _Atomic uint64_t ring_head; /* bytes ever written */
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
    uint32_t version, n_regions;
    uint64_t region_size, total_size;
    uint64_t epoch; /* wall microseconds when the file was made */
    char reserved[CACHE_LINE - 40];
};

struct shared { /* a mapping of it */
    struct shared_header *header;
    size_t size;
};

/* Makes or opens `path` (0600) with room for n_regions and maps it; an unusable old file is
 * replaced. Manager. */
MUST_CHECK enum errc shared_make(struct shared *s, const char *path, unsigned n_regions,
                                 int *ret_fd, struct err *e);

/* Maps the inherited descriptor `fd` and checks its header. Worker, link. */
MUST_CHECK enum errc shared_map(struct shared *s, int fd, struct err *e);

void shared_unmap(struct shared *s);

static inline struct region *shared_region(const struct shared *s, unsigned i)
{
    ASSERT(i < s->header->n_regions);
    return (struct region *)(void *)((char *)s->header + sizeof *s->header +
                                     (size_t)i * s->header->region_size);
}

/* One writer per region: a relaxed load and store are enough and cost no locked instruction. */
static inline void metric_add(struct region *r, enum metric m, uint64_t n)
{
    __atomic_store_n(&r->metric[m], r->metric[m] + n, __ATOMIC_RELAXED);
}

static inline void counter_add(uint64_t *word, uint64_t n)
{
    __atomic_store_n(word, *word + n, __ATOMIC_RELAXED);
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

/* --- ring
 * -------------------------------------------------------------------------------------------------
 */

/* Free bytes for the worker. */
static inline size_t ring_free(const struct region *r)
{
    return (size_t)(REGION_RING - (atomic_load_explicit(&((struct region *)(uintptr_t)r)->ring_head,
                                                        memory_order_relaxed) -
                                   atomic_load_explicit(&((struct region *)(uintptr_t)r)->ring_tail,
                                                        memory_order_acquire)));
}

/*
 * Publishes a record (size rounded up to 8, at most RECORD_MAX): false when there is no room, and
 * then nothing is written. After true it survives the worker. Worker only. *ret_at: its position,
 * for inflight.ring_at, is known before the copy through ring_position().
 */
MUST_CHECK bool ring_put(struct region *r, const struct record *rec);

/* Where the next record will end once published: head passes it exactly when ring_put() completed.
 */
uint64_t ring_position_after(const struct region *r, const struct record *rec);

/* The oldest unread record copied to `out` (RECORD_MAX bytes), *ret_next: tail after it; false when
 * empty. Link only. */
bool ring_peek(const struct region *r, uint64_t from, struct record *out, uint64_t *ret_next);

/* Frees everything before `tail`. Link only, after the records are safe elsewhere. */
void ring_release(struct region *r, uint64_t tail);
