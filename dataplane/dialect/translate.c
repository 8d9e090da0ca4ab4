/* The way through: which dialect reads, which writes, and what memory each step may keep. */

#include "dialect/translate.h"

/* What reading a body may take: a block and its turn for the smallest message, many times over. */
enum { WRITE_FIRST = 4 * 1024 * 1024 }; /* of the upstream's body */
enum { REQUEST_ARENA_FLOOR = 256 * 1024, REQUEST_ARENA_PER_BYTE = 8 };

/* A row a dialect. */
static const struct dialect_ops *const dialects[API_COUNT] = {
    [API_CHAT] = &openai_chat,
    [API_COMPLETIONS] = &openai_completions,
    [API_MESSAGES] = &anthropic_messages,
    [API_RESPONSES] = &openai_responses,
    [API_COUNT_TOKENS] = &anthropic_count_tokens,
    [API_INPUT_TOKENS] = &openai_input_tokens,
};

const struct dialect_ops *dialect_of(enum api api)
{
    return dialects[api];
}

void translate_init(struct translate *t, enum api client, enum api upstream, struct bufpool *pool,
                    struct arena_pool *blocks, struct arena *arena)
{
    memset(t, 0, sizeof *t);
    t->client = dialect_of(client);
    t->upstream = dialect_of(upstream);
    t->arena = arena;
    t->request.from = client;
    t->fault.error = CLIENT_ERRORS;
    arena_init(&t->request_arena, blocks, 0);
    t->request.arena = &t->request_arena;
    json_tape_init(&t->tape, pool);
    t->out = jout_init(pool, NULL);
}

static void reply_end(struct translate *t)
{
    if (!t->replying)
        return;
    t->replying = false;
    t->upstream->reader_deinit(t->reader);
    t->client->writer_deinit(t->writer);
    buf_free(t->out.pool, &t->raw);
    sse_deinit(&t->sse);
}

void translate_deinit(struct translate *t)
{
    if (!t->client)
        return;
    reply_end(t);
    json_tape_deinit(&t->tape);
    buf_free(t->out.pool, &t->resolved);
    jout_deinit(&t->out);
    buf_free(t->out.pool, &t->mended);
    arena_reset(&t->request_arena);
}

/* The arena's failure is the reason nobody else gave. */
static bool request_ok(struct translate *t, bool ok)
{
    if (!arena_ok(&t->request_arena) || (!ok && t->fault.error == CLIENT_ERRORS)) {
        t->fault = (struct fault){.error = ERROR_OVERLOADED};
        return false;
    }
    return ok;
}

static bool tape_read(struct translate *t, struct str text, enum json_type type)
{
    enum json_tape_state s = json_tape_read(&t->tape, text.p, text.n);

    if (s == JSON_TAPE_DONE && json_root(&t->tape)->type == type)
        return true;
    t->fault.error = s == JSON_TAPE_DEEP     ? ERROR_DEEP_JSON
                     : s == JSON_TAPE_LIMIT  ? ERROR_TOO_MANY_FIELDS
                     : s == JSON_TAPE_BROKEN ? ERROR_BROKEN_TEXT
                                             : ERROR_BAD_JSON;
    return false;
}

/* Mends the lone surrogates of what was read, before anybody borrows from it (F.16). */
static bool mend(struct translate *t, struct str text)
{
    if (LIKELY(!t->tape.n_lone))
        return true;
    buf_free(t->out.pool, &t->mended);
    if (!buf_add(t->out.pool, &t->mended, text.p, text.n))
        return false;
    jstr_mend(t->mended.p + t->tape.lone_at, t->tape.lone_end - t->tape.lone_at);
    t->tape.text = t->mended.p;
    return true;
}

/* The body with the items it refers to in their places, where they are known. */
static bool references_read(struct translate *t, struct str *body)
{
    struct jout o = jout_init(t->out.pool, &t->resolved);

    if (!t->find_item || !responses_has_references(&t->tape))
        return true;
    responses_resolve(&o, &t->tape, t->find_item, t->find_ctx);
    if (o.failed)
        return request_ok(t, false);
    t->request_arena.ceiling += REQUEST_ARENA_PER_BYTE * t->resolved.n;
    *body = (struct str){t->resolved.p, t->resolved.n};
    return tape_read(t, *body, JSON_OBJECT);
}

bool translate_read(struct translate *t, struct str body)
{
    t->body_bytes = body.n;
    t->request_arena.ceiling =
        REQUEST_ARENA_FLOOR + REQUEST_ARENA_PER_BYTE * (body.n + t->history.n);
    if (t->history.n && (!tape_read(t, t->history, JSON_ARRAY) ||
                         !responses_history_read(&t->request, &t->tape, &t->fault)))
        return request_ok(t, false);
    if (!tape_read(t, body, JSON_OBJECT) || !references_read(t, &body))
        return false;
    bool ok = mend(t, body) && t->client->request_read(&t->request, &t->tape, &t->fault);
    ok = request_ok(t, ok);
    if (ok && t->keep)
        responses_keep_input(t->keep, t->history, &t->tape, t->keep_id);
    json_tape_deinit(&t->tape); /* a large one is not kept beside what is written from it */
    return ok;
}

/* Arguments that are an object in one API and text in the other are rewritten; so much of them is
 * beyond what any model reads. */
static bool arguments_fit(struct translate *t)
{
    bool as_object = t->upstream->api == API_MESSAGES || t->upstream->api == API_COUNT_TOKENS;
    size_t bytes = 0;

    for (const struct turn *u = t->request.first; u; u = u->next)
        for (const struct block *b = u->first; b; b = b->next)
            if (b->kind == BLOCK_TOOL_CALL)
                bytes += as_object ? b->arguments.n : b->input.n + (b->is_custom ? b->text.n : 0);
    if (bytes > TRANSLATE_ARGUMENTS_MAX)
        t->fault = (struct fault){.error = ERROR_LARGE_ARGUMENTS};
    return bytes <= TRANSLATE_ARGUMENTS_MAX;
}

bool translate_write(struct translate *t, struct jout *o, const struct upstream_model *m)
{
    /* room for all of it, unless it is large: growing step by step leaves as much behind, and what
     * is not written takes no memory */
    if (!arguments_fit(t) ||
        !request_ok(t, buf_reserve(o->pool, o->buf, MIN(2 * t->body_bytes, (size_t)WRITE_FIRST))))
        return false;
    bool ok = t->upstream->request_write(o, &t->request, m, &t->fault) && !o->failed;
    if (o->too_large && t->fault.error == CLIENT_ERRORS)
        t->fault.error = ERROR_LARGE_TRANSLATION;
    return request_ok(t, ok);
}

/* --- the reply ----------------------------------------------------------------------------------
 */

/* The texts of an error outlive the event they came with. */
static void keep_error(struct translate *t, const struct error_facts *f)
{
    t->error = *f;
    t->error.message = arena_str(t->arena, f->message);
    t->error.type = arena_str(t->arena, f->type);
    t->error.param = arena_str(t->arena, f->param);
    t->error.provider_type = arena_str(t->arena, f->provider_type);
    t->error.provider_code = arena_str(t->arena, f->provider_code);
}

/* JSON as the upstream laid it out, on one line. */
static struct str tidy_raw(struct translate *t, struct str raw)
{
    struct jout o = jout_init(t->out.pool, &t->raw);

    t->raw.n = 0;
    jout_line(&o, raw);
    t->out.failed |= o.failed;
    return (struct str){t->raw.p, t->raw.n};
}

/* Of a call that the upstream gave none. */
static struct jstr made_id(struct translate *t, uint32_t block)
{
    struct str id =
        arena_printf(t->arena, "call_%016llx%08x", (unsigned long long)t->seed, (unsigned)block);

    return (struct jstr){id.p, id.n};
}

/* What clients' parsers count on of JSON that passes as it is. */
static bool is_sound(const struct event *e)
{
    char first = e->raw.n ? e->raw.p[0] : 0;

    return (e->kind != EVENT_CITATION || first == '{') &&
           (e->kind != EVENT_LOGPROBS || (first == '[' && memchr(e->raw.p, '{', e->raw.n)));
}

static void on_event(void *ctx, const struct event *e)
{
    struct translate *t = ctx;
    size_t from = t->out.buf->n;
    struct event tidy = *e;

    if (t->done || t->failed || t->out.failed || !is_sound(e))
        return;
    if (t->folds && (t->folded += e->text.n + e->raw.n) > TRANSLATE_REPLY_MAX) {
        t->out.failed = true;
        return;
    }
    if (e->raw.n)
        tidy.raw = tidy_raw(t, e->raw);
    if (e->kind == EVENT_BLOCK && e->block_kind == BLOCK_TOOL_CALL && !e->id.n)
        tidy.id = made_id(t, e->block);
    e = &tidy;
    if (e->kind == EVENT_ERROR) {
        t->failed = true;
        t->first_failed = !t->written;
        keep_error(t, e->error);
        if (t->first_failed)
            return;
    }
    t->done = e->kind == EVENT_END;
    t->client->write(t->writer, e);
    t->written |= t->out.buf->n != from;
}

static bool reply_tape(struct translate *t, struct str text)
{
    enum json_tape_state s = json_tape_read(&t->tape, text.p, text.n);

    t->unreadable = s == JSON_TAPE_BAD || s == JSON_TAPE_DEEP;
    return s == JSON_TAPE_DONE;
}

static bool reply_ok(struct translate *t, bool ok)
{
    return ok && !t->out.failed && arena_ok(t->arena);
}

static bool on_sse(void *ctx, struct str name, struct str data)
{
    struct translate *t = ctx;

    t->events++;
    t->whole = t->out.buf->n;
    if (t->read_done || t->done || t->failed)
        return true;
    if (str_eq(data, STR("[DONE]"))) {
        t->read_done = true;
        (void)t->upstream->reader_end(t->reader, true); /* t->done says how it ended */
        return true;
    }
    if (!reply_tape(t, data))
        return false;
    t->upstream->read_event(t->reader, name, &t->tape);
    return reply_ok(t, true);
}

bool translate_reply_begin(struct translate *t, const struct translate_reply *r)
{
    struct reader_env re = {
        .emit = on_event,
        .ctx = t,
        .pool = t->out.pool,
        .arena = t->arena,
        .scan = r->scan,
        .request = &t->request,
        .secret = r->secret,
    };
    struct writer_env we = {
        .out = &t->out,
        .arena = t->arena,
        .request = &t->request,
        .model = r->model,
        .now_s = r->now_s,
        .seed = {r->seed[0], r->seed[1]},
        .response_id = r->response_id,
        .stream = r->stream,
    };

    reply_end(t);
    t->seed = r->seed[0] ^ r->seed[1];
    t->folds = !r->stream;
    t->folded = 0;
    t->reader = arena_zalloc(t->arena, t->upstream->reader_size);
    t->writer = arena_zalloc(t->arena, t->client->writer_size);
    if (!neutral_renamed_keep(&t->request, t->arena)) /* which replies ask for */
        return false;
    t->events = 0;
    t->done = t->failed = t->first_failed = t->unreadable = t->read_done = t->written = false;
    t->upstream->reader_init(t->reader, &re);
    t->client->writer_init(t->writer, &we);
    sse_init(&t->sse, t->out.pool, on_sse, t);
    t->replying = true;
    return arena_ok(t->arena);
}

void translate_forget(struct translate *t)
{
    buf_free(t->out.pool, &t->resolved);
    arena_reset(&t->request_arena);
    buf_free(t->out.pool, &t->mended);
    t->request = (struct neutral){
        .arena = &t->request_arena,
        .from = t->request.from,
        .stream = t->request.stream,
        .include_usage = t->request.include_usage,
        .functions = t->request.functions,
        .emulates_schema = t->request.emulates_schema,
        .renamed = t->request.renamed,
    };
}

/* Nothing is left of the event it failed at. */
static bool events_ok(struct translate *t, bool ok)
{
    if (reply_ok(t, ok))
        return true;
    t->out.buf->n = t->whole;
    return false;
}

bool translate_events(struct translate *t, const char *p, size_t n, struct buf *out)
{
    t->out.buf = out;
    t->whole = out->n;
    return events_ok(t, sse_feed(&t->sse, p, n));
}

bool translate_events_end(struct translate *t, struct buf *out)
{
    t->out.buf = out;
    t->whole = out->n;
    bool ok = sse_end(&t->sse);
    if (ok && !t->read_done) {
        t->read_done = true;
        t->whole = out->n;
        (void)t->upstream->reader_end(t->reader, false);
    }
    return events_ok(t, ok);
}

bool translate_whole(struct translate *t, struct str reply, struct buf *out)
{
    t->out.buf = out;
    if (reply.n > TRANSLATE_REPLY_MAX || !reply_tape(t, reply))
        return false;
    if (json_root(&t->tape)->type != JSON_OBJECT) {
        t->unreadable = true;
        return false;
    }
    bool ok = mend(t, reply);
    if (ok)
        t->upstream->read_reply(t->reader, &t->tape);
    json_tape_deinit(&t->tape);
    return reply_ok(t, ok);
}

void translate_keep(struct translate *t, struct jout *response)
{
    ASSERT(t->done && t->client->api == API_RESPONSES);
    responses_keep_output(t->writer, t->keep);
    responses_put(t->writer, response);
}

void translate_error(struct translate *t, const struct error_facts *f, struct buf *out)
{
    struct event e = {.kind = EVENT_ERROR, .error = f};

    t->out.buf = out;
    t->client->write(t->writer, &e);
}
