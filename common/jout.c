#include "common/jout.h"

#include "common/json_string.h"

void jout_lend(struct jout *o, struct str text)
{
    struct jout_hole hole = {o->buf->n, text};

    if (o->holes.n / sizeof hole >= JOUT_HOLES) { /* rather a copy than too many pieces */
        jout_raw(o, text);
        return;
    }
    if (!buf_add(o->pool, &o->holes, (const char *)&hole, sizeof hole)) {
        o->failed = true;
        return;
    }
    o->lent += text.n;
}

void jout_line(struct jout *o, struct str json)
{
    size_t from = o->buf->n;

    jout_raw(o, json);
    if (o->failed)
        return;
    for (char end = '\n';; end = '\r') {
        char *p = o->buf->p + from, *to = o->buf->p + o->buf->n;
        while (p < to && (p = memchr(p, end, (size_t)(to - p))))
            *p++ = ' ';
        if (end == '\r')
            break;
    }
    jstr_mend(o->buf->p + from, o->buf->n - from);
}

void jout_escaped(struct jout *o, struct str s)
{
    size_t growth = json_escape_growth(s), want;

    if (!s.n)
        return;
    if (!size_add(s.n, growth, &growth) || !size_add(o->buf->n, growth, &want) ||
        !buf_reserve(o->pool, o->buf, want)) {
        jout_fail(o, growth);
        return;
    }
    o->buf->n += json_escape(o->buf->p + o->buf->n, o->buf->cap - o->buf->n, s);
}

void jout_quote(struct jout *o, struct str s)
{
    jout_lit(o, "\"");
    jout_escaped(o, s);
    jout_lit(o, "\"");
}

void jout_unescaped(struct jout *o, struct jstr j)
{
    size_t want;

    if (!jstr_has_escapes(j)) {
        jout_raw(o, (struct str){j.p, j.n});
        return;
    }
    if (!size_add(o->buf->n, j.n, &want) || !buf_reserve(o->pool, o->buf, want)) {
        jout_fail(o, j.n);
        return;
    }
    size_t n = json_unescape(o->buf->p + o->buf->n, (struct str){j.p, j.n});
    if (n == SIZE_MAX)
        o->failed = true;
    else
        o->buf->n += n;
}

void jout_u64(struct jout *o, uint64_t v)
{
    char digits[20];

    jout_raw(o, (struct str){digits, num_put_u64(digits, v)});
}
