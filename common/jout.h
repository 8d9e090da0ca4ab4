#pragma once

/*
 * JSON (or event) text growing in a buffer of the worker's pool. The caller writes the punctuation
 * as literals and the values with these. Failure sticks: look at `failed` once, at the end.
 *
 * Large texts may be lent instead of copied: they become holes in the text, filled when it is sent.
 */

#include "common/bufpool.h"
#include "common/jstr.h"

struct jout_hole {
    size_t at; /* in buf: `text` stands before this byte */
    struct str text;
};

enum { JOUT_HOLES = 2048 };

struct jout {
    struct bufpool *pool;
    struct buf *buf;  /* borrowed; appended to */
    size_t lend_min;  /* texts of this many bytes are lent; SIZE_MAX: all are copied */
    struct buf holes; /* struct jout_hole[]; ours: jout_deinit() */
    size_t lent;      /* bytes in holes */
    bool failed;
    bool too_large; /* and why: it would be larger than BUF_MAX */
};

static inline struct jout jout_init(struct bufpool *pool, struct buf *buf)
{
    return (struct jout){.pool = pool, .buf = buf, .lend_min = SIZE_MAX};
}

static inline void jout_deinit(struct jout *o)
{
    buf_free(o->pool, &o->holes);
}

/* A hole where `text` goes; it must live until the buffer has been sent. */
void jout_lend(struct jout *o, struct str text);

/* There was no room for `n` bytes more. */
static inline void jout_fail(struct jout *o, size_t n)
{
    o->failed = true;
    o->too_large |= n > BUF_MAX - o->buf->n;
}

/* Bytes as they are. */
static inline void jout_raw(struct jout *o, struct str s)
{
    if (!buf_add(o->pool, o->buf, s.p, s.n))
        jout_fail(o, s.n);
}
#define jout_lit(o, lit) jout_raw(o, STR(lit))

/* JSON as it is but for its line ends, which become blanks (an event is one line), and its lone
 * surrogates (F.16). */
void jout_line(struct jout *o, struct str json);

/* The inside of a literal, without quotes; lent where it is large. */
static inline void jout_text(struct jout *o, struct jstr j)
{
    if (UNLIKELY(j.n >= o->lend_min))
        jout_lend(o, (struct str){j.p, j.n});
    else
        jout_raw(o, (struct str){j.p, j.n});
}

/* The same with quotes. */
static inline void jout_string(struct jout *o, struct jstr j)
{
    jout_lit(o, "\"");
    jout_text(o, j);
    jout_lit(o, "\"");
}

/* `s` escaped, with quotes (without: jout_escaped). */
void jout_quote(struct jout *o, struct str s);
void jout_escaped(struct jout *o, struct str s);

/* What `j` means, which is JSON text itself, as it is: arguments in a string become an object. */
void jout_unescaped(struct jout *o, struct jstr j);

void jout_u64(struct jout *o, uint64_t v);
