/*
 * A request's members into the neutral form. What Messages alone has (server tools, blocks of
 * theirs, unknown ones) is kept whole with its origin, so that who speaks it gets it back.
 */

#include "dialect/anthropic_messages_priv.h"

bool messages_bad(struct messages_reading *r, const char *what)
{
    r->f->param = STR("messages");
    return fault_set(r->f, r->n->arena, ERROR_BAD_FIELD, "messages.%u.%s", r->message, what);
}

static bool bad(struct messages_reading *r, const char *member, const char *why)
{
    r->f->param = str_of(member);
    return fault_set(r->f, r->n->arena, ERROR_BAD_FIELD, "%s %s", member, why);
}

static bool missing(struct messages_reading *r, const char *member)
{
    r->f->param = str_of(member);
    return fault_set(r->f, r->n->arena, ERROR_MISSING_FIELD, "%s", member);
}

#define ROOT(member)     JSON_GET(r->t, json_root(r->t), member)
#define GET(obj, member) JSON_GET(r->t, obj, member)

static enum tristate tristate(const struct json_val *v)
{
    return json_true(v) ? YES : json_has_type(v, JSON_FALSE) ? NO : UNSET;
}

/* --- tools -----------------------------------------------------------------------------------
 */

/* B.4: tools with a type are the provider's, but for "custom", which is the default. */
static bool tool_read(struct messages_reading *r, const struct json_val *v)
{
    const struct json_tape *t = r->t;
    struct jstr type = json_text(t, GET(v, "type"));
    struct str plain = {type.p, type.n};
    bool custom = !type.n || jstr_is(type, STR("custom"));
    struct tool *tool;

    if (!json_has_type(v, JSON_OBJECT))
        return bad(r, "tools", "must be a list of objects.");
    tool = neutral_tool(r->n, custom                                 ? TOOL_FUNCTION
                              : str_starts(plain, STR("web_search")) ? TOOL_WEB_SEARCH
                                                                     : TOOL_OPAQUE);
    if (!tool)
        return false;
    tool->name = json_text(t, GET(v, "name"));
    tool->description = json_text(t, GET(v, "description"));
    tool->strict = (uint8_t)tristate(GET(v, "strict"));
    tool->cache = json_raw(t, GET(v, "cache_control"));
    tool->location = json_raw(t, GET(v, "user_location"));
    tool->raw = json_raw(t, v);
    const struct json_val *schema = GET(v, "input_schema");
    if (schema && schema->type != JSON_OBJECT)
        return bad(r, "tools", "has an input_schema that is no object.");
    tool->schema = json_raw(t, schema);
    return !custom || tool->name.n || bad(r, "tools", "has one without a name.");
}

static bool tools_read(struct messages_reading *r)
{
    const struct json_val *tools = ROOT("tools");

    if (!tools)
        return true;
    if (tools->type != JSON_ARRAY)
        return bad(r, "tools", "must be a list.");
    unsigned n = 0;
    JSON_ELEMENTS(r->t, tools, v)
    {
        if (n++ == TOOLS_MOST)
            return bad(r, "tools", "are too many.");
        if (!tool_read(r, v))
            return false;
    }
    return true;
}

static bool tool_choice_read(struct messages_reading *r)
{
    static const struct {
        struct str type;
        enum choice choice;
    } choices[] = {
        {STR_INIT("auto"), CHOICE_AUTO},
        {STR_INIT("any"), CHOICE_REQUIRED},
        {STR_INIT("none"), CHOICE_NONE},
        {STR_INIT("tool"), CHOICE_NAMED},
    };
    const struct json_val *v = ROOT("tool_choice");
    struct jstr type = json_text(r->t, GET(v, "type"));
    struct tool_choice *c = &r->n->choice;

    if (!v)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (jstr_is(type, choices[i].type))
            c->kind = (uint8_t)choices[i].choice;
    if (c->kind == CHOICE_UNSET)
        return bad(r, "tool_choice", "has no type that is known.");
    c->name = json_text(r->t, GET(v, "name"));
    enum tristate serial = tristate(GET(v, "disable_parallel_tool_use"));
    r->n->parallel_tools = serial == YES ? NO : serial == NO ? YES : UNSET;
    return c->kind != CHOICE_NAMED || c->name.n || bad(r, "tool_choice", "names no tool.");
}

/* --- how to answer ---------------------------------------------------------------------------
 */

static void thinking_read(struct messages_reading *r)
{
    static const struct {
        struct str type;
        enum thinking thinking;
    } kinds[] = {
        {STR_INIT("enabled"), THINKING_ON},
        {STR_INIT("adaptive"), THINKING_ADAPTIVE},
        {STR_INIT("disabled"), THINKING_OFF},
        {STR_INIT("between_tools"), THINKING_BETWEEN_TOOLS},
    };
    const struct json_val *v = ROOT("thinking");
    struct jstr type = json_text(r->t, GET(v, "type"));

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (type.n && jstr_is(type, kinds[i].type))
            r->n->reasoning.thinking = (uint8_t)kinds[i].thinking;
    (void)json_u64(r->t, GET(v, "budget_tokens"), &r->n->reasoning.budget);
    r->n->reasoning.summary = json_text(r->t, GET(v, "display"));
}

/* output_config, and output_format as its format was called before (B.2). */
static void output_read(struct messages_reading *r)
{
    const struct json_val *config = ROOT("output_config"), *format = ROOT("output_format");
    struct jstr effort = json_text(r->t, GET(config, "effort"));

    if (effort.n)
        r->n->reasoning.effort = (uint8_t)effort_of(effort);
    if (!format)
        format = GET(config, "format");
    const struct json_val *schema = GET(format, "schema");
    if (json_is(r->t, GET(format, "type"), "json_schema") && json_has_type(schema, JSON_OBJECT)) {
        r->n->format.kind = FORMAT_SCHEMA;
        r->n->format.schema = json_raw(r->t, schema);
    }
}

static bool stop_read(struct messages_reading *r)
{
    const struct json_val *v = ROOT("stop_sequences");
    uint32_t n = 0;

    if (!v)
        return true;
    if (v->type != JSON_ARRAY)
        return bad(r, "stop_sequences", "must be a list.");
    JSON_ELEMENTS(r->t, v, e)
    if (e->type != JSON_STRING)
        return bad(r, "stop_sequences", "must be a list of strings.");
    else
        n++;
    struct jstr *stop = arena_alloc(r->n->arena, MAX(n, 1u) * sizeof *stop);
    if (!stop)
        return false;
    n = 0;
    JSON_ELEMENTS(r->t, v, e)
    stop[n++] = json_text(r->t, e);
    r->n->stop = stop;
    r->n->n_stop = n;
    return true;
}

static bool max_tokens_read(struct messages_reading *r)
{
    const struct json_val *v = ROOT("max_tokens");

    if (!v && r->n->from == API_MESSAGES)
        return missing(r, "max_tokens");
    if (v && !json_u64(r->t, v, &r->n->max_tokens))
        return bad(r, "max_tokens", "must be a whole number.");
    return true;
}

/* --- the body -------------------------------------------------------------------------------
 */

/* Members read above by name; everything else is a parameter that passes or an extra. */
static const struct str known[] = {
    STR_INIT("model"),        STR_INIT("messages"),      STR_INIT("system"),
    STR_INIT("max_tokens"),   STR_INIT("stream"),        STR_INIT("stop_sequences"),
    STR_INIT("tools"),        STR_INIT("tool_choice"),   STR_INIT("thinking"),
    STR_INIT("metadata"),     STR_INIT("output_config"), STR_INIT("output_format"),
    STR_INIT("service_tier"),
};

static const struct str params[] = {
#define PARAM(id, chat, messages, responses) [PARAM_##id] = STR_INIT(messages),
#include "dialect/params.def"
#undef PARAM
};

static bool is_known(struct jstr key)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (jstr_is(key, known[i]))
            return true;
    return false;
}

static void member_read(struct messages_reading *r, struct jstr key, const struct json_val *v)
{
    if (v->type == JSON_NULL || is_known(key))
        return;
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        if (params[i].n && jstr_is(key, params[i])) {
            r->n->param[i] = json_raw(r->t, v);
            return;
        }
    neutral_extra(r->n, key, json_raw(r->t, v));
}

bool messages_request_read(struct neutral *n, const struct json_tape *t, struct fault *f)
{
    struct messages_reading reading = {.n = n, .t = t, .f = f}, *r = &reading;
    const struct json_val *messages = ROOT("messages");

    if (!messages)
        return missing(r, "messages");
    if (messages->type != JSON_ARRAY)
        return bad(r, "messages", "must be a list.");
    if (ROOT("thread")) { /* what it continues would be missing here */
        f->error = ERROR_NO_THREADS;
        return false;
    }
    if (!max_tokens_read(r) || !messages_system_read(r, ROOT("system")) ||
        !messages_turns_read(r, messages) || !tools_read(r) || !tool_choice_read(r) ||
        !stop_read(r))
        return false;
    thinking_read(r);
    output_read(r);
    n->stream = json_true(ROOT("stream"));
    n->include_usage = true;
    n->user = json_text(t, GET(ROOT("metadata"), "user_id"));
    n->service_tier = json_text(t, ROOT("service_tier"));
    JSON_MEMBERS(t, json_root(t), k, v)
    member_read(r, json_text(t, k), v);
    return true;
}
