/*
 * Replies of an Anthropic upstream into events (wire-formats.md B.7 to B.11, E.1.5). A whole reply
 * is read as the stream it could have been.
 */

#include "dialect/anthropic_messages_priv.h"

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
    messages_emit(r, (struct event){.kind = EVENT_START, .id = id});
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
        messages_emit(r, (struct event){.kind = EVENT_USAGE, .usage = &u, .service_tier = r->tier});
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

/* What `v`, which has stop_reason, says of the end. */
static struct event finish_of(const struct messages_reader *r, const struct json_tape *t,
                              const struct json_val *v)
{
    struct event e = {.kind = EVENT_FINISH};

    e.stop = (uint8_t)stop_of(r, json_text(t, JSON_GET(t, v, "stop_reason")));
    e.stop_sequence = json_text(t, JSON_GET(t, v, "stop_sequence"));
    if (e.stop == STOP_REFUSAL)
        e.text = json_text(t, JSON_GET(t, JSON_GET(t, v, "stop_details"), "explanation"));
    return e;
}

static void finish(struct messages_reader *r, struct event e)
{
    if (r->finished)
        return;
    messages_end_open(r, true);
    messages_release_held(r);
    r->finished = r->env.scan->finished = true;
    messages_emit(r, e);
}

/* An end of which nobody said why. */
static void finish_unsaid(struct messages_reader *r)
{
    if (r->finished)
        return;
    finish(r, (struct event){.kind = EVENT_FINISH, .stop = r->called ? STOP_TOOL : STOP_END});
    usage_emit(r);
}

static void end(struct messages_reader *r)
{
    if (r->ended)
        return;
    r->ended = true;
    messages_emit(r, (struct event){.kind = EVENT_END});
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
    if (r->finished)
        return;
    start(r, JSTR_NONE);
    messages_open_begin(r, t, index_of(t, root), JSON_GET(t, root, "content_block"));
}

/* What a delta brings, and what begins where it comes without a beginning. */
static void on_block_delta(struct messages_reader *r, const struct json_tape *t,
                           const struct json_val *root)
{
    const struct json_val *delta = JSON_GET(t, root, "delta"), *v;
    uint64_t index = index_of(t, root);
    struct messages_open *p = messages_open_find(r, index);

    if ((v = JSON_GET(t, delta, "text"))) {
        if (!p && !r->finished) {
            start(r, JSTR_NONE);
            messages_end_open(r, false);
            messages_open_text_block(r, t, index, NULL);
            p = messages_open_find(r, index);
        }
        if (p && (p->part == PART_TEXT || p->part == PART_HELD))
            messages_open_text(r, p, json_text(t, v));
    } else if (!p) {
        return;
    } else if ((v = JSON_GET(t, delta, "partial_json"))) {
        if (p->part >= PART_CALL)
            messages_open_text(r, p, json_text(t, v));
    } else if ((v = JSON_GET(t, delta, "thinking"))) {
        if (p->part == PART_REASONING)
            messages_open_text(r, p, json_text(t, v));
    } else if ((v = JSON_GET(t, delta, "signature"))) {
        if (p->part == PART_REASONING)
            messages_open_signature(r, p, json_text(t, v), false);
    } else if ((v = JSON_GET(t, delta, "citation"))) {
        messages_open_citation(r, p, json_raw(t, v));
    }
}

static void on_block_stop(struct messages_reader *r, const struct json_tape *t,
                          const struct json_val *root)
{
    struct messages_open *p = messages_open_find(r, index_of(t, root));

    if (p)
        messages_open_end(r, p);
}

/* Counters are totals of the whole message: the last ones hold (B.9). */
static void on_message_delta(struct messages_reader *r, const struct json_tape *t,
                             const struct json_val *root)
{
    const struct json_val *delta = JSON_GET(t, root, "delta");

    start(r, JSTR_NONE);
    usage_read(r, t, JSON_GET(t, root, "usage"));
    if (json_has_type(JSON_GET(t, delta, "stop_reason"), JSON_STRING))
        finish(r, finish_of(r, t, delta));
    if (r->finished)
        usage_emit(r);
}

static void on_message_stop(struct messages_reader *r, const struct json_tape *t,
                            const struct json_val *root)
{
    (void)t, (void)root;
    start(r, JSTR_NONE);
    finish_unsaid(r);
    end(r);
}

static void on_ping(struct messages_reader *r, const struct json_tape *t,
                    const struct json_val *root)
{
    (void)t, (void)root;
    messages_emit(r, (struct event){.kind = EVENT_PING});
}

/* B.11, F.9 */
static void on_error(struct messages_reader *r, const struct json_tape *t,
                     const struct json_val *root)
{
    struct str raw = json_raw(t, root);
    struct error_facts facts = {.status = envelope_error_status(raw)};

    envelope_read(r->env.arena, &facts, raw, r->env.secret);
    r->failed = r->env.scan->failed = true;
    messages_emit(r, (struct event){.kind = EVENT_ERROR, .error = &facts});
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

static void content_read(struct messages_reader *r, const struct json_tape *t,
                         const struct json_val *content)
{
    uint64_t index = 0;
    struct messages_open *p;

    JSON_ELEMENTS(t, content, v)
    {
        messages_open_begin(r, t, index, v);
        if ((p = messages_open_find(r, index++)))
            messages_open_end(r, p);
    }
}

void messages_read_reply(void *reader, const struct json_tape *t)
{
    static const struct error_facts unknown = {
        .status = 502,
        .message = STR_INIT("The model service sent an answer that cannot be understood."),
    };
    struct messages_reader *r = reader;
    const struct json_val *root = json_root(t), *content = JSON_GET(t, root, "content");
    bool stopped = json_has_type(JSON_GET(t, root, "stop_reason"), JSON_STRING);

    if (json_is(t, JSON_GET(t, root, "type"), "error") || JSON_GET(t, root, "error")) {
        on_error(r, t, root);
        return;
    }
    if (!json_has_type(content, JSON_ARRAY)) { /* F.11 */
        r->failed = r->env.scan->failed = true;
        messages_emit(r, (struct event){.kind = EVENT_ERROR, .error = &unknown});
        return;
    }
    start(r, json_text(t, JSON_GET(t, root, "id")));
    usage_read(r, t, JSON_GET(t, root, "usage"));
    content_read(r, t, content);
    if (stopped) {
        finish(r, finish_of(r, t, root));
        usage_emit(r);
    }
    finish_unsaid(r);
    end(r);
}

/* --- life ------------------------------------------------------------------------------------
 */

void messages_reader_init(void *reader, const struct reader_env *env)
{
    struct messages_reader *r = reader;

    r->env = *env;
}

/* E.1.5: what was finished ends; "[DONE]" of the oldest API version is an end of its own. */
bool messages_reader_end(void *reader, bool done)
{
    struct messages_reader *r = reader;

    if (r->ended || r->failed)
        return true;
    if (!r->finished && !(done && r->started))
        return false;
    finish_unsaid(r);
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
    buf_free(r->env.pool, &r->unwrapped);
    buf_free(r->env.pool, &r->held);
}
