/* JSON Schema as Anthropic takes it: as parameters of a tool, and as the form of an answer. */

#include "common/json_tape.h"

#include "dialect/anthropic_messages_priv.h"

/* --- parameters of a tool --------------------------------------------------------------------
 */

struct root_members {
    struct jout *o;
    const char *text;
    bool has_properties;
};

/* "type" is written by the caller. Unions and conditions at the root are refused by the API, what
 * only describes it is not needed. */
static void on_root_member(void *ctx, const struct json_member *m)
{
    static const struct {
        struct str key;
        enum json_type type;
    } kept[] = {
        {STR_INIT("properties"), JSON_OBJECT},
        {STR_INIT("required"), JSON_ARRAY},
        {STR_INIT("$defs"), JSON_OBJECT},
        {STR_INIT("definitions"), JSON_OBJECT},
    };
    struct root_members *r = ctx;
    bool keep = str_eq(m->key, STR("additionalProperties")) && m->type != JSON_NULL;

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        keep |= str_eq(m->key, kept[i].key) && m->type == kept[i].type;
    if (m->depth != 1 || !keep)
        return;
    r->has_properties |= str_eq(m->key, STR("properties"));
    jout_lit(r->o, ",\"");
    jout_raw(r->o, m->key);
    jout_lit(r->o, "\":");
    jout_raw(r->o, (struct str){r->text + m->at, m->end - m->at});
}

void schema_put_input(struct jout *o, struct str schema)
{
    static const struct json_watch root;
    struct root_members r = {.o = o, .text = schema.p};
    size_t at = o->buf->n;
    struct json_scan scan;

    jout_lit(o, "{\"type\":\"object\"");
    json_scan_init(&scan, &root, on_root_member, &r);
    scan.all_members = true;
    if (schema.n && json_scan_feed(&scan, schema.p, schema.n) != JSON_SCAN_DONE && !o->failed) {
        o->buf->n = at; /* too deep for this reader: somebody else's business */
        jout_raw(o, schema);
        return;
    }
    if (!r.has_properties)
        jout_lit(o, ",\"properties\":{}");
    jout_lit(o, "}");
}

/* --- the form of an answer -------------------------------------------------------------------
 */

/* What the API cannot enforce and refuses, in the order the note names it. */
static const struct str refused[] = {
    STR_INIT("minItems"),
    STR_INIT("maxItems"),
    STR_INIT("uniqueItems"),
    STR_INIT("contains"),
    STR_INIT("minContains"),
    STR_INIT("maxContains"),
    STR_INIT("prefixItems"),
    STR_INIT("minimum"),
    STR_INIT("maximum"),
    STR_INIT("exclusiveMinimum"),
    STR_INIT("exclusiveMaximum"),
    STR_INIT("multipleOf"),
    STR_INIT("minLength"),
    STR_INIT("maxLength"),
    STR_INIT("minProperties"),
    STR_INIT("maxProperties"),
    STR_INIT("propertyNames"),
    STR_INIT("patternProperties"),
    STR_INIT("dependentSchemas"),
    STR_INIT("dependentRequired"),
    STR_INIT("if"),
    STR_INIT("unevaluatedProperties"),
    STR_INIT("then"),
    STR_INIT("else"),
    STR_INIT("not"),
};

struct output {
    struct jout *o;
    const struct json_tape *t;
};

static bool is_one_of(struct jstr key, const struct str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (jstr_is(key, names[i]))
            return true;
    return false;
}

/* At most one item is something the API enforces. */
static bool is_refused(const struct output *s, const struct json_val *key)
{
    struct jstr name = json_text(s->t, key);
    struct str value = json_raw(s->t, key + 1);

    if (jstr_is(name, STR("minItems")) && (str_eq(value, STR("0")) || str_eq(value, STR("1"))))
        return false;
    return is_one_of(name, refused, ARRAY_LEN(refused));
}

static bool is_object_type(const struct json_tape *t, const struct json_val *schema)
{
    const struct json_val *type = JSON_GET(t, schema, "type");

    if (!json_has_type(type, JSON_ARRAY))
        return json_is(t, type, "object");
    JSON_ELEMENTS(t, type, e)
    if (json_is(t, e, "object"))
        return true;
    return false;
}

static void put_schema(struct output *s, const struct json_val *v);

/* Schemas in a list, behind those written before. */
static void put_list(struct output *s, const struct json_val *list, bool *comma)
{
    if (!json_has_type(list, JSON_ARRAY))
        return;
    JSON_ELEMENTS(s->t, list, e)
    {
        if (*comma)
            jout_lit(s->o, ",");
        *comma = true;
        put_schema(s, e);
    }
}

static void put_named(struct output *s, const struct json_val *map)
{
    const char *before = "{";

    if (!json_has_type(map, JSON_OBJECT)) {
        jout_raw(s->o, json_raw(s->t, map));
        return;
    }
    JSON_MEMBERS(s->t, map, k, v)
    {
        jout_raw(s->o, str_of(before));
        jout_raw(s->o, json_raw(s->t, k));
        jout_lit(s->o, ":");
        put_schema(s, v);
        before = ",";
    }
    jout_raw(s->o, before[0] == '{' ? STR("{}") : STR("}"));
}

/* The description there is, and what was left out; true: written. */
static bool put_description(struct output *s, const struct json_val *schema)
{
    struct jstr said = json_text(s->t, JSON_GET(s->t, schema, "description"));
    bool noted = false;

    JSON_MEMBERS(s->t, schema, k, v)
    {
        if (!is_refused(s, k) || v->type == JSON_FALSE || v->type == JSON_NULL)
            continue;
        if (!noted) {
            jout_lit(s->o, "\"description\":\"");
            jout_raw(s->o, (struct str){said.p, said.n});
            jout_raw(s->o, said.n ? STR(" Note: ") : STR("Note: "));
        } else {
            jout_lit(s->o, ", ");
        }
        noted = true;
        jout_raw(s->o, (struct str){s->t->text + k->at, k->n});
        jout_lit(s->o, " ");
        jout_escaped(s->o, json_raw(s->t, v));
    }
    if (noted)
        jout_lit(s->o, ".\"");
    return noted;
}

/* A schema being written, and what is known of it. */
struct outline {
    const struct json_val *any, *one; /* anyOf and oneOf, where they are lists */
    bool is_object, noted;
};

/* One member of a schema, if it stays; its value rewritten where it holds schemas. */
static void put_member(struct output *s, const struct outline *schema, const struct json_val *k,
                       bool *comma)
{
    static const struct str maps[] = {STR_INIT("properties"), STR_INIT("$defs"),
                                      STR_INIT("definitions")};
    static const struct str unions[] = {STR_INIT("anyOf"), STR_INIT("oneOf")};
    const struct json_val *v = k + 1;
    struct jstr key = json_text(s->t, k);
    bool is_union = is_one_of(key, unions, ARRAY_LEN(unions)) && v->type == JSON_ARRAY;
    bool listed = false;

    if (is_refused(s, k) || (schema->noted && jstr_is(key, STR("description"))) ||
        (schema->is_object && jstr_is(key, STR("additionalProperties"))))
        return;
    /* oneOf is refused, anyOf is not; where both stand, the first has them all */
    if (is_union && v != (schema->any ? schema->any : schema->one))
        return;
    if (*comma)
        jout_lit(s->o, ",");
    *comma = true;
    jout_raw(s->o, is_union ? STR("\"anyOf\"") : json_raw(s->t, k));
    jout_lit(s->o, ":");
    if (is_one_of(key, maps, ARRAY_LEN(maps))) {
        put_named(s, v);
    } else if (jstr_is(key, STR("items"))) {
        put_schema(s, v);
    } else if (is_union || (jstr_is(key, STR("allOf")) && v->type == JSON_ARRAY)) {
        jout_lit(s->o, "[");
        put_list(s, v, &listed);
        if (is_union && schema->any)
            put_list(s, schema->one, &listed);
        jout_lit(s->o, "]");
    } else {
        jout_raw(s->o, json_raw(s->t, v));
    }
}

static const struct json_val *list_of(const struct output *s, const struct json_val *schema,
                                      struct str name)
{
    const struct json_val *v = json_get(s->t, schema, name);

    return json_has_type(v, JSON_ARRAY) ? v : NULL;
}

/* Recursion is bounded by the depth of a tape. */
static void put_schema(struct output *s, const struct json_val *v)
{
    if (v->type != JSON_OBJECT) {
        jout_raw(s->o, json_raw(s->t, v));
        return;
    }
    struct outline schema = {
        .any = list_of(s, v, STR("anyOf")),
        .one = list_of(s, v, STR("oneOf")),
        .is_object = is_object_type(s->t, v),
    };

    jout_lit(s->o, "{");
    bool comma = schema.noted = put_description(s, v);
    JSON_MEMBERS(s->t, v, k, value)
    {
        (void)value;
        put_member(s, &schema, k, &comma);
    }
    if (schema.is_object) {
        jout_raw(s->o, comma ? STR(",") : STR(""));
        jout_lit(s->o, "\"additionalProperties\":false");
    }
    jout_lit(s->o, "}");
}

void schema_put_output(struct jout *o, struct str schema)
{
    struct json_tape t;

    json_tape_init(&t, o->pool);
    if (json_tape_read(&t, schema.p, schema.n) == JSON_TAPE_DONE)
        put_schema(&(struct output){o, &t}, json_root(&t));
    else
        o->failed = true; /* it was JSON a moment ago: memory ended */
    json_tape_deinit(&t);
}

static bool object_is_open(const struct json_tape *t, const struct json_val *v)
{
    const struct json_val *more = JSON_GET(t, v, "additionalProperties");

    if (json_true(more) || json_has_type(more, JSON_OBJECT) || JSON_GET(t, v, "patternProperties"))
        return true;
    return is_object_type(t, v) && !JSON_GET(t, v, "properties") &&
           !json_has_type(more, JSON_FALSE);
}

bool schema_is_open(struct bufpool *pool, struct str schema)
{
    struct json_tape t;
    bool open = false;

    json_tape_init(&t, pool);
    if (json_tape_read(&t, schema.p, schema.n) == JSON_TAPE_DONE)
        for (uint32_t i = 0; i < t.n && !open; i++)
            open = t.v[i].type == JSON_OBJECT && object_is_open(&t, &t.v[i]);
    json_tape_deinit(&t);
    return open;
}
