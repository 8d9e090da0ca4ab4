/*
 * The members of a request by a table: each is read by a function of its own, or is a parameter or
 * something to repeat in the Response, which stay raw. What refers to state nobody holds here is
 * refused.
 */

#include "dialect/openai_responses.h"
#include "dialect/openai_responses_priv.h"

static bool bad(struct responses_reading *r, struct str param, const char *what)
{
    r->f->param = param;
    return fault_set(r->f, r->n->arena, ERROR_BAD_FIELD, STR_FMT ": %s", STR_ARG(param), what);
}

static bool unsupported(struct responses_reading *r, struct str param, const char *what)
{
    r->f->param = param;
    return fault_set(r->f, r->n->arena, ERROR_UNSUPPORTED_PARAM, STR_FMT ": %s", STR_ARG(param),
                     what);
}

static enum tristate tristate_of(const struct json_val *v)
{
    return json_has_type(v, JSON_TRUE) ? YES : json_has_type(v, JSON_FALSE) ? NO : UNSET;
}

/* --- tools --------------------------------------------------------------------------------------
 */

struct jstr responses_flat_name(struct responses_reading *r, struct jstr space, struct jstr name)
{
    if (!space.n)
        return name;
    return jstr_join(jstr_join(space, JSTR("__"), r->n->arena), name, r->n->arena);
}

/* The first tool of that name. */
static const struct tool *tool_named(struct responses_reading *r, struct jstr name)
{
    const struct tool *t = r->in_set ? r->in_set->next : r->n->tools;
    struct id_entry *e;

    if (!name.n)
        return NULL;
    if (!r->named.slots)
        id_set_begin(&r->named, r->n->arena, TOOLS_MOST);
    for (; t; r->in_set = t, t = t->next)
        if (t->name.n && (e = id_set_add(&r->named, t->name)) && !e->value)
            e->value = t;
    e = id_set_find(&r->named, name);
    return e ? e->value : NULL;
}

/* A tool named in a namespace, by its own name; NULL when none or more than one is. */
static const struct tool *tool_in_space(const struct neutral *n, struct jstr name)
{
    const struct tool *found = NULL;

    for (const struct tool *t = n->tools; t; t = t->next) {
        if (!t->space.n || t->name.n != t->space.n + 2 + name.n ||
            memcmp(t->name.p + t->space.n + 2, name.p, name.n))
            continue;
        if (found)
            return NULL;
        found = t;
    }
    return found;
}

/* The namespace's description stands before the tool's own. */
static struct jstr description_in(struct responses_reading *r, struct jstr space, struct jstr own)
{
    if (!space.n || !own.n)
        return space.n ? space : own;
    return jstr_join(jstr_join(space, JSTR("\\n\\n"), r->n->arena), own, r->n->arena);
}

/* What a tool is, by its type or what its type begins with (web_search_2025_08_26). */
static enum tool_kind tool_kind_of(struct jstr type)
{
    return jstr_is(type, STR("function"))                                ? TOOL_FUNCTION
           : jstr_is(type, STR("custom"))                                ? TOOL_CUSTOM
           : str_starts((struct str){type.p, type.n}, STR("web_search")) ? TOOL_WEB_SEARCH
                                                                         : TOOL_OPAQUE;
}

struct namespace
{
    struct jstr name, description;
};

static bool tool_read(struct responses_reading *r, const struct json_val *v,
                      const struct namespace *space, bool again)
{
    enum tool_kind kind = tool_kind_of(json_text_at(r->t, v, STR("type")));
    struct jstr name = responses_flat_name(r, space->name, json_text_at(r->t, v, STR("name")));
    bool is_ours = kind == TOOL_FUNCTION || kind == TOOL_CUSTOM;

    if (space->name.n && !is_ours)
        return true; /* a namespace holds nothing else that could be called from here */
    if (is_ours && !name.n)
        return bad(r, STR("tools"), "a tool needs a name");
    if (r->n_tools++ == TOOLS_MOST)
        return bad(r, STR("tools"), "too many tools");
    const struct tool *same = is_ours && (again || space->name.n) ? tool_named(r, name) : NULL;
    if (same && again)
        return true;
    if (same && !same->space.n)
        return bad(r, STR("tools"), "a function has the name of a tool in a namespace");
    struct tool *t = neutral_tool(r->n, kind);
    if (!t)
        return true;
    t->raw = json_raw(r->t, v);
    t->cache = json_raw(r->t, JSON_GET(r->t, v, "cache_control"));
    t->name = name;
    t->space = space->name;
    t->description =
        description_in(r, space->description, json_text_at(r->t, v, STR("description")));
    switch (kind) {
    case TOOL_FUNCTION:
        t->schema = json_raw(r->t, JSON_GET(r->t, v, "parameters"));
        t->strict = (uint8_t)tristate_of(JSON_GET(r->t, v, "strict"));
        break;
    case TOOL_CUSTOM:
        t->format = json_raw(r->t, JSON_GET(r->t, v, "format"));
        break;
    case TOOL_WEB_SEARCH:
        t->location = json_raw(r->t, JSON_GET(r->t, v, "user_location"));
        t->context_size = json_text_at(r->t, v, STR("search_context_size"));
        break;
    case TOOL_OPAQUE:
        break;
    }
    return true;
}

bool responses_tools_read(struct responses_reading *r, const struct json_val *tools, bool again)
{
    if (!json_has_type(tools, JSON_ARRAY))
        return bad(r, STR("tools"), "not a list");
    JSON_ELEMENTS(r->t, tools, v)
    {
        struct namespace space = {0};
        const struct json_val *inside = JSON_GET(r->t, v, "tools");
        if (!json_text_at(r->t, v, STR("type")).n)
            return bad(r, STR("tools"), "a tool needs a type");
        if (json_is(r->t, JSON_GET(r->t, v, "type"), "tool_search"))
            continue; /* Codex always offers it; the tools that are there do without */
        if (!json_is(r->t, JSON_GET(r->t, v, "type"), "namespace")) {
            if (!tool_read(r, v, &space, again))
                return false;
            continue;
        }
        space.name = json_text_at(r->t, v, STR("name"));
        space.description = json_text_at(r->t, v, STR("description"));
        if (!space.name.n || !json_has_type(inside, JSON_ARRAY))
            return bad(r, STR("tools"), "a namespace needs a name and tools");
        JSON_ELEMENTS(r->t, inside, tool)
        if (!tool_read(r, tool, &space, again))
            return false;
    }
    return true;
}

/* The name of a chosen tool as the neutral form has it. */
static struct jstr chosen_name(struct responses_reading *r, const struct json_val *v)
{
    struct jstr space = json_text_at(r->t, v, STR("namespace")),
                name = json_text_at(r->t, v, STR("name"));
    const struct tool *in_space;

    if (!name.n) /* as chat writes it */
        name = json_text_at(r->t, JSON_GET(r->t, v, "function"), STR("name"));
    if (!space.n && !tool_named(r, name) && (in_space = tool_in_space(r->n, name)))
        return in_space->name;
    return responses_flat_name(r, space, name);
}

static bool choice_allowed(struct responses_reading *r, const struct json_val *v)
{
    const struct json_val *tools = JSON_GET(r->t, v, "tools");
    struct tool_choice *c = &r->n->choice;

    if (!json_has_type(tools, JSON_ARRAY))
        return bad(r, STR("tool_choice"), "allowed_tools without tools");
    c->kind = json_is(r->t, JSON_GET(r->t, v, "mode"), "required") ? CHOICE_REQUIRED : CHOICE_AUTO;
    c->only_allowed = true;
    c->allowed =
        arena_alloc(r->n->arena, (tools->next - (uint32_t)(tools - r->t->v)) * sizeof *c->allowed);
    JSON_ELEMENTS(r->t, tools, tool)
    {
        struct jstr name = chosen_name(r, tool);
        if (c->n_allowed == TOOLS_MOST)
            return bad(r, STR("tool_choice"), "too many tools");
        if (c->allowed && name.n)
            c->allowed[c->n_allowed++] = name;
    }
    return true;
}

static const struct {
    struct str name;
    enum choice kind;
} choices[] = {
    {STR_INIT("auto"), CHOICE_AUTO},         {STR_INIT("none"), CHOICE_NONE},
    {STR_INIT("required"), CHOICE_REQUIRED}, {STR_INIT("any"), CHOICE_REQUIRED},
    {STR_INIT("tool"), CHOICE_REQUIRED},
};

/* Behind all else: names are looked up among the tools. */
static bool choice_read(struct responses_reading *r, const struct json_val *v)
{
    bool is_object = json_has_type(v, JSON_OBJECT);
    struct jstr type = is_object ? json_text_at(r->t, v, STR("type")) : json_text(r->t, v);
    struct tool_choice *c = &r->n->choice;

    for (size_t i = 0; i < ARRAY_LEN(choices); i++)
        if (jstr_is(type, choices[i].name)) {
            c->kind = (uint8_t)choices[i].kind;
            return true;
        }
    if (is_object && jstr_is(type, STR("allowed_tools")))
        return choice_allowed(r, v);
    c->is_custom = jstr_is(type, STR("custom"));
    if (!is_object || !(c->is_custom || jstr_is(type, STR("function"))))
        return unsupported(r, STR("tool_choice"), "only functions and custom tools can be chosen");
    c->name = chosen_name(r, v);
    c->kind = c->name.n ? CHOICE_NAMED : CHOICE_REQUIRED;
    return true;
}

static bool read_choice(struct responses_reading *r, const struct json_val *v)
{
    r->choice = v;
    return true;
}

/* --- members ------------------------------------------------------------------------------------
 */

static bool read_input(struct responses_reading *r, const struct json_val *v)
{
    if (json_has_type(v, JSON_ARRAY))
        return responses_items_read(r, v);
    if (!json_has_type(v, JSON_STRING))
        return bad(r, STR("input"), "neither text nor a list of items");
    struct block *b = neutral_block(r->n, neutral_turn(r->n, ROLE_USER), BLOCK_TEXT);
    if (b)
        b->text = json_text(r->t, v);
    return true;
}

/* Before what was read of input or history. */
static bool read_instructions(struct responses_reading *r, const struct json_val *v)
{
    struct turn *t = arena_zalloc(r->n->arena, sizeof *t);
    struct block *b = neutral_block(r->n, t, BLOCK_TEXT);

    if (!json_has_type(v, JSON_STRING))
        return bad(r, STR("instructions"), "not text");
    if (!b)
        return true;
    b->text = json_text(r->t, v);
    t->role = ROLE_SYSTEM;
    t->next = r->n->first;
    r->n->first = t;
    if (!r->n->last)
        r->n->last = t;
    return true;
}

static bool read_max_tokens(struct responses_reading *r, const struct json_val *v)
{
    if (!json_u64(r->t, v, &r->n->max_tokens) || !r->n->max_tokens)
        return bad(r, STR("max_output_tokens"), "not a positive integer");
    return true;
}

static bool read_stream(struct responses_reading *r, const struct json_val *v)
{
    r->n->stream = json_true(v);
    return true;
}

static bool read_parallel(struct responses_reading *r, const struct json_val *v)
{
    r->n->parallel_tools = (uint8_t)tristate_of(v);
    return true;
}

static bool format_read(struct responses_reading *r, const struct json_val *v)
{
    const struct json_val *type = JSON_GET(r->t, v, "type");
    struct neutral *n = r->n;

    if (json_is(r->t, type, "text")) {
        n->format.kind = FORMAT_TEXT;
    } else if (json_is(r->t, type, "json_object")) {
        n->format.kind = FORMAT_JSON;
    } else if (json_is(r->t, type, "json_schema")) {
        n->format.kind = FORMAT_SCHEMA;
        n->format.name = json_text_at(r->t, v, STR("name"));
        n->format.description = json_text_at(r->t, v, STR("description"));
        n->format.strict = (uint8_t)tristate_of(JSON_GET(r->t, v, "strict"));
        n->format.schema = json_raw(r->t, JSON_GET(r->t, v, "schema"));
        if (!n->format.schema.n)
            return bad(r, STR("text.format"), "json_schema without schema");
    } else {
        return bad(r, STR("text.format"), "unknown type");
    }
    return true;
}

static bool read_text(struct responses_reading *r, const struct json_val *v)
{
    const struct json_val *format = JSON_GET(r->t, v, "format");

    if (!json_has_type(v, JSON_OBJECT))
        return bad(r, STR("text"), "not an object");
    r->n->param[PARAM_VERBOSITY] = json_raw(r->t, JSON_GET(r->t, v, "verbosity"));
    return !format || format_read(r, format);
}

static bool read_reasoning(struct responses_reading *r, const struct json_val *v)
{
    struct jstr effort = json_text_at(r->t, v, STR("effort"));

    if (!json_has_type(v, JSON_OBJECT))
        return bad(r, STR("reasoning"), "not an object");
    r->n->reasoning.effort = (uint8_t)effort_of(effort);
    if (effort.n && !r->n->reasoning.effort)
        return bad(r, STR("reasoning.effort"), "unknown effort");
    r->n->reasoning.summary = json_text_at(r->t, v, STR("summary"));
    if (!r->n->reasoning.summary.n)
        r->n->reasoning.summary = json_text_at(r->t, v, STR("generate_summary"));
    return true;
}

static bool read_include(struct responses_reading *r, const struct json_val *v)
{
    if (!json_has_type(v, JSON_ARRAY))
        return bad(r, STR("include"), "not a list");
    r->n->param[PARAM_INCLUDE] = json_raw(r->t, v);
    JSON_ELEMENTS(r->t, v, what)
    if (json_is(r->t, what, "message.output_text.logprobs"))
        r->n->param[PARAM_LOGPROBS] = STR("true");
    return true;
}

static bool read_service_tier(struct responses_reading *r, const struct json_val *v)
{
    r->n->service_tier = json_text(r->t, v);
    return true;
}

static bool read_safety_identifier(struct responses_reading *r, const struct json_val *v)
{
    r->n->safety_identifier = json_text(r->t, v);
    return true;
}

static bool read_user(struct responses_reading *r, const struct json_val *v)
{
    r->n->user = json_text(r->t, v);
    return true;
}

static bool read_previous(struct responses_reading *r, const struct json_val *v)
{
    r->n->previous_id = json_text(r->t, v);
    return true;
}

static bool read_conversation(struct responses_reading *r, const struct json_val *v)
{
    (void)v;
    return unsupported(r, STR("conversation"), "conversations are not kept for this model");
}

static bool read_prompt(struct responses_reading *r, const struct json_val *v)
{
    (void)v;
    return unsupported(r, STR("prompt"), "prompt templates are not kept for this model");
}

static bool skip(struct responses_reading *r, const struct json_val *v)
{
    (void)r;
    (void)v;
    return true;
}

static const struct {
    struct str name;
    bool (*read)(struct responses_reading *r, const struct json_val *v);
} members[] = {
    {STR_INIT("model"), skip},
    {STR_INIT("input"), read_input},
    {STR_INIT("instructions"), read_instructions},
    {STR_INIT("stream"), read_stream},
    {STR_INIT("stream_options"), skip}, /* include_obfuscation: nothing is padded here */
    {STR_INIT("tools"), skip},          /* read before all else */
    {STR_INIT("tool_choice"), read_choice},
    {STR_INIT("parallel_tool_calls"), read_parallel},
    {STR_INIT("max_output_tokens"), read_max_tokens},
    {STR_INIT("text"), read_text},
    {STR_INIT("reasoning"), read_reasoning},
    {STR_INIT("include"), read_include},
    {STR_INIT("service_tier"), read_service_tier},
    {STR_INIT("safety_identifier"), read_safety_identifier},
    {STR_INIT("user"), read_user},
    {STR_INIT("previous_response_id"), read_previous},
    {STR_INIT("background"), skip}, /* it is answered at once */
    {STR_INIT("conversation"), read_conversation},
    {STR_INIT("prompt"), read_prompt},
    {STR_INIT("client_metadata"), skip}, /* of Codex, for its own service */
};

static const struct str param_names[PARAMS] = {
#define PARAM(id, chat, messages, responses) [PARAM_##id] = STR_INIT(responses),
#include "dialect/params.def"
#undef PARAM
};

static const struct str echo_names[ECHOES] = {
#define ECHOED(id, name, otherwise) [ECHO_##id] = STR_INIT(name),
#include "dialect/echoes.def"
#undef ECHOED
};

static bool member_read(struct responses_reading *r, const struct json_val *key,
                        const struct json_val *v)
{
    struct str name = jstr_decode(json_text(r->t, key), r->n->arena);
    bool is_echo = false;

    if (v->type == JSON_NULL)
        return true;
    for (size_t i = 0; i < ECHOES && !is_echo; i++)
        if (str_eq(name, echo_names[i])) {
            r->n->echo[i] = json_raw(r->t, v);
            is_echo = true;
        }
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (str_eq(name, members[i].name))
            return members[i].read(r, v);
    for (size_t i = 0; i < PARAMS; i++)
        if (param_names[i].n && str_eq(name, param_names[i])) {
            r->n->param[i] = json_raw(r->t, v);
            return true;
        }
    if (!is_echo)
        neutral_extra(r->n, json_text(r->t, key), json_raw(r->t, v));
    return true;
}

static struct responses_reading reading_of(struct neutral *n, const struct json_tape *t,
                                           struct fault *f)
{
    struct responses_reading r = {.n = n, .t = t, .f = f};

    if (!n->last)
        return r;
    r.has_only_results = n->last->role == ROLE_USER && n->last->first;
    for (const struct block *b = n->last->first; b; b = b->next) {
        r.has_text |= b->kind == BLOCK_TEXT || b->kind == BLOCK_REFUSAL;
        r.has_call |= b->kind == BLOCK_TOOL_CALL;
        r.has_only_results &= b->kind == BLOCK_TOOL_RESULT;
    }
    return r;
}

bool responses_history_read(struct neutral *n, const struct json_tape *items, struct fault *f)
{
    struct responses_reading r = reading_of(n, items, f);

    if (!json_has_type(json_root(items), JSON_ARRAY))
        return responses_item_bad(&r, "the history is no list");
    return responses_items_read(&r, json_root(items));
}

static bool request_read(struct neutral *n, const struct json_tape *t, struct fault *f)
{
    struct responses_reading r = reading_of(n, t, f);

    const struct json_val *tools = JSON_GET(t, json_root(t), "tools");

    n->include_usage = true; /* the terminal event always has it */
    if (tools && !responses_tools_read(&r, tools, false))
        return false;
    JSON_MEMBERS(t, json_root(t), key, v)
    if (!member_read(&r, key, v))
        return false;
    if (!n->first) {
        f->param = STR("input");
        return fault_set(f, n->arena, ERROR_MISSING_FIELD, "input");
    }
    return !r.choice || choice_read(&r, r.choice);
}

const struct dialect_ops openai_responses = {
    .api = API_RESPONSES,
    .request_read = request_read,
    .request_write = responses_request_write,
    .reader_size = sizeof(struct responses_reader),
    .reader_init = responses_reader_init,
    .read_event = responses_read_event,
    .read_reply = responses_read_reply,
    .reader_end = responses_reader_end,
    .reader_deinit = responses_reader_deinit,
    .writer_size = sizeof(struct responses_writer),
    .writer_init = responses_writer_init,
    .write = responses_write,
    .writer_deinit = responses_writer_deinit,
};
