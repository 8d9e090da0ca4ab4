/* tools and tool_choice of a request (wire-formats.md B.4, B.5, E.1.1). */

#include "dialect/anthropic_messages_priv.h"
#include "dialect/id_set.h"
#include "dialect/messages_beta.h"

bool messages_choice_plan(struct messages_writing *w)
{
    w->choice = w->n->choice.kind;
    if (w->choice != CHOICE_REQUIRED && w->choice != CHOICE_NAMED)
        return true;
    if (!(w->m->can & CAP_FORCED_TOOLS)) {
        w->choice = CHOICE_AUTO;
        return messages_may_drop(w, "tool_choice");
    }
    /* B.5: not both; a tool that must be called says more than how long to think */
    if (messages_thinks(w) && w->m->can & CAP_THINKING_ALWAYS)
        w->choice = CHOICE_AUTO;
    else if (messages_thinks(w))
        w->thinking = THINKING_UNSET;
    return true;
}

static void put_name(struct messages_writing *w, struct jstr name)
{
    jout_string(w->o, neutral_tool_name(w->n, name, MESSAGES_NAME_MAX));
}

static void put_description(struct messages_writing *w, struct jstr description)
{
    if (!description.n)
        return;
    jout_lit(w->o, ",\"description\":");
    jout_string(w->o, description);
}

static void put_function(struct messages_writing *w, const struct tool *t)
{
    jout_lit(w->o, "{\"name\":");
    put_name(w, t->name);
    put_description(w, t->description);
    jout_lit(w->o, ",\"input_schema\":");
    schema_put_input(w->o, t->schema);
    jout_lit(w->o, ",\"type\":\"custom\"");
    messages_put_cache(w, t->cache);
    jout_lit(w->o, "}");
}

/* Free text becomes the one string of an object; a grammar it must follow is described to the
 * model. */
static void put_custom(struct messages_writing *w, const struct tool *t)
{
    struct json_tape f;
    struct jstr syntax = JSTR_NONE, definition = JSTR_NONE;

    json_tape_init(&f, w->o->pool);
    if (t->format.n && json_tape_read(&f, t->format.p, t->format.n) == JSON_TAPE_DONE) {
        syntax = json_text(&f, JSON_GET(&f, json_root(&f), "syntax"));
        definition = json_text(&f, JSON_GET(&f, json_root(&f), "definition"));
    }
    jout_lit(w->o, "{\"name\":");
    jout_string(w->o, neutral_wrapped_name(w->n, t->name, MESSAGES_NAME_MAX));
    put_description(w, t->description);
    jout_lit(w->o, ",\"input_schema\":{\"type\":\"object\",\"properties\":{\"" WRAPPED_MEMBER "\":{"
                   "\"type\":\"string\"");
    if (definition.n) {
        jout_lit(w->o, ",\"description\":\"Follows this grammar (");
        jout_raw(w->o, (struct str){syntax.p, syntax.n});
        jout_lit(w->o, "):\\n");
        jout_raw(w->o, (struct str){definition.p, definition.n});
        jout_lit(w->o, "\"");
    }
    jout_lit(w->o, "}},\"required\":[\"" WRAPPED_MEMBER "\"]},\"type\":\"custom\"");
    messages_put_cache(w, t->cache);
    jout_lit(w->o, "}");
    json_tape_deinit(&f);
}

/* How many searches a context size is worth (LiteLLM's figures). */
static struct str searches_of(struct jstr context_size)
{
    return jstr_is(context_size, STR("low"))      ? STR("1")
           : jstr_is(context_size, STR("medium")) ? STR("5")
           : jstr_is(context_size, STR("high"))   ? STR("10")
                                                  : STR("");
}

static void put_web_search(struct messages_writing *w, const struct tool *t)
{
    struct str searches = searches_of(t->context_size);

    if (str_find(t->raw, STR("\"web_search_20")) != SIZE_MAX) { /* in this API's own words */
        jout_raw(w->o, t->raw);
        return;
    }
    jout_lit(w->o, "{\"type\":\"web_search_20250305\",\"name\":\"web_search\"");
    if (t->location.n) {
        jout_lit(w->o, ",\"user_location\":");
        jout_raw(w->o, t->location);
    }
    if (searches.n) {
        jout_lit(w->o, ",\"max_uses\":");
        jout_raw(w->o, searches);
    }
    messages_put_cache(w, t->cache);
    jout_lit(w->o, "}");
}

/* Chat clients may speak of tools in this API's words, as with LiteLLM. */
static bool is_ours(const struct tool *t)
{
    return t->origin == API_MESSAGES || t->origin == API_CHAT;
}

static void put_answer(struct messages_writing *w)
{
    struct str hint = w->forces_answer ? STR("") : STR("To answer, call this instead of writing.");
    struct jstr said = w->n->format.description;

    jout_lit(w->o, "{\"name\":\"" ANSWER_TOOL "\"");
    if (hint.n || said.n) {
        jout_lit(w->o, ",\"description\":\"");
        jout_raw(w->o, hint);
        jout_raw(w->o, hint.n && said.n ? STR(" ") : STR(""));
        jout_raw(w->o, (struct str){said.p, said.n});
        jout_lit(w->o, "\"");
    }
    jout_lit(w->o, ",\"input_schema\":");
    schema_put_input(w->o, w->n->format.schema);
    jout_lit(w->o, "}");
}

struct listing {
    struct messages_writing *w;
    struct id_set allowed;
    bool some;
};

static bool is_allowed(const struct listing *l, const struct tool *t)
{
    return !l->w->n->choice.only_allowed || (t->kind != TOOL_FUNCTION && t->kind != TOOL_CUSTOM) ||
           id_set_find(&l->allowed, t->name);
}

static void next(struct listing *l)
{
    if (l->some) {
        jout_lit(l->w->o, ",");
        return;
    }
    messages_put_key(l->w, M_TOOLS);
    jout_lit(l->w->o, "[");
    l->some = true;
}

static bool put_tool(struct listing *l, const struct tool *t)
{
    if (t->kind == TOOL_OPAQUE && !is_ours(t))
        return messages_may_drop(l->w, "tools");
    if (!is_allowed(l, t))
        return true;
    next(l);
    switch ((enum tool_kind)t->kind) {
    case TOOL_FUNCTION:
        put_function(l->w, t);
        break;
    case TOOL_CUSTOM:
        put_custom(l->w, t);
        break;
    case TOOL_WEB_SEARCH:
        put_web_search(l->w, t);
        break;
    case TOOL_OPAQUE:
        l->w->n->betas |= messages_beta_of_tool((struct str){t->type.p, t->type.n});
        jout_raw(l->w->o, t->raw);
        break;
    }
    return true;
}

static void put_choice(struct messages_writing *w)
{
    static const struct str kinds[] = {
        [CHOICE_UNSET] = STR_INIT("auto"), [CHOICE_AUTO] = STR_INIT("auto"),
        [CHOICE_NONE] = STR_INIT("none"),  [CHOICE_REQUIRED] = STR_INIT("any"),
        [CHOICE_NAMED] = STR_INIT("tool"),
    };
    enum choice choice = w->forces_answer ? CHOICE_NAMED : (enum choice)w->choice;

    if (choice == CHOICE_UNSET && w->n->parallel_tools == UNSET)
        return;
    messages_put_key(w, M_TOOL_CHOICE);
    jout_lit(w->o, "{\"type\":\"");
    jout_raw(w->o, kinds[choice]);
    jout_lit(w->o, "\"");
    if (choice == CHOICE_NAMED) {
        jout_lit(w->o, ",\"name\":");
        put_name(w, w->forces_answer ? JSTR(ANSWER_TOOL) : w->n->choice.name);
    }
    if (w->n->parallel_tools != UNSET && choice != CHOICE_NONE) {
        jout_lit(w->o, ",\"disable_parallel_tool_use\":");
        jout_raw(w->o, w->n->parallel_tools == NO ? STR("true") : STR("false"));
    }
    jout_lit(w->o, "}");
}

bool messages_put_tools(struct messages_writing *w)
{
    struct listing l = {.w = w};
    const struct tool_choice *c = &w->n->choice;

    if (c->only_allowed) {
        id_set_begin(&l.allowed, w->n->arena, c->n_allowed);
        for (uint32_t i = 0; i < c->n_allowed; i++)
            (void)id_set_add(&l.allowed, c->allowed[i]); /* not found, not allowed */
    }
    for (const struct tool *t = w->n->tools; t; t = t->next)
        if (!put_tool(&l, t))
            return false;
    if (w->schema == SCHEMA_TOOL) {
        next(&l);
        put_answer(w);
    }
    /* B.4: calls in the history want some tool to be defined */
    if (!l.some && messages_has_calls(w->n)) {
        next(&l);
        jout_lit(w->o, "{\"name\":\"dummy_tool\",\"input_schema\":{\"type\":\"object\","
                       "\"properties\":{}},\"type\":\"custom\"}");
    }
    if (!l.some)
        return true;
    jout_lit(w->o, "]");
    put_choice(w);
    return true;
}
