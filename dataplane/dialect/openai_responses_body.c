/*
 * The neutral form as a request to a Responses upstream. The gateway asks it to keep nothing
 * (store: false) and for its reasoning in a form that clients can bring back.
 */

#include "common/num.h"

#include "dialect/openai_responses_priv.h"

enum {
    NAME_MAX_BYTES = 64,
    ID_MAX_BYTES = 64,
    USER_MAX_BYTES = 64,
    OUTPUT_MIN = 16,
    CALLS_MAX = 1024, /* of a turn, looked at for the kind of a result */
};

struct writing {
    struct jout *o;
    struct neutral *n;
    const struct upstream_model *m;
    struct fault *f;
    unsigned turn;
    const struct turn *answer; /* the last turn of the assistant */
    const struct block *tail;  /* the reasoning at the end of the turn, which leads to nothing */
    bool in_head;              /* nothing but instructions so far */
    bool in_tail;
    bool any_item, any_part, in_message;
};

static bool unsupported(struct writing *w, const char *what)
{
    return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM, "messages.%u: %s", w->turn, what);
}

static void member(struct writing *w, struct str name)
{
    jout_lit(w->o, ",\"");
    jout_raw(w->o, name);
    jout_lit(w->o, "\":");
}

static void member_raw(struct writing *w, struct str name, struct str json)
{
    if (!json.n)
        return;
    member(w, name);
    jout_raw(w->o, json);
}

static void member_text(struct writing *w, struct str name, struct jstr text)
{
    if (!text.n)
        return;
    member(w, name);
    jout_string(w->o, text);
}

/* --- items --------------------------------------------------------------------------------------
 */

static void comma(struct writing *w, bool *any)
{
    if (*any)
        jout_lit(w->o, ",");
    *any = true;
}

static void message_end(struct writing *w, const struct turn *t)
{
    if (!w->in_message)
        return;
    w->in_message = false;
    jout_lit(w->o, "]");
    member_text(w, STR("phase"), t->phase);
    jout_lit(w->o, "}");
}

static void part_begin(struct writing *w, const struct turn *t)
{
    static const struct str roles[] = {
        [ROLE_SYSTEM] = STR_INIT("system"),
        [ROLE_DEVELOPER] = STR_INIT("developer"),
        [ROLE_USER] = STR_INIT("user"),
        [ROLE_ASSISTANT] = STR_INIT("assistant"),
    };
    /* what Messages calls `system` is the developer's voice here */
    bool is_developer = w->in_head && t->role == ROLE_SYSTEM && w->n->from == API_MESSAGES;

    if (!w->in_message) {
        comma(w, &w->any_item);
        jout_lit(w->o, "{\"type\":\"message\",\"role\":\"");
        jout_raw(w->o, roles[is_developer ? ROLE_DEVELOPER : (enum role)t->role]);
        jout_lit(w->o, "\",\"content\":[");
        w->in_message = true;
        w->any_part = false;
    }
    comma(w, &w->any_part);
}

static void item_begin(struct writing *w, const struct turn *t, struct str head)
{
    message_end(w, t);
    comma(w, &w->any_item);
    jout_raw(w->o, head);
}

/* Of the OpenAI family chat's breakpoints mean the same here; Messages' marks have other words. */
static void part_end(struct writing *w, const struct block *b)
{
    if (b->origin != API_MESSAGES && b->cache.n && str_find(b->cache, STR("\"mode\"")) != SIZE_MAX)
        member_raw(w, STR("prompt_cache_breakpoint"), b->cache);
    jout_lit(w->o, "}");
}

static void part_text(struct writing *w, const struct block *b, bool is_output)
{
    if (is_output)
        jout_lit(w->o, "{\"type\":\"output_text\",\"text\":\"");
    else
        jout_lit(w->o, "{\"type\":\"input_text\",\"text\":\"");
    jout_text(w->o, b->text);
    jout_lit(w->o, "\"");
    part_end(w, b);
}

/* Data as a URL, with `type` where the client named none. */
static void data_url(struct writing *w, const struct block *b, struct jstr type)
{
    jout_lit(w->o, "\"data:");
    jout_text(w->o, b->media_type.n ? b->media_type : type);
    jout_lit(w->o, ";base64,");
    jout_text(w->o, b->text);
    jout_lit(w->o, "\"");
}

static bool part_file_id(struct writing *w, const struct block *b)
{
    if (b->origin == API_MESSAGES)
        return unsupported(w, "files of another provider cannot be referred to");
    member_text(w, STR("file_id"), b->text);
    return true;
}

static bool part_image(struct writing *w, const struct block *b)
{
    jout_lit(w->o, "{\"type\":\"input_image\"");
    switch ((enum media_source)b->source) {
    case MEDIA_BASE64:
        member(w, STR("image_url"));
        data_url(w, b, JSTR("image/jpeg"));
        break;
    case MEDIA_URL:
        member_text(w, STR("image_url"), b->text);
        break;
    case MEDIA_FILE:
        if (!part_file_id(w, b))
            return false;
        break;
    case MEDIA_TEXT:
        return unsupported(w, "an image cannot be text");
    }
    member_text(w, STR("detail"), b->detail.n ? b->detail : JSTR("auto"));
    part_end(w, b);
    return true;
}

static bool part_document(struct writing *w, const struct block *b)
{
    if (b->source == MEDIA_TEXT) {
        part_text(w, b, false);
        return true;
    }
    jout_lit(w->o, "{\"type\":\"input_file\"");
    if (b->source == MEDIA_BASE64) { /* which needs a name */
        member_text(w, STR("filename"), b->name.n ? b->name : JSTR("document.pdf"));
        member(w, STR("file_data"));
        data_url(w, b, JSTR("application/pdf"));
    } else if (b->source == MEDIA_URL) {
        member_text(w, STR("file_url"), b->text);
    } else if (!part_file_id(w, b)) {
        return false;
    }
    part_end(w, b);
    return true;
}

static bool part_audio(struct writing *w, const struct block *b)
{
    if (b->source != MEDIA_BASE64)
        return unsupported(w, "audio must be sent as data");
    jout_lit(w->o, "{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"");
    jout_text(w->o, b->text);
    jout_lit(w->o, "\",\"format\":\"");
    jout_text(w->o, b->media_type);
    jout_lit(w->o, "\"}");
    part_end(w, b);
    return true;
}

static bool part_write(struct writing *w, const struct block *b, bool is_output)
{
    switch ((enum block_kind)b->kind) {
    case BLOCK_REFUSAL:
        if (is_output) {
            jout_lit(w->o, "{\"type\":\"refusal\",\"refusal\":\"");
            jout_text(w->o, b->text);
            jout_lit(w->o, "\"}");
            return true;
        }
        FALLTHROUGH;
    case BLOCK_TEXT:
        part_text(w, b, is_output);
        return true;
    case BLOCK_IMAGE:
        return part_image(w, b);
    case BLOCK_DOCUMENT:
        return part_document(w, b);
    case BLOCK_AUDIO:
        return part_audio(w, b);
    case BLOCK_REASONING:
    case BLOCK_TOOL_CALL:
    case BLOCK_TOOL_RESULT:
    case BLOCK_OPAQUE:
        break;
    }
    return unsupported(w, "a block of this kind has no place there");
}

static void item_call(struct writing *w, const struct turn *t, const struct block *b)
{
    item_begin(w, t,
               b->is_custom ? STR("{\"type\":\"custom_tool_call\"")
                            : STR("{\"type\":\"function_call\""));
    member_text(w, STR("call_id"), neutral_id(w->n, b->id, ID_MAX_BYTES));
    member_text(w, STR("name"), neutral_tool_name(w->n, b->name, NAME_MAX_BYTES));
    member(w, b->is_custom ? STR("input") : STR("arguments"));
    if (b->is_custom)
        jout_string(w->o, b->text);
    else if (b->input.n)
        jout_quote(w->o, b->input);
    else
        jout_string(w->o, jstr_is_blank(b->arguments) ? JSTR("{}") : b->arguments);
    jout_lit(w->o, "}");
}

/* Chat does not say which calls its results answer are custom ones. */
static bool answers_custom(const struct writing *w, const struct block *result)
{
    const struct block *b = w->answer ? w->answer->first : NULL;

    for (unsigned i = 0; b && i < CALLS_MAX && !result->is_custom; b = b->next, i++)
        if (b->kind == BLOCK_TOOL_CALL && b->is_custom && jstr_same(b->id, result->id))
            return true;
    return result->is_custom;
}

/* Texts of Messages as one string; else a list of parts: as LiteLLM writes both. */
static bool output_write(struct writing *w, const struct block *b, bool is_custom)
{
    bool any = false, is_text = b->origin == API_MESSAGES || is_custom;

    for (const struct block *in = b->inner; in && is_text; in = in->next)
        is_text = in->kind == BLOCK_TEXT;
    if (is_text) {
        jout_lit(w->o, "\"");
        if (b->is_error)
            jout_lit(w->o, "ERROR: ");
        for (const struct block *in = b->inner; in; in = in->next) {
            if (in != b->inner)
                jout_lit(w->o, "\\n");
            jout_text(w->o, in->text);
        }
        jout_lit(w->o, "\"");
        return true;
    }
    jout_lit(w->o, "[");
    if (b->is_error) {
        jout_lit(w->o, "{\"type\":\"input_text\",\"text\":\"ERROR\"}");
        any = true;
    }
    for (const struct block *in = b->inner; in; in = in->next) {
        if (in->kind == BLOCK_OPAQUE)
            continue;
        comma(w, &any);
        if (!part_write(w, in, false))
            return false;
    }
    jout_lit(w->o, "]");
    return true;
}

static bool item_output(struct writing *w, const struct turn *t, const struct block *b)
{
    bool is_custom = answers_custom(w, b);

    item_begin(w, t,
               is_custom ? STR("{\"type\":\"custom_tool_call_output\"")
                         : STR("{\"type\":\"function_call_output\""));
    member_text(w, STR("call_id"), neutral_id(w->n, b->id, ID_MAX_BYTES));
    member(w, STR("output"));
    bool ok = output_write(w, b, is_custom);
    jout_lit(w->o, "}");
    return ok;
}

/* What the upstream wants back: its own, and only where the item it led to follows (C.7). */
static void item_reasoning(struct writing *w, const struct turn *t, const struct block *b)
{
    bool any = false;

    w->in_tail |= b == w->tail;
    if (b->origin != API_RESPONSES || !b->signature.n || w->in_tail)
        return;
    item_begin(w, t, STR("{\"type\":\"reasoning\""));
    member_text(w, STR("id"), b->id);
    jout_lit(w->o, ",\"summary\":[");
    for (const struct block *in = b; in; in = in == b ? b->inner : in->next) {
        if (!in->text.n)
            continue;
        comma(w, &any);
        jout_lit(w->o, "{\"type\":\"summary_text\",\"text\":\"");
        jout_text(w->o, in->text);
        jout_lit(w->o, "\"}");
    }
    jout_lit(w->o, "]");
    member_text(w, STR("encrypted_content"), b->signature);
    jout_lit(w->o, "}");
}

static bool block_write(struct writing *w, const struct turn *t, const struct block *b)
{
    switch ((enum block_kind)b->kind) {
    case BLOCK_REASONING:
        item_reasoning(w, t, b);
        return true;
    case BLOCK_TOOL_CALL:
        item_call(w, t, b);
        return true;
    case BLOCK_TOOL_RESULT:
        return item_output(w, t, b);
    case BLOCK_OPAQUE: /* of another API: nothing here would understand it */
        if (b->origin == API_RESPONSES)
            item_begin(w, t, b->raw);
        return true;
    case BLOCK_TEXT:
        if (t->role != ROLE_USER && !b->text.n)
            return true;
        FALLTHROUGH;
    case BLOCK_REFUSAL:
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
    case BLOCK_AUDIO:
        part_begin(w, t);
        return part_write(w, b, t->role == ROLE_ASSISTANT);
    }
    return true;
}

/* Results stand behind the calls they answer, before what the user has to say. */
static bool turn_write(struct writing *w, const struct turn *t)
{
    bool ok = true;

    w->in_tail = false;
    w->tail = NULL;
    for (const struct block *b = t->first; b; b = b->next)
        w->tail = b->kind != BLOCK_REASONING ? NULL : w->tail ? w->tail : b;
    w->in_head &= t->role == ROLE_SYSTEM || t->role == ROLE_DEVELOPER;
    for (const struct block *b = t->first; b && ok; b = b->next)
        if (b->kind == BLOCK_TOOL_RESULT)
            ok = block_write(w, t, b);
    for (const struct block *b = t->first; b && ok; b = b->next)
        if (b->kind != BLOCK_TOOL_RESULT)
            ok = block_write(w, t, b);
    message_end(w, t);
    if (t->role == ROLE_ASSISTANT)
        w->answer = t;
    w->turn++;
    return ok;
}

/* --- tools --------------------------------------------------------------------------------------
 */

static void tool_head(struct writing *w, const struct tool *t, struct str head)
{
    jout_raw(w->o, head);
    member_text(w, STR("name"), neutral_tool_name(w->n, t->name, NAME_MAX_BYTES));
    member_text(w, STR("description"), t->description);
}

static bool tool_write(struct writing *w, const struct tool *t)
{
    switch ((enum tool_kind)t->kind) {
    case TOOL_FUNCTION:
        tool_head(w, t, STR("{\"type\":\"function\""));
        member(w, STR("parameters"));
        jout_raw(w->o, t->schema.n ? t->schema : STR("{\"type\":\"object\",\"properties\":{}}"));
        /* left out it would mean true and change the schema */
        member_raw(w, STR("strict"), t->strict == YES ? STR("true") : STR("false"));
        break;
    case TOOL_CUSTOM:
        tool_head(w, t, STR("{\"type\":\"custom\""));
        member_raw(w, STR("format"), t->format);
        break;
    case TOOL_WEB_SEARCH:
        jout_lit(w->o, "{\"type\":\"web_search\"");
        member_text(w, STR("search_context_size"), t->context_size);
        member_raw(w, STR("user_location"), t->location);
        break;
    case TOOL_OPAQUE:
        if (t->origin == API_MESSAGES) {
            w->f->param = STR("tools");
            return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM,
                             "tools: a tool of this type runs only at its own provider");
        }
        jout_raw(w->o, t->raw);
        return true;
    }
    jout_lit(w->o, "}");
    return true;
}

static bool tools_write(struct writing *w)
{
    bool any = false;

    for (const struct tool *t = w->n->tools; t; t = t->next) {
        if (t->kind == TOOL_OPAQUE && t->origin == API_MESSAGES && w->m->drop_params)
            continue;
        if (any)
            jout_lit(w->o, ",");
        else
            jout_lit(w->o, ",\"tools\":[");
        any = true;
        if (!tool_write(w, t))
            return false;
    }
    if (any)
        jout_lit(w->o, "]");
    return true;
}

static bool is_custom_tool(const struct writing *w, struct jstr name)
{
    for (const struct tool *t = w->n->tools; t; t = t->next)
        if (t->kind == TOOL_CUSTOM && jstr_same(t->name, name))
            return true;
    return false;
}

static void chosen_tool(struct writing *w, struct jstr name, bool is_custom)
{
    jout_raw(w->o, is_custom ? STR("{\"type\":\"custom\"") : STR("{\"type\":\"function\""));
    member_text(w, STR("name"), neutral_tool_name(w->n, name, NAME_MAX_BYTES));
    jout_lit(w->o, "}");
}

static void choice_write(struct writing *w)
{
    static const struct str modes[] = {
        [CHOICE_AUTO] = STR_INIT("\"auto\""),
        [CHOICE_NONE] = STR_INIT("\"none\""),
        [CHOICE_REQUIRED] = STR_INIT("\"required\""),
    };
    const struct tool_choice *c = &w->n->choice;

    if (c->kind == CHOICE_UNSET)
        return;
    member(w, STR("tool_choice"));
    if (c->kind == CHOICE_NAMED) {
        chosen_tool(w, c->name, c->is_custom);
        return;
    }
    if (!c->only_allowed) {
        jout_raw(w->o, modes[c->kind]);
        return;
    }
    jout_lit(w->o, "{\"type\":\"allowed_tools\",\"mode\":");
    jout_raw(w->o, modes[c->kind]);
    jout_lit(w->o, ",\"tools\":[");
    for (uint32_t i = 0; i < c->n_allowed; i++) {
        if (i)
            jout_lit(w->o, ",");
        chosen_tool(w, c->allowed[i], is_custom_tool(w, c->allowed[i]));
    }
    jout_lit(w->o, "]}");
}

/* --- members ------------------------------------------------------------------------------------
 */

static void text_write(struct writing *w)
{
    const struct neutral *n = w->n;
    struct str verbosity = n->param[PARAM_VERBOSITY];

    if (n->format.kind == FORMAT_UNSET && !verbosity.n)
        return;
    jout_lit(w->o, ",\"text\":{");
    if (n->format.kind == FORMAT_TEXT)
        jout_lit(w->o, "\"format\":{\"type\":\"text\"}");
    else if (n->format.kind == FORMAT_JSON)
        jout_lit(w->o, "\"format\":{\"type\":\"json_object\"}");
    else if (n->format.kind == FORMAT_SCHEMA) {
        jout_lit(w->o, "\"format\":{\"type\":\"json_schema\"");
        member_text(w, STR("name"),
                    n->format.name.n ? neutral_id(w->n, n->format.name, NAME_MAX_BYTES)
                                     : JSTR("structured_output"));
        member_text(w, STR("description"), n->format.description);
        member_raw(w, STR("schema"), n->format.schema);
        /* Messages promises what it says without being asked */
        bool strict =
            n->format.strict == YES || (n->format.strict == UNSET && n->from == API_MESSAGES);
        member_raw(w, STR("strict"), strict ? STR("true") : STR("false"));
        jout_lit(w->o, "}");
    }
    if (verbosity.n) {
        if (n->format.kind != FORMAT_UNSET)
            jout_lit(w->o, ",");
        jout_lit(w->o, "\"verbosity\":");
        jout_raw(w->o, verbosity);
    }
    jout_lit(w->o, "}");
}

static enum effort effort_asked(const struct neutral *n)
{
    if (n->reasoning.effort)
        return (enum effort)n->reasoning.effort;
    if (n->reasoning.thinking == THINKING_ON)
        return n->reasoning.budget ? effort_of_budget(n->reasoning.budget) : EFFORT_MEDIUM;
    return n->reasoning.thinking == THINKING_ADAPTIVE ? EFFORT_MEDIUM : EFFORT_UNSET;
}

static void reasoning_write(struct writing *w)
{
    struct jstr summary = w->n->reasoning.summary;
    enum effort effort = effort_asked(w->n);
    /* clients of Messages ask every model to think, and these models refuse the word itself */
    bool drops = w->m->drop_params || w->n->from == API_MESSAGES;
    bool off = w->n->reasoning.thinking == THINKING_OFF || (!(w->m->can & CAP_REASONING) && drops);

    if (w->n->from == API_MESSAGES) /* where it is `display` */
        summary = jstr_is(summary, STR("summarized")) ? JSTR("auto") : JSTR_NONE;
    if (off || (!effort && !summary.n))
        return;
    jout_lit(w->o, ",\"reasoning\":{");
    if (effort) {
        jout_lit(w->o, "\"effort\":\"");
        jout_raw(w->o, effort_name(effort));
        jout_lit(w->o, "\"");
    }
    if (summary.n) {
        if (effort)
            jout_lit(w->o, ",");
        jout_lit(w->o, "\"summary\":");
        jout_string(w->o, summary);
    }
    jout_lit(w->o, "}");
}

/* Models that do not reason refuse to be asked for their reasoning. */
static void include_write(struct writing *w)
{
    bool logprobs = str_eq(w->n->param[PARAM_LOGPROBS], STR("true"));
    bool reasoning = w->m->can & CAP_REASONING;

    if (!logprobs && !reasoning)
        return;
    jout_lit(w->o, ",\"include\":[");
    if (reasoning)
        jout_lit(w->o, "\"reasoning.encrypted_content\"");
    if (logprobs && reasoning)
        jout_lit(w->o, ",");
    if (logprobs)
        jout_lit(w->o, "\"message.output_text.logprobs\"");
    jout_lit(w->o, "]");
}

/* At most 64 bytes of it, whole characters. */
static void user_write(struct writing *w)
{
    struct str user = jstr_decode(w->n->user, w->n->arena);

    if (!user.n)
        return;
    if (user.n > USER_MAX_BYTES) {
        user.n = USER_MAX_BYTES;
        while (user.n && ((unsigned char)user.p[user.n] & 0xc0) == 0x80)
            user.n--;
    }
    member(w, STR("user"));
    jout_quote(w->o, user);
}

static void tier_write(struct writing *w)
{
    struct jstr tier = w->n->service_tier;

    if (w->n->from == API_MESSAGES && jstr_is(tier, STR("standard_only")))
        tier = JSTR("default");
    member_text(w, STR("service_tier"), tier);
}

static void params_write(struct writing *w)
{
    static const struct {
        enum param param;
        struct str name;
    } rows[] = {
#define PARAM(id, chat, messages, responses) {PARAM_##id, STR_INIT(responses)},
#include "dialect/params.def"
#undef PARAM
    };
    /* written by others, or not at all */
    const uint64_t others =
        BIT64(PARAM_STORE) | BIT64(PARAM_INCLUDE) | BIT64(PARAM_BACKGROUND) |
        (w->n->from == API_MESSAGES ? BIT64(PARAM_CONTEXT_MANAGEMENT) : 0) |
        (w->m->drop_params && !(w->m->can & CAP_SAMPLING) && w->m->can & CAP_REASONING
             ? BIT64(PARAM_TEMPERATURE) | BIT64(PARAM_TOP_P)
             : 0);

    static_assert(PARAMS <= 64, "a bit each");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name.n && !(others & BIT64(rows[i].param)))
            member_raw(w, rows[i].name, w->n->param[rows[i].param]);
}

/* Members of this API that a client of chat may add, as LiteLLM lets it. */
static void extras_write(struct writing *w)
{
    static const struct str passed[] = {
        STR_INIT("previous_response_id"), STR_INIT("truncation"),         STR_INIT("prompt"),
        STR_INIT("max_tool_calls"),       STR_INIT("context_management"), STR_INIT("moderation"),
    };

    for (const struct extra *e = w->n->extras; e; e = e->next)
        for (size_t i = 0; i < ARRAY_LEN(passed); i++)
            if (jstr_is(e->key, passed[i]))
                member_raw(w, passed[i], e->value);
}

bool responses_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                             struct fault *f)
{
    struct writing w = {.o = o, .n = n, .m = m, .f = f, .in_head = true};

    if (n->param[PARAM_MCP_SERVERS].n && !m->drop_params) { /* tools the answer would lack */
        f->param = STR("mcp_servers");
        return fault_set(f, n->arena, ERROR_UNSUPPORTED_PARAM, "It does not take `mcp_servers`.");
    }
    /* what a client of Responses stores is the gateway's to keep */
    bool store = n->from != API_RESPONSES && str_eq(n->param[PARAM_STORE], STR("true"));
    jout_lit(o, "{");
    if (!m->counts) { /* a count keeps nothing */
        jout_lit(o, "\"store\":");
        jout_raw(o, store ? STR("true,") : STR("false,"));
    }
    if (!m->in_path) {
        jout_lit(o, "\"model\":");
        jout_quote(o, m->name);
        jout_lit(o, ",");
    }
    jout_lit(o, "\"input\":[");
    for (const struct turn *t = n->first; t; t = t->next)
        if (!turn_write(&w, t))
            return false;
    jout_lit(o, "]");
    if (!tools_write(&w))
        return false;
    choice_write(&w);
    if (n->parallel_tools != UNSET)
        member_raw(&w, STR("parallel_tool_calls"),
                   n->parallel_tools == YES ? STR("true") : STR("false"));
    text_write(&w);
    reasoning_write(&w);
    if (m->counts) { /* what makes the answer is no part of the prompt */
        jout_lit(o, "}");
        return true;
    }
    if (n->max_tokens) {
        member(&w, STR("max_output_tokens"));
        jout_u64(o, MAX(n->max_tokens, (uint64_t)OUTPUT_MIN));
    }
    include_write(&w);
    user_write(&w);
    member_text(&w, STR("safety_identifier"), n->safety_identifier);
    member_text(&w, STR("prompt_cache_key"), neutral_session(n, o->pool));
    tier_write(&w);
    params_write(&w);
    extras_write(&w);
    if (m->stream)
        jout_lit(o, ",\"stream\":true");
    jout_lit(o, "}");
    return true;
}
