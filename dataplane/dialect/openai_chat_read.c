/*
 * Replies of chat upstreams, read (wire-formats.md A.7 to A.9, A.11, E.1.6). A whole reply is one
 * long delta. What a delta holds is taken in a fixed order, whatever the order of its members:
 * reasoning, text, refusal, calls, the rest, finish (F.31).
 */

#include "dialect/openai_chat_reply.h"

enum { LATE_MAX = 1024 * 1024, DETAILS_MAX = 256 * 1024 };

/* --- events --------------------------------------------------------------------------------------
 */

void chat_emit(struct chat_reader *r, const struct chat_choice *c, struct event *e)
{
    e->choice = (uint16_t)c->index;
    r->env.emit(r->env.ctx, e);
}

/* F.16: the half that waited goes before it, a half at its end waits; what stays alone is mended.
 */
static struct jstr whole_pairs(struct chat_reader *r, struct half *half, struct jstr text)
{
    if (half->n) {
        r->joined.n = 0;
        if (!buf_add(r->env.pool, &r->joined, half->p, half->n) ||
            !buf_add(r->env.pool, &r->joined, text.p, text.n))
            r->env.arena->failed = true;
        text = (struct jstr){r->joined.p, r->joined.n};
    }
    half->n = (uint8_t)jstr_half_pair(text);
    text.n -= half->n;
    memcpy(half->p, text.p + text.n, half->n);
    return jstr_repair(text, r->env.arena);
}

void chat_delta(struct chat_reader *r, const struct chat_choice *c, enum block_kind kind,
                uint32_t block, struct half *half, struct jstr text)
{
    if (!text.n)
        return;
    r->env.scan->text_bytes += text.n;
    if (UNLIKELY(jstr_has_escapes(text) || half->n))
        text = whole_pairs(r, half, text);
    if (text.n)
        chat_emit(
            r, c,
            &(struct event){
                .kind = EVENT_DELTA, .block_kind = (uint8_t)kind, .block = block, .text = text});
}

void chat_close(struct chat_reader *r, const struct chat_choice *c, enum block_kind kind,
                uint32_t block, struct half *half)
{
    struct event e = {
        .kind = EVENT_DELTA, .block_kind = (uint8_t)kind, .block = block, .text = JSTR("\\ufffd")};

    if (half->n)
        chat_emit(r, c, &e);
    half->n = 0;
    e = (struct event){.kind = EVENT_BLOCK_END, .block_kind = (uint8_t)kind, .block = block};
    chat_emit(r, c, &e);
}

static void sign(struct chat_reader *r, struct chat_choice *c, enum api origin,
                 struct jstr signature, bool is_redacted)
{
    chat_emit(r, c,
              &(struct event){.kind = EVENT_SIGNATURE,
                              .block_kind = BLOCK_REASONING,
                              .block = c->block,
                              .origin = (uint8_t)origin,
                              .is_redacted = is_redacted,
                              .signature = signature});
}

/* The list as the upstream wants it back, in one text. */
static void sign_details(struct chat_reader *r, struct chat_choice *c)
{
    struct jout out = jout_init(r->env.pool, &r->plain);

    if (c->details_count) {
        r->plain.n = 0;
        jout_lit(&out, "[");
        jout_escaped(&out, (struct str){c->details.p, c->details.n});
        jout_lit(&out, "]");
        if (!out.failed)
            sign(r, c, API_CHAT, (struct jstr){r->plain.p, r->plain.n}, false);
    }
    c->details_count = false;
    c->details.n = 0;
}

void chat_close_block(struct chat_reader *r, struct chat_choice *c)
{
    if (!c->is_open)
        return;
    if (c->kind == BLOCK_REASONING)
        sign_details(r, c);
    c->is_open = false;
    chat_close(r, c, (enum block_kind)c->kind, c->block, &c->half);
}

static void begin_block(struct chat_reader *r, struct chat_choice *c, enum block_kind kind,
                        enum api origin, bool is_redacted)
{
    chat_close_block(r, c);
    c->is_open = true;
    c->kind = (uint8_t)kind;
    c->block = r->blocks++;
    c->refused |= kind == BLOCK_REFUSAL;
    chat_emit(r, c,
              &(struct event){.kind = EVENT_BLOCK,
                              .block_kind = (uint8_t)kind,
                              .block = c->block,
                              .origin = (uint8_t)origin,
                              .is_redacted = is_redacted});
}

/* Text among calls: it ends those that are complete; else it waits for the end of all of them. */
static bool must_wait(struct chat_reader *r, struct chat_choice *c, enum block_kind kind,
                      struct jstr text)
{
    if (!c->n_open)
        return false;
    if (jstr_is_blank(text)) /* line ends between calls, of parsers of raw text */
        return true;
    if (chat_calls_complete(c)) {
        chat_close_calls(r, c);
        return false;
    }
    if (kind == BLOCK_TEXT &&
        (c->late.n + text.n > LATE_MAX || !buf_add(r->env.pool, &c->late, text.p, text.n)))
        r->env.arena->failed = true;
    return true;
}

static void add_text(struct chat_reader *r, struct chat_choice *c, enum block_kind kind,
                     enum api origin, struct jstr text)
{
    if (!text.n || must_wait(r, c, kind, text))
        return;
    if (!c->is_open || c->kind != kind)
        begin_block(r, c, kind, origin, false);
    chat_delta(r, c, kind, c->block, &c->half, text);
}

/* --- reasoning -----------------------------------------------------------------------------------
 */

/* OpenRouter's list: some of its members only it can read, and wants back. */
static void add_details(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                        const struct json_val *details, bool text_too)
{
    if (!json_has_type(details, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, details, v)
    {
        MEMBERS(t, v, m, NAME("text"), NAME("summary"), NAME("signature"), NAME("data"));
        struct str raw = json_raw(t, v);
        bool counts = json_text(t, m[2]).n || json_text(t, m[3]).n;
        if (text_too)
            add_text(r, c, BLOCK_REASONING, API_CHAT, json_text(t, m[0] ? m[0] : m[1]));
        if (c->details.n + raw.n > DETAILS_MAX)
            continue;
        if (counts && !c->n_open && (!c->is_open || c->kind != BLOCK_REASONING))
            begin_block(r, c, BLOCK_REASONING, API_CHAT, false);
        c->details_count |= counts;
        struct jout out = jout_init(r->env.pool, &c->details);
        if (c->details.n)
            jout_lit(&out, ",");
        jout_line(&out, raw);
        r->env.arena->failed |= out.failed;
    }
}

/* LiteLLM's list of Anthropic's blocks; a signature ends its block. */
static void add_thinking(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                         const struct json_val *blocks)
{
    JSON_ELEMENTS(t, blocks, v)
    {
        MEMBERS(t, v, m, NAME("thinking"), NAME("signature"), NAME("data"));
        struct jstr signature = json_text(t, m[2] ? m[2] : m[1]);
        if (c->n_open)
            return;
        add_text(r, c, BLOCK_REASONING, API_MESSAGES, json_text(t, m[0]));
        if (!signature.n)
            continue;
        if (m[2] || !c->is_open || c->kind != BLOCK_REASONING)
            begin_block(r, c, BLOCK_REASONING, API_MESSAGES, m[2] != NULL);
        sign(r, c, API_MESSAGES, signature, m[2] != NULL);
        chat_close_block(r, c);
    }
}

/* --- deltas --------------------------------------------------------------------------------------
 */

enum {
    D_CONTENT,
    D_REASONING_CONTENT,
    D_REASONING,
    D_DETAILS,
    D_THINKING,
    D_REFUSAL,
    D_CALLS,
    D_FUNCTION,
    D_ANNOTATIONS,
    D_AUDIO,
    D_IMAGES,
    DELTA_MEMBERS
};

static const struct str delta_names[DELTA_MEMBERS] = {
    [D_CONTENT] = STR_INIT("content"),
    [D_REASONING_CONTENT] = STR_INIT("reasoning_content"),
    [D_REASONING] = STR_INIT("reasoning"),
    [D_DETAILS] = STR_INIT("reasoning_details"),
    [D_THINKING] = STR_INIT("thinking_blocks"),
    [D_REFUSAL] = STR_INIT("refusal"),
    [D_CALLS] = STR_INIT("tool_calls"),
    [D_FUNCTION] = STR_INIT("function_call"),
    [D_ANNOTATIONS] = STR_INIT("annotations"),
    [D_AUDIO] = STR_INIT("audio"),
    [D_IMAGES] = STR_INIT("images"),
};

/* The richest form; the plain one repeats it. */
static void add_reasoning(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                          const struct json_val *const *m)
{
    struct jstr text = json_text(t, m[D_REASONING_CONTENT]);

    if (!text.n)
        text = json_text(t, m[D_REASONING]);
    if (json_has_type(m[D_THINKING], JSON_ARRAY) && m[D_THINKING]->n > 2) {
        add_thinking(r, c, t, m[D_THINKING]);
        return;
    }
    add_text(r, c, BLOCK_REASONING, API_CHAT, text);
    add_details(r, c, t, m[D_DETAILS], !text.n);
}

/* A text, or parts (F.25): Mistral's hold thinking too. */
static void add_content(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                        const struct json_val *content)
{
    add_text(r, c, BLOCK_TEXT, API_CHAT, json_text(t, content));
    if (!json_has_type(content, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, content, part)
    {
        MEMBERS(t, part, m, NAME("text"), NAME("thinking"));
        add_text(r, c, BLOCK_TEXT, API_CHAT, json_text(t, m[0]));
        add_text(r, c, BLOCK_REASONING, API_CHAT, json_text(t, m[1]));
        if (!json_has_type(m[1], JSON_ARRAY))
            continue;
        JSON_ELEMENTS(t, m[1], thought)
        {
            add_text(r, c, BLOCK_REASONING, API_CHAT, json_text(t, JSON_GET(t, thought, "text")));
        }
    }
}

static void add_annotations(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                            const struct json_val *list)
{
    if (!json_has_type(list, JSON_ARRAY) || !c->is_open || c->kind != BLOCK_TEXT)
        return;
    JSON_ELEMENTS(t, list, v)
    {
        chat_emit(r, c,
                  &(struct event){.kind = EVENT_CITATION,
                                  .block_kind = BLOCK_TEXT,
                                  .block = c->block,
                                  .origin = API_CHAT,
                                  .raw = json_raw(t, v)});
    }
}

static void add_logprobs(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                         const struct json_val *logprobs)
{
    MEMBERS(t, logprobs, m, NAME("content"), NAME("refusal"));
    const struct json_val *list = c->kind == BLOCK_REFUSAL ? m[1] : m[0];

    if (!json_has_type(list, JSON_ARRAY) || list->n <= 2 || !c->is_open ||
        (c->kind != BLOCK_TEXT && c->kind != BLOCK_REFUSAL))
        return;
    chat_emit(r, c,
              &(struct event){.kind = EVENT_LOGPROBS,
                              .block_kind = c->kind,
                              .block = c->block,
                              .raw = json_raw(t, list)});
}

/* A member of the message that only chat has. */
static void add_opaque(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                       struct jstr name, const struct json_val *v)
{
    if (v)
        chat_emit(
            r, c,
            &(struct event){
                .kind = EVENT_OPAQUE, .origin = API_CHAT, .name = name, .raw = json_raw(t, v)});
}

static void read_delta(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                       const struct json_val *delta, const struct json_val *logprobs)
{
    const struct json_val *m[DELTA_MEMBERS];

    json_members(t, delta, delta_names, DELTA_MEMBERS, m);
    add_reasoning(r, c, t, m);
    add_content(r, c, t, m[D_CONTENT]);
    add_text(r, c, BLOCK_REFUSAL, API_CHAT, json_text(t, m[D_REFUSAL]));
    add_logprobs(r, c, t, logprobs);
    add_annotations(r, c, t, m[D_ANNOTATIONS]);
    chat_read_calls(r, c, t, m[D_CALLS]);
    chat_read_function_call(r, c, t, m[D_FUNCTION]);
    add_opaque(r, c, t, JSTR("audio"), m[D_AUDIO]);
    add_opaque(r, c, t, JSTR("images"), m[D_IMAGES]);
}

/* --- how it ends ---------------------------------------------------------------------------------
 */

static enum stop stop_of(struct jstr reason)
{
    static const struct {
        struct str reason;
        enum stop stop;
    } rows[] = {
        /* E.1.4 */
        {STR_INIT("stop"), STOP_END},
        {STR_INIT("length"), STOP_LENGTH},
        {STR_INIT("model_length"), STOP_LENGTH},
        {STR_INIT("max_tokens"), STOP_LENGTH},
        {STR_INIT("abort"), STOP_LENGTH},
        {STR_INIT("tool_calls"), STOP_TOOL},
        {STR_INIT("function_call"), STOP_TOOL},
        {STR_INIT("tool_use"), STOP_TOOL},
        {STR_INIT("content_filter"), STOP_REFUSAL},
        {STR_INIT("refusal"), STOP_REFUSAL},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (jstr_is(reason, rows[i].reason))
            return rows[i].stop;
    return STOP_END;
}

/* Calls are what the client has to act on; without one there is nothing to. */
static enum stop stop_said(const struct chat_choice *c, enum stop stop)
{
    if (stop == STOP_END && c->called)
        return STOP_TOOL;
    if (stop == STOP_TOOL && !c->called)
        return STOP_END;
    return stop == STOP_END && c->refused ? STOP_REFUSAL : stop;
}

static void finish(struct chat_reader *r, struct chat_choice *c, enum stop stop,
                   struct jstr sequence)
{
    chat_close_calls(r, c);
    if (c->late.n) {
        struct buf late = c->late;
        c->late = (struct buf){0};
        add_text(r, c, BLOCK_TEXT, API_CHAT, (struct jstr){late.p, late.n});
        buf_free(r->env.pool, &late);
    }
    if (c->details_count && (!c->is_open || c->kind != BLOCK_REASONING))
        begin_block(r, c, BLOCK_REASONING, API_CHAT, false);
    chat_close_block(r, c);
    stop = stop_said(c, stop);
    if (stop == STOP_END && sequence.n)
        stop = STOP_SEQUENCE;
    c->is_finished = r->env.scan->finished = true;
    chat_emit(r, c,
              &(struct event){.kind = EVENT_FINISH,
                              .stop = (uint8_t)stop,
                              .stop_sequence = stop == STOP_SEQUENCE ? sequence : JSTR_NONE});
}

static void fail(struct chat_reader *r, const struct error_facts *f)
{
    r->is_failed = r->env.scan->failed = true;
    r->env.emit(r->env.ctx, &(struct event){.kind = EVENT_ERROR, .error = f});
}

/* The upstream's words for what went wrong. */
static void fail_with(struct chat_reader *r, struct str body)
{
    struct error_facts f = {.status = envelope_error_status(body)};

    envelope_read(r->env.arena, &f, body, r->env.secret);
    fail(r, &f);
}

static void fail_without(struct chat_reader *r, const char *message)
{
    fail(r, &(struct error_facts){.status = 502, .message = str_of(message)});
}

/* --- chunks --------------------------------------------------------------------------------------
 */

static struct chat_choice *choice_at(struct chat_reader *r, uint64_t index)
{
    struct chat_choice **at = &r->choices, *c = r->last;

    if (c && c->index == index)
        return c;
    while (*at && (*at)->index != index)
        at = &(*at)->next;
    if (!*at && index < CHAT_CHOICES_MAX && (*at = arena_zalloc(r->env.arena, sizeof **at)))
        (*at)->index = (uint32_t)index;
    return r->last = *at;
}

static void read_usage(struct chat_reader *r, const struct json_tape *t,
                       const struct json_val *usage)
{
    if (!json_has_type(usage, JSON_OBJECT))
        return;
    r->has_usage = true;
    reply_scan_usage(r->env.scan, json_raw(t, usage));
}

enum {
    C_INDEX,
    C_DELTA,
    C_MESSAGE,
    C_FINISH,
    C_LOGPROBS,
    C_USAGE,
    C_ERROR,
    C_STOP_REASON,
    C_MATCHED_STOP,
    C_TEXT,
    CHOICE_MEMBERS
};

static const struct str choice_names[CHOICE_MEMBERS] = {
    [C_INDEX] = STR_INIT("index"),
    [C_DELTA] = STR_INIT("delta"),
    [C_MESSAGE] = STR_INIT("message"),
    [C_FINISH] = STR_INIT("finish_reason"),
    [C_LOGPROBS] = STR_INIT("logprobs"),
    [C_USAGE] = STR_INIT("usage"),
    [C_ERROR] = STR_INIT("error"),
    [C_STOP_REASON] = STR_INIT("stop_reason"),
    [C_MATCHED_STOP] = STR_INIT("matched_stop"),
    [C_TEXT] = STR_INIT("text"), /* of completions */
};

static void read_choice(struct chat_reader *r, const struct json_tape *t, const struct json_val *v,
                        uint64_t at, bool whole)
{
    const struct json_val *m[CHOICE_MEMBERS];

    json_members(t, v, choice_names, CHOICE_MEMBERS, m);
    struct jstr reason = json_text(t, m[C_FINISH]);
    (void)json_u64(t, m[C_INDEX], &at);
    struct chat_choice *c = choice_at(r, at);
    read_usage(r, t, m[C_USAGE]);
    if (!c || c->is_finished)
        return;
    add_text(r, c, BLOCK_TEXT, API_CHAT, json_text(t, m[C_TEXT]));
    read_delta(r, c, t, m[C_DELTA] ? m[C_DELTA] : m[C_MESSAGE], m[C_LOGPROBS]);
    if (json_has_type(m[C_ERROR], JSON_OBJECT))
        fail_with(r, json_raw(t, v));
    else if (jstr_is(reason, STR("error")))
        fail_without(r, "The model service failed while it answered.");
    else if (reason.n || whole)
        finish(r, c, stop_of(reason),
               json_text(t, json_has_type(m[C_STOP_REASON], JSON_STRING) ? m[C_STOP_REASON]
                                                                         : m[C_MATCHED_STOP]));
}

static bool is_id_byte(char c)
{
    char lower = char_lower(c);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
}

/* The first event of any use (Azure's first one has neither id nor choices, F.7). */
static void start(struct chat_reader *r, const struct json_tape *t, struct jstr id,
                  const struct json_val *created, const struct json_val *fingerprint)
{
    struct event e = {.kind = EVENT_START, .id = id, .name = json_text(t, fingerprint)};

    r->is_started = true;
    reply_scan_id(r->env.scan, id);
    for (size_t i = id.n > sizeof r->id ? id.n - sizeof r->id : 0; i < id.n; i++)
        if (is_id_byte(id.p[i]))
            r->id[r->id_n++] = id.p[i];
    if (json_u64(t, created, &e.created) && e.created > UINT64_C(100000000000))
        e.created /= 1000; /* F.42 */
    r->env.emit(r->env.ctx, &e);
}

enum {
    R_CHOICES,
    R_ID,
    R_CREATED,
    R_USAGE,
    R_ERROR,
    R_OBJECT,
    R_TIER,
    R_FINGERPRINT,
    R_GROQ,
    ROOT_MEMBERS
};

static const struct str root_names[ROOT_MEMBERS] = {
    [R_CHOICES] = STR_INIT("choices"),   [R_ID] = STR_INIT("id"),
    [R_CREATED] = STR_INIT("created"),   [R_USAGE] = STR_INIT("usage"),
    [R_ERROR] = STR_INIT("error"),       [R_OBJECT] = STR_INIT("object"),
    [R_TIER] = STR_INIT("service_tier"), [R_FINGERPRINT] = STR_INIT("system_fingerprint"),
    [R_GROQ] = STR_INIT("x_groq"),
};

/* F.9: {"error": ...}, or as older vLLM has it {"object":"error", ...}. */
static bool is_error(const struct json_tape *t, const struct json_val *const *m)
{
    const struct json_val *e = m[R_ERROR];

    return (e && e->type != JSON_FALSE && !(e->type == JSON_STRING && !e->n)) ||
           json_is(t, m[R_OBJECT], "error");
}

static void read_root(struct chat_reader *r, const struct json_tape *t, bool whole)
{
    const struct json_val *m[ROOT_MEMBERS], *list;
    struct jstr id, tier;
    uint64_t at = 0;

    json_members(t, json_root(t), root_names, ROOT_MEMBERS, m);
    if (r->is_failed)
        return;
    if (is_error(t, m)) {
        fail_with(r, json_raw(t, json_root(t)));
        return;
    }
    list = json_has_type(m[R_CHOICES], JSON_ARRAY) ? m[R_CHOICES] : NULL;
    id = json_text(t, m[R_ID]);
    tier = json_text(t, m[R_TIER]);
    if (!r->is_started && (id.n || (list && list->n > 2)))
        start(r, t, id, m[R_CREATED], m[R_FINGERPRINT]);
    if (tier.n && tier.n <= sizeof r->tier) {
        reply_scan_tier(r->env.scan, tier);
        r->tier_n = (uint8_t)tier.n;
        memcpy(r->tier, tier.p, tier.n);
    }
    if (list) {
        JSON_ELEMENTS(t, list, v)
        {
            read_choice(r, t, v, at++, whole);
            if (r->is_failed)
                return;
        }
    }
    read_usage(r, t, JSON_GET(t, m[R_GROQ], "usage"));
    read_usage(r, t, m[R_USAGE]);
}

static bool end(struct chat_reader *r)
{
    struct usage u;
    struct event e = {.kind = EVENT_USAGE, .usage = &u, .service_tier = {r->tier, r->tier_n}};

    reply_usage(r->env.scan, DIALECT_OPENAI, &u);
    if (r->has_usage || r->tier_n)
        r->env.emit(r->env.ctx, &e);
    r->env.emit(r->env.ctx, &(struct event){.kind = EVENT_END});
    return true;
}

/* --- the reader ----------------------------------------------------------------------------------
 */

void chat_reader_init(void *reader, const struct reader_env *env)
{
    struct chat_reader *r = reader;

    r->env = *env;
}

void chat_read_event(void *reader, struct str name, const struct json_tape *data)
{
    (void)name;
    read_root(reader, data, false);
}

void chat_read_reply(void *reader, const struct json_tape *reply)
{
    struct chat_reader *r = reader;

    read_root(r, reply, true);
    if (r->is_failed)
        return;
    if (!r->choices) /* F.33: never an empty success */
        fail_without(r, "The model service answered without a choice.");
    else
        end(r);
}

bool chat_reader_end(void *reader, bool done)
{
    struct chat_reader *r = reader;

    if (r->is_failed)
        return true;
    if (done && r->is_started && !r->choices)
        (void)choice_at(r, 0);
    if (!r->choices)
        return false;
    for (struct chat_choice *c = r->choices; c; c = c->next) {
        if (c->is_finished)
            continue;
        if (!done || chat_calls_cut(c)) /* F.8: what was cut is not called complete */
            return false;
        finish(r, c, STOP_END, JSTR_NONE);
    }
    return end(r);
}

void chat_reader_deinit(void *reader)
{
    struct chat_reader *r = reader;

    for (struct chat_choice *c = r->choices; c; c = c->next) {
        chat_free_calls(r, c);
        buf_free(r->env.pool, &c->late);
        buf_free(r->env.pool, &c->details);
    }
    buf_free(r->env.pool, &r->joined);
    buf_free(r->env.pool, &r->plain);
    buf_free(r->env.pool, &r->compact);
}
