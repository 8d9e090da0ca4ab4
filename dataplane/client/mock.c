/* The answer in the shape of the API asked, whole or word by word; metered and priced like a real
 * one. */

#include "client/mock.h"

#include "common/jw.h"

#include "client/admit.h"
#include "client/books.h"
#include "client/conn.h"
#include "client/reply.h"
#include "client/transcript.h"
#include "meter/meter.h"

enum { MOCK_PROMPT_TOKENS = 10, MOCK_COMPLETION_TOKENS = 20 };

struct mock {
    struct request *r;
    struct arena *a;
    struct str id, created, model, text; /* JSON: text without quotes, model with */
};

/* The shapes of one API: a whole reply, and the events of a stream before, per piece and after the
 * text. */
struct mock_shape {
    struct str (*whole)(const struct mock *m);
    struct str (*first)(const struct mock *m);
    struct str (*piece)(const struct mock *m, struct str text);
    struct str (*last)(const struct mock *m);
};

#define CHAT_HEAD(object)                                                                          \
    "{\"id\":\"chatcmpl-" STR_FMT "\",\"object\":\"" object "\",\"created\":" STR_FMT              \
    ",\"model\":" STR_FMT ","
#define CHAT_ARGS(m) STR_ARG((m)->id), STR_ARG((m)->created), STR_ARG((m)->model)
#define CHAT_USAGE   "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20,\"total_tokens\":30}"

static struct str chat_whole(const struct mock *m)
{
    return arena_printf(
        m->a,
        CHAT_HEAD(
            "chat.completion") "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                               "\"content\":\"" STR_FMT
                               "\"},\"finish_reason\":\"stop\"}]," CHAT_USAGE "}",
        CHAT_ARGS(m), STR_ARG(m->text));
}

static struct str chat_first(const struct mock *m)
{
    return arena_printf(
        m->a,
        "data: " CHAT_HEAD("chat.completion.chunk") "\"choices\":[{\"index\":0,\"delta\":{\"role\":"
                                                    "\"assistant\",\"content\":\"\"},"
                                                    "\"finish_reason\":null}]}\n\n",
        CHAT_ARGS(m));
}

static struct str chat_piece(const struct mock *m, struct str text)
{
    return arena_printf(
        m->a,
        "data: " CHAT_HEAD(
            "chat.completion.chunk") "\"choices\":[{\"index\":0,\"delta\":{\"content\":"
                                     "\"" STR_FMT "\"},\"finish_reason\":null}]}\n\n",
        CHAT_ARGS(m), STR_ARG(text));
}

static struct str chat_last(const struct mock *m)
{
    struct str end = arena_printf(
        m->a,
        "data: " CHAT_HEAD("chat.completion.chunk") "\"choices\":[{\"index\":0,\"delta\":{},"
                                                    "\"finish_reason\":\"stop\"}]}\n\n",
        CHAT_ARGS(m));
    struct str usage = {0};

    if (m->r->scan.include_usage || m->r->snapshot->h->settings.flags & SNAP_ALWAYS_STREAM_USAGE)
        usage = arena_printf(
            m->a, "data: " CHAT_HEAD("chat.completion.chunk") "\"choices\":[]," CHAT_USAGE "}\n\n",
            CHAT_ARGS(m));
    return arena_printf(m->a, STR_FMT STR_FMT "data: [DONE]\n\n", STR_ARG(end), STR_ARG(usage));
}

static struct str completions_whole(const struct mock *m)
{
    return arena_printf(
        m->a,
        CHAT_HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":\"" STR_FMT
                                     "\",\"logprobs\":null,\"finish_reason\":\"stop\"}]," CHAT_USAGE
                                     "}",
        CHAT_ARGS(m), STR_ARG(m->text));
}

static struct str nothing(const struct mock *m)
{
    (void)m;
    return (struct str){0};
}

static struct str completions_piece(const struct mock *m, struct str text)
{
    return arena_printf(
        m->a,
        "data: " CHAT_HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":\"" STR_FMT
                                              "\",\"finish_reason\":null}]}\n\n",
        CHAT_ARGS(m), STR_ARG(text));
}

static struct str completions_last(const struct mock *m)
{
    return arena_printf(
        m->a,
        "data: " CHAT_HEAD("text_completion") "\"choices\":[{\"index\":0,\"text\":\"\","
                                              "\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
        CHAT_ARGS(m));
}

#define MESSAGE_HEAD                                                                               \
    "{\"id\":\"msg_" STR_FMT "\",\"type\":\"message\",\"role\":\"assistant\",\"model\":" STR_FMT ","

static struct str messages_whole(const struct mock *m)
{
    return arena_printf(m->a,
                        MESSAGE_HEAD "\"content\":[{\"type\":\"text\",\"text\":\"" STR_FMT
                                     "\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null,"
                                     "\"usage\":{\"input_tokens\":10,\"output_tokens\":20}}",
                        STR_ARG(m->id), STR_ARG(m->model), STR_ARG(m->text));
}

static struct str messages_first(const struct mock *m)
{
    return arena_printf(
        m->a,
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":" MESSAGE_HEAD
        "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"
        "\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,"
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        STR_ARG(m->id), STR_ARG(m->model));
}

static struct str messages_piece(const struct mock *m, struct str text)
{
    return arena_printf(
        m->a,
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,"
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"" STR_FMT "\"}}\n\n",
        STR_ARG(text));
}

static struct str messages_last(const struct mock *m)
{
    (void)m;
    return STR("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
               "event: message_delta\ndata: "
               "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
               "\"stop_sequence\":null},\"usage\":{\"output_tokens\":20}}\n\n"
               "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static const struct mock_shape shapes[API_COUNT] = {
    [API_CHAT] = {chat_whole, chat_first, chat_piece, chat_last},
    [API_COMPLETIONS] = {completions_whole, nothing, completions_piece, completions_last},
    [API_MESSAGES] = {messages_whole, messages_first, messages_piece, messages_last},
};

static void out_add(struct request *r, struct str s)
{
    if (!buf_add(&r->cx->bufs, &r->cx->out, s.p, s.n))
        r->out_failed = true;
}

/* Word by word: each piece is a word with the blank behind it. */
static void mock_stream(const struct mock *m, const struct mock_shape *shape)
{
    struct str rest = m->text;

    out_add(m->r, shape->first(m));
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != ' ')
            n++;
        n = MIN(n + 1, rest.n);
        out_add(m->r, shape->piece(m, (struct str){rest.p, n}));
        rest = str_from(rest, n);
    }
    out_add(m->r, shape->last(m));
}

static bool mock_books(struct request *r)
{
    const struct snap_deployment *d = r->deployment;
    const struct usage u = {
        .input = MOCK_PROMPT_TOKENS, .output = MOCK_COMPLETION_TOKENS, .seen = 1};

    if (!books_open(r))
        return false;
    meter_price(&r->meter->record, &u, d && d->flags & SNAP_PRICED ? &d->price : NULL);
    if (d)
        meter_count(r->cx, d->slot, &r->meter->record, true);
    return true;
}

void mock_reply(struct request *r, struct str json)
{
    const struct mock_shape *shape = &shapes[route_rows[r->route].api];
    struct jw model = jw_init(&r->arena), text = jw_init(&r->arena);

    if (!shape->whole) {
        request_refuse(r, ERROR_NOT_SERVED, STR("A mock answers chat, completions and messages."),
                       false);
        return;
    }
    if (!json.n) {
        jw_put_str(&text, snap_str(r->snapshot, r->deployment->mock_response));
        json = jw_finish(&text);
    }
    jw_put_str(&model, r->model);
    struct mock m = {
        .r = r,
        .a = &r->arena,
        .id = {r->id, REQUEST_ID},
        .created = arena_printf(&r->arena, "%lld",
                                (long long)(context_wall_us(r->cx, r->body_ns) / 1000000)),
        .model = jw_finish(&model),
        .text = json_text_inner(json),
    };
    struct str body = r->is_stream ? (struct str){0} : shape->whole(&m);
    if (!arena_ok(&r->arena) || !mock_books(r)) {
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        return;
    }
    reply_head(r, 200,
               r->is_stream ? STR("text/event-stream; charset=utf-8") : STR("application/json"));
    if (r->deployment) {
        reply_header(r, STR("x-litellm-model-id"), snap_str(r->snapshot, r->deployment->id));
        reply_header(r, STR("x-litellm-model-group"), snap_str(r->snapshot, r->deployment->group));
    }
    admit_headers(r, r->meter->record.cost_nusd);
    if (r->is_stream)
        reply_header(r, STR("cache-control"), STR("no-cache"));
    reply_head_end(r, r->is_stream ? UINT64_MAX : body.n);
    if (r->is_stream) {
        size_t from = reply_chunk_begin(r), events = r->cx->out.n;
        mock_stream(&m, shape);
        if (r->transcript)
            transcript_events(r, str_from((struct str){r->cx->out.p, r->cx->out.n}, events));
        reply_chunk_end(r, from, true);
    } else {
        out_add(r, body);
        if (r->transcript)
            transcript_reply(r, body);
        r->bytes_out = body.n;
    }
    if (!arena_ok(&r->arena))
        r->out_failed = true;
    books_close(r, 200, (struct str){0});
    if (reply_flush(r))
        conn_finish(r->conn);
}
