/* Texts of the head are copied into one buffer, and a small body behind them; a large body is lent.
 */

#include "client/upstream_request.h"

#include "common/jw.h"
#include "common/num.h"

#include "client/conn.h"
#include "client/translating.h"
#include "dialect/messages_beta.h"
#include "dialect/param_list.h"

enum { COPY_MAX = 64 * 1024 }; /* a request up to this size goes out in one piece */

struct str upstream_request_model(struct request *r, const struct snap_deployment *d)
{
    struct str model = snap_str(r->snapshot, d->model), part, rest = model, out = {0};
    unsigned star = 0;

    if (!(d->flags & SNAP_WILDCARD))
        return model;
    while (str_cut(rest, '*', &part, &rest)) {
        struct str captured = star < r->found.n_captured ? r->found.captured[star]
                              : r->found.n_captured      ? (struct str){0}
                                                         : r->model;
        star++;
        out = arena_printf(&r->arena, STR_FMT STR_FMT STR_FMT, STR_ARG(out), STR_ARG(part),
                           STR_ARG(captured));
    }
    return arena_printf(&r->arena, STR_FMT STR_FMT, STR_ARG(out), STR_ARG(part));
}

struct str upstream_request_secret(const struct request *r)
{
    static const struct str names[] = {STR_INIT("authorization: "), STR_INIT("x-api-key: "),
                                       STR_INIT("api-key: ")};
    struct str line, rest = snap_str(r->snapshot, r->deployment->headers);

    while (rest.n) {
        (void)str_cut(rest, '\n', &line, &rest);
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            if (line.n > names[i].n && str_ieq((struct str){line.p, names[i].n}, names[i])) {
                struct str value = str_from(line, names[i].n), scheme, key;
                if (value.n && value.p[value.n - 1] == '\r')
                    value.n--;
                return str_cut(value, ' ', &scheme, &key) ? key : value;
            }
    }
    return (struct str){0};
}

/* What the client sent as member `f`, as written; empty: not sent. */
static struct str sent(const struct request *r, enum field f)
{
    const struct member *m = request_member(&r->scan, f);

    return m ? (struct str){r->conn->body.p + m->at, m->end - m->at} : (struct str){0};
}

/* Said by the request, else by the deployment. "true" is true. */
static bool flag_of(const struct request *r, enum field f, enum snap_deployment_flags flag)
{
    struct str text = sent(r, f);

    if (!text.n)
        return r->deployment->flags & flag;
    return str_ieq(text, STR("true")) || str_ieq(text, STR("\"true\""));
}

static bool drops_params(const struct request *r)
{
    return flag_of(r, FIELD_DROP_PARAMS, SNAP_DROP_PARAMS);
}

/*
 * Chat completions of the newest OpenAI models refuse function tools while they reason; the
 * Responses API does not. They reason unless told not to; servers that borrow their names are
 * believed only where the request asks for it.
 */
static bool needs_responses(const struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    struct str tools = sent(r, FIELD_TOOLS), effort = sent(r, FIELD_REASONING_EFFORT);

    if (str_eq(effort, STR("null")))
        effort = (struct str){0};
    if (r->upstream_api != API_CHAT || d->via[VIA_RESPONSES][API_CHAT] != API_RESPONSES ||
        request_member(&r->scan, FIELD_STOP_SEQUENCES) || !tools.n ||
        !(snap_model(r->snapshot, d, r->upstream_model).can & CAP_TOOLS_OR_REASONING))
        return false;
    switch (request_api(r)) {
    case API_CHAT:
        return str_find(tools, STR("\"function\"")) != SIZE_MAX &&
               !str_eq(effort, STR("\"none\"")) && (effort.n || d->flags & SNAP_OF_OPENAI);
    case API_MESSAGES:
        return !str_eq(tools, STR("[]")) && d->flags & SNAP_OF_OPENAI;
    case API_COMPLETIONS:
    case API_EMBEDDINGS:
    case API_MODERATIONS:
    case API_COUNT_TOKENS:
    case API_RESPONSES:
    case API_INPUT_TOKENS:
    case API_COUNT:
        break;
    }
    return false;
}

enum api upstream_request_api(struct request *r)
{
    r->upstream_api = snap_via(r->snapshot, r->deployment, r->upstream_model, request_api(r),
                               request_member(&r->scan, FIELD_STOP_SEQUENCES) != NULL);
    return needs_responses(r) ? API_RESPONSES : r->upstream_api;
}

/* Usage is asked for where the upstream understands that and nobody forbids it. */
static bool asks_usage(const struct request *r)
{
    return r->is_stream && r->deployment->flags & SNAP_STREAM_USAGE &&
           !(r->snapshot->h->settings.flags & SNAP_NEVER_STREAM_USAGE);
}

static bool model_in_path(const struct request *r)
{
    return r->deployment->flags & SNAP_MODEL_IN_PATH && r->upstream_api != API_RESPONSES;
}

struct upstream_model upstream_request_reader(struct request *r)
{
    struct snap_model known = snap_model(r->snapshot, r->deployment, r->upstream_model);

    return (struct upstream_model){
        .name = r->upstream_model,
        .provider = snap_str(r->snapshot, r->deployment->provider),
        .stream = r->is_stream,
        .stream_usage = asks_usage(r),
        .drop_params = drops_params(r),
        .modify_params = flag_of(r, FIELD_MODIFY_PARAMS, SNAP_MODIFY_PARAMS),
        .in_path = model_in_path(r),
        .can = known.can,
        .max_output = known.max_output,
    };
}

struct str upstream_request_quoted_model(struct request *r)
{
    struct jw w = jw_init(&r->arena);

    jw_put_str(&w, r->upstream_model);
    return jw_finish(&w);
}

enum body_edit_result upstream_request_edit(struct request *r, struct body_edit *b, enum api api,
                                            const struct request_scan *scan, struct str body)
{
    bool is_sent = api == r->upstream_api; /* else it is translated first */
    struct str drop[PARAM_LIST_MAX] UNINITIALIZED, allow[PARAM_LIST_MAX] UNINITIALIZED;
    struct body_edit_options o = {
        .api = api,
        .client = request_api(r),
        .upstream = r->upstream_api,
        .can = r->deployment->by_can & BIT(api)
                   ? snap_model(r->snapshot, r->deployment, r->upstream_model).can
                   : 0,
        .model = r->upstream_model,
        .response_id = is_sent ? r->previous_id : (struct str){0},
        .model_in_path = model_in_path(r),
        .inject_usage = is_sent && (api == API_CHAT || api == API_COMPLETIONS) && asks_usage(r) &&
                        !scan->include_usage,
        .drop_params = drops_params(r),
        .drop = drop,
        .n_drop = param_list(drop, sent(r, FIELD_ADDITIONAL_DROP_PARAMS), true, &r->arena),
        .allow = allow,
        .n_allow = param_list(allow, sent(r, FIELD_ALLOWED_OPENAI_PARAMS), false, &r->arena),
        .keep_model = !is_sent,
    };

    return body_edit_make(b, scan, body.p, body.n, r->snapshot, r->deployment, &o, &r->arena);
}

void upstream_request_unsupported(struct request *r, struct str params)
{
    request_refuse(r, ERROR_UNSUPPORTED_PARAM,
                   arena_printf(&r->arena,
                                STR_FMT " does not support parameters: ['" STR_FMT
                                        "'], for model=" STR_FMT
                                        ". To drop these, set `litellm_settings: drop_params: "
                                        "true`; to send them all the same, list them in "
                                        "`allowed_openai_params`.",
                                STR_ARG(snap_str(r->snapshot, r->deployment->provider)),
                                STR_ARG(params), STR_ARG(r->upstream_model)),
                   false);
}

void upstream_request_put(struct request *r, struct str s)
{
    if (!buf_add(&r->cx->bufs, &r->head, s.p, s.n))
        r->out_failed = true;
}

void upstream_request_put_header(struct request *r, struct str name, struct str value)
{
    if (!value.n)
        return;
    upstream_request_put(r, name);
    upstream_request_put(r, STR(": "));
    upstream_request_put(r, value);
    upstream_request_put(r, STR("\r\n"));
}

enum { PASSED_BETA = 1 }; /* row of the list below; what was written may need more */

/* What of the client's headers goes on, by dialect: an allow-list (threats H-13). */
static const struct {
    enum dialect dialect;
    struct str name, otherwise;
} passed_headers[] = {
    {DIALECT_ANTHROPIC, STR_INIT("anthropic-version"), STR_INIT("2023-06-01")},
    [PASSED_BETA] = {DIALECT_ANTHROPIC, STR_INIT("anthropic-beta"), STR_INIT("")},
    {DIALECT_OPENAI, STR_INIT("openai-beta"), STR_INIT("")},
};

static void head_passed(struct request *r)
{
    const struct conn *c = r->conn;
    uint32_t flags = r->snapshot->h->settings.flags;

    for (size_t i = 0; i < ARRAY_LEN(passed_headers); i++) {
        if (passed_headers[i].dialect != request_dialect(r))
            continue;
        struct str value = conn_header(c, passed_headers[i].name, NULL);
        if (i == PASSED_BETA && r->translation)
            value = messages_beta_list(value, r->translation->t.request.betas, &r->arena);
        upstream_request_put_header(r, passed_headers[i].name,
                                    value.n ? value : passed_headers[i].otherwise);
    }
    if (flags & SNAP_FORWARD_OPENAI_ORG)
        upstream_request_put_header(r, STR("openai-organization"),
                                    conn_header(c, STR("openai-organization"), NULL));
    if (!(flags & SNAP_FORWARD_CLIENT_HEADERS))
        return;
    for (uint32_t i = 0; i < c->n_headers; i++) { /* litellm-dataplane.md 8.3 */
        const struct conn_header *h = &c->header[i];
        struct str name = {c->head.p + h->name_at, h->name_n};
        struct str prefix = {name.p, MIN(name.n, (size_t)12)};
        if (name.n > 2 && char_lower(name.p[0]) == 'x' && name.p[1] == '-' &&
            !str_ieq(prefix, STR("x-stainless-")) && !str_ieq(prefix, STR("x-forwarded-")) &&
            !str_ieq((struct str){name.p, MIN(name.n, (size_t)10)}, STR("x-litellm-")) &&
            !str_ieq(name, STR("x-api-key")) && !str_ieq(name, STR("x-goog-api-key")) &&
            !str_ieq(name, STR("x-real-ip")))
            upstream_request_put_header(r, name, (struct str){c->head.p + h->value_at, h->value_n});
    }
}

/* The model as it stands in a URL: everything but unreserved characters encoded. */
static struct str path_encoded(struct request *r, struct str model)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(&r->arena, model.n * 3 + 1);
    size_t n = 0;

    if (!out)
        return (struct str){0};
    for (size_t i = 0; i < model.n; i++) {
        unsigned char ch = (unsigned char)model.p[i];
        char lower = char_lower((char)ch);
        if ((lower >= 'a' && lower <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
            ch == '_' || ch == '~') {
            out[n++] = (char)ch;
        } else {
            out[n++] = '%';
            out[n++] = hex[ch >> 4];
            out[n++] = hex[ch & 15];
        }
    }
    return (struct str){out, n};
}

static void head_request_line(struct request *r)
{
    static const struct str methods[] = {
        [METHOD_GET] = STR_INIT("GET "),
        [METHOD_POST] = STR_INIT("POST "),
        [METHOD_DELETE] = STR_INIT("DELETE "),
    };
    const struct route_row *row = &route_rows[r->route];
    const struct snap_path *path = &r->deployment->path[r->upstream_api];
    struct str after = snap_str(r->snapshot, path->after);

    upstream_request_put(r, methods[row->method]);
    upstream_request_put(r, snap_str(r->snapshot, path->before));
    if (request_is_item(r)) {
        upstream_request_put(r, STR("/"));
        upstream_request_put(r, path_encoded(r, r->previous_id));
        if (r->route == ROUTE_RESPONSE_CANCEL)
            upstream_request_put(r, STR("/cancel"));
        else if (r->route == ROUTE_RESPONSE_ITEMS)
            upstream_request_put(r, STR("/input_items"));
    } else if (model_in_path(r)) {
        upstream_request_put(r, path_encoded(r, r->upstream_model));
    }
    upstream_request_put(r, after);
    if (request_is_item(r) && r->query.n) {
        upstream_request_put(r, after.n ? STR("&") : STR("?"));
        upstream_request_put(r, r->query);
    }
    upstream_request_put(r, STR(" HTTP/1.1\r\n"));
}

struct pieces {
    struct request *r;
    struct upconn_buf *piece;
    unsigned n;
};

static void piece_copy(void *ctx, const char *p, size_t n)
{
    struct pieces *ps = ctx;

    upstream_request_put(ps->r, (struct str){p, n});
}

/* Large pieces are lent from the client's body; small ones are texts in the arena, which last as
 * long. */
static void piece_lend(void *ctx, const char *p, size_t n)
{
    struct pieces *ps = ctx;

    ps->piece[ps->n++] = (struct upconn_buf){p, n};
}

bool upstream_request_build(struct request *r, const struct body_edit *b,
                            struct upconn_buf **ret_piece, unsigned *ret_n)
{
    char digits[20];

    r->head.n = 0;
    r->out_failed = false;
    head_request_line(r);
    upstream_request_put(r, snap_str(r->snapshot, r->deployment->headers));
    head_passed(r);
    upstream_request_put(r, r->is_stream ? STR("accept: text/event-stream\r\n")
                                         : STR("accept: application/json\r\n"));
    if (!request_is_item(r) || r->route == ROUTE_RESPONSE_CANCEL) {
        upstream_request_put(r, STR("content-length: "));
        upstream_request_put(
            r, (struct str){digits, num_put_u64(digits, request_is_item(r) ? 0 : b->length)});
        upstream_request_put(r, STR("\r\n"));
    }
    upstream_request_put(r, STR("\r\n"));
    struct pieces ps = {.r = r};
    if (request_is_item(r) || b->length <= COPY_MAX) {
        if (!request_is_item(r))
            body_edit_emit(b, piece_copy, &ps);
        ps.piece = arena_alloc(&r->arena, sizeof *ps.piece);
        if (ps.piece)
            ps.n = 1;
    } else {
        ps.piece = arena_alloc(&r->arena, (2 * (b->n + b->n_holes) + 2) * sizeof *ps.piece);
        if (ps.piece) {
            ps.n = 1;
            body_edit_emit(b, piece_lend, &ps);
        }
    }
    if (!ps.piece || r->out_failed)
        return false;
    ps.piece[0] = (struct upconn_buf){r->head.p, r->head.n};
    *ret_piece = ps.piece;
    *ret_n = ps.n;
    return true;
}
