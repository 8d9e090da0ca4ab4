#pragma once

/* Counted strings that borrow: pointer and length, never NUL-terminated by contract. By value. */

#include "common/base.h"

struct str {
    const char *p; /* may point into a receive buffer, an arena or a mapping */
    size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        (lit), sizeof(lit) - 1                                                                     \
    } /* the same in a static initialiser */
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *c_string)
{
    return (struct str){c_string, c_string ? strlen(c_string) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* The part of `s` from byte `from` (clamped) on. */
static inline struct str str_from(struct str s, size_t from)
{
    from = MIN(from, s.n);
    return from ? (struct str){s.p + from, s.n - from} : s; /* an empty one may lie nowhere */
}

static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Equal when ASCII letters compare without case (header names, schemes). */
bool str_ieq(struct str a, struct str b);

/* Without leading and trailing blanks and tabs. */
struct str str_trim(struct str s);

/*
 * Splits at the first `sep`: true, *ret_head before it and *ret_tail after it; without one false,
 * *ret_head is all of `s` and *ret_tail empty. Both borrow from `s`.
 */
bool str_cut(struct str s, char sep, struct str *ret_head, struct str *ret_tail);

/* Nothing but printable ASCII: safe in a log line, a JSON text, a database. */
bool str_is_printable(struct str s);

/* Offset of the first `needle` in `s`, or SIZE_MAX. */
size_t str_find(struct str s, struct str needle);

/* Bytes of the well-formed UTF-8 sequence of several bytes at the start of `s` (RFC 3629), or 0. */
size_t str_utf8_length(struct str s);

/* Nothing but well-formed UTF-8. */
bool str_is_utf8(struct str s);

/* For tables; `seed` is a secret where others choose the texts. */
uint64_t str_hash(struct str s, uint64_t seed);

/* True when `word` is one of "a|b|c"; an empty one never is. */
bool str_is_among(struct str word, struct str values);
