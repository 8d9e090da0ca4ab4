#pragma once

/*
 * Objects of one size: taken and given back without malloc once warm, bounded in number. Storage
 * of the slab belongs to the caller; a spare object is poisoned under AddressSanitizer.
 */

#include "common/base.h"

struct slab_spare;

struct slab {
    struct slab_spare *spare; /* private */
    size_t size;              /* bytes of one object, at least a pointer */
    unsigned max;             /* the most objects lent */
    unsigned n_spare, n_lent;
    unsigned low; /* private: fewest spares since the last trim */
};

void slab_init(struct slab *s, size_t size, unsigned max);

/* Frees the spares. Lent objects must be back. */
void slab_deinit(struct slab *s);

/* An object with undefined content, or NULL at the bound or without memory. */
MUST_CHECK void *slab_get(struct slab *s);

/* Gives `obj` back. */
void slab_put(struct slab *s, void *obj);

/* Frees what was not needed since the last call: memory follows the load down. */
void slab_trim(struct slab *s);
