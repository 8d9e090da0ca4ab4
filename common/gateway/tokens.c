/*
 * Runs of characters of one class, each with its price. Tokenizers split text much the same way
 * before they merge: words, numbers, punctuation, blanks.
 */

#include "common/gateway/tokens.h"

enum class {
    CLASS_LETTER, /* of a Latin word, with marks */
    CLASS_DIGIT,
    CLASS_SPACE,
    CLASS_LINE_END,
    CLASS_SIGN, /* ASCII punctuation */
    CLASS_CONTROL,
    CLASS_SCRIPTS, /* + row of scripts[] */
};

enum script_id {
    SCRIPT_SYMBOL,
    SCRIPT_LATIN,
    SCRIPT_LATIN_MARK,
    SCRIPT_GREEK,
    SCRIPT_CYRILLIC,
    SCRIPT_ARMENIAN,
    SCRIPT_HEBREW,
    SCRIPT_ARABIC,
    SCRIPT_DEVANAGARI,
    SCRIPT_INDIC,
    SCRIPT_THAI,
    SCRIPT_SOUTH_EAST,
    SCRIPT_GEORGIAN,
    SCRIPT_HANGUL,
    SCRIPT_CJK_SIGN,
    SCRIPT_HIRAGANA,
    SCRIPT_KATAKANA,
    SCRIPT_HAN,
    SCRIPT_WIDE,
    SCRIPT_OTHER,
};

static const struct script {
    uint32_t last;
    enum script_id id;
    uint16_t each, run; /* thousandths */
} scripts[] = {
#define SCRIPT(last, id, each, run) {last, SCRIPT_##id, each, run},
#include "common/gateway/tokens.def"
#undef SCRIPT
};

/* Prices in thousandths of a token, fitted like those of tokens.def. */
enum {
    WORD_SHORT = 864, /* up to 4 letters */
    WORD_MIDDLE = 1159,
    WORD_LONG = 1936,  /* from 9 letters on, the ninth included */
    WORD_LETTER = 222, /* each letter behind the ninth */
    WORD_UPPER = 1627, /* an abbreviation */
    WORD_UPPER_LETTER = 200,
    WORD_HUMP = 892, /* camelCase */
    DIGITS = 1410,   /* three of them */
    SPACES = 100,    /* a run of several */
    LINE_END = 1211,
    SIGN = 651,
    SIGNS = 721, /* two of them, or more that are alike */
    SIGN_MORE = 300,
    CONTROL = 1000,
    RUN_MAX = 64, /* characters one token of blanks, or of one sign repeated, stands for */
};

struct run {
    unsigned class;
    uint64_t n;
    uint64_t humps, upper, marks; /* of a word; marks: their prices */
    bool was_upper, alike;
    uint32_t first;
};

static uint64_t word_price(const struct run *r)
{
    uint64_t extra = r->humps * WORD_HUMP + r->marks;

    if (r->upper >= 2 && r->upper * 2 > r->n && !r->humps)
        return WORD_UPPER + (r->n > 3 ? (r->n - 3) * WORD_UPPER_LETTER : 0) + r->marks;
    if (r->n <= 4)
        return WORD_SHORT + extra;
    if (r->n <= 8)
        return WORD_MIDDLE + extra;
    return WORD_LONG + (r->n - 9) * WORD_LETTER + extra;
}

static uint64_t run_price(const struct run *r)
{
    const uint64_t long_runs = r->n / RUN_MAX * 1000;

    switch (r->class) {
    case CLASS_LETTER:
        return word_price(r);
    case CLASS_DIGIT:
        return (r->n + 2) / 3 * DIGITS;
    case CLASS_SPACE:
        return (r->n > 1 || r->first == '\t' ? SPACES : 0) + long_runs;
    case CLASS_LINE_END:
        return LINE_END + long_runs;
    case CLASS_SIGN:
        return r->n == 1 ? SIGN : r->alike ? SIGNS + long_runs : SIGNS + (r->n - 2) * SIGN_MORE;
    case CLASS_CONTROL:
        return r->n * CONTROL;
    default:
        return r->n * scripts[r->class - CLASS_SCRIPTS].each +
               scripts[r->class - CLASS_SCRIPTS].run;
    }
}

static unsigned script_row(uint32_t c)
{
    unsigned from = 0, to = ARRAY_LEN(scripts) - 1;

    while (from < to) {
        unsigned mid = (from + to) / 2;
        if (scripts[mid].last < c)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static bool is_ascii_letter(uint32_t c)
{
    return (c | 0x20) - 'a' < 26;
}

static unsigned ascii_class(uint32_t c)
{
    if (is_ascii_letter(c))
        return CLASS_LETTER;
    if (c - '0' < 10)
        return CLASS_DIGIT;
    if (c == ' ' || c == '\t')
        return CLASS_SPACE;
    if (c == '\n' || c == '\r')
        return CLASS_LINE_END;
    return c < 0x20 || c == 0x7f ? CLASS_CONTROL : CLASS_SIGN;
}

/* The character, in the run or as the first of another. */
static void run_add(struct run *r, uint64_t *milli, uint32_t c)
{
    unsigned row = c < 0x80 ? 0 : script_row(c);
    bool is_mark =
        c >= 0x80 && (scripts[row].id == SCRIPT_LATIN || scripts[row].id == SCRIPT_LATIN_MARK);
    unsigned class = c < 0x80 ? ascii_class(c) : is_mark ? CLASS_LETTER : CLASS_SCRIPTS + row;

    if (class != r->class || r->n == 0) {
        if (r->n)
            *milli += run_price(r);
        *r = (struct run){.class = class, .alike = true, .first = c};
    }
    if (class == CLASS_LETTER) {
        bool upper = c - 'A' < 26;
        r->humps += r->n && upper && !r->was_upper;
        r->upper += upper;
        r->was_upper = upper;
        r->marks += is_mark ? scripts[row].each : 0;
    }
    r->alike = r->alike && c == r->first;
    r->n++;
}

static int hex_digit(char c)
{
    c = char_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind "\u", or -1. */
static int32_t hex4(const char *p, const char *end)
{
    int32_t v = 0;

    if (end - p < 4)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* The escape at *p, which stands on its backslash; moves behind it. */
static uint32_t escape_next(const char **p, const char *end)
{
    static const char names[] = "nrtbf", meant[] = "\n\r\t\b\f";
    const char *at = *p + 1, *name;

    if (at == end) {
        *p = at;
        return '\\';
    }
    *p = at + 1;
    if (*at != 'u')
        return (name = memchr(names, *at, 5)) ? (unsigned char)meant[name - names]
                                              : (unsigned char)*at & 0x7f;
    int32_t high = hex4(at + 1, end), low;
    if (high < 0)
        return 'u';
    *p = at + 5;
    if (high >= 0xd800 && high < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u' &&
        (low = hex4(*p + 2, end)) >= 0xdc00 && low < 0xe000) {
        *p += 6;
        return 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    }
    return (uint32_t)high;
}

/* The character at *p, not ASCII; what is no UTF-8 passes byte by byte. */
static uint32_t utf8_next(const char **p, const char *end)
{
    const unsigned char *s = (const unsigned char *)*p;
    unsigned n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 1;
    uint32_t c = n == 1 ? s[0] : s[0] & (0x7fu >> n);

    if ((size_t)(end - *p) < n)
        n = 1;
    for (unsigned i = 1; i < n; i++)
        c = c << 6 | (s[i] & 0x3f);
    *p += n;
    return MIN(c, 0x10ffffu);
}

void tokens_add(struct tokens *t, struct jstr text)
{
    size_t n = MIN(text.n, TOKENS_LOOKED_AT - MIN(t->seen, (uint64_t)TOKENS_LOOKED_AT));
    const char *p = text.p, *end = n ? p + n : p;
    struct run r = {0};

    while (p < end) {
        uint32_t c = (unsigned char)*p;
        if (LIKELY(c < 0x80 && c != '\\'))
            p++;
        else
            c = c == '\\' ? escape_next(&p, end) : utf8_next(&p, end);
        run_add(&r, &t->milli, c);
    }
    if (r.n)
        t->milli += run_price(&r);
    t->seen += n;
    t->unseen += text.n - n;
}

uint64_t tokens_total(const struct tokens *t)
{
    unsigned __int128 milli = t->milli;

    if (t->unseen && t->seen)
        milli += milli * t->unseen / t->seen;
    return t->whole + (uint64_t)((milli + 999) / 1000);
}
