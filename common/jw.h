#pragma once

/*
 * JSON writer into an arena. Commas and escapes are its business; the caller says objects, keys and
 * values in order. Overflow sticks in the arena: jw_finish() then returns an empty string.
 */

#include "common/arena.h"

enum { JW_DEPTH = 32, JW_PIECE = 64 * 1024 };

/* Takes a piece; false: the rest is of no use, which sticks like an overflow. */
typedef bool (*jw_sink_fn)(void *ctx, struct str piece);

struct jw { /* private */
    struct arena *arena;
    jw_sink_fn sink; /* NULL: all of it stays in the arena */
    void *ctx;
    char *p;
    size_t n, cap;
    unsigned depth;
    bool comma;
    char close[JW_DEPTH];
};

struct jw jw_init(struct arena *a);
/* What grows beyond JW_PIECE goes to the sink, which borrows it; jw_finish() gives the rest. */
struct jw jw_init_sink(struct arena *a, jw_sink_fn sink, void *ctx);

void jw_obj(struct jw *w); /* { */
void jw_arr(struct jw *w); /* [ */
void jw_end(struct jw *w); /* closes the innermost of the two */

void jw_key(struct jw *w, struct str key);
void jw_put_str(struct jw *w, struct str s);
void jw_put_u64(struct jw *w, uint64_t v);
void jw_put_i64(struct jw *w, int64_t v);
void jw_put_bool(struct jw *w, bool v);
void jw_put_null(struct jw *w);

/* `json` as it is: one complete value made elsewhere. */
void jw_put_raw(struct jw *w, struct str json);
/* Bytes as they are, not JSON's business: for other formats. */
void jw_put_bytes(struct jw *w, struct str bytes);

/* An amount in pico-units as a decimal without exponent loss: 2500000 -> 2.5e-06. */
void jw_put_pico(struct jw *w, int64_t pico);

/* The text, borrowed from the arena; empty when the arena overflowed. */
struct str jw_finish(struct jw *w);
