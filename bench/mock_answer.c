/* What the mock answers: the plan a model name asks for, and the texts of the dialects filled in.
 */

#include <stdarg.h>
#include <stddef.h>

#include "mock_dialects.h"
#include "mock_priv.h"

enum {
    DIALECTS = sizeof(dialects) / sizeof(dialects[0]),
    EVENTS_PER_TURN = 64, /* of a stream without interval, before others have theirs */
};

static const char answer_text[] = "The weir holds the river back and measures what goes over.";

static const struct plan_kind {
    const char *prefix;
    size_t field[2]; /* offsets in struct plan, of the numbers after the prefix */
    unsigned fields;
} plan_kinds[] = {
    {"mock-stream-", {offsetof(struct plan, events), offsetof(struct plan, interval_us)}, 2},
    {"mock-large-", {offsetof(struct plan, text_bytes)}, 1},
    {"mock-wait-", {offsetof(struct plan, wait_us)}, 1},
    {"mock-status-", {offsetof(struct plan, status)}, 1},
};
enum { PLAN_KINDS = sizeof(plan_kinds) / sizeof(plan_kinds[0]) };

static char *out_room(struct conn *c, size_t n)
{
    if (c->out_cap - c->out_len < n) {
        c->out_cap = 2 * c->out_cap + n;
        c->out = realloc(c->out, c->out_cap);
        if (!c->out)
            die("out of memory");
    }
    return c->out + c->out_len;
}

void out_put(struct conn *c, const char *p, size_t n)
{
    memcpy(out_room(c, n), p, n);
    c->out_len += n;
}

__attribute__((format(printf, 2, 3))) static void out_printf(struct conn *c, const char *fmt, ...)
{
    char *p = out_room(c, 1024);
    va_list ap;

    va_start(ap, fmt);
    c->out_len += (size_t)vsnprintf(p, 1024, fmt, ap);
    va_end(ap);
}

static void out_number(struct conn *c, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    out_put(c, digits + at, sizeof(digits) - at);
}

static void out_text(struct conn *c)
{
    size_t n = c->ex.plan.text_bytes;

    if (n == 0) {
        out_put(c, answer_text, sizeof(answer_text) - 1);
        return;
    }
    memset(out_room(c, n), 'w', n);
    c->out_len += n;
}

/* Writes a dialect's text with its variables filled in. */
static void out_expand(struct conn *c, const char *text)
{
    const struct exchange *ex = &c->ex;

    for (;;) {
        const char *var = strchrnul(text, '$');

        out_put(c, text, (size_t)(var - text));
        if (!*var)
            return;
        switch (var[1]) {
        case 'i':
            out_put(c, ex->id, strlen(ex->id));
            break;
        case 'm':
            out_put(c, ex->model, strlen(ex->model));
            break;
        case 'n':
            out_put(c, c->mock->started, strlen(c->mock->started));
            break;
        case 'x':
            out_text(c);
            break;
        case 'c':
            out_number(c, ex->tokens_out);
            break;
        case 't':
            out_number(c, PROMPT_TOKENS + ex->tokens_out);
            break;
        case 's':
            out_number(c, now_ns());
            break;
        case 'u':
            if (ex->has_usage)
                out_put(c, ",\"usage\":null", 13);
            break;
        default:
            die("mock: no variable $%c", var[1]);
        }
        text = var + 2;
    }
}

/* A JSON answer whose length is known only afterwards: the number has a fixed width, blanks in
 * front (RFC 9110 5.5). */
static void out_json(struct conn *c, const char *status, const char *text)
{
    static const char length[] = "\r\nContent-Length: ";
    enum { WIDTH = 9 };

    out_printf(c, "HTTP/1.1 %s\r\nContent-Type: application/json\r\nx-request-id: %s%s", status,
               c->ex.id, length);
    size_t digits_at = c->out_len;

    out_put(c, "         \r\n\r\n", WIDTH + 4);
    size_t body_at = c->out_len;

    out_expand(c, text);
    size_t n = c->out_len - body_at;
    char *digits = c->out + digits_at;

    for (size_t i = WIDTH; i > 0 && n > 0; i--, n /= 10)
        digits[i - 1] = (char)('0' + n % 10);
}

/* One HTTP chunk (RFC 9112 7.1) holding up to three texts. */
static void out_chunk(struct conn *c, const char *a, const char *b, const char *d)
{
    static const char hex[] = "0123456789abcdef";
    enum { WIDTH = 4 };
    size_t size_at = c->out_len;

    out_put(c, "0000\r\n", WIDTH + 2);
    out_expand(c, a);
    out_expand(c, b);
    out_expand(c, d);
    size_t n = c->out_len - size_at - WIDTH - 2;

    for (size_t i = WIDTH; i > 0; i--, n >>= 4)
        c->out[size_at + i - 1] = hex[n & 15];
    out_put(c, "\r\n", 2);
}

bool answer_is_complete(const struct conn *c)
{
    return !c->ex.is_streamed || c->ex.events_sent == c->ex.plan.events;
}

void answer_events(struct conn *c)
{
    struct exchange *ex = &c->ex;
    const struct dialect *d = ex->dialect;

    for (unsigned i = 0; i < EVENTS_PER_TURN && !answer_is_complete(c); i++) {
        out_chunk(c, ex->events_sent == 0 ? d->open : "", d->event, "");
        if (++ex->events_sent == ex->plan.events) {
            out_chunk(c, d->close, ex->has_usage ? d->usage : "", d->done);
            out_put(c, "0\r\n\r\n", 5);
        }
        if (ex->plan.interval_us)
            return;
    }
}

void answer_begin(struct conn *c)
{
    struct exchange *ex = &c->ex;

    if (!ex->dialect) {
        out_json(c, "404 Not Found", error_route);
    } else if (ex->plan.status != 200) {
        char status[32];

        (void)snprintf(status, sizeof(status), "%u Mocked", (unsigned)ex->plan.status % 1000);
        out_json(c, status, error_mocked);
    } else if (!ex->is_streamed) {
        out_json(c, "200 OK", ex->dialect->answer);
    } else {
        out_printf(c,
                   "HTTP/1.1 200 OK\r\n"
                   "Content-Type: text/event-stream; charset=utf-8\r\n"
                   "Cache-Control: no-cache\r\n"
                   "X-Accel-Buffering: no\r\n"
                   "x-request-id: %s\r\n"
                   "Transfer-Encoding: chunked\r\n\r\n",
                   ex->id);
    }
}

/* ---- the plan ---- */

/* What follows a field's quoted name and colon, or NULL. A name inside a prompt has a backslash
 * before its quote. */
static const char *field_find(const char *p, size_t n, const char *name)
{
    const char *end = p + n;
    const char *at = memmem(p, n, name, strlen(name));

    if (!at)
        return NULL;
    for (at += strlen(name); at < end && (*at == ' ' || *at == ':'); at++)
        ;
    return at;
}

/* In the first bytes of the body or in the last; *ret_end is the end of those it was found in. */
static const char *body_find(const struct conn *c, const char *name, const char **ret_end)
{
    const char *at = field_find(c->first, c->first_len, name);

    *ret_end = c->first + c->first_len;
    if (at)
        return at;
    *ret_end = c->last + c->last_len;
    return field_find(c->last, c->last_len, name);
}

static bool body_is_true(const struct conn *c, const char *name)
{
    const char *end, *at = body_find(c, name, &end);

    return at && end - at >= 4 && memcmp(at, "true", 4) == 0;
}

static void body_string(const struct conn *c, const char *name, char *ret, size_t cap)
{
    const char *end, *at = body_find(c, name, &end);
    size_t len = 0;

    if (at && at < end && *at == '"')
        for (at++; at < end && *at != '"' && *at != '\\' && *at > ' ' && len + 1 < cap; at++)
            ret[len++] = *at;
    ret[len] = '\0';
}

static struct plan plan_of(const char *model)
{
    struct plan plan = {.events = 20, .status = 200};
    const char *end = model + strlen(model);

    for (size_t i = 0; i < PLAN_KINDS; i++) {
        const struct plan_kind *k = &plan_kinds[i];
        const char *p = model + strlen(k->prefix);

        if (strncmp(model, k->prefix, strlen(k->prefix)) != 0)
            continue;
        for (unsigned f = 0; f < k->fields; f++) {
            uint64_t v = 0;

            if (!digits_read(&p, end, &v))
                break;
            memcpy((char *)&plan + k->field[f], &v, sizeof(v));
            if (p < end)
                p++;
        }
    }
    if (plan.events == 0)
        plan.events = 1;
    return plan;
}

void answer_plan(struct conn *c)
{
    struct exchange *ex = &c->ex;

    body_string(c, "\"model\"", ex->model, sizeof(ex->model));
    ex->plan = plan_of(ex->model);
    ex->is_streamed =
        ex->dialect && ex->dialect->open && ex->plan.status == 200 && body_is_true(c, "\"stream\"");
    ex->has_usage = ex->is_streamed && body_is_true(c, "\"include_usage\"");
    ex->seq = ++c->mock->seq;
    ex->tokens_out = ex->is_streamed ? ex->plan.events : 10 + ex->seq % 80;
    (void)snprintf(ex->id, sizeof(ex->id), "%s%s%010llu", ex->dialect ? ex->dialect->id : "none_",
                   c->mock->run, (unsigned long long)ex->seq);
}

void exchange_set_path(struct exchange *ex, const char *path, size_t n)
{
    ex->dialect = NULL;
    for (size_t i = 0; i < DIALECTS && !ex->dialect; i++) {
        size_t len = strlen(dialects[i].path);

        if (n >= len && memcmp(path + n - len, dialects[i].path, len) == 0)
            ex->dialect = &dialects[i];
    }
    (void)snprintf(ex->path, sizeof(ex->path), "%.*s", (int)n, path);
}
