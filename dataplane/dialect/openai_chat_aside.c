/*
 * What chat has no words of its own for, or few (wire-formats.md A.11, E.1.3, E.2.5): reasoning,
 * citations, logprobs. It goes the way LiteLLM writes it.
 */

#include "dialect/openai_chat_writer.h"

/* Of a block in a stream, for the list at its end; what is longer is not in it. */
enum { REASONING_KEPT_MAX = 1024 * 1024 };

/* Where the next value of a list goes, behind the others. */
static struct jout *item_begin(struct chat_writer *w, struct said *c, enum fold f)
{
    struct jout *o = chat_grow(w, &c->fold[f]);

    if (o->buf->n)
        jout_lit(o, ",");
    return o;
}

/* --- reasoning -----------------------------------------------------------------------------------
 */

static struct jstr reasoning_text(const struct said *c)
{
    const struct buf *b = &c->fold[FOLD_REASONING];

    if (b->n == c->reasoning_from)
        return JSTR_NONE;
    return (struct jstr){b->p + c->reasoning_from, b->n - c->reasoning_from};
}

void chat_reasoning_begin(struct chat_writer *w, struct said *c, const struct event *e)
{
    if (w->env.stream)
        c->fold[FOLD_REASONING].n = 0;
    c->reasoning_from = c->fold[FOLD_REASONING].n;
    c->origin = e->origin;
    c->is_redacted = e->is_redacted;
    c->is_too_long = false;
    c->id = c->signature = JSTR_NONE;
}

void chat_reasoning_delta(struct chat_writer *w, struct said *c, struct jstr text)
{
    c->is_too_long |= w->env.stream && reasoning_text(c).n + text.n > REASONING_KEPT_MAX;
    if (!c->is_too_long)
        jout_text(chat_grow(w, &c->fold[FOLD_REASONING]), text);
    if (w->env.stream)
        chat_put_delta(w, c, FOLD_REASONING, STR("\"reasoning_content\":\""), text);
}

static void put_details(struct chat_writer *w, struct said *c, struct jstr list)
{
    if (w->env.stream) {
        struct jout *o = chat_chunk_begin(w, c, false);
        jout_lit(o, "\"reasoning_details\":");
        jout_unescaped(o, list);
        chat_chunk_end(w, CHAT_DELTA_END);
    } else {
        c->fold[FOLD_DETAILS].n = 0;
        jout_unescaped(chat_grow(w, &c->fold[FOLD_DETAILS]), list);
    }
}

void chat_reasoning_signature(struct chat_writer *w, struct said *c, const struct event *e)
{
    c->is_redacted |= e->is_redacted;
    c->origin = e->origin;
    if (e->origin == API_CHAT) {
        put_details(w, c, e->signature);
        return;
    }
    c->id = jstr_copy(e->id, w->env.arena);
    c->signature = jstr_copy(e->signature, w->env.arena);
}

static void put_reasoning_item(struct chat_writer *w, struct said *c)
{
    struct jout *o = item_begin(w, c, FOLD_ITEMS);
    struct jstr text = reasoning_text(c);

    jout_lit(o, "{\"type\":\"reasoning\",\"id\":");
    jout_string(o, c->id);
    if (c->signature.n) {
        jout_lit(o, ",\"encrypted_content\":");
        jout_string(o, c->signature);
    }
    jout_lit(o, ",\"summary\":[");
    if (text.n) {
        jout_lit(o, "{\"type\":\"summary_text\",\"text\":");
        jout_string(o, text);
        jout_lit(o, "}");
    }
    jout_lit(o, "]}");
}

static void put_thinking(struct chat_writer *w, struct said *c)
{
    struct jout *o = item_begin(w, c, FOLD_THINKING);

    if (c->is_redacted) {
        jout_lit(o, "{\"type\":\"redacted_thinking\",\"data\":");
    } else {
        jout_lit(o, "{\"type\":\"thinking\",\"thinking\":");
        jout_string(o, reasoning_text(c));
        jout_lit(o, ",\"signature\":");
    }
    jout_string(o, c->signature);
    jout_lit(o, "}");
}

void chat_reasoning_end(struct chat_writer *w, struct said *c)
{
    if (c->is_too_long)
        return;
    if (c->origin == API_RESPONSES && (c->id.n || c->signature.n))
        put_reasoning_item(w, c);
    else if (c->origin == API_MESSAGES)
        put_thinking(w, c);
}

/* --- citations, logprobs -------------------------------------------------------------------------
 */

/* A page found by search, whatever API said so, as chat has it. */
static void put_url_citation(struct jout *o, const struct said *c, struct json_tape *t)
{
    MEMBERS(t, json_root(t), m, NAME("url"), NAME("title"), NAME("start_index"), NAME("end_index"));

    jout_lit(o, "{\"type\":\"url_citation\",\"url_citation\":{\"url\":");
    jout_line(o, json_raw(t, m[0]));
    jout_lit(o, ",\"title\":");
    jout_raw(o, m[1] ? json_raw(t, m[1]) : STR("\"\""));
    jout_lit(o, ",\"start_index\":");
    if (m[2])
        jout_line(o, json_raw(t, m[2]));
    else
        jout_u64(o, c->chars_from);
    jout_lit(o, ",\"end_index\":");
    if (m[3])
        jout_line(o, json_raw(t, m[3]));
    else
        jout_u64(o, c->chars);
    jout_lit(o, "}}");
}

/* Anthropic's own words, gathered by block as LiteLLM does. */
static void put_foreign_citation(struct chat_writer *w, struct said *c, const struct event *e)
{
    if (w->env.stream) {
        struct jout *o = chat_chunk_begin(w, c, false);
        jout_lit(o, "\"provider_specific_fields\":{\"citation\":");
        jout_line(o, e->raw);
        jout_lit(o, "}");
        chat_chunk_end(w, CHAT_DELTA_END);
        return;
    }
    struct jout *o = chat_grow(w, &c->fold[FOLD_CITATIONS]);
    jout_raw(o, c->cited_block == e->block + 1 ? STR(",") : c->cited_block ? STR("],[") : STR("["));
    c->cited_block = e->block + 1;
    jout_line(o, e->raw);
}

void chat_put_citation(struct chat_writer *w, struct said *c, const struct event *e)
{
    struct json_tape t;

    if (e->origin == API_CHAT) {
        jout_line(item_begin(w, c, FOLD_ANNOTATIONS), e->raw);
        return;
    }
    if (e->origin == API_MESSAGES)
        put_foreign_citation(w, c, e);
    json_tape_init(&t, w->env.out->pool);
    if (json_tape_read(&t, e->raw.p, e->raw.n) == JSON_TAPE_DONE &&
        json_has_type(JSON_GET(&t, json_root(&t), "url"), JSON_STRING))
        put_url_citation(item_begin(w, c, FOLD_ANNOTATIONS), c, &t);
    json_tape_deinit(&t);
}

static struct str list_inside(struct str list)
{
    return list.n > 2 ? (struct str){list.p + 1, list.n - 2} : (struct str){0};
}

void chat_put_logprobs(struct chat_writer *w, struct said *c, const struct event *e)
{
    bool refusal = e->block_kind == BLOCK_REFUSAL;
    enum fold f = refusal ? FOLD_REFUSAL_LOGPROBS : FOLD_LOGPROBS;

    if (!w->env.stream) {
        struct jout *fold = chat_grow(w, &c->fold[f]);
        if (c->fold[f].n && list_inside(e->raw).n)
            jout_lit(fold, ",");
        jout_line(fold, list_inside(e->raw));
        return;
    }
    struct jout *o = chat_chunk_begin(w, c, true);
    jout_raw(o, refusal ? STR("\"content\":\"\"},\"logprobs\":{\"content\":null,\"refusal\":")
                        : STR("\"content\":\"\"},\"logprobs\":{\"content\":"));
    jout_line(o, e->raw);
    chat_chunk_end(w, refusal ? STR("},\"finish_reason\":null")
                              : STR(",\"refusal\":null},\"finish_reason\":null"));
}

/* A member of the message in chat's own words: audio, images. */
void chat_put_opaque(struct chat_writer *w, struct said *c, const struct event *e)
{
    struct jout *o =
        w->env.stream ? chat_chunk_begin(w, c, false) : chat_grow(w, &c->fold[FOLD_MEMBERS]);

    if (!w->env.stream)
        jout_lit(o, ",");
    jout_string(o, e->name);
    jout_lit(o, ":");
    jout_line(o, e->raw);
    if (w->env.stream)
        chat_chunk_end(w, CHAT_DELTA_END);
}
