#pragma once

/* A flat file of layout.h under construction, in memory: arrays and the bytes they refer to. Link
 * only. It holds credentials, and is wiped where it is given back. */

#include "common/str.h"

#include "snapshot/layout.h"

enum { FLAT_MAX = 1 << 30 };

struct flat { /* zeroed: empty */
    char *p;
    size_t n, cap;
    bool failed; /* sticks: memory or FLAT_MAX; what is asked then gives nothing */
};

/* `n` zeroed bytes aligned to 8; their offset. Moves the file: pointers into it end here. */
uint32_t flat_reserve(struct flat *f, size_t n);

struct snap_ref flat_put(struct flat *f, struct str s);
struct snap_ref flat_array(struct flat *f, const void *items, size_t n, size_t size);

/* uint32_t[], open addressing with the entries' own hashes, at most half full of `n`; `order` gives
 * the n_order entries to insert. */
struct snap_ref flat_index(struct flat *f, const uint32_t *hashes, const uint32_t *order,
                           uint32_t n_order, uint32_t n);

void flat_deinit(struct flat *f);
