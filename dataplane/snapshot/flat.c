#include "snapshot/flat.h"

#include "common/num.h"

uint32_t flat_reserve(struct flat *f, size_t n)
{
    size_t at = (f->n + 7) & ~(size_t)7, end;

    if (f->failed || !size_add(at, n, &end) || end > FLAT_MAX) {
        f->failed = true;
        return 0;
    }
    if (end > f->cap) {
        size_t cap = MAX(end, f->cap * 2);
        char *p = malloc(cap);
        if (!p) {
            f->failed = true;
            return 0;
        }
        if (f->n)
            memcpy(p, f->p, f->n);
        if (f->p)
            explicit_bzero(f->p, f->n); /* credentials */
        free(f->p);
        f->p = p;
        f->cap = cap;
    }
    memset(f->p + f->n, 0, end - f->n);
    f->n = end;
    return (uint32_t)at;
}

void flat_deinit(struct flat *f)
{
    if (f->p)
        explicit_bzero(f->p, f->n); /* credentials */
    free(f->p);
}

struct snap_ref flat_put(struct flat *f, struct str s)
{
    if (s.n == 0)
        return (struct snap_ref){0};
    uint32_t off = flat_reserve(f, s.n);
    if (f->failed)
        return (struct snap_ref){0};
    memcpy(f->p + off, s.p, s.n);
    return (struct snap_ref){off, (uint32_t)s.n};
}

struct snap_ref flat_array(struct flat *f, const void *items, size_t n, size_t size)
{
    uint32_t off = flat_reserve(f, n * size);

    if (f->failed)
        return (struct snap_ref){0};
    if (n)
        memcpy(f->p + off, items, n * size);
    return (struct snap_ref){off, (uint32_t)n};
}

struct snap_ref flat_index(struct flat *f, const uint32_t *hashes, const uint32_t *order,
                           uint32_t n_order, uint32_t n)
{
    uint32_t size = 1;

    while (size <= 2 * (uint64_t)n)
        size *= 2;
    uint32_t off = flat_reserve(f, size * sizeof(uint32_t));
    if (f->failed)
        return (struct snap_ref){0};
    uint32_t *slot = (uint32_t *)(void *)(f->p + off);
    memset(slot, 0xff, size * sizeof *slot); /* SNAP_NONE */
    for (uint32_t i = 0; i < n_order; i++) {
        uint32_t at = hashes[order[i]] & (size - 1);
        while (slot[at] != SNAP_NONE)
            at = (at + 1) & (size - 1);
        slot[at] = order[i];
    }
    return (struct snap_ref){off, size};
}
