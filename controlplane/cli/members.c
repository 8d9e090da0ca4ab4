#include "cli/members.h"

static const struct {
    const char *method, *path;
    enum field_list input;
} routes[] = {
#define ADMIN_ROUTE(id, method, path, policy, lane, audit, envelope, input, output, handler,       \
                    sentence)                                                                      \
    {#method, path, FIELDS_##input},
#include "proto/routes.def"
};

bool members_of_route(const char *method, const char *path, enum field_list *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++)
        if (str_eq(str_of(method), str_of(routes[i].method)) &&
            str_eq(str_of(path), str_of(routes[i].path))) {
            *ret = routes[i].input;
            return true;
        }
    *ret = FIELDS_ANYTHING;
    return false;
}

const char *member_form(const struct field *f)
{
    switch (f->type) {
    case FIELD_TEXT:
        return "text";
    case FIELD_INTEGER:
        return "whole number";
    case FIELD_NUMBER:
        return "number";
    case FIELD_BOOLEAN:
        return "true|false";
    case FIELD_TIME:
        return "2026-12-31T00:00:00Z";
    case FIELD_CHOICE:
        return f->values;
    case FIELD_OBJECT:
        return "{JSON}";
    case FIELD_LIST:
    case FIELD_TEXTS:
        return "a,b,c";
    case FIELD_ANY:
        break;
    }
    return "any";
}

static yyjson_mut_val *text_value(yyjson_mut_doc *doc, struct str s)
{
    return yyjson_mut_strncpy(doc, s.n ? s.p : "", s.n);
}

/* One JSON value and nothing behind it; NULL when it is none. */
static yyjson_mut_val *json_value(yyjson_mut_doc *doc, struct str s)
{
    yyjson_doc *read = yyjson_read(s.n ? s.p : "", s.n, 0);
    yyjson_mut_val *v = read ? yyjson_val_mut_copy(doc, yyjson_doc_get_root(read)) : NULL;

    yyjson_doc_free(read);
    return v;
}

static yyjson_mut_val *list_value(yyjson_mut_doc *doc, struct str s)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    struct str one;
    bool more = s.n;

    while (more) {
        more = str_cut(s, ',', &one, &s);
        (void)yyjson_mut_arr_append(list, text_value(doc, str_trim(one)));
    }
    return list;
}

/* NULL: it is no value of that type. */
static yyjson_mut_val *typed_value(yyjson_mut_doc *doc, enum field_type type, struct str s)
{
    yyjson_mut_val *v = json_value(doc, s);

    if (yyjson_mut_is_null(v))
        return v;
    switch (type) {
    case FIELD_TEXT:
    case FIELD_TIME:
    case FIELD_CHOICE:
        return text_value(doc, s);
    case FIELD_INTEGER:
        return yyjson_mut_is_int(v) ? v : NULL;
    case FIELD_NUMBER:
        return yyjson_mut_is_num(v) ? v : NULL;
    case FIELD_BOOLEAN:
        return yyjson_mut_is_bool(v) ? v : NULL;
    case FIELD_OBJECT:
        return yyjson_mut_is_obj(v) ? v : NULL;
    case FIELD_LIST:
    case FIELD_TEXTS:
        return yyjson_mut_is_arr(v) ? v : list_value(doc, s);
    case FIELD_ANY:
        break;
    }
    return v ? v : text_value(doc, s);
}

/* The object behind the dots of `path`, made where it is missing; *path is the last name then. */
static yyjson_mut_val *descend(yyjson_mut_doc *doc, yyjson_mut_val *obj, struct str *path)
{
    struct str name, rest;

    while (str_cut(*path, '.', &name, &rest)) {
        yyjson_mut_val *next = yyjson_mut_obj_getn(obj, name.p, name.n);
        if (!yyjson_mut_is_obj(next)) {
            next = yyjson_mut_obj(doc);
            (void)yyjson_mut_obj_put(obj, text_value(doc, name), next);
        }
        obj = next;
        *path = rest;
    }
    return obj;
}

enum errc member_put(yyjson_mut_doc *doc, yyjson_mut_val *obj, enum field_list list, struct str arg,
                     struct err *e)
{
    struct str path, value, top, rest;
    const struct field any = {.type = FIELD_ANY}, *f = &any;

    if (!str_cut(arg, '=', &path, &value) || !path.n)
        return err_set(e, ERRC_INVALID, 0, "\"" STR_FMT "\" is not name=value", STR_ARG(arg));
    bool nested = str_cut(path, '.', &top, &rest);
    if (list != FIELDS_ANYTHING) {
        f = field_find(list, top);
        if (!f)
            return err_set(e, ERRC_INVALID, 0, "there is no member \"" STR_FMT "\"", STR_ARG(top));
        if (nested && f->type != FIELD_OBJECT && f->type != FIELD_ANY)
            return err_set(e, ERRC_INVALID, 0, "\"" STR_FMT "\" has no members", STR_ARG(top));
    }
    enum field_type type = f->type;
    if (nested) {
        const struct field *sub = f->sub ? field_find(f->sub, rest) : NULL;
        type = sub ? sub->type : FIELD_ANY;
    }
    yyjson_mut_val *v = typed_value(doc, type, value);
    if (!v)
        return err_set(e, ERRC_INVALID, 0, "\"" STR_FMT "\" needs %s, not \"" STR_FMT "\"",
                       STR_ARG(path), member_form(f), STR_ARG(value));
    obj = descend(doc, obj, &path);
    return yyjson_mut_obj_put(obj, text_value(doc, path), v) ? ERRC_OK
                                                             : err_set(e, ERRC_NOMEM, 0, "request");
}
