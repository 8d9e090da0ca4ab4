/* Types by status in a table per envelope; reading goes through a tree, errors are rare and small.
 */

#include "dialect/envelope.h"

#include <stdlib.h>
#include <yyjson.h>

#include "common/num.h"

struct status_type {
    uint16_t from, to;
    struct str type;
};

/* LiteLLM's, as tests/parity sees them */
static const struct status_type openai_types[] = {
    {401, 401, STR_INIT("authentication_error")},  {403, 403, STR_INIT("permission_error")},
    {429, 429, STR_INIT("throttling_error")},      {400, 499, STR_INIT("invalid_request_error")},
    {500, 599, STR_INIT("internal_server_error")},
};

static const struct status_type anthropic_types[] = {
    {400, 400, STR_INIT("invalid_request_error")}, {401, 401, STR_INIT("authentication_error")},
    {403, 403, STR_INIT("permission_error")},      {404, 404, STR_INIT("not_found_error")},
    {413, 413, STR_INIT("request_too_large")},     {429, 429, STR_INIT("rate_limit_error")},
    {529, 529, STR_INIT("overloaded_error")},
};

static struct str type_of(const struct status_type *rows, size_t n, unsigned status,
                          struct str other)
{
    for (size_t i = 0; i < n; i++)
        if (status >= rows[i].from && status <= rows[i].to)
            return rows[i].type;
    return other;
}

static bool api_is_anthropic(enum api api)
{
    return api == API_MESSAGES || api == API_COUNT_TOKENS;
}

static void put_or_null(struct jw *w, struct str s)
{
    if (s.n)
        jw_put_str(w, s);
    else
        jw_put_null(w);
}

static void put_unless_empty(struct jw *w, struct str key, struct str s)
{
    if (!s.n)
        return;
    jw_key(w, key);
    jw_put_str(w, s);
}

static void openai_error(struct jw *w, const struct error_facts *f)
{
    char status[20];

    jw_key(w, STR("error"));
    jw_obj(w);
    jw_key(w, STR("message"));
    jw_put_str(w, f->message);
    jw_key(w, STR("type"));
    jw_put_str(w, f->type.n ? f->type
                            : type_of(openai_types, ARRAY_LEN(openai_types), f->status,
                                      STR("internal_server_error")));
    jw_key(w, STR("param"));
    put_or_null(w, f->param);
    jw_key(w, STR("code"));
    jw_put_str(w, f->code.n ? f->code : (struct str){status, num_put_u64(status, f->status)});
    if (f->provider_type.n || f->provider_code.n) {
        jw_key(w, STR("provider_specific_fields"));
        jw_obj(w);
        put_unless_empty(w, STR("type"), f->provider_type);
        put_unless_empty(w, STR("code"), f->provider_code);
        jw_end(w);
    }
    jw_end(w);
}

static void anthropic_error(struct jw *w, const struct error_facts *f)
{
    jw_key(w, STR("type"));
    jw_put_str(w, STR("error"));
    jw_key(w, STR("error"));
    jw_obj(w);
    jw_key(w, STR("type"));
    struct str own =
        STR("invalid_request_error"); /* the one type of ours that is Anthropic's too */
    jw_put_str(w, type_of(anthropic_types, ARRAY_LEN(anthropic_types), f->status,
                          str_eq(f->type, own) ? own : STR("api_error")));
    jw_key(w, STR("message"));
    jw_put_str(w, f->message);
    if (f->details.n) {
        jw_key(w, STR("details"));
        jw_put_raw(w, f->details);
    }
    jw_end(w);
    if (f->request_id.n) {
        jw_key(w, STR("request_id"));
        jw_put_str(w, f->request_id);
    }
}

struct str envelope_body(struct arena *a, enum api api, const struct error_facts *f)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    if (api_is_anthropic(api))
        anthropic_error(&w, f);
    else
        openai_error(&w, f);
    jw_end(&w);
    return jw_finish(&w);
}

/* wire-formats.md C.6: the Responses error event is flat. */
static struct str responses_event(struct arena *a, const struct error_facts *f)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("type"));
    jw_put_str(&w, STR("error"));
    jw_key(&w, STR("code"));
    jw_put_str(&w, f->provider_code.n ? f->provider_code
                   : f->status == 429 ? STR("rate_limit_exceeded")
                                      : STR("server_error"));
    jw_key(&w, STR("message"));
    jw_put_str(&w, f->message);
    jw_key(&w, STR("param"));
    put_or_null(&w, f->param);
    jw_key(&w, STR("sequence_number"));
    jw_put_u64(&w, f->sequence);
    jw_end(&w);
    return jw_finish(&w);
}

struct str envelope_event(struct arena *a, enum api api, const struct error_facts *f)
{
    struct str json = api == API_RESPONSES ? responses_event(a, f) : envelope_body(a, api, f);
    bool named = api == API_RESPONSES || api_is_anthropic(api);

    return arena_printf(a, "%sdata: " STR_FMT "\n\n", named ? "event: error\n" : "", STR_ARG(json));
}

void envelope_mask(char *p, size_t n, struct str secret)
{
    enum { SECRET_MIN = 8 };
    size_t at;

    if (secret.n < SECRET_MIN)
        return;
    while ((at = str_find((struct str){p, n}, secret)) != SIZE_MAX) {
        memset(p + at, '*', secret.n);
        p += at + secret.n;
        n -= at + secret.n;
    }
}

/* Copies `text` with every occurrence of `secret` masked. */
static struct str masked(struct arena *a, struct str text, struct str secret)
{
    struct str copy = arena_str(a, text);

    envelope_mask((char *)(uintptr_t)copy.p, copy.n, secret);
    return copy;
}

static struct str text_of(yyjson_val *v)
{
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)} : (struct str){0};
}

/* Anthropic's clients decide by what stands there (B.11). */
static struct str details_of(struct arena *a, yyjson_val *error, struct str secret)
{
    enum { DETAILS_MAX_BYTES = 4096 };
    yyjson_val *details = yyjson_obj_get(error, "details");
    struct str copy = {0};
    size_t n = 0;
    char *text = yyjson_is_obj(details) ? yyjson_val_write(details, 0, &n) : NULL;

    if (text && n <= DETAILS_MAX_BYTES)
        copy = masked(a, (struct str){text, n}, secret);
    free(text);
    return copy;
}

/* Some put the object into a list of one. */
static yyjson_val *error_root(yyjson_doc *doc)
{
    yyjson_val *root = yyjson_doc_get_root(doc);

    return yyjson_is_arr(root) ? yyjson_arr_get_first(root) : root;
}

void envelope_read(struct arena *a, struct error_facts *f, struct str body, struct str secret)
{
    /* Where the sentence may stand, first match wins. */
    static const char *const places[] = {"message", "detail", "msg", "error", "title"};
    yyjson_doc *doc = yyjson_read(body.p, body.n, 0);
    yyjson_val *root = error_root(doc);
    yyjson_val *error = yyjson_obj_get(root, "error");
    yyjson_val *at = yyjson_is_obj(error) ? error : root;
    struct str message = {0};

    for (size_t i = 0; i < ARRAY_LEN(places) && !message.n; i++) {
        yyjson_val *v = yyjson_obj_get(at, places[i]);
        if (yyjson_is_arr(v))
            v = yyjson_arr_get_first(v);
        if (yyjson_is_obj(v))
            v = yyjson_obj_get(v, "msg") ? yyjson_obj_get(v, "msg") : yyjson_obj_get(v, "message");
        message = text_of(v);
    }
    if (!message.n && yyjson_is_arr(yyjson_obj_get(at, "errors")))
        message =
            text_of(yyjson_obj_get(yyjson_arr_get_first(yyjson_obj_get(at, "errors")), "message"));
    f->message = message.n
                     ? masked(a, message, secret)
                     : arena_printf(a, "The model service answered with status %u.", f->status);
    f->provider_type = masked(a, text_of(yyjson_obj_get(at, "type")), secret);
    f->param = masked(a, text_of(yyjson_obj_get(at, "param")), secret);
    f->provider_code = masked(a, text_of(yyjson_obj_get(at, "code")), secret);
    f->details = details_of(a, error, secret);
    yyjson_doc_free(doc);
}

uint16_t envelope_error_status(struct str body)
{
    static const struct status_type statuses[] = {
        {400, 400, STR_INIT("invalid_request_error")}, {401, 401, STR_INIT("authentication_error")},
        {403, 403, STR_INIT("permission_error")},      {404, 404, STR_INIT("not_found_error")},
        {413, 413, STR_INIT("request_too_large")},     {429, 429, STR_INIT("rate_limit_error")},
        {429, 429, STR_INIT("insufficient_quota")},    {429, 429, STR_INIT("rate_limit_exceeded")},
        {503, 503, STR_INIT("service_unavailable")},   {504, 504, STR_INIT("timeout_error")},
        {529, 529, STR_INIT("overloaded_error")},
    };
    yyjson_doc *doc = yyjson_read(body.p, body.n, YYJSON_READ_STOP_WHEN_DONE);
    yyjson_val *root = error_root(doc), *error = yyjson_obj_get(root, "error");
    yyjson_val *at = yyjson_is_obj(error) ? error : root; /* the Responses event is flat */
    yyjson_val *code = yyjson_obj_get(at, "code");
    struct str type = text_of(yyjson_obj_get(at, "type")), name = text_of(code);
    uint32_t status = (uint32_t)MIN(yyjson_get_uint(code), (uint64_t)UINT32_MAX);

    if (!status && !num_u32(name, &status))
        status = 0;
    if (status < 400 || status > 599) {
        status = 500;
        for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
            if (str_eq(type, statuses[i].type) || str_eq(name, statuses[i].type))
                status = statuses[i].from;
    }
    yyjson_doc_free(doc);
    return (uint16_t)status;
}

uint16_t envelope_status(enum api api, unsigned upstream_status)
{
    switch (upstream_status) {
    case 529: /* F.10 */
        return api_is_anthropic(api) ? 529 : 503;
    case 424:
        return 502;
    case 498:
        return 401;
    case 499:
        return 502;
    default:
        return upstream_status >= 400 && upstream_status <= 599 ? (uint16_t)upstream_status : 502;
    }
}

void envelope_refusal(struct error_facts *f, enum api api, unsigned upstream_status)
{
    f->status = envelope_status(api, upstream_status);
    if (upstream_status == 529 && f->status == 503) {
        f->type = STR("service_unavailable_error");
        f->code = STR("server_is_overloaded");
    }
}
