#pragma once

/*
 * What the control plane knows to be spent, into the counters. A sum comes with a place in this
 * pod's spool: it holds what the pod's records before it say, and of those behind none. So what the
 * workers added is taken back for each record up to that place, read from the spool again, and
 * nothing counts twice or is missing, whatever is on its way.
 *
 *   workers   added ─────────▶ + ◀───────── known   told by the control plane
 *                              − ◀───────── records before the place, by the spool
 *
 * Up to where that was done stands in the counters, which outlive the link. Used by the session's
 * thread.
 */

#include "common/arena.h"

#include "link/spool_reader.h"
#include "shared/counters.h"
#include "snapshot/directory.h"

struct totals {
    const struct counters *counters;
    char dir[480]; /* of the spool */
    struct spool_reader reader;
    bool is_open;          /* the reader */
    unsigned char *buffer; /* its */
    bool is_exact;         /* this session's sums come with their place */
    uint64_t
        fresh_ns; /* when everything was taken the last time, and no sums since; 0: they came */
    struct arena arena;
};

/* `counters` is borrowed. */
void totals_init(struct totals *t, const struct counters *counters, const char *state_dir);
void totals_deinit(struct totals *t);

/* For directory_new(): the spend that entities come with. */
struct directory_counters totals_counters(struct totals *t);

/* Another session, whose control plane tells totals, or is an older one. */
void totals_session(struct totals *t, bool tells);

/* Into a question, whose `spool` lies in `name`. */
enum { TOTALS_NAME = 16 };
void totals_ask(struct totals *t, Weir__ChangesSince *m, unsigned char name[TOTALS_NAME]);

/* From an answer: totals of entities that `d` knows, and the place. */
void totals_told(struct totals *t, struct directory *d, const Weir__Changes *c);

/* Everything was taken, from that monotonic time on: what was spent since is asked for. */
void totals_full(struct totals *t, uint64_t began_ns);
