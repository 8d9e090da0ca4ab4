/*
 * system and messages of a request (wire-formats.md B.3, B.14, E.1.1). Turns are written in runs:
 * what lies between two assistants is one user message, tool results first; neighbouring assistants
 * are one message.
 */

#include "dialect/anthropic_messages_priv.h"
#include "dialect/id_set.h"

/* What the model reads where the client said nothing that could be sent. */
#define CONTINUE    "Please continue."
#define EMPTY       "[empty message]"
#define INSIDE_NOTE "[What follows is an instruction of the system, not of the user.]"
#define NO_RESULT   "[The call was interrupted; there is no result.]"
#define ONLY_JSON   "Answer with a valid JSON object and nothing else."

struct turns {
    struct messages_writing *w;
    struct json_tape tape; /* of arguments being checked */
    struct id_set calls;   /* of the last assistant run; value: the result that answers */
    uint8_t role;          /* of the message that is open, or was last */
    bool open, some;       /* a message is open; there was one */
    bool is_final;         /* the last message is being written */
};

/* --- framing ---------------------------------------------------------------------------------
 */

static void message_end(struct turns *t)
{
    if (t->open)
        jout_lit(t->w->o, "]}");
    t->open = false;
}

/* A block of `role` begins: in the open message if that is its, else in one of its own. */
static void next_block(struct turns *t, enum role role)
{
    static const struct str names[] = {
        [ROLE_SYSTEM] = STR_INIT("system"),
        [ROLE_USER] = STR_INIT("user"),
        [ROLE_ASSISTANT] = STR_INIT("assistant"),
    };
    struct jout *o = t->w->o;

    if (t->open && t->role == role) {
        jout_lit(o, ",");
        return;
    }
    message_end(t);
    jout_raw(o, t->some ? STR(",{\"role\":\"") : STR("{\"role\":\""));
    jout_raw(o, names[role]);
    jout_lit(o, "\",\"content\":[");
    t->role = (uint8_t)role;
    t->open = t->some = true;
}

static void put_text(struct messages_writing *w, struct jstr text, struct str cache)
{
    jout_lit(w->o, "{\"type\":\"text\",\"text\":");
    jout_string(w->o, text);
    messages_put_cache(w, cache);
    jout_lit(w->o, "}");
}

/* A text of the user that the client did not write. */
static void put_filler(struct turns *t, struct jstr text)
{
    next_block(t, ROLE_USER);
    put_text(t->w, text, (struct str){0});
}

static bool is_system(const struct turn *t)
{
    return t->role == ROLE_SYSTEM || t->role == ROLE_DEVELOPER;
}

/* --- blocks ----------------------------------------------------------------------------------
 */

/* Reasoning that this API signed, and takes back (F.34). */
static bool is_signed(const struct block *b)
{
    return b->kind == BLOCK_REASONING && b->origin == API_MESSAGES && b->signature.n;
}

/* Whether a block can stand in a message of `role`. */
static enum fate fate_of(struct turns *t, const struct block *b, enum role role)
{
    bool user = role == ROLE_USER, fits = false;

    switch ((enum block_kind)b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        fits = !jstr_is_blank(b->text); /* B.14: no empty text blocks */
        break;
    case BLOCK_REASONING:
        fits = !user && is_signed(b);
        break;
    case BLOCK_TOOL_CALL:
        fits = !user;
        break;
    case BLOCK_TOOL_RESULT:
        fits = user;
        break;
    case BLOCK_OPAQUE:
        fits = b->origin == API_MESSAGES;
        break;
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
    case BLOCK_AUDIO:
        return user ? messages_media_fate(t->w, b) : FATE_SKIP; /* B.14: in user content only */
    }
    return fits ? FATE_WRITE : FATE_SKIP;
}

static void put_reasoning(struct turns *t, const struct block *b)
{
    struct jout *o = t->w->o;

    if (b->is_redacted) {
        jout_lit(o, "{\"type\":\"redacted_thinking\",\"data\":");
        jout_string(o, b->signature);
    } else {
        jout_lit(o, "{\"type\":\"thinking\",\"thinking\":");
        jout_string(o, b->text);
        jout_lit(o, ",\"signature\":");
        jout_string(o, b->signature);
    }
    jout_lit(o, "}");
}

/* Arguments are text of a model, and may be anything (E.1.1, F.6). */
static bool put_arguments(struct turns *t, struct jstr arguments)
{
    struct jout *o = t->w->o;
    size_t at = o->buf->n;

    jout_unescaped(o, arguments);
    if (o->failed)
        return false;
    struct str input = {o->buf->p + at, o->buf->n - at};
    if (jstr_is_blank(arguments) || str_eq(input, STR("null"))) {
        o->buf->n = at;
        jout_lit(o, "{}");
        return true;
    }
    if (json_tape_read(&t->tape, input.p, input.n) == JSON_TAPE_DONE &&
        json_root(&t->tape)->type == JSON_OBJECT) {
        if (t->tape.n_lone)
            jstr_mend(o->buf->p + at, input.n);
        return true;
    }
    o->buf->n = at;
    if (t->w->m->modify_params) {
        jout_lit(o, "{\"_raw\":");
        jout_string(o, arguments);
        jout_lit(o, "}");
        return true;
    }
    t->w->f->param = STR("messages");
    return fault_set(t->w->f, t->w->n->arena, ERROR_BAD_FIELD,
                     "messages: the arguments of a tool call are no JSON object.");
}

static bool put_call(struct turns *t, const struct block *b)
{
    struct jout *o = t->w->o;
    struct neutral *n = t->w->n;

    jout_lit(o, "{\"type\":\"tool_use\",\"id\":");
    jout_string(o, neutral_id(n, b->id, MESSAGES_ID_MAX));
    jout_lit(o, ",\"name\":");
    jout_string(o, neutral_tool_name(n, b->name, MESSAGES_NAME_MAX));
    jout_lit(o, ",\"input\":");
    if (b->is_custom) {
        jout_lit(o, "{\"" WRAPPED_MEMBER "\":");
        jout_string(o, b->text);
        jout_lit(o, "}");
    } else if (b->input.n) {
        messages_put_raw(t->w, b->input);
    } else if (!put_arguments(t, b->arguments)) {
        return false;
    }
    messages_put_cache(t->w, b->cache);
    jout_lit(o, "}");
    return true;
}

static bool put_block(struct turns *t, const struct block *b);

/* A text alone is a string; texts, images and documents a list. */
static bool put_result_content(struct turns *t, const struct block *b)
{
    struct jout *o = t->w->o;
    const struct block *only = b->inner && !b->inner->next ? b->inner : NULL;
    const char *before = "[";

    if (!b->inner || (only && only->kind == BLOCK_TEXT && !only->cache.n)) {
        jout_string(o, only ? only->text : JSTR(""));
        return true;
    }
    for (const struct block *i = b->inner; i; i = i->next) {
        enum fate fate = fate_of(t, i, ROLE_USER);
        if (fate == FATE_REFUSE)
            return false;
        if (fate == FATE_SKIP || i->kind == BLOCK_TOOL_RESULT)
            continue;
        jout_raw(o, str_of(before));
        before = ",";
        if (!put_block(t, i))
            return false;
    }
    jout_raw(o, before[0] == '[' ? STR("[]") : STR("]"));
    return true;
}

static bool put_result(struct turns *t, const struct block *b)
{
    struct jout *o = t->w->o;

    jout_lit(o, "{\"type\":\"tool_result\",\"tool_use_id\":");
    jout_string(o, neutral_id(t->w->n, b->id, MESSAGES_ID_MAX));
    jout_lit(o, ",\"content\":");
    if (!put_result_content(t, b))
        return false;
    if (b->is_error)
        jout_lit(o, ",\"is_error\":true");
    messages_put_cache(t->w, b->cache);
    jout_lit(o, "}");
    return true;
}

static bool put_block(struct turns *t, const struct block *b)
{
    switch ((enum block_kind)b->kind) {
    case BLOCK_TEXT:
    case BLOCK_REFUSAL:
        put_text(t->w, t->is_final ? jstr_trim_end(b->text) : b->text, b->cache);
        return true;
    case BLOCK_REASONING:
        put_reasoning(t, b);
        return true;
    case BLOCK_TOOL_CALL:
        return put_call(t, b);
    case BLOCK_TOOL_RESULT:
        return put_result(t, b);
    case BLOCK_IMAGE:
    case BLOCK_DOCUMENT:
        return messages_put_media(t->w, b);
    case BLOCK_OPAQUE:
        messages_put_raw(t->w, b->raw);
        return true;
    case BLOCK_AUDIO:
        break;
    }
    return true;
}

/* --- runs ------------------------------------------------------------------------------------
 */

static uint32_t calls_in(const struct turn *from, const struct turn *end)
{
    uint32_t n = 0;

    for (const struct turn *u = from; u != end; u = u->next)
        for (const struct block *b = u->first; b; b = b->next)
            n += b->kind == BLOCK_TOOL_CALL;
    return n;
}

/* B.14: an id is used once. */
static bool is_repeated(struct turns *t, const struct block *b)
{
    if (b->kind != BLOCK_TOOL_CALL)
        return false;
    uint32_t before = t->calls.n;
    return id_set_add(&t->calls, b->id) && t->calls.n == before;
}

static bool put_assistant_run(struct turns *t, const struct turn *from, const struct turn *end)
{
    id_set_begin(&t->calls, t->w->n->arena, calls_in(from, end));
    t->is_final = !end;
    for (const struct turn *u = from; u != end; u = u->next)
        for (const struct block *b = u->first; b; b = b->next) {
            if (fate_of(t, b, ROLE_ASSISTANT) != FATE_WRITE || is_repeated(t, b))
                continue;
            next_block(t, ROLE_ASSISTANT);
            if (!put_block(t, b))
                return false;
        }
    t->is_final = false;
    return true;
}

/*
 * Every call has one result, and every result a call, in the message after it (B.14). Of several
 * the last counts; what is missing or belongs nowhere is mended where the deployment allows it,
 * else the provider judges it.
 */
static bool put_results(struct turns *t, const struct turn *from, const struct turn *end)
{
    bool mend = t->w->m->modify_params;
    struct id_entry *call;

    for (const struct turn *u = from; u != end; u = u->next)
        for (const struct block *b = u->first; b; b = b->next)
            if (b->kind == BLOCK_TOOL_RESULT && (call = id_set_find(&t->calls, b->id)))
                call->value = b;
    for (const struct turn *u = from; u != end; u = u->next)
        for (const struct block *b = u->first; b; b = b->next) {
            if (b->kind != BLOCK_TOOL_RESULT)
                continue;
            call = id_set_find(&t->calls, b->id);
            if (call ? call->value != b : mend)
                continue;
            next_block(t, ROLE_USER);
            if (!put_result(t, b))
                return false;
        }
    for (uint32_t i = 0; mend && i < t->calls.n; i++) {
        if (t->calls.entry[i].value)
            continue;
        next_block(t, ROLE_USER);
        jout_lit(t->w->o, "{\"type\":\"tool_result\",\"tool_use_id\":");
        jout_string(t->w->o, neutral_id(t->w->n, t->calls.entry[i].id, MESSAGES_ID_MAX));
        jout_lit(t->w->o, ",\"content\":\"" NO_RESULT "\",\"is_error\":true}");
    }
    t->calls.n = 0;
    return true;
}

/* The texts of a system turn, announced where the role cannot say what they are. */
static void put_system_texts(struct turns *t, const struct turn *u, enum role role)
{
    bool announced = role == ROLE_SYSTEM;

    for (const struct block *b = u->first; b; b = b->next) {
        if (b->kind != BLOCK_TEXT || jstr_is_blank(b->text))
            continue;
        if (!announced)
            put_filler(t, JSTR(INSIDE_NOTE));
        announced = true;
        next_block(t, role);
        put_text(t->w, b->text, b->cache);
    }
}

static bool put_user_turn(struct turns *t, const struct turn *u)
{
    for (const struct block *b = u->first; b; b = b->next) {
        enum fate fate = b->kind == BLOCK_TOOL_RESULT ? FATE_SKIP : fate_of(t, b, ROLE_USER);
        if (fate == FATE_REFUSE)
            return false;
        if (fate == FATE_SKIP)
            continue;
        next_block(t, ROLE_USER);
        if (!put_block(t, b))
            return false;
    }
    return true;
}

/* A user's message that has nothing in it but what may not be sent. */
static bool is_empty_message(const struct turn *u)
{
    for (const struct block *b = u->first; b; b = b->next)
        if (b->kind != BLOCK_TEXT || !jstr_is_blank(b->text))
            return false;
    return !is_system(u);
}

/*
 * What models that have the role take of system turns is one message behind a user's and before an
 * assistant's; for all others, and where no user spoke, they stay where they are as text.
 */
static bool put_user_run(struct turns *t, const struct turn *from, const struct turn *end)
{
    size_t at = t->w->o->buf->n;
    bool has_user = false, was_empty = false, inside;

    for (const struct turn *u = from; u != end; u = u->next) {
        has_user |= !is_system(u);
        was_empty |= is_empty_message(u);
    }
    inside = has_user && t->w->m->can & CAP_SYSTEM_INSIDE;
    if (!put_results(t, from, end))
        return false;
    for (const struct turn *u = from; u != end; u = u->next)
        if (!is_system(u)) {
            if (!put_user_turn(t, u))
                return false;
        } else if (!inside) {
            put_system_texts(t, u, ROLE_USER);
        }
    if (was_empty && t->w->o->buf->n == at)
        put_filler(t, JSTR(EMPTY));
    for (const struct turn *u = from; inside && u != end; u = u->next)
        if (is_system(u))
            put_system_texts(t, u, ROLE_SYSTEM);
    return true;
}

/* --- all of them -----------------------------------------------------------------------------
 */

static void put_system_block(struct messages_writing *w, struct jstr text, struct str cache)
{
    if (w->written & BIT(M_SYSTEM)) {
        jout_lit(w->o, ",");
    } else {
        messages_put_key(w, M_SYSTEM);
        jout_lit(w->o, "[");
    }
    put_text(w, text, cache);
}

/* The leading system turns; returns the turn behind them. */
static const struct turn *put_system(struct messages_writing *w)
{
    const struct turn *u = w->n->first;

    for (; u && is_system(u); u = u->next)
        for (const struct block *b = u->first; b; b = b->next)
            if (b->kind == BLOCK_TEXT && !jstr_is_blank(b->text))
                put_system_block(w, b->text, b->cache);
    if (w->n->format.kind == FORMAT_JSON)
        put_system_block(w, JSTR(ONLY_JSON), (struct str){0});
    if (w->written & BIT(M_SYSTEM))
        jout_lit(w->o, "]");
    return u;
}

static bool put_runs(struct turns *t, const struct turn *u)
{
    while (u) {
        const struct turn *from = u;
        bool assistant = u->role == ROLE_ASSISTANT;
        while (u && (u->role == ROLE_ASSISTANT) == assistant)
            u = u->next;
        /* B.14: the first to speak is a user */
        if (assistant && !t->some && t->w->m->modify_params)
            put_filler(t, JSTR(CONTINUE));
        if (!(assistant ? put_assistant_run(t, from, u) : put_user_run(t, from, u)))
            return false;
    }
    return true;
}

/* The last to speak is a user: calls that nobody answered, an answer begun that this model does not
 * continue. */
static bool put_last(struct turns *t)
{
    bool assistant = t->w->n->last && t->w->n->last->role == ROLE_ASSISTANT;

    if (!t->w->m->modify_params || (t->some && !assistant))
        return true;
    if (!put_results(t, NULL, NULL))
        return false;
    if (!t->some || (t->role == ROLE_ASSISTANT && !(t->w->m->can & CAP_PREFILL)))
        put_filler(t, JSTR(CONTINUE));
    return true;
}

bool messages_put_turns(struct messages_writing *w)
{
    struct turns t = {.w = w};
    const struct turn *first = put_system(w);

    json_tape_init(&t.tape, w->o->pool);
    messages_put_key(w, M_MESSAGES);
    jout_lit(w->o, "[");
    bool ok = put_runs(&t, first) && put_last(&t);
    message_end(&t);
    jout_lit(w->o, "]");
    json_tape_deinit(&t.tape);
    if (!ok || t.some)
        return ok;
    w->f->param = STR("messages");
    return fault_set(w->f, w->n->arena, ERROR_BAD_REQUEST,
                     "messages: there is none but of the system.");
}

bool messages_has_calls(const struct neutral *n)
{
    for (const struct turn *t = n->first; t; t = t->next)
        for (const struct block *b = t->first; b; b = b->next)
            if (b->kind == BLOCK_TOOL_CALL || b->kind == BLOCK_TOOL_RESULT)
                return true;
    return false;
}

bool messages_lacks_thinking(const struct neutral *n)
{
    bool lacks = false;

    for (const struct turn *t = n->first; t; t = t->next) {
        if (t->role != ROLE_ASSISTANT)
            continue;
        for (const struct block *b = t->first; b; b = b->next) {
            if (is_signed(b))
                return false;
            lacks |= b->kind == BLOCK_TOOL_CALL;
        }
    }
    return lacks;
}
