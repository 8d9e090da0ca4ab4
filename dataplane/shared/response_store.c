/*
 * A region:
 *
 *   page 0          response_region: head, tail, capacity
 *   INDEX_BYTES     buckets of one cache line: positions of entries with a tag of their ids
 *   the rest        the ring; position p lies at p modulo capacity, an entry never wraps
 *
 * Positions count bytes ever and only grow, so that one tells by itself whether its bytes are still
 * there: tail <= p. The writer moves tail over what it is about to overwrite, then writes, then
 * moves head. A reader copies and then looks at tail again:
 *
 *   writer  tail := t, words (release)      reader  words (acquire), tail <= p ?
 *
 * If the copy saw one of the new words, the look at tail sees t or later.
 */

#include "shared/response_store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/num.h"

#define RESPONSE_STORE_MAGIC UINT64_C(0x31534e5053455257) /* "WRSPNS1" */

enum {
    PAGE = 4096,
    SLOTS = 8,           /* of a bucket: a cache line */
    BYTES_A_SLOT = 1024, /* of the ring: smaller entries push out others early */
    BACK_STEP = 1 << 20, /* bytes backed at once */
    TAG_SHIFT = 48,      /* of a slot: a tag above, the position below */
};

static const uint64_t region_max = (uint64_t)RESPONSE_REGION_MAX_MB << 20;
static const uint64_t index_bytes = ((uint64_t)RESPONSE_REGION_MAX_MB << 20) / BYTES_A_SLOT * 8;

struct response_header {
    uint64_t magic;
    uint32_t version, regions;
    uint64_t region_size;
    _Atomic uint32_t used; /* regions from here on were never on */
};

struct response_region {
    _Atomic uint64_t capacity; /* of the ring; 0: off */
    _Atomic uint64_t head, tail;
    uint64_t backed; /* bytes of the ring that have memory; the writer's */
};

struct response_entry {
    uint64_t mark; /* position << 1, and 1 once it was deleted: the one word others write */
    uint64_t id[2];
    uint64_t tenant[RESPONSE_TENANT / 8];
    uint64_t expires_s;
    uint32_t n_items, n_input, n_response;
    uint32_t crc; /* of what stands between mark and this, and of the texts behind */
};

static_assert(sizeof(struct response_entry) % 16 == 0, "texts are aligned");
static_assert(sizeof(struct response_region) <= PAGE, "layout");

static uint64_t region_size(void)
{
    return PAGE + index_bytes + region_max;
}

static uint64_t file_size(unsigned regions)
{
    return PAGE + regions * region_size();
}

static unsigned char *region_base(const struct response_store *s, unsigned i)
{
    return s->base + PAGE + i * region_size();
}

/* Regions that may hold something: looking at the others would cost pages. */
static unsigned regions_used(const struct response_store *s)
{
    const struct response_header *h = (const struct response_header *)(const void *)s->base;

    return s->base ? MIN(atomic_load_explicit(&h->used, memory_order_acquire), s->regions) : 0;
}

static struct response_region *region_of(const struct response_store *s, unsigned i)
{
    return (struct response_region *)(void *)region_base(s, i);
}

static uint64_t *ring_word(const struct response_store *s, unsigned i, uint64_t capacity,
                           uint64_t at)
{
    return (uint64_t *)(void *)(region_base(s, i) + PAGE + index_bytes + at % capacity);
}

static uint64_t bucket_count(uint64_t capacity)
{
    return MAX(capacity / BYTES_A_SLOT / SLOTS, (uint64_t)1);
}

/* The cache line of slots for an id. */
static _Atomic uint64_t *bucket_of(const struct response_store *s, unsigned i, uint64_t capacity,
                                   struct response_id128 id)
{
    return (_Atomic uint64_t *)(void *)(region_base(s, i) + PAGE) +
           id.v[0] % bucket_count(capacity) * SLOTS;
}

static uint64_t slot_of(struct response_id128 id, uint64_t at)
{
    return id.v[1] >> TAG_SHIFT << TAG_SHIFT | at;
}

static uint64_t slot_at(uint64_t slot)
{
    return slot & (BIT64(TAG_SHIFT) - 1);
}

/* Bytes an entry takes: positions are multiples of 16, the first is not 0. */
static size_t round16(size_t n)
{
    return (n + 15) & ~(size_t)15;
}

static void words_in(uint64_t *to, const void *from, size_t n)
{
    const unsigned char *p = from;

    for (; n; n -= MIN(n, (size_t)8), p += 8, to++) {
        uint64_t word = 0;
        memcpy(&word, p, MIN(n, (size_t)8));
        __atomic_store_n(to, word, __ATOMIC_RELEASE);
    }
}

static void words_out(void *to, const uint64_t *from, size_t n)
{
    unsigned char *p = to;

    for (; n; n -= MIN(n, (size_t)8), p += 8, from++) {
        uint64_t word = __atomic_load_n(from, __ATOMIC_ACQUIRE);
        memcpy(p, &word, MIN(n, (size_t)8));
    }
}

static uint32_t entry_crc(const struct response_entry *e, const void *texts, size_t n)
{
    const size_t from = offsetof(struct response_entry, id);
    uint32_t crc = crc32c(0, (const char *)e + from, offsetof(struct response_entry, crc) - from);

    return crc32c(crc, texts, n);
}

/* --- the file -----------------------------------------------------------------------------------
 */

static bool header_is_ours(const struct response_header *h, uint64_t size)
{
    return h->magic == RESPONSE_STORE_MAGIC && h->version == RESPONSE_STORE_VERSION &&
           h->region_size == region_size() && h->regions > 0 && h->regions < 65536 &&
           size >= file_size(h->regions);
}

/* Opens what another manager left, grown to `regions`; -1: there is none of this layout. */
static int open_old(const char *path, unsigned regions)
{
    struct response_header h;
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
              pread(fd, &h, sizeof h, 0) == (ssize_t)sizeof h &&
              header_is_ours(&h, (uint64_t)st.st_size);
    if (ok && h.regions < regions) {
        h.regions = regions;
        ok = ftruncate(fd, (off_t)file_size(regions)) == 0 &&
             pwrite(fd, &h, sizeof h, 0) == (ssize_t)sizeof h;
    }
    if (ok)
        return fd;
    close(fd);
    return -1;
}

enum errc response_store_make(const char *path, unsigned regions, int *ret_fd, struct err *e)
{
    char temp[4096];
    struct response_header h = {.magic = RESPONSE_STORE_MAGIC,
                                .version = RESPONSE_STORE_VERSION,
                                .regions = regions,
                                .region_size = region_size()};
    int fd = open_old(path, regions);

    if (fd >= 0) {
        *ret_fd = fd;
        return ERRC_OK;
    }
    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return err_set(e, ERRC_LIMIT, 0, "path of the response store is too long");
    fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "make %s", temp);
    if (ftruncate(fd, (off_t)file_size(regions)) != 0 ||
        pwrite(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || rename(temp, path) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "make %s", path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc response_store_map(struct response_store *s, int fd, struct err *e)
{
    struct response_header h;
    struct stat st;

    if (fstat(fd, &st) != 0 || pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        return err_set(e, ERRC_SYS, errno, "response store, descriptor %d", fd);
    if (!header_is_ours(&h, (uint64_t)st.st_size))
        return err_set(e, ERRC_INVALID, 0, "the response store has another layout");
    size_t size = (size_t)file_size(h.regions);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERRC_SYS, errno, "map the response store (%zu bytes)", size);
    (void)madvise(p, size, MADV_DONTDUMP); /* only keeps it out of core files */
    *s = (struct response_store){.base = p, .size = size, .regions = h.regions, .fd = fd};
    return ERRC_OK;
}

void response_store_unmap(struct response_store *s)
{
    if (s->base)
        (void)munmap(s->base, s->size); /* cannot fail on a whole mapping */
    *s = (struct response_store){0};
}

/* Memory for bytes of the file, so that a full file system does not end the process. */
static bool back(const struct response_store *s, const void *p, size_t n)
{
    uint64_t from = (uint64_t)((const unsigned char *)p - s->base);

    return posix_fallocate(s->fd, (off_t)from, (off_t)n) == 0;
}

/* --- ids ----------------------------------------------------------------------------------------
 */

static const struct str id_prefix = STR_INIT("weir_");

struct str response_store_id(char *out, struct response_id128 id)
{
    static const char hex[] = "0123456789abcdef";

    memcpy(out, id_prefix.p, id_prefix.n);
    for (unsigned i = 0; i < 32; i++)
        out[id_prefix.n + i] = hex[id.v[i / 16] >> (60 - i % 16 * 4) & 15];
    return (struct str){out, RESPONSE_ID_TEXT};
}

bool response_store_id_read(struct response_id128 *ret, struct str text)
{
    struct response_id128 id = {{0, 0}};

    if (text.n != RESPONSE_ID_TEXT || !str_starts(text, id_prefix))
        return false;
    for (unsigned i = 0; i < 32; i++) {
        char c = text.p[id_prefix.n + i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f'))
            return false;
        id.v[i / 16] = id.v[i / 16] << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *ret = id;
    return true;
}

/* --- writing ------------------------------------------------------------------------------------
 */

/* The region and those before it count as used; false: there is no memory for their first pages. */
static bool region_use(const struct response_store *s, unsigned region)
{
    struct response_header *h = (struct response_header *)(void *)s->base;
    uint32_t used = atomic_load_explicit(&h->used, memory_order_relaxed);

    for (unsigned i = used; i <= region; i++)
        if (!back(s, region_of(s, i), PAGE))
            return false;
    while (used <= region &&
           !atomic_compare_exchange_weak_explicit(&h->used, &used, region + 1, memory_order_release,
                                                  memory_order_relaxed))
        ;
    return true;
}

/* An empty ring of that capacity: positions go on where they were, so that old ones stay old. */
static void region_begin(const struct response_store *s, unsigned region, uint64_t capacity)
{
    struct response_region *r = region_of(s, region);
    uint64_t slots = bucket_count(capacity) * SLOTS;
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    _Atomic uint64_t *slot = (_Atomic uint64_t *)(void *)(region_base(s, region) + PAGE);

    if (!back(s, slot, slots * sizeof *slot))
        return;
    for (uint64_t i = 0; i < slots; i++)
        atomic_store_explicit(&slot[i], 0, memory_order_relaxed);
    head = (head / capacity + 1) * capacity;
    atomic_store_explicit(&r->tail, head, memory_order_relaxed);
    atomic_store_explicit(&r->head, head, memory_order_relaxed);
    atomic_store_explicit(&r->capacity, capacity, memory_order_release);
}

void response_store_resize(struct response_store *s, unsigned region, uint64_t bytes)
{
    uint64_t capacity = MIN(bytes, region_max) & ~(uint64_t)(PAGE - 1);
    struct response_region *r;

    if (!s->base || region >= s->regions || (!capacity && region >= regions_used(s)) ||
        (region >= regions_used(s) && !region_use(s, region)))
        return;
    r = region_of(s, region);
    if (atomic_load_explicit(&r->capacity, memory_order_relaxed) == capacity)
        return;
    atomic_store_explicit(&r->capacity, 0, memory_order_release);
    r->backed = 0;
    (void)fallocate(s->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    (off_t)(PAGE + region * region_size() + PAGE),
                    (off_t)(region_size() - PAGE)); /* where it cannot, memory stays */
    if (capacity)
        region_begin(s, region, capacity);
}

/* Where `size` bytes go; 0: nowhere. Moves tail over what lies there. */
static uint64_t room_take(const struct response_store *s, unsigned region, uint64_t capacity,
                          size_t size)
{
    struct response_region *r = region_of(s, region);
    uint64_t at = atomic_load_explicit(&r->head, memory_order_relaxed); /* ours */
    uint64_t left = capacity - at % capacity, end;

    if (size > left)
        at += left;
    end = at % capacity + size;
    if (end > r->backed) {
        uint64_t to = MIN((end + BACK_STEP - 1) & ~(uint64_t)(BACK_STEP - 1), capacity);
        if (!back(s, ring_word(s, region, capacity, r->backed), to - r->backed))
            return 0;
        r->backed = to;
    }
    if (at + size > capacity &&
        at + size - capacity > atomic_load_explicit(&r->tail, memory_order_relaxed))
        atomic_store_explicit(&r->tail, at + size - capacity, memory_order_relaxed);
    return at;
}

/* A free slot, else that of the oldest entry. */
static void index_put(const struct response_store *s, unsigned region, uint64_t capacity,
                      struct response_id128 id, uint64_t at)
{
    _Atomic uint64_t *slot = bucket_of(s, region, capacity, id);
    unsigned oldest = 0;

    for (unsigned i = 1; i < SLOTS; i++)
        if (slot_at(atomic_load_explicit(&slot[i], memory_order_relaxed)) <
            slot_at(atomic_load_explicit(&slot[oldest], memory_order_relaxed)))
            oldest = i;
    atomic_store_explicit(&slot[oldest], slot_of(id, at), memory_order_release);
}

bool response_store_put(struct response_store *s, unsigned region, struct response_id128 id,
                        const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s,
                        const struct response_record *record)
{
    const struct str text[] = {record->items, record->response};
    struct response_entry e = {.id = {id.v[0], id.v[1]}, .expires_s = now_s + RESPONSE_TTL_S};
    uint64_t at, capacity;
    size_t size;
    uint32_t crc;

    if (region >= regions_used(s))
        return false;
    capacity = atomic_load_explicit(&region_of(s, region)->capacity, memory_order_relaxed);
    if (record->items.n > RESPONSE_ENTRY_MAX || record->response.n > RESPONSE_ENTRY_MAX)
        return false;
    size = sizeof e + round16(record->items.n) + round16(record->response.n);
    if (size > MIN((uint64_t)RESPONSE_ENTRY_MAX, capacity / RESPONSE_ENTRY_PART))
        return false;
    at = room_take(s, region, capacity, size);
    if (!at)
        return false;
    e.mark = at << 1;
    e.n_items = (uint32_t)record->items.n;
    e.n_input = MIN(record->n_input, e.n_items);
    e.n_response = (uint32_t)record->response.n;
    memcpy(e.tenant, tenant, sizeof e.tenant);
    crc = entry_crc(&e, "", 0);
    uint64_t *word = ring_word(s, region, capacity, at) + sizeof e / 8;
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        crc = crc32c(crc, text[i].p, text[i].n);
        words_in(word, text[i].p, text[i].n);
        word += round16(text[i].n) / 8;
    }
    e.crc = crc;
    words_in(ring_word(s, region, capacity, at), &e, sizeof e);
    atomic_store_explicit(&region_of(s, region)->head, at + size, memory_order_release);
    index_put(s, region, capacity, id, at);
    return true;
}

/* --- reading ------------------------------------------------------------------------------------
 */

struct found {
    unsigned region;
    uint64_t capacity, at;
    struct response_entry e;
};

/* The entry at `at` lies between tail and head: its bytes are, or were just now, an entry's. */
static bool is_there(const struct response_region *r, uint64_t capacity, uint64_t at, size_t size)
{
    return at >= atomic_load_explicit(&r->tail, memory_order_relaxed) &&
           at + size <= atomic_load_explicit(&r->head, memory_order_acquire) &&
           at % capacity + size <= capacity &&
           atomic_load_explicit(&r->capacity, memory_order_acquire) == capacity;
}

/* What was copied before was not being overwritten. */
static bool is_whole(const struct response_region *r, const struct found *f)
{
    return f->at >= atomic_load_explicit(&r->tail, memory_order_relaxed) &&
           f->capacity == atomic_load_explicit(&r->capacity, memory_order_relaxed);
}

static size_t texts_size(const struct response_entry *e)
{
    return round16(e->n_items) + round16(e->n_response);
}

static bool entry_read(const struct response_store *s, struct found *f, struct response_id128 id,
                       const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s)
{
    const struct response_region *r = region_of(s, f->region);

    if (!is_there(r, f->capacity, f->at, sizeof f->e))
        return false;
    words_out(&f->e, ring_word(s, f->region, f->capacity, f->at), sizeof f->e);
    return f->e.mark == f->at << 1 && f->e.id[0] == id.v[0] && f->e.id[1] == id.v[1] &&
           memcmp(f->e.tenant, tenant, RESPONSE_TENANT) == 0 && now_s < f->e.expires_s &&
           is_there(r, f->capacity, f->at, sizeof f->e + texts_size(&f->e)) && is_whole(r, f);
}

static bool find(const struct response_store *s, struct response_id128 id,
                 const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s, struct found *f)
{
    for (f->region = 0; f->region < regions_used(s); f->region++) {
        const struct response_region *r = region_of(s, f->region);
        f->capacity = atomic_load_explicit(&r->capacity, memory_order_acquire);
        if (!f->capacity)
            continue;
        const _Atomic uint64_t *slot = bucket_of(s, f->region, f->capacity, id);
        for (unsigned i = 0; i < SLOTS; i++) {
            uint64_t v = atomic_load_explicit(&slot[i], memory_order_acquire);
            f->at = slot_at(v);
            if (v && v == slot_of(id, f->at) && entry_read(s, f, id, tenant, now_s))
                return true;
        }
    }
    return false;
}

bool response_store_get(const struct response_store *s, struct response_id128 id,
                        const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s,
                        struct bufpool *pool, struct buf *buf, struct response_record *ret)
{
    struct found f;
    struct str text[2];
    size_t n, want;
    uint32_t crc;

    if (!find(s, id, tenant, now_s, &f))
        return false;
    n = texts_size(&f.e);
    if (!size_add(buf->n, n, &want) || !buf_reserve(pool, buf, want))
        return false;
    char *p = buf->p + buf->n;
    words_out(p, ring_word(s, f.region, f.capacity, f.at) + sizeof f.e / 8, n);
    if (!is_whole(region_of(s, f.region), &f))
        return false;
    const size_t sizes[] = {f.e.n_items, f.e.n_response};
    crc = entry_crc(&f.e, "", 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        text[i] = (struct str){p, sizes[i]};
        crc = crc32c(crc, p, sizes[i]);
        p += round16(sizes[i]);
    }
    if (crc != f.e.crc)
        return false;
    buf->n = want;
    *ret = (struct response_record){text[0], f.e.n_input, text[1]};
    return true;
}

bool response_store_delete(struct response_store *s, struct response_id128 id,
                           const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s)
{
    struct found f;
    uint64_t live;

    if (!find(s, id, tenant, now_s, &f))
        return false;
    live = f.at << 1;
    /* should its worker overwrite it this moment, some other text stands there by now */
    return __atomic_compare_exchange_n(ring_word(s, f.region, f.capacity, f.at), &live, live | 1,
                                       false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
