#pragma once

/* Replies as bytes, and cursors: where the next page begins, opaque to data planes. Pure. */

#include "publish/entities.h"
#include "publish/feed.h"

enum {
    REQUEST_MAX = 16 * 1024,
    USAGE_MAX = 512 * 1024, /* records of a batch */
    USAGE_BATCHES = 8,      /* of a request */
    USAGE_REQUEST_MAX = USAGE_BATCHES * (USAGE_MAX + 1024),
    CURSOR_MAX = 8 * 1024,
};

struct revision {
    uint64_t epoch, n;
};

struct hub_place { /* where a spool's cursor stands */
    uint64_t segment, offset;
};

/* ---- replies: a buffer used again and again ---- */

struct wire { /* zeroed: empty */
    char *p;
    size_t n, cap;
    bool failed; /* no memory: nothing is said */
};
void wire_deinit(struct wire *w);

/* A reply without pages; valid until the next one. */
struct str wire_reply(struct wire *w, const Weir__Reply *r);
struct str wire_refusal(struct wire *w, Weir__Refusal__Why why, const char *text);

/* A page of changes: begin, entities as publish/entity.h packs them, end. */
void wire_changes_begin(struct wire *w, struct revision now, bool full);
void wire_put(struct wire *w, struct str packed);
/* What the totals before it lead to; NULL: not yet to what a place in the spool stands for. */
void wire_changes_totals(struct wire *w, uint64_t to, const struct hub_place *place);
struct str wire_changes_end(struct wire *w, struct str cursor);

/* ---- cursors ---- */

enum cursor_kind {
    CURSOR_NONE,
    CURSOR_FEED, /* within what is answered from memory */
    CURSOR_FULL, /* within everything, as of a revision */
    CURSOR_BAD,
};

struct cursor {
    struct feed_place feed;
    struct revision revision;
    struct entities_place place; /* its keys borrow from the bytes */
};

enum cursor_kind cursor_read(struct cursor *ret, struct str bytes);

struct str cursor_of_feed(char out[CURSOR_MAX], struct feed_place at);
/* Empty: the keys are too long to go on behind them. */
struct str cursor_of_place(char out[CURSOR_MAX], struct revision r,
                           const struct entities_place *at);
