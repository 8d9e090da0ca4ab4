/*
 * A request for an Anthropic upstream. First everything is decided that depends on several
 * parameters at once (thinking, forced tools, structured output), then the members are written in
 * the order of the provider's cache: tools, system, messages.
 */

#include "common/num.h"

#include "dialect/anthropic_messages_priv.h"

enum {
    CACHE_MARKS_MAX = 4,
    MAX_TOKENS_DEFAULT = 4096, /* where the model's own is not known; and beside a budget */
    BUDGET_MIN = 1024,
};

static const struct str members[MESSAGES_MEMBERS] = {
    [M_MODEL] = STR_INIT("model"),
    [M_MAX_TOKENS] = STR_INIT("max_tokens"),
    [M_TOOLS] = STR_INIT("tools"),
    [M_TOOL_CHOICE] = STR_INIT("tool_choice"),
    [M_SYSTEM] = STR_INIT("system"),
    [M_MESSAGES] = STR_INIT("messages"),
    [M_THINKING] = STR_INIT("thinking"),
    [M_OUTPUT_CONFIG] = STR_INIT("output_config"),
    [M_STOP_SEQUENCES] = STR_INIT("stop_sequences"),
    [M_TEMPERATURE] = STR_INIT("temperature"),
    [M_TOP_P] = STR_INIT("top_p"),
    [M_TOP_K] = STR_INIT("top_k"),
    [M_METADATA] = STR_INIT("metadata"),
    [M_SERVICE_TIER] = STR_INIT("service_tier"),
    [M_STREAM] = STR_INIT("stream"),
};

void messages_put_key(struct messages_writing *w, enum messages_member m)
{
    jout_raw(w->o, w->written ? STR(",\"") : STR("{\""));
    jout_raw(w->o, members[m]);
    jout_lit(w->o, "\":");
    w->written |= BIT(m);
}

void messages_put_cache(struct messages_writing *w, struct str cache)
{
    if (!cache.n)
        return;
    if (w->skip_marks) {
        w->skip_marks--;
        return;
    }
    jout_lit(w->o, ",\"cache_control\":");
    jout_raw(w->o, str_find(cache, STR("\"ephemeral\"")) != SIZE_MAX
                       ? cache
                       : STR("{\"type\":\"ephemeral\"}"));
}

bool messages_may_drop(struct messages_writing *w, const char *param)
{
    if (w->m->drop_params)
        return true;
    w->f->param = str_of(param);
    return fault_set(w->f, w->n->arena, ERROR_UNSUPPORTED_PARAM,
                     "%s: not as given; drop_params would drop it.", param);
}

/* --- decisions -------------------------------------------------------------------------------
 */

/* The step of the ladder that a budget reaches. */
static enum effort effort_reached(uint64_t budget)
{
    enum effort e = EFFORT_HIGH;

    while (e > EFFORT_LOW && budget < effort_budget(e))
        e--;
    return e;
}

/* An effort that this model has: false, the fault is set. */
static bool effort_ok(struct messages_writing *w)
{
    bool lacks = (w->effort == EFFORT_XHIGH && !(w->m->can & CAP_EFFORT_XHIGH)) ||
                 (w->effort == EFFORT_MAX && !(w->m->can & CAP_EFFORT_MAX));

    if (!lacks)
        return true;
    w->effort = EFFORT_HIGH;
    return messages_may_drop(w, "reasoning_effort");
}

/* B.6, E.0: adaptive where the model knows it, else a budget. */
static bool thinking_plan(struct messages_writing *w)
{
    const struct neutral *n = w->n;
    enum effort effort = n->reasoning.effort;
    enum thinking asked = n->reasoning.thinking;
    bool adaptive = w->m->can & CAP_THINKING_ADAPTIVE, budget = w->m->can & CAP_THINKING_BUDGET;
    bool always = w->m->can & CAP_THINKING_ALWAYS;

    w->thinking = THINKING_UNSET;
    if (asked == THINKING_OFF || effort == EFFORT_NONE) {
        if (!always && (asked == THINKING_OFF || adaptive))
            w->thinking = THINKING_OFF;
    } else if (asked == THINKING_UNSET && effort == EFFORT_UNSET) {
        return true;
    } else if (asked == THINKING_BETWEEN_TOOLS) {
        w->thinking = adaptive ? THINKING_BETWEEN_TOOLS : THINKING_UNSET;
    } else if (adaptive && !(asked == THINKING_ON && n->reasoning.budget && budget)) {
        w->thinking = THINKING_ADAPTIVE;
        w->effort = (uint8_t)(effort                ? effort
                              : n->reasoning.budget ? effort_reached(n->reasoning.budget)
                                                    : EFFORT_UNSET);
    } else if (budget) {
        w->thinking = THINKING_ON;
        w->budget = n->reasoning.budget ? n->reasoning.budget
                                        : effort_budget(effort ? effort : EFFORT_MEDIUM);
    }
    if (messages_thinks(w) && w->m->modify_params && messages_lacks_thinking(n))
        w->thinking = THINKING_UNSET;
    return w->thinking != THINKING_ADAPTIVE || effort_ok(w);
}

/*
 * B.6: a budget lies between 1024 and max_tokens. A limit the client set holds, because it limits
 * what the request may cost: thinking gives way.
 */
static void max_tokens_plan(struct messages_writing *w)
{
    uint64_t given = w->n->max_tokens, most = w->m->max_output;

    w->max_tokens = given ? given : most ? most : MAX_TOKENS_DEFAULT;
    if (w->thinking != THINKING_ON)
        return;
    w->budget = MIN(MAX(w->budget, (uint64_t)BUDGET_MIN), (uint64_t)UINT32_MAX);
    if (!given)
        w->max_tokens =
            most ? MIN(w->budget + MAX_TOKENS_DEFAULT, most) : w->budget + MAX_TOKENS_DEFAULT;
    if (w->max_tokens <= BUDGET_MIN)
        w->thinking = THINKING_UNSET;
    else if (w->budget >= w->max_tokens)
        w->budget = MAX(w->max_tokens / 2, (uint64_t)BUDGET_MIN);
}

/*
 * E.0: natively where the model has it and the schema can be said, else a tool whose input is the
 * answer: forced where that is possible, among the client's own tools where it has some.
 */
static void schema_plan(struct messages_writing *w)
{
    bool may_force =
        w->m->can & CAP_FORCED_TOOLS && !messages_thinks(w) && !(w->m->can & CAP_THINKING_ALWAYS);
    bool alone = !w->n->tools;

    w->n->emulates_schema = false;
    if (w->n->format.kind != FORMAT_SCHEMA || !w->n->format.schema.n)
        return;
    w->schema = SCHEMA_NATIVE;
    if (w->m->can & CAP_JSON_SCHEMA &&
        !(may_force && alone && schema_is_open(w->o->pool, w->n->format.schema)))
        return;
    w->schema = SCHEMA_TOOL;
    w->n->emulates_schema = true;
    w->forces_answer = may_force && (alone || w->choice == CHOICE_NONE);
    if (may_force && !alone && (w->choice == CHOICE_UNSET || w->choice == CHOICE_AUTO))
        w->choice = CHOICE_REQUIRED;
}

static unsigned marks_of(const struct block *b)
{
    unsigned n = 0;

    for (; b; b = b->next) {
        n += b->cache.n != 0;
        for (const struct block *i = b->kind == BLOCK_TOOL_RESULT ? b->inner : NULL; i; i = i->next)
            n += i->cache.n != 0;
    }
    return n;
}

static void marks_plan(struct messages_writing *w)
{
    unsigned n = w->n->param[PARAM_CACHE_CONTROL].n != 0;

    for (const struct tool *t = w->n->tools; t; t = t->next)
        n += t->cache.n != 0;
    for (const struct turn *t = w->n->first; t; t = t->next)
        n += marks_of(t->first);
    w->skip_marks = n > CACHE_MARKS_MAX ? n - CACHE_MARKS_MAX : 0;
}

/* --- members ---------------------------------------------------------------------------------
 */

static void put_thinking(struct messages_writing *w)
{
    static const struct str kinds[] = {
        [THINKING_ON] = STR_INIT("enabled"),
        [THINKING_ADAPTIVE] = STR_INIT("adaptive"),
        [THINKING_OFF] = STR_INIT("disabled"),
        [THINKING_BETWEEN_TOOLS] = STR_INIT("between_tools"),
    };
    struct jstr display = w->n->from == API_MESSAGES ? w->n->reasoning.summary : JSTR_NONE;

    if (w->thinking == THINKING_UNSET)
        return;
    /* without display the newest models send empty thinking; who asks by effort wants to see it */
    if (w->thinking == THINKING_ADAPTIVE && w->n->reasoning.thinking == THINKING_UNSET)
        display = JSTR("summarized");
    messages_put_key(w, M_THINKING);
    jout_lit(w->o, "{\"type\":\"");
    jout_raw(w->o, kinds[w->thinking]);
    jout_lit(w->o, "\"");
    if (w->thinking == THINKING_ON) {
        jout_lit(w->o, ",\"budget_tokens\":");
        jout_u64(w->o, w->budget);
    }
    if (display.n && w->thinking != THINKING_OFF) {
        jout_lit(w->o, ",\"display\":");
        jout_string(w->o, display);
    }
    jout_lit(w->o, "}");
}

static void put_output_config(struct messages_writing *w)
{
    enum effort effort = w->thinking == THINKING_ADAPTIVE ? w->effort : EFFORT_UNSET;

    if (!effort && w->schema != SCHEMA_NATIVE)
        return;
    messages_put_key(w, M_OUTPUT_CONFIG);
    jout_lit(w->o, "{");
    if (effort) {
        jout_lit(w->o, "\"effort\":\"");
        jout_raw(w->o, effort_name(effort == EFFORT_MINIMAL ? EFFORT_LOW : effort));
        jout_raw(w->o, w->schema == SCHEMA_NATIVE ? STR("\",") : STR("\""));
    }
    if (w->schema == SCHEMA_NATIVE) {
        jout_lit(w->o, "\"format\":{\"type\":\"json_schema\",\"schema\":");
        schema_put_output(w->o, w->n->format.schema);
        jout_lit(w->o, "}");
    }
    jout_lit(w->o, "}");
}

/* B.14: blank ones are refused. */
static void put_stop(struct messages_writing *w)
{
    bool some = false;

    for (uint32_t i = 0; i < w->n->n_stop; i++) {
        if (jstr_is_blank(w->n->stop[i]))
            continue;
        if (some)
            jout_lit(w->o, ",");
        else
            messages_put_key(w, M_STOP_SEQUENCES), jout_lit(w->o, "[");
        some = true;
        jout_string(w->o, w->n->stop[i]);
    }
    if (some)
        jout_lit(w->o, "]");
}

/* temperature 1 is everybody's default; beside thinking nothing else is taken (B.2, F.35). */
static bool put_sampling(struct messages_writing *w)
{
    static const struct {
        enum param param;
        enum messages_member member;
    } rows[] = {
        {PARAM_TEMPERATURE, M_TEMPERATURE},
        {PARAM_TOP_P, M_TOP_P},
        {PARAM_TOP_K, M_TOP_K},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str value = w->n->param[rows[i].param];
        bool is_temperature = rows[i].param == PARAM_TEMPERATURE;
        int64_t millionths;
        if (!value.n)
            continue;
        bool number = num_scaled(value, 6, &millionths);
        bool is_default = is_temperature && number && millionths == 1000000;
        if (messages_thinks(w) && !is_default)
            continue;
        if (!is_default && !(w->m->can & CAP_SAMPLING)) {
            if (!messages_may_drop(w, members[rows[i].member].p))
                return false;
            continue;
        }
        messages_put_key(w, rows[i].member);
        jout_raw(w->o, is_temperature && number && millionths > 1000000 ? STR("1") : value);
    }
    return true;
}

/* The API refuses what looks like a person's address or number. */
static bool is_personal(struct jstr id)
{
    bool only_number = id.n >= 7, at = false, dot = false;

    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        dot |= at && c == '.';
        at |= c == '@';
        only_number &= (c >= '0' && c <= '9') || c == ' ' || c == '(' || c == ')' || c == '-' ||
                       (c == '+' && i == 0);
    }
    return only_number || (at && dot);
}

static void put_metadata(struct messages_writing *w)
{
    struct jstr user = w->n->safety_identifier.n ? w->n->safety_identifier : w->n->user;

    if (!user.n || is_personal(user))
        return;
    messages_put_key(w, M_METADATA);
    jout_lit(w->o, "{\"user_id\":");
    jout_string(w->o, user);
    jout_lit(w->o, "}");
}

static bool put_service_tier(struct messages_writing *w)
{
    static const struct {
        struct str name, sent;
    } tiers[] = {
        {STR_INIT("auto"), STR_INIT("\"auto\"")},
        {STR_INIT("default"), STR_INIT("\"standard_only\"")},
        {STR_INIT("standard_only"), STR_INIT("\"standard_only\"")},
    };

    if (!w->n->service_tier.n)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++)
        if (jstr_is(w->n->service_tier, tiers[i].name)) {
            messages_put_key(w, M_SERVICE_TIER);
            jout_raw(w->o, tiers[i].sent);
            return true;
        }
    return messages_may_drop(w, "service_tier");
}

/* One answer is all there is. */
static bool choices_ok(struct messages_writing *w)
{
    struct str n = w->n->param[PARAM_N];

    return !n.n || str_eq(n, STR("1")) || messages_may_drop(w, "n");
}

/* Chat's own: the provider's row has taken them out, unless allowed_openai_params names them. */
#define CHAT_ONLY                                                                                  \
    (BIT64(PARAM_SEED) | BIT64(PARAM_PRESENCE_PENALTY) | BIT64(PARAM_FREQUENCY_PENALTY) |          \
     BIT64(PARAM_LOGIT_BIAS) | BIT64(PARAM_LOGPROBS) | BIT64(PARAM_TOP_LOGPROBS) |                 \
     BIT64(PARAM_STORE) | BIT64(PARAM_MODALITIES) | BIT64(PARAM_AUDIO) | BIT64(PARAM_PREDICTION) | \
     BIT64(PARAM_VERBOSITY))

static bool is_allowed(const struct messages_writing *w, enum param p)
{
    return (w->n->from == API_CHAT || w->n->from == API_COMPLETIONS) && CHAT_ONLY & BIT64(p);
}

/* What passes as it is: parameters of this API alone, allowed ones, and members nobody knows. */
static void put_others(struct messages_writing *w)
{
    static const struct {
        struct str chat, here;
    } names[] = {
#define PARAM(id, chat, messages, responses) [PARAM_##id] = {STR_INIT(chat), STR_INIT(messages)},
#include "dialect/params.def"
#undef PARAM
    };

    for (size_t i = 0; i < PARAMS; i++) {
        bool own = i == PARAM_TEMPERATURE || i == PARAM_TOP_P || i == PARAM_TOP_K;
        struct str raw = w->n->param[i], name = names[i].here;
        if (own || !raw.n)
            continue;
        if (is_allowed(w, (enum param)i))
            name = names[i].chat;
        else if (!name.n || raw.p[0] == '[') /* Responses has a list named context_management */
            continue;
        jout_lit(w->o, ",\"");
        jout_raw(w->o, name);
        jout_lit(w->o, "\":");
        jout_raw(w->o, raw);
    }
    for (const struct extra *e = w->n->extras; e; e = e->next) {
        bool taken = false;
        for (unsigned m = 0; m < MESSAGES_MEMBERS && !taken; m++)
            taken = w->written & BIT(m) && jstr_is(e->key, members[m]);
        if (taken)
            continue;
        jout_lit(w->o, ",");
        jout_string(w->o, e->key);
        jout_lit(w->o, ":");
        messages_put_raw(w, e->value);
    }
}

bool messages_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                            struct fault *f)
{
    struct messages_writing writing = {.o = o, .n = n, .m = m, .f = f}, *w = &writing;

    if (!thinking_plan(w) || !messages_choice_plan(w) || !choices_ok(w))
        return false;
    max_tokens_plan(w);
    schema_plan(w);
    marks_plan(w);
    messages_put_key(w, M_MAX_TOKENS);
    jout_u64(o, w->max_tokens);
    if (!m->in_path) {
        messages_put_key(w, M_MODEL);
        jout_quote(o, m->name);
    }
    if (!messages_put_tools(w) || !messages_put_turns(w) || !put_sampling(w) ||
        !put_service_tier(w))
        return false;
    put_thinking(w);
    put_output_config(w);
    put_stop(w);
    put_metadata(w);
    if (m->stream) {
        messages_put_key(w, M_STREAM);
        jout_lit(o, "true");
    }
    put_others(w);
    jout_lit(o, "}");
    return !o->failed;
}
