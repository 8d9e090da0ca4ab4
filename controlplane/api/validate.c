#include "api/validate.h"

#include <math.h>

#include "common/http/url.h"
#include "common/num.h"

#include "api/reply.h"

enum {
    ERRORS_MAX = 100, /* told of one body */
};

/* ---- errors ---- */

static yyjson_mut_val *loc_add(struct store *s, const yyjson_mut_val *loc, struct str name)
{
    yyjson_mut_val *more = row_copy(s, loc);

    row_append(s, more, yyjson_mut_strncpy(s->doc, name.p, name.n));
    return more;
}

static yyjson_mut_val *loc_at(struct store *s, const yyjson_mut_val *loc, size_t i)
{
    yyjson_mut_val *more = row_copy(s, loc);

    row_append(s, more, yyjson_mut_uint(s->doc, i));
    return more;
}

/* Appends an error; gives NULL. `ctx` NULL: none. */
static yyjson_mut_val *fail(struct store *s, yyjson_mut_val *errors, const char *type,
                            const yyjson_mut_val *loc, const char *msg, const yyjson_mut_val *input,
                            yyjson_mut_val *ctx)
{
    yyjson_mut_val *e = row_new(s);

    if (yyjson_mut_arr_size(errors) >= ERRORS_MAX)
        return NULL;
    row_put_text(s, e, "type", str_of(type));
    row_put(s, e, "loc", loc);
    row_put_text(s, e, "msg", str_of(msg));
    row_put(s, e, "input", input ? row_copy(s, input) : NULL);
    if (ctx)
        row_put(s, e, "ctx", ctx);
    row_append(s, errors, e);
    return NULL;
}

/* "'a', 'b' or 'c'" of "a|b|c" */
static struct str expected(struct arena *a, const char *values)
{
    struct str rest = str_of(values), one, text = {0};
    bool more;

    do {
        more = str_cut(rest, '|', &one, &rest);
        text = arena_printf(a, STR_FMT "%s'" STR_FMT "'", STR_ARG(text),
                            !text.n ? ""
                            : more  ? ", "
                                    : " or ",
                            STR_ARG(one));
    } while (more);
    return text;
}

/* ---- scalars ---- */

static struct str text_of(const yyjson_mut_val *v)
{
    return (struct str){yyjson_mut_get_str((yyjson_mut_val *)(uintptr_t)v),
                        yyjson_mut_get_len((yyjson_mut_val *)(uintptr_t)v)};
}

static bool parse_number(struct str s, double *ret)
{
    char buf[64], *end;

    s = str_trim(s);
    if (!s.n || s.n >= sizeof buf)
        return false;
    memcpy(buf, s.p, s.n);
    buf[s.n] = '\0';
    for (size_t i = 0; i < s.n; i++) /* no hexadecimal, no names */
        if (!strchr("0123456789+-.eE", buf[i]))
            return false;
    *ret = strtod(buf, &end);
    return *end == '\0' && isfinite(*ret);
}

static yyjson_mut_val *to_integer(struct store *s, yyjson_mut_val *v, const yyjson_mut_val *loc,
                                  yyjson_mut_val *errors)
{
    double d = 0;

    if (yyjson_mut_is_bool(v))
        return yyjson_mut_sint(s->doc, yyjson_mut_get_bool(v));
    if (yyjson_mut_is_sint(v))
        return v;
    if (yyjson_mut_is_uint(v))
        return yyjson_mut_get_uint(v) <= INT64_MAX
                   ? v
                   : fail(s, errors, "int_parsing_size", loc,
                          "Unable to parse input string as an integer, exceeded maximum size", v,
                          NULL);
    if (yyjson_mut_is_str(v)) {
        if (!parse_number(text_of(v), &d) || d != floor(d))
            return fail(s, errors, "int_parsing", loc,
                        "Input should be a valid integer, unable to parse string as an integer", v,
                        NULL);
    } else if (yyjson_mut_is_real(v)) {
        d = yyjson_mut_get_real(v);
        if (d != floor(d))
            return fail(s, errors, "int_from_float", loc,
                        "Input should be a valid integer, got a number with a fractional part", v,
                        NULL);
    } else {
        return fail(s, errors, "int_type", loc, "Input should be a valid integer", v, NULL);
    }
    if (fabs(d) > 9007199254740992.0)
        return fail(s, errors, "int_parsing_size", loc,
                    "Unable to parse input string as an integer, exceeded maximum size", v, NULL);
    return yyjson_mut_sint(s->doc, (int64_t)d);
}

static yyjson_mut_val *to_number(struct store *s, yyjson_mut_val *v, const yyjson_mut_val *loc,
                                 yyjson_mut_val *errors)
{
    double d;

    if (yyjson_mut_is_bool(v))
        return yyjson_mut_real(s->doc, yyjson_mut_get_bool(v));
    if (yyjson_mut_is_num(v))
        return v;
    if (!yyjson_mut_is_str(v))
        return fail(s, errors, "float_type", loc, "Input should be a valid number", v, NULL);
    if (!parse_number(text_of(v), &d))
        return fail(s, errors, "float_parsing", loc,
                    "Input should be a valid number, unable to parse string as a number", v, NULL);
    return yyjson_mut_real(s->doc, d);
}

static yyjson_mut_val *to_boolean(struct store *s, yyjson_mut_val *v, const yyjson_mut_val *loc,
                                  yyjson_mut_val *errors)
{
    static const struct {
        struct str word;
        bool value;
    } words[] = {
        {STR_INIT("true"), true},   {STR_INIT("1"), true},  {STR_INIT("yes"), true},
        {STR_INIT("on"), true},     {STR_INIT("t"), true},  {STR_INIT("y"), true},
        {STR_INIT("false"), false}, {STR_INIT("0"), false}, {STR_INIT("no"), false},
        {STR_INIT("off"), false},   {STR_INIT("f"), false}, {STR_INIT("n"), false},
    };
    double d = yyjson_mut_is_num(v) ? yyjson_mut_get_num(v) : -1;

    if (yyjson_mut_is_bool(v))
        return v;
    if (fpclassify(d) == FP_ZERO || fpclassify(d - 1) == FP_ZERO)
        return yyjson_mut_bool(s->doc, d > 0);
    for (size_t i = 0; yyjson_mut_is_str(v) && i < ARRAY_LEN(words); i++)
        if (str_ieq(text_of(v), words[i].word))
            return yyjson_mut_bool(s->doc, words[i].value);
    if (yyjson_mut_is_str(v) || yyjson_mut_is_num(v))
        return fail(s, errors, "bool_parsing", loc,
                    "Input should be a valid boolean, unable to interpret input", v, NULL);
    return fail(s, errors, "bool_type", loc, "Input should be a valid boolean", v, NULL);
}

/* YYYY-MM-DD, then T or a blank, HH:MM[:SS[.fff]], then Z or an offset; or a date alone. */
static bool is_time(struct str s)
{
    static const char shape[] = "dddd-dd-dd";
    static const char clock[] = "dd:dd";

    if (s.n < 10)
        return false;
    for (size_t i = 0; i < 10; i++)
        if (shape[i] == 'd' ? s.p[i] < '0' || s.p[i] > '9' : s.p[i] != shape[i])
            return false;
    if (s.n == 10)
        return true;
    if (s.n < 16 || (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' '))
        return false;
    for (size_t i = 0; i < 5; i++)
        if (clock[i] == 'd' ? s.p[11 + i] < '0' || s.p[11 + i] > '9' : s.p[11 + i] != clock[i])
            return false;
    for (size_t i = 16; i < s.n; i++)
        if (!strchr("0123456789:.+-Zz", s.p[i]))
            return false;
    return s.n <= 40;
}

static yyjson_mut_val *to_time(struct store *s, yyjson_mut_val *v, const yyjson_mut_val *loc,
                               yyjson_mut_val *errors)
{
    yyjson_mut_val *ctx;

    if (yyjson_mut_is_str(v) && is_time(text_of(v)))
        return v;
    if (!yyjson_mut_is_str(v))
        return fail(s, errors, "datetime_type", loc, "Input should be a valid datetime", v, NULL);
    ctx = row_new(s);
    row_put_text(s, ctx, "error", STR("invalid character in year"));
    return fail(s, errors, "datetime_from_date_parsing", loc,
                "Input should be a valid datetime or date, invalid character in year", v, ctx);
}

static yyjson_mut_val *to_choice(struct store *s, const struct field *f, yyjson_mut_val *v,
                                 const yyjson_mut_val *loc, yyjson_mut_val *errors)
{
    if (yyjson_mut_is_str(v) && str_is_among(text_of(v), str_of(f->values)))
        return v;
    struct str list = expected(s->arena, f->values);
    yyjson_mut_val *ctx = row_new(s);
    row_put_text(s, ctx, "expected", list);
    struct str msg = arena_printf(s->arena, "Input should be " STR_FMT, STR_ARG(list));
    return fail(s, errors, "literal_error", loc, msg.p ? msg.p : "", v, ctx);
}

/* ---- bounds ---- */

static yyjson_mut_val *bounded(struct store *s, const struct field *f, yyjson_mut_val *v,
                               const yyjson_mut_val *loc, yyjson_mut_val *errors)
{
    double d = yyjson_mut_get_num(v);
    bool below = f->has_min && d < f->min, above = f->has_max && d > f->max;

    if (!below && !above)
        return v;
    yyjson_mut_val *ctx = row_new(s);
    double bound = below ? f->min : f->max;
    row_put_int(s, ctx, below ? "ge" : "le", (int64_t)bound);
    struct str msg = arena_printf(s->arena, "Input should be %s than or equal to %.15g",
                                  below ? "greater" : "less", bound);
    return fail(s, errors, below ? "greater_than_equal" : "less_than_equal", loc,
                msg.p ? msg.p : "", v, ctx);
}

/* ---- objects and lists ---- */

static yyjson_mut_val *to_object(struct store *s, enum field_list l, yyjson_mut_val *v,
                                 const yyjson_mut_val *loc, yyjson_mut_val *errors)
{
    yyjson_mut_val *out = row_new(s), *sent;
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l))) {
        sent = yyjson_mut_obj_getn(v, f->name.p, f->name.n);
        if (!sent && !f->required)
            continue;
        yyjson_mut_val *at = loc_add(s, loc, f->name);
        if (!sent)
            (void)fail(s, errors, "missing", at, "Field required", v, NULL);
        else if (yyjson_mut_is_null(sent) && !f->required && !f->not_null)
            row_put_null(s, out, f->name.p);
        else if ((sent = validate_value(s, f, sent, at, errors)))
            row_put(s, out, f->name.p, sent);
    }
    return out;
}

static yyjson_mut_val *to_list(struct store *s, const struct field *f, yyjson_mut_val *v,
                               const yyjson_mut_val *loc, yyjson_mut_val *errors)
{
    yyjson_mut_val *out, *item;
    size_t i, n;

    if (!yyjson_mut_is_arr(v))
        return fail(s, errors, "list_type", loc, "Input should be a valid list", v, NULL);
    if (f->type == FIELD_LIST && f->sub == FIELDS_NONE)
        return v;
    out = row_list(s);
    yyjson_mut_arr_foreach(v, i, n, item)
    {
        const yyjson_mut_val *at = loc_at(s, loc, i);
        yyjson_mut_val *one = NULL;
        if (f->type == FIELD_TEXTS && !yyjson_mut_is_str(item))
            (void)fail(s, errors, "string_type", at, "Input should be a valid string", item, NULL);
        else if (f->type == FIELD_LIST && !yyjson_mut_is_obj(item))
            (void)fail(s, errors, "model_attributes_type", at,
                       "Input should be a valid dictionary or object to extract fields from", item,
                       NULL);
        else
            one = f->type == FIELD_TEXTS ? item : to_object(s, f->sub, item, at, errors);
        if (one)
            row_append(s, out, one);
    }
    return out;
}

yyjson_mut_val *validate_value(struct store *s, const struct field *f, yyjson_mut_val *v,
                               const yyjson_mut_val *loc, yyjson_mut_val *errors)
{
    switch (f->type) {
    case FIELD_TEXT:
        return yyjson_mut_is_str(v)
                   ? v
                   : fail(s, errors, "string_type", loc, "Input should be a valid string", v, NULL);
    case FIELD_INTEGER:
        v = to_integer(s, v, loc, errors);
        return v ? bounded(s, f, v, loc, errors) : NULL;
    case FIELD_NUMBER:
        v = to_number(s, v, loc, errors);
        return v ? bounded(s, f, v, loc, errors) : NULL;
    case FIELD_BOOLEAN:
        return to_boolean(s, v, loc, errors);
    case FIELD_TIME:
        return to_time(s, v, loc, errors);
    case FIELD_CHOICE:
        return to_choice(s, f, v, loc, errors);
    case FIELD_OBJECT:
        if (!yyjson_mut_is_obj(v))
            return fail(s, errors, "dict_type", loc, "Input should be a valid dictionary", v, NULL);
        return f->sub == FIELDS_NONE ? v : to_object(s, f->sub, v, loc, errors);
    case FIELD_LIST:
    case FIELD_TEXTS:
        return to_list(s, f, v, loc, errors);
    case FIELD_ANY:
        return v;
    }
    return v;
}

/* ---- body and query ---- */

/* What of a body is not read, whether it is JSON or not; NULL: nothing. A database has no NUL. */
static const char *body_fault(struct str body)
{
    unsigned depth = 0, values = 0;
    bool in_text = false;

    for (size_t i = 0; i < body.n; i++) {
        char ch = body.p[i];
        if (in_text) {
            if (ch == '\\') {
                if (str_starts(str_from(body, i + 1), STR("u0000")))
                    return "A text holds a NUL";
                i++;
            } else {
                in_text = ch != '"';
            }
        } else if (ch == '"') {
            in_text = true;
        } else if (ch == '{' || ch == '[') {
            if (++depth > VALIDATE_DEPTH)
                return "Nested too deep";
        } else if ((ch == '}' || ch == ']') && depth) {
            depth--;
        } else if (ch == ',' && ++values > VALIDATE_VALUES) {
            return "Too many values";
        }
    }
    return NULL;
}

static yyjson_mut_val *loc_of(struct store *s, const char *where)
{
    yyjson_mut_val *loc = row_list(s);

    (void)yyjson_mut_arr_add_str(s->doc, loc, where);
    return loc;
}

/* A name twice would be read one way here and another way elsewhere. */
static bool has_repeated(const yyjson_mut_val *body, enum field_list l)
{
    struct field_walk w = {0};
    const struct field *f;

    while ((f = field_next(&w, l))) {
        yyjson_mut_val *k, *v;
        size_t i, n;
        unsigned seen = 0;
        yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)body, i, n, k, v)
        {
            seen += yyjson_mut_equals_strn(k, f->name.p, f->name.n);
        }
        if (seen > 1)
            return true;
    }
    return false;
}

static yyjson_mut_val *read_body(struct call *c, struct str body, enum field_list l,
                                 yyjson_mut_val *errors)
{
    struct store *s = &c->store;
    yyjson_mut_val *loc = loc_of(s, "body"), *v;

    body = str_trim(body);
    if (!body.n) {
        if (!field_list_is_required(l))
            return row_new(s);
        return fail(s, errors, "missing", loc, "Field required", NULL, NULL);
    }
    const char *fault = body_fault(body);
    v = fault ? NULL : store_json(s, body);
    if (!v) {
        yyjson_mut_val *ctx = row_new(s);
        row_put_text(s, ctx, "error", str_of(fault ? fault : "Expecting value"));
        (void)yyjson_mut_arr_add_uint(s->doc, loc, 0);
        return fail(s, errors, "json_invalid", loc, "JSON decode error", row_new(s), ctx);
    }
    if (!yyjson_mut_is_obj(v))
        return fail(s, errors, "model_attributes_type", loc,
                    "Input should be a valid dictionary or object to extract fields from", v, NULL);
    if (has_repeated(v, l))
        return fail(s, errors, "json_invalid", loc, "A member occurs twice", row_new(s), NULL);
    return to_object(s, l, v, loc, errors);
}

/* Decoded, '+' as a blank; p NULL when it cannot be. */
static struct str query_text(struct arena *a, struct str s)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = out ? url_decode(out, s) : SIZE_MAX;

    if (n == SIZE_MAX)
        return (struct str){0};
    for (size_t i = 0, k = 0; i < s.n; i++, k++) { /* a '+' that was escaped stays */
        if (s.p[i] == '%')
            i += 2;
        else if (s.p[i] == '+')
            out[k] = ' ';
    }
    out[n] = '\0';
    return (struct str){out, n};
}

static yyjson_mut_val *read_query(struct call *c, enum field_list l, yyjson_mut_val *errors)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = row_new(s), *v;
    struct str rest = c->match.query, name, value;

    while (query_next(&rest, &name, &value)) {
        name = query_text(s->arena, name);
        const struct field *f = name.p ? field_find(l, name) : NULL;
        if (!f)
            continue;
        value = query_text(s->arena, value);
        if (!value.p) {
            (void)fail(s, errors, "string_unicode", loc_add(s, loc_of(s, "query"), name),
                       "Input should be a valid string, unable to parse raw data as a unicode "
                       "string",
                       NULL, NULL);
            continue;
        }
        v = yyjson_mut_strn(s->doc, value.p, value.n);
        if (f->type == FIELD_TEXTS || f->type == FIELD_LIST) {
            if (!row_val(sent, f->name.p))
                row_put(s, sent, f->name.p, row_list(s));
            row_append(s, row_val(sent, f->name.p), v);
        } else {
            row_put(s, sent, f->name.p, v); /* of several the last, as the other reads it */
        }
    }
    return to_object(s, l, sent, loc_of(s, "query"), errors);
}

/* Members that only an admin may set (threats R-02), those of objects among them; objects of a list
 * are the handler's. */
static bool check_writable(struct call *c, enum field_list l, const yyjson_mut_val *in)
{
    struct field_walk w = {0};
    const struct field *f;

    if (rbac_is_admin(&c->caller))
        return true;
    while ((f = field_next(&w, l))) {
        yyjson_mut_val *v = row_val(in, f->name.p);
        if (v && f->admin) {
            refuse(c, 403, "Only proxy admins can set %s. Your role=%s", f->name.p,
                   role_name(c->caller.role));
            return false;
        }
        if (v && f->type == FIELD_OBJECT && f->sub && !check_writable(c, f->sub, v))
            return false;
    }
    return true;
}

bool validate(struct call *c)
{
    enum field_list l = (enum field_list)c->route->input;
    yyjson_mut_val *errors = row_list(&c->store);

    if (field_list_where(l) == FIELD_QUERY)
        c->in = read_query(c, l, errors);
    else
        c->in = read_body(c, call_body(c), l, errors);
    if (yyjson_mut_arr_size(errors)) {
        refuse_invalid(c, errors);
        return false;
    }
    return check_writable(c, l, c->in);
}

/* ---- what was sent ---- */

static const struct field *declared(const struct call *c, const char *name)
{
    const struct field *f = field_find((enum field_list)c->route->input, str_of(name));

    ASSERT(f); /* a name that the route's list lacks is a mistake of the handler */
    return f;
}

bool in_sent(const struct call *c, const char *name)
{
    (void)declared(c, name);
    return yyjson_mut_obj_get(c->in, name) != NULL;
}

bool in_set(const struct call *c, const char *name)
{
    (void)declared(c, name);
    return row_val(c->in, name) != NULL;
}

yyjson_mut_val *in_val(const struct call *c, const char *name)
{
    const struct field *f = declared(c, name);
    yyjson_mut_val *v = row_val(c->in, name);

    if (v || !f->dflt)
        return v;
    return store_json((struct store *)(uintptr_t)&c->store, str_of(f->dflt));
}

struct str in_text(const struct call *c, const char *name)
{
    yyjson_mut_val *v = in_val(c, name);

    return yyjson_mut_is_str(v) ? text_of(v) : (struct str){0};
}

double in_num(const struct call *c, const char *name)
{
    yyjson_mut_val *v = in_val(c, name);

    return yyjson_mut_is_num(v) ? yyjson_mut_get_num(v) : 0;
}

int64_t in_int(const struct call *c, const char *name)
{
    return yyjson_mut_get_sint(in_val(c, name));
}

bool in_bool(const struct call *c, const char *name)
{
    return yyjson_mut_is_true(in_val(c, name));
}
