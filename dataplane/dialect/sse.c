#include "dialect/sse.h"

static const char mark[] = "\xef\xbb\xbf";

void sse_init(struct sse *s, struct bufpool *pool, sse_fn fn, void *ctx)
{
    memset(s, 0, offsetof(struct sse, name));
    s->pool = pool;
    s->fn = fn;
    s->ctx = ctx;
}

void sse_deinit(struct sse *s)
{
    if (!s->pool)
        return;
    buf_free(s->pool, &s->line);
    buf_free(s->pool, &s->data);
}

static bool data_add(struct sse *s, struct str line)
{
    if (s->data.n + line.n >= SSE_EVENT_MAX)
        return false;
    return buf_add(s->pool, &s->data, line.p, line.n);
}

/* Keeps what was only lent, because the bytes it lies in are about to go. */
static bool data_keep(struct sse *s)
{
    struct str lent = s->lent;

    s->lent = (struct str){0};
    return !lent.p || data_add(s, lent);
}

static bool on_data(struct sse *s, struct str value)
{
    if (!s->has_data) {
        s->has_data = true;
        s->lent = value;
        return true;
    }
    return data_keep(s) && data_add(s, STR("\n")) && data_add(s, value);
}

static bool dispatch(struct sse *s)
{
    struct str name = {s->name, s->name_n};
    struct str data = s->lent.p ? s->lent : (struct str){s->data.p, s->data.n};
    bool ok = true;

    if (s->has_data) {
        s->has_data = false;
        s->lent = (struct str){0};
        ok = s->fn(s->ctx, name, data);
        s->data.n = 0;
    }
    s->name_n = 0;
    return ok;
}

static bool on_line(struct sse *s, struct str line)
{
    struct str field, value;

    if (!line.n)
        return dispatch(s);
    if (line.p[0] == ':')
        return true;
    str_cut(line, ':', &field, &value);
    if (value.n && value.p[0] == ' ')
        value = str_from(value, 1);
    if (str_eq(field, STR("data")))
        return on_data(s, value.p ? value : STR(""));
    if (str_eq(field, STR("event"))) {
        s->name_n = (uint8_t)(value.n <= SSE_NAME_MAX ? value.n : 0);
        if (s->name_n)
            memcpy(s->name, value.p, s->name_n);
    }
    return true;
}

/* The end of the line that begins at p: the first LF or CR; NULL when there is none yet. */
static const char *line_end(const char *p, size_t n)
{
    const char *lf = memchr(p, '\n', n);
    const char *cr = memchr(p, '\r', lf ? (size_t)(lf - p) : n);

    return cr ? cr : lf;
}

/* Passes over a byte order mark; false while it may still be one. */
static bool skip_mark(struct sse *s, const char **p, const char *end)
{
    while (s->mark_at < 3 && *p < end && **p == mark[s->mark_at]) {
        s->mark_at++;
        (*p)++;
    }
    if (s->mark_at < 3 && *p == end)
        return false;
    s->mark_at = 4; /* it was one, or what went by was no text of ours */
    return true;
}

bool sse_feed(struct sse *s, const char *p, size_t n)
{
    const char *end = p + n;

    if (s->mark_at < 4 && !skip_mark(s, &p, end))
        return true;
    while (p < end) {
        if (s->after_cr && *p == '\n')
            p++;
        s->after_cr = false;
        const char *eol = p < end ? line_end(p, (size_t)(end - p)) : NULL;
        struct str part = {p, (size_t)((eol ? eol : end) - p)};
        if (!eol || s->line.n) {
            if (s->line.n + part.n > SSE_EVENT_MAX || !buf_add(s->pool, &s->line, part.p, part.n))
                return false;
            if (!eol)
                break;
            part = (struct str){s->line.p, s->line.n};
        }
        s->after_cr = *eol == '\r';
        p = eol + 1;
        bool kept = part.p == s->line.p;
        if (!on_line(s, part) || (kept && !data_keep(s)))
            return false;
        if (kept)
            s->line.n = 0;
    }
    return data_keep(s);
}

bool sse_end(struct sse *s)
{
    struct str line = {s->line.p, s->line.n};

    if (line.n && !on_line(s, line))
        return false;
    return dispatch(s);
}
