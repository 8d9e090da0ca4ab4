#include "common/json_string.h"

static const bool is_letter[256] = {
    ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
    ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true,
};

/* An escape of one letter at p. */
static bool is_short(const char *p)
{
    return p[0] == '\\' && is_letter[(unsigned char)p[1]];
}

/* Escapes come in swarms, and a text may be nothing else: what there are of them in 16 bytes is
 * found at once, and many in a row are not even looked for. */
const char *json_string_pass(const char *p, const char *end, bool *escaped)
{
    while ((p = json_string_stop(p, end)) < end && end - p >= 2 && is_short(p)) {
        *escaped = true;
        p += 2;
        while (end - p >= 8 && is_short(p) && is_short(p + 2) && is_short(p + 4) && is_short(p + 6))
            p += 8;
#ifdef __SSE2__
        for (unsigned quiet = 0; end - p >= 17 && quiet < 4; quiet++) {
            unsigned mask = (unsigned)mask16(json_is_stop16(load16(p))), at = 0;
            for (; mask; mask &= ~(3u << at), quiet = 0) {
                at = (unsigned)__builtin_ctz(mask);
                if (!is_short(p + at))
                    return p + at;
            }
            p += 16 + (at == 15);
        }
#endif
    }
    return p;
}

const char *json_string_end(const char *p, const char *end)
{
    for (;;) {
        p = json_string_stop(p, end);
        if (p == end || (unsigned char)*p < 0x20)
            return NULL;
        if (*p == '"')
            return p + 1;
        if (end - p < 2)
            return NULL;
        p += 2; /* an escape */
    }
}

/* --- \u -----------------------------------------------------------------------------------------
 */

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

/* Escapes at the beginning of a text: their bytes, and a bit where each lone half begins. */
struct row {
    unsigned n;
    uint64_t lone;
};

/* One of them, or a pair. */
static struct row row_short(const char *p, const char *end)
{
    int unit = unit_at(p, end);

    if (unit < 0)
        return (struct row){0, 0};
    if (is_high(unit) && is_low(unit_at(p + 6, end)))
        return (struct row){12, 0};
    return (struct row){6, is_high(unit) || is_low(unit)};
}

#ifdef __SSE2__
enum { ROW = 48 }; /* bytes of eight escapes */

/* As many as there are in ROW bytes, but no pair cut in two. */
static struct row row_long(const char *p)
{
    const uint64_t first = UINT64_C(0x041041041041), all = BIT64(ROW) - 1; /* bits of each '\\' */
    const uint64_t shape = all & ~(first | first << 1);
    uint64_t slash = 0, u = 0, hex = 0, d = 0, upper = 0, low = 0;

    for (unsigned i = 0; i < ROW; i += 16) {
        __m128i v = load16(p + i), folded = _mm_or_si128(v, _mm_set1_epi8(0x20));
        slash |= mask16(is_byte16(v, '\\')) << i;
        u |= mask16(is_byte16(v, 'u')) << i;
        hex |= mask16(_mm_or_si128(is_between16(v, '0', '9'), is_between16(folded, 'a', 'f'))) << i;
        d |= mask16(is_byte16(folded, 'd')) << i;
        upper |= mask16(_mm_cmpgt_epi8(folded, _mm_set1_epi8('7'))) << i;
        low |= mask16(_mm_cmpgt_epi8(folded, _mm_set1_epi8('b'))) << i;
    }
    uint64_t wrong = (first & ~slash) | (first << 1 & ~u) | (shape & ~hex);
    unsigned n = wrong ? (unsigned)__builtin_ctzll(wrong) / 6 * 6 : ROW;
    uint64_t half = first & d >> 2 & upper >> 3 & (BIT64(n) - 1);
    if (LIKELY(!half))
        return (struct row){n, 0};
    uint64_t lows = half & low >> 3, highs = half & ~lows;
    if (n == ROW && highs >> (ROW - 6)) { /* its other half may follow */
        n -= 6;
        highs &= BIT64(n) - 1;
    }
    return (struct row){n, (highs & ~(lows >> 6)) | (lows & ~(highs << 6))};
}
#endif

/* One is looked at by itself, more of them together. */
static struct row row_read(const char *p, const char *end, bool first)
{
#ifdef __SSE2__
    if (!first && end - p >= ROW && p[0] == '\\' && p[1] == 'u')
        return row_long(p);
#endif
    (void)first;
    return row_short(p, end);
}

const char *json_units_pass(const char *p, const char *end, uint32_t *lone)
{
    struct row r = row_read(p, end, true);

    for (; r.n; r = row_read(p, end, false)) {
        if (r.lone)
            *lone += (uint32_t)__builtin_popcountll(r.lone);
        p += r.n;
    }
    return p;
}

char *json_units_mend(char *p, char *end)
{
    struct row r = row_read(p, end, true);

    for (; r.n; r = row_read(p, end, false)) {
        for (uint64_t left = r.lone; left; left &= left - 1)
            memcpy(p + __builtin_ctzll(left), "\\ufffd", 6);
        p += r.n;
    }
    return p;
}

/* --- characters ---------------------------------------------------------------------------------
 */

/* Of what stands at s.p[*i], which it passes. */
static size_t chars_step(struct str s, size_t *i)
{
    const char *p = s.p + *i;
    bool unit = *p == '\\' && s.n - *i >= 6 && p[1] == 'u';

    *i += unit ? 6 : *p == '\\' ? MIN(s.n - *i, (size_t)2) : 1;
    if (unit) /* but not of the second half of a pair */
        return !(char_lower(p[2]) == 'd' && char_lower(p[3]) >= 'c');
    return (*p & 0xc0) != 0x80;
}

#ifdef __SSE2__
/* Of seventeen bytes those of the first sixteen, and of an escape that ends behind them; false:
 * some is longer than a letter. */
static bool chars_block(const char *p, size_t *chars, size_t *i)
{
    __m128i v = load16(p);
    uint64_t slash = mask16(is_byte16(v, '\\'));
    uint64_t begins = ~mask16(_mm_cmplt_epi8(v, _mm_set1_epi8((char)0xc0))) & 0xffff;
    unsigned at = 0;

    for (; slash; slash &= ~(UINT64_C(3) << at)) {
        at = (unsigned)__builtin_ctzll(slash);
        if (p[at + 1] == 'u')
            return false;
        begins &= ~(UINT64_C(2) << at);
    }
    *chars += (size_t)__builtin_popcountll(begins);
    *i += 16 + (at == 15);
    return true;
}
#endif

size_t json_string_chars(struct str s)
{
    size_t chars = 0, i = 0;

    while (i < s.n) {
#ifdef __SSE2__
        if (s.n - i >= 17 && chars_block(s.p + i, &chars, &i))
            continue;
#endif
        size_t end = i + 16;
        while (i < s.n && i < end)
            chars += chars_step(s, &i);
    }
    return chars;
}

/* --- escaping -----------------------------------------------------------------------------------
 */

/* The letter that a control character is escaped with, 0: it has none. */
static char letter_of(char c)
{
    return c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\0';
}

static size_t byte_growth(char c)
{
    if (c != '"' && c != '\\' && (unsigned char)c >= 0x20)
        return 0;
    return (unsigned char)c >= 0x20 || letter_of(c) ? 1 : 5;
}

size_t json_escape_growth(struct str s)
{
    size_t growth = 0, i = 0;

#ifdef __SSE2__
    const __m128i one = _mm_set1_epi8(1), four = _mm_set1_epi8(4);
    __m128i sum = _mm_setzero_si128();
    for (; s.n - i >= 16; i += 16) {
        __m128i v = load16(s.p + i);
        __m128i letter = _mm_or_si128(is_between16(v, '\t', '\n'), is_byte16(v, '\r'));
        __m128i rare = _mm_andnot_si128(letter, is_control16(v));
        __m128i more =
            _mm_add_epi8(_mm_and_si128(json_is_stop16(v), one), _mm_and_si128(rare, four));
        sum = _mm_add_epi64(sum, _mm_sad_epu8(more, _mm_setzero_si128()));
    }
    growth =
        (size_t)_mm_cvtsi128_si64(sum) + (size_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(sum, sum));
#endif
    for (; i < s.n; i++)
        growth += byte_growth(s.p[i]);
    return growth;
}

static char *escape_byte(char *out, char c)
{
    static const char hex[] = "0123456789abcdef";
    char letter = (unsigned char)c >= 0x20 ? c : letter_of(c);

    *out++ = '\\';
    if (letter) {
        *out++ = letter;
        return out;
    }
    memcpy(out, "u00", 3);
    out[3] = hex[(unsigned char)c >> 4];
    out[4] = hex[c & 15];
    return out + 5;
}

#ifdef __SSE2__
/* Sixteen bytes without a control character and with many to escape, none of them looked for. */
static char *escape_swarm(char *out, const char *p)
{
    for (unsigned i = 0; i < 16; i++) {
        *out = '\\';
        out += p[i] == '"' || p[i] == '\\';
        *out++ = p[i];
    }
    return out;
}
#endif

size_t json_escape(char *out, size_t room, struct str s)
{
    const char *p = s.p, *end = s.n ? p + s.n : p;
    char *at = out;

#ifdef __SSE2__
    while (end - p >= 16 && room - (size_t)(at - out) >= 32) {
        __m128i v = load16(p);
        uint64_t stop = mask16(json_is_stop16(v)), more = stop & (stop - 1);
        if (more & (more - 1) && !mask16(is_control16(v))) {
            at = escape_swarm(at, p);
            p += 16;
            continue;
        }
        size_t n = stop ? (size_t)__builtin_ctzll(stop) : 16;
        store16(at, v);
        at += n;
        p += n;
        if (stop)
            at = escape_byte(at, *p++);
    }
#else
    (void)room;
#endif
    while (p < end) {
        const char *stop = json_string_stop(p, end);
        memcpy(at, p, (size_t)(stop - p));
        at += stop - p;
        if ((p = stop) < end)
            at = escape_byte(at, *p++);
    }
    return (size_t)(at - out);
}

static size_t utf8_put(char *out, unsigned cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* The \u escape (or pair) at p, of which `n` bytes are there; 0: a bad one. */
static size_t unit_decode(char *out, size_t *ret_n, const char *p, size_t n)
{
    int unit = unit_at(p, p + n), low;
    unsigned cp = (unsigned)unit;
    size_t read = 6;

    if (unit < 0)
        return 0;
    if (is_high(unit) && is_low(low = unit_at(p + 6, p + n))) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + ((unsigned)low - 0xdc00);
        read = 12;
    } else if (is_high(unit) || is_low(unit)) {
        cp = 0xfffd;
    }
    *ret_n = utf8_put(out, cp);
    return read;
}

size_t json_unescape(char *out, struct str s)
{
    static const char meaning[256] = {
        ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
        ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
    };
    size_t n = 0, i = 0;

    while (i < s.n) {
#ifdef __SSE2__
        while (s.n - i >= 16) { /* n <= i: there is room */
            __m128i v = load16(s.p + i);
            uint64_t slash = mask16(is_byte16(v, '\\'));
            size_t plain = slash ? (size_t)__builtin_ctzll(slash) : 16;
            store16(out + n, v);
            n += plain;
            i += plain;
            if (slash)
                break;
        }
        if (i == s.n)
            break;
#endif
        if (s.p[i] != '\\') {
            out[n++] = s.p[i++];
            continue;
        }
        if (i + 1 >= s.n)
            return SIZE_MAX;
        char c = meaning[(unsigned char)s.p[i + 1]];
        size_t put = 1, read = 2;
        if (c)
            out[n] = c;
        else if (!(read = unit_decode(out + n, &put, s.p + i, s.n - i)))
            return SIZE_MAX;
        n += put;
        i += read;
        while (s.n - i >= 2 && s.p[i] == '\\' && (c = meaning[(unsigned char)s.p[i + 1]])) {
            out[n++] = c; /* they come in rows */
            i += 2;
        }
    }
    return n;
}
