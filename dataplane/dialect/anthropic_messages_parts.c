/*
 * The content blocks of an Anthropic upstream as events: each begins, grows and ends, and may do so
 * complete. Where the request was written with a tool in place of structured output, that tool's
 * input is the text; what the model wrote before it is held until it is clear that no such call
 * follows.
 */

#include "dialect/anthropic_messages_priv.h"

enum { OPEN_MAX = 64 };

void messages_emit(struct messages_reader *r, struct event e)
{
    e.origin = API_MESSAGES;
    r->env.emit(r->env.ctx, &e);
}

static enum block_kind kind_of(const struct messages_open *p)
{
    return p->part == PART_REASONING                         ? BLOCK_REASONING
           : p->part == PART_CALL || p->part == PART_WRAPPED ? BLOCK_TOOL_CALL
                                                             : BLOCK_TEXT;
}

static struct event event_of(const struct messages_open *p, enum event_kind kind)
{
    return (struct event){
        .kind = (uint8_t)kind,
        .block_kind = (uint8_t)kind_of(p),
        .block = p->block,
        .is_custom = p->part == PART_WRAPPED,
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
    if (b->n + s.n > READER_KEEPS || !buf_add(r->env.pool, b, s.p, s.n))
        lose(r);
}

static void collect(struct messages_reader *r, struct buf *b, struct jstr text)
{
    struct jout o = jout_init(r->env.pool, b);

    jout_unescaped(&o, text);
    if (o.failed || b->n > READER_KEEPS)
        lose(r);
}

static void emit_text(struct messages_reader *r, struct messages_open *p, struct jstr text)
{
    struct event e = event_of(p, EVENT_DELTA);

    if (!text.n)
        return;
    r->env.scan->text_bytes += text.n;
    if (p->part == PART_HELD) {
        keep(r, &r->held, (struct str){text.p, text.n});
    } else if (p->part == PART_OPAQUE) {
        collect(r, &p->input, text);
    } else {
        e.text = text;
        messages_emit(r, e);
    }
}

/* What of a wrapped text a fragment holds; all fragments so far where it proves not to be wrapped.
 */
static struct jstr unwrap(struct messages_reader *r, struct messages_open *p, struct jstr text)
{
    struct jout o = jout_init(r->env.pool, &r->unwrapped);

    if (p->wrapped.state == WRAPPED_PLAIN)
        return text;
    if (p->wrapped.state == WRAPPED_HEAD)
        keep(r, &p->input, (struct str){text.p, text.n});
    r->unwrapped.n = 0;
    wrapped_feed(&p->wrapped, text, &o);
    if (o.failed)
        lose(r);
    if (p->wrapped.state == WRAPPED_PLAIN)
        return (struct jstr){p->input.p + p->began, p->input.n - p->began};
    return (struct jstr){r->unwrapped.p, r->unwrapped.n};
}

/* Text of a block, at whose end half a character waits for the other (F.16). */
static void whole_text(struct messages_reader *r, struct messages_open *p, struct jstr text)
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

void messages_open_text(struct messages_reader *r, struct messages_open *p, struct jstr text)
{
    if (!text.n)
        return;
    p->has_text = true;
    whole_text(r, p, p->part == PART_WRAPPED ? unwrap(r, p, text) : text);
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

struct messages_open *messages_open_find(struct messages_reader *r, uint64_t index)
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
    struct buf input = {0};

    if (r->n_open == OPEN_MAX)
        return NULL;
    if (p) {
        r->spare = p->next;
        input = p->input;
        input.n = 0;
    } else if (!(p = arena_alloc(r->env.arena, sizeof *p))) {
        return NULL;
    }
    *p = (struct messages_open){
        .next = r->open, .index = index, .part = (uint8_t)part, .input = input};
    if (part != PART_HELD && part != PART_OPAQUE)
        p->block = r->next_block++;
    r->open = p;
    r->n_open++;
    return p;
}

/* A call without fragments has the input it began with (E.1.5). */
static void end_call(struct messages_reader *r, struct messages_open *p)
{
    struct str input = {p->input.p, p->began};

    if (p->has_text)
        return;
    messages_open_text(r, p, input.n ? quoted(r, input) : JSTR("{}"));
}

/* The beginning of a wrapped text, but not more, is what it said. */
static void end_wrapped(struct messages_reader *r, struct messages_open *p)
{
    end_call(r, p);
    if (p->wrapped.state == WRAPPED_HEAD)
        whole_text(r, p, (struct jstr){p->input.p + p->began, p->input.n - p->began});
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
        messages_emit(r, (struct event){.kind = EVENT_OPAQUE, .raw = block});
}

void messages_open_end(struct messages_reader *r, struct messages_open *p)
{
    struct messages_open **link = &r->open;

    if (p->part == PART_CALL || p->part == PART_ANSWER)
        end_call(r, p);
    else if (p->part == PART_WRAPPED)
        end_wrapped(r, p);
    if (p->half_n) { /* the other half never came */
        p->half_n = 0;
        emit_text(r, p, JSTR("\\ufffd"));
    }
    if (p->part == PART_OPAQUE)
        end_opaque(r, p);
    else if (p->part != PART_HELD)
        messages_emit(r, event_of(p, EVENT_BLOCK_END));
    while (*link != p)
        link = &(*link)->next;
    *link = p->next;
    p->next = r->spare;
    r->spare = p;
    r->n_open--;
}

/* Only calls may stay open beside what begins. */
void messages_end_open(struct messages_reader *r, bool calls_too)
{
    for (struct messages_open *p = r->open, *next; p; p = next) {
        next = p->next;
        if (calls_too || (p->part != PART_CALL && p->part != PART_WRAPPED))
            messages_open_end(r, p);
    }
}

/* What was held is the answer after all, unless the answer came. */
void messages_release_held(struct messages_reader *r)
{
    struct messages_open p = {.part = PART_TEXT};
    struct event e;

    if (r->answered)
        r->held.n = 0;
    if (!r->held.n)
        return;
    p.block = r->next_block++;
    messages_emit(r, event_of(&p, EVENT_BLOCK));
    e = event_of(&p, EVENT_DELTA);
    e.text = (struct jstr){r->held.p, r->held.n};
    messages_emit(r, e);
    messages_emit(r, event_of(&p, EVENT_BLOCK_END));
    r->held.n = 0;
}

void messages_open_signature(struct messages_reader *r, struct messages_open *p,
                             struct jstr signature, bool redacted)
{
    struct event e = event_of(p, EVENT_SIGNATURE);

    e.signature = signature;
    e.is_redacted = redacted;
    if (signature.n)
        messages_emit(r, e);
}

void messages_open_citation(struct messages_reader *r, struct messages_open *p, struct str citation)
{
    struct event e = event_of(p, EVENT_CITATION);

    e.raw = citation;
    if (p->part == PART_TEXT && citation.n)
        messages_emit(r, e);
}

void messages_open_text_block(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                              const struct json_val *v)
{
    bool held = r->env.request->emulates_schema;
    struct messages_open *p = part_new(r, index, held ? PART_HELD : PART_TEXT);
    const struct json_val *citations = JSON_GET(t, v, "citations");

    if (!p)
        return;
    if (!held)
        messages_emit(r, event_of(p, EVENT_BLOCK));
    messages_open_text(r, p, json_text(t, JSON_GET(t, v, "text")));
    if (!json_has_type(citations, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, citations, c)
    messages_open_citation(r, p, json_raw(t, c));
}

static void start_thinking(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                           const struct json_val *v)
{
    struct messages_open *p = part_new(r, index, PART_REASONING);

    if (!p)
        return;
    messages_emit(r, event_of(p, EVENT_BLOCK));
    messages_open_text(r, p, json_text(t, JSON_GET(t, v, "thinking")));
    messages_open_signature(r, p, json_text(t, JSON_GET(t, v, "signature")), false);
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
    messages_emit(r, e);
    messages_open_signature(r, p, json_text(t, JSON_GET(t, v, "data")), true);
}

static void begin_with(struct messages_reader *r, struct messages_open *p, struct str json)
{
    keep(r, &p->input, json);
    p->began = p->input.n;
}

static void start_tool_use(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                           const struct json_val *v)
{
    struct jstr sent = json_text(t, JSON_GET(t, v, "name"));
    struct jstr name = neutral_original_name(r->env.request, sent);
    const struct json_val *input = JSON_GET(t, v, "input");
    bool answer = r->env.request->emulates_schema && jstr_is(sent, STR(ANSWER_TOOL));
    bool wrapped = neutral_is_wrapped(r->env.request, sent);
    struct messages_open *p;
    struct event e;

    r->answered |= answer;
    messages_release_held(r);
    p = part_new(r, index, answer ? PART_ANSWER : wrapped ? PART_WRAPPED : PART_CALL);
    if (!p)
        return;
    r->called |= !answer;
    e = event_of(p, EVENT_BLOCK);
    if (!answer) {
        e.id = json_text(t, JSON_GET(t, v, "id"));
        e.name = name;
    }
    messages_emit(r, e);
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

void messages_open_begin(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                         const struct json_val *v)
{
    static const struct {
        struct str type;
        void (*start)(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                      const struct json_val *v);
    } kinds[] = {
        {STR_INIT("text"), messages_open_text_block},
        {STR_INIT("tool_use"), start_tool_use},
        {STR_INIT("thinking"), start_thinking},
        {STR_INIT("redacted_thinking"), start_redacted},
    };
    struct jstr type = json_text(t, JSON_GET(t, v, "type"));
    struct messages_open *same = messages_open_find(r, index);

    if (same)
        messages_open_end(r, same);
    messages_end_open(r, false);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (jstr_is(type, kinds[i].type)) {
            kinds[i].start(r, t, index, v);
            return;
        }
    if (type.n)
        start_opaque(r, t, index, v);
}
