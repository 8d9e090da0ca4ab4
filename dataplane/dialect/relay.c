/* Lines, events, documents: split as the event-stream grammar says (wire-formats.md 0.1), edited by
 * spans. */

#include "dialect/relay.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const struct str field_data = STR_INIT("data:"), mark = STR_INIT("\xef\xbb\xbf");

enum {
    FIELD_OTHER = UINT8_MAX,  /* relay.field_n: the line is no data */
    RELAY_EDIT_MAX = 4 * 1024 /* a model name or id beyond is left alone */
};

void relay_init(struct relay *r, struct bufpool *pool, const struct relay_options *opt)
{
    reply_scan_init(&r->scan);
    r->opt = *opt;
    r->pool = pool;
    r->hold = (struct buf){0};
    r->events = 0;
    r->done = r->first_failed = r->failed = false;
    r->through = r->withheld = r->after_cr = r->line_read_any = r->has_data = false;
    r->line_at = r->seen = r->passed = 0;
    r->field_n = 0;
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
        struct str upstream = {r->scan.response_id, r->scan.response_id_n}, given = r->opt.id_given;
        size_t n = given.n ? given.n
                           : response_id_make(r->id + 1, r->opt.id_tag, upstream, r->opt.id_key,
                                              r->opt.id_owner);
        if (!n || n > RESPONSE_ID_MAX)
            return false;
        if (given.n)
            memcpy(r->id + 1, given.p, given.n);
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
        if (edit[i].span.at < from || edit[i].span.end > from + n ||
            edit[i].span.end - edit[i].span.at > RELAY_EDIT_MAX)
            continue; /* not in these bytes: gone by already */
        size_t span_at = (size_t)(edit[i].span.at - from);
        if (!buf_add(r->pool, out, base + at, span_at - at) ||
            !buf_add(r->pool, out, edit[i].with.p, edit[i].with.n))
            return false;
        at = (size_t)(edit[i].span.end - from);
    }
    return buf_add(r->pool, out, base + at, n - at);
}

/* Of the bytes [0, n) at offset `from` those that may go: not a value yet to be edited that goes
 * on behind them. */
static size_t piece_ready(struct relay *r, uint64_t from, size_t n)
{
    uint64_t open = reply_scan_open(&r->scan);

    return open < from || open >= from + n || from + n - open > RELAY_EDIT_MAX
               ? n
               : (size_t)(open - from);
}

/* A data line begins at offset `at` of the event. */
static void data_begin(struct relay *r, uint64_t at)
{
    if (!r->has_data) {
        reply_scan_begin(&r->scan);
    } else {
        r->scan.json.pos = at - 1;
        (void)reply_scan_feed(&r->scan, "\n", 1); /* F.3: data lines are joined by a line feed */
    }
    r->has_data = true;
}

/* Payload at offset `at` of the event. */
static void data_read(struct relay *r, const char *p, size_t n, uint64_t at)
{
    r->scan.json.pos = at;
    (void)reply_scan_feed(&r->scan, p, n); /* what is no JSON passes as it is */
}

/* A complete line of the event without its end. */
static void line_read(struct relay *r, const char *event, uint64_t from, uint64_t to)
{
    struct str line = {event + from, (size_t)(to - from)};

    if (!r->line_read_any && str_starts(line, mark)) /* F.5: one byte order mark may stand first */
        line = str_from(line, mark.n);
    r->line_read_any = true;
    if (!str_starts(line, field_data))
        return;
    struct str payload = str_from(line, field_data.n);
    if (payload.n && payload.p[0] == ' ')
        payload = str_from(payload, 1);
    if (str_starts(payload, STR("[DONE]"))) {
        r->done = true;
        return;
    }
    data_begin(r, to - payload.n);
    data_read(r, payload.p, payload.n, to - payload.n);
}

/* The event is over: what it was is counted, the next one begins. */
static void event_over(struct relay *r)
{
    if (r->has_data) {
        r->events++;
        r->failed |= r->scan.failed;
        r->scan.finished |= r->scan.terminal;
    }
    r->through = r->has_data = false;
    r->line_at = r->seen = r->passed = 0;
}

/* The event [p, p+n) is complete: pass, edit or withhold it. */
static bool event_end(struct relay *r, const char *p, size_t n, struct buf *out)
{
    bool ok = true;

    r->withheld = r->has_data && r->opt.withhold_usage && r->scan.usage_object &&
                  r->scan.choices_empty && !r->scan.failed;
    r->first_failed |= r->has_data && r->scan.failed && r->events == 0;
    if (!r->withheld)
        ok = r->has_data ? edits_apply(r, p, 0, n, out) : buf_add(r->pool, out, p, n);
    event_over(r);
    return ok;
}

/* Behind the line end at p[eol] of [p, p+n). A CR that is the last byte may have its LF in the
 * next. */
static size_t line_end_skip(struct relay *r, const char *p, size_t eol, size_t n)
{
    size_t at = eol + 1;

    if (p[eol] == '\r') {
        if (at < n && p[at] == '\n')
            at++;
        else
            r->after_cr = at == n;
    }
    return at;
}

/*
 * Looks at the bytes [seen, n) of the event that begins at p. Returns the length of the event once
 * its blank line is there, else 0 and remembers how far it looked.
 */
static size_t event_find(struct relay *r, const char *p, size_t n)
{
    size_t at = (size_t)r->seen;

    while (at < n) {
        if (r->after_cr) {
            r->after_cr = false;
            if (p[at] == '\n') {
                r->line_at = ++at;
                continue;
            }
        }
        size_t eol = (size_t)(line_end(p + at, p + n) - p);
        if (eol == n)
            break;
        bool blank = eol == r->line_at;
        if (!blank)
            line_read(r, p, r->line_at, eol);
        at = line_end_skip(r, p, eol, n);
        r->line_at = at;
        if (blank)
            return at;
    }
    r->seen = n;
    return 0;
}

/* Bytes of a line of an oversized event, the first of them at offset `at` of the event. */
static void through_line(struct relay *r, const char *p, size_t n, uint64_t at)
{
    for (; n && r->field_n < field_data.n; p++, n--, at++) {
        if (*p != field_data.p[r->field_n]) {
            r->field_n = FIELD_OTHER;
            return;
        }
        if (++r->field_n == field_data.n)
            data_begin(r, at);
    }
    if (r->field_n == field_data.n)
        data_read(r, p, n, at);
}

/* An event beyond RELAY_HOLD: the line it is in is read on as it comes. */
static void through_enter(struct relay *r, const char *p, size_t n)
{
    struct str line = {p + r->line_at, n - (size_t)r->line_at};

    if (!r->line_read_any && str_starts(line, mark))
        line = str_from(line, mark.n);
    r->line_read_any = true;
    if (!r->has_data)
        reply_scan_begin(&r->scan); /* nothing of the event before is looked for in this one */
    r->through = true;
    r->field_n = 0;
    through_line(r, line.p, line.n, n - line.n);
}

/*
 * Passes bytes of an oversized event up to its end; *ret_used tells how many. A model name or id
 * that goes on in the next bytes waits for them.
 */
static bool through_pass(struct relay *r, const char *p, size_t n, struct buf *out,
                         size_t *ret_used)
{
    uint64_t from = r->passed;
    size_t at = (size_t)(r->seen - from);
    bool blank = false;

    while (at < n && !blank) {
        if (r->after_cr) {
            r->after_cr = false;
            if (p[at] == '\n') {
                r->line_at = from + ++at;
                continue;
            }
        }
        size_t eol = (size_t)(line_end(p + at, p + n) - p);
        through_line(r, p + at, eol - at, from + at);
        at = eol;
        if (eol == n)
            break;
        blank = from + eol == r->line_at;
        at = line_end_skip(r, p, eol, n);
        r->line_at = from + at;
        r->field_n = 0;
    }
    size_t go = blank ? at : piece_ready(r, from, at);
    bool ok = edits_apply(r, p, from, go, out);
    r->seen = from + at;
    r->passed = from + go;
    if (blank)
        event_over(r);
    *ret_used = go;
    return ok;
}

/* The event that begins at p, if it is complete or oversized; *ret_used is 0 when it is neither. */
static bool event_pass(struct relay *r, const char *p, size_t n, struct buf *out, size_t *ret_used)
{
    *ret_used = 1;
    if (r->after_cr && !r->seen && *p == '\n') { /* the rest of the last event's CR LF */
        r->after_cr = false;
        return r->withheld || buf_add(r->pool, out, p, 1);
    }
    *ret_used = event_find(r, p, MIN(n, (size_t)RELAY_HOLD));
    if (*ret_used)
        return event_end(r, p, *ret_used, out);
    if (n < RELAY_HOLD)
        return true;
    r->withheld = false;
    through_enter(r, p, RELAY_HOLD);
    return through_pass(r, p, n, out, ret_used);
}

/* Bytes that begin where the last ones ended, up to those that must wait; *ret_used tells how far.
 */
static bool bytes_pass(struct relay *r, const char *p, size_t n, struct buf *out, size_t *ret_used)
{
    size_t at = 0, used;

    do {
        if (!(r->through ? through_pass : event_pass)(r, p + at, n - at, out, &used))
            return false;
        at += used;
    } while (used && at < n);
    *ret_used = at;
    return true;
}

/* The next bytes, behind those that wait, through `pass`. */
static bool bytes_join(struct relay *r, const char *p, size_t n, struct buf *out,
                       bool (*pass)(struct relay *, const char *, size_t, struct buf *, size_t *))
{
    size_t used;

    if (!n)
        return true;
    if (!r->hold.n)
        return pass(r, p, n, out, &used) &&
               (used == n || buf_add(r->pool, &r->hold, p + used, n - used));
    if (!buf_add(r->pool, &r->hold, p, n) || !pass(r, r->hold.p, r->hold.n, out, &used))
        return false;
    r->hold.n -= used;
    if (!r->hold.n)
        buf_free(r->pool, &r->hold);
    else if (used)
        memmove(r->hold.p, r->hold.p + used, r->hold.n);
    return true;
}

bool relay_events(struct relay *r, const char *p, size_t n, struct buf *out)
{
    return bytes_join(r, p, n, out, bytes_pass);
}

bool relay_events_end(struct relay *r, struct buf *out)
{
    bool ok = true;

    if (r->through) {
        r->scan.terminal &= reply_scan_feed(&r->scan, "", 0) == JSON_SCAN_DONE;
        ok = buf_add(r->pool, out, r->hold.p, r->hold.n) && buf_add(r->pool, out, "\n\n", 2);
        event_over(r);
    } else if (r->hold.n) {
        if (r->line_at < r->hold.n)
            line_read(r, r->hold.p, r->line_at, r->hold.n);
        /* 0.1: readers drop an event without its blank line, so a whole one gets it; a torn one
         * and one without data would break them */
        if (r->has_data ? reply_scan_feed(&r->scan, "", 0) == JSON_SCAN_DONE : r->done)
            ok = buf_add(r->pool, &r->hold, "\n\n", 2) && event_end(r, r->hold.p, r->hold.n, out);
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

static bool piece_pass(struct relay *r, const char *p, size_t n, struct buf *out, size_t *ret_used)
{
    size_t at = (size_t)(r->seen - r->passed);

    if (!r->seen)
        reply_scan_begin(&r->scan);
    (void)reply_scan_feed(&r->scan, p + at, n - at);
    r->failed = r->scan.failed;
    *ret_used = piece_ready(r, r->passed, n);
    bool ok = edits_apply(r, p, r->passed, *ret_used, out);
    r->seen = r->passed + n;
    r->passed += *ret_used;
    return ok;
}

bool relay_reply_piece(struct relay *r, const char *p, size_t n, struct buf *out)
{
    return bytes_join(r, p, n, out, piece_pass);
}
