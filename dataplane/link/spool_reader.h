#pragma once

/*
 * The spool as it is shipped: batches of whole records from a place on, which a writer may be
 * adding to meanwhile. Only what is synced is read: what a control plane has counted must not be
 * lost with the machine and its place given to something else. Any one thread.
 */

#include "common/err.h"
#include "common/gateway/spool_record.h"

enum { SPOOL_BATCH_MAX = 512 * 1024 };

struct spool_reader {
    char dir[480];
    int fd; /* of `segment`; -1: none */
    uint64_t segment, size;
};

struct spool_batch {
    struct spool_place after; /* the place asked for */
    struct spool_place from;  /* the same; beyond it where something is lost */
    struct str records;       /* in the buffer; empty: only the place moves */
    unsigned n;               /* how many */
    struct spool_place next;  /* where what follows begins */
};

MUST_CHECK enum errc spool_reader_init(struct spool_reader *r, const char *dir, struct err *e);
void spool_reader_deinit(struct spool_reader *r);

/*
 * What follows `at`, up to `end` (spool_synced()), into `buffer` (SPOOL_BATCH_MAX). *ret_any: false
 * when there is nothing. A segment that is gone, or cut short, is a gap; so is damage, which is
 * passed over. ERRC_SYS.
 */
MUST_CHECK enum errc spool_reader_next(struct spool_reader *r, unsigned char *buffer,
                                       struct spool_place at, struct spool_place end,
                                       struct spool_batch *ret, bool *ret_any, struct err *e);
