/*
 * The scanner is a byte-driven state machine with two fast paths: the inside of strings, where most
 * bytes of a prompt are, is crossed 16 bytes at a time; unwatched containers are crossed by
 * brackets and quotes alone.
 */

#include "common/json_scan.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

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
    s->all_members = s->no_key_escapes = s->word_seen = false;
    s->word = (struct str){0};
    s->fn = fn;
    s->ctx = ctx;
    s->is_object = 0;
    s->depth = s->skip = 0;
    s->state = S_VALUE;
    s->in_key = s->text_cut = false;
    s->text_n = 0;
    s->level[0] = (struct json_level){.member = root};
}

/* The first byte in [p, end) that ends or escapes a string or may not stand in one; `end` if none.
 */
static const char *string_stop(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), escape = _mm_set1_epi8('\\'),
                  space = _mm_set1_epi8(0x1f);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit =
            _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, escape)),
                         _mm_cmpeq_epi8(_mm_min_epu8(v, space), v));
        int mask = _mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

const char *json_string_end(const char *p, const char *end)
{
    for (;;) {
        p = string_stop(p, end);
        if (p == end || (unsigned char)*p < 0x20)
            return NULL;
        if (*p++ == '"')
            return p;
        if (p++ == end) /* an escape */
            return NULL;
    }
}

static const struct json_watch *watch_find(const struct json_watch *node, struct str key)
{
    for (unsigned i = 0; i < node->n_children; i++) {
        const struct json_watch *c = &node->children[i];
        if (c->key.n == key.n && memcmp(c->key.p, key.p, key.n) == 0)
            return c;
    }
    return NULL;
}

/* Keeps the bytes of a key or scalar that a feed ends in the middle of. */
static void text_keep(struct json_scan *s, const char *p, size_t n)
{
    size_t room = sizeof s->text - s->text_n;

    if (n > room) {
        s->text_cut = true;
        n = room;
    }
    memcpy(s->text + s->text_n, p, n);
    s->text_n = (uint16_t)(s->text_n + n);
}

/* The whole token: from this feed alone, or what was kept and the rest of it. */
static struct str text_take(struct json_scan *s, const char *p, size_t n)
{
    struct str whole = {p, n};

    if (s->text_n || s->text_cut) {
        text_keep(s, p, n);
        whole = s->text_cut ? (struct str){0} : (struct str){s->text, s->text_n};
    }
    s->text_n = 0;
    s->text_cut = false;
    return whole;
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
            .index = l->index,
            .object_at = l->object_at,
            .prev_end = l->prev_end,
            .key_at = l->key_at,
            .key_end = l->key_end,
            .at = l->at,
            .end = end,
            .text = text,
        };
        if (!element && l->key_end - l->key_at - 2 <= sizeof s->key[0])
            m.key = (struct str){s->key[s->depth], l->key_n};
        s->fn(s->ctx, &m);
    }
    l->prev_end = end;
    l->index++;
    s->state = S_COMMA_OR_END;
}

/* A container opens at `at`; false when it is too deep. */
static bool container_open(struct json_scan *s, uint64_t at, bool object)
{
    struct json_level *l = &s->level[s->depth];
    const struct json_watch *node = l->member;

    if (s->depth == JSON_SCAN_DEPTH - 1)
        return false;
    l->type = object ? JSON_OBJECT : JSON_ARRAY;
    l->at = at;
    s->is_object = (s->is_object & ~BIT64(s->depth + 1)) | (object ? BIT64(s->depth + 1) : 0);
    bool watched = node && s->depth + 1 < JSON_WATCH_DEPTH &&
                   (object ? node->n_children || s->depth == 0 : node->elements != NULL);
    if (!watched) {
        s->skip = s->depth++;
        s->state = S_SKIP;
        return true;
    }
    struct json_level *inner = &s->level[++s->depth];
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

static bool key_end(struct json_scan *s, uint64_t end, struct str text)
{
    struct json_level *l = &s->level[s->depth];
    struct str key = json_text_inner(text);

    l->key_end = end;
    l->key_n = (uint8_t)MIN(key.n, sizeof s->key[0]);
    if (key.n)
        memcpy(s->key[s->depth], key.p, l->key_n);
    if (s->no_key_escapes && s->depth == 1 && key.n && memchr(key.p, '\\', key.n))
        return false;
    l->member = text.n ? watch_find(l->node, key) : NULL;
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
    if (!s->is_object || !(s->is_object & BIT64(s->depth)))
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

/* Inside an unwatched container from p on; returns where it stopped. */
static const char *skip_run(struct json_scan *s, const char *p, const char *end, const char *base)
{
    const char *open = NULL; /* the string's first byte when it lies in this feed */

    if (s->word.n && s->state != S_SKIP)
        s->word_seen = true;
    while (p < end) {
        if (s->state == S_SKIP_ESCAPE) {
            p++;
            s->state = S_SKIP_STRING;
            continue;
        }
        if (s->state == S_SKIP_STRING) {
            p = string_stop(p, end);
            if (p == end)
                break;
            char c = *p++;
            if (c == '"') {
                s->state = S_SKIP;
                if (open && (size_t)(p - 1 - open) == s->word.n && s->word.n &&
                    memcmp(open, s->word.p, s->word.n) == 0)
                    s->word_seen = true;
            } else if (c == '\\') {
                s->state = S_SKIP_ESCAPE;
            } else {
                s->state = S_BAD;
                break;
            }
            continue;
        }
        char c = *p++;
        if (c == '"') {
            s->state = S_SKIP_STRING;
            open = p;
        } else if (c == '{' || c == '[') {
            if (s->depth == JSON_SCAN_DEPTH - 1) {
                s->state = S_DEEP;
                break;
            }
            s->depth++;
            s->is_object = (s->is_object & ~BIT64(s->depth)) | (c == '{' ? BIT64(s->depth) : 0);
        } else if (c == '}' || c == ']') {
            if (!!(s->is_object & BIT64(s->depth)) != (c == '}')) {
                s->state = S_BAD;
                break;
            }
            if (--s->depth == s->skip) {
                value_end(s, s->pos + (uint64_t)(p - base), (struct str){0});
                break;
            }
        }
    }
    return p;
}

enum json_scan_state json_scan_feed(struct json_scan *s, const char *base, size_t n)
{
    const char *p = base, *end = base + n;
    const char *token = base; /* start of the key or scalar being read, or of this feed within it */

#define AT(q) (s->pos + (uint64_t)((q)-base))
    while (p < end) {
        switch (s->state) {
        case S_SKIP:
        case S_SKIP_STRING:
        case S_SKIP_ESCAPE:
            p = skip_run(s, p, end, base);
            break;
        case S_STRING: {
            p = string_stop(p, end);
            if (p == end)
                break;
            char c = *p++;
            if (c == '\\') {
                s->state = S_STRING_ESCAPE;
            } else if (c != '"') {
                s->state = S_BAD;
            } else {
                struct str text = text_take(s, token, (size_t)(p - token));
                if (!s->in_key)
                    value_end(s, AT(p), text);
                else if (!key_end(s, AT(p), text))
                    s->state = S_BAD;
            }
            break;
        }
        case S_STRING_ESCAPE:
            p++;
            s->state = S_STRING;
            break;
        case S_NUMBER:
            while (p < end && in_number(*p))
                p++;
            if (p < end)
                value_end(s, AT(p), text_take(s, token, (size_t)(p - token)));
            break;
        case S_LITERAL: {
            struct str want = literals[s->level[s->depth].type];
            if (*p != want.p[s->literal_at]) {
                s->state = S_BAD;
                break;
            }
            p++;
            if (++s->literal_at == want.n)
                value_end(s, AT(p), text_take(s, token, (size_t)(p - token)));
            break;
        }
        case S_BAD:
        case S_DEEP:
            goto out;
        default: {
            char c = *p;
            if (is_blank(c)) {
                p++;
                break;
            }
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
                    if (!s->depth || !(s->is_object & BIT64(s->depth)))
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
                    s->state = s->is_object & BIT64(s->depth) ? S_KEY : S_VALUE;
                else if (c == (s->is_object & BIT64(s->depth) ? '}' : ']'))
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
    if (p == end && (s->state == S_STRING || s->state == S_STRING_ESCAPE || s->state == S_NUMBER ||
                     s->state == S_LITERAL))
        text_keep(s, token, (size_t)(end - token));
    s->pos += n;
#undef AT
    return s->state == S_BAD    ? JSON_SCAN_BAD
           : s->state == S_DEEP ? JSON_SCAN_DEEP
           : s->state == S_DONE ? JSON_SCAN_DONE
                                : JSON_SCAN_MORE;
}

static int hex4(const char *p)
{
    int v = 0;

    for (int i = 0; i < 4; i++) {
        char c = char_lower(p[i]);
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
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

size_t json_unescape(char *out, struct str s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t n = 0;

    for (size_t i = 0; i < s.n;) {
        if (s.p[i] != '\\') {
            out[n++] = s.p[i++];
            continue;
        }
        if (i + 1 >= s.n)
            return SIZE_MAX;
        if (s.p[i + 1] != 'u') {
            const char *at = memchr(from, s.p[i + 1], sizeof from - 1);
            if (!at)
                return SIZE_MAX;
            out[n++] = to[at - from];
            i += 2;
            continue;
        }
        int hi = i + 6 <= s.n ? hex4(s.p + i + 2) : -1;
        if (hi < 0)
            return SIZE_MAX;
        unsigned cp = (unsigned)hi;
        i += 6;
        if (cp >= 0xd800 && cp < 0xdc00 && i + 6 <= s.n && s.p[i] == '\\' && s.p[i + 1] == 'u') {
            int lo = hex4(s.p + i + 2);
            if (lo >= 0xdc00 && lo < 0xe000) {
                cp = 0x10000 + ((cp - 0xd800) << 10) + (unsigned)(lo - 0xdc00);
                i += 6;
            }
        }
        n += utf8_put(out + n, cp >= 0xd800 && cp < 0xe000 ? 0xfffd : cp);
    }
    return n;
}
