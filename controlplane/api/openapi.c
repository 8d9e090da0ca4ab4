/* The description of every route, written from the tables that dispatch and validate. */

#include "common/jw.h"

#include "api/api.h"
#include "api/reply.h"

static void put(struct jw *w, const char *key, const char *value)
{
    jw_key(w, str_of(key));
    jw_put_str(w, str_of(value));
}

static void put_ref(struct jw *w, enum field_list l)
{
    char ref[96];

    (void)snprintf(ref, sizeof ref, "#/components/schemas/%s", field_list_title(l));
    put(w, "$ref", ref);
}

static const char *json_type(enum field_type t)
{
    static const char *const names[] = {
#define X(id, json) json,
        FIELD_TYPES(X)
#undef X
    };
    return names[t];
}

/* The members of a schema of one field, null aside. */
static void put_type(struct jw *w, const struct field *f)
{
    bool sub = f->sub != FIELDS_NONE;

    if (f->type == FIELD_OBJECT && sub) {
        put_ref(w, f->sub);
        return;
    }
    if (f->type != FIELD_ANY)
        put(w, "type", json_type(f->type));
    if (f->type == FIELD_TIME)
        put(w, "format", "date-time");
    if (f->type == FIELD_CHOICE) {
        struct str rest = str_of(f->values), one;
        bool more;
        jw_key(w, STR("enum"));
        jw_arr(w);
        do {
            more = str_cut(rest, '|', &one, &rest);
            jw_put_str(w, one);
        } while (more);
        jw_end(w);
    }
    if (f->type == FIELD_LIST || f->type == FIELD_TEXTS) {
        jw_key(w, STR("items"));
        jw_obj(w);
        if (f->type == FIELD_TEXTS)
            put(w, "type", "string");
        else if (sub)
            put_ref(w, f->sub);
        jw_end(w);
    }
    if (f->has_min) {
        jw_key(w, STR("minimum"));
        jw_put_i64(w, (int64_t)f->min);
    }
    if (f->has_max) {
        jw_key(w, STR("maximum"));
        jw_put_i64(w, (int64_t)f->max);
    }
}

static void put_schema(struct jw *w, const struct field *f)
{
    jw_obj(w);
    if (f->required || f->not_null || f->type == FIELD_ANY) {
        put_type(w, f);
    } else {
        jw_key(w, STR("anyOf"));
        jw_arr(w);
        jw_obj(w);
        put_type(w, f);
        jw_end(w);
        jw_obj(w);
        put(w, "type", "null");
        jw_end(w);
        jw_end(w);
    }
    if (f->dflt) {
        jw_key(w, STR("default"));
        jw_put_raw(w, str_of(f->dflt));
    }
    put(w, "description", f->sentence);
    jw_end(w);
}

static void put_component(struct jw *w, enum field_list l)
{
    struct field_walk walk = {0};
    const struct field *f;

    jw_key(w, str_of(field_list_title(l)));
    jw_obj(w);
    put(w, "type", "object");
    jw_key(w, STR("properties"));
    jw_obj(w);
    while ((f = field_next(&walk, l))) {
        jw_key(w, f->name);
        put_schema(w, f);
    }
    jw_end(w);
    if (field_list_is_required(l)) {
        jw_key(w, STR("required"));
        jw_arr(w);
        for (walk = (struct field_walk){0}; (f = field_next(&walk, l));)
            if (f->required)
                jw_put_str(w, f->name);
        jw_end(w);
    }
    jw_end(w);
}

static void put_parameters(struct jw *w, const struct route_row *r)
{
    enum field_list l = (enum field_list)r->input;
    struct str rest = r->path, before, name;
    struct field_walk walk = {0};
    const struct field *f;

    jw_key(w, STR("parameters"));
    jw_arr(w);
    while (str_cut(rest, '{', &before, &rest)) {
        (void)str_cut(rest, '}', &name, &rest);
        (void)str_cut(name, ':', &name, &before);
        jw_obj(w);
        jw_key(w, STR("name"));
        jw_put_str(w, name);
        put(w, "in", "path");
        jw_key(w, STR("required"));
        jw_put_bool(w, true);
        jw_key(w, STR("schema"));
        jw_put_raw(w, STR("{\"type\":\"string\"}"));
        jw_end(w);
    }
    while (field_list_where(l) == FIELD_QUERY && (f = field_next(&walk, l))) {
        jw_obj(w);
        jw_key(w, STR("name"));
        jw_put_str(w, f->name);
        put(w, "in", "query");
        jw_key(w, STR("required"));
        jw_put_bool(w, f->required);
        jw_key(w, STR("schema"));
        put_schema(w, f);
        jw_end(w);
    }
    jw_end(w);
}

static void put_media(struct jw *w, const char *type, enum field_list l)
{
    jw_key(w, str_of(type));
    jw_obj(w);
    jw_key(w, STR("schema"));
    jw_obj(w);
    if (l != FIELDS_ANYTHING && l != FIELDS_NONE)
        put_ref(w, l);
    jw_end(w);
    jw_end(w);
}

/* `type` NULL: JSON. */
static void put_content(struct jw *w, enum field_list l, const char *type, bool has_csv)
{
    jw_key(w, STR("content"));
    jw_obj(w);
    put_media(w, type ? type : "application/json", l);
    if (has_csv)
        put_media(w, "text/csv", FIELDS_ANYTHING);
    jw_end(w);
}

/* True of a route that answers with rows of CSV when it is asked to. */
static bool speaks_csv(const struct route_row *r)
{
    const struct field *f = field_find((enum field_list)r->input, STR("format"));

    return f && f->type == FIELD_CHOICE && str_find(str_of(f->values), STR("csv")) != SIZE_MAX;
}

/* Of a route that is done: its status and the type of its body, where they are not 200 and JSON. */
static const char *done_status(const struct route_row *r)
{
    return !route_is_built(r)                      ? "501"
           : r->handler == api_drain               ? "404"
           : r->handler == api_access_group_new    ? "201"
           : r->handler == api_access_group_delete ? "204"
                                                   : "200";
}

static const char *done_type(const struct route_row *r)
{
    return r->handler == api_page ? "text/html" : r->handler == api_robots ? "text/plain" : NULL;
}

/* What any route may answer beside its own. */
static void put_responses(struct jw *w, const struct route_row *r)
{
    static const struct {
        const char *status, *text;
        bool is_public, is_built; /* also of public routes; also of those not built */
    } rows[] = {
        {"400", "The request cannot be carried out.", true, true},
        {"401", "No key, or none that is known.", false, true},
        {"403", "Not allowed.", false, true},
        {"404", "No such object.", false, false},
        {"409", "It exists already.", false, false},
        {"413", "The body is too large.", true, true},
        {"414", "The address is too long.", true, true},
        {"422", "The request is not of the described form.", true, true},
        {"500", "A fault of the service.", true, true},
        {"503", "The database cannot be reached, or too many requests wait.", true, true},
    };
    bool is_public = policy_who((enum policy)r->policy) & WHO_PUBLIC;

    jw_key(w, STR("responses"));
    jw_obj(w);
    jw_key(w, str_of(done_status(r)));
    jw_obj(w);
    put(w, "description", route_is_built(r) ? r->sentence : "Not built yet.");
    if (strcmp(done_status(r), "204") != 0)
        put_content(w, route_is_built(r) ? (enum field_list)r->output : FIELDS_ANYTHING,
                    done_type(r), speaks_csv(r));
    jw_end(w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if ((is_public && !rows[i].is_public) || (!route_is_built(r) && !rows[i].is_built))
            continue;
        jw_key(w, str_of(rows[i].status));
        jw_obj(w);
        put(w, "description", rows[i].text);
        jw_end(w);
    }
    jw_end(w);
}

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n);

    for (size_t i = 0; p && i < s.n; i++)
        p[i] = char_lower(s.p[i]);
    return (struct str){p, p ? s.n : 0};
}

/* The first segment groups routes for people. */
static struct str tag_of(const struct route_row *r)
{
    struct str tag, rest;

    (void)str_cut(str_from(r->path, 1), '/', &tag, &rest);
    return tag.n ? tag : STR("service");
}

static void put_operation(struct jw *w, const struct route_row *r, struct arena *a)
{
    enum field_list in = (enum field_list)r->input;
    char who[200];

    jw_key(w, lower(a, str_of(route_method_name((enum route_method)r->method))));
    jw_obj(w);
    jw_key(w, STR("operationId"));
    jw_put_str(w, lower(a, str_of(r->name)));
    jw_key(w, STR("tags"));
    jw_arr(w);
    jw_put_str(w, tag_of(r));
    jw_end(w);
    put(w, "summary", r->sentence);
    (void)snprintf(who, sizeof who, "For %s.", policy_sentence((enum policy)r->policy));
    put(w, "description", who);
    put_parameters(w, r);
    if (field_list_where(in) == FIELD_BODY && r->method != METHOD_GET) {
        jw_key(w, STR("requestBody"));
        jw_obj(w);
        jw_key(w, STR("required"));
        jw_put_bool(w, field_list_is_required(in));
        put_content(w, in, NULL, false);
        jw_end(w);
    }
    put_responses(w, r);
    if (policy_who((enum policy)r->policy) & WHO_PUBLIC) {
        jw_key(w, STR("security"));
        jw_put_raw(w, STR("[]"));
    }
    jw_end(w);
}

/* "{name:path}" as "{name}" */
static struct str path_name(struct arena *a, struct str path)
{
    size_t at = str_find(path, STR(":path}"));

    if (at == SIZE_MAX)
        return path;
    return arena_printf(a, "%.*s" STR_FMT, (int)at, path.p,
                        STR_ARG(str_from(path, at + sizeof ":path" - 1)));
}

static void put_paths(struct jw *w, struct arena *a)
{
    jw_key(w, STR("paths"));
    jw_obj(w);
    for (unsigned i = 0; i < ADMIN_ROUTES; i++) {
        bool is_first = true;
        for (unsigned k = 0; k < i && is_first; k++)
            is_first = !str_eq(route_rows[k].path, route_rows[i].path);
        if (!is_first)
            continue;
        jw_key(w, path_name(a, route_rows[i].path));
        jw_obj(w);
        for (unsigned k = i; k < ADMIN_ROUTES; k++)
            if (str_eq(route_rows[k].path, route_rows[i].path))
                put_operation(w, &route_rows[k], a);
        jw_end(w);
    }
    jw_end(w);
}

struct str openapi_json(struct arena *a)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    put(&w, "openapi", "3.1.0");
    jw_key(&w, STR("info"));
    jw_obj(&w);
    put(&w, "title", "Weir management API");
    put(&w, "version", WEIR_VERSION);
    jw_end(&w);
    put_paths(&w, a);
    jw_key(&w, STR("components"));
    jw_obj(&w);
    jw_key(&w, STR("schemas"));
    jw_obj(&w);
    for (unsigned l = FIELDS_ANYTHING + 1; l < FIELD_LISTS; l++)
        put_component(&w, (enum field_list)l);
    jw_end(&w);
    jw_key(&w, STR("securitySchemes"));
    jw_put_raw(&w, STR("{\"key\":{\"type\":\"http\",\"scheme\":\"bearer\"}}"));
    jw_end(&w);
    jw_key(&w, STR("security"));
    jw_put_raw(&w, STR("[{\"key\":[]}]"));
    jw_end(&w);
    struct str text = jw_finish(&w);
    return arena_str(a, text); /* NUL behind it */
}
