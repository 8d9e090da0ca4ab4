/* A chat request but for its messages: a table of the members of the body (wire-formats.md A.2,
 * A.5, A.6). */

#include "common/jw.h"

#include "dialect/openai_chat_priv.h"

chat_read_fn chat_row(const struct reading *r, const struct chat_row *rows, size_t n,
                      const struct json_val *name)
{
    struct jstr key = text_of(r, name);

    for (size_t i = 0; i < n; i++)
        if (jstr_is(key, rows[i].name))
            return rows[i].read;
    return NULL;
}

/* --- tools ---------------------------------------------------------------------------------------
 */

static void read_function_tool(struct reading *r, const struct json_val *function,
                               const struct json_val *schema, struct tool *t)
{
    MEMBERS(r->t, function, m, NAME("name"), NAME("description"), NAME("strict"));

    t->name = text_of(r, m[0]);
    t->description = text_of(r, m[1]);
    t->strict = !m[2] ? UNSET : json_true(m[2]) ? YES : NO;
    if (json_has_type(schema, JSON_OBJECT))
        t->schema = json_raw(r->t, schema);
}

/* {type, grammar: {syntax, definition}} made flat. */
static struct str flat_format(struct reading *r, const struct json_val *format)
{
    MEMBERS(r->t, JSON_GET(r->t, format, "grammar"), m, NAME("syntax"), NAME("definition"));

    if (!json_has_type(m[0], JSON_STRING) || !json_has_type(m[1], JSON_STRING))
        return json_raw(r->t, format);
    return arena_printf(r->n->arena,
                        "{\"type\":\"grammar\",\"syntax\":" STR_FMT ",\"definition\":" STR_FMT "}",
                        STR_ARG(json_raw(r->t, m[0])), STR_ARG(json_raw(r->t, m[1])));
}

static void read_custom_tool(struct reading *r, const struct json_val *custom, struct tool *t)
{
    MEMBERS(r->t, custom, m, NAME("name"), NAME("description"), NAME("format"));

    t->name = text_of(r, m[0]);
    t->description = text_of(r, m[1]);
    if (m[2])
        t->format = flat_format(r, m[2]);
}

/* A provider's own tool passes in its words: Anthropic dates its types, the others are OpenAI's. */
static enum api foreign_origin(struct jstr type)
{
    return type.n > 9 && type.p[type.n - 9] == '_' && type.p[type.n - 8] == '2' ? API_MESSAGES
                                                                                : API_RESPONSES;
}

static void put_settings(const struct reading *r, const struct json_val *object, struct jw *w)
{
    JSON_MEMBERS(r->t, object, key, v)
    {
        struct jstr name = text_of(r, key);
        if (jstr_is(name, STR("type")) || jstr_is(name, STR("name")))
            continue;
        jw_key(w, jstr_decode(name, r->n->arena));
        jw_put_raw(w, json_raw(r->t, v));
    }
}

/* {type, function: {name, parameters: {...}}}, LiteLLM's way to write such a tool, made flat. */
static struct str flat_tool(const struct reading *r, const struct json_val *type,
                            const struct json_val *function)
{
    MEMBERS(r->t, function, m, NAME("name"), NAME("parameters"));
    struct jw w = jw_init(r->n->arena);

    jw_obj(&w);
    jw_key(&w, STR("type"));
    jw_put_raw(&w, json_raw(r->t, type));
    if (m[0]) {
        jw_key(&w, STR("name"));
        jw_put_raw(&w, json_raw(r->t, m[0]));
    }
    if (json_has_type(m[1], JSON_OBJECT))
        put_settings(r, m[1], &w);
    jw_end(&w);
    return jw_finish(&w);
}

static bool read_tool_entry(struct reading *r, const struct json_val *v, uint32_t i)
{
    MEMBERS(r->t, v, m, NAME("type"), NAME("function"), NAME("custom"), NAME("input_schema"),
            NAME("cache_control"));
    struct jstr type = text_of(r, m[0]);
    bool is_custom = json_has_type(m[2], JSON_OBJECT), is_flat = json_has_type(m[3], JSON_OBJECT);
    bool is_typed = foreign_origin(type) == API_MESSAGES; /* and not its users' */
    bool is_function = (json_has_type(m[1], JSON_OBJECT) && !is_typed) || is_flat;
    struct tool *t = neutral_tool(r->n, is_function                            ? TOOL_FUNCTION
                                        : is_custom                            ? TOOL_CUSTOM
                                        : jstr_starts(type, STR("web_search")) ? TOOL_WEB_SEARCH
                                                                               : TOOL_OPAQUE);

    if (!t)
        return true;
    t->raw = json_raw(r->t, v);
    const struct json_val *mark = m[4] ? m[4] : JSON_GET(r->t, m[1], "cache_control");
    if (mark)
        t->cache = json_raw(r->t, mark);
    if (is_flat)
        read_function_tool(r, v, m[3], t);
    else if (is_function)
        read_function_tool(r, m[1], JSON_GET(r->t, m[1], "parameters"), t);
    else if (is_custom)
        read_custom_tool(r, m[2], t);
    else {
        t->origin = (uint8_t)foreign_origin(type);
        t->name = text_of(r, JSON_GET(r->t, is_typed && m[1] ? m[1] : v, "name"));
        t->type = type;
        if (is_typed && json_has_type(m[1], JSON_OBJECT))
            t->raw = flat_tool(r, m[0], m[1]);
        return type.n != 0 || BAD(r, "tools.%u.type", i);
    }
    return t->name.n != 0 || BAD(r, "tools.%u.name", i);
}

static bool read_tools(struct reading *r, const struct json_val *v)
{
    uint32_t i = 0;

    if (v->type != JSON_ARRAY)
        return BAD(r, "tools");
    JSON_ELEMENTS(r->t, v, tool)
    {
        if (i == TOOLS_MOST)
            return BAD(r, "tools: too many");
        if (!read_tool_entry(r, tool, i++))
            return false;
    }
    return true;
}

static bool read_functions(struct reading *r, const struct json_val *v)
{
    if (v->type != JSON_ARRAY)
        return BAD(r, "functions");
    r->n->functions = true;
    JSON_ELEMENTS(r->t, v, function)
    {
        struct tool *t = neutral_tool(r->n, TOOL_FUNCTION);
        if (!t)
            return true;
        t->raw = json_raw(r->t, function);
        read_function_tool(r, function, JSON_GET(r->t, function, "parameters"), t);
        if (!t->name.n)
            return BAD(r, "functions");
    }
    return true;
}

static struct jstr tool_name_of(const struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("function"), NAME("custom"), NAME("name"));

    return text_of(r, m[0]   ? JSON_GET(r->t, m[0], "name")
                      : m[1] ? JSON_GET(r->t, m[1], "name")
                             : m[2]);
}

static enum choice choice_by(struct jstr name)
{
    return jstr_is(name, STR("auto"))                                    ? CHOICE_AUTO
           : jstr_is(name, STR("none"))                                  ? CHOICE_NONE
           : jstr_is(name, STR("required")) || jstr_is(name, STR("any")) ? CHOICE_REQUIRED
                                                                         : CHOICE_UNSET;
}

static uint32_t elements_count(const struct reading *r, const struct json_val *array)
{
    uint32_t n = 0;

    JSON_ELEMENTS(r->t, array, v)
    {
        n++;
    }
    return n;
}

static bool read_allowed_tools(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("mode"), NAME("tools"));
    struct tool_choice *c = &r->n->choice;

    c->kind = (uint8_t)choice_by(text_of(r, m[0]));
    if (c->kind == CHOICE_UNSET || !json_has_type(m[1], JSON_ARRAY) ||
        elements_count(r, m[1]) > TOOLS_MOST)
        return BAD(r, "tool_choice.allowed_tools");
    c->allowed = arena_alloc(r->n->arena, elements_count(r, m[1]) * sizeof *c->allowed);
    if (!c->allowed)
        return true;
    JSON_ELEMENTS(r->t, m[1], tool)
    {
        c->allowed[c->n_allowed++] = tool_name_of(r, tool);
    }
    c->only_allowed = true;
    return true;
}

static bool read_tool_choice(struct reading *r, const struct json_val *v)
{
    struct tool_choice *c = &r->n->choice;
    const struct json_val *type = v->type == JSON_STRING ? v : JSON_GET(r->t, v, "type");
    const struct json_val *allowed = JSON_GET(r->t, v, "allowed_tools");

    *c = (struct tool_choice){0}; /* of a repeated key the last one counts */
    if (allowed)
        return read_allowed_tools(r, allowed);
    c->name = tool_name_of(r, v);
    c->kind = (uint8_t)(c->name.n ? CHOICE_NAMED : choice_by(text_of(r, type)));
    c->is_custom = json_is(r->t, type, "custom");
    return c->kind != CHOICE_UNSET || BAD(r, "tool_choice");
}

static bool read_parallel(struct reading *r, const struct json_val *v)
{
    r->n->parallel_tools = json_true(v) ? YES : NO;
    return true;
}

/* The place as Messages and Responses write it: without the inner object. */
static struct str flat_location(struct reading *r, const struct json_val *location)
{
    const struct json_val *inner = JSON_GET(r->t, location, "approximate");
    struct str raw = json_raw(r->t, inner ? inner : location);

    if (!json_has_type(inner, JSON_OBJECT))
        return inner ? (struct str){0} : raw;
    return arena_printf(r->n->arena, "{\"type\":\"approximate\"%s" STR_FMT,
                        inner->next > inner - r->t->v + 1 ? "," : "", STR_ARG(str_from(raw, 1)));
}

static bool read_web_search(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("search_context_size"), NAME("user_location"));
    struct tool *t = neutral_tool(r->n, TOOL_WEB_SEARCH);

    if (!t)
        return true;
    t->context_size = text_of(r, m[0]);
    if (json_has_type(m[1], JSON_OBJECT))
        t->location = flat_location(r, m[1]);
    return true;
}

/* --- how to answer -------------------------------------------------------------------------------
 */

static bool read_format(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("type"), NAME("json_schema"));

    if (json_is(r->t, m[0], "text"))
        r->n->format.kind = FORMAT_TEXT;
    else if (json_is(r->t, m[0], "json_object"))
        r->n->format.kind = FORMAT_JSON;
    else if (json_is(r->t, m[0], "json_schema") && json_has_type(m[1], JSON_OBJECT)) {
        MEMBERS(r->t, m[1], s, NAME("name"), NAME("description"), NAME("schema"), NAME("strict"));
        r->n->format.kind = FORMAT_SCHEMA;
        r->n->format.name = text_of(r, s[0]);
        r->n->format.description = text_of(r, s[1]);
        r->n->format.schema = json_raw(r->t, s[2]);
        r->n->format.strict = !s[3] ? UNSET : json_true(s[3]) ? YES : NO;
    } else {
        return BAD(r, "response_format");
    }
    return true;
}

/* A name, or as LiteLLM takes it {effort, summary}. */
static bool read_effort(struct reading *r, const struct json_val *v)
{
    const struct json_val *effort = v->type == JSON_OBJECT ? JSON_GET(r->t, v, "effort") : v;

    r->n->reasoning.summary = text_of(r, JSON_GET(r->t, v, "summary"));
    r->n->reasoning.effort = (uint8_t)effort_of(text_of(r, effort));
    return !effort || r->n->reasoning.effort != EFFORT_UNSET || BAD(r, "reasoning_effort");
}

static bool read_thinking_param(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("type"), NAME("budget_tokens"), NAME("display"));

    r->n->reasoning.thinking = json_is(r->t, m[0], "enabled")         ? THINKING_ON
                               : json_is(r->t, m[0], "adaptive")      ? THINKING_ADAPTIVE
                               : json_is(r->t, m[0], "disabled")      ? THINKING_OFF
                               : json_is(r->t, m[0], "between_tools") ? THINKING_BETWEEN_TOOLS
                                                                      : THINKING_UNSET;
    if (m[2])
        r->n->reasoning.summary = text_of(r, m[2]);
    if (m[1] && !json_u64(r->t, m[1], &r->n->reasoning.budget))
        return BAD(r, "thinking.budget_tokens");
    return r->n->reasoning.thinking != THINKING_UNSET || BAD(r, "thinking");
}

bool chat_read_max_tokens(struct reading *r, const struct json_val *v)
{
    uint64_t max;

    if (!json_u64(r->t, v, &max))
        return BAD(r, "max_tokens");
    r->n->max_tokens = r->n->max_tokens ? r->n->max_tokens : max;
    return true;
}

static bool read_max_completion_tokens(struct reading *r, const struct json_val *v)
{
    return json_u64(r->t, v, &r->n->max_tokens) || BAD(r, "max_completion_tokens");
}

bool chat_read_stop(struct reading *r, const struct json_val *v)
{
    struct neutral *n = r->n;
    uint32_t most = v->type == JSON_ARRAY ? elements_count(r, v) : 1;

    if (v->type != JSON_ARRAY && v->type != JSON_STRING)
        return BAD(r, "stop");
    if (!(n->stop = arena_alloc(n->arena, most * sizeof *n->stop)))
        return true;
    n->n_stop = 0;
    if (v->type == JSON_STRING) {
        n->stop[n->n_stop++] = text_of(r, v);
        return true;
    }
    JSON_ELEMENTS(r->t, v, stop)
    {
        if (stop->type != JSON_STRING)
            return BAD(r, "stop");
        n->stop[n->n_stop++] = text_of(r, stop);
    }
    return true;
}

bool chat_read_stream(struct reading *r, const struct json_val *v)
{
    r->n->stream = json_true(v);
    return true;
}

bool chat_read_stream_options(struct reading *r, const struct json_val *v)
{
    r->n->include_usage = json_true(JSON_GET(r->t, v, "include_usage"));
    return true;
}

bool chat_read_user(struct reading *r, const struct json_val *v)
{
    r->n->user = text_of(r, v);
    return true;
}

bool chat_read_safety_identifier(struct reading *r, const struct json_val *v)
{
    r->n->safety_identifier = text_of(r, v);
    return true;
}

bool chat_read_service_tier(struct reading *r, const struct json_val *v)
{
    r->n->service_tier = text_of(r, v);
    return true;
}

bool chat_read_nothing(struct reading *r, const struct json_val *v)
{
    (void)r, (void)v;
    return true;
}

static const struct chat_row chat_rows[] = {
    CHAT_COMMON_ROWS,
    {STR_INIT("messages"), chat_read_messages},
    {STR_INIT("max_completion_tokens"), read_max_completion_tokens},
    {STR_INIT("tools"), read_tools},
    {STR_INIT("tool_choice"), read_tool_choice},
    {STR_INIT("parallel_tool_calls"), read_parallel},
    {STR_INIT("functions"), read_functions},
    {STR_INIT("function_call"), read_tool_choice},
    {STR_INIT("response_format"), read_format},
    {STR_INIT("reasoning_effort"), read_effort},
    {STR_INIT("thinking"), read_thinking_param},
    {STR_INIT("web_search_options"), read_web_search},
};

static const struct str param_names[PARAMS] = {
#define PARAM(id, chat, messages, responses) [PARAM_##id] = STR_INIT(chat),
#include "dialect/params.def"
#undef PARAM
};

struct str chat_param_name(enum param p)
{
    return param_names[p];
}

static bool read_param(struct reading *r, const struct json_val *key, const struct json_val *v)
{
    for (unsigned i = 0; i < PARAMS; i++)
        if (param_names[i].n && jstr_is(text_of(r, key), param_names[i])) {
            r->n->param[i] = json_raw(r->t, v);
            return true;
        }
    return false;
}

bool chat_read_body(struct reading *r, const struct chat_row *rows, size_t n)
{
    JSON_MEMBERS(r->t, json_root(r->t), key, v)
    {
        if (v->type == JSON_NULL)
            continue;
        chat_read_fn read = chat_row(r, rows, n, key);
        if (read && !read(r, v))
            return false;
        if (!read && !read_param(r, key, v))
            neutral_extra(r->n, text_of(r, key), json_raw(r->t, v));
    }
    return true;
}

bool chat_is_member(struct jstr key)
{
    bool is = false;

    for (size_t i = 0; i < ARRAY_LEN(chat_rows) && !is; i++)
        is = jstr_is(key, chat_rows[i].name);
    for (size_t i = 0; i < PARAMS && !is; i++)
        is = param_names[i].n && jstr_is(key, param_names[i]);
    return is;
}

bool chat_missing(struct reading *r, const char *member)
{
    return fault_set(r->f, r->n->arena, ERROR_MISSING_FIELD, "%s", member);
}

bool chat_request_read(struct neutral *n, const struct json_tape *t, struct fault *f)
{
    struct reading r = {.n = n, .t = t, .f = f};

    return chat_read_body(&r, chat_rows, ARRAY_LEN(chat_rows)) &&
           (JSON_GET(t, json_root(t), "messages") || chat_missing(&r, "messages"));
}
