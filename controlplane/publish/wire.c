#include "publish/wire.h"

enum {
    HEAD = 12,          /* room for Reply.changes: tag and length */
    KEPT = 1024 * 1024, /* a larger buffer is given back */
    TAG_CHANGES = 2 << 3 | 2,
    TAG_NOW = 1 << 3 | 2,
    TAG_FULL = 2 << 3,
    TAG_CURSOR = 4 << 3 | 2,
    TAG_TOTALS_TO = 6 << 3,
    TAG_HAS_PLACE = 7 << 3,
    TAG_SEGMENT = 8 << 3,
    TAG_OFFSET = 9 << 3,
    TAG_EPOCH = 1 << 3,
    TAG_N = 2 << 3,
};

void wire_deinit(struct wire *w)
{
    free(w->p);
    *w = (struct wire){0};
}

static char *room(struct wire *w, size_t n)
{
    if (w->failed)
        return NULL;
    if (w->n + n > w->cap) {
        size_t cap = MAX(w->n + n, w->cap * 2);
        char *more = realloc(w->p, cap);
        if (!more) {
            w->failed = true;
            return NULL;
        }
        w->p = more;
        w->cap = cap;
    }
    return w->p + w->n;
}

static void begin(struct wire *w)
{
    if (w->cap > KEPT)
        wire_deinit(w);
    w->n = 0;
    w->failed = false;
}

struct str wire_reply(struct wire *w, const Weir__Reply *r)
{
    begin(w);
    char *p = room(w, weir__reply__get_packed_size(r));
    if (!p)
        return (struct str){0};
    return (struct str){p, weir__reply__pack(r, (uint8_t *)p)};
}

struct str wire_refusal(struct wire *w, Weir__Refusal__Why why, const char *text)
{
    Weir__Refusal refusal;
    Weir__Reply r;

    weir__refusal__init(&refusal);
    weir__reply__init(&r);
    refusal.why = why;
    refusal.text = (char *)(uintptr_t)text;
    r.is_case = WEIR__REPLY__IS_REFUSAL;
    r.refusal = &refusal;
    return wire_reply(w, &r);
}

void wire_changes_begin(struct wire *w, struct revision now, bool full)
{
    char body[32], *p;
    size_t n = 0;

    begin(w);
    body[n++] = TAG_EPOCH;
    n += varint_put(body + n, now.epoch);
    body[n++] = TAG_N;
    n += varint_put(body + n, now.n);
    p = room(w, HEAD + n + 4);
    if (!p)
        return;
    p += HEAD;
    *p++ = TAG_NOW;
    *p++ = (char)n;
    memcpy(p, body, n);
    w->n = HEAD + 2 + n;
    if (full) {
        w->p[w->n++] = TAG_FULL;
        w->p[w->n++] = 1;
    }
}

void wire_put(struct wire *w, struct str packed)
{
    char *p = room(w, packed.n);

    if (!p || !packed.n)
        return;
    memcpy(p, packed.p, packed.n);
    w->n += packed.n;
}

static void put_number(struct wire *w, char tag, uint64_t v)
{
    char *p = room(w, 11);

    if (!p)
        return;
    *p = tag;
    w->n += 1 + varint_put(p + 1, v);
}

void wire_changes_totals(struct wire *w, uint64_t to, const struct hub_place *place)
{
    put_number(w, TAG_TOTALS_TO, to);
    if (!place)
        return;
    put_number(w, TAG_HAS_PLACE, 1);
    put_number(w, TAG_SEGMENT, place->segment);
    put_number(w, TAG_OFFSET, place->offset);
}

struct str wire_changes_end(struct wire *w, struct str cursor)
{
    char head[HEAD], *p = room(w, cursor.n + 11);
    size_t n = 0;

    if (!p)
        return (struct str){0};
    if (cursor.n) {
        *p++ = TAG_CURSOR;
        p += varint_put(p, cursor.n);
        memcpy(p, cursor.p, cursor.n);
        w->n = (size_t)(p - w->p) + cursor.n;
    }
    head[n++] = TAG_CHANGES;
    n += varint_put(head + n, w->n - HEAD);
    memcpy(w->p + HEAD - n, head, n);
    return (struct str){w->p + HEAD - n, w->n - HEAD + n};
}

/* ---- cursors: a letter, then numbers of 8 bytes and texts ---- */

static char *put_u64(char *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
    return p + sizeof v;
}

static uint64_t get_u64(struct str *s)
{
    uint64_t v;

    memcpy(&v, s->p, sizeof v);
    *s = str_from(*s, sizeof v);
    return v;
}

struct str cursor_of_feed(char out[CURSOR_MAX], struct feed_place at)
{
    char *p = out;

    *p++ = 'c';
    p = put_u64(p, at.to);
    p = put_u64(p, at.offset);
    return (struct str){out, (size_t)(p - out)};
}

struct str cursor_of_place(char out[CURSOR_MAX], struct revision r, const struct entities_place *at)
{
    char *p = out;

    if (at->key1.n + at->key2.n > CURSOR_MAX - 64)
        return (struct str){0};
    *p++ = 'f';
    p = put_u64(p, r.epoch);
    p = put_u64(p, r.n);
    p = put_u64(p, at->kind);
    p = put_u64(p, at->key1.n);
    if (at->key1.n)
        memcpy(p, at->key1.p, at->key1.n);
    p += at->key1.n;
    if (at->key2.n)
        memcpy(p, at->key2.p, at->key2.n);
    p += at->key2.n;
    return (struct str){out, (size_t)(p - out)};
}

enum cursor_kind cursor_read(struct cursor *ret, struct str bytes)
{
    struct str s = str_from(bytes, 1);

    *ret = (struct cursor){0};
    if (!bytes.n)
        return CURSOR_NONE;
    if (bytes.p[0] == 'c' && s.n == 16) {
        ret->feed.to = get_u64(&s);
        ret->feed.offset = (size_t)get_u64(&s);
        return ret->feed.to ? CURSOR_FEED : CURSOR_BAD;
    }
    if (bytes.p[0] != 'f' || s.n < 32 || s.n > CURSOR_MAX)
        return CURSOR_BAD;
    ret->revision.epoch = get_u64(&s);
    ret->revision.n = get_u64(&s);
    uint64_t kind = get_u64(&s), n1 = get_u64(&s);
    if (kind >= ENTITY_KINDS || n1 > s.n || memchr(s.p, '\0', s.n) || !str_is_utf8(s))
        return CURSOR_BAD;
    ret->place =
        (struct entities_place){(unsigned)kind, {s.p, (size_t)n1}, str_from(s, (size_t)n1)};
    return CURSOR_FULL;
}
