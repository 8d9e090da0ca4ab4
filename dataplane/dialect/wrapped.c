/* Two layers of escapes: the outer one is undone here, the inner one is what the result needs. */

#include "dialect/wrapped.h"

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (char_lower(c) >= 'a' && char_lower(c) <= 'f');
}

/* One unit of the outer text: a byte, or (c == 0) an escape that stays one, `raw`. */
struct unit {
    char c;
    struct str raw;
};

/* \u00XX of ASCII that may be plain; 0: another. */
static char ascii_of(const char *hex4)
{
    unsigned v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 4 | (unsigned)(hex4[i] <= '9' ? hex4[i] - '0' : char_lower(hex4[i]) - 'a' + 10);
    return v >= 0x20 && v < 0x80 ? (char)v : 0;
}

static const char *unit_next(const char *p, const char *end, struct unit *u)
{
    if (*p != '\\' || end - p < 2) {
        *u = (struct unit){*p, {0}};
        return p + 1;
    }
    if (p[1] == 'u' && end - p >= 6) {
        *u = (struct unit){ascii_of(p + 2), {p, 6}};
        return p + 6;
    }
    bool plain = p[1] == '"' || p[1] == '\\' || p[1] == '/';
    *u = (struct unit){plain ? p[1] : 0, {p, 2}};
    return p + 2;
}

static bool is_blank(struct unit u)
{
    return u.c == ' ' || (!u.c && u.raw.n == 2 && strchr("nrt", u.raw.p[1]));
}

static void head_unit(struct wrapped *w, struct unit u)
{
    static const char wrap[] = "{\"" WRAPPED_MEMBER "\":\"", twice[] = "\"";
    const char *head = w->is_twice ? twice : wrap;
    size_t key_end = sizeof "{\"" WRAPPED_MEMBER - 1;
    bool in_key = w->head_at >= 2 && w->head_at <= key_end;

    if (is_blank(u) && !in_key)
        return;
    if (u.c != head[w->head_at])
        w->state = WRAPPED_PLAIN;
    else if (!head[++w->head_at])
        w->state = WRAPPED_TEXT;
}

static void put(struct jout *out, const char *p, size_t n)
{
    jout_raw(out, (struct str){p, n});
}

/* What looked like an escape of the inner text and is none: its backslash is text. */
static void put_broken(struct wrapped *w, struct jout *out)
{
    put(out, "\\", 1);
    put(out, w->inner, w->inner_n);
    w->inner_n = 0;
}

/* A unit behind a backslash of the inner text. */
static bool escape_unit(struct wrapped *w, struct unit u, struct jout *out)
{
    bool fits = w->inner_n == 1 ? u.c && strchr("\"\\/bfnrtu", u.c) : is_hex(u.c);

    if (!fits) {
        put_broken(w, out);
        return false;
    }
    w->inner[w->inner_n++] = u.c;
    if (w->inner_n == 6 || (w->inner_n == 2 && u.c != 'u')) {
        put(out, w->inner, w->inner_n);
        w->inner_n = 0;
    }
    return true;
}

static void text_unit(struct wrapped *w, struct unit u, struct jout *out)
{
    if (w->inner_n && escape_unit(w, u, out))
        return;
    if (u.c == '\\')
        w->inner[w->inner_n++] = '\\';
    else if (u.c == '"')
        w->state = WRAPPED_DONE;
    else if (u.c)
        put(out, &u.c, 1);
    else /* a control character that its writer forgot to escape, or a \u of the outer text */
        put(out, u.raw.p, u.raw.n);
}

/* Bytes that stand for themselves in both layers. */
static const char *plain_run(const char *p, const char *end)
{
    while (p < end && *p != '\\' && *p != '"')
        p++;
    return p;
}

void wrapped_feed(struct wrapped *w, struct jstr piece, struct jout *out)
{
    const char *p = piece.p, *end = piece.n ? p + piece.n : p;
    struct unit u;

    while (p < end && w->state == WRAPPED_HEAD) {
        p = unit_next(p, end, &u);
        head_unit(w, u);
    }
    while (p < end && w->state == WRAPPED_TEXT) {
        const char *run = w->inner_n ? p : plain_run(p, end);
        put(out, p, (size_t)(run - p));
        if ((p = run) == end)
            break;
        p = unit_next(p, end, &u);
        text_unit(w, u, out);
    }
}

bool wrapped_is_twice(struct jstr first)
{
    const char *p = first.p, *end = first.n ? p + first.n : p;
    struct unit u = {0};

    while (p < end) {
        p = unit_next(p, end, &u);
        if (!is_blank(u))
            break;
    }
    return u.c == '"';
}
