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
    if (json_string_stop(s.p, s.p + s.n) == s.p + s.n)
        return (struct jstr){s.p, s.n};
    struct jw w = jw_init(a);
    jw_put_str(&w, s);
    struct str quoted = jw_finish(&w);
    return quoted.n < 2 ? JSTR_NONE : (struct jstr){quoted.p + 1, quoted.n - 2};
}

/* Bytes of the blank that ends at p + n, written plainly or as an escape; 0: none does. */
static size_t blank_before(const char *p, size_t n)
{
    if (n && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        return 1;
    if (n < 2 || p[n - 2] != '\\' || (p[n - 1] != 'n' && p[n - 1] != 'r' && p[n - 1] != 't'))
        return 0;
    size_t slashes = 1; /* an even number of them is no escape of the letter */
    while (slashes < n - 1 && p[n - 2 - slashes] == '\\')
        slashes++;
    return slashes % 2 ? 2 : 0;
}

struct jstr jstr_trim_end(struct jstr j)
{
    size_t blank;

    while ((blank = blank_before(j.p, j.n)))
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

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'                             ? c - '0'
           : (char_lower(c) >= 'a' && char_lower(c) <= 'f') ? char_lower(c) - 'a' + 10
                                                            : -1;
}

/* The code unit of the \u escape at p, -1 when there is none. */
static int unit_at(const char *p, const char *end)
{
    int v = 0;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (unsigned i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
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
    while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
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
    while (at != end) {
        memcpy(out + (at - j.p), "\\ufffd", 6);
        at = lone_surrogate(at + 6, end);
    }
    return (struct jstr){out, j.n};
}

size_t jstr_half_pair(struct jstr j)
{
    if (j.n < 6 || !is_high(unit_at(j.p + j.n - 6, j.p + j.n)))
        return 0;
    size_t slashes = 0; /* before the escape: an even number leaves it one */
    while (slashes < j.n - 6 && j.p[j.n - 7 - slashes] == '\\')
        slashes++;
    return slashes % 2 ? 0 : 6;
}
