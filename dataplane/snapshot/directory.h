#pragma once

/*
 * Everything the control plane publishes, as the link keeps it: entities in, sealed base and
 * overlay out (snapshot/identity.h). What is served lies in the sealed files themselves; beside
 * them the directory keeps only what changed since the base, the numbers of slots, and documents.
 *
 *   directory_apply ... directory_apply ... directory_seal      changes
 *   directory_full  directory_apply ...     directory_seal      everything again, beside what is
 * served
 *
 * When the overlay has grown a thread merges it into a new base; directory_seal() gives that when
 * it is ready, and changes go on meanwhile. Used by one thread. Link only.
 */

#include "common/err.h"
#include "proto/weir.pb-c.h"

#include "snapshot/identity.h"

struct directory;

/* Of the control plane; {0, 0}: nothing is known. */
struct directory_revision {
    uint64_t epoch, n;
};

enum { DIRECTORY_KEY = 32 }; /* bytes of the key of its file */

/* What an entity came with. */
struct directory_spend {
    int64_t spend_nusd, reset_us; /* reset_us: its budget begins anew; 0: never, or not known */
    bool is_new;                  /* it was not there before, or is told with everything */
};

/* What lies at slots and is not in the files (shared/counters.h). Functions may be NULL. */
struct directory_counters {
    void *ctx;
    void (*know)(void *ctx, uint32_t slot, const struct directory_spend *s);
    int64_t (*known)(void *ctx, uint32_t slot);
    void (*clear)(void *ctx, uint32_t slot);       /* it is another entity's from now on */
    void (*forget)(void *ctx, uint64_t numbering); /* ... all of them are, if of another */
};

struct directory_options {
    struct directory_counters counters;
    uint32_t max_slots; /* 0: 4 Mi */
    uint64_t n;         /* what an earlier link had used; the next file has a higher one */
};

/* NULL: no memory. Nothing is known, and nothing is served until directory_seal(). */
struct directory *directory_new(const struct directory_options *o);
struct directory *directory_free(struct directory *d);
DEFINE_AUTO_FREE(directory)

/*
 * Goes on from the files another link sealed, which workers serve with (descriptors borrowed): the
 * same slots. Call it after directory_load(), whose documents stay; what is known is then the older
 * revision of both, or nothing when they differ in epoch. ERRC_INVALID, ERRC_NOMEM; nothing changed
 * then.
 */
MUST_CHECK enum errc directory_adopt(struct directory *d, int base_fd, int overlay_fd,
                                     struct err *e);

/* What is served with: the revision of the last directory_seal(), or as loaded. */
struct directory_revision directory_revision(const struct directory *d);

/* From here on entities are kept apart, until directory_seal() puts them in the place of all that
 * was known. What was staged before is forgotten. */
MUST_CHECK enum errc directory_full(struct directory *d, struct err *e);

/* Back to what is served: a full sync that will not be finished. */
void directory_abandon(struct directory *d);

/*
 * One entity as it is now, or that it is gone; borrowed. ERRC_INVALID: it makes no sense,
 * ERRC_LIMIT: no room for it; either way the others are not touched. After ERRC_NOMEM what is
 * staged or was changed since the last seal is incomplete: directory_seal() fails too.
 */
MUST_CHECK enum errc directory_apply(struct directory *d, const Weir__Entity *en, struct err *e);

/*
 * Seals what was applied as `revision`. *ret_overlay_fd: the new overlay, the caller's;
 * *ret_base_fd: the base it lies over, or -1 when that is the one of before. Both -1: nothing new,
 * not even the revision. To be called now and then without a change too, for a base that became
 * ready. ERRC_LIMIT, ERRC_NOMEM, ERRC_SYS: what was served stays, and may be tried again.
 */
MUST_CHECK enum errc directory_seal(struct directory *d, struct directory_revision revision,
                                    int *ret_base_fd, int *ret_overlay_fd, struct err *e);

/* header.n of the last overlay: region->identity of a worker that serves with it. */
uint64_t directory_n(const struct directory *d);

/* Which entity has which slot holds within one numbering: counters of another are forgotten. */
uint64_t directory_numbering(const struct directory *d);

/* The slot of an entity; SNAP_NONE: it is not known. A key's id is its hash, a member's team, NUL,
 * user. */
uint32_t directory_slot_known(struct directory *d, enum identity_kind kind, struct str id);

/* Entities that are there, documents too. */
uint64_t directory_count(const struct directory *d);

/*
 * Models, credentials and settings do not go into workers' files: they are kept as they came and
 * are in force from directory_seal() on, which moves directory_documents() when any of them
 * changed.
 */
uint64_t directory_documents(const struct directory *d);

typedef void (*directory_document_fn)(void *ctx, const Weir__Entity *en);

/* Every document of a kind (WEIR__ENTITY__IS_MODEL ...), lent for the call. */
void directory_each_document(const struct directory *d, Weir__Entity__IsCase kind,
                             directory_document_fn fn, void *ctx);

/*
 * The last good state on disk, sealed with `key` (XChaCha20-Poly1305), epoch and revision as
 * associated data: `path` with what is small, and beside it path.N with the base, written only when
 * that is a new one. Neither is ever half there under its name. Takes up to a second with a million
 * keys and a new base, else milliseconds. ERRC_SYS, ERRC_NOMEM.
 */
MUST_CHECK enum errc directory_save(struct directory *d, const char *path,
                                    const unsigned char key[DIRECTORY_KEY], struct err *e);

/*
 * Into a directory that knows nothing; directory_seal() with directory_revision() then gives both
 * files. ERRC_INVALID with the reason: damaged, of another version, or sealed with another key;
 * ERRC_SYS with e->sys ENOENT: there is none. Nothing is known then.
 */
MUST_CHECK enum errc directory_load(struct directory *d, const char *path,
                                    const unsigned char key[DIRECTORY_KEY], struct err *e);
