/* A neutral request written as a chat body: everything but the messages (wire-formats.md A.2, A.5,
 * A.6, E.1.2, E.2.1). */

#include "dialect/openai_chat_priv.h"

enum {
    STOPS_MAX = 4,
    USER_MAX = 64,
    TOOLS_MAX = 1024,
    ALLOWED_MAX = 128,
    STRICT_STEPS_MAX = 64 * 1024
};

static void put_key(struct writing *w, struct str key)
{
    jout_lit(w->o, ",\"");
    jout_raw(w->o, key);
    jout_lit(w->o, "\":");
}

static void put_member(struct writing *w, struct str key, struct str value)
{
    if (!value.n)
        return;
    put_key(w, key);
    jout_raw(w->o, value);
}

static void put_string(struct writing *w, struct str key, struct jstr value)
{
    if (!value.n)
        return;
    put_key(w, key);
    jout_string(w->o, value);
}

static void put_tristate(struct writing *w, struct str key, enum tristate v)
{
    if (v != UNSET)
        put_member(w, key, v == YES ? STR("true") : STR("false"));
}

/* --- tools ---------------------------------------------------------------------------------------
 */

/* What the upstream calls it. */
static struct jstr tool_name(struct writing *w, struct jstr name, bool is_custom)
{
    return is_custom && !can(w, CAP_CUSTOM_TOOLS)
               ? neutral_wrapped_name(w->n, name, CHAT_TOOL_NAME_MAX)
               : neutral_tool_name(w->n, name, CHAT_TOOL_NAME_MAX);
}

static void put_function(struct writing *w, const struct tool *t)
{
    jout_lit(w->o, "\"function\",\"function\":{\"name\":");
    jout_string(w->o, tool_name(w, t->name, false));
    put_string(w, STR("description"), t->description);
    put_member(w, STR("parameters"),
               t->schema.n ? t->schema : STR("{\"type\":\"object\",\"properties\":{}}"));
    put_tristate(w, STR("strict"), (enum tristate)t->strict);
    jout_lit(w->o, "}");
}

static void put_custom(struct writing *w, const struct tool *t)
{
    struct json_tape tape;

    jout_lit(w->o, "\"custom\",\"custom\":{\"name\":");
    jout_string(w->o, tool_name(w, t->name, true));
    put_string(w, STR("description"), t->description);
    json_tape_init(&tape, w->o->pool);
    if (t->format.n && json_tape_read(&tape, t->format.p, t->format.n) == JSON_TAPE_DONE) {
        MEMBERS(&tape, json_root(&tape), m, NAME("type"), NAME("syntax"), NAME("definition"));
        if (json_is(&tape, m[0], "grammar") && m[1] && m[2]) {
            jout_lit(w->o, ",\"format\":{\"type\":\"grammar\",\"grammar\":{\"syntax\":");
            jout_raw(w->o, json_raw(&tape, m[1]));
            jout_lit(w->o, ",\"definition\":");
            jout_raw(w->o, json_raw(&tape, m[2]));
            jout_lit(w->o, "}}");
        } else {
            put_member(w, STR("format"), t->format);
        }
    }
    json_tape_deinit(&tape);
    jout_lit(w->o, "}");
}

/* A tool of free text as a function of one text; its grammar becomes part of what it is for. */
static void put_wrapped(struct writing *w, const struct tool *t)
{
    struct json_tape tape;

    jout_lit(w->o, "\"function\",\"function\":{\"name\":");
    jout_string(w->o, tool_name(w, t->name, true));
    jout_lit(w->o, ",\"description\":\"");
    jout_text(w->o, t->description);
    json_tape_init(&tape, w->o->pool);
    if (t->format.n && json_tape_read(&tape, t->format.p, t->format.n) == JSON_TAPE_DONE) {
        MEMBERS(&tape, json_root(&tape), m, NAME("syntax"), NAME("definition"));
        if (json_has_type(m[1], JSON_STRING)) {
            jout_lit(w->o, "\\n\\nFormat:\\n```");
            jout_text(w->o, json_text(&tape, m[0]));
            jout_lit(w->o, "\\n");
            jout_text(w->o, json_text(&tape, m[1]));
            jout_lit(w->o, "\\n```");
        }
    }
    json_tape_deinit(&tape);
    jout_lit(w->o, "\",\"parameters\":{\"type\":\"object\",\"properties\":{\"" WRAPPED_MEMBER
                   "\":{\"type\":\"string\",\"description\":\"The ");
    jout_text(w->o, t->name);
    jout_lit(w->o,
             " content following the specified format\"}},\"required\":[\"" WRAPPED_MEMBER "\"]}}");
}

static bool is_allowed(const struct writing *w, const struct tool *t)
{
    const struct tool_choice *c = &w->n->choice;
    bool allowed = !c->only_allowed;

    for (uint32_t i = 0; i < c->n_allowed && !allowed; i++)
        allowed = jstr_same(c->allowed[i], t->name);
    return allowed;
}

/* A tool chat has no words for: Anthropic's are run by the client, which must know. */
static bool drop_tool(struct writing *w, const struct tool *t)
{
    if (w->m->drop_params || t->origin != API_MESSAGES)
        return true;
    w->f->param = STR("tools");
    return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM, "It has no tool `" STR_FMT "`.",
                     STR_ARG(t->name));
}

static bool put_tools(struct writing *w, bool *ret_any)
{
    const char *before = ",\"tools\":[{\"type\":";
    unsigned n = 0;

    for (const struct tool *t = w->n->tools; t; t = t->next) {
        if (++n > TOOLS_MAX || w->n->choice.n_allowed > ALLOWED_MAX) {
            w->f->param = STR("tools");
            return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM,
                             "It takes at most %u tools, %u of them named as allowed.",
                             (unsigned)TOOLS_MAX, (unsigned)ALLOWED_MAX);
        }
        if (t->kind == TOOL_WEB_SEARCH)
            continue;
        if (t->kind == TOOL_OPAQUE) {
            if (!drop_tool(w, t))
                return false;
            continue;
        }
        if (!is_allowed(w, t))
            continue;
        jout_raw(w->o, str_of(before));
        before = ",{\"type\":";
        if (t->kind == TOOL_FUNCTION)
            put_function(w, t);
        else if (can(w, CAP_CUSTOM_TOOLS))
            put_custom(w, t);
        else
            put_wrapped(w, t);
        chat_put_mark(w, t->cache);
        jout_lit(w->o, "}");
    }
    *ret_any = before[1] == '{';
    if (*ret_any)
        jout_lit(w->o, "]");
    return true;
}

static void put_choice(struct writing *w)
{
    static const struct str names[] = {
        [CHOICE_AUTO] = STR_INIT("\"auto\""),
        [CHOICE_NONE] = STR_INIT("\"none\""),
        [CHOICE_REQUIRED] = STR_INIT("\"required\""),
    };
    const struct tool_choice *c = &w->n->choice;
    bool custom = c->is_custom && can(w, CAP_CUSTOM_TOOLS);

    enum choice kind = (enum choice)c->kind;
    if ((kind == CHOICE_REQUIRED || kind == CHOICE_NAMED) && !can(w, CAP_FORCED_TOOLS))
        kind = CHOICE_AUTO;
    if (kind == CHOICE_UNSET)
        return;
    if (kind != CHOICE_NAMED) {
        put_member(w, STR("tool_choice"), names[kind]);
        return;
    }
    jout_raw(w->o, custom ? STR(",\"tool_choice\":{\"type\":\"custom\",\"custom\":{\"name\":")
                          : STR(",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":"));
    jout_string(w->o, tool_name(w, c->name, c->is_custom));
    jout_lit(w->o, "}}");
}

/* A place as chat has it: what is known of it in an object of its own. */
static void put_location(struct writing *w, struct str before, struct str location)
{
    struct json_tape t;
    const char *comma = "";

    json_tape_init(&t, w->o->pool);
    if (json_tape_read(&t, location.p, location.n) == JSON_TAPE_DONE &&
        json_has_type(json_root(&t), JSON_OBJECT)) {
        jout_raw(w->o, before);
        jout_lit(w->o, "\"user_location\":{\"type\":\"approximate\",\"approximate\":{");
        JSON_MEMBERS(&t, json_root(&t), k, v)
        {
            if (json_is(&t, k, "type") || v->type == JSON_NULL)
                continue;
            jout_raw(w->o, str_of(comma));
            comma = ",";
            jout_raw(w->o, json_raw(&t, k));
            jout_lit(w->o, ":");
            jout_raw(w->o, json_raw(&t, v));
        }
        jout_lit(w->o, "}}");
    }
    json_tape_deinit(&t);
}

static void put_web_search(struct writing *w)
{
    const struct tool *t = w->n->tools;

    while (t && t->kind != TOOL_WEB_SEARCH)
        t = t->next;
    if (!t)
        return;
    jout_lit(w->o, ",\"web_search_options\":{");
    if (t->context_size.n) {
        jout_lit(w->o, "\"search_context_size\":");
        jout_string(w->o, t->context_size);
    }
    if (t->location.n)
        put_location(w, t->context_size.n ? STR(",") : STR(""), t->location);
    jout_lit(w->o, "}");
}

/* --- how to answer -------------------------------------------------------------------------------
 */

/* An object of a schema that lists every property as required and allows no other. */
static bool is_closed(const struct json_tape *t, const struct json_val *schema, unsigned *steps)
{
    MEMBERS(t, schema, m, NAME("properties"), NAME("required"), NAME("additionalProperties"));

    if (!json_has_type(m[0], JSON_OBJECT))
        return true;
    if (!json_has_type(m[2], JSON_FALSE) || !json_has_type(m[1], JSON_ARRAY))
        return false;
    JSON_MEMBERS(t, m[0], k, v)
    {
        bool found = false;
        JSON_ELEMENTS(t, m[1], name)
        {
            if (++*steps > STRICT_STEPS_MAX)
                return false;
            if ((found = jstr_same(json_text(t, name), json_text(t, k))))
                break;
        }
        if (!found)
            return false;
    }
    return true;
}

/* A schema OpenAI takes as strict (A.5), which is what Messages means by any. */
static bool is_strict(struct writing *w, struct str schema)
{
    struct json_tape t;
    unsigned steps = 0;

    json_tape_init(&t, w->o->pool);
    bool strict = json_tape_read(&t, schema.p, schema.n) == JSON_TAPE_DONE;
    for (uint32_t i = 0; strict && i < t.n; i++)
        strict = t.v[i].type != JSON_OBJECT || is_closed(&t, &t.v[i], &steps);
    json_tape_deinit(&t);
    return strict;
}

static void put_format(struct writing *w)
{
    struct neutral *n = w->n;
    enum tristate strict = (enum tristate)n->format.strict;

    if (n->format.kind == FORMAT_JSON ||
        (n->format.kind == FORMAT_SCHEMA && !can(w, CAP_JSON_SCHEMA)))
        put_member(w, STR("response_format"), STR("{\"type\":\"json_object\"}"));
    if (n->format.kind != FORMAT_SCHEMA || !can(w, CAP_JSON_SCHEMA))
        return;
    if (strict == UNSET && n->from == API_MESSAGES && is_strict(w, n->format.schema))
        strict = YES;
    jout_lit(w->o, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
    jout_string(w->o, n->format.name.n ? neutral_id(n, n->format.name, CHAT_TOOL_NAME_MAX)
                                       : JSTR("structured_output"));
    put_string(w, STR("description"), n->format.description);
    put_member(w, STR("schema"), n->format.schema);
    put_tristate(w, STR("strict"), strict);
    jout_lit(w->o, "}}");
}

static enum effort effort_wanted(const struct writing *w)
{
    const struct neutral *n = w->n;

    if (n->reasoning.effort != EFFORT_UNSET)
        return (enum effort)n->reasoning.effort;
    if (n->reasoning.thinking == THINKING_OFF)
        return EFFORT_NONE;
    if (n->reasoning.thinking == THINKING_ON && n->reasoning.budget)
        return effort_of_budget(n->reasoning.budget);
    return EFFORT_UNSET; /* adaptive: the model's own way */
}

static void put_effort(struct writing *w)
{
    enum effort e = effort_wanted(w);

    if (e == EFFORT_UNSET || !can(w, CAP_REASONING) ||
        (e == EFFORT_NONE && can(w, CAP_THINKING_ALWAYS)))
        return;
    if (e == EFFORT_MAX && !can(w, CAP_EFFORT_MAX))
        e = EFFORT_XHIGH;
    if (e == EFFORT_XHIGH && !can(w, CAP_EFFORT_XHIGH))
        e = EFFORT_HIGH;
    jout_lit(w->o, ",\"reasoning_effort\":\"");
    jout_raw(w->o, effort_name(e));
    jout_lit(w->o, "\"");
}

static void put_limits(struct writing *w)
{
    const struct neutral *n = w->n;

    if (n->max_tokens) {
        put_key(w, can(w, CAP_MAX_COMPLETION) ? STR("max_completion_tokens") : STR("max_tokens"));
        jout_u64(w->o, n->max_tokens);
    }
    for (uint32_t i = 0; i < MIN(n->n_stop, (uint32_t)STOPS_MAX); i++) {
        jout_raw(w->o, i ? STR(",") : STR(",\"stop\":["));
        jout_string(w->o, n->stop[i]);
    }
    if (n->n_stop)
        jout_lit(w->o, "]");
}

/* `store` of a Responses client is for the gateway; sampling goes where the model takes it (F.35).
 */
static bool param_goes(const struct writing *w, enum param p)
{
    if (p == PARAM_STORE)
        return w->n->from != API_RESPONSES;
    if (p == PARAM_TEMPERATURE || p == PARAM_TOP_P || p == PARAM_TOP_K)
        return can(w, CAP_SAMPLING);
    return chat_param_name(p).n != 0;
}

/* What the answer would be wrong without. */
static bool refuse_params(struct writing *w)
{
    static const struct {
        enum param param;
        struct str name;
    } rows[] = {
        {PARAM_MCP_SERVERS, STR_INIT("mcp_servers")},
        {PARAM_CONVERSATION, STR_INIT("conversation")},
        {PARAM_PROMPT, STR_INIT("prompt")},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows) && !w->m->drop_params; i++)
        if (w->n->param[rows[i].param].n) {
            w->f->param = rows[i].name;
            return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM,
                             "It does not take `" STR_FMT "`.", STR_ARG(rows[i].name));
        }
    return true;
}

static void put_params(struct writing *w)
{
    const struct str *param = w->n->param;
    bool asks_logprobs =
        param[PARAM_TOP_LOGPROBS].n ||
        str_find(param[PARAM_INCLUDE], STR("\"message.output_text.logprobs\"")) != SIZE_MAX;

    for (unsigned i = 0; i < PARAMS; i++)
        if (param[i].n && param_goes(w, (enum param)i))
            put_member(w, chat_param_name((enum param)i), param[i]);
    if (asks_logprobs && !param[PARAM_LOGPROBS].n)
        put_member(w, STR("logprobs"), STR("true"));
    for (const struct extra *e = w->n->extras; e; e = e->next) {
        if (chat_is_member(e->key)) /* another API's client, who does not know it is one */
            continue;
        jout_lit(w->o, ",");
        jout_string(w->o, e->key);
        jout_lit(w->o, ":");
        jout_raw(w->o, e->value);
    }
}

static struct jstr service_tier(const struct neutral *n)
{
    return jstr_is(n->service_tier, STR("standard_only")) ? JSTR("default") : n->service_tier;
}

bool chat_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                        struct fault *f)
{
    struct writing w = {.o = o, .n = n, .m = m, .f = f};
    bool tools = false;

    /* those who pass it on to a model that has it */
    w.keeps_marks = str_find(m->name, STR("claude")) != SIZE_MAX ||
                    str_find(m->name, STR("anthropic")) != SIZE_MAX ||
                    str_find(m->name, STR("gemini")) != SIZE_MAX;
    if (!refuse_params(&w))
        return false;
    jout_lit(o, "{\"messages\":");
    if (!chat_write_messages(&w))
        return false;
    if (!m->in_path) {
        put_key(&w, STR("model"));
        jout_quote(o, m->name);
    }
    if (!put_tools(&w, &tools))
        return false;
    if (tools) {
        put_choice(&w);
        put_tristate(&w, STR("parallel_tool_calls"), (enum tristate)n->parallel_tools);
    }
    put_web_search(&w);
    put_format(&w);
    put_effort(&w);
    put_limits(&w);
    put_string(&w, STR("user"), n->user.n > USER_MAX ? neutral_id(n, n->user, USER_MAX) : n->user);
    put_string(&w, STR("safety_identifier"), n->safety_identifier);
    put_string(&w, STR("prompt_cache_key"), neutral_session(n, o->pool));
    put_string(&w, STR("service_tier"), service_tier(n));
    put_params(&w);
    if (m->stream)
        put_member(&w, STR("stream"), STR("true"));
    if (m->stream && m->stream_usage)
        put_member(&w, STR("stream_options"), STR("{\"include_usage\":true}"));
    jout_lit(o, "}");
    return true;
}
