/*
 * Token counts asked of a provider that counts what another API would be given: Messages'
 * count_tokens through POST /responses/input_tokens of OpenAI (wire-formats.md B.12, C.1).
 */

#include "common/json_tape.h"

#include "dialect/event.h"

struct counted {
    struct reader_env env;
};

struct answer {
    struct writer_env env;
    uint64_t tokens;
};

/* --- the client: Messages' count_tokens --------------------------------------------------------
 */

static bool count_request_read(struct neutral *n, const struct json_tape *t, struct fault *f)
{
    bool ok = anthropic_messages.request_read(n, t, f);

    n->from = API_MESSAGES; /* what it says is the same; only max_tokens need not be there */
    return ok;
}

static void answer_init(void *writer, const struct writer_env *env)
{
    struct answer *w = writer;

    w->env = *env;
}

static void answer_write(void *writer, const struct event *e)
{
    struct answer *w = writer;
    struct jout *o = w->env.out;

    if (e->kind == EVENT_USAGE)
        w->tokens = usage_prompt(e->usage);
    if (e->kind != EVENT_END)
        return;
    jout_lit(o, "{\"input_tokens\":");
    jout_u64(o, w->tokens);
    jout_lit(o, ",\"litellm_count_source\":\"provider\"}");
}

static void nothing(void *state)
{
    (void)state;
}

/* --- the upstream: OpenAI's input_tokens --------------------------------------------------------
 */

static bool count_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                                struct fault *f)
{
    struct upstream_model counts = *m;

    counts.counts = true;
    counts.stream = false;
    return openai_responses.request_write(o, n, &counts, f);
}

static void counted_init(void *reader, const struct reader_env *env)
{
    struct counted *r = reader;

    r->env = *env;
}

static void counted_event(void *reader, struct str name, const struct json_tape *data)
{
    (void)reader;
    (void)name;
    (void)data; /* it is never streamed */
}

static void counted_reply(void *reader, const struct json_tape *t)
{
    struct counted *r = reader;
    struct usage u;

    reply_scan_usage(r->env.scan, json_raw(t, json_root(t)));
    reply_usage(r->env.scan, DIALECT_OPENAI, &u);
    if (!u.seen)
        return; /* no count: not complete */
    r->env.emit(r->env.ctx, &(struct event){.kind = EVENT_USAGE, .usage = &u});
    r->env.emit(r->env.ctx, &(struct event){.kind = EVENT_END});
}

static bool counted_end(void *reader, bool done)
{
    (void)reader;
    (void)done;
    return false;
}

const struct dialect_ops anthropic_count_tokens = {
    .api = API_COUNT_TOKENS,
    .request_read = count_request_read,
    .writer_size = sizeof(struct answer),
    .writer_init = answer_init,
    .write = answer_write,
    .writer_deinit = nothing,
};

const struct dialect_ops openai_input_tokens = {
    .api = API_INPUT_TOKENS,
    .request_write = count_request_write,
    .reader_size = sizeof(struct counted),
    .reader_init = counted_init,
    .read_event = counted_event,
    .read_reply = counted_reply,
    .reader_end = counted_end,
    .reader_deinit = nothing,
};
