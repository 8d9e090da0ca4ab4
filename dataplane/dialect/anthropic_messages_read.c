/*
 * Replies of an Anthropic upstream into events (wire-formats.md B.7 to B.11, E.1.5). A whole reply
 * is read as the stream it could have been: each block begins complete and ends.
 *
 * Where the request was written with a tool in place of structured output, that tool's input is the
 * text; what the model wrote before it is held until it is clear that no such call follows.
 */

#include "dialect/anthropic_messages_priv.h"

enum { OPEN_MAX = 64 };

static void emit(struct messages_reader *r, struct event e)
{
    e.origin = API_MESSAGES;
    r->env.emit(r->env.ctx, &e);
}

static enum block_kind kind_of(const struct messages_open *p)
{
    return p->part == PART_REASONING                        ? BLOCK_REASONING
           : p->part == PART_CALL || p->part == PART_CUSTOM ? BLOCK_TOOL_CALL
                                                            : BLOCK_TEXT;
}

static struct event event_of(const struct messages_open *p, enum event_kind kind)
{
    return (struct event){
        .kind = (uint8_t)kind,
        .block_kind = (uint8_t)kind_of(p),
        .block = p->block,
        .is_custom = p->part == PART_CUSTOM,
    };
}

/* --- text ------------------------------------------------------------------------------------
 */

/* Memory ended: the reply is lost, which the arena tells. */
static void lose(struct messages_reader *r)
{
    r->env.arena->failed = true;
}

static void keep(struct messages_reader *r, struct buf *b, struct str s)
{
    if (!buf_add(r->env.pool, b, s.p, s.n))
        lose(r);
}

static void collect(struct messages_reader *r, struct buf *b, struct jstr text)
{
    struct jout o = jout_init(r->env.pool, b);

    jout_unescaped(&o, text);
    if (o.failed)
        lose(r);
}

static void emit_text(struct messages_reader *r, struct messages_open *p, struct jstr text)
{
    struct event e = event_of(p, EVENT_DELTA);

    if (!text.n)
        return;
    p->has_text = true;
    r->env.scan->text_bytes += text.n;
    if (p->part == PART_HELD) {
        keep(r, &r->held, (struct str){text.p, text.n});
    } else if (p->part == PART_CUSTOM || p->part == PART_OPAQUE) {
        collect(r, &p->input, text);
    } else {
        e.text = text;
        emit(r, e);
    }
}

/* A fragment as the upstream cut it. */
static void put_text(struct messages_reader *r, struct messages_open *p, struct jstr text)
{
    if (UNLIKELY(p->half_n)) {
        r->scratch.n = 0;
        keep(r, &r->scratch, (struct str){p->half, p->half_n});
        keep(r, &r->scratch, (struct str){text.p, text.n});
        p->half_n = 0;
        text = (struct jstr){r->scratch.p, r->scratch.n};
    }
    if (UNLIKELY(jstr_has_escapes(text))) {
        size_t half = jstr_half_pair(text);
        text.n -= half;
        memcpy(p->half, text.p + text.n, half);
        p->half_n = (uint8_t)half;
        text = jstr_repair(text, r->env.arena);
    }
    emit_text(r, p, text);
}

/* JSON as the inside of a string; lent until the next one. */
static struct jstr quoted(struct messages_reader *r, struct str json)
{
    struct jout o = jout_init(r->env.pool, &r->scratch);

    r->scratch.n = 0;
    jout_escaped(&o, json);
    if (o.failed)
        lose(r);
    return (struct jstr){r->scratch.p, r->scratch.n};
}

/* --- blocks ----------------------------------------------------------------------------------
 */

static struct messages_open *part_find(struct messages_reader *r, uint64_t index)
{
    struct messages_open *p = r->open;

    while (p && p->index != index)
        p = p->next;
    return p;
}

static struct messages_open *part_new(struct messages_reader *r, uint64_t index,
                                      enum messages_part part)
{
    struct messages_open *p = r->spare;
    struct buf keep = {0};

    if (r->n_open == OPEN_MAX)
        return NULL;
    if (p) {
        r->spare = p->next;
        keep = p->input;
        keep.n = 0;
    } else if (!(p = arena_alloc(r->env.arena, sizeof *p))) {
        return NULL;
    }
    *p = (struct messages_open){
        .next = r->open, .index = index, .part = (uint8_t)part, .input = keep};
    if (part != PART_HELD && part != PART_OPAQUE)
        p->block = r->next_block++;
    r->open = p;
    r->n_open++;
    return p;
}

/* {"input":"..."} of a wrapped call; what a model makes otherwise goes as it is. */
static void end_custom(struct messages_reader *r, struct messages_open *p)
{
    struct event e = event_of(p, EVENT_DELTA);
    struct json_tape t;

    struct str input = str_from((struct str){p->input.p, p->input.n}, p->has_text ? p->began : 0);

    json_tape_init(&t, r->env.pool);
    if (json_tape_read(&t, input.p, input.n) == JSON_TAPE_DONE)
        e.text = jstr_repair(json_text(&t, JSON_GET(&t, json_root(&t), "input")), r->env.arena);
    if (!e.text.p)
        e.text = quoted(r, input);
    if (e.text.n)
        emit(r, e);
    json_tape_deinit(&t);
}

/* A call without fragments has the input it began with (E.1.5). */
static void end_call(struct messages_reader *r, struct messages_open *p)
{
    struct event e = event_of(p, EVENT_DELTA);

    if (p->has_text)
        return;
    e.text = p->input.n ? quoted(r, (struct str){p->input.p, p->input.n}) : JSTR("{}");
    r->env.scan->text_bytes += e.text.n;
    emit(r, e);
}

/* The block as it began, with the input that came after it in the place of its own. */
static void end_opaque(struct messages_reader *r, struct messages_open *p)
{
    struct str block = {p->input.p, p->began};
    struct str input = {p->input.p + p->began, p->input.n - p->began};
    const struct json_val *own = NULL;
    struct jout o = jout_init(r->env.pool, &r->scratch);
    struct json_tape t;

    json_tape_init(&t, r->env.pool);
    if (input.n && json_tape_read(&t, block.p, block.n) == JSON_TAPE_DONE)
        own = JSON_GET(&t, json_root(&t), "input");
    if (own) {
        r->scratch.n = 0;
        jout_raw(&o, (struct str){block.p, own->at});
        jout_raw(&o, input);
        jout_raw(&o, str_from(block, own->at + own->n));
        block = (struct str){r->scratch.p, r->scratch.n};
        if (json_tape_read(&t, block.p, block.n) != JSON_TAPE_DONE)
            block.n = 0; /* cut */
    }
    json_tape_deinit(&t);
    if (block.n)
        emit(r, (struct event){.kind = EVENT_OPAQUE, .raw = block});
}

static void part_end(struct messages_reader *r, struct messages_open *p)
{
    struct messages_open **link = &r->open;

    if (p->half_n) { /* the other half never came */
        p->half_n = 0;
        emit_text(r, p, JSTR("\\ufffd"));
    }
    switch ((enum messages_part)p->part) {
    case PART_CALL:
    case PART_ANSWER:
        end_call(r, p);
        break;
    case PART_CUSTOM:
        end_custom(r, p);
        break;
    case PART_OPAQUE:
        end_opaque(r, p);
        break;
    case PART_TEXT:
    case PART_HELD:
    case PART_REASONING:
        break;
    }
    if (p->part != PART_OPAQUE && p->part != PART_HELD)
        emit(r, event_of(p, EVENT_BLOCK_END));
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    p->next = r->spare;
    r->spare = p;
    r->n_open--;
}

/* Only calls may stay open beside what begins. */
static void end_others(struct messages_reader *r, bool calls_too)
{
    for (struct messages_open *p = r->open, *next; p; p = next) {
        next = p->next;
        if (calls_too || (p->part != PART_CALL && p->part != PART_CUSTOM))
            part_end(r, p);
    }
}

/* What was held is the answer after all. */
static void release_held(struct messages_reader *r)
{
    struct messages_open p = {.part = PART_TEXT};
    struct event e;

    if (!r->held.n)
        return;
    p.block = r->next_block++;
    emit(r, event_of(&p, EVENT_BLOCK));
    e = event_of(&p, EVENT_DELTA);
    e.text = (struct jstr){r->held.p, r->held.n};
    emit(r, e);
    emit(r, event_of(&p, EVENT_BLOCK_END));
    r->held.n = 0;
}

static void emit_signature(struct messages_reader *r, struct messages_open *p,
                           struct jstr signature, bool redacted)
{
    struct event e = event_of(p, EVENT_SIGNATURE);

    e.signature = signature;
    e.is_redacted = redacted;
    if (signature.n)
        emit(r, e);
}

static void emit_citation(struct messages_reader *r, struct messages_open *p, struct str citation)
{
    struct event e = event_of(p, EVENT_CITATION);

    e.raw = citation;
    if (p->part == PART_TEXT && citation.n)
        emit(r, e);
}

static void start_text(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                       const struct json_val *v)
{
    bool held = r->env.request->emulates_schema;
    struct messages_open *p = part_new(r, index, held ? PART_HELD : PART_TEXT);
    const struct json_val *citations = JSON_GET(t, v, "citations");

    if (!p)
        return;
    if (!held)
        emit(r, event_of(p, EVENT_BLOCK));
    put_text(r, p, json_text(t, JSON_GET(t, v, "text")));
    if (json_has_type(citations, JSON_ARRAY))
        JSON_ELEMENTS(t, citations, c)
    emit_citation(r, p, json_raw(t, c));
}

static void start_thinking(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                           const struct json_val *v)
{
    struct messages_open *p = part_new(r, index, PART_REASONING);

    if (!p)
        return;
    emit(r, event_of(p, EVENT_BLOCK));
    put_text(r, p, json_text(t, JSON_GET(t, v, "thinking")));
    emit_signature(r, p, json_text(t, JSON_GET(t, v, "signature")), false);
}

static void start_redacted(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                           const struct json_val *v)
{
    struct messages_open *p = part_new(r, index, PART_REASONING);
    struct event e;

    if (!p)
        return;
    e = event_of(p, EVENT_BLOCK);
    e.is_redacted = true;
    emit(r, e);
    emit_signature(r, p, json_text(t, JSON_GET(t, v, "data")), true);
}

static void begin_with(struct messages_reader *r, struct messages_open *p, struct str json)
{
    keep(r, &p->input, json);
    p->began = p->input.n;
}

static bool is_custom(const struct messages_reader *r, struct jstr name)
{
    for (uint32_t i = 0; i < r->n_custom; i++)
        if (jstr_same(r->custom[i], name))
            return true;
    return false;
}

static void start_tool_use(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                           const struct json_val *v)
{
    struct jstr sent = json_text(t, JSON_GET(t, v, "name"));
    struct jstr name = neutral_original_name(r->env.request, sent);
    const struct json_val *input = JSON_GET(t, v, "input");
    bool answer = r->env.request->emulates_schema && jstr_is(sent, STR(ANSWER_TOOL));
    struct messages_open *p;
    struct event e;

    if (answer)
        r->held.n = 0;
    else
        release_held(r);
    p = part_new(r, index, answer ? PART_ANSWER : is_custom(r, name) ? PART_CUSTOM : PART_CALL);
    if (!p)
        return;
    r->called |= !answer;
    e = event_of(p, EVENT_BLOCK);
    if (!answer) {
        e.id = json_text(t, JSON_GET(t, v, "id"));
        e.name = name;
    }
    emit(r, e);
    if (json_has_type(input, JSON_OBJECT) && input->n > STR("{}").n)
        begin_with(r, p, json_raw(t, input));
}

static void start_opaque(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                         const struct json_val *v)
{
    struct messages_open *p = part_new(r, index, PART_OPAQUE);

    if (p)
        begin_with(r, p, json_raw(t, v));
}

static void block_start(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                        const struct json_val *v)
{
    static const struct {
        struct str type;
        void (*start)(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                      const struct json_val *v);
    } kinds[] = {
        {STR_INIT("text"), start_text},
        {STR_INIT("tool_use"), start_tool_use},
        {STR_INIT("thinking"), start_thinking},
        {STR_INIT("redacted_thinking"), start_redacted},
    };
    struct jstr type = json_text(t, JSON_GET(t, v, "type"));
    struct messages_open *same = part_find(r, index);

    if (same)
        part_end(r, same);
    end_others(r, false);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (jstr_is(type, kinds[i].type)) {
            kinds[i].start(r, t, index, v);
            return;
        }
    if (type.n)
        start_opaque(r, t, index, v);
}

/* --- events of a stream ----------------------------------------------------------------------
 */

static uint64_t index_of(const struct json_tape *t, const struct json_val *root)
{
    uint64_t index = 0;

    (void)json_u64(t, JSON_GET(t, root, "index"), &index);
    return index;
}

static void start(struct messages_reader *r, struct jstr id)
{
    if (r->started)
        return;
    r->started = true;
    reply_scan_id(r->env.scan, id);
    emit(r, (struct event){.kind = EVENT_START, .id = id});
}

static void usage_read(struct messages_reader *r, const struct json_tape *t,
                       const struct json_val *usage)
{
    struct jstr tier = json_text(t, JSON_GET(t, usage, "service_tier"));

    if (!json_has_type(usage, JSON_OBJECT))
        return;
    reply_scan_usage(r->env.scan, json_raw(t, usage));
    if (tier.n && !jstr_same(tier, r->tier)) {
        struct str copy = arena_str(r->env.arena, (struct str){tier.p, tier.n});
        r->tier = (struct jstr){copy.p, copy.n};
    }
}

static void usage_emit(struct messages_reader *r)
{
    struct usage u;

    reply_usage(r->env.scan, DIALECT_ANTHROPIC, &u);
    if (u.seen)
        emit(r, (struct event){.kind = EVENT_USAGE, .usage = &u, .service_tier = r->tier});
}

static enum stop stop_of(const struct messages_reader *r, struct jstr reason)
{
    static const struct {
        struct str reason;
        enum stop stop;
    } reasons[] = {
        {STR_INIT("end_turn"), STOP_END},
        {STR_INIT("tool_use"), STOP_TOOL},
        {STR_INIT("max_tokens"), STOP_LENGTH},
        {STR_INIT("stop_sequence"), STOP_SEQUENCE},
        {STR_INIT("pause_turn"), STOP_PAUSE},
        {STR_INIT("refusal"), STOP_REFUSAL},
        {STR_INIT("model_context_window_exceeded"), STOP_CONTEXT},
    };
    enum stop stop = STOP_END;

    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (jstr_is(reason, reasons[i].reason))
            stop = reasons[i].stop;
    if (stop == STOP_TOOL && !r->called && r->env.request->emulates_schema)
        return STOP_END; /* the answer was no call */
    return stop;
}

/* `v` has stop_reason and what goes with it; NULL: it was never said. */
static void finish(struct messages_reader *r, const struct json_tape *t, const struct json_val *v)
{
    struct jstr reason = json_text(t, JSON_GET(t, v, "stop_reason"));
    struct event e = {.kind = EVENT_FINISH};

    if (r->finished)
        return;
    end_others(r, true);
    release_held(r);
    r->finished = r->env.scan->finished = true;
    e.stop = (uint8_t)(v ? stop_of(r, reason) : r->called ? STOP_TOOL : STOP_END);
    e.stop_sequence = json_text(t, JSON_GET(t, v, "stop_sequence"));
    if (e.stop == STOP_REFUSAL)
        e.text = json_text(t, JSON_GET(t, JSON_GET(t, v, "stop_details"), "explanation"));
    emit(r, e);
}

static void end(struct messages_reader *r)
{
    if (r->ended)
        return;
    r->ended = true;
    emit(r, (struct event){.kind = EVENT_END});
}

static void on_message_start(struct messages_reader *r, const struct json_tape *t,
                             const struct json_val *root)
{
    const struct json_val *message = JSON_GET(t, root, "message");

    start(r, json_text(t, JSON_GET(t, message, "id")));
    usage_read(r, t, JSON_GET(t, message, "usage"));
}

static void on_block_start(struct messages_reader *r, const struct json_tape *t,
                           const struct json_val *root)
{
    start(r, JSTR_NONE);
    block_start(r, t, index_of(t, root), JSON_GET(t, root, "content_block"));
}

/* What a delta brings, and what begins where it comes without a beginning. */
static void on_block_delta(struct messages_reader *r, const struct json_tape *t,
                           const struct json_val *root)
{
    const struct json_val *delta = JSON_GET(t, root, "delta"), *v;
    uint64_t index = index_of(t, root);
    struct messages_open *p = part_find(r, index);

    if ((v = JSON_GET(t, delta, "text"))) {
        if (!p && !r->finished) {
            start(r, JSTR_NONE);
            end_others(r, false);
            start_text(r, t, index, NULL);
            p = part_find(r, index);
        }
        if (p && (p->part == PART_TEXT || p->part == PART_HELD))
            put_text(r, p, json_text(t, v));
    } else if (!p) {
        return;
    } else if ((v = JSON_GET(t, delta, "partial_json"))) {
        if (p->part >= PART_CALL)
            put_text(r, p, json_text(t, v));
    } else if ((v = JSON_GET(t, delta, "thinking"))) {
        if (p->part == PART_REASONING)
            put_text(r, p, json_text(t, v));
    } else if ((v = JSON_GET(t, delta, "signature"))) {
        if (p->part == PART_REASONING)
            emit_signature(r, p, json_text(t, v), false);
    } else if ((v = JSON_GET(t, delta, "citation"))) {
        emit_citation(r, p, json_raw(t, v));
    }
}

static void on_block_stop(struct messages_reader *r, const struct json_tape *t,
                          const struct json_val *root)
{
    struct messages_open *p = part_find(r, index_of(t, root));

    if (p)
        part_end(r, p);
}

/* Counters are totals of the whole message: the last ones hold (B.9). */
static void on_message_delta(struct messages_reader *r, const struct json_tape *t,
                             const struct json_val *root)
{
    const struct json_val *delta = JSON_GET(t, root, "delta");

    start(r, JSTR_NONE);
    usage_read(r, t, JSON_GET(t, root, "usage"));
    if (json_has_type(JSON_GET(t, delta, "stop_reason"), JSON_STRING))
        finish(r, t, delta);
    if (r->finished)
        usage_emit(r);
}

static void on_message_stop(struct messages_reader *r, const struct json_tape *t,
                            const struct json_val *root)
{
    (void)root;
    start(r, JSTR_NONE);
    if (!r->finished) {
        finish(r, t, NULL);
        usage_emit(r);
    }
    end(r);
}

static void on_ping(struct messages_reader *r, const struct json_tape *t,
                    const struct json_val *root)
{
    (void)t, (void)root;
    emit(r, (struct event){.kind = EVENT_PING});
}

/* B.11, F.9 */
static void on_error(struct messages_reader *r, const struct json_tape *t,
                     const struct json_val *root)
{
    struct str raw = json_raw(t, root);
    struct error_facts facts = {.status = envelope_error_status(raw)};

    envelope_read(r->env.arena, &facts, raw, (struct str){0});
    r->failed = r->env.scan->failed = true;
    emit(r, (struct event){.kind = EVENT_ERROR, .error = &facts});
}

void messages_read_event(void *reader, struct str name, const struct json_tape *t)
{
    static const struct {
        struct str type;
        void (*read)(struct messages_reader *r, const struct json_tape *t,
                     const struct json_val *root);
    } events[] = {
        {STR_INIT("content_block_delta"), on_block_delta},
        {STR_INIT("content_block_start"), on_block_start},
        {STR_INIT("content_block_stop"), on_block_stop},
        {STR_INIT("message_start"), on_message_start},
        {STR_INIT("message_delta"), on_message_delta},
        {STR_INIT("message_stop"), on_message_stop},
        {STR_INIT("ping"), on_ping},
        {STR_INIT("error"), on_error},
    };
    struct messages_reader *r = reader;
    const struct json_val *root = json_root(t);
    struct jstr type = json_text(t, JSON_GET(t, root, "type"));

    if (r->ended || r->failed || root->type != JSON_OBJECT)
        return;
    if (!type.n)
        type = (struct jstr){name.p, name.n};
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (jstr_is(type, events[i].type)) {
            events[i].read(r, t, root);
            return;
        }
    if (!type.n && JSON_GET(t, root, "error"))
        on_error(r, t, root);
}

/* --- whole replies ---------------------------------------------------------------------------
 */

void messages_read_reply(void *reader, const struct json_tape *t)
{
    struct messages_reader *r = reader;
    const struct json_val *root = json_root(t), *content = JSON_GET(t, root, "content");
    uint64_t index = 0;

    if (json_is(t, JSON_GET(t, root, "type"), "error") ||
        (!content && JSON_GET(t, root, "error"))) {
        on_error(r, t, root);
        return;
    }
    start(r, json_text(t, JSON_GET(t, root, "id")));
    usage_read(r, t, JSON_GET(t, root, "usage"));
    if (json_has_type(content, JSON_ARRAY))
        JSON_ELEMENTS(t, content, v)
        {
            struct messages_open *p;
            block_start(r, t, index, v);
            if ((p = part_find(r, index++)))
                part_end(r, p);
        }
    finish(r, t, json_has_type(JSON_GET(t, root, "stop_reason"), JSON_STRING) ? root : NULL);
    usage_emit(r);
    end(r);
}

/* --- life ------------------------------------------------------------------------------------
 */

/* What the request knows of tools, which is gone when the reply comes. */
static void keep_custom_names(struct messages_reader *r)
{
    const struct tool *t;
    uint32_t n = 0;

    for (t = r->env.request->tools; t; t = t->next)
        n += t->kind == TOOL_CUSTOM;
    if (!n || !(r->custom = arena_alloc(r->env.arena, n * sizeof *r->custom)))
        return;
    for (t = r->env.request->tools; t; t = t->next)
        if (t->kind == TOOL_CUSTOM) {
            struct str copy = arena_str(r->env.arena, (struct str){t->name.p, t->name.n});
            r->custom[r->n_custom++] = (struct jstr){copy.p, copy.n};
        }
}

void messages_reader_init(void *reader, const struct reader_env *env)
{
    struct messages_reader *r = reader;

    r->env = *env;
    keep_custom_names(r);
}

/* E.1.5: what was finished ends; "[DONE]" of the oldest API version is an end of its own. */
bool messages_reader_end(void *reader, bool done)
{
    struct messages_reader *r = reader;

    if (r->ended || r->failed)
        return true;
    if (!r->finished && !(done && r->started))
        return false;
    if (!r->finished) {
        finish(r, NULL, NULL);
        usage_emit(r);
    }
    end(r);
    return true;
}

void messages_reader_deinit(void *reader)
{
    struct messages_reader *r = reader;

    for (struct messages_open *p = r->open; p; p = p->next)
        buf_free(r->env.pool, &p->input);
    for (struct messages_open *p = r->spare; p; p = p->next)
        buf_free(r->env.pool, &p->input);
    buf_free(r->env.pool, &r->scratch);
    buf_free(r->env.pool, &r->held);
}
