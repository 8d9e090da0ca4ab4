#pragma once

/*
 * Text as it stands inside a JSON string literal: escapes as written, quotes not included. What
 * passes from one JSON text to another is never decoded and encoded again; what the program itself
 * decides by is compared by meaning. A type of its own, so that the two cannot be mixed up.
 */

#include "common/arena.h"

struct jstr {
    const char *p;
    size_t n;
};

/* A literal without anything to escape. */
#define JSTR(lit) ((struct jstr){(lit), sizeof(lit) - 1})
#define JSTR_NONE ((struct jstr){0})

/* Written alike; for texts that come from one place. */
static inline bool jstr_same(struct jstr a, struct jstr b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool jstr_has_escapes(struct jstr j)
{
    return j.n && memchr(j.p, '\\', j.n) != NULL;
}

/* Means `s`, whatever of it is escaped. */
bool jstr_means(struct jstr j, struct str s);

/* The same; most texts differ in their first byte. */
static inline bool jstr_is(struct jstr j, struct str s)
{
    return j.n >= s.n && (!s.n || j.p[0] == s.p[0] || j.p[0] == '\\') && jstr_means(j, s);
}

/* Begins with `prefix`, as written. */
static inline bool jstr_starts(struct jstr j, struct str prefix)
{
    return str_starts((struct str){j.p, j.n}, prefix);
}

/* What it means: borrowed from `j` when nothing is escaped, else in the arena. Lone surrogates
 * become U+FFFD. Empty when the arena failed. */
struct str jstr_decode(struct jstr j, struct arena *a);

/* `s` as the inside of a literal: borrowed when nothing must be escaped, else in the arena. */
struct jstr jstr_encode(struct str s, struct arena *a);

/* Nothing but blanks (or nothing at all), by meaning; at most JSTR_BLANKS_MAX bytes of them. */
enum { JSTR_BLANKS_MAX = 64 * 1024 };
bool jstr_is_blank(struct jstr j);

static inline struct jstr jstr_copy(struct jstr j, struct arena *a)
{
    struct str copy = arena_str(a, (struct str){j.p, j.n});

    return (struct jstr){copy.p, copy.n};
}

/* Without the blanks at its end, by meaning (" ", \n, \r, \t in either form), as far as they
 * count. */
struct jstr jstr_trim_end(struct jstr j);

/* One text behind the other; in the arena unless one is empty. */
struct jstr jstr_join(struct jstr a, struct jstr b, struct arena *arena);

/* With lone surrogates as \ufffd, which any reader takes: borrowed when there are none (F.16). Also
 * of a whole JSON text. */
struct jstr jstr_repair(struct jstr j, struct arena *a);
/* The same in place. */
void jstr_mend(char *p, size_t n);

/* Bytes at its end that are the escape of the first half of a surrogate pair: 6 or 0. */
size_t jstr_half_pair(struct jstr j);
