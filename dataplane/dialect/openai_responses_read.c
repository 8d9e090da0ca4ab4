/*
 * Replies of a Responses upstream. Items are addressed by output_index. What an event should have
 * said (added, deltas) is taken from the ones behind it (done, completed), and what was said twice
 * counts once.
 */

#include "dialect/openai_responses_priv.h"

static uint32_t index_at(const struct json_tape *t, const struct json_val *v, struct str key,
                         uint32_t otherwise)
{
    uint64_t i;

    return json_u64(t, json_get(t, v, key), &i) && i < UINT32_MAX ? (uint32_t)i : otherwise;
}

static void emit(struct responses_reader *r, struct event *e)
{
    r->env.emit(r->env.ctx, e);
}

/* --- ends ---------------------------------------------------------------------------------------
 */

/* The oldest first, as they began. */
static void items_end(struct responses_reader *r)
{
    for (bool any = true; any;) {
        struct responses_in *first = NULL;
        for (struct responses_in *in = r->items; in; in = in->next)
            if (in->is_open)
                first = in;
        any = first != NULL;
        if (first)
            responses_in_block_end(r, first);
    }
}

/* What stands for a status that its name does not tell (C.5). */
static uint16_t status_of(struct str raw, struct str code)
{
    static const struct str bad_requests[] = {
        STR_INIT("invalid_prompt"),          STR_INIT("context_length_exceeded"),
        STR_INIT("data_residency_mismatch"), STR_INIT("bio_policy"),
        STR_INIT("content_filter"),          STR_INIT("image_file_not_found"),
    };
    uint16_t status = envelope_error_status(raw);

    for (size_t i = 0; i < ARRAY_LEN(bad_requests); i++)
        if (str_eq(code, bad_requests[i]))
            return 400;
    if (str_eq(code, STR("server_is_overloaded")))
        return 503;
    return status == 500 && str_find(code, STR("image")) != SIZE_MAX ? 400 : status;
}

static void failed(struct responses_reader *r, const struct json_tape *t,
                   const struct json_val *error)
{
    struct error_facts f = {.status = 500};
    struct str raw = json_raw(t, error);

    envelope_read(r->env.arena, &f, raw, r->env.secret);
    if (str_eq(f.provider_type, STR("error"))) /* the event's own */
        f.provider_type = (struct str){0};
    f.status = status_of(raw, f.provider_code);
    responses_in_error(r, &f);
}

static enum stop stop_of(const struct responses_reader *r)
{
    return r->has_call ? STOP_TOOL : r->has_refused ? STOP_REFUSAL : STOP_END;
}

/* Usage and why it stopped; then the end. */
static void finished(struct responses_reader *r, const struct json_tape *t,
                     const struct json_val *response)
{
    const struct json_val *why = JSON_GET(t, response, "incomplete_details");
    struct usage usage;
    struct event e = {.kind = EVENT_FINISH, .origin = API_RESPONSES};

    responses_in_start(r, t, response);
    items_end(r);
    e.stop = (uint8_t)stop_of(r);
    if (why || json_is(t, JSON_GET(t, response, "status"), "incomplete"))
        e.stop =
            json_is(t, JSON_GET(t, why, "reason"), "content_filter") ? STOP_REFUSAL : STOP_LENGTH;
    emit(r, &e);

    e = (struct event){.kind = EVENT_USAGE, .origin = API_RESPONSES, .usage = &usage};
    e.service_tier = json_text_at(t, response, STR("service_tier"));
    if (e.service_tier.n)
        reply_scan_tier(r->env.scan, e.service_tier);
    if (json_has_type(JSON_GET(t, response, "usage"), JSON_OBJECT))
        reply_scan_usage(r->env.scan, json_raw(t, JSON_GET(t, response, "usage")));
    reply_usage(r->env.scan, DIALECT_OPENAI, &usage);
    if (usage.seen || e.service_tier.n)
        emit(r, &e);

    r->is_over = true;
    r->env.scan->finished = true;
    e = (struct event){.kind = EVENT_END, .origin = API_RESPONSES};
    emit(r, &e);
}

/* By id where there are ids, else by place. */
static struct responses_in *item_known(const struct responses_reader *r, uint32_t index,
                                       struct jstr id)
{
    for (struct responses_in *in = r->items; in && id.n; in = in->next)
        if (jstr_same(in->id, id))
            return in;
    return responses_in_at(r, index);
}

/* The whole response: what of its items no event brought. */
static void output_whole(struct responses_reader *r, const struct json_tape *t,
                         const struct json_val *response)
{
    const struct json_val *output = JSON_GET(t, response, "output");
    uint32_t index = 0;

    if (!json_has_type(output, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, output, item)
    {
        struct responses_in *in = item_known(r, index, json_text_at(t, item, STR("id")));
        if (r->is_over)
            return;
        responses_in_whole(r, in ? in : responses_in_begin(r, t, item, index), t, item);
        index++;
    }
}

/* --- events -------------------------------------------------------------------------------------
 */

typedef void (*on_fn)(struct responses_reader *r, const struct json_tape *t);

static uint32_t output_index(const struct responses_reader *r, const struct json_tape *t)
{
    return index_at(t, json_root(t), STR("output_index"), r->items ? r->items->index : 0);
}

/* The message or reasoning a text belongs to, even if nobody announced it. */
static struct responses_in *text_item(struct responses_reader *r, const struct json_tape *t,
                                      enum block_kind kind)
{
    uint32_t index = output_index(r, t);
    struct responses_in *in = responses_in_of_kind(r, index, kind);

    return in ? in : responses_in_new(r, index, kind);
}

static uint32_t content_index(const struct json_tape *t)
{
    return index_at(t, json_root(t), STR("content_index"), 0);
}

static void on_text(struct responses_reader *r, const struct json_tape *t, enum block_kind kind,
                    struct str key, bool is_delta)
{
    struct responses_in *in = text_item(r, t, BLOCK_TEXT);
    struct jstr text = json_text_at(t, json_root(t), key);

    if (!in || !text.n || !responses_in_part(r, in, kind, content_index(t), is_delta))
        return;
    responses_in_text(r, in, text);
    if (kind == BLOCK_TEXT)
        responses_in_logprobs(r, in, t, JSON_GET(t, json_root(t), "logprobs"));
}

static void on_text_delta(struct responses_reader *r, const struct json_tape *t)
{
    on_text(r, t, BLOCK_TEXT, STR("delta"), true);
}

static void on_text_done(struct responses_reader *r, const struct json_tape *t)
{
    on_text(r, t, BLOCK_TEXT, STR("text"), false);
}

static void on_refusal_delta(struct responses_reader *r, const struct json_tape *t)
{
    on_text(r, t, BLOCK_REFUSAL, STR("delta"), true);
}

static void on_refusal_done(struct responses_reader *r, const struct json_tape *t)
{
    on_text(r, t, BLOCK_REFUSAL, STR("refusal"), false);
}

static void on_part_done(struct responses_reader *r, const struct json_tape *t)
{
    const struct json_val *part = JSON_GET(t, json_root(t), "part");
    struct responses_in *in;

    if (json_is(t, JSON_GET(t, part, "type"), "reasoning_text"))
        return;
    in = text_item(r, t, BLOCK_TEXT);
    if (in)
        responses_in_part_whole(r, in, t, part, content_index(t));
}

static void on_annotation(struct responses_reader *r, const struct json_tape *t)
{
    const struct json_val *note = JSON_GET(t, json_root(t), "annotation");
    struct responses_in *in = responses_in_of_kind(r, output_index(r, t), BLOCK_TEXT);

    if (in && in->is_open && in->block_kind == BLOCK_TEXT && note)
        responses_in_citation(r, in, t, note);
}

static void on_reasoning(struct responses_reader *r, const struct json_tape *t, struct str part,
                         struct str key, bool is_delta)
{
    struct responses_in *in = text_item(r, t, BLOCK_REASONING);
    struct jstr text = json_text_at(t, json_root(t), key);

    if (in && text.n && responses_in_summary(r, in, index_at(t, json_root(t), part, 0), is_delta))
        responses_in_text(r, in, text);
}

static void on_summary_delta(struct responses_reader *r, const struct json_tape *t)
{
    on_reasoning(r, t, STR("summary_index"), STR("delta"), true);
}

static void on_summary_done(struct responses_reader *r, const struct json_tape *t)
{
    on_reasoning(r, t, STR("summary_index"), STR("text"), false);
}

static void on_reasoning_delta(struct responses_reader *r, const struct json_tape *t)
{
    on_reasoning(r, t, STR("content_index"), STR("delta"), true);
}

static void on_reasoning_done(struct responses_reader *r, const struct json_tape *t)
{
    on_reasoning(r, t, STR("content_index"), STR("text"), false);
}

/* The open call of the event; NULL: its item's end will bring all of it. */
static struct responses_in *call_item(struct responses_reader *r, const struct json_tape *t)
{
    struct responses_in *in = responses_in_of_kind(r, output_index(r, t), BLOCK_TOOL_CALL);

    return in && in->is_open ? in : NULL;
}

static void on_arguments_delta(struct responses_reader *r, const struct json_tape *t)
{
    struct responses_in *in = call_item(r, t);

    if (in)
        responses_in_text(r, in, json_text_at(t, json_root(t), STR("delta")));
}

static void on_arguments_done(struct responses_reader *r, const struct json_tape *t)
{
    struct responses_in *in = call_item(r, t);

    if (in && !in->has_text)
        responses_in_text(
            r, in, json_text_at(t, json_root(t), in->is_custom ? STR("input") : STR("arguments")));
}

static void on_item_added(struct responses_reader *r, const struct json_tape *t)
{
    const struct json_val *item = JSON_GET(t, json_root(t), "item");
    struct jstr id = json_text_at(t, item, STR("id"));
    uint32_t index = index_at(t, json_root(t), STR("output_index"), r->n_items);
    struct responses_in *in = responses_in_of_kind(r, index, responses_in_kind(t, item));

    if (in && (in->is_done || (id.n && in->id.n && !jstr_same(id, in->id)))) {
        responses_in_block_end(r, in); /* another item under an index that was used: F.21 */
        in = NULL;
    }
    if (!in)
        (void)responses_in_begin(r, t, item, index);
}

static void on_item_done(struct responses_reader *r, const struct json_tape *t)
{
    const struct json_val *item = JSON_GET(t, json_root(t), "item");
    struct jstr id = json_text_at(t, item, STR("id"));
    uint32_t index = output_index(r, t);
    struct responses_in *in = responses_in_of_kind(r, index, responses_in_kind(t, item));

    if (in && in->is_done && id.n && in->id.n && !jstr_same(id, in->id))
        in = NULL;
    responses_in_whole(r, in ? in : responses_in_begin(r, t, item, index), t, item);
}

static void on_created(struct responses_reader *r, const struct json_tape *t)
{
    responses_in_start(r, t, JSON_GET(t, json_root(t), "response"));
}

static void on_finished(struct responses_reader *r, const struct json_tape *t)
{
    const struct json_val *response = JSON_GET(t, json_root(t), "response");

    output_whole(r, t, response);
    if (!r->is_over)
        finished(r, t, response);
}

static void on_failed(struct responses_reader *r, const struct json_tape *t)
{
    failed(r, t, JSON_GET(t, JSON_GET(t, json_root(t), "response"), "error"));
}

static void on_error(struct responses_reader *r, const struct json_tape *t)
{
    failed(r, t, json_root(t));
}

static const struct {
    struct str type;
    on_fn on;
} events[] = {
    {STR_INIT("response.output_text.delta"), on_text_delta},
    {STR_INIT("response.function_call_arguments.delta"), on_arguments_delta},
    {STR_INIT("response.reasoning_summary_text.delta"), on_summary_delta},
    {STR_INIT("response.custom_tool_call_input.delta"), on_arguments_delta},
    {STR_INIT("response.reasoning_text.delta"), on_reasoning_delta},
    {STR_INIT("response.output_item.added"), on_item_added},
    {STR_INIT("response.output_item.done"), on_item_done},
    {STR_INIT("response.output_text.done"), on_text_done},
    {STR_INIT("response.output_text.annotation.added"), on_annotation},
    {STR_INIT("response.content_part.done"), on_part_done},
    {STR_INIT("response.function_call_arguments.done"), on_arguments_done},
    {STR_INIT("response.custom_tool_call_input.done"), on_arguments_done},
    {STR_INIT("response.reasoning_summary_text.done"), on_summary_done},
    {STR_INIT("response.reasoning_text.done"), on_reasoning_done},
    {STR_INIT("response.refusal.delta"), on_refusal_delta},
    {STR_INIT("response.refusal.done"), on_refusal_done},
    {STR_INIT("response.created"), on_created},
    {STR_INIT("response.in_progress"), on_created},
    {STR_INIT("response.queued"), on_created},
    {STR_INIT("response.completed"), on_finished},
    {STR_INIT("response.incomplete"), on_finished},
    {STR_INIT("response.failed"), on_failed},
    {STR_INIT("response.cancelled"), on_failed},
    {STR_INIT("error"), on_error},
};

void responses_read_event(void *reader, struct str name, const struct json_tape *data)
{
    struct responses_reader *r = reader;
    const struct json_val *root = json_root(data), *error;
    struct jstr type = json_text_at(data, root, STR("type"));

    if (r->is_over || !json_has_type(root, JSON_OBJECT))
        return;
    if (!type.n)
        type = (struct jstr){name.p, name.n};
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        if (type.n == events[i].type.n && memcmp(type.p, events[i].type.p, type.n) == 0) {
            events[i].on(r, data);
            return;
        }
    error = JSON_GET(data, root, "error"); /* in other words: A.10 */
    if (json_has_type(error, JSON_OBJECT))
        failed(r, data, error);
}

void responses_read_reply(void *reader, const struct json_tape *reply)
{
    struct responses_reader *r = reader;
    const struct json_val *root = json_root(reply), *error = JSON_GET(reply, root, "error");
    const struct json_val *status = JSON_GET(reply, root, "status");

    if (json_has_type(error, JSON_OBJECT) || json_is(reply, status, "failed") ||
        json_is(reply, status, "cancelled")) {
        failed(r, reply, error);
        return;
    }
    responses_in_start(r, reply, root);
    output_whole(r, reply, root);
    if (!r->is_over)
        finished(r, reply, root);
}

/* F.8: a stream may end with [DONE] alone; one that just stops was cut. */
bool responses_reader_end(void *reader, bool done)
{
    struct responses_reader *r = reader;
    struct event e = {.kind = EVENT_FINISH, .origin = API_RESPONSES};

    if (r->is_over)
        return true;
    if (!done || !r->started)
        return false;
    items_end(r);
    e.stop = (uint8_t)stop_of(r);
    emit(r, &e);
    r->is_over = true;
    r->env.scan->finished = true;
    e = (struct event){.kind = EVENT_END, .origin = API_RESPONSES};
    emit(r, &e);
    return true;
}

void responses_reader_init(void *reader, const struct reader_env *env)
{
    struct responses_reader *r = reader;

    r->env = *env;
}

void responses_reader_deinit(void *reader)
{
    (void)reader;
}
