#include "common/jstr.h"

#include "common/json_scan.h"
#include "common/jw.h"

bool jstr_is(struct jstr j, struct str s)
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
    if (!s.n || json_string_stop(s.p, s.p + s.n) == s.p + s.n)
        return (struct jstr){s.p, s.n};
    struct jw w = jw_init(a);
    jw_put_str(&w, s);
    struct str quoted = jw_finish(&w);
    return quoted.n < 2 ? JSTR_NONE : (struct jstr){quoted.p + 1, quoted.n - 2};
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

/* 16 and more: no digit. */
static unsigned hex_digit(char c)
{
    unsigned digit = (unsigned char)c - (unsigned)'0', letter = (c | 0x20) - (unsigned)'a';

    return digit < 10 ? digit : letter < 6 ? letter + 10 : 16;
}

/* The code unit of the \u escape at p, -1 when there is none. */
static int unit_at(const char *p, const char *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    unsigned a = hex_digit(p[2]), b = hex_digit(p[3]), c = hex_digit(p[4]), d = hex_digit(p[5]);
    return (a | b | c | d) < 16 ? (int)(a << 12 | b << 8 | c << 4 | d) : -1;
}

static bool is_high(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* The next lone surrogate escape in [p, end), or `end`. */
static const char *lone_surrogate(const char *p, const char *end)
{
    while (p < end && (*p == '\\' || (p = memchr(p, '\\', (size_t)(end - p))))) {
        int unit = unit_at(p, end);
        if (unit < 0xd800 || unit >= 0xe000) {
            p += unit < 0 ? 2 : 6;
            continue;
        }
        if (!is_high(unit) || !is_low(unit_at(p + 6, end)))
            return p;
        p += 12;
    }
    return end;
}

struct jstr jstr_repair(struct jstr j, struct arena *a)
{
    if (!jstr_has_escapes(j))
        return j;
    const char *end = j.p + j.n, *at = lone_surrogate(j.p, end);
    if (LIKELY(at == end))
        return j;
    char *out = arena_alloc(a, j.n);
    if (!out)
        return JSTR_NONE;
    memcpy(out, j.p, j.n);
    jstr_mend(out + (at - j.p), (size_t)(end - at));
    return (struct jstr){out, j.n};
}

void jstr_mend(char *p, size_t n)
{
    const char *end = p + n, *at = p;

    while ((at = lone_surrogate(at, end)) != end) {
        memcpy(p + (at - p), "\\ufffd", 6);
        at += 6;
    }
}

size_t jstr_half_pair(struct jstr j)
{
    if (j.n < 6 || !is_high(unit_at(j.p + j.n - 6, j.p + j.n)))
        return 0;
    return slashes_before(j.p, j.n - 6) % 2 ? 0 : 6; /* an even number leaves it one */
}
