/*
 * The file, its pages, and the arithmetic of windows. Slots and pairs lie behind each other in
 * units of one cache line; a bit of the header says that a page of them has memory.
 */

#include "shared/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    UNIT = 64,
    UNITS_A_PAGE = COUNTERS_PAGE / UNIT,
    START_SHIFT = 40, /* of a window word: start above, count below */
    START_MASK = (1 << 24) - 1,
    PAIR_FREE = 0,
    PAIR_TAKEN = 1,     /* being given to another entity ... */
    PAIR_TAKEN_S = 2,   /* ... unless whoever did it died: then that is undone after so long */
    MAKING_TRIES = 200, /* and as often another process may run first */
};

static const uint64_t count_max = (UINT64_C(1) << START_SHIFT) - 1;
static const size_t file_size = COUNTERS_HEADER + ((size_t)COUNTERS_SLOTS + COUNTERS_PAIRS) * UNIT;

/* --- the file -------------------------------------------------------------------------------- */

static bool header_is_ours(const struct counters_header *h, uint64_t size)
{
    return h->magic == COUNTERS_MAGIC && h->version == COUNTERS_VERSION &&
           h->slots == COUNTERS_SLOTS && h->pairs == COUNTERS_PAIRS && h->total_size == file_size &&
           size >= file_size;
}

/* What another manager left; -1: there is none of this layout. */
static int open_old(const char *path)
{
    static struct counters_header h;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
        pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h && header_is_ours(&h, (uint64_t)st.st_size))
        return fd;
    close(fd);
    return -1;
}

enum errc counters_make(const char *path, int *ret_fd, struct err *e)
{
    char temp[4096];
    static struct counters_header h;
    int fd = open_old(path);

    if (fd >= 0) {
        *ret_fd = fd;
        return ERRC_OK;
    }
    h = (struct counters_header){.magic = COUNTERS_MAGIC,
                                 .version = COUNTERS_VERSION,
                                 .slots = COUNTERS_SLOTS,
                                 .pairs = COUNTERS_PAIRS,
                                 .total_size = file_size,
                                 .since_us = clock_wall_us()};
    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return err_set(e, ERRC_LIMIT, 0, "path of the counters is too long");
    fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "make %s", temp);
    if (ftruncate(fd, (off_t)file_size) != 0 || fallocate(fd, 0, 0, COUNTERS_HEADER) != 0 ||
        pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || rename(temp, path) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "make %s", path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc counters_map(struct counters *c, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < file_size)
        return err_set(e, ERRC_INVALID, 0, "descriptor %d is no file of counters", fd);
    void *p = mmap(NULL, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERRC_SYS, errno, "map the counters (%zu bytes)", file_size);
    (void)madvise(p, file_size, MADV_DONTDUMP); /* only keeps it out of core files */
    if (!header_is_ours(p, (uint64_t)st.st_size)) {
        (void)munmap(p, file_size);
        return err_set(e, ERRC_INVALID, 0, "the file of counters has another layout");
    }
    *c = (struct counters){.header = p, .fd = fd};
    return ERRC_OK;
}

void counters_unmap(struct counters *c)
{
    if (c->header)
        (void)munmap(c->header, file_size); /* cannot fail on a whole mapping */
    *c = (struct counters){0};
}

static bool unit_is_backed(const struct counters *c, size_t unit)
{
    size_t page = unit / UNITS_A_PAGE;

    return atomic_load_explicit(&c->header->backed[page / 64], memory_order_relaxed) >>
               (page % 64) &
           1;
}

static void *unit_at(const struct counters *c, size_t unit)
{
    return (char *)c->header + COUNTERS_HEADER + unit * UNIT;
}

/* The unit, its page with memory; NULL: there is none left. */
static void *unit_back(const struct counters *c, size_t unit)
{
    size_t page = unit / UNITS_A_PAGE;

    if (LIKELY(unit_is_backed(c, unit)))
        return unit_at(c, unit);
    if (fallocate(c->fd, 0, (off_t)(COUNTERS_HEADER + page * COUNTERS_PAGE), COUNTERS_PAGE) != 0)
        return NULL;
    atomic_fetch_or_explicit(&c->header->backed[page / 64], UINT64_C(1) << (page % 64),
                             memory_order_relaxed);
    return unit_at(c, unit);
}

struct counter *counters_at(const struct counters *c, uint32_t slot)
{
    return c->header && slot < COUNTERS_SLOTS ? unit_back(c, slot) : NULL;
}

/* --- the directory's part -------------------------------------------------------------------- */

const struct counter *counters_peek(const struct counters *c, uint32_t slot)
{
    return c->header && slot < COUNTERS_SLOTS && unit_is_backed(c, slot) ? unit_at(c, slot) : NULL;
}

static struct counter *told_counter(const struct counters *c, uint32_t slot, bool is_news)
{
    if (!c->header || slot >= COUNTERS_SLOTS || (!is_news && !unit_is_backed(c, slot)))
        return NULL;
    return unit_back(c, slot);
}

/* Nothing tells how much of what was added is in the new sum: as much as can be. */
static void guess(struct counter *n, int64_t before, int64_t now)
{
    int64_t added = atomic_load_explicit(&n->added_nusd, memory_order_relaxed), left, told;
    bool covers = now < before || __builtin_sub_overflow(now, before, &told);

    do
        left = covers ? 0 : MAX(added - told, (int64_t)0);
    while (left != added &&
           !atomic_compare_exchange_weak_explicit(&n->added_nusd, &added, left,
                                                  memory_order_relaxed, memory_order_relaxed));
}

/* False: what was told is of a period before the one that runs. */
static bool period_told(struct counter *n, uint32_t told_s, uint32_t now_s)
{
    uint32_t ends_s = atomic_load_explicit(&n->ends_s, memory_order_relaxed);

    if (told_s && told_s <= now_s &&
        (told_s < ends_s || told_s <= atomic_load_explicit(&n->began_s, memory_order_relaxed)))
        return false;
    if (ends_s && now_s >= ends_s && told_s > now_s) /* it began, and nobody asked since */
        counter_begin(n, now_s, ends_s, told_s);
    atomic_store_explicit(&n->ends_s, told_s, memory_order_relaxed);
    if (atomic_load_explicit(&n->began_s, memory_order_relaxed) > now_s) /* the clock was wrong */
        atomic_store_explicit(&n->began_s, 0, memory_order_relaxed);
    return true;
}

void counter_told(const struct counters *c, uint32_t slot, const struct told *t, uint32_t now_s)
{
    struct counter *n = told_counter(c, slot, t->spend_nusd != 0);

    if (!n || !period_told(n, t->ends_s, now_s))
        return;
    int64_t before = atomic_exchange_explicit(&n->known_nusd, t->spend_nusd, memory_order_relaxed);
    if (!t->is_exact)
        guess(n, before, t->spend_nusd);
}

void counter_told_period(const struct counters *c, uint32_t slot, uint32_t ends_s, uint32_t now_s)
{
    struct counter *n = told_counter(c, slot, false);

    if (n)
        (void)period_told(n, ends_s, now_s); /* of the past: as it is */
}

void counter_taken(const struct counters *c, uint32_t slot, int64_t nusd, uint32_t end_s)
{
    struct counter *n = told_counter(c, slot, false);

    if (!n || end_s < atomic_load_explicit(&n->began_s, memory_order_relaxed))
        return;
    int64_t added = atomic_load_explicit(&n->added_nusd, memory_order_relaxed), left;
    do
        left = MAX(added - nusd, (int64_t)0);
    while (!atomic_compare_exchange_weak_explicit(&n->added_nusd, &added, left,
                                                  memory_order_relaxed, memory_order_relaxed));
}

void counter_begin(struct counter *n, uint32_t now_s, uint32_t began_s, uint32_t ends_s)
{
    int64_t added = atomic_load_explicit(&n->added_nusd, memory_order_relaxed);
    int64_t known = atomic_load_explicit(&n->known_nusd, memory_order_relaxed);
    uint32_t over_s = atomic_load_explicit(&n->ends_s, memory_order_relaxed);

    if ((over_s && now_s < over_s) ||
        !atomic_compare_exchange_strong_explicit(&n->ends_s, &over_s, ends_s, memory_order_relaxed,
                                                 memory_order_relaxed))
        return;
    if (began_s <= atomic_load_explicit(&n->began_s, memory_order_relaxed))
        return; /* its sums are of this one already: only the end was not known */
    atomic_store_explicit(&n->began_s, began_s, memory_order_relaxed);
    /* what others add meanwhile, and what the link is told, is of this period */
    atomic_fetch_sub_explicit(&n->added_nusd, added, memory_order_relaxed);
    (void)atomic_compare_exchange_strong_explicit(&n->known_nusd, &known, 0, memory_order_relaxed,
                                                  memory_order_relaxed);
}

static void counter_zero(struct counter *n)
{
    atomic_store_explicit(&n->known_nusd, 0, memory_order_relaxed);
    atomic_store_explicit(&n->added_nusd, 0, memory_order_relaxed);
    atomic_store_explicit(&n->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&n->tokens, 0, memory_order_relaxed);
    atomic_store_explicit(&n->parallel, 0, memory_order_relaxed);
    atomic_store_explicit(&n->ends_s, 0, memory_order_relaxed);
    atomic_store_explicit(&n->began_s, 0, memory_order_relaxed);
}

void counters_clear(const struct counters *c, uint32_t slot)
{
    if (c->header && slot < COUNTERS_SLOTS && unit_is_backed(c, slot))
        counter_zero(unit_at(c, slot));
}

void counters_forget(const struct counters *c, uint64_t numbering)
{
    if (!c->header)
        return;
    for (size_t unit = 0; unit < COUNTERS_SLOTS + COUNTERS_PAIRS; unit += UNITS_A_PAGE)
        for (size_t i = unit; i < unit + UNITS_A_PAGE && unit_is_backed(c, unit); i++)
            if (i < COUNTERS_SLOTS)
                counter_zero(unit_at(c, i));
            else
                atomic_store_explicit(&((struct pair_counter *)unit_at(c, i))->id, PAIR_FREE,
                                      memory_order_relaxed);
    for (size_t i = 0; i < COUNTERS_TENANTS; i++)
        atomic_store_explicit(&c->header->places[i], 0, memory_order_relaxed);
    c->header->since_us = clock_wall_us();
    atomic_store_explicit(&c->header->numbering, numbering, memory_order_release);
}

/* --- windows --------------------------------------------------------------------------------- */

/* Seconds since the window began; a clock that was set back ends it. */
static uint32_t window_age(uint64_t word, uint32_t now_s)
{
    return (now_s - (uint32_t)(word >> START_SHIFT)) & START_MASK;
}

static bool window_is_open(uint64_t word, uint32_t now_s, uint32_t length_s)
{
    return word && window_age(word, now_s) < length_s;
}

static uint64_t window_make(uint64_t start_s, uint64_t count)
{
    return (start_s & START_MASK) << START_SHIFT | MIN(count, count_max);
}

struct window window_read(const window_word *w, uint32_t now_s, uint32_t length_s)
{
    uint64_t word = atomic_load_explicit(w, memory_order_relaxed);

    if (!window_is_open(word, now_s, length_s))
        return (struct window){0, length_s};
    return (struct window){word & count_max, length_s - window_age(word, now_s)};
}

/* Moves the window's count by what `next` makes of it. */
static bool window_move(window_word *w, uint32_t now_s, uint32_t length_s, uint64_t n,
                        uint64_t limit, struct window *ret)
{
    uint64_t word = atomic_load_explicit(w, memory_order_relaxed), next;

    do {
        bool open = window_is_open(word, now_s, length_s);
        uint64_t count = open ? word & count_max : 0;
        ret->left_s = open ? length_s - window_age(word, now_s) : length_s;
        ret->count = count;
        if (n > limit || count > limit - n)
            return false;
        ret->count = count + n;
        next = window_make(open ? word >> START_SHIFT : now_s, count + n);
    } while (!atomic_compare_exchange_weak_explicit(w, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool window_take(window_word *w, uint32_t now_s, uint32_t length_s, uint64_t n, uint64_t limit,
                 struct window *ret)
{
    return window_move(w, now_s, length_s, n, limit, ret);
}

void window_add(window_word *w, uint32_t now_s, uint32_t length_s, uint64_t n)
{
    struct window unused;

    (void)window_move(w, now_s, length_s, MIN(n, count_max), UINT64_MAX, &unused);
}

void window_give(window_word *w, uint32_t taken_s, uint32_t now_s, uint32_t length_s, uint64_t n)
{
    uint64_t word = atomic_load_explicit(w, memory_order_relaxed), next;

    do { /* a window that began after the taking is another one */
        uint64_t count = word & count_max;
        if (!window_is_open(word, now_s, length_s) || window_age(word, now_s) < (now_s - taken_s))
            return;
        next = window_make(word >> START_SHIFT, count - MIN(n, count));
    } while (!atomic_compare_exchange_weak_explicit(w, &word, next, memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool parallel_take(struct counter *n, uint32_t limit, uint32_t *ret_now)
{
    uint32_t at_once = atomic_load_explicit(&n->parallel, memory_order_relaxed);

    do {
        *ret_now = at_once;
        if (at_once >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&n->parallel, &at_once, at_once + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    *ret_now = at_once + 1;
    return true;
}

/* Never below 0: what was given back twice, by a worker and then by the link for it, is made good
 * when the entity rests. */
void parallel_give(struct counter *n)
{
    uint32_t at_once = atomic_load_explicit(&n->parallel, memory_order_relaxed);

    while (at_once &&
           !atomic_compare_exchange_weak_explicit(&n->parallel, &at_once, at_once - 1,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

/* --- pairs ----------------------------------------------------------------------------------- */

static uint64_t pair_id(uint64_t owner, unsigned what, struct str name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ owner ^ (uint64_t)what << 32;

    h *= UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
    h *= UINT64_C(0xbf58476d1ce4e5b9);
    h ^= h >> 29;
    return h > PAIR_TAKEN ? h : h + 2;
}

static struct pair_counter *pair_at(const struct counters *c, uint32_t index)
{
    return unit_back(c, COUNTERS_SLOTS + (size_t)index);
}

static uint32_t probe(uint64_t id, unsigned i)
{
    return ((uint32_t)id + i) & (COUNTERS_PAIRS - 1);
}

static struct pair_counter *pair_find(const struct counters *c, uint64_t id, unsigned n_probes)
{
    for (unsigned i = 0; i < n_probes; i++) {
        struct pair_counter *p = pair_at(c, probe(id, i));
        if (p && atomic_load_explicit(&p->id, memory_order_acquire) == id)
            return p;
    }
    return NULL;
}

/* Seconds since it was needed: of those in use 0. */
static uint32_t pair_idle(const struct pair_counter *p, uint32_t now_s)
{
    uint32_t last = MAX(atomic_load_explicit(&p->used_s, memory_order_relaxed),
                        atomic_load_explicit(&p->until_s, memory_order_relaxed));

    return now_s > last ? now_s - last : 0;
}

/* How many places a tenant has; a few that share a number count as one. */
static _Atomic uint32_t *places_of(const struct counters *c, uint32_t tenant)
{
    return &c->header->places[tenant % COUNTERS_TENANTS];
}

static uint32_t places_read(const struct counters *c, uint32_t tenant)
{
    return tenant ? atomic_load_explicit(places_of(c, tenant), memory_order_relaxed) : 0;
}

/* `n` 1 or -1. A process that dies in between leaves a count wrong by one, which harms nobody. */
static void places_move(const struct counters *c, uint32_t tenant, uint32_t n)
{
    if (tenant)
        atomic_fetch_add_explicit(places_of(c, tenant), n, memory_order_relaxed);
}

/*
 * Which place of the neighbourhood makes way for a name of `tenant`; PAIR_PROBES: none. What is
 * free or over, for longest; else of made-up names one of whoever has most places, and not fewer
 * than `tenant`; else, for a name that was given, the one not used for longest.
 */
static unsigned pair_choose(const struct counters *c, uint64_t id, uint32_t tenant, uint32_t now_s)
{
    unsigned idle = PAIR_PROBES, made_up = PAIR_PROBES, given = PAIR_PROBES;
    uint32_t longest = 0, most = places_read(c, tenant), lru[2] = {UINT32_MAX, UINT32_MAX};

    for (unsigned i = 0; i < PAIR_PROBES; i++) {
        const struct pair_counter *p = pair_at(c, probe(id, i));
        if (!p)
            continue;
        uint64_t held = atomic_load_explicit(&p->id, memory_order_relaxed);
        uint32_t idle_s = held == PAIR_FREE ? UINT32_MAX : pair_idle(p, now_s);
        uint32_t used_s = atomic_load_explicit(&p->used_s, memory_order_relaxed);
        uint32_t of = atomic_load_explicit(&p->tenant, memory_order_relaxed);
        uint32_t has = places_read(c, of);
        if (held == PAIR_TAKEN && idle_s < PAIR_TAKEN_S)
            continue;
        if (idle_s > longest) {
            longest = idle_s;
            idle = i;
        } else if (of && (has > most || (has == most && used_s < lru[1]))) {
            most = has;
            lru[1] = used_s;
            made_up = i;
        } else if (!of && used_s < lru[0]) {
            lru[0] = used_s;
            given = i;
        }
    }
    return idle != PAIR_PROBES ? idle : made_up != PAIR_PROBES || tenant ? made_up : given;
}

/* Gives `p` to `id`; false: another process was faster. */
static bool pair_claim(const struct counters *c, struct pair_counter *p, uint64_t id,
                       uint32_t tenant, uint32_t now_s)
{
    uint64_t held = atomic_load_explicit(&p->id, memory_order_relaxed);

    if (!atomic_compare_exchange_strong_explicit(&p->id, &held, PAIR_TAKEN, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    if (held > PAIR_TAKEN)
        places_move(c, atomic_load_explicit(&p->tenant, memory_order_relaxed), (uint32_t)-1);
    places_move(c, tenant, 1);
    atomic_store_explicit(&p->used_s, now_s, memory_order_relaxed);
    atomic_store_explicit(&p->until_s, 0, memory_order_relaxed);
    atomic_store_explicit(&p->requests, 0, memory_order_relaxed);
    atomic_store_explicit(&p->tokens, 0, memory_order_relaxed);
    atomic_store_explicit(&p->added_nusd, 0, memory_order_relaxed);
    atomic_store_explicit(&p->ends_s, 0, memory_order_relaxed);
    atomic_store_explicit(&p->tenant, tenant, memory_order_relaxed);
    atomic_store_explicit(&p->id, id, memory_order_release);
    return true;
}

/* One at a time gives pairs away, or two would for one name and each count in its own. False: who
 * does so is slow or dead; better twice than late. */
static bool making_begin(const struct counters *c, uint32_t now_s)
{
    _Atomic uint32_t *making = &c->header->making;

    for (unsigned i = 0; i < MAKING_TRIES; i++) {
        uint32_t since = atomic_load_explicit(making, memory_order_relaxed);
        bool ours = !since || now_s - since > PAIR_TAKEN_S;
        if (ours && atomic_compare_exchange_strong_explicit(
                        making, &since, MAX(now_s, 1u), memory_order_acquire, memory_order_relaxed))
            return true;
        (void)sched_yield(); /* cannot fail */
    }
    return false;
}

static struct pair_counter *pair_place(const struct counters *c, uint64_t id, uint32_t tenant,
                                       uint32_t now_s)
{
    for (unsigned attempt = 0; attempt < PAIR_PROBES; attempt++) {
        unsigned i = pair_choose(c, id, tenant, now_s);
        struct pair_counter *p = i < PAIR_PROBES ? pair_at(c, probe(id, i)) : NULL, *other;
        if (!p)
            return NULL;
        if (pair_claim(c, p, id, tenant, now_s)) {
            other = pair_find(c, id, i); /* made meanwhile, and nearer: that one counts */
            if (other) {
                places_move(c, tenant, (uint32_t)-1);
                atomic_store_explicit(&p->id, PAIR_FREE, memory_order_release);
            }
            return other ? other : p;
        }
        p = pair_find(c, id, PAIR_PROBES);
        if (p)
            return p;
    }
    return NULL;
}

static struct pair_counter *pair_make(const struct counters *c, uint64_t id, uint32_t tenant,
                                      uint32_t now_s)
{
    bool alone = making_begin(c, now_s);
    struct pair_counter *p = pair_find(c, id, PAIR_PROBES); /* made while it was waited for */

    if (!p)
        p = pair_place(c, id, tenant, now_s);
    if (alone)
        atomic_store_explicit(&c->header->making, 0, memory_order_release);
    return p;
}

struct pair_counter *counters_pair(const struct counters *c, uint64_t owner, unsigned what,
                                   struct str name, uint32_t now_s, uint32_t keep_s)
{
    return counters_pair_of(c, 0, owner, what, name, now_s, keep_s);
}

struct pair_counter *counters_pair_of(const struct counters *c, uint32_t tenant, uint64_t owner,
                                      unsigned what, struct str name, uint32_t now_s,
                                      uint32_t keep_s)
{
    if (!c->header)
        return NULL;
    uint64_t id = pair_id(owner, what, name);
    struct pair_counter *p = pair_find(c, id, PAIR_PROBES);

    if (!p)
        p = pair_make(c, id, tenant, now_s);
    if (!p)
        return NULL;
    if (atomic_load_explicit(&p->used_s, memory_order_relaxed) != now_s)
        atomic_store_explicit(&p->used_s, now_s, memory_order_relaxed);
    if (atomic_load_explicit(&p->until_s, memory_order_relaxed) < now_s + keep_s)
        atomic_store_explicit(&p->until_s, now_s + keep_s, memory_order_relaxed);
    return p;
}

uint32_t counters_pair_index(const struct counters *c, const struct pair_counter *p)
{
    return (uint32_t)(p - (const struct pair_counter *)unit_at(c, COUNTERS_SLOTS));
}

struct pair_counter *counters_pair_at(const struct counters *c, uint32_t index, uint64_t id)
{
    struct pair_counter *p = c->header && index < COUNTERS_PAIRS ? pair_at(c, index) : NULL;

    return p && atomic_load_explicit(&p->id, memory_order_relaxed) == id ? p : NULL;
}
