/* Heads are assembled by copying constants; nothing here formats what a table can hold. */

#include "client/reply.h"

#include "common/clock.h"
#include "common/num.h"

#include "client/books.h"
#include "client/conn.h"

const struct error_row error_rows[CLIENT_ERRORS] = {
#define ERROR(id, status_, type_, code_, message_)                                                 \
    [ERROR_##id] = {status_, STR_INIT(type_), STR_INIT(code_), STR_INIT(message_), {NULL, 0}},
#define ERROR_ON(id, status_, type_, param_, code_, message_)                                      \
    [ERROR_##                                                                                      \
        id] = {status_, STR_INIT(type_), STR_INIT(code_), STR_INIT(message_), STR_INIT(param_)},
#include "proto/errors.def"
#undef ERROR
};

static const struct {
    uint16_t status;
    struct str line;
} status_lines[] = {
#define LINE(n, text)                                                                              \
    {                                                                                              \
        n, STR_INIT("HTTP/1.1 " #n " " text "\r\n")                                                \
    }
    LINE(200, "OK"),
    LINE(400, "Bad Request"),
    LINE(401, "Unauthorized"),
    LINE(402, "Payment Required"),
    LINE(403, "Forbidden"),
    LINE(404, "Not Found"),
    LINE(405, "Method Not Allowed"),
    LINE(408, "Request Timeout"),
    LINE(409, "Conflict"),
    LINE(413, "Content Too Large"),
    LINE(414, "URI Too Long"),
    LINE(415, "Unsupported Media Type"),
    LINE(417, "Expectation Failed"),
    LINE(422, "Unprocessable Content"),
    LINE(429, "Too Many Requests"),
    LINE(431, "Request Header Fields Too Large"),
    LINE(500, "Internal Server Error"),
    LINE(501, "Not Implemented"),
    LINE(502, "Bad Gateway"),
    LINE(503, "Service Unavailable"),
    LINE(504, "Gateway Timeout"),
    LINE(505, "HTTP Version Not Supported"),
    LINE(529, "Overloaded"),
};

static void out_add(struct request *r, struct str s)
{
    if (!buf_add(&r->cx->bufs, &r->cx->out, s.p, s.n))
        r->out_failed = true; /* reply_flush() ends the connection */
}

/* Where `n` bytes may be written behind the head; NULL: nowhere, and reply_flush() will say so. */
static char *out_room(struct request *r, size_t n)
{
    struct buf *out = &r->cx->out;

    if (UNLIKELY(n > out->cap - out->n) && !buf_reserve(&r->cx->bufs, out, out->n + n)) {
        r->out_failed = true;
        return NULL;
    }
    return out->p + out->n;
}

static void status_line(struct request *r, unsigned status)
{
    char other[] = "HTTP/1.1 000 \r\n";

    for (size_t i = 0; i < ARRAY_LEN(status_lines); i++)
        if (status_lines[i].status == status) {
            out_add(r, status_lines[i].line);
            return;
        }
    (void)num_put_u64(other + 9, status);
    out_add(r, (struct str){other, sizeof other - 1});
}

void reply_head(struct request *r, unsigned status, struct str content_type)
{
    r->cx->out.n = 0;
    r->out_failed = false;
    status_line(r, status);
    out_add(r, (struct str){r->cx->date, DATE_LINE - 1});
    out_add(r, STR("content-type: "));
    out_add(r, content_type);
    out_add(r, STR("\r\nx-litellm-version: " WEIR_VERSION "\r\nx-litellm-call-id: "));
    out_add(r, (struct str){r->id, REQUEST_ID});
    out_add(r, STR("\r\n"));
}

void reply_header(struct request *r, struct str name, struct str value)
{
    for (size_t i = 0; i < value.n; i++) /* H-14: no value makes a line of its own */
        if ((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t')
            return;
    if (!value.n)
        return;
    char *p = out_room(r, name.n + value.n + 4);
    if (!p)
        return;
    memcpy(p, name.p, name.n);
    memcpy(p + name.n, ": ", 2);
    p += name.n + 2;
    memcpy(p, value.p, value.n);
    memcpy(p + value.n, "\r\n", 2);
    r->cx->out.n += name.n + value.n + 4;
}

void reply_header_u64(struct request *r, struct str name, uint64_t value)
{
    char *p = out_room(r, name.n + NUM_U64_TEXT + 4);

    if (!p)
        return;
    memcpy(p, name.p, name.n);
    memcpy(p + name.n, ": ", 2);
    size_t n = name.n + 2 + num_put_u64(p + name.n + 2, value);
    memcpy(p + n, "\r\n", 2);
    r->cx->out.n += n + 2;
}

void reply_named_u64(struct request *r, const struct reply_name *name, uint64_t value)
{
    char *p = out_room(r, sizeof name->text + NUM_U64_TEXT + 2);

    if (!p)
        return;
    memcpy(p, name->text, sizeof name->text);
    size_t n = name->n + num_put_u64(p + name->n, value);
    memcpy(p + n, "\r\n", 2);
    r->cx->out.n += n + 2;
}

void reply_header_ms(struct request *r, struct str name, uint64_t ns)
{
    char text[24];
    uint64_t us = ns / 1000;
    size_t n = num_put_u64(text, us / 1000);

    text[n++] = '.';
    text[n++] = (char)('0' + us / 100 % 10);
    text[n++] = (char)('0' + us / 10 % 10);
    text[n++] = (char)('0' + us % 10);
    reply_header(r, name, (struct str){text, n});
}

void reply_head_end(struct request *r, uint64_t n)
{
    struct conn *c = r->conn;

    if (r->cx->draining)
        c->keep_alive = false;
    if (n != UINT64_MAX)
        reply_header_u64(r, STR("content-length"), n);
    else if (c->http_1_0)
        c->keep_alive = false; /* F.39: the end of the body is the end of the connection */
    else
        out_add(r, STR("transfer-encoding: chunked\r\n"));
    out_add(r, c->keep_alive ? STR("\r\n") : STR("connection: close\r\n\r\n"));
}

bool reply_flush(struct request *r)
{
    struct buf *out = &r->cx->out;
    size_t n = out->n;

    out->n = 0;
    if (r->out_failed) {
        conn_abort(r->conn);
        return false;
    }
    return !n || conn_send(r->conn, out->p, n);
}

enum { CHUNK_HEAD = 10 }; /* eight digits of size, CR LF */

size_t reply_chunk_begin(struct request *r)
{
    size_t from = r->cx->out.n;

    if (!r->conn->http_1_0)
        out_add(r, STR("00000000\r\n"));
    return from;
}

void reply_chunk_end(struct request *r, size_t from, bool last)
{
    static const char hex[] = "0123456789abcdef";
    struct buf *out = &r->cx->out;

    if (r->conn->http_1_0) {
        r->bytes_out += out->n - from;
        return;
    }
    if (r->out_failed)
        return;
    size_t n = out->n - from - CHUNK_HEAD;
    r->bytes_out += n;
    if (!n) {
        out->n = from; /* an empty chunk would end the body */
    } else {
        for (unsigned i = 0; i < 8; i++)
            out->p[from + i] = hex[n >> (28 - 4 * i) & 15];
        out_add(r, STR("\r\n"));
    }
    if (last)
        out_add(r, STR("0\r\n\r\n"));
}

void reply_text(struct request *r, unsigned status, struct str content_type, struct str text)
{
    reply_head(r, status, content_type);
    reply_head_end(r, text.n);
    out_add(r, text);
    r->bytes_out = text.n;
    books_close(r, status, (struct str){0});
    if (reply_flush(r))
        conn_finish(r->conn);
}

void reply_json(struct request *r, unsigned status, struct str json)
{
    reply_text(r, status, STR("application/json"), json);
}

struct error_facts reply_facts(struct request *r, enum client_error error, struct str detail)
{
    const struct error_row *row = &error_rows[error];
    struct str message = detail.n ? arena_printf(&r->arena, STR_FMT " " STR_FMT,
                                                 STR_ARG(row->message), STR_ARG(detail))
                                  : row->message;

    return (struct error_facts){
        .status = row->status,
        .type = row->type,
        .param = row->param,
        .message = message.n ? message : row->message,
        /* Anthropic's SDKs begin with a thread and go on without when told in these words. */
        .details = error == ERROR_NO_THREADS ? STR("{\"error_code\":\"thread_unsupported_request\","
                                                   "\"unsupported\":[\"thread\"]}")
                                             : (struct str){0},
    };
}

void reply_error(struct request *r, const struct error_facts *f, struct str code,
                 uint32_t retry_after_s)
{
    enum api api = r->routed ? route_rows[r->route].api : API_COUNT;
    struct error_facts facts = *f;

    struct str id = conn_header(r->conn, STR("x-request-id"), NULL);
    facts.request_id = str_is_printable(id) ? id : (struct str){0};
    struct str body = envelope_body(&r->arena, api, &facts);
    if (!body.n)
        body = STR("{}");
    reply_head(r, f->status, STR("application/json"));
    reply_header(r, STR("x-litellm-response-cost"), STR("0"));
    if (r->deployment) {
        reply_header(r, STR("x-litellm-model-id"), snap_str(r->snapshot, r->deployment->id));
        reply_header(r, STR("x-litellm-model-group"), snap_str(r->snapshot, r->deployment->group));
        reply_header_u64(r, STR("x-litellm-attempted-retries"),
                         r->plan.attempts ? r->plan.attempts - 1 : 0);
    }
    if (retry_after_s)
        reply_header_u64(r, STR("retry-after"), retry_after_s);
    if (r->refusal.limit_type) {
        reply_header(r, STR("rate_limit_type"), str_of(r->refusal.limit_type));
        reply_header(r, STR("reset_at"), r->refusal.reset_at);
    }
    if (f->status == 405)
        reply_header(r, STR("allow"), STR("GET, POST, DELETE, OPTIONS"));
    reply_head_end(r, body.n);
    out_add(r, body);
    r->bytes_out = body.n;
    books_close(r, f->status, code);
    if (reply_flush(r))
        conn_finish(r->conn);
}
