#pragma once

/*
 * Server-sent events out of a stream of bytes (wire-formats.md 0.1): any line ends, comments,
 * several data lines joined by LF, a byte order mark. Resumable at any byte; an event that lies
 * whole in the bytes given is not copied. Pure.
 */

#include "common/bufpool.h"
#include "common/str.h"

enum { SSE_EVENT_MAX = 8 * 1024 * 1024, SSE_NAME_MAX = 64 };

/* An event with data; both are lent for the call. False stops: sse_feed() returns at once. */
typedef bool (*sse_fn)(void *ctx, struct str name, struct str data);

struct sse {
    struct bufpool *pool;
    sse_fn fn;
    void *ctx;
    struct buf line; /* private: the beginning of an unfinished line */
    struct buf data; /* private: of the event so far, where it had to be kept */
    struct str lent; /* private: its only data line, still in the bytes being read */
    bool has_data, after_cr;
    uint8_t mark_at; /* bytes of the mark seen */
    uint8_t name_n;
    char name[SSE_NAME_MAX];
};

void sse_init(struct sse *s, struct bufpool *pool, sse_fn fn, void *ctx);
void sse_deinit(struct sse *s);

/* False when fn said so, an event grew beyond SSE_EVENT_MAX, or memory ended. */
MUST_CHECK bool sse_feed(struct sse *s, const char *p, size_t n);

/* The stream is over: an event that only its blank line is missing of counts. As sse_feed(). */
MUST_CHECK bool sse_end(struct sse *s);

/* What of an unfinished line there is. */
static inline struct str sse_rest(const struct sse *s)
{
    return (struct str){s->line.p, s->line.n};
}
