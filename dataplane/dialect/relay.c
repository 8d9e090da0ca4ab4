/* Lines, events, documents: split as the event-stream grammar says (wire-formats.md 0.1), edited by
 * spans. */

#include "dialect/relay.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

void relay_init(struct relay *r, struct bufpool *pool, const struct relay_options *opt)
{
    reply_scan_init(&r->scan);
    r->opt = *opt;
    r->pool = pool;
    r->hold = (struct buf){0};
    r->events = 0;
    r->done = r->first_failed = r->failed = false;
    r->through = r->in_data = r->after_cr = r->line_read_any = r->has_data = false;
    r->line_at = r->seen = 0;
    r->id_n = 0;
}

void relay_deinit(struct relay *r)
{
    buf_free(r->pool, &r->hold);
}

/* The first CR or LF in [p, end), or end. */
static const char *line_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i lf = _mm_set1_epi8('\n'), cr = _mm_set1_epi8('\r');

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        int mask = _mm_movemask_epi8(_mm_or_si128(_mm_cmpeq_epi8(v, lf), _mm_cmpeq_epi8(v, cr)));
        if (mask)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

/* A span replaced in the bytes [base, base+n) of which the first has offset `from`. */
struct edit_at {
    struct span span;
    struct str with;
};

/* The response id a client sees, once the upstream's is known. */
static bool own_id(struct relay *r)
{
    if (!r->id_n && r->scan.response_id_n) {
        size_t n = response_id_make(r->id + 1, r->opt.id_tag,
                                    (struct str){r->scan.response_id, r->scan.response_id_n});
        if (!n)
            return false;
        r->id[0] = r->id[n + 1] = '"';
        r->id_n = (uint16_t)(n + 2);
    }
    return r->id_n != 0;
}

static bool edits_apply(struct relay *r, const char *base, uint64_t from, size_t n, struct buf *out)
{
    struct edit_at edit[2];
    unsigned n_edits = 0;
    size_t at = 0;

    if (r->opt.id_tag.n && r->scan.id.end > r->scan.id.at && own_id(r))
        edit[n_edits++] = (struct edit_at){r->scan.id, {r->id, r->id_n}};
    if (r->opt.model.n && r->scan.model.end > r->scan.model.at)
        edit[n_edits++] = (struct edit_at){r->scan.model, r->opt.model};
    if (n_edits == 2 && edit[0].span.at > edit[1].span.at) {
        struct edit_at first = edit[1];
        edit[1] = edit[0];
        edit[0] = first;
    }
    for (unsigned i = 0; i < n_edits; i++) {
        if (edit[i].span.at < from || edit[i].span.end > from + n)
            continue; /* not in these bytes: gone by already, or split over pieces */
        size_t span_at = (size_t)(edit[i].span.at - from);
        if (!buf_add(r->pool, out, base + at, span_at - at) ||
            !buf_add(r->pool, out, edit[i].with.p, edit[i].with.n))
            return false;
        at = (size_t)(edit[i].span.end - from);
    }
    return buf_add(r->pool, out, base + at, n - at);
}

/* The payload of a data line, from offset `at` of the event. */
static void data_read(struct relay *r, const char *p, size_t n, uint64_t at)
{
    if (!r->has_data)
        reply_scan_begin(&r->scan);
    r->has_data = true;
    r->scan.json.pos = at;
    (void)reply_scan_feed(&r->scan, p, n); /* what is no JSON passes as it is */
}

/* A complete line of the event without its end. */
static void line_read(struct relay *r, const char *event, uint64_t from, uint64_t to)
{
    static const struct str field = STR_INIT("data:"), mark = STR_INIT("\xef\xbb\xbf");

    if (!r->line_read_any && str_starts((struct str){event + from, (size_t)(to - from)}, mark))
        from += mark.n; /* F.5: one byte order mark may stand first */
    r->line_read_any = true;
    struct str line = {event + from, (size_t)(to - from)};

    if (!str_starts(line, field))
        return;
    uint64_t at = from + field.n;
    if (line.n > field.n && line.p[field.n] == ' ')
        at++;
    struct str payload = {event + at, (size_t)(to - at)};
    if (str_eq(payload, STR("[DONE]"))) {
        r->done = true;
        return;
    }
    if (r->has_data) {
        r->scan.json.pos = at - 1;
        (void)reply_scan_feed(&r->scan, "\n", 1); /* F.3: data lines are joined by a line feed */
    }
    data_read(r, payload.p, payload.n, at);
}

/* The event [p, p+n) is complete: pass, edit or withhold it. */
static bool event_end(struct relay *r, const char *p, size_t n, struct buf *out)
{
    bool withhold = r->has_data && r->opt.withhold_usage && r->scan.usage_object &&
                    r->scan.choices_empty && !r->scan.failed;
    bool ok = true;

    if (r->has_data) {
        r->events++;
        if (r->scan.failed) {
            r->failed = true;
            r->first_failed |= r->events == 1;
        }
    }
    if (!withhold)
        ok = r->has_data ? edits_apply(r, p, 0, n, out) : buf_add(r->pool, out, p, n);
    r->has_data = false;
    r->line_at = r->seen = 0;
    return ok;
}

/*
 * Looks at the bytes [seen, n) of the event that begins at p. Returns the length of the event once
 * its blank line is there, else 0 and remembers how far it looked. A CR may be followed by the LF
 * that belongs to it.
 */
static size_t event_find(struct relay *r, const char *p, size_t n)
{
    uint64_t at = r->seen;

    while (at < n) {
        if (r->after_cr) {
            r->after_cr = false;
            if (p[at] == '\n') {
                r->line_at = ++at;
                continue;
            }
        }
        uint64_t eol = (uint64_t)(line_end(p + at, p + n) - p);
        if (eol == n)
            break;
        bool blank = eol == r->line_at;
        if (!blank)
            line_read(r, p, r->line_at, eol);
        at = eol + 1;
        if (p[eol] == '\r') {
            if (at < n && p[at] == '\n')
                at++;
            else
                r->after_cr = at == n;
        }
        r->line_at = at;
        if (blank)
            return (size_t)at;
    }
    r->seen = n;
    return 0;
}

/* An event beyond RELAY_HOLD: what is held goes, and the line it is in is read on as it comes. */
static bool through_enter(struct relay *r, const char *p, size_t n, struct buf *out)
{
    static const struct str field = STR_INIT("data:");
    struct str line = {p + r->line_at, n - r->line_at};

    r->in_data = str_starts(line, field);
    if (r->in_data)
        data_read(r, line.p + field.n, line.n - field.n, r->line_at + field.n);
    r->through = true;
    r->seen = n;
    return edits_apply(r, p, 0, n, out);
}

/* Passes bytes of an oversized event up to its end; *ret_used tells how many. */
static bool through_pass(struct relay *r, const char *p, size_t n, struct buf *out,
                         size_t *ret_used)
{
    uint64_t from = r->seen;
    size_t at = 0;

    while (at < n) {
        if (r->after_cr) {
            r->after_cr = false;
            if (p[at] == '\n') {
                at++;
                r->line_at = from + at;
                continue;
            }
        }
        size_t eol = (size_t)(line_end(p + at, p + n) - p);
        if (r->in_data) {
            r->scan.json.pos = from + at;
            (void)reply_scan_feed(&r->scan, p + at, eol - at);
        }
        if (eol == n) {
            at = n;
            break;
        }
        bool blank = from + eol == r->line_at;
        r->in_data = false;
        at = eol + 1;
        if (p[eol] == '\r') {
            if (at < n && p[at] == '\n')
                at++;
            else
                r->after_cr = at == n;
        }
        r->line_at = from + at;
        if (blank) {
            bool ok = edits_apply(r, p, from, at, out);
            r->through = false;
            r->events++;
            r->failed |= r->scan.failed;
            r->has_data = false;
            r->line_at = r->seen = 0;
            *ret_used = at;
            return ok;
        }
    }
    r->seen = from + at;
    *ret_used = at;
    return edits_apply(r, p, from, at, out);
}

/* Events that begin at p, up to the first incomplete one; *ret_used tells how far. */
static bool events_pass(struct relay *r, const char *p, size_t n, struct buf *out, size_t *ret_used)
{
    size_t used = 0;

    while (used < n) {
        size_t len = event_find(r, p + used, n - used);
        if (!len)
            break;
        if (!event_end(r, p + used, len, out))
            return false;
        used += len;
    }
    *ret_used = used;
    return true;
}

bool relay_events(struct relay *r, const char *p, size_t n, struct buf *out)
{
    size_t used = 0;

    if (r->through) {
        if (!through_pass(r, p, n, out, &used))
            return false;
        p += used;
        n -= used;
        if (r->through || !n)
            return true;
    }
    if (r->hold.n) {
        if (!buf_add(r->pool, &r->hold, p, n) || !events_pass(r, r->hold.p, r->hold.n, out, &used))
            return false;
        p = r->hold.p + used;
        n = r->hold.n - used;
        if (n > RELAY_HOLD) {
            bool ok = through_enter(r, p, n, out);
            buf_free(r->pool, &r->hold);
            return ok;
        }
        if (n && used)
            memmove(r->hold.p, p, n);
        r->hold.n = n;
        if (!n)
            buf_free(r->pool, &r->hold);
        return true;
    }
    if (!events_pass(r, p, n, out, &used))
        return false;
    p += used;
    n -= used;
    if (n > RELAY_HOLD)
        return through_enter(r, p, n, out);
    return !n || buf_add(r->pool, &r->hold, p, n);
}

bool relay_events_end(struct relay *r, struct buf *out)
{
    bool ok = true;

    if (r->hold.n == 1 && r->hold.p[0] == '\n') {
        ok = buf_add(r->pool, out, "\n", 1); /* the rest of the last event's CR LF */
    } else if (r->hold.n) {
        /* 0.1: readers drop an event without its blank line, so it gets one */
        if (r->line_at < r->hold.n)
            line_read(r, r->hold.p, r->line_at, r->hold.n);
        ok = buf_add(r->pool, &r->hold, "\n\n", 2) && event_end(r, r->hold.p, r->hold.n, out);
    } else if (r->through) {
        ok = buf_add(r->pool, out, "\n\n", 2);
        r->through = false;
    }
    buf_free(r->pool, &r->hold);
    return ok;
}

bool relay_reply(struct relay *r, const char *p, size_t n, struct buf *out)
{
    reply_scan_begin(&r->scan);
    (void)reply_scan_feed(&r->scan, p, n);
    r->failed = r->scan.failed;
    return edits_apply(r, p, 0, n, out);
}

bool relay_reply_piece(struct relay *r, const char *p, size_t n, struct buf *out)
{
    uint64_t from = r->seen;

    if (!from)
        reply_scan_begin(&r->scan);
    (void)reply_scan_feed(&r->scan, p, n);
    r->seen += n;
    return edits_apply(r, p, from, n, out);
}
