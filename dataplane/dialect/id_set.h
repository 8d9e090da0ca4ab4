#pragma once

/*
 * Ids (or names) met in a request, compared as written, each with what belongs to it. Refilled for
 * every turn without new memory. The hash is no secret, so the search is cut short: who makes ids
 * collide on purpose has them not found.
 */

#include "common/jstr.h"

struct id_entry {
    struct jstr id;
    const void *value;
};

struct id_set {             /* zeroed is empty */
    struct id_entry *entry; /* in the order they were added */
    uint32_t n;
    /* private */
    uint32_t *slot; /* 1 + index of an entry; 0: free */
    uint32_t slots; /* a power of two; 0: none */
    uint32_t room;  /* entries there is memory for */
};

/* Empties it and makes room for `max` ids. What it holds lies in the arena, whose failure leaves it
 * without room. */
void id_set_begin(struct id_set *s, struct arena *a, uint32_t max);

/* The entry of `id`, new with value NULL where there was none; NULL: no room. */
struct id_entry *id_set_add(struct id_set *s, struct jstr id);

struct id_entry *id_set_find(const struct id_set *s, struct jstr id);
