#pragma once

/* Checked arithmetic, and numbers read from text: no sign where none belongs, no blanks, no
 * overflow. */

#include "common/str.h"

MUST_CHECK static inline bool size_add(size_t a, size_t b, size_t *ret)
{
    return !__builtin_add_overflow(a, b, ret);
}

MUST_CHECK static inline bool size_mul(size_t a, size_t b, size_t *ret)
{
    return !__builtin_mul_overflow(a, b, ret);
}

/* All of `s` as decimal digits; false (and *ret untouched) when empty, too large or anything else.
 */
MUST_CHECK bool num_u64(struct str s, uint64_t *ret);
MUST_CHECK bool num_u32(struct str s, uint32_t *ret);

/* The same with an optional leading '-'. */
MUST_CHECK bool num_i64(struct str s, int64_t *ret);

/*
 * A decimal in JSON notation ("0.5", "2.5e-06", "-3") times 10^scale, rounded half up to an
 * integer; exact, without floating point. num_scaled("2.5e-06", 12, &pusd) reads dollars as
 * pico-dollars. False on anything that is not a number or does not fit.
 */
MUST_CHECK bool num_scaled(struct str s, int scale, int64_t *ret);

enum { NUM_U64_TEXT = 20 }; /* the longest */

/* Writes `v` in decimal to `out` (NUM_U64_TEXT bytes are enough), not terminated; returns the
 * length. */
size_t num_put_u64(char *out, uint64_t v);

/* Writes `n` bytes as lower-case hex digits, two each, not terminated; returns 2 n. */
size_t num_put_hex(char *out, const void *bytes, size_t n);
