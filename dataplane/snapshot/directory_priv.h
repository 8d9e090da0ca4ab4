#pragma once

/* What the directory's own files share. */

#include <pthread.h>

#include "snapshot/directory.h"
#include "snapshot/identity_build.h"
#include "snapshot/identity_priv.h"

/* ---- slots ---- */

struct released {
    uint32_t slot, bases; /* how many bases had been made when it came free */
};

struct directory_slots {
    uint8_t *used; /* by slot */
    uint32_t next, cap;
    struct released *queue; /* the oldest first */
    uint32_t head, n_queue, cap_queue;
};

/* ---- documents ---- */

struct document {
    Weir__Entity *own; /* a copy */
    struct str name;   /* within it */
    uint32_t hash;     /* snap_hash(name) */
};

struct documents {
    struct document *items;
    size_t n, cap;
    uint64_t changes;
};

/* Takes a copy, or drops what is gone. */
MUST_CHECK enum errc documents_apply(struct documents *ds, const Weir__Entity *en, struct err *e);
void documents_deinit(struct documents *ds); /* `changes` goes on */

/* False: it is none. */
bool document_name(const Weir__Entity *en, struct str *ret_name);

/* ---- merging ---- */

/* One run of the thread: base and overlay in, a new base out. */
struct merge {
    pthread_t thread;
    bool running;
    bool stale; /* what it merges is not served any more */
    struct snapshot *base, *overlay;
    uint32_t slots;
    uint64_t n;     /* of the new base */
    uint64_t stamp; /* changes after this one are not in it */
    int ret_fd;
    enum errc rc;
    struct err e;
    _Atomic bool done;
};

/* Starts it on files that stay mapped until merge_wait(). ERRC_SYS. */
MUST_CHECK enum errc merge_start(struct merge *m, struct err *e);
void merge_wait(struct merge *m);

/* ---- the whole ---- */

struct member_pair {
    uint32_t team, user, slot;
};

struct directory {
    struct directory_options o;
    struct directory_revision revision;
    uint64_t numbering;
    uint64_t n;               /* last number given to a file */
    uint32_t bases;           /* made or adopted so far */
    struct snapshot *base;    /* NULL: none yet */
    int base_fd;              /* of the same; -1 */
    bool base_untold;         /* it was not given out yet */
    struct snapshot *overlay; /* the last one sealed */
    struct image changes;     /* what it holds, and what was applied since */
    struct image staged;      /* while `staging` */
    struct image entity;      /* scratch: texts of the entity being read */
    bool staging;
    bool dirty;     /* `changes` has more than `overlay` */
    uint64_t stamp; /* of what is put into `changes` until the next seal */
    struct directory_slots slots;
    struct member_pair *new_members; /* since the last seal: keys may belong to them */
    uint32_t n_new_members, cap_new_members;
    uint64_t live, staged_live;
    bool counted; /* counters are those of our numbering */
    struct documents documents, staged_documents;
    struct merge merge;
    uint64_t saved_base; /* number of the base that lies on disk; 0: none */
};

/* An entity as directory_entity.c reads it: references in d->entity, slot and rules open. */
struct entity {
    struct identity it;
    struct identity_rules rules;
    int64_t spend_nusd;
};

/* ERRC_INVALID when it makes no sense, ERRC_LIMIT, ERRC_NOMEM. Slots of what it names are taken. */
MUST_CHECK enum errc entity_read(struct directory *d, const Weir__Entity *en, struct entity *ret,
                                 struct err *e);

/* The slot of an entity, taken for it if it is not known; of an empty id SNAP_NONE. */
MUST_CHECK enum errc directory_slot(struct directory *d, enum identity_kind kind, struct str id,
                                    uint32_t *ret_slot, struct err *e);

/* ---- slots of counters ---- */

/* Counters of another numbering are forgotten, before the first slot means something. */
void slots_begin(struct directory *d);

/* ERRC_LIMIT when all are in use. */
MUST_CHECK enum errc slots_take(struct directory *d, uint32_t *ret_slot, struct err *e);

/* After a new base: what neither it nor `changes` uses is free two bases later. */
MUST_CHECK enum errc slots_release_unused(struct directory *d, struct err *e);

/* Everything up to and with the slots of base and `changes` was given out. */
MUST_CHECK enum errc slots_rebuild(struct directory *d, struct err *e);
void directory_slots_deinit(struct directory_slots *s);

/* ---- members ---- */

/* Gives the keys of `d->new_members` their slot, in base and changes. */
MUST_CHECK enum errc members_fill(struct directory *d, struct err *e);

/* The same for everything staged. */
MUST_CHECK enum errc members_fill_staged(struct directory *d, struct err *e);

/* ---- for directory_file.c ---- */

/* Nothing is known any more. */
void directory_forget(struct directory *d);

/*
 * Goes on from files that are mapped, `take_base_fd` being the base's: all become the directory's,
 * or are let go on failure.
 */
MUST_CHECK enum errc directory_install(struct directory *d, struct snapshot *take_base,
                                       int take_base_fd, struct snapshot *take_overlay,
                                       struct err *e);
