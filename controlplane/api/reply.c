/* Bodies of answers: litellm-controlplane.md 1.2. */

#include "api/reply.h"

#include <math.h>

#include "common/jw.h"

static void answer(struct call *c, unsigned status, struct str body)
{
    if (c->status)
        return;
    c->status = status;
    c->type = STR("application/json");
    c->body = body;
}

void reply_status(struct call *c, unsigned status, const yyjson_mut_val *value)
{
    if (!c->status)
        answer(c, status, row_json(&c->store, value));
}

void reply(struct call *c, const yyjson_mut_val *value)
{
    reply_status(c, 200, value);
}

void reply_text(struct call *c, struct str type, struct str body)
{
    answer(c, 200, body);
    c->type = type;
}

void reply_json(struct call *c, struct str json)
{
    answer(c, 200, arena_str(&c->arena, json));
}

struct str python_repr(struct arena *a, struct str s)
{
    char quote = memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    char *out = arena_alloc(a, 2 * s.n + 2), *p = out;

    if (!out)
        return (struct str){0};
    *p++ = quote;
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i] == '\n' ? 'n' : s.p[i];
        if (ch == quote || ch == '\\' || s.p[i] == '\n')
            *p++ = '\\';
        *p++ = ch;
    }
    *p++ = quote;
    return (struct str){out, (size_t)(p - out)};
}

struct str python_float(struct arena *a, double d)
{
    char buf[40];
    int digits = 15;

    do {
        (void)snprintf(buf, sizeof buf, "%.*g", digits, d);
    } while (digits++ < 17 && fabs(strtod(buf, NULL) - d) > 0);
    return arena_printf(a, "%s%s", buf, strpbrk(buf, ".en") ? "" : ".0");
}

struct str python_list(struct store *s, const yyjson_mut_val *list)
{
    struct str text = STR("[");
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        struct str one =
            yyjson_mut_is_str(v)
                ? python_repr(s->arena, (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)})
                : row_json(s, v);
        text = arena_printf(s->arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i ? ", " : "",
                            STR_ARG(one));
    }
    return arena_printf(s->arena, STR_FMT "]", STR_ARG(text));
}

/* {"error": {"message", "type", "param", "code"}}; param NULL is null. */
static struct str proxy_body(struct arena *a, unsigned status, const char *type, const char *param,
                             struct str message)
{
    struct jw w = jw_init(a);
    char code[8];

    (void)snprintf(code, sizeof code, "%u", status);
    jw_obj(&w);
    jw_key(&w, STR("error"));
    jw_obj(&w);
    jw_key(&w, STR("message"));
    jw_put_str(&w, message);
    jw_key(&w, STR("type"));
    jw_put_str(&w, str_of(type));
    jw_key(&w, STR("param"));
    if (param)
        jw_put_str(&w, str_of(param));
    else
        jw_put_null(&w);
    jw_key(&w, STR("code"));
    jw_put_str(&w, str_of(code));
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}

/* `member` NULL: the text itself. */
static struct str plain_body(struct arena *a, const char *member, struct str text)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("detail"));
    if (member) {
        jw_obj(&w);
        jw_key(&w, str_of(member));
        jw_put_str(&w, text);
        jw_end(&w);
    } else {
        jw_put_str(&w, text);
    }
    jw_end(&w);
    return jw_finish(&w);
}

static void refuse_with(struct call *c, unsigned status, const char *member, struct str text)
{
    struct arena *a = &c->arena;
    struct str printed = text;

    if (c->status)
        return;
    c->is_refused = true;
    c->refusal = text;
    if (member && c->route->envelope != ENVELOPE_PLAIN) {
        struct str repr = python_repr(a, text);
        printed = arena_printf(a, "{'%s': " STR_FMT "}", member, STR_ARG(repr));
    }
    switch ((enum envelope)c->route->envelope) {
    case ENVELOPE_PROXY:
    case ENVELOPE_PROXY_LIST:
        answer(c, status, proxy_body(a, status, "internal_server_error", "None", printed));
        break;
    case ENVELOPE_PROXY_AUTH:
        answer(c, status, proxy_body(a, status, "auth_error", "None", printed));
        break;
    case ENVELOPE_PROXY_SPEND:
        printed = arena_printf(a, STR_FMT " Error(" STR_FMT ")", STR_ARG(c->route->path),
                               STR_ARG(printed));
        answer(c, status, proxy_body(a, status, "internal_error", "None", printed));
        break;
    case ENVELOPE_PLAIN:
        answer(c, status, plain_body(a, member, text));
        break;
    }
}

struct str refusal_text(const struct call *c)
{
    return c->refusal;
}

void refusal_clear(struct call *c)
{
    c->status = 0;
    c->is_refused = false;
    c->refusal = c->body = (struct str){0};
}

static struct str format(struct call *c, const char *fmt, va_list ap) PRINTF(2, 0);

static struct str format(struct call *c, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    char *p = n < 0 ? NULL : arena_alloc(&c->arena, (size_t)n + 1);
    if (!p)
        return (struct str){0};
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    return (struct str){p, (size_t)n};
}

void refuse(struct call *c, unsigned status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    refuse_with(c, status, "error", format(c, fmt, ap));
    va_end(ap);
}

void refuse_message(struct call *c, unsigned status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    refuse_with(c, status, "message", format(c, fmt, ap));
    va_end(ap);
}

void refuse_text(struct call *c, unsigned status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    refuse_with(c, status, NULL, format(c, fmt, ap));
    va_end(ap);
}

void refuse_as(struct call *c, unsigned status, const char *type, const char *param,
               const char *fmt, ...)
{
    va_list ap;

    if (c->status)
        return;
    va_start(ap, fmt);
    c->is_refused = true;
    c->refusal = format(c, fmt, ap);
    va_end(ap);
    answer(c, status, proxy_body(&c->arena, status, type, param, c->refusal));
}

void refuse_invalid(struct call *c, const yyjson_mut_val *errors)
{
    yyjson_mut_val *body = row_new(&c->store);

    row_put(&c->store, body, "detail", (yyjson_mut_val *)(uintptr_t)errors);
    c->is_refused = true;
    reply_status(c, 422, body);
}

void reply_fault(struct call *c, enum db_fault fault)
{
    static const struct {
        unsigned status;
        const char *type, *message;
    } rows[] = {
        [DB_AWAY] = {503, "no_db_connection",
                     "The database cannot be reached. Please retry shortly."},
        [DB_SLOW] = {503, "no_db_connection",
                     "The database did not answer in time. Please retry shortly."},
        [DB_RETRY] = {503, "no_db_connection", "Other changes were in the way. Please retry."},
        [DB_UNIQUE] = {409, "bad_request_error", "An object of that name exists already."},
        [DB_REFERENCE] = {400, "bad_request_error",
                          "It refers to an object that does not exist, or one refers to it."},
        [DB_DATA] = {400, "bad_request_error", "A value is not acceptable to the database."},
        [DB_CANCELLED] = {503, "internal_server_error", "The request was cancelled."},
        [DB_NOMEM] = {503, "internal_server_error", "Out of memory for this request."},
        [DB_BUG] = {500, "internal_server_error", "Internal Server Error"},
        [DB_OK] = {500, "internal_server_error", "Internal Server Error"},
    };

    c->status = 0;
    c->is_refused = true;
    answer(c, rows[fault].status,
           proxy_body(&c->arena, rows[fault].status, rows[fault].type, NULL,
                      str_of(rows[fault].message)));
    if (rows[fault].status == 503)
        c->headers = STR("Retry-After: 1\r\n");
}
