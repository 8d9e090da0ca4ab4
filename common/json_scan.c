/*
 * The scanner is a byte-driven state machine with two fast paths: the inside of strings, where most
 * bytes of a prompt are, and unwatched containers, of which only brackets and quotes matter. Both
 * are crossed 64 bytes at a time.
 */

#include "common/json_scan.h"

enum scan_state {
    S_VALUE,        /* a value must follow */
    S_VALUE_OR_END, /* after '[' */
    S_KEY_OR_END,   /* after '{' */
    S_KEY,          /* after ',' in an object */
    S_COLON,
    S_COMMA_OR_END,
    S_STRING,
    S_STRING_ESCAPE,
    S_NUMBER,
    S_LITERAL,
    S_SKIP, /* inside an unwatched container */
    S_SKIP_STRING,
    S_SKIP_ESCAPE,
    S_DONE,
    S_BAD,
    S_DEEP,
};

static const struct str literals[] = {
    [JSON_NULL] = STR_INIT("null"),
    [JSON_FALSE] = STR_INIT("false"),
    [JSON_TRUE] = STR_INIT("true"),
};

void json_scan_init(struct json_scan *s, const struct json_watch *root, json_member_fn fn,
                    void *ctx)
{
    s->pos = 0;
    s->all_members = s->word_seen = false;
    s->word = (struct str){0};
    s->fn = fn;
    s->ctx = ctx;
    s->is_object = 0;
    s->depth = s->skip = 0;
    s->state = S_VALUE;
    s->word_at = 0;
    s->in_key = false;
    s->text_n = 0;
    s->level[0] = (struct json_level){.member = root};
}

static const struct json_watch *watch_find(const struct json_watch *node, struct str key)
{
    unsigned i = 0;

#ifdef __SSE2__
    uint8_t tag = 0;

    if (key.n)
        tag = json_tag(key.p[0], key.p[key.n - 1], key.n);
    for (; node->tags && i < node->n_children; i += 16) {
        uint64_t mask = mask16(is_byte16(load16((const char *)node->tags + i), (char)tag));
        for (; mask; mask &= mask - 1) {
            unsigned k = i + (unsigned)__builtin_ctzll(mask);
            if (k < node->n_children && str_eq(node->children[k].key, key))
                return &node->children[k];
        }
    }
#endif
    for (; i < node->n_children; i++)
        if (str_eq(node->children[i].key, key))
            return &node->children[i];
    return NULL;
}

/* Keeps the bytes of a key or scalar that a feed ends in the middle of. */
static void text_keep(struct json_scan *s, const char *p, size_t n)
{
    if (s->text_n < sizeof s->text)
        memcpy(s->text + s->text_n, p, MIN(n, sizeof s->text - s->text_n));
    s->text_n += n;
}

/* The whole token: from this feed alone, or what was kept and the rest of it. */
static struct str text_take(struct json_scan *s, const char *p, size_t n)
{
    struct str whole = {p, n};

    if (s->text_n) {
        text_keep(s, p, n);
        whole = (struct str){s->text, s->text_n};
        s->text_n = 0;
    }
    return whole.n <= sizeof s->text ? whole : (struct str){0};
}

bool json_is_number(struct str s)
{
    const char *p = s.p, *end = s.p + s.n;
    const char *from;

    p += p < end && *p == '-';
    from = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    if (p == from || (*from == '0' && p - from > 1))
        return false;
    if (p < end && *p == '.') {
        from = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == from)
            return false;
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        from = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == from)
            return false;
    }
    return p == end;
}

/* The value at the current level is complete: report it and expect what may follow. */
static void value_end(struct json_scan *s, uint64_t end, struct str text)
{
    struct json_level *l = &s->level[s->depth];

    if (s->depth == 0) {
        s->state = S_DONE;
        return;
    }
    bool root_member = s->all_members && s->depth == 1;
    if (l->member ? l->member->id || root_member : root_member) {
        bool element = l->key_end == l->key_at;
        struct json_member m = {
            .id = l->member ? l->member->id : 0,
            .type = l->type,
            .depth = (uint8_t)s->depth,
            .key_escaped = l->key_escaped,
            .index = l->index,
            .object_at = l->object_at,
            .prev_end = l->prev_end,
            .key_at = l->key_at,
            .key_end = l->key_end,
            .at = l->at,
            .end = end,
            .text = text,
        };
        if (!element && l->key_end - l->key_at <= JSON_KEY_MAX + 2)
            m.key = (struct str){s->key[s->depth], l->key_n};
        s->fn(s->ctx, &m);
    }
    l->prev_end = end;
    l->index++;
    s->state = S_COMMA_OR_END;
}

static void depth_enter(struct json_scan *s, bool object)
{
    uint64_t bit = BIT64(s->depth++);

    s->is_object = object ? s->is_object | bit : s->is_object & ~bit;
}

/* The innermost open container is an object. */
static bool in_object(const struct json_scan *s)
{
    return s->depth && s->is_object & BIT64(s->depth - 1);
}

/* A container opens at `at`; false when it is too deep. */
static bool container_open(struct json_scan *s, uint64_t at, bool object)
{
    struct json_level *l = &s->level[s->depth];
    const struct json_watch *node = l->member;

    if (s->depth == JSON_SCAN_DEPTH)
        return false;
    l->type = object ? JSON_OBJECT : JSON_ARRAY;
    l->at = at;
    bool watched = node && s->depth + 1 < JSON_WATCH_DEPTH &&
                   (object ? node->n_children || s->depth == 0 : node->elements != NULL);
    if (!watched) {
        s->skip = s->depth;
        s->state = S_SKIP;
        depth_enter(s, object);
        return true;
    }
    struct json_level *inner = &s->level[s->depth + 1];
    depth_enter(s, object);
    *inner = (struct json_level){.node = node, .object_at = at};
    if (!object)
        inner->member = node->elements;
    s->state = object ? S_KEY_OR_END : S_VALUE_OR_END;
    return true;
}

static void container_close(struct json_scan *s, uint64_t end)
{
    s->depth--;
    value_end(s, end, (struct str){0});
}

/* The member whose key, without its escapes, is watched, or NULL; false on a bad escape. */
static __attribute__((noinline)) bool
watch_find_escaped(const struct json_watch *node, struct str key, const struct json_watch **ret)
{
    char plain[JSON_TEXT_MAX];
    size_t n = json_unescape(plain, key);

    if (n == SIZE_MAX)
        return false;
    *ret = watch_find(node, (struct str){plain, n});
    return true;
}

static bool key_end(struct json_scan *s, uint64_t end, struct str text)
{
    struct json_level *l = &s->level[s->depth];
    struct str key = json_text_inner(text);

    l->key_end = end;
    l->key_n = (uint8_t)MIN(key.n, JSON_KEY_MAX);
    if (key.n)
        memcpy(s->key[s->depth], key.p, l->key_n);
    if (s->depth > 1 && s->word.n && str_eq(key, s->word))
        s->word_seen = true;
    if (UNLIKELY(l->key_escaped)) {
        if (!watch_find_escaped(l->node, key, &l->member))
            return false;
    } else {
        l->member = text.n ? watch_find(l->node, key) : NULL;
    }
    s->in_key = false;
    s->state = S_COLON;
    return true;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-';
}

/* Starts the value whose first byte is c. */
static bool value_start(struct json_scan *s, char c, uint64_t at)
{
    struct json_level *l = &s->level[s->depth];

    l->at = at;
    if (!in_object(s))
        l->key_at = l->key_end = at;
    switch (c) {
    case '"':
        l->type = JSON_STRING;
        s->state = S_STRING;
        return true;
    case 'n':
    case 't':
    case 'f':
        l->type = c == 'n' ? JSON_NULL : c == 't' ? JSON_TRUE : JSON_FALSE;
        s->literal_at = 1;
        s->state = S_LITERAL;
        return true;
    default:
        l->type = JSON_NUMBER;
        s->state = S_NUMBER;
        return (c >= '0' && c <= '9') || c == '-';
    }
}

/*
 * A bracket in an unwatched container; false when that ends the run: with it, by a wrong one, or
 * too deep.
 */
static bool skip_bracket(struct json_scan *s, char c)
{
    if (c == '{' || c == '[') {
        if (s->depth == JSON_SCAN_DEPTH) {
            s->state = S_DEEP;
            return false;
        }
        depth_enter(s, c == '{');
        return true;
    }
    if (in_object(s) != (c == '}')) {
        s->state = S_BAD;
        return false;
    }
    return --s->depth != s->skip;
}

/* The string whose inside goes on at p < end, up to and with its end or the end of the feed. */
static const char *skip_string(struct json_scan *s, const char *p, const char *end)
{
    p += s->state == S_SKIP_ESCAPE;
    s->state = S_SKIP_STRING;
    const char *from = p;
    for (;; p += 2) {
        p = json_string_stop(p, end);
        if (p == end || *p != '\\')
            break;
        s->word_at = 0; /* it has no escape */
        if (end - p < 2) {
            s->state = S_SKIP_ESCAPE;
            return end;
        }
    }
    if (s->word_at) {
        size_t n = (size_t)(p - from), seen = s->word_at - 1u;
        bool match = n <= s->word.n - seen && memcmp(from, s->word.p + seen, n) == 0;
        s->word_at = match ? (uint8_t)(seen + n + 1) : 0;
    }
    if (p == end)
        return end;
    if (*p != '"') {
        s->state = S_BAD;
        return p;
    }
    s->word_seen |= s->word_at && s->word_at == s->word.n + 1;
    s->state = S_SKIP;
    return p + 1;
}

#ifdef __SSE2__
struct block { /* one bit per byte of 64 */
    uint64_t quote, escape, control, bracket;
};

static struct block block_read(const char *p)
{
    struct block b = {0};

    for (unsigned i = 0; i < 64; i += 16) {
        __m128i v = load16(p + i);
        __m128i folded = _mm_or_si128(v, _mm_set1_epi8(0x20)); /* '[' reads '{', ']' reads '}' */
        __m128i bracket = _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')),
                                       _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
        b.quote |= mask16(is_byte16(v, '"')) << i;
        b.escape |= mask16(is_byte16(v, '\\')) << i;
        b.control |= mask16(is_control16(v)) << i;
        b.bracket |= mask16(bracket) << i;
    }
    return b;
}

static uint64_t bits_below(unsigned n)
{
    return n < 64 ? BIT64(n) - 1 : ~UINT64_C(0);
}

/* Of the quotes in a block: the strings, each with its first quote. */
static uint64_t bits_between(uint64_t m)
{
    for (unsigned shift = 1; shift < 64; shift *= 2)
        m ^= m << shift;
    return m;
}

/*
 * 64 bytes of an unwatched container, the first of them in no string. Stops sooner behind the
 * bracket that ends the container, and behind the first quote of a string that has an escape or
 * goes on.
 */
static const char *skip_block(struct json_scan *s, const char *p)
{
    struct block b = block_read(p);
    enum scan_state after = S_SKIP;
    unsigned n = 64;

    if (b.escape) {
        n = (unsigned)__builtin_ctzll(b.escape);
        b.quote &= bits_below(n);
        after = S_BAD; /* it stands in no string, unless a quote is open */
    }
    if (__builtin_popcountll(b.quote) % 2) {
        n = 63 - (unsigned)__builtin_clzll(b.quote);
        after = S_SKIP_STRING;
        s->word_at = s->word.n > 0;
    }
    uint64_t inside = bits_between(b.quote);
    for (uint64_t left = b.bracket & ~inside & bits_below(n); left; left &= left - 1) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        if (!skip_bracket(s, p[at])) {
            n = at;
            after = (enum scan_state)s->state;
            break;
        }
    }
    inside &= bits_below(n);
    if (b.control & inside)
        after = S_BAD;
    uint64_t word = s->word.n && s->word.n < 63 ? inside & b.quote & b.quote >> (s->word.n + 1) : 0;
    for (; word && !s->word_seen; word &= word - 1)
        s->word_seen = memcmp(p + __builtin_ctzll(word) + 1, s->word.p, s->word.n) == 0;
    s->state = (uint8_t)after;
    return p + MIN(n + 1, 64);
}
#endif

/* Inside an unwatched container from p on; returns where it stopped. */
static const char *skip_run(struct json_scan *s, const char *p, const char *end, const char *base)
{
    if (s->state != S_SKIP)
        p = skip_string(s, p, end);
    while (p < end && s->state == S_SKIP && s->depth != s->skip) {
#ifdef __SSE2__
        if (end - p >= 64) {
            p = skip_block(s, p);
            if (s->state == S_SKIP_STRING && p < end)
                p = skip_string(s, p, end);
            continue;
        }
#endif
        char c = *p++;
        if (c == '"') {
            s->state = S_SKIP_STRING;
            s->word_at = s->word.n > 0;
            if (p < end)
                p = skip_string(s, p, end);
        } else if (c == '{' || c == '[' || c == '}' || c == ']') {
            (void)skip_bracket(s, c); /* the loop looks at what became of it */
        } else if (c == '\\') {
            s->state = S_BAD;
        }
    }
    if (s->state == S_SKIP && s->depth == s->skip)
        value_end(s, s->pos + (uint64_t)(p - base), (struct str){0});
    return p;
}

/* A comma right behind a value, where it nearly always is; what else may be there has its states.
 */
static inline const char *skip_comma(struct json_scan *s, const char *p, const char *end)
{
    if (s->state != S_COMMA_OR_END || p == end || *p != ',')
        return p;
    s->state = in_object(s) ? S_KEY : S_VALUE;
    return p + 1;
}

enum json_scan_state json_scan_feed(struct json_scan *s, const char *base, size_t n)
{
    if (!n)
        base = ""; /* no arithmetic on NULL */
    const char *p = base, *end = base + n;
    const char *token = base; /* start of the key or scalar being read, or of this feed within it */
    struct str text;

#define AT(q) (s->pos + (uint64_t)((q)-base))
    while (p < end) {
        switch (s->state) {
        case S_SKIP:
        case S_SKIP_STRING:
        case S_SKIP_ESCAPE:
            p = skip_comma(s, skip_run(s, p, end, base), end);
            break;
        case S_STRING_ESCAPE:
            p++;
            s->state = S_STRING;
            FALLTHROUGH;
        case S_STRING:
            for (; (p = json_string_stop(p, end)) < end && *p == '\\'; p += 2) {
                s->level[s->depth].key_escaped |= s->in_key;
                if (end - p < 2) {
                    s->state = S_STRING_ESCAPE;
                    p = end;
                    break;
                }
            }
            if (p == end)
                break;
            if (*p++ != '"') {
                s->state = S_BAD;
                break;
            }
            text = text_take(s, token, (size_t)(p - token));
            if (!s->in_key) {
                value_end(s, AT(p), text);
                p = skip_comma(s, p, end);
            } else if (!key_end(s, AT(p), text)) {
                s->state = S_BAD;
            } else if (p < end && *p == ':') {
                s->state = S_VALUE;
                p++;
            }
            break;
        case S_NUMBER:
            while (p < end && in_number(*p))
                p++;
            if (p == end)
                break;
            text = text_take(s, token, (size_t)(p - token));
            if (text.n && !json_is_number(text)) {
                s->state = S_BAD;
                break;
            }
            value_end(s, AT(p), text);
            p = skip_comma(s, p, end);
            break;
        case S_LITERAL: {
            struct str want = literals[s->level[s->depth].type];
            while (p < end && s->literal_at < want.n && *p == want.p[s->literal_at]) {
                p++;
                s->literal_at++;
            }
            if (s->literal_at == want.n) {
                value_end(s, AT(p), text_take(s, token, (size_t)(p - token)));
                p = skip_comma(s, p, end);
            } else if (p < end) {
                s->state = S_BAD;
            }
            break;
        }
        case S_BAD:
        case S_DEEP:
            goto out;
        default: {
            while (p < end && is_blank(*p))
                p++;
            if (p == end)
                break;
            char c = *p;
            switch (s->state) {
            case S_VALUE_OR_END:
                if (c == ']') {
                    p++;
                    container_close(s, AT(p));
                    break;
                }
                FALLTHROUGH;
            case S_VALUE:
                if (c == '{' || c == '[') {
                    if (!in_object(s))
                        s->level[s->depth].key_at = s->level[s->depth].key_end = AT(p);
                    if (!container_open(s, AT(p), c == '{'))
                        s->state = S_DEEP;
                } else {
                    token = p;
                    if (!value_start(s, c, AT(p)))
                        s->state = S_BAD;
                }
                p++;
                break;
            case S_KEY_OR_END:
                if (c == '}') {
                    p++;
                    container_close(s, AT(p));
                    break;
                }
                FALLTHROUGH;
            case S_KEY:
                if (c != '"') {
                    s->state = S_BAD;
                    break;
                }
                token = p;
                s->level[s->depth].key_at = AT(p);
                s->in_key = true;
                s->level[s->depth].key_escaped = false;
                s->state = S_STRING;
                p++;
                break;
            case S_COLON:
                s->state = c == ':' ? S_VALUE : S_BAD;
                p++;
                break;
            case S_COMMA_OR_END:
                p++;
                if (c == ',')
                    s->state = in_object(s) ? S_KEY : S_VALUE;
                else if (c == (in_object(s) ? '}' : ']'))
                    container_close(s, AT(p));
                else
                    s->state = S_BAD;
                break;
            default: /* S_DONE: only blanks may follow */
                s->state = S_BAD;
                break;
            }
        }
        }
    }
out:
    if (p == end && n &&
        (s->state == S_STRING || s->state == S_STRING_ESCAPE || s->state == S_NUMBER ||
         s->state == S_LITERAL))
        text_keep(s, token, (size_t)(end - token));
    s->pos += n;
#undef AT
    return s->state == S_BAD    ? JSON_SCAN_BAD
           : s->state == S_DEEP ? JSON_SCAN_DEEP
           : s->state == S_DONE ? JSON_SCAN_DONE
                                : JSON_SCAN_MORE;
}
