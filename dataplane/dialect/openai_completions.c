/*
 * Completions for clients of models that chat (litellm-dataplane.md; wire-formats.md A.1): each
 * prompt a turn of the user, the text of each choice as it comes. Towards upstreams nothing is
 * translated into completions; their replies are read as chat's, whose choices have a text besides.
 */

#include "dialect/openai_chat_priv.h"
#include "dialect/openai_chat_reply.h"

/* --- the request ---------------------------------------------------------------------------------
 */

static void add_prompt(struct reading *r, const struct json_val *v)
{
    r->turn = neutral_turn(r->n, ROLE_USER);
    chat_add_text(r, BLOCK_TEXT, text_of(r, v));
}

static bool read_prompt(struct reading *r, const struct json_val *v)
{
    if (v->type == JSON_STRING)
        add_prompt(r, v);
    else if (v->type != JSON_ARRAY)
        return BAD(r, "prompt");
    else {
        JSON_ELEMENTS(r->t, v, prompt)
        {
            if (prompt->type != JSON_STRING)
                return BAD(r, "prompt: token ids cannot be sent to this model");
            add_prompt(r, prompt);
        }
    }
    return true;
}

/* A number of alternatives, where chat has a switch and a number. */
static bool read_logprobs(struct reading *r, const struct json_val *v)
{
    r->n->param[PARAM_LOGPROBS] = STR("true");
    r->n->param[PARAM_TOP_LOGPROBS] = json_raw(r->t, v);
    return true;
}

/* What a chat cannot do is told to the upstream when it is asked for, as LiteLLM does. */
static bool read_echo(struct reading *r, const struct json_val *v)
{
    if (v->type != JSON_FALSE)
        neutral_extra(r->n, JSTR("echo"), json_raw(r->t, v));
    return true;
}

static bool read_suffix(struct reading *r, const struct json_val *v)
{
    if (v->type != JSON_STRING || v->n)
        neutral_extra(r->n, JSTR("suffix"), json_raw(r->t, v));
    return true;
}

static bool read_best_of(struct reading *r, const struct json_val *v)
{
    if (!str_eq(json_raw(r->t, v), STR("1")))
        neutral_extra(r->n, JSTR("best_of"), json_raw(r->t, v));
    return true;
}

static const struct chat_row rows[] = {
    CHAT_COMMON_ROWS,
    {STR_INIT("prompt"), read_prompt},
    {STR_INIT("logprobs"), read_logprobs},
    {STR_INIT("echo"), read_echo},
    {STR_INIT("suffix"), read_suffix},
    {STR_INIT("best_of"), read_best_of},
};

static bool request_read(struct neutral *n, const struct json_tape *t, struct fault *f)
{
    struct reading r = {.n = n, .t = t, .f = f};

    return chat_read_body(&r, rows, ARRAY_LEN(rows)) &&
           (JSON_GET(t, json_root(t), "prompt") || chat_missing(&r, "prompt"));
}

/* --- the reply -----------------------------------------------------------------------------------
 */

struct completion { /* one choice */
    struct completion *next;
    uint32_t index;
    uint8_t stop;
    struct buf text;
};

struct writer {
    struct writer_env env;
    bool include_usage;
    struct str head;
    struct completion *choices;
    struct chat_tail tail;
};

static struct completion *choice_by(struct writer *w, uint32_t index)
{
    struct completion **at = &w->choices;

    while (*at && (*at)->index != index)
        at = &(*at)->next;
    if (!*at && (*at = arena_zalloc(w->env.arena, sizeof **at)))
        (*at)->index = index;
    return *at;
}

static void put_choice(struct jout *o, uint32_t index, struct jstr text, struct str finish)
{
    jout_lit(o, "{\"text\":");
    jout_string(o, text);
    jout_lit(o, ",\"index\":");
    jout_u64(o, index);
    jout_lit(o, ",\"logprobs\":null,\"finish_reason\":");
    if (finish.n)
        jout_string(o, (struct jstr){finish.p, finish.n});
    else
        jout_lit(o, "null");
    jout_lit(o, "}");
}

static void put_chunk(struct writer *w, uint32_t index, struct jstr text, struct str finish)
{
    struct jout *o = w->env.out;

    jout_lit(o, "data: ");
    jout_raw(o, w->head);
    put_choice(o, index, text, finish);
    jout_raw(o, w->include_usage ? STR("],\"usage\":null}\n\n") : STR("]}\n\n"));
}

static void add_text(struct writer *w, const struct event *e)
{
    struct completion *c;

    if (!e->text.n)
        return;
    if (w->env.stream) {
        put_chunk(w, e->choice, e->text, (struct str){0});
        return;
    }
    if ((c = choice_by(w, e->choice)) && !buf_add(w->env.out->pool, &c->text, e->text.p, e->text.n))
        w->env.out->failed = true;
}

static void finish(struct writer *w, const struct event *e)
{
    struct completion *c;

    if (w->env.stream)
        put_chunk(w, e->choice, JSTR(""), chat_finish_reason((enum stop)e->stop));
    else if ((c = choice_by(w, e->choice)))
        c->stop = e->stop;
}

static void put_reply(struct writer *w)
{
    struct jout *o = w->env.out;

    jout_raw(o, w->head);
    for (const struct completion *c = w->choices; c; c = c->next) {
        put_choice(o, c->index, (struct jstr){c->text.p, c->text.n},
                   chat_finish_reason((enum stop)c->stop));
        if (c->next)
            jout_lit(o, ",");
    }
    jout_lit(o, "]");
    chat_tail_put(o, &w->tail);
    jout_lit(o, "}");
}

static void writer_init(void *writer, const struct writer_env *env)
{
    struct writer *w = writer;

    w->env = *env;
    w->include_usage = env->request->include_usage;
}

static void write_event(void *writer, const struct event *e)
{
    struct writer *w = writer;
    struct jout *o = w->env.out;
    bool is_text = e->block_kind == BLOCK_TEXT || e->block_kind == BLOCK_REFUSAL;

    if (!w->head.n)
        w->head = chat_head(&w->env, e->kind == EVENT_START ? e : &(struct event){0}, STR("cmpl-"),
                            STR("text_completion"));
    if (e->kind == EVENT_DELTA && is_text)
        add_text(w, e);
    else if (e->kind == EVENT_FINISH)
        finish(w, e);
    else if (e->kind == EVENT_USAGE)
        chat_tail_read(&w->tail, e);
    else if (e->kind == EVENT_ERROR)
        chat_put_error(o, w->env.arena, API_COMPLETIONS, e->error);
    else if (e->kind == EVENT_END && w->env.stream)
        chat_put_end(o, w->head, &w->tail, w->include_usage);
    else if (e->kind == EVENT_END)
        put_reply(w);
}

static void writer_deinit(void *writer)
{
    struct writer *w = writer;

    for (struct completion *c = w->choices; c; c = c->next)
        buf_free(w->env.out->pool, &c->text);
}

const struct dialect_ops openai_completions = {
    .api = API_COMPLETIONS,
    .request_read = request_read,
    .reader_size = sizeof(struct chat_reader),
    .reader_init = chat_reader_init,
    .read_event = chat_read_event,
    .read_reply = chat_read_reply,
    .reader_end = chat_reader_end,
    .reader_deinit = chat_reader_deinit,
    .writer_size = sizeof(struct writer),
    .writer_init = writer_init,
    .write = write_event,
    .writer_deinit = writer_deinit,
};
