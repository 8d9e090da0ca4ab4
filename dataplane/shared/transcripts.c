#include "shared/transcripts.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RING_MASK = TRANSCRIPT_RING - 1, PAD_SIZE = 8 /* what of an entry a pad has */ };

static_assert((TRANSCRIPT_RING & RING_MASK) == 0, "positions wrap by a mask");
static_assert(sizeof(struct transcript_region) == TRANSCRIPT_REGION_HEADER + TRANSCRIPT_RING,
              "regions begin on a page");

enum errc transcripts_make(unsigned regions, int *ret_fd, struct err *e)
{
    int fd = memfd_create("weir-transcripts", MFD_CLOEXEC);

    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "make the file of transcripts");
    if (ftruncate(fd, (off_t)(regions * sizeof(struct transcript_region))) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "make the file of transcripts");
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return ERRC_OK;
}

enum errc transcripts_map(struct transcripts *t, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_set(e, ERRC_SYS, errno, "transcripts, descriptor %d", fd);
    unsigned regions = (unsigned)((size_t)st.st_size / sizeof(struct transcript_region));
    if (!regions)
        return err_set(e, ERRC_INVALID, 0, "the file of transcripts is too small");
    void *p = mmap(NULL, regions * sizeof(struct transcript_region), PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set(e, ERRC_SYS, errno, "map the file of transcripts");
    (void)madvise(p, regions * sizeof(struct transcript_region), MADV_DONTDUMP);
    *t = (struct transcripts){.base = p, .regions = regions};
    return ERRC_OK;
}

void transcripts_unmap(struct transcripts *t)
{
    if (t->base)
        (void)munmap(t->base, t->regions * sizeof(struct transcript_region));
    *t = (struct transcripts){0};
}

bool transcript_put(struct transcript_region *r, struct transcript_entry *en, struct str request,
                    struct str reply)
{
    uint64_t at = atomic_load_explicit(&r->head, memory_order_relaxed); /* ours */
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    size_t need = (sizeof *en + request.n + reply.n + 7) & ~(size_t)7;
    size_t off = (size_t)(at & RING_MASK), pad = 0;

    ASSERT(request.n <= TRANSCRIPT_TEXT_MAX && reply.n <= TRANSCRIPT_TEXT_MAX);
    if (off + need > TRANSCRIPT_RING || (tail == at && off >= TRANSCRIPT_REWIND))
        pad = TRANSCRIPT_RING - off;
    if (tail > at || pad + need > TRANSCRIPT_RING - (size_t)MIN(at - tail, TRANSCRIPT_RING))
        return false;
    if (pad) {
        struct transcript_entry head = {.size = (uint32_t)pad};
        memcpy(r->ring + off, &head, PAD_SIZE);
        at += pad;
    }
    en->size = (uint32_t)need;
    en->version = TRANSCRIPT_VERSION;
    en->n_request = (uint32_t)request.n;
    en->n_reply = (uint32_t)reply.n;
    unsigned char *p = r->ring + (at & RING_MASK);
    memcpy(p, en, sizeof *en);
    if (request.n)
        memcpy(p + sizeof *en, request.p, request.n);
    if (reply.n)
        memcpy(p + sizeof *en + request.n, reply.p, reply.n);
    atomic_store_explicit(&r->head, at + need, memory_order_release);
    return true;
}

bool transcript_peek(const struct transcript_region *r, uint64_t from, struct transcript_view *ret,
                     uint64_t *ret_next)
{
    uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    struct transcript_entry *en = &ret->entry;

    *ret_next = head; /* where what cannot be read ends */
    while (from != head) {
        size_t off = (size_t)(from & RING_MASK), room = TRANSCRIPT_RING - off;
        uint64_t left = head - from;
        if (left > TRANSCRIPT_RING || left < PAD_SIZE || from % 8 != 0)
            return false;
        memcpy(en, r->ring + off, PAD_SIZE);
        if (en->size < PAD_SIZE || en->size % 8 != 0 || en->size > left || en->size > room)
            return false;
        if (en->version == 0) {
            from += en->size;
            continue;
        }
        uint32_t size = en->size;
        if (size < sizeof *en || en->version != TRANSCRIPT_VERSION)
            return false;
        memcpy(en, r->ring + off, sizeof *en);
        if (en->n_request > TRANSCRIPT_TEXT_MAX || en->n_reply > TRANSCRIPT_TEXT_MAX ||
            sizeof *en + en->n_request + en->n_reply > size)
            return false;
        const char *p = (const char *)r->ring + off + sizeof *en;
        ret->request = (struct str){p, en->n_request};
        ret->reply = (struct str){p + en->n_request, en->n_reply};
        *ret_next = from + size;
        return true;
    }
    return false;
}
