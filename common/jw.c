/* A growing buffer in the arena, doubled when full. */

#include "common/jw.h"

#include "common/json_string.h"
#include "common/num.h"

struct jw jw_init(struct arena *a)
{
    return (struct jw){.arena = a};
}

struct jw jw_init_sink(struct arena *a, jw_sink_fn sink, void *ctx)
{
    return (struct jw){.arena = a, .sink = sink, .ctx = ctx};
}

/* Room for `n` bytes more. */
static bool jw_reserve(struct jw *w, size_t n)
{
    size_t cap = w->cap ? w->cap : 256;

    if (w->sink && w->n && n > JW_PIECE - MIN(w->n, (size_t)JW_PIECE)) {
        if (arena_ok(w->arena) && !w->sink(w->ctx, (struct str){w->p, w->n}))
            w->arena->failed = true;
        w->n = 0;
    }
    if (n <= w->cap - w->n)
        return true;
    while (cap - w->n < n)
        if (!size_mul(cap, 2, &cap)) {
            w->arena->failed = true;
            return false;
        }
    char *bigger = arena_alloc(w->arena, cap);
    if (!bigger)
        return false;
    if (w->n)
        memcpy(bigger, w->p, w->n);
    w->p = bigger;
    w->cap = cap;
    return true;
}

static void jw_bytes(struct jw *w, const char *p, size_t n)
{
    if (!jw_reserve(w, n))
        return;
    memcpy(w->p + w->n, p, n);
    w->n += n;
}

static void jw_value(struct jw *w)
{
    if (w->comma)
        jw_bytes(w, ",", 1);
    w->comma = true;
}

static void jw_open(struct jw *w, const char *open, char close)
{
    ASSERT(w->depth < JW_DEPTH);
    jw_value(w);
    jw_bytes(w, open, 1);
    w->close[w->depth++] = close;
    w->comma = false;
}

void jw_obj(struct jw *w)
{
    jw_open(w, "{", '}');
}

void jw_arr(struct jw *w)
{
    jw_open(w, "[", ']');
}

void jw_end(struct jw *w)
{
    ASSERT(w->depth > 0);
    jw_bytes(w, &w->close[--w->depth], 1);
    w->comma = true;
}

static void jw_quoted(struct jw *w, struct str s)
{
    size_t want;

    if (!size_add(s.n, json_escape_growth(s), &want) || !size_add(want, 2, &want)) {
        w->arena->failed = true;
        return;
    }
    if (!jw_reserve(w, want))
        return;
    w->p[w->n++] = '"';
    w->n += json_escape(w->p + w->n, w->cap - w->n, s);
    w->p[w->n++] = '"';
}

void jw_key(struct jw *w, struct str key)
{
    jw_value(w);
    jw_quoted(w, key);
    jw_bytes(w, ":", 1);
    w->comma = false;
}

void jw_put_str(struct jw *w, struct str s)
{
    jw_value(w);
    jw_quoted(w, s);
}

void jw_put_u64(struct jw *w, uint64_t v)
{
    char digits[20];

    jw_value(w);
    jw_bytes(w, digits, num_put_u64(digits, v));
}

void jw_put_i64(struct jw *w, int64_t v)
{
    char digits[21] = "-";
    uint64_t magnitude = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

    jw_value(w);
    size_t n = num_put_u64(digits + 1, magnitude);
    jw_bytes(w, v < 0 ? digits : digits + 1, n + (v < 0));
}

void jw_put_bool(struct jw *w, bool v)
{
    jw_put_raw(w, v ? STR("true") : STR("false"));
}

void jw_put_null(struct jw *w)
{
    jw_put_raw(w, STR("null"));
}

void jw_put_raw(struct jw *w, struct str json)
{
    jw_value(w);
    jw_bytes(w, json.p, json.n);
}

void jw_put_bytes(struct jw *w, struct str bytes)
{
    if (bytes.n)
        jw_bytes(w, bytes.p, bytes.n);
}

void jw_put_pico(struct jw *w, int64_t pico)
{
    uint64_t v = pico < 0 ? 0 - (uint64_t)pico : (uint64_t)pico;
    char out[32], digits[20];
    int exp = -12;
    size_t n = 0;

    while (v && v % 10 == 0) {
        v /= 10;
        exp++;
    }
    size_t len = num_put_u64(digits, v);
    int point = (int)len + exp; /* digits before the decimal point */
    if (pico < 0)
        out[n++] = '-';
    if (v == 0) {
        out[n++] = '0';
    } else if (exp >= 0 && point <= 20) {
        memcpy(out + n, digits, len);
        n += len;
        for (; exp > 0; exp--)
            out[n++] = '0';
    } else if (point > 0) {
        memcpy(out + n, digits, (size_t)point);
        n += (size_t)point;
        out[n++] = '.';
        memcpy(out + n, digits + point, len - (size_t)point);
        n += len - (size_t)point;
    } else if (point > -4) {
        out[n++] = '0';
        out[n++] = '.';
        for (int i = point; i < 0; i++)
            out[n++] = '0';
        memcpy(out + n, digits, len);
        n += len;
    } else {
        out[n++] = digits[0];
        if (len > 1) {
            out[n++] = '.';
            memcpy(out + n, digits + 1, len - 1);
            n += len - 1;
        }
        out[n++] = 'e';
        out[n++] = '-';
        int e = 1 - point;
        out[n++] = (char)('0' + e / 10);
        out[n++] = (char)('0' + e % 10);
    }
    jw_value(w);
    jw_bytes(w, out, n);
}

struct str jw_finish(struct jw *w)
{
    ASSERT(w->depth == 0);
    return arena_ok(w->arena) ? (struct str){w->p, w->n} : (struct str){0};
}
