#pragma once

/*
 * Single pages, lent and taken back. Spare ones can go to the system while their place stays ours,
 * whatever lies beside them: among other objects of the heap a freed page seldom can.
 */

#include "common/base.h"

enum { PAGE_BYTES = 4096 };

/* Zeroed is empty. */
struct page_pool {
    void **spare; /* private: a stack; its lowest `n_cold` are with the system */
    unsigned n_spare, n_cold;
    unsigned low;  /* private: fewest spares since the last trim */
    void **extent; /* private: where all pages lie */
    unsigned n_extents;
};

/* Frees everything. Lent pages must be back. */
void page_pool_deinit(struct page_pool *p);

/* A page, its content undefined; NULL without memory. page_pool_give() cannot fail. */
void *page_pool_take(struct page_pool *p);
void page_pool_give(struct page_pool *p, void *page);

/* Gives to the system what was not needed since the last call, but for `keep` pages. Returns how
 * many pages that were. */
unsigned page_pool_trim(struct page_pool *p, unsigned keep);
