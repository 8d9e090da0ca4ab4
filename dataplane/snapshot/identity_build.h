#pragma once

/*
 * A file of identities under construction: a base, or what an overlay will hold, which changes from
 * seal to seal. Its bytes are laid out as in the file from the first on, so sealing is writing.
 * Link only.
 */

#include "snapshot/identity.h"

struct image_index { /* private: as identity_header.by_id */
    uint32_t *words;
    uint32_t size, n;
};

struct image {
    struct snapshot texts; /* what snap_str() and SNAP_AT() take for references in here */
    size_t cap;            /* private: of texts */
    struct identity *entries;
    uint64_t *stamps; /* with keeps_stamps: of the last image_put() of each entry */
    uint32_t n_entries, cap_entries;
    struct identity_rules *rules; /* the first are those without any rule */
    uint32_t n_rules, cap_rules;
    struct image_index by_id, by_rules; /* private */
    bool keeps_stamps;
    bool failed; /* sticks: no memory, or more than a file can hold */
};

/* Nothing is allocated yet but the rules without rule; image_deinit() is safe on a zeroed one. */
void image_init(struct image *m, bool keeps_stamps);
void image_deinit(struct image *m);

/* Makes room for about so many, which saves growing. */
void image_reserve(struct image *m, uint32_t entries, size_t text_bytes);

/* `n` bytes for a text or a list, at a multiple of `align`; SNAP_NONE once it failed. image_at()
 * holds until the next one. */
uint32_t image_text(struct image *m, size_t n, size_t align);
void *image_at(const struct image *m, uint32_t off);

/* Place of an entity; SNAP_NONE: it is not in here. */
uint32_t image_find(const struct image *m, enum identity_kind kind, struct str id, uint32_t hash);

/* Place of rules equal to `r`, whose references lie in `from`; copied if they are new. */
uint32_t image_rules(struct image *m, const struct snapshot *from, const struct identity_rules *r);

/* Puts `it`, whose texts lie in `from`, in the place of the entry of the same id, or at the end.
 * `rules` is a place of image_rules(). Gives its place. */
uint32_t image_put(struct image *m, const struct snapshot *from, const struct identity *it,
                   uint32_t rules, uint64_t stamp);

/* True when two rules say the same. */
bool rules_equal(const struct snapshot *sa, const struct identity_rules *a,
                 const struct snapshot *sb, const struct identity_rules *b);

/* Rules that say nothing. */
struct identity_rules rules_none(void);

/*
 * Writes and seals it with the numbers `h` has. `slots`: a base, by_slot of which has so many
 * places; 0: an overlay. The image of a base is taken apart on the way, that of an overlay stays;
 * one that could not be written whole has failed.
 * ERRC_LIMIT when the image has failed, ERRC_NOMEM, ERRC_SYS.
 */
MUST_CHECK enum errc image_seal(struct image *m, const struct identity_header *numbers,
                                uint32_t slots, int *ret_fd, struct err *e);
