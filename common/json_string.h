#pragma once

/*
 * The inside of JSON string literals: where it stops, what its escapes mean, how they are written.
 * All of it is crossed many bytes at a time, since most of a prompt lies in strings, and since
 * nobody is to make the loop wait with a text of nothing but escapes.
 */

#include "common/bytes16.h"
#include "common/str.h"

#ifdef __SSE2__
/* Bytes that end or escape a string or may not stand in one. */
static inline __m128i json_is_stop16(__m128i v)
{
    return _mm_or_si128(_mm_or_si128(is_byte16(v, '"'), is_byte16(v, '\\')), is_control16(v));
}
#endif

/* The first byte in [p, end) that ends or escapes a string or may not stand in one, or `end`. */
static inline const char *json_string_stop(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 64; p += 64) { /* most strings end in the first 16 bytes or not at all */
        uint64_t first = mask16(json_is_stop16(load16(p)));
        if (first)
            return p + __builtin_ctzll(first);
        __m128i b = json_is_stop16(load16(p + 16)), c = json_is_stop16(load16(p + 32)),
                d = json_is_stop16(load16(p + 48));
        if (mask16(_mm_or_si128(_mm_or_si128(b, c), d)))
            return p + __builtin_ctzll(mask16(b) << 16 | mask16(c) << 32 | mask16(d) << 48);
    }
    for (; end - p >= 16; p += 16) {
        uint64_t mask = mask16(json_is_stop16(load16(p)));
        if (mask)
            return p + __builtin_ctzll(mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

/* The same but for escapes of one letter, which are passed over; *escaped says that there were
 * some. */
const char *json_string_pass(const char *p, const char *end, bool *escaped);

/* Behind the closing quote of the string literal whose inside begins at p, or NULL. */
const char *json_string_end(const char *p, const char *end);

/* Behind the \u escapes that follow each other from p on; p itself where none begins. To *lone is
 * added how many of them are half a pair of surrogates. */
const char *json_units_pass(const char *p, const char *end, uint32_t *lone);

/* The same, and those halves become \ufffd. */
char *json_units_mend(char *p, char *end);

/* Characters (code points) of a literal's inside. */
size_t json_string_chars(struct str s);

/* Bytes that `s` takes more when it is escaped. */
size_t json_escape_growth(struct str s);

/* Escapes `s` into `out`, which has room for s.n + json_escape_growth(s) bytes; returns that. */
size_t json_escape(char *out, size_t room, struct str s);

/*
 * Decodes the escapes of a string literal's inside into `out` (at least s.n bytes): lone surrogates
 * become U+FFFD. Returns the length, or SIZE_MAX on a bad escape.
 */
size_t json_unescape(char *out, struct str s);
