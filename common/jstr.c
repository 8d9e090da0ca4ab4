#include "common/jstr.h"

#include "common/json_string.h"
#include "common/num.h"

bool jstr_means(struct jstr j, struct str s)
{
    char plain[64];

    if (j.n == s.n)
        return j.n == 0 || (memcmp(j.p, s.p, j.n) == 0 && !jstr_has_escapes(j));
    if (j.n < s.n || j.n > sizeof plain || !jstr_has_escapes(j))
        return false;
    size_t n = json_unescape(plain, (struct str){j.p, j.n});
    return n == s.n && memcmp(plain, s.p, n) == 0;
}

struct str jstr_decode(struct jstr j, struct arena *a)
{
    if (!jstr_has_escapes(j))
        return (struct str){j.p, j.n};
    char *out = arena_alloc(a, j.n);
    size_t n = out ? json_unescape(out, (struct str){j.p, j.n}) : SIZE_MAX;
    return n == SIZE_MAX ? (struct str){0} : (struct str){out, n};
}

struct jstr jstr_encode(struct str s, struct arena *a)
{
    size_t growth = json_escape_growth(s), room;

    if (!growth)
        return (struct jstr){s.p, s.n};
    char *out = size_add(s.n, growth, &room) ? arena_alloc(a, room) : NULL;
    return out ? (struct jstr){out, json_escape(out, room, s)} : JSTR_NONE;
}

/* Backslashes that end at p + n. */
static size_t slashes_before(const char *p, size_t n)
{
    static const char eight[] = "\\\\\\\\\\\\\\\\";
    size_t at = n;

    while (at >= 8 && memcmp(p + at - 8, eight, 8) == 0)
        at -= 8;
    while (at && p[at - 1] == '\\')
        at--;
    return n - at;
}

/* Bytes of the blank that ends at p + n, written plainly or as an escape; 0: none does. */
static size_t blank_before(const char *p, size_t n)
{
    if (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        return 1;
    if (n < 2 || p[n - 2] != '\\' || (p[n - 1] != 'n' && p[n - 1] != 'r' && p[n - 1] != 't'))
        return 0;
    return slashes_before(p, n - 1) % 2 ? 2 : 0; /* an even number is no escape of the letter */
}

struct jstr jstr_trim_end(struct jstr j)
{
    size_t least = j.n - MIN(j.n, (size_t)JSTR_BLANKS_MAX), blank;

    while (j.n > least && (blank = blank_before(j.p, j.n)))
        j.n -= blank;
    return j;
}

bool jstr_is_blank(struct jstr j)
{
    return jstr_trim_end(j).n == 0;
}

struct jstr jstr_join(struct jstr a, struct jstr b, struct arena *arena)
{
    if (!a.n || !b.n)
        return a.n ? a : b;
    char *out = arena_alloc(arena, a.n + b.n);
    if (!out)
        return JSTR_NONE;
    memcpy(out, a.p, a.n);
    memcpy(out + a.n, b.p, b.n);
    return (struct jstr){out, a.n + b.n};
}

static bool has_lone(struct jstr j)
{
    const char *p = j.p, *end = p + j.n;
    uint32_t lone = 0;
    bool escaped = false;

    while (!lone && (p = json_string_pass(p, end, &escaped)) < end) {
        const char *units = p;
        if ((p = json_units_pass(units, end, &lone)) == units)
            p++; /* a quote of a whole text */
    }
    return lone;
}

struct jstr jstr_repair(struct jstr j, struct arena *a)
{
    if (!jstr_has_escapes(j) || LIKELY(!has_lone(j)))
        return j;
    char *out = arena_alloc(a, j.n);
    if (!out)
        return JSTR_NONE;
    memcpy(out, j.p, j.n);
    jstr_mend(out, j.n);
    return (struct jstr){out, j.n};
}

void jstr_mend(char *p, size_t n)
{
    char *end = p + n;
    bool escaped = false;

    while ((p += json_string_pass(p, end, &escaped) - p) < end) {
        char *units = p;
        if ((p = json_units_mend(units, end)) == units)
            p++;
    }
}

size_t jstr_half_pair(struct jstr j)
{
    if (j.n < 6)
        return 0;
    const char *p = j.p + j.n - 6;
    bool is_high =
        p[0] == '\\' && p[1] == 'u' && char_lower(p[2]) == 'd' &&
        (p[3] == '8' || p[3] == '9' || char_lower(p[3]) == 'a' || char_lower(p[3]) == 'b');

    return is_high && slashes_before(j.p, j.n - 6) % 2 == 0 ? 6 : 0; /* odd: no escape begins */
}
