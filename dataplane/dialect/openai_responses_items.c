/*
 * Items of a reply as they come into being (wire-formats.md E.2.4):
 *
 *   message    one over neighbouring blocks of text and refusal, each a content part
 *   reasoning  one a block, its text the one part of its summary
 *   call       one a block; several may be open
 *
 * Each event is written when it happens, and its text once more into the item's own JSON, of which
 * the events that end it are copies.
 */

#include "dialect/openai_responses.h"
#include "dialect/openai_responses_priv.h"

enum { OPEN_MAX = 1024 }; /* items not in `output` yet */

/* --- the item's JSON ----------------------------------------------------------------------------
 */

void responses_out_put(struct responses_writer *w, struct buf *b, struct str s)
{
    if (b->n + s.n > RESPONSES_REPLY_MAX || !buf_add(w->pool, b, s.p, s.n))
        w->env.out->failed = true;
}

static void keep(struct responses_writer *w, struct responses_out *o, struct str s)
{
    responses_out_put(w, &o->json, s);
}
#define keep_lit(w, o, lit) keep(w, o, STR(lit))

static void keep_text(struct responses_writer *w, struct responses_out *o, struct jstr j)
{
    keep(w, o, (struct str){j.p, j.n});
}

/* What was kept from `at` on. */
static struct str kept(const struct responses_out *o, size_t at)
{
    return (struct str){o->json.p + at, o->json.n - at};
}

/* --- events of an item --------------------------------------------------------------------------
 */

void responses_out_number(struct responses_writer *w, struct str head, uint64_t v)
{
    jout_raw(w->env.out, head);
    jout_u64(w->env.out, v);
}

/* item_id and output_index. */
static bool event_of(struct responses_writer *w, const struct responses_out *o, struct str type)
{
    struct jout *out = w->env.out;

    if (!responses_event_begin(w, type))
        return false;
    jout_lit(out, ",\"item_id\":\"");
    jout_raw(out, (struct str){o->id, o->id_n});
    responses_out_number(w, STR("\",\"output_index\":"), o->index);
    return true;
}

/* The same for the part being written. */
bool responses_out_event(struct responses_writer *w, const struct responses_out *o, struct str type)
{
    if (!event_of(w, o, type))
        return false;
    responses_out_number(
        w, o->kind == BLOCK_REASONING ? STR(",\"summary_index\":") : STR(",\"content_index\":"),
        o->part - 1);
    return true;
}

static void put_member(struct responses_writer *w, struct str head, struct str text)
{
    jout_raw(w->env.out, head);
    jout_raw(w->env.out, text);
    jout_lit(w->env.out, "\"");
}

static void put_item(struct responses_writer *w, const struct responses_out *o, struct str item)
{
    responses_out_number(w, STR(",\"output_index\":"), o->index);
    jout_lit(w->env.out, ",\"item\":");
    jout_raw(w->env.out, item);
}

/* --- items --------------------------------------------------------------------------------------
 */

static struct jstr own(struct responses_writer *w, struct jstr j)
{
    struct str s = arena_str(w->env.arena, (struct str){j.p, j.n});

    return (struct jstr){s.p, s.n};
}

static struct responses_out *item_new(struct responses_writer *w, enum block_kind kind,
                                      struct str prefix)
{
    struct responses_out *o = w->n_open < OPEN_MAX ? arena_zalloc(w->env.arena, sizeof *o) : NULL;

    if (!o) {
        w->env.out->failed = true;
        return NULL;
    }
    o->kind = (uint8_t)kind;
    o->index = w->n_items++;
    o->id_n = responses_make_id(w, o->id, prefix, o->index + 1);
    if (w->last)
        w->last->next = o;
    else
        w->first = o;
    w->last = o;
    w->n_open++;
    keep_lit(w, o, "{\"id\":\"");
    keep(w, o, (struct str){o->id, o->id_n});
    return o;
}

static struct responses_out *item_of(struct responses_writer *w, uint32_t block)
{
    if (w->last && !w->last->is_done && w->last->block == block)
        return w->last;
    for (struct responses_out *o = w->first; o; o = o->next)
        if (!o->is_done && o->block == block && o->kind != BLOCK_TEXT)
            return o;
    return NULL;
}

/* The item is complete; it goes to `output` with those behind that waited for it. */
static void item_done(struct responses_writer *w, struct responses_out *o)
{
    o->is_done = true;
    if (responses_event_begin(w, STR("response.output_item.done"))) {
        put_item(w, o, kept(o, 0));
        responses_event_end(w);
    }
    while (w->first && w->first->is_done) {
        struct responses_out *done = w->first;
        if (w->output.n)
            responses_out_put(w, &w->output, STR(","));
        responses_out_put(w, &w->output, kept(done, 0));
        buf_free(w->pool, &done->json);
        w->first = done->next;
        w->n_open--;
    }
    if (!w->first)
        w->last = NULL;
}

/* --- messages -----------------------------------------------------------------------------------
 */

static void message_begin(struct responses_writer *w)
{
    struct responses_out *o = item_new(w, BLOCK_TEXT, STR("msg_"));

    w->message = o;
    if (!o)
        return;
    keep_lit(w, o, "\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[");
    if (responses_event_begin(w, STR("response.output_item.added"))) {
        put_item(w, o, kept(o, 0));
        jout_lit(w->env.out, "],\"status\":\"in_progress\"}");
        responses_event_end(w);
    }
}

static struct str part_head(const struct responses_out *o)
{
    return o->part_kind == BLOCK_REFUSAL ? STR("{\"type\":\"refusal\",\"refusal\":\"")
                                         : STR("{\"type\":\"output_text\",\"text\":\"");
}

static struct str part_tail(const struct responses_out *o)
{
    return o->part_kind == BLOCK_REFUSAL ? STR("\"}") : STR("\",\"annotations\":[]}");
}

/* Begins the part that the pending block becomes. */
static void part_begin(struct responses_writer *w)
{
    struct responses_out *o;

    if (!w->message)
        message_begin(w);
    o = w->message;
    if (!o)
        return;
    w->pending.is_set = false;
    o->block = w->pending.block;
    o->part_kind = w->pending.kind;
    o->in_part = true;
    if (o->part++)
        keep_lit(w, o, ",");
    o->part_at = o->json.n;
    keep(w, o, part_head(o));
    o->text_at = w->counted_at = o->json.n;
    w->characters = 0;
    o->notes = 0;
    w->notes.n = w->logprobs.n = 0;
    if (responses_out_event(w, o, STR("response.content_part.added"))) {
        jout_lit(w->env.out, ",\"part\":");
        jout_raw(w->env.out, part_head(o));
        jout_raw(w->env.out, part_tail(o));
        responses_event_end(w);
    }
}

static void part_end(struct responses_writer *w)
{
    struct responses_out *o = w->message;
    bool is_refusal;
    struct str text;

    w->pending.is_set = false;
    if (!o || !o->in_part)
        return;
    o->in_part = false;
    is_refusal = o->part_kind == BLOCK_REFUSAL;
    text = kept(o, o->text_at);
    if (responses_out_event(
            w, o, is_refusal ? STR("response.refusal.done") : STR("response.output_text.done"))) {
        put_member(w, is_refusal ? STR(",\"refusal\":\"") : STR(",\"text\":\""), text);
        if (!is_refusal) {
            jout_lit(w->env.out, ",\"logprobs\":[");
            jout_raw(w->env.out, (struct str){w->logprobs.p, w->logprobs.n});
            jout_lit(w->env.out, "]");
        }
        responses_event_end(w);
    }
    if (is_refusal) {
        keep_lit(w, o, "\"}");
    } else {
        keep_lit(w, o, "\",\"annotations\":[");
        keep(w, o, (struct str){w->notes.p, w->notes.n});
        if (w->logprobs.n)
            keep_lit(w, o, "],\"logprobs\":[");
        keep(w, o, (struct str){w->logprobs.p, w->logprobs.n});
        keep_lit(w, o, "]}");
    }
    if (responses_out_event(w, o, STR("response.content_part.done"))) {
        jout_lit(w->env.out, ",\"part\":");
        jout_raw(w->env.out, kept(o, o->part_at));
        responses_event_end(w);
    }
}

static void message_end(struct responses_writer *w, struct str status)
{
    struct responses_out *o = w->message;

    part_end(w);
    w->message = NULL;
    if (!o)
        return;
    keep_lit(w, o, "],\"status\":\"");
    keep(w, o, status);
    keep_lit(w, o, "\"}");
    item_done(w, o);
}

/* The part of a text block; begun when its first text or note comes, so that none is empty. */
struct responses_out *responses_out_part(struct responses_writer *w, uint32_t block)
{
    if (w->pending.is_set && w->pending.block == block)
        part_begin(w);
    return w->message && w->message->in_part && w->message->block == block ? w->message : NULL;
}

/* --- reasoning ----------------------------------------------------------------------------------
 */

static void reasoning_begin(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o = item_new(w, BLOCK_REASONING, STR("rs_"));

    if (!o)
        return;
    o->block = e->block;
    keep_lit(w, o, "\",\"type\":\"reasoning\",\"summary\":[");
    if (responses_event_begin(w, STR("response.output_item.added"))) {
        put_item(w, o, kept(o, 0));
        jout_lit(w->env.out, "]}");
        responses_event_end(w);
    }
}

static void summary_begin(struct responses_writer *w, struct responses_out *o)
{
    o->in_part = true;
    o->part = 1;
    o->part_at = o->json.n;
    keep_lit(w, o, "{\"type\":\"summary_text\",\"text\":\"");
    o->text_at = o->json.n;
    if (responses_out_event(w, o, STR("response.reasoning_summary_part.added"))) {
        jout_lit(w->env.out, ",\"part\":{\"type\":\"summary_text\",\"text\":\"\"}");
        responses_event_end(w);
    }
}

static void summary_end(struct responses_writer *w, struct responses_out *o)
{
    o->in_part = false;
    if (responses_out_event(w, o, STR("response.reasoning_summary_text.done"))) {
        put_member(w, STR(",\"text\":\""), kept(o, o->text_at));
        responses_event_end(w);
    }
    keep_lit(w, o, "\"}");
    if (responses_out_event(w, o, STR("response.reasoning_summary_part.done"))) {
        jout_lit(w->env.out, ",\"part\":");
        jout_raw(w->env.out, kept(o, o->part_at));
        responses_event_end(w);
    }
}

static void reasoning_end(struct responses_writer *w, struct responses_out *o)
{
    if (o->in_part)
        summary_end(w, o);
    keep_lit(w, o, "]");
    if (o->sealed.n) {
        keep_lit(w, o, ",\"encrypted_content\":\"");
        keep_text(w, o, o->sealed);
        keep_lit(w, o, "\"");
    }
    keep_lit(w, o, "}");
    item_done(w, o);
}

/* --- calls --------------------------------------------------------------------------------------
 */

static const struct responses_space *space_of(const struct responses_writer *w, struct jstr name)
{
    const struct responses_space *s = w->spaces;

    while (s && !jstr_same(s->name, name))
        s = s->next;
    return s;
}

static void call_begin(struct responses_writer *w, const struct event *e)
{
    struct jstr name = neutral_original_name(w->env.request, e->name);
    const struct responses_space *space = space_of(w, name);
    struct responses_out *o = item_new(w, BLOCK_TOOL_CALL, e->is_custom ? STR("ctc_") : STR("fc_"));

    if (!o)
        return;
    o->block = e->block;
    o->is_custom = e->is_custom;
    if (e->is_custom)
        keep_lit(w, o, "\",\"type\":\"custom_tool_call\",\"call_id\":\"");
    else
        keep_lit(w, o, "\",\"type\":\"function_call\",\"call_id\":\"");
    keep_text(w, o, e->id);
    if (space) {
        keep_lit(w, o, "\",\"namespace\":\"");
        keep(w, o, (struct str){name.p, space->n});
        name = (struct jstr){name.p + space->n + 2, name.n - space->n - 2};
    }
    o->name = own(w, name);
    keep_lit(w, o, "\",\"name\":\"");
    keep_text(w, o, name);
    if (e->is_custom)
        keep_lit(w, o, "\",\"input\":\"");
    else
        keep_lit(w, o, "\",\"arguments\":\"");
    o->text_at = o->json.n;
    if (responses_event_begin(w, STR("response.output_item.added"))) {
        put_item(w, o, kept(o, 0));
        jout_lit(w->env.out, "\",\"status\":\"in_progress\"}");
        responses_event_end(w);
    }
}

static void call_delta(struct responses_writer *w, struct responses_out *o, struct str text)
{
    if (!text.n || !event_of(w, o,
                             o->is_custom ? STR("response.custom_tool_call_input.delta")
                                          : STR("response.function_call_arguments.delta")))
        return;
    put_member(w, STR(",\"delta\":\""), text);
    responses_event_end(w);
}

static void call_end(struct responses_writer *w, struct responses_out *o)
{
    struct str text = kept(o, o->text_at);

    if (!text.n && !o->is_custom) { /* F.6 */
        keep_lit(w, o, "{}");
        text = kept(o, o->text_at);
        call_delta(w, o, text);
    }
    if (event_of(w, o,
                 o->is_custom ? STR("response.custom_tool_call_input.done")
                              : STR("response.function_call_arguments.done"))) {
        put_member(w, o->is_custom ? STR(",\"input\":\"") : STR(",\"arguments\":\""), text);
        if (!o->is_custom)
            put_member(w, STR(",\"name\":\""), (struct str){o->name.p, o->name.n});
        responses_event_end(w);
    }
    keep_lit(w, o, "\",\"status\":\"completed\"}");
    item_done(w, o);
}

/* --- what the events say ------------------------------------------------------------------------
 */

static bool is_text(const struct event *e)
{
    return e->block_kind == BLOCK_TEXT || e->block_kind == BLOCK_REFUSAL;
}

void responses_item_block(struct responses_writer *w, const struct event *e)
{
    if (is_text(e)) {
        part_end(w);
        w->pending.block = e->block;
        w->pending.kind = e->block_kind;
        w->pending.is_set = true;
    } else if (e->block_kind == BLOCK_REASONING) {
        message_end(w, STR("completed"));
        reasoning_begin(w, e);
    } else if (e->block_kind == BLOCK_TOOL_CALL) {
        message_end(w, STR("completed"));
        call_begin(w, e);
    }
}

static void text_delta(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o = responses_out_part(w, e->block);
    struct str text = {e->text.p, e->text.n};

    if (!o)
        return;
    keep(w, o, text);
    if (!responses_out_event(w, o,
                             o->part_kind == BLOCK_REFUSAL ? STR("response.refusal.delta")
                                                           : STR("response.output_text.delta")))
        return;
    put_member(w, STR(",\"delta\":\""), text);
    if (o->part_kind != BLOCK_REFUSAL)
        jout_lit(w->env.out, ",\"logprobs\":[]");
    responses_event_end(w);
}

void responses_item_delta(struct responses_writer *w, const struct event *e)
{
    struct str text = {e->text.p, e->text.n};
    struct responses_out *o;

    if (!text.n)
        return;
    if (is_text(e)) {
        text_delta(w, e);
        return;
    }
    o = item_of(w, e->block);
    if (!o)
        return;
    if (o->kind == BLOCK_REASONING && !o->in_part)
        summary_begin(w, o);
    keep(w, o, text);
    if (o->kind == BLOCK_REASONING) {
        if (responses_out_event(w, o, STR("response.reasoning_summary_text.delta"))) {
            put_member(w, STR(",\"delta\":\""), text);
            responses_event_end(w);
        }
    } else {
        call_delta(w, o, text);
    }
}

void responses_item_signature(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o = item_of(w, e->block);

    if (!o || o->kind != BLOCK_REASONING)
        return;
    o->sealed = e->origin == API_RESPONSES ? own(w, e->signature)
                                           : reasoning_seal(w->env.arena, (enum api)e->origin,
                                                            e->id, e->signature, e->is_redacted);
}

void responses_item_block_end(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o;

    if (is_text(e)) {
        if (w->pending.is_set ? w->pending.block == e->block
                              : w->message && w->message->block == e->block)
            part_end(w);
        return;
    }
    o = item_of(w, e->block);
    if (!o)
        return;
    if (o->kind == BLOCK_REASONING)
        reasoning_end(w, o);
    else
        call_end(w, o);
}

/* An item that came from an upstream of this API passes as it is. */
void responses_item_opaque(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o;

    if (e->origin != API_RESPONSES)
        return;
    message_end(w, STR("completed"));
    o = item_new(w, BLOCK_OPAQUE, STR("item_"));
    if (!o)
        return;
    o->block = UINT32_MAX;
    o->json.n = 0;
    struct jout json = jout_init(w->pool, &o->json);
    jout_raw(&json, e->raw);
    if (responses_event_begin(w, STR("response.output_item.added"))) {
        put_item(w, o, kept(o, 0));
        responses_event_end(w);
    }
    item_done(w, o);
}

void responses_items_end(struct responses_writer *w, struct str status)
{
    for (struct responses_out *o = w->first; o; o = w->first) {
        while (o && o->is_done)
            o = o->next;
        if (!o)
            return;
        if (o == w->message)
            message_end(w, status);
        else if (o->kind == BLOCK_REASONING)
            reasoning_end(w, o);
        else
            call_end(w, o);
    }
}

void responses_items_free(struct responses_writer *w)
{
    for (struct responses_out *o = w->first; o; o = o->next)
        buf_free(w->pool, &o->json);
    w->first = w->last = w->message = NULL;
}
