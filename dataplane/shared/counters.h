#pragma once

/*
 * run_dir/counters: what changes with every request, by slot of the entity it is about
 * (snapshot/identity.h). One MAP_SHARED file: link and workers write it with atomics and without
 * locks, it outlives any of them, and limits hold over all workers of the pod.
 *
 *   header     version and sizes; which pages have memory; the pod's own counter
 *   slots      struct counter[COUNTERS_SLOTS]
 *   pairs      struct pair_counter[COUNTERS_PAIRS]: an entity and a model, or an entity and a tag;
 *              open addressing by hash, given up when every window in it is over
 *
 *   manager    makes the file
 *   directory  spend as the control plane knows it (counter_told), slots given to another entity
 *              (counters_clear), or to all others (counters_forget); in weir-link
 *   worker     takes and gives back, adds what an exchange cost, begins a budget's period
 *   link       the same for workers that died; takes what the control plane's sums hold from what
 *              the pod added (link/totals.h)
 *
 * Spend is what the control plane told, plus what this pod's records say that were not in it. Of a
 * budget with a period only what ended in the one that runs counts: the first who finds it over
 * begins the next one, whatever the control plane says or does not say.
 *
 * A page gets its memory before it is first used (the file is sparse, and a full file system is an
 * answer and no signal), so an entity that never calls costs nothing.
 */

#include "common/err.h"
#include "common/str.h"

#define COUNTERS_MAGIC UINT64_C(0x3154434e54435357) /* "WSCTNCT1" */
enum {
    COUNTERS_VERSION = 3,
    COUNTERS_SLOTS = 4 << 20,
    COUNTERS_PAIRS = 1 << 20,
    COUNTERS_PAGE = 4096,
    COUNTERS_TENANTS = 2048, /* told apart by how many names they made up */
    COUNTERS_HEADER = 32768, /* bytes before the first slot */
    PAIR_PROBES = 16,        /* places a pair may have */
};

/*
 * A count and the second it began: start modulo 2^24 above, count below, so that one compare and
 * swap restarts or moves it. Fixed windows opened by the first request, as LiteLLM has them; 0:
 * none was ever opened.
 */
typedef _Atomic uint64_t window_word;

struct counter {                /* a cache line */
    _Atomic int64_t known_nusd; /* spend, as the control plane last told */
    _Atomic int64_t added_nusd; /* by this pod, and not in that */
    window_word requests, tokens;
    _Atomic uint32_t parallel;
    _Atomic uint32_t ends_s;  /* the period of its budget, wall seconds; 0: not known, or none */
    _Atomic uint32_t began_s; /* what ended before is not in the sums; 0: not known */
    uint32_t reserved[5];
};

struct pair_counter {         /* a cache line */
    _Atomic uint64_t id;      /* counters_pair()'s hash; 0: free, 1: being given to another */
    _Atomic uint32_t used_s;  /* wall second of the last use */
    _Atomic uint32_t until_s; /* not given up before */
    window_word requests, tokens;
    _Atomic int64_t added_nusd; /* by this pod, in the period that ends at ... */
    _Atomic uint32_t ends_s;    /* 0: it has not begun */
    _Atomic uint32_t tenant;    /* who made the name up; 0: the administrator */
    uint32_t reserved[4];
};

struct counters_header {
    uint64_t magic;
    uint32_t version, slots, pairs;
    _Atomic uint32_t making; /* wall second since which somebody gives a pair away; 0: nobody */
    uint64_t total_size;
    _Atomic uint64_t numbering; /* which numbering of slots this is about; the directory's */
    int64_t since_us;           /* wall: records that ended before are not in it */
    struct counters_place {     /* of the spool: up to where `known` holds what was `added`; */
        _Atomic uint64_t segment, offset; /* the link's */
        _Atomic uint32_t taken;           /* of the next record: slots it was taken from */
    } place;
    _Atomic uint64_t position; /* Changes.totals_to of the last sums; 0: none came. The link's */
    _Alignas(64) struct counter pod;
    _Atomic uint32_t places[COUNTERS_TENANTS]; /* pairs of names that somebody made up */
    _Alignas(64) _Atomic uint64_t backed[(COUNTERS_SLOTS + COUNTERS_PAIRS) / 64 / 64]; /* bits */
};

static_assert(sizeof(struct counter) == 64 && sizeof(struct pair_counter) == 64, "layout");
static_assert(sizeof(struct counters_header) <= COUNTERS_HEADER, "layout");

struct counters {                   /* a mapping of it */
    struct counters_header *header; /* NULL: none mapped */
    int fd;                         /* borrowed; to back pages with */
};

/* Makes or opens `path` (0600); one of another layout is replaced. *ret_fd is the caller's.
 * Manager. */
MUST_CHECK enum errc counters_make(const char *path, int *ret_fd, struct err *e);

/* Maps the inherited descriptor, which it goes on using. Link, worker. */
MUST_CHECK enum errc counters_map(struct counters *c, int fd, struct err *e);
void counters_unmap(struct counters *c);

/* The counter of a slot; NULL: no such slot, or no memory for it. */
struct counter *counters_at(const struct counters *c, uint32_t slot);

/* The same without giving it memory; NULL: nothing was ever counted there. */
const struct counter *counters_peek(const struct counters *c, uint32_t slot);

/* ---- for the directory ---- */

/* A sum of the control plane. */
struct told {
    int64_t spend_nusd;
    uint32_t ends_s; /* the period it is of; 0: it has none */
    bool is_exact;   /* what of this pod is in it is known, and taken from what was added */
};

/*
 * The control plane told of it. Of a period that is over it says nothing. Of one that is not exact,
 * what the pod added stays on top but for what the new sum may already hold, so that a total never
 * falls by being told late; a sum below the last one is a reset and takes everything with it. Costs
 * no memory where nothing was ever spent.
 */
void counter_told(const struct counters *c, uint32_t slot, const struct told *t, uint32_t now_s);

/* The next period's end is known, and nothing else is new. */
void counter_told_period(const struct counters *c, uint32_t slot, uint32_t ends_s, uint32_t now_s);

/* Of what was added `nusd`, of an exchange that ended at `end_s`, is in the sum that was told. */
void counter_taken(const struct counters *c, uint32_t slot, int64_t nusd, uint32_t end_s);

/* The slot is another entity's from now on, or all of them are. */
void counters_clear(const struct counters *c, uint32_t slot);
void counters_forget(const struct counters *c, uint64_t numbering);

/* ---- for those who count ---- */

static inline int64_t counter_spend(const struct counter *n)
{
    int64_t known = atomic_load_explicit(&n->known_nusd, memory_order_relaxed);
    int64_t added = atomic_load_explicit(&n->added_nusd, memory_order_relaxed), sum;

    return __builtin_add_overflow(known, added, &sum) ? INT64_MAX
                                                      : sum; /* added is never below 0 */
}

/* The period that was known is over: its sums are not those of now. */
static inline bool counter_is_over(const struct counter *n, uint32_t now_s)
{
    uint32_t ends_s = atomic_load_explicit(&n->ends_s, memory_order_relaxed);

    return ends_s && now_s >= ends_s;
}

/* Begins the next one: it began at `began_s` and ends at `ends_s` (0: not known). Of several who do
 * so one is heard. */
void counter_begin(struct counter *n, uint32_t now_s, uint32_t began_s, uint32_t ends_s);

/* An exchange that ended at `end_s` cost so much. */
static inline void counter_spent(struct counter *n, int64_t nusd, uint32_t end_s)
{
    if (UNLIKELY(counter_is_over(n, end_s))) /* nobody asked since */
        counter_begin(n, end_s, atomic_load_explicit(&n->ends_s, memory_order_relaxed), 0);
    if (end_s >= atomic_load_explicit(&n->began_s, memory_order_relaxed))
        atomic_fetch_add_explicit(&n->added_nusd, nusd, memory_order_relaxed);
}

struct window {
    uint64_t count;
    uint32_t left_s; /* until it is over; the whole length when none is open */
};

/* What was counted in the window that is open. */
struct window window_read(const window_word *w, uint32_t now_s, uint32_t length_s);

/* Counts `n` unless the sum would be above `limit`: then *ret says how it stands, and nothing was
 * counted. */
MUST_CHECK bool window_take(window_word *w, uint32_t now_s, uint32_t length_s, uint64_t n,
                            uint64_t limit, struct window *ret);

/* Counts without asking. */
void window_add(window_word *w, uint32_t now_s, uint32_t length_s, uint64_t n);

/* Gives back what was taken at `taken_s`, unless that window is over. */
void window_give(window_word *w, uint32_t taken_s, uint32_t now_s, uint32_t length_s, uint64_t n);

/* One more at once, unless there are `limit` (then false). *ret_now: how many with it. */
MUST_CHECK bool parallel_take(struct counter *n, uint32_t limit, uint32_t *ret_now);
void parallel_give(struct counter *n);

/*
 * The counter of an entity with a name (a model, a tag); made when there is none. `owner` stands
 * for the entity's id, not its slot, which becomes another's. `keep_s`: not to be given up for so
 * long. Of a full neighbourhood the one not used for longest makes way. NULL only without memory.
 */
struct pair_counter *counters_pair(const struct counters *c, uint64_t owner, unsigned what,
                                   struct str name, uint32_t now_s, uint32_t keep_s);

/*
 * The same for a name that a client made up, on behalf of `tenant` (not 0). Where there is no room
 * one of whoever made up most makes way, if that is not less than `tenant` did: nobody takes the
 * counters of others, nor those of names that were given. NULL: there is no place.
 */
struct pair_counter *counters_pair_of(const struct counters *c, uint32_t tenant, uint64_t owner,
                                      unsigned what, struct str name, uint32_t now_s,
                                      uint32_t keep_s);

/* What an in-flight entry keeps of it, and it again by that; NULL: it is another's by now. */
uint32_t counters_pair_index(const struct counters *c, const struct pair_counter *p);
struct pair_counter *counters_pair_at(const struct counters *c, uint32_t index, uint64_t id);
