/*
 * Events as a reply of the Messages API (wire-formats.md B.7 to B.10, E.1.3, E.1.6): a stream of
 * named events, or one message.
 */

#include "dialect/anthropic_messages_priv.h"

enum { EXPLANATION_MAX = 64 * 1024 };

struct messages_writer {
    struct writer_env env;
    struct jout whole; /* content of a whole reply, until its end */
    struct buf content;
    struct messages_blocks blocks;
    struct str id;
    uint8_t stop; /* enum stop */
    bool started, ended, refused;
    struct buf explanation; /* why it refused */
    struct jstr stop_sequence, tier;
    struct usage usage;
};

static struct jstr text_copy(struct messages_writer *w, struct jstr j)
{
    struct str copy = arena_str(w->env.arena, (struct str){j.p, j.n});

    return (struct jstr){copy.p, copy.n};
}

/* --- parts of a message ----------------------------------------------------------------------
 */

static void put_member(struct jout *o, struct str name, uint64_t value)
{
    jout_raw(o, name);
    jout_u64(o, value);
}

/* Tiers in the words of this API (E.1.3). */
static struct str tier_of(struct jstr tier)
{
    return jstr_is(tier, STR("priority")) ? STR("priority")
           : jstr_is(tier, STR("batch"))  ? STR("batch")
                                          : STR("standard");
}

/* B.8: what was read from and written to the cache is not part of input_tokens. */
static void put_usage(struct messages_writer *w, struct jout *o)
{
    const struct usage *u = &w->usage;

    put_member(o, STR("{\"input_tokens\":"), u->input + u->audio_in + u->image_in);
    put_member(o, STR(",\"cache_creation_input_tokens\":"), u->cache_write + u->cache_write_1h);
    put_member(o, STR(",\"cache_read_input_tokens\":"), u->cache_read);
    if (u->cache_write_1h) {
        put_member(o, STR(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":"), u->cache_write);
        put_member(o, STR(",\"ephemeral_1h_input_tokens\":"), u->cache_write_1h);
        jout_lit(o, "}");
    }
    put_member(o, STR(",\"output_tokens\":"), usage_completion(u));
    if (u->reasoning) {
        put_member(o, STR(",\"output_tokens_details\":{\"thinking_tokens\":"), u->reasoning);
        jout_lit(o, "}");
    }
    if (u->web_searches) {
        put_member(o, STR(",\"server_tool_use\":{\"web_search_requests\":"), u->web_searches);
        jout_lit(o, "}");
    }
    if (w->tier.n) {
        jout_lit(o, ",\"service_tier\":\"");
        jout_raw(o, tier_of(w->tier));
        jout_lit(o, "\"");
    }
    jout_lit(o, "}");
}

/* E.1.4: what was done counts where it says more than what was said. */
static enum stop stop_of(const struct messages_writer *w)
{
    enum stop stop = w->stop;

    if (w->refused && stop != STOP_LENGTH)
        return STOP_REFUSAL;
    if (stop == STOP_END && w->blocks.called)
        return STOP_TOOL;
    return stop == STOP_TOOL && !w->blocks.called ? STOP_END : stop;
}

/* "stop_reason" and what goes with it, without braces. */
static void put_stop(struct messages_writer *w, struct jout *o)
{
    static const struct str reasons[] = {
        [STOP_END] = STR_INIT("end_turn"),
        [STOP_SEQUENCE] = STR_INIT("stop_sequence"),
        [STOP_LENGTH] = STR_INIT("max_tokens"),
        [STOP_CONTEXT] = STR_INIT("model_context_window_exceeded"),
        [STOP_TOOL] = STR_INIT("tool_use"),
        [STOP_REFUSAL] = STR_INIT("refusal"),
        [STOP_PAUSE] = STR_INIT("pause_turn"),
    };
    enum stop stop = stop_of(w);

    jout_lit(o, "\"stop_reason\":\"");
    jout_raw(o, reasons[stop]);
    jout_lit(o, "\",\"stop_sequence\":");
    if (stop == STOP_SEQUENCE && w->stop_sequence.p)
        jout_string(o, w->stop_sequence);
    else
        jout_lit(o, "null");
    if (stop != STOP_REFUSAL) {
        jout_lit(o, ",\"stop_details\":null");
        return;
    }
    jout_lit(o, ",\"stop_details\":{\"type\":\"refusal\",\"category\":null,\"explanation\":");
    if (w->explanation.n)
        jout_string(o, (struct jstr){w->explanation.p, w->explanation.n});
    else
        jout_lit(o, "null");
    jout_lit(o, "}");
}

static void put_head(struct messages_writer *w, struct jout *o)
{
    jout_lit(o, "{\"id\":\"");
    jout_raw(o, w->id);
    jout_lit(o, "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    jout_raw(o, w->env.model);
}

/* --- the reply -------------------------------------------------------------------------------
 */

static void start(struct messages_writer *w)
{
    struct jout *o = w->env.out;

    if (w->started)
        return;
    w->started = true;
    if (!w->env.stream)
        return;
    jout_lit(o, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
    put_head(w, o);
    jout_lit(o, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":");
    put_usage(w, o);
    jout_lit(o, "}}\n\n");
}

static void fail(struct messages_writer *w, const struct error_facts *f)
{
    struct str text = w->env.stream ? envelope_event(w->env.arena, API_MESSAGES, f)
                                    : envelope_body(w->env.arena, API_MESSAGES, f);

    w->ended = true;
    jout_raw(w->env.out, text);
}

static void end(struct messages_writer *w)
{
    struct jout *o = w->env.out;

    start(w);
    w->ended = true;
    messages_blocks_end(&w->blocks);
    if (w->env.stream) {
        jout_lit(o, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
        put_stop(w, o);
        jout_lit(o, "},\"usage\":");
        put_usage(w, o);
        jout_lit(o, "}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
        return;
    }
    put_head(w, o);
    jout_lit(o, ",\"content\":[");
    jout_raw(o, (struct str){w->content.p, w->content.n});
    jout_lit(o, "],");
    put_stop(w, o);
    jout_lit(o, ",\"usage\":");
    put_usage(w, o);
    jout_lit(o, "}");
    o->failed |= w->whole.failed;
}

/* As much of the reasons as is reasonable, whole pieces only. */
static void explain(struct messages_writer *w, struct jstr why)
{
    if (w->explanation.n + why.n <= EXPLANATION_MAX &&
        !buf_add(w->env.out->pool, &w->explanation, why.p, why.n))
        w->env.out->failed = true;
}

static void on_finish(struct messages_writer *w, const struct event *e)
{
    w->stop = e->stop;
    w->stop_sequence = text_copy(w, e->stop_sequence);
    if (e->stop == STOP_REFUSAL && !w->explanation.n)
        explain(w, e->text);
}

/* A refusal is text like any other, and the reason why it stops (E.1.3, F.33). */
static void on_refusal(struct messages_writer *w, const struct event *e)
{
    w->refused = true;
    if (e->kind == EVENT_DELTA)
        explain(w, e->text);
}

static void messages_write(void *writer, const struct event *e)
{
    struct messages_writer *w = writer;

    if (w->ended || e->choice || e->block_kind > BLOCK_TOOL_CALL)
        return; /* a message has one choice, and no sounds */
    if (w->blocks.failed && e->kind != EVENT_ERROR)
        return;
    switch ((enum event_kind)e->kind) {
    case EVENT_START:
        start(w);
        break;
    case EVENT_BLOCK:
    case EVENT_DELTA:
    case EVENT_SIGNATURE:
    case EVENT_CITATION:
    case EVENT_BLOCK_END:
    case EVENT_OPAQUE:
        start(w);
        if (e->kind != EVENT_OPAQUE && e->block_kind == BLOCK_REFUSAL)
            on_refusal(w, e);
        messages_blocks_event(&w->blocks, e);
        w->env.out->failed |= w->blocks.failed; /* mixed in a way that cannot be passed on */
        break;
    case EVENT_FINISH:
        on_finish(w, e);
        messages_blocks_end(&w->blocks);
        break;
    case EVENT_USAGE:
        w->usage = *e->usage;
        if (e->service_tier.n && !jstr_same(e->service_tier, w->tier))
            w->tier = text_copy(w, e->service_tier);
        break;
    case EVENT_ERROR:
        fail(w, e->error);
        break;
    case EVENT_PING:
        if (w->env.stream && w->started)
            jout_lit(w->env.out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
        break;
    case EVENT_END:
        end(w);
        break;
    case EVENT_LOGPROBS:
        break;
    }
}

static void messages_writer_init(void *writer, const struct writer_env *env)
{
    struct messages_writer *w = writer;

    w->env = *env;
    w->whole = jout_init(env->out->pool, &w->content);
    w->id = arena_printf(env->arena, "msg_%016llx%016llx", (unsigned long long)env->seed[0],
                         (unsigned long long)env->seed[1]);
    messages_blocks_init(&w->blocks, env, env->stream ? env->out : &w->whole);
}

static void messages_writer_deinit(void *writer)
{
    struct messages_writer *w = writer;

    messages_blocks_deinit(&w->blocks);
    buf_free(w->env.out->pool, &w->content);
    buf_free(w->env.out->pool, &w->explanation);
}

const struct dialect_ops anthropic_messages = {
    .api = API_MESSAGES,
    .request_read = messages_request_read,
    .request_write = messages_request_write,
    .reader_size = sizeof(struct messages_reader),
    .reader_init = messages_reader_init,
    .read_event = messages_read_event,
    .read_reply = messages_read_reply,
    .reader_end = messages_reader_end,
    .reader_deinit = messages_reader_deinit,
    .writer_size = sizeof(struct messages_writer),
    .writer_init = messages_writer_init,
    .write = messages_write,
    .writer_deinit = messages_writer_deinit,
};
