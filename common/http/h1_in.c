/* Limits are those of threats section 1; the numbers in comments are its rules of section 2. */

#include "common/http/h1_in.h"

#include "common/http/url.h"

enum {
    LINE_MAX_BYTES = 8 * 1024,
    HEADER_MAX = 16 * 1024,
    HEAD_MAX = 32 * 1024,
    BLANK_LINES_MAX = 2,
    FRAMING_MIN = 64 * 1024,
    TRAILERS_MAX = 4 * 1024,
    EXTENSION_MAX = 256,
    CHUNK_LINE_MAX = 2 + 16 + 2 + 8, /* end of data, digits, end of line, marks of an extension */
};

struct str h1_in_method(const struct h1_in *in)
{
    return str_of(llhttp_method_name((llhttp_method_t)in->parser.method));
}

struct str h1_in_target(const struct h1_in *in)
{
    return (struct str){in->head.p, in->target_n};
}

struct str h1_in_header(const struct h1_in *in, struct str lower_name, bool *ret_repeated)
{
    struct str found = {0};

    for (uint32_t i = 0; i < in->n_headers; i++) {
        const struct h1_header *h = &in->header[i];
        if (!str_ieq((struct str){in->head.p + h->name_at, h->name_n}, lower_name))
            continue;
        struct str value = {in->head.p + h->value_at, h->value_n};
        if (!found.p)
            found = value;
        else if (ret_repeated && !str_eq(found, value))
            *ret_repeated = true;
    }
    return found;
}

/* Inside llhttp: remembers why, stops the parser. */
static int refuse(struct h1_in *in, uint16_t status)
{
    if (!in->status)
        in->status = status;
    return -1;
}

static int head_add(struct h1_in *in, const char *p, size_t n)
{
    if (in->head.n + n > HEAD_MAX)
        return refuse(in, 431);
    return buf_add(in->pool, &in->head, p, n) ? 0 : refuse(in, 503);
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct h1_in *in = p->data;

    if (in->target_n + n > LINE_MAX_BYTES)
        return refuse(in, 414);
    in->target_n += (uint32_t)n;
    return head_add(in, at, n);
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct h1_in *in = p->data;

    if (in->in_body) { /* trailers are counted, not kept */
        in->framing_bytes += n;
        return in->framing_bytes > TRAILERS_MAX ? refuse(in, 400) : 0;
    }
    if (in->n_headers == H1_HEADERS_MAX)
        return refuse(in, 431);
    struct h1_header *h = &in->header[in->n_headers];
    if (!h->name_n)
        h->name_at = (uint32_t)in->head.n;
    if (h->name_n + n > HEADER_MAX)
        return refuse(in, 431);
    h->name_n = (uint16_t)(h->name_n + n);
    return head_add(in, at, n);
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct h1_in *in = p->data;

    if (in->in_body)
        return on_field(p, at, n);
    struct h1_header *h = &in->header[in->n_headers];
    if (!h->value_n)
        h->value_at = (uint32_t)in->head.n;
    if (h->value_n + n > HEADER_MAX)
        return refuse(in, 431);
    h->value_n = (uint16_t)(h->value_n + n);
    return head_add(in, at, n);
}

static int on_value_complete(llhttp_t *p)
{
    struct h1_in *in = p->data;

    if (in->in_body)
        return 0;
    in->n_headers++;
    if (in->n_headers < H1_HEADERS_MAX)
        in->header[in->n_headers] = (struct h1_header){0};
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct h1_in *in = p->data;
    bool repeated = false;

    if (p->http_major != 1 || p->http_minor > 1)
        return refuse(in, 505); /* H-06 */
    bool http_1_0 = p->http_minor == 0;
    in->is_1_0 = http_1_0;
    in->keep_alive = llhttp_should_keep_alive(p) && !http_1_0 && !p->upgrade;
    p->upgrade = 0; /* H-10: an Upgrade is ignored */
    struct str host = h1_in_header(in, STR("host"), &repeated);
    if (http_1_0 ? host.p && !url_host_is_plain(host) : !url_host_is_plain(host) || repeated)
        return refuse(in, 400);
    if (p->flags & F_TRANSFER_ENCODING) { /* H-03: the single token chunked, never with 1.0 */
        struct str te = str_trim(h1_in_header(in, STR("transfer-encoding"), &repeated));
        if (http_1_0 || repeated || !str_ieq(te, STR("chunked")))
            return refuse(in, 400);
        in->chunked = true;
    } else if (p->flags & F_CONTENT_LENGTH) {
        if (p->content_length > in->max_body)
            return refuse(in, 413);
        if (!buf_reserve(in->pool, &in->body, (size_t)p->content_length))
            return refuse(in, 503);
    }
    struct str expect = h1_in_header(in, STR("expect"), NULL);
    in->wants_continue = expect.n != 0;
    if (expect.n && !str_ieq(expect, STR("100-continue")))
        return refuse(in, 417); /* H-16 */
    in->in_body = true;
    return in->chunked ? HPE_PAUSED : 0; /* from here on lines are measured: h1_in_feed() */
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct h1_in *in = p->data;

    if (in->body.n + n > in->max_body)
        return refuse(in, 413);
    if (!buf_add(in->pool, &in->body, at, n))
        return refuse(in, 503);
    in->chunk_framing = in->chunk_extension = 0;
    in->framing_from = at + n;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct h1_in *in = p->data;

    in->whole = true;
    return HPE_PAUSED; /* what follows waits (H-11) */
}

/* A chunk's size line is complete; the parser stops there so that it can be measured. */
static int on_chunk_header(llhttp_t *p)
{
    struct h1_in *in = p->data;

    if (p->content_length > in->max_body || in->body.n + p->content_length > in->max_body)
        return refuse(in, 413);
    in->in_trailers = p->content_length == 0;
    return HPE_PAUSED;
}

static int on_chunk_extension(llhttp_t *p, const char *at, size_t n)
{
    struct h1_in *in = p->data;

    (void)at;
    in->chunk_extension += (uint32_t)n;
    return in->chunk_extension > EXTENSION_MAX ? refuse(in, 400) : 0;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void h1_in_init(struct h1_in *in, struct bufpool *pool, size_t max_body)
{
    *in = (struct h1_in){.pool = pool, .max_body = max_body};
    h1_in_reset(in);
}

void h1_in_reset(struct h1_in *in)
{
    buf_free(in->pool, &in->head);
    buf_free(in->pool, &in->body);
    in->target_n = in->n_headers = 0;
    in->header[0] = (struct h1_header){0};
    in->status = 0;
    in->begun = in->in_body = in->keep_alive = in->wants_continue = false;
    in->chunked = in->in_trailers = in->whole = false;
    in->framing_bytes = 0;
    in->chunk_extension = in->chunk_framing = 0;
    in->framing_from = NULL;
    llhttp_init(&in->parser, HTTP_REQUEST, &settings);
    in->parser.data = in;
}

/* Runs the parser over [p, end); of a chunked body, line by line. HPE_PAUSED: complete. */
static llhttp_errno_t execute(struct h1_in *in, const char *p, const char *end)
{
    for (;;) {
        in->framing_from = in->in_body ? p : NULL; /* a head has limits of its own */
        llhttp_errno_t rc = llhttp_execute(&in->parser, p, (size_t)(end - p));
        bool at_chunk = rc == HPE_PAUSED && !in->whole;
        const char *at = at_chunk ? llhttp_get_error_pos(&in->parser) : end;
        if (in->chunked && in->framing_from && (at_chunk || rc == HPE_OK)) {
            in->chunk_framing += (uint32_t)(at - in->framing_from);
            if (in->chunk_framing - in->chunk_extension > CHUNK_LINE_MAX && !in->in_trailers) {
                (void)refuse(in, 400);
                return HPE_USER;
            }
        }
        if (!at_chunk)
            return rc;
        llhttp_resume(&in->parser);
        p = at;
    }
}

/* H-18: a few empty lines before a request are skipped. */
static const char *skip_blank_lines(struct h1_in *in, const char *p, const char *end)
{
    while (p < end && (*p == '\r' || *p == '\n'))
        in->framing_bytes += *p++ == '\n';
    if (in->framing_bytes > BLANK_LINES_MAX)
        (void)refuse(in, 400);
    return p;
}

enum h1_got h1_in_feed(struct h1_in *in, const char *p, size_t n, size_t *ret_used)
{
    const char *from = p, *end = p + n;

    *ret_used = n;
    if (!in->begun) {
        p = skip_blank_lines(in, p, end);
        if (in->status)
            return H1_BAD;
        if (p == end)
            return H1_MORE;
        in->begun = true;
        in->framing_bytes = 0;
    }
    size_t body_before = in->body.n;
    llhttp_errno_t rc = execute(in, p, end);
    if (rc == HPE_PAUSED) {
        *ret_used = (size_t)(llhttp_get_error_pos(&in->parser) - from);
        return H1_DONE;
    }
    if (rc == HPE_OK && in->in_body && in->chunked) { /* H-04: framing against data */
        size_t data = in->body.n - body_before;
        in->framing_bytes += (size_t)(end - p) - MIN((size_t)(end - p), data);
        if (in->framing_bytes > FRAMING_MIN + in->body.n / 4)
            (void)refuse(in, 400);
    }
    if (rc == HPE_OK && !in->status)
        return H1_MORE;
    (void)refuse(in, 400); /* llhttp's own reasons */
    return H1_BAD;
}
