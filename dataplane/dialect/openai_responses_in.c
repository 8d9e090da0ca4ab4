/*
 * The items of an upstream's reply as blocks: of a message each content part is one, a reasoning
 * item is one with its summary parts joined, a call is one.
 */

#include "dialect/openai_responses_priv.h"

enum { ITEMS_MAX = 1024 };

static const struct str part_gap = STR_INIT("\\n\\n"); /* between parts of a summary */

static void emit(struct responses_reader *r, struct event *e)
{
    r->env.emit(r->env.ctx, e);
}

void responses_in_error(struct responses_reader *r, const struct error_facts *f)
{
    struct event e = {.kind = EVENT_ERROR, .error = f, .origin = API_RESPONSES};

    r->is_over = true;
    r->env.scan->failed = true;
    emit(r, &e);
}

/* --- blocks -------------------------------------------------------------------------------------
 */

static struct event of_block(const struct responses_in *in, enum event_kind kind)
{
    return (struct event){
        .kind = (uint8_t)kind,
        .block_kind = in->block_kind,
        .block = in->block,
        .is_custom = in->is_custom,
        .is_redacted = in->is_redacted,
        .origin = API_RESPONSES,
    };
}

static void text_emit(struct responses_reader *r, struct responses_in *in, struct jstr text)
{
    struct event e = of_block(in, EVENT_DELTA);

    e.text = jstr_repair(text, r->env.arena);
    if (!e.text.n)
        return;
    in->has_text = true;
    r->env.scan->text_bytes += e.text.n;
    emit(r, &e);
}

/* F.16: the first half of a pair waits for the other. */
static void half_release(struct responses_reader *r, struct responses_in *in, struct jstr *text)
{
    char pair[12];
    size_t n = sizeof in->half;

    if (!in->has_half)
        return;
    in->has_half = false;
    memcpy(pair, in->half, sizeof in->half);
    if (text->n >= 6 && text->p[0] == '\\' && text->p[1] == 'u') {
        memcpy(pair + n, text->p, 6);
        n += 6;
        *text = (struct jstr){text->p + 6, text->n - 6};
    }
    text_emit(r, in, (struct jstr){pair, n});
}

void responses_in_text(struct responses_reader *r, struct responses_in *in, struct jstr text)
{
    if (UNLIKELY(in->has_half) && text.n)
        half_release(r, in, &text);
    size_t half = jstr_half_pair(text);
    if (UNLIKELY(half)) {
        text.n -= half;
        memcpy(in->half, text.p + text.n, sizeof in->half);
        in->has_half = true;
    }
    text_emit(r, in, text);
}

void responses_in_block_end(struct responses_reader *r, struct responses_in *in)
{
    struct jstr none = JSTR_NONE;

    if (!in->is_open)
        return;
    half_release(r, in, &none);
    in->is_open = false;
    if (r->text == in)
        r->text = NULL;
    struct event e = of_block(in, EVENT_BLOCK_END);
    emit(r, &e);
}

void responses_in_start(struct responses_reader *r, const struct json_tape *t,
                        const struct json_val *response)
{
    struct event e = {.kind = EVENT_START, .origin = API_RESPONSES};

    if (r->started)
        return;
    r->started = true;
    if (response) {
        e.id = json_text_at(t, response, STR("id"));
        (void)json_u64(t, JSON_GET(t, response, "created_at"), &e.created);
        reply_scan_id(r->env.scan, e.id);
    }
    emit(r, &e);
}

/* Begins a block of the item. Only calls may be open side by side. */
static void block_begin(struct responses_reader *r, struct responses_in *in, enum block_kind kind,
                        struct jstr id, struct jstr name)
{
    responses_in_start(r, NULL, NULL);
    if (kind != BLOCK_TOOL_CALL)
        responses_in_block_end(r, in);
    if (r->text)
        responses_in_block_end(r, r->text);
    if (kind != BLOCK_TOOL_CALL)
        r->text = in;
    r->has_refused |= kind == BLOCK_REFUSAL;
    in->is_open = true;
    in->has_text = in->has_notes = false;
    in->block_kind = (uint8_t)kind;
    in->block = r->n_blocks++;
    struct event e = of_block(in, EVENT_BLOCK);
    e.id = id;
    e.name = name;
    emit(r, &e);
}

/* --- items --------------------------------------------------------------------------------------
 */

/* The newest under that index: broken upstreams use one for several. */
struct responses_in *responses_in_at(const struct responses_reader *r, uint32_t index)
{
    struct responses_in *in = r->items;

    while (in && in->index != index)
        in = in->next;
    return in;
}

struct responses_in *responses_in_of_kind(const struct responses_reader *r, uint32_t index,
                                          enum block_kind kind)
{
    struct responses_in *in = r->items;

    while (in && (in->index != index || in->kind != kind))
        in = in->next;
    return in;
}

static struct jstr keep(struct responses_reader *r, struct jstr j)
{
    struct str s = arena_str(r->env.arena, (struct str){j.p, j.n});

    return (struct jstr){s.p, s.n};
}

static const struct {
    struct str type;
    enum block_kind kind;
    bool is_custom;
} kinds[] = {
    {STR_INIT("message"), BLOCK_TEXT, false},
    {STR_INIT("function_call"), BLOCK_TOOL_CALL, false},
    {STR_INIT("reasoning"), BLOCK_REASONING, false},
    {STR_INIT("custom_tool_call"), BLOCK_TOOL_CALL, true},
};

/* NULL: too many of them, which ends the reply, or no memory. */
struct responses_in *responses_in_new(struct responses_reader *r, uint32_t index,
                                      enum block_kind kind)
{
    const struct error_facts many = {
        .status = 502, .message = STR("The model service answered with too many items.")};
    struct responses_in *in;

    if (r->n_items == ITEMS_MAX) {
        responses_in_error(r, &many);
        return NULL;
    }
    in = arena_zalloc(r->env.arena, sizeof *in);
    if (!in)
        return NULL;
    in->index = index;
    in->kind = (uint8_t)kind;
    in->next = r->items;
    r->items = in;
    r->n_items++;
    return in;
}

/* ARRAY_LEN(kinds): an item of another kind. */
static size_t kind_at(const struct json_tape *t, const struct json_val *item)
{
    struct jstr type = json_text_at(t, item, STR("type"));
    size_t i = 0;

    while (i < ARRAY_LEN(kinds) && !jstr_is(type, kinds[i].type))
        i++;
    return i;
}

enum block_kind responses_in_kind(const struct json_tape *t, const struct json_val *item)
{
    size_t i = kind_at(t, item);

    return i < ARRAY_LEN(kinds) ? kinds[i].kind : BLOCK_OPAQUE;
}

struct responses_in *responses_in_begin(struct responses_reader *r, const struct json_tape *t,
                                        const struct json_val *item, uint32_t index)
{
    struct responses_in *in = responses_in_new(r, index, responses_in_kind(t, item));

    if (!in)
        return NULL;
    in->id = keep(r, json_text_at(t, item, STR("id")));
    if (in->kind != BLOCK_TOOL_CALL)
        return in;
    in->is_custom = kinds[kind_at(t, item)].is_custom;
    r->has_call = true;
    struct jstr id = json_text_at(t, item, STR("call_id"));
    struct jstr name = neutral_original_name(r->env.request, json_text_at(t, item, STR("name")));
    block_begin(r, in, BLOCK_TOOL_CALL, id.n ? id : in->id, name);
    return in;
}

/* --- parts of messages and reasoning ------------------------------------------------------------
 */

/*
 * The item's block for the text of a part, opened where it is not. A part that was passed already
 * gives NULL unless it is the open one; `again`: but its text goes on, in a block of its own where
 * another came between.
 */
bool responses_in_part(struct responses_reader *r, struct responses_in *in, enum block_kind kind,
                       uint32_t part, bool again)
{
    bool passed = part < in->part;

    if (in->is_open && in->block_kind == kind && part + 1 == in->part)
        return again || !in->has_text;
    if (passed && !again)
        return false;
    block_begin(r, in, kind, JSTR_NONE, JSTR_NONE);
    in->part = MAX(in->part, part + 1);
    return true;
}

/* Reasoning is one block; its parts follow each other in it. */
bool responses_in_summary(struct responses_reader *r, struct responses_in *in, uint32_t part,
                          bool again)
{
    if (part < in->part && !again)
        return false;
    if (!in->is_open)
        block_begin(r, in, BLOCK_REASONING, JSTR_NONE, JSTR_NONE);
    if (part >= in->part) {
        in->part = part + 1;
        if (in->has_text)
            responses_in_text(r, in, (struct jstr){part_gap.p, part_gap.n});
    }
    return true;
}

void responses_in_citation(struct responses_reader *r, struct responses_in *in,
                           const struct json_tape *t, const struct json_val *note)
{
    struct event e = of_block(in, EVENT_CITATION);

    in->has_notes = true;
    e.raw = json_raw(t, note);
    emit(r, &e);
}

void responses_in_logprobs(struct responses_reader *r, struct responses_in *in,
                           const struct json_tape *t, const struct json_val *list)
{
    struct event e = of_block(in, EVENT_LOGPROBS);

    if (!json_has_type(list, JSON_ARRAY) || list->n <= 2)
        return;
    e.raw = json_raw(t, list);
    emit(r, &e);
}

/* A part as its item has it in the end: what of it did not come yet. */
void responses_in_part_whole(struct responses_reader *r, struct responses_in *in,
                             const struct json_tape *t, const struct json_val *part, uint32_t index)
{
    bool is_refusal = json_is(t, JSON_GET(t, part, "type"), "refusal");
    struct jstr text = json_text_at(t, part, is_refusal ? STR("refusal") : STR("text"));
    const struct json_val *notes = JSON_GET(t, part, "annotations");

    if (text.n && responses_in_part(r, in, is_refusal ? BLOCK_REFUSAL : BLOCK_TEXT, index, false)) {
        responses_in_text(r, in, text);
        responses_in_logprobs(r, in, t, JSON_GET(t, part, "logprobs"));
    }
    if (is_refusal || !in->is_open || index + 1 != in->part || in->has_notes ||
        !json_has_type(notes, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, notes, note)
    responses_in_citation(r, in, t, note);
}

static void summary_whole(struct responses_reader *r, struct responses_in *in,
                          const struct json_tape *t, const struct json_val *list)
{
    uint32_t part = 0;

    if (!json_has_type(list, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, list, v)
    {
        struct jstr text = json_text_at(t, v, STR("text"));
        if (text.n && responses_in_summary(r, in, part, false))
            responses_in_text(r, in, text);
        part++;
    }
}

static void reasoning_whole(struct responses_reader *r, struct responses_in *in,
                            const struct json_tape *t, const struct json_val *item)
{
    struct jstr sealed = json_text_at(t, item, STR("encrypted_content"));

    if (!in->part)
        summary_whole(r, in, t, JSON_GET(t, item, "summary"));
    if (!in->part)
        summary_whole(r, in, t, JSON_GET(t, item, "content"));
    if (!sealed.n)
        return;
    in->is_redacted = !in->part;
    if (!in->is_open)
        block_begin(r, in, BLOCK_REASONING, JSTR_NONE, JSTR_NONE);
    struct event e = of_block(in, EVENT_SIGNATURE);
    e.signature = sealed;
    e.id = json_text_at(t, item, STR("id"));
    emit(r, &e);
}

static void message_whole(struct responses_reader *r, struct responses_in *in,
                          const struct json_tape *t, const struct json_val *item)
{
    const struct json_val *content = JSON_GET(t, item, "content");
    uint32_t part = 0;

    if (!json_has_type(content, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, content, v)
    responses_in_part_whole(r, in, t, v, part++);
}

static void opaque_whole(struct responses_reader *r, const struct json_tape *t,
                         const struct json_val *item)
{
    struct event e = {.kind = EVENT_OPAQUE, .origin = API_RESPONSES, .raw = json_raw(t, item)};

    if (!json_has_type(item, JSON_OBJECT))
        return;
    responses_in_start(r, NULL, NULL);
    if (r->text)
        responses_in_block_end(r, r->text);
    emit(r, &e);
}

/* The item is complete: what of it did not come yet, and its end. */
void responses_in_whole(struct responses_reader *r, struct responses_in *in,
                        const struct json_tape *t, const struct json_val *item)
{
    if (!in || in->is_done)
        return;
    in->is_done = true;
    if (in->kind == BLOCK_TEXT)
        message_whole(r, in, t, item);
    else if (in->kind == BLOCK_REASONING)
        reasoning_whole(r, in, t, item);
    else if (in->kind == BLOCK_OPAQUE)
        opaque_whole(r, t, item);
    else if (!in->has_text)
        responses_in_text(r, in,
                          json_text_at(t, item, in->is_custom ? STR("input") : STR("arguments")));
    responses_in_block_end(r, in);
}
