/*
 * Replies for chat clients (wire-formats.md A.7 to A.9, E.1.5, E.2.5). Of a stream each event is a
 * chunk at once; of a whole reply the parts of its message grow in buffers until END. What chat has
 * no words for goes the way LiteLLM writes it: reasoning_content, thinking_blocks, reasoning_items,
 * provider_specific_fields.
 */

#include "dialect/openai_chat_reply.h"
#include "dialect/openai_chat_writer.h"

enum { WHOLE_MAX = 64 * 1024 };

/* --- chunks and parts ----------------------------------------------------------------------------
 */

static struct said *said_by(struct chat_writer *w, uint32_t index)
{
    struct said **at = &w->said;

    if (w->last && w->last->index == index)
        return w->last;
    while (*at && (*at)->index != index)
        at = &(*at)->next;
    if (!*at && (*at = arena_zalloc(w->env.arena, sizeof **at)))
        (*at)->index = index;
    return w->last = *at;
}

/* A chunk up to what is in its delta; the first of a choice tells the role. */
struct jout *chat_chunk_begin(struct chat_writer *w, struct said *c, bool is_content)
{
    struct jout *o = w->env.out;

    jout_lit(o, "data: ");
    jout_raw(o, w->head);
    jout_lit(o, "{\"index\":");
    jout_u64(o, c->index);
    jout_lit(o, ",\"delta\":{");
    if (UNLIKELY(!c->has_begun)) {
        jout_lit(o, "\"role\":\"assistant\",");
        if (!is_content)
            jout_lit(o, "\"content\":\"\",");
        c->has_begun = true;
    }
    return o;
}

void chat_chunk_end(struct chat_writer *w, struct str rest)
{
    jout_raw(w->env.out, rest);
    jout_raw(w->env.out, w->include_usage ? STR("}],\"usage\":null}\n\n") : STR("}]}\n\n"));
}

/* Writes to what grows; failure is the writer's. */
struct jout *chat_grow(struct chat_writer *w, struct buf *b)
{
    w->env.out->failed |= w->growing.failed;
    w->growing = jout_init(w->env.out->pool, b);
    return &w->growing;
}

/* One text more of a member of the delta. */
void chat_put_delta(struct chat_writer *w, struct said *c, enum fold f, struct str member,
                    struct jstr text)
{
    struct jout *o;

    if (!w->env.stream) {
        jout_text(chat_grow(w, &c->fold[f]), text);
        return;
    }
    o = chat_chunk_begin(w, c, f == FOLD_CONTENT);
    jout_raw(o, member);
    jout_text(o, text);
    chat_chunk_end(w, STR("\"},\"finish_reason\":null"));
}

/* --- calls ---------------------------------------------------------------------------------------
 */

static struct said_call *call_by(struct said *c, uint32_t block)
{
    struct said_call *call = c->last_call;

    if (call && call->block == block)
        return call;
    for (call = c->calls; call && call->block != block; call = call->next)
        continue;
    return call;
}

static void call_begin(struct chat_writer *w, struct said *c, const struct event *e)
{
    struct said_call *call = arena_zalloc(w->env.arena, sizeof *call);
    struct said_call **at = c->last_call ? &c->last_call : &c->calls;

    if (!call)
        return;
    while (*at)
        at = &(*at)->next;
    *at = call;
    call->block = e->block;
    call->number = c->n_calls++;
    call->is_custom = e->is_custom;
    c->last_call = call;
    if (!w->env.stream) {
        call->id = jstr_copy(e->id, w->env.arena);
        call->name = jstr_copy(e->name, w->env.arena);
        return;
    }
    if (w->functions && call->number)
        return; /* there is room for one */
    struct jout *o = chat_chunk_begin(w, c, false);
    if (w->functions) {
        jout_lit(o, "\"function_call\":{\"name\":");
        jout_string(o, e->name);
        jout_lit(o, ",\"arguments\":\"\"}");
        chat_chunk_end(w, CHAT_DELTA_END);
        return;
    }
    jout_lit(o, "\"tool_calls\":[{\"index\":");
    jout_u64(o, call->number);
    jout_lit(o, ",\"id\":");
    jout_string(o, e->id);
    jout_raw(o, e->is_custom ? STR(",\"type\":\"custom\",\"custom\":{\"name\":")
                             : STR(",\"type\":\"function\",\"function\":{\"name\":"));
    jout_string(o, e->name);
    jout_raw(o, e->is_custom ? STR(",\"input\":\"\"}}]") : STR(",\"arguments\":\"\"}}]"));
    chat_chunk_end(w, CHAT_DELTA_END);
}

static void call_delta(struct chat_writer *w, struct said *c, uint32_t block, struct jstr text)
{
    struct said_call *call = call_by(c, block);

    if (!call || !text.n)
        return;
    call->has_text = true;
    if (!w->env.stream) {
        jout_text(chat_grow(w, &call->text), text);
        return;
    }
    if (w->functions && call->number)
        return;
    struct jout *o = chat_chunk_begin(w, c, false);
    if (w->functions) {
        jout_lit(o, "\"function_call\":{\"arguments\":\"");
    } else {
        jout_lit(o, "\"tool_calls\":[{\"index\":");
        jout_u64(o, call->number);
        jout_raw(o, call->is_custom ? STR(",\"custom\":{\"input\":\"")
                                    : STR(",\"function\":{\"arguments\":\""));
    }
    jout_text(o, text);
    chat_chunk_end(w, w->functions ? STR("\"}},\"finish_reason\":null")
                                   : STR("\"}}]},\"finish_reason\":null"));
}

/* F.6 */
static void call_end(struct chat_writer *w, struct said *c, uint32_t block)
{
    struct said_call *call = call_by(c, block);

    if (!call)
        return;
    if (!call->has_text && !call->is_custom)
        call_delta(w, c, block, JSTR("{}"));
    if (call->text.n && call->text.n < WHOLE_MAX) { /* many small ones do not hold a buffer each */
        call->whole = jstr_copy((struct jstr){call->text.p, call->text.n}, w->env.arena);
        buf_free(w->env.out->pool, &call->text);
    }
}

/* --- the end -------------------------------------------------------------------------------------
 */

static struct str finish_reason(const struct chat_writer *w, const struct said *c)
{
    if (w->functions && c->stop == STOP_TOOL)
        return STR("function_call");
    if (c->stop == STOP_REFUSAL && c->refused) /* it is said in the message */
        return STR("stop");
    return chat_finish_reason((enum stop)c->stop);
}

static struct str folded(const struct said *c, enum fold f)
{
    return (struct str){c->fold[f].p, c->fold[f].n};
}

static void put_literal(struct jout *o, struct str member, struct str inside, bool otherwise_null)
{
    if (!inside.n && !otherwise_null)
        return;
    jout_raw(o, member);
    if (!inside.n) {
        jout_lit(o, "null");
        return;
    }
    jout_lit(o, "\"");
    jout_raw(o, inside);
    jout_lit(o, "\"");
}

static void put_list(struct jout *o, struct str member, struct str inside, bool otherwise_null)
{
    if (!inside.n && !otherwise_null)
        return;
    jout_raw(o, member);
    if (!inside.n) {
        jout_lit(o, "null");
        return;
    }
    jout_lit(o, "[");
    jout_raw(o, inside);
    jout_lit(o, "]");
}

/*
 * Once, whole: official accumulators add nothing to a list whose entries have no index (Python
 * fails at the second, Node keeps the last), and what is left goes back to the upstream (A.12).
 */
static void put_lists(struct chat_writer *w, struct said *c)
{
    static const struct {
        enum fold fold;
        struct str member;
    } lists[] = {
        {FOLD_THINKING, STR_INIT("\"thinking_blocks\":")},
        {FOLD_ITEMS, STR_INIT("\"reasoning_items\":")},
        {FOLD_ANNOTATIONS, STR_INIT("\"annotations\":")},
    };

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct str inside = folded(c, lists[i].fold);
        if (!inside.n)
            continue;
        struct jout *o = chat_chunk_begin(w, c, false);
        put_list(o, lists[i].member, inside, false);
        if (lists[i].fold == FOLD_THINKING) {
            put_list(o, STR(",\"provider_specific_fields\":{\"thinking_blocks\":"), inside, false);
            jout_lit(o, "}");
        }
        chat_chunk_end(w, CHAT_DELTA_END);
    }
}

static void put_finish(struct chat_writer *w, struct said *c, const struct event *e)
{
    c->stop = e->stop;
    if (e->text.n && e->stop == STOP_REFUSAL)
        chat_put_delta(w, c, FOLD_REFUSAL, STR("\"refusal\":\""), e->text);
    if (!w->env.stream)
        return;
    put_lists(w, c);
    struct jout *o = w->env.out;
    bool begun = c->has_begun;
    c->has_begun = true;
    (void)chat_chunk_begin(w, c, true);
    if (!begun)
        jout_lit(o, "\"role\":\"assistant\",\"content\":\"\"");
    jout_lit(o, "},\"finish_reason\":\"");
    jout_raw(o, finish_reason(w, c));
    chat_chunk_end(w, STR("\""));
}

static void put_calls(struct jout *o, const struct said *c, bool functions)
{
    const char *before = functions ? ",\"function_call\":" : ",\"tool_calls\":[";

    for (const struct said_call *call = c->calls; call; call = call->next) {
        struct str text = call->text.n ? (struct str){call->text.p, call->text.n}
                                       : (struct str){call->whole.p, call->whole.n};
        jout_raw(o, str_of(before));
        before = ",";
        if (functions) {
            jout_lit(o, "{\"name\":");
        } else {
            jout_lit(o, "{\"id\":");
            jout_string(o, call->id);
            jout_raw(o, call->is_custom ? STR(",\"type\":\"custom\",\"custom\":{\"name\":")
                                        : STR(",\"type\":\"function\",\"function\":{\"name\":"));
        }
        jout_string(o, call->name);
        jout_raw(o, call->is_custom ? STR(",\"input\":\"") : STR(",\"arguments\":\""));
        jout_raw(o, text);
        jout_lit(o, "\"}");
        if (functions)
            return;
        jout_lit(o, "}");
    }
    if (before[1] == '\0')
        jout_lit(o, "]");
}

static void put_message(struct chat_writer *w, const struct said *c)
{
    struct jout *o = w->env.out;
    struct str thinking = folded(c, FOLD_THINKING), citations = folded(c, FOLD_CITATIONS);
    struct str refusal = folded(c, FOLD_REFUSAL);

    jout_lit(o, "{\"index\":");
    jout_u64(o, c->index);
    jout_lit(o, ",\"message\":{\"role\":\"assistant\"");
    put_literal(o, STR(",\"content\":"), folded(c, FOLD_CONTENT), true);
    put_literal(o, STR(",\"refusal\":"), refusal, true);
    put_calls(o, c, w->functions);
    put_literal(o, STR(",\"reasoning_content\":"), folded(c, FOLD_REASONING), false);
    put_list(o, STR(",\"thinking_blocks\":"), thinking, false);
    put_list(o, STR(",\"reasoning_items\":"), folded(c, FOLD_ITEMS), false);
    if (c->fold[FOLD_DETAILS].n) {
        jout_lit(o, ",\"reasoning_details\":");
        jout_raw(o, folded(c, FOLD_DETAILS));
    }
    put_list(o, STR(",\"annotations\":"), folded(c, FOLD_ANNOTATIONS), false);
    jout_raw(o, folded(c, FOLD_MEMBERS));
    if (thinking.n || citations.n) {
        jout_lit(o, ",\"provider_specific_fields\":{\"citations\":");
        jout_raw(o, citations.n ? STR("[") : STR("null"));
        jout_raw(o, citations);
        if (citations.n)
            jout_lit(o, "]]");
        put_list(o, STR(",\"thinking_blocks\":"), thinking, false);
        jout_lit(o, "}");
    }
    jout_lit(o, "},\"logprobs\":");
    if (c->fold[FOLD_LOGPROBS].n || c->fold[FOLD_REFUSAL_LOGPROBS].n) {
        put_list(o, STR("{\"content\":"), folded(c, FOLD_LOGPROBS), true);
        put_list(o, STR(",\"refusal\":"), folded(c, FOLD_REFUSAL_LOGPROBS), true);
        jout_lit(o, "}");
    } else {
        jout_lit(o, "null");
    }
    jout_lit(o, ",\"finish_reason\":\"");
    jout_raw(o, finish_reason(w, c));
    jout_lit(o, "\"}");
}

static void put_reply(struct chat_writer *w)
{
    struct jout *o = w->env.out;

    (void)chat_grow(w, NULL); /* what failed last counts too */
    jout_raw(o, w->head);
    for (const struct said *c = w->said; c; c = c->next) {
        put_message(w, c);
        if (c->next)
            jout_lit(o, ",");
    }
    jout_lit(o, "]");
    chat_tail_put(o, &w->tail);
    jout_lit(o, "}");
}

/* --- the writer ----------------------------------------------------------------------------------
 */

static void writer_init(void *writer, const struct writer_env *env)
{
    struct chat_writer *w = writer;

    w->env = *env;
    w->include_usage = env->request->include_usage;
    w->functions = env->request->functions;
}

static void write_block(struct chat_writer *w, struct said *c, const struct event *e)
{
    if (e->block_kind == BLOCK_TOOL_CALL)
        call_begin(w, c, e);
    else if (e->block_kind == BLOCK_REASONING)
        chat_reasoning_begin(w, c, e);
    c->refused |= e->block_kind == BLOCK_REFUSAL;
    c->chars_from = c->chars;
}

static void write_delta(struct chat_writer *w, struct said *c, const struct event *e)
{
    if (!e->text.n)
        return;
    if (e->block_kind == BLOCK_TEXT) {
        c->chars += json_string_chars((struct str){e->text.p, e->text.n});
        chat_put_delta(w, c, FOLD_CONTENT, STR("\"content\":\""), e->text);
    } else if (e->block_kind == BLOCK_REASONING) {
        chat_reasoning_delta(w, c, e->text);
    } else if (e->block_kind == BLOCK_TOOL_CALL) {
        call_delta(w, c, e->block, e->text);
    } else if (e->block_kind == BLOCK_REFUSAL) {
        chat_put_delta(w, c, FOLD_REFUSAL, STR("\"refusal\":\""), e->text);
    }
}

static void write_block_end(struct chat_writer *w, struct said *c, const struct event *e)
{
    if (e->block_kind == BLOCK_REASONING)
        chat_reasoning_end(w, c);
    else if (e->block_kind == BLOCK_TOOL_CALL)
        call_end(w, c, e->block);
}

/* Events of a choice. */
static void write_said(struct chat_writer *w, const struct event *e)
{
    struct said *c = said_by(w, e->choice);

    if (!c)
        return;
    switch ((enum event_kind)e->kind) {
    case EVENT_BLOCK:
        write_block(w, c, e);
        break;
    case EVENT_DELTA:
        write_delta(w, c, e);
        break;
    case EVENT_SIGNATURE:
        chat_reasoning_signature(w, c, e);
        break;
    case EVENT_CITATION:
        chat_put_citation(w, c, e);
        break;
    case EVENT_LOGPROBS:
        chat_put_logprobs(w, c, e);
        break;
    case EVENT_BLOCK_END:
        write_block_end(w, c, e);
        break;
    case EVENT_OPAQUE:
        if (e->origin == API_CHAT && e->name.n)
            chat_put_opaque(w, c, e);
        break;
    case EVENT_FINISH:
        put_finish(w, c, e);
        break;
    case EVENT_START:
    case EVENT_USAGE:
    case EVENT_ERROR:
    case EVENT_PING:
    case EVENT_END:
        break;
    }
}

static void write_event(void *writer, const struct event *e)
{
    struct chat_writer *w = writer;
    struct jout *o = w->env.out;

    if (!w->head.n)
        w->head =
            chat_head(&w->env, e->kind == EVENT_START ? e : &(struct event){0}, STR("chatcmpl-"),
                      w->env.stream ? STR("chat.completion.chunk") : STR("chat.completion"));
    if (e->kind == EVENT_USAGE)
        chat_tail_read(&w->tail, e);
    else if (e->kind == EVENT_ERROR)
        chat_put_error(o, w->env.arena, API_CHAT, e->error);
    else if (e->kind == EVENT_END && w->env.stream)
        chat_put_end(o, w->head, &w->tail, w->include_usage);
    else if (e->kind == EVENT_END)
        put_reply(w);
    else if (e->kind != EVENT_START && e->kind != EVENT_PING)
        write_said(w, e);
}

static void writer_deinit(void *writer)
{
    struct chat_writer *w = writer;
    struct bufpool *pool = w->env.out->pool;

    for (struct said *c = w->said; c; c = c->next) {
        for (unsigned i = 0; i < FOLDS; i++)
            buf_free(pool, &c->fold[i]);
        for (struct said_call *call = c->calls; call; call = call->next)
            buf_free(pool, &call->text);
    }
}

const struct dialect_ops openai_chat = {
    .api = API_CHAT,
    .request_read = chat_request_read,
    .request_write = chat_request_write,
    .reader_size = sizeof(struct chat_reader),
    .reader_init = chat_reader_init,
    .read_event = chat_read_event,
    .read_reply = chat_read_reply,
    .reader_end = chat_reader_end,
    .reader_deinit = chat_reader_deinit,
    .writer_size = sizeof(struct chat_writer),
    .writer_init = writer_init,
    .write = write_event,
    .writer_deinit = writer_deinit,
};
