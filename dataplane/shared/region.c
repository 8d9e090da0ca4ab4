/* The shared file: made, opened, checked. */

#include "shared/region.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"

static_assert(SHARED_HEADER % 4096 == 0, "regions begin on a page");
static_assert((REGION_RING & (REGION_RING - 1)) == 0, "positions wrap by a mask");
static_assert(sizeof(struct inflight) % 8 == 0, "records are aligned");

static size_t region_size(void)
{
    return (sizeof(struct region) + 4095) & ~(size_t)4095;
}

static size_t file_size(unsigned capacity)
{
    return SHARED_HEADER + capacity * region_size();
}

/* True when `h`, at the start of a file of `size` bytes, is of this layout. */
static bool header_is_ours(const struct shared_header *h, uint64_t size)
{
    return h->magic == SHARED_MAGIC && h->version == SHARED_VERSION &&
           h->region_size == region_size() && h->capacity > 0 && h->capacity < 65536 &&
           h->total_size == file_size(h->capacity) && size >= h->total_size &&
           h->n_regions <= h->capacity;
}

static enum errc map_file(struct shared *s, int fd, size_t size, struct err *e)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return err_set(e, ERRC_SYS, errno, "map the shared file (%zu bytes)", size);
    (void)madvise(p, size, MADV_DONTDUMP); /* only keeps it out of core files */
    *s = (struct shared){.header = p, .size = size};
    return ERRC_OK;
}

/* Opens what another manager left. ERRC_INVALID: not of this layout, ERRC_SYS: not there. */
static enum errc open_old(int *ret_fd, const char *path, unsigned capacity, struct err *e)
{
    const size_t fixed = offsetof(struct shared_header, n_regions); /* set by the maker alone */
    static struct shared_header h; /* AddressSanitizer's stack does not keep its alignment */
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() ||
        pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h ||
        !header_is_ours(&h, (uint64_t)st.st_size)) {
        close(fd);
        return err_set(e, ERRC_INVALID, 0, "%s has another layout", path);
    }
    if (h.capacity < capacity) {
        h.capacity = capacity;
        h.total_size = file_size(capacity);
        if (ftruncate(fd, (off_t)h.total_size) != 0 || pwrite(fd, &h, fixed, 0) != (ssize_t)fixed) {
            enum errc rc = err_set(e, ERRC_SYS, errno, "grow %s", path);
            close(fd);
            return rc;
        }
    }
    *ret_fd = fd;
    return ERRC_OK;
}

/* Makes a new file beside `path` and renames it there: nobody sees half a header. */
static enum errc make_new(int *ret_fd, const char *path, unsigned capacity, struct err *e)
{
    char temp[4096];
    struct shared_header h = {
        .magic = SHARED_MAGIC,
        .version = SHARED_VERSION,
        .capacity = capacity,
        .region_size = region_size(),
        .total_size = file_size(capacity),
        .epoch = (uint64_t)clock_wall_us(),
    };

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return err_set(e, ERRC_LIMIT, 0, "path of the shared file is too long");
    int fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "make %s", temp);
    if (ftruncate(fd, (off_t)h.total_size) != 0 || pwrite(fd, &h, sizeof h, 0) != sizeof h ||
        rename(temp, path) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "make %s", path);
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc shared_make(struct shared *s, const char *path, unsigned capacity, int *ret_fd,
                      struct err *e)
{
    int fd;
    enum errc rc = open_old(&fd, path, capacity, e);

    if (rc == ERRC_INVALID || (rc == ERRC_SYS && e->sys == ENOENT))
        rc = make_new(&fd, path, capacity, e);
    if (rc)
        return rc;
    rc = shared_map(s, fd, e);
    if (rc) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc shared_map(struct shared *s, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_set(e, ERRC_SYS, errno, "shared file, descriptor %d", fd);
    if (st.st_size < SHARED_HEADER)
        return err_set(e, ERRC_INVALID, 0, "the shared file is too small");
    enum errc rc = map_file(s, fd, (size_t)st.st_size, e);
    if (rc)
        return rc;
    if (!header_is_ours(s->header, s->size)) {
        shared_unmap(s);
        return err_set(e, ERRC_INVALID, 0, "the shared file has another layout");
    }
    s->capacity = s->header->capacity;
    return ERRC_OK;
}

void shared_unmap(struct shared *s)
{
    if (s->header)
        (void)munmap(s->header, s->size); /* cannot fail on a whole mapping */
    *s = (struct shared){0};
}

void region_reset_gauges(struct region *r)
{
    static const enum metric gauges[] = {
#define GAUGE(id, name, help) METRIC_##id,
#include "proto/metrics.def"
    };

    for (size_t i = 0; i < ARRAY_LEN(gauges); i++)
        __atomic_store_n(&r->metric[gauges[i]], 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SHARED_ORIGINS; i++)
        __atomic_store_n(&r->origin_connections[i], 0, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < SHARED_DEPLOYMENTS; i++)
        __atomic_store_n(&r->deployment[i].in_flight, 0, __ATOMIC_RELAXED);
}

bool shared_is_settled(const struct shared *s)
{
    for (unsigned i = 0; i < shared_regions(s); i++) {
        const struct region *r = shared_region(s, i);
        if (r->state != REGION_FREE || r->ring_head != r->ring_tail)
            return false;
    }
    return true;
}
