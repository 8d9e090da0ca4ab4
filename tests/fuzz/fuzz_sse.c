/*
 * Any bytes as a stream of events, behind two that choose the pieces: whole, cut and byte by byte
 * give the same events, which are those a reader of lines written from the grammar finds.
 */

#include "dialect/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct bufpool pool = {.ceiling = 64 << 20};

static void put(struct buf *b, struct str s)
{
    uint32_t n = (uint32_t)s.n;

    ASSERT(buf_add(&pool, b, (const char *)&n, sizeof n) && buf_add(&pool, b, s.p, s.n));
}

static bool on_event(void *ctx, struct str name, struct str data)
{
    put(ctx, name);
    put(ctx, data);
    return true;
}

static struct buf read_cut(const char *p, size_t n, size_t step)
{
    struct buf events = {0};
    struct sse s;

    sse_init(&s, &pool, on_event, &events);
    for (size_t at = 0; at < n; at += step) {
        size_t k = MIN(step, n - at);
        char *piece = malloc(k); /* the sanitizer sees a read beyond it */
        ASSERT(piece);
        memcpy(piece, p + at, k);
        ASSERT(sse_feed(&s, piece, k));
        free(piece);
    }
    ASSERT(sse_end(&s));
    sse_deinit(&s);
    return events;
}

struct plain { /* wire-formats.md 0.1 taken literally */
    struct buf events, data;
    struct str name;
    bool has_data;
};

static void plain_end(struct plain *r)
{
    if (r->has_data) {
        put(&r->events, r->name);
        put(&r->events, (struct str){r->data.p, r->data.n});
    }
    r->data.n = 0;
    r->has_data = false;
    r->name = (struct str){0};
}

static void plain_line(struct plain *r, struct str line)
{
    struct str field = line, value = {0};
    size_t colon = str_find(line, STR(":"));

    if (!line.n) {
        plain_end(r);
        return;
    }
    if (colon != SIZE_MAX) {
        field.n = colon;
        value = str_from(line, colon + 1);
    }
    if (value.n && value.p[0] == ' ')
        value = str_from(value, 1);
    if (str_eq(field, STR("event")))
        r->name = value.n <= SSE_NAME_MAX ? value : (struct str){0};
    if (!str_eq(field, STR("data")))
        return;
    ASSERT(!r->has_data || buf_add(&pool, &r->data, "\n", 1));
    ASSERT(buf_add(&pool, &r->data, value.p, value.n));
    r->has_data = true;
}

static struct buf read_plain(const char *p, size_t n)
{
    struct plain r = {0};
    size_t at = n >= 3 && !memcmp(p, "\xef\xbb\xbf", 3) ? 3 : 0, from = at;

    for (; at < n; at++) {
        if (p[at] != '\n' && p[at] != '\r')
            continue;
        plain_line(&r, (struct str){p + from, at - from});
        if (p[at] == '\r' && at + 1 < n && p[at + 1] == '\n')
            at++;
        from = at + 1;
    }
    if (from < n)
        plain_line(&r, (struct str){p + from, n - from});
    plain_end(&r);
    buf_free(&pool, &r.data);
    return r.events;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 3)
        return 0;
    const char *p = (const char *)data + 2;
    size_t steps[] = {n - 2, 1, 1 + data[0] % 16, 1 + (data[0] | (size_t)data[1] << 8)};
    struct buf want = read_plain(p, n - 2);

    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        struct buf got = read_cut(p, n - 2, steps[i]);
        ASSERT(got.n == want.n && (!got.n || !memcmp(got.p, want.p, got.n)));
        buf_free(&pool, &got);
    }
    buf_free(&pool, &want);
    ASSERT(pool.lent == 0);
    return 0;
}
