#include "tests/support/protocol.h"

enum { CHOICES_MAX = 256, BLOCKS_MAX = 4096 };

/* The first rule that does not hold ends the judgement. */
#define RULE(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return #condition;                                                                     \
    } while (0)

#define TRY(call)                                                                                  \
    do {                                                                                           \
        const char *broken_ = (call);                                                              \
        if (broken_)                                                                               \
            return broken_;                                                                        \
    } while (0)

/* Of an array; of nothing else there are any. */
#define EACH(array, i, max, v)                                                                     \
    if (yyjson_is_arr(array))                                                                      \
    yyjson_arr_foreach(array, i, max, v)
#define GET(v, key)        member(v, key)
#define IS_TEXT(v)         yyjson_is_str(v)
#define IS(v, literal)     yyjson_equals_str(v, literal)
#define IS_SOME_TEXT(v)    (yyjson_is_str(v) && yyjson_get_len(v))
#define IS_TEXT_OR_NULL(v) (yyjson_is_str(v) || yyjson_is_null(v))

struct event {
    struct str name, data;
    yyjson_val *v; /* NULL: [DONE] */
};

struct chat_choice {
    bool seen, finished;
    uint64_t calls;
};

struct item {
    char *done;            /* what output_item.done said */
    char id[96], type[40]; /* as it was added */
    struct {
        char *p;
        size_t n;
    } text; /* of the open part, or of the arguments */
    uint64_t parts;
    bool in_part, part_said, arguments_said;
};

struct judge {
    enum api api;
    bool failed, done;
    unsigned events;
    /* chat, completions */
    char head[512];
    struct chat_choice choice[CHOICES_MAX];
    bool has_usage;
    /* messages */
    bool started, stopped_blocks;
    int64_t open; /* index of the open block, -1 */
    uint64_t blocks;
    char block_type[40];
    /* responses */
    struct item *items;
    uint64_t n_items;
};

static bool text_is(yyjson_val *v, const char *s)
{
    return yyjson_equals_str(v, s);
}

yyjson_doc *protocol_json(struct str text)
{
    char *ascii = malloc(text.n + 1);

    for (size_t i = 0; i < text.n; i++)
        ascii[i] = (char)((unsigned char)text.p[i] < 0x80 ? text.p[i] : '~');
    yyjson_doc *doc = yyjson_read(ascii, text.n, YYJSON_READ_NUMBER_AS_RAW);
    free(ascii);
    return doc;
}

/* A number as it is written; UINT64_MAX: none. */
static uint64_t number(yyjson_val *v)
{
    uint64_t n = 0;
    size_t len = yyjson_get_len(v);
    const char *p = yyjson_get_raw(v);

    if (!yyjson_is_raw(v) || !len || len > 18)
        return UINT64_MAX;
    for (size_t i = 0; i < len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return UINT64_MAX;
        n = n * 10 + (uint64_t)(p[i] - '0');
    }
    return n;
}

/* The last of that name, as the clients' parsers have it. */
static yyjson_val *member(yyjson_val *object, const char *name)
{
    yyjson_val *key, *v, *found = NULL;
    size_t i, max;

    if (!yyjson_is_obj(object))
        return NULL;
    yyjson_obj_foreach(object, i, max, key, v) if (yyjson_equals_str(key, name)) found = v;
    return found;
}

/* As much as fits. */
static bool copy_text(char *out, size_t size, yyjson_val *v)
{
    size_t n = MIN(yyjson_get_len(v), size - 1);

    if (!yyjson_is_str(v))
        return false;
    memcpy(out, yyjson_get_str(v), n);
    out[n] = 0;
    return true;
}

/* --- chat, completions --------------------------------------------------------------------------
 */

static const char *chat_call(struct chat_choice *c, yyjson_val *call)
{
    uint64_t index = number(GET(call, "index"));
    yyjson_val *id = GET(call, "id"), *custom = GET(call, "custom");
    yyjson_val *function = custom ? custom : GET(call, "function");
    yyjson_val *text = GET(function, custom ? "input" : "arguments");

    RULE(index <= c->calls); /* calls are numbered from 0 without gaps */
    if (index == c->calls) {
        c->calls++;
        RULE(IS_SOME_TEXT(id));
        RULE(IS(GET(call, "type"), custom ? "custom" : "function"));
        RULE(IS_TEXT(GET(function, "name")));
    } else {
        RULE(!id);
        RULE(!GET(function, "name"));
    }
    RULE(!text || IS_TEXT(text)); /* never null */
    return NULL;
}

static const char *chat_delta(struct chat_choice *c, yyjson_val *delta)
{
    static const char *const texts[] = {"content", "refusal"};
    yyjson_val *calls = GET(delta, "tool_calls"), *call, *role = GET(delta, "role");
    size_t i, max;

    RULE(yyjson_is_obj(delta));
    for (size_t t = 0; t < ARRAY_LEN(texts); t++)
        RULE(!GET(delta, texts[t]) || IS_TEXT_OR_NULL(GET(delta, texts[t])));
    RULE(!GET(delta, "reasoning_content") || IS_TEXT(GET(delta, "reasoning_content")));
    RULE(c->seen ? !role : text_is(role, "assistant")); /* the first chunk says it, and only that */
    c->seen = true;
    RULE(!calls || (yyjson_is_arr(calls) && yyjson_arr_size(calls)));
    EACH(calls, i, max, call) TRY(chat_call(c, call));
    return NULL;
}

static const char *chat_choice_check(struct judge *j, yyjson_val *v)
{
    uint64_t index = number(GET(v, "index"));
    yyjson_val *finish = GET(v, "finish_reason");

    RULE(index < CHOICES_MAX);
    struct chat_choice *c = &j->choice[index];
    RULE(!c->finished); /* nothing follows the reason why it ended */
    if (j->api == API_CHAT) {
        TRY(chat_delta(c, GET(v, "delta")));
    } else {
        c->seen = true;
        RULE(IS_TEXT(GET(v, "text")));
    }
    RULE(IS_TEXT_OR_NULL(finish));
    c->finished = IS_TEXT(finish);
    return NULL;
}

static const char *chat_event(struct judge *j, const struct event *e)
{
    static const char *const members[] = {"id", "model", "created", "object"};
    yyjson_val *choices = GET(e->v, "choices"), *choice;
    char head[512];
    size_t i, max, at = 0;

    RULE(!e->name.n); /* chat has no event lines */
    if (!e->v) {
        j->done = true;
        return NULL;
    }
    if (GET(e->v, "error")) {
        RULE(IS_TEXT(GET(GET(e->v, "error"), "message")));
        j->failed = true;
        return NULL;
    }
    for (i = 0; i < ARRAY_LEN(members); i++) {
        yyjson_val *m = GET(e->v, members[i]);
        RULE(IS_TEXT(m) || number(m) != UINT64_MAX);
        const char *p = IS_TEXT(m) ? yyjson_get_str(m) : yyjson_get_raw(m);
        RULE(at + yyjson_get_len(m) + 1 < sizeof head);
        memcpy(head + at, p, yyjson_get_len(m));
        at += yyjson_get_len(m);
        head[at++] = ' ';
    }
    head[at] = 0;
    if (!j->head[0])
        memcpy(j->head, head, sizeof head);
    RULE(strcmp(head, j->head) == 0); /* the same in every chunk */
    RULE(IS(GET(e->v, "object"), j->api == API_CHAT ? "chat.completion.chunk" : "text_completion"));
    RULE(yyjson_is_arr(choices));
    RULE(!j->has_usage); /* the chunk of usage is the last */
    if (yyjson_is_obj(GET(e->v, "usage"))) {
        RULE(yyjson_arr_size(choices) == 0);
        j->has_usage = true;
    } else {
        RULE(yyjson_arr_size(choices) > 0);
    }
    EACH(choices, i, max, choice) TRY(chat_choice_check(j, choice));
    return NULL;
}

static const char *chat_end(const struct judge *j)
{
    unsigned finished = 0;

    for (unsigned i = 0; i < CHOICES_MAX; i++) {
        RULE(!j->choice[i].seen || j->choice[i].finished); /* every choice has its reason */
        finished += j->choice[i].finished;
    }
    RULE(finished > 0);
    return NULL;
}

/* --- messages -----------------------------------------------------------------------------------
 */

static const char *message_delta_check(const struct judge *j, yyjson_val *delta)
{
    static const struct {
        const char *block, *delta, *member;
    } rows[] = {
        {"text", "text_delta", "text"},
        {"text", "citations_delta", NULL},
        {"thinking", "thinking_delta", "thinking"},
        {"thinking", "signature_delta", "signature"},
        {"tool_use", "input_json_delta", "partial_json"},
        {"server_tool_use", "input_json_delta", "partial_json"},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!strcmp(rows[i].block, j->block_type) && text_is(GET(delta, "type"), rows[i].delta)) {
            RULE(rows[i].member ? IS_TEXT(GET(delta, rows[i].member))
                                : yyjson_is_obj(GET(delta, "citation")));
            return NULL;
        }
    return "a delta of a type that its block does not take";
}

static const char *message_usage(yyjson_val *usage)
{
    RULE(number(GET(usage, "input_tokens")) != UINT64_MAX);
    RULE(number(GET(usage, "output_tokens")) != UINT64_MAX);
    return NULL;
}

static const char *message_block(struct judge *j, yyjson_val *block)
{
    RULE(yyjson_is_obj(block));
    RULE(copy_text(j->block_type, sizeof j->block_type, GET(block, "type")));
    if (text_is(GET(block, "type"), "tool_use")) {
        RULE(IS_SOME_TEXT(GET(block, "id")));
        RULE(IS_TEXT(GET(block, "name")));
        RULE(yyjson_is_obj(GET(block, "input")));
    } else if (text_is(GET(block, "type"), "text")) {
        RULE(IS_TEXT(GET(block, "text")));
    } else if (text_is(GET(block, "type"), "thinking")) {
        RULE(IS_TEXT(GET(block, "thinking")));
    }
    return NULL;
}

static const char *message_event(struct judge *j, const struct event *e)
{
    yyjson_val *type = GET(e->v, "type"), *message = GET(e->v, "message");

    RULE(e->v != NULL); /* no [DONE] */
    RULE(yyjson_equals_strn(type, e->name.p, e->name.n));
    if (IS(type, "error")) {
        RULE(IS_TEXT(GET(GET(e->v, "error"), "type")));
        RULE(IS_TEXT(GET(GET(e->v, "error"), "message")));
        j->failed = true;
        return NULL;
    }
    if (!j->started) {
        RULE(IS(type, "message_start"));
        RULE(IS_SOME_TEXT(GET(message, "id")));
        RULE(yyjson_is_arr(GET(message, "content")) && !yyjson_arr_size(GET(message, "content")));
        RULE(yyjson_is_null(GET(message, "stop_reason")));
        j->started = true;
        j->open = -1;
        return message_usage(GET(message, "usage"));
    }
    RULE(!j->done); /* nothing follows message_stop */
    if (IS(type, "ping"))
        return NULL;
    if (IS(type, "content_block_start")) {
        RULE(j->open < 0 && !j->stopped_blocks);
        RULE(number(GET(e->v, "index")) == j->blocks);
        j->open = (int64_t)j->blocks++;
        return message_block(j, GET(e->v, "content_block"));
    }
    if (IS(type, "content_block_delta")) {
        RULE(j->open >= 0 && number(GET(e->v, "index")) == (uint64_t)j->open);
        return message_delta_check(j, GET(e->v, "delta"));
    }
    if (IS(type, "content_block_stop")) {
        RULE(j->open >= 0 && number(GET(e->v, "index")) == (uint64_t)j->open);
        j->open = -1;
        return NULL;
    }
    if (IS(type, "message_delta")) {
        RULE(j->open < 0 && !j->stopped_blocks);
        RULE(IS_TEXT(GET(GET(e->v, "delta"), "stop_reason")));
        j->stopped_blocks = true;
        return message_usage(GET(e->v, "usage"));
    }
    RULE(IS(type, "message_stop"));
    RULE(j->stopped_blocks);
    j->done = true;
    return NULL;
}

/* --- responses ----------------------------------------------------------------------------------
 */

static struct item *item_at(struct judge *j, yyjson_val *v)
{
    uint64_t index = number(GET(v, "output_index"));

    return index < j->n_items ? &j->items[index] : NULL;
}

static const char *item_said(struct item *i, yyjson_val *v, const char *what)
{
    yyjson_val *text = GET(v, what);

    RULE(IS_TEXT(text));
    RULE(yyjson_equals_strn(text, i->text.p ? i->text.p : "", i->text.n)); /* all of its deltas */
    return NULL;
}

static const char *item_more(struct item *i, yyjson_val *v)
{
    yyjson_val *delta = GET(v, "delta");
    size_t n = yyjson_get_len(delta);

    RULE(IS_TEXT(delta));
    i->text.p = realloc(i->text.p, i->text.n + n + 1);
    memcpy(i->text.p + i->text.n, yyjson_get_str(delta), n);
    i->text.n += n;
    return NULL;
}

static const char *part_begin(struct item *i, yyjson_val *v, const char *index)
{
    RULE(!i->in_part);
    RULE(number(GET(v, index)) == i->parts);
    RULE(yyjson_is_obj(GET(v, "part")));
    i->in_part = true;
    i->part_said = false;
    i->parts++;
    i->text.n = 0;
    return NULL;
}

static const char *part_inside(const struct item *i, yyjson_val *v, const char *index)
{
    RULE(i->in_part);
    RULE(number(GET(v, index)) == i->parts - 1);
    return NULL;
}

static const char *part_text(struct item *i, yyjson_val *v)
{
    yyjson_val *part = GET(v, "part");

    return item_said(i, part, GET(part, "refusal") ? "refusal" : "text");
}

static const char *part_end(struct item *i, yyjson_val *v)
{
    RULE(i->part_said);
    i->in_part = false;
    return part_text(i, v);
}

/* Items the gateway makes. */
static bool is_own(const char *type)
{
    static const char *const own[] = {"message", "reasoning", "function_call", "custom_tool_call"};
    bool is = false;

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        is |= !strcmp(type, own[i]);
    return is;
}

static const char *item_added(struct judge *j, yyjson_val *v)
{
    yyjson_val *item = GET(v, "item");

    RULE(number(GET(v, "output_index")) == j->n_items);
    RULE(j->n_items < BLOCKS_MAX);
    struct item *i = &j->items[j->n_items++];
    *i = (struct item){0};
    if (!copy_text(i->type, sizeof i->type, GET(item, "type")) || !is_own(i->type) ||
        yyjson_arr_size(GET(item, "content")) || yyjson_arr_size(GET(item, "summary"))) {
        i->type[0] = 0; /* an upstream's, as it is */
        return NULL;
    }
    RULE(copy_text(i->id, sizeof i->id, GET(item, "id")));
    RULE(strcmp(i->type, "message") || yyjson_is_arr(GET(item, "content")));
    RULE(strcmp(i->type, "reasoning") || yyjson_is_arr(GET(item, "summary")));
    RULE(strcmp(i->type, "function_call") ||
         (IS(GET(item, "arguments"), "") && IS_SOME_TEXT(GET(item, "call_id")) &&
          IS_TEXT(GET(item, "name"))));
    return NULL;
}

static const char *item_done(struct judge *j, yyjson_val *v)
{
    struct item *i = item_at(j, v);
    yyjson_val *item = GET(v, "item");

    RULE(i && !i->done);
    RULE(!i->in_part);
    if (i->id[0])
        RULE(IS(GET(item, "id"), i->id) && IS(GET(item, "type"), i->type));
    if (!strcmp(i->type, "function_call")) {
        RULE(i->arguments_said);
        TRY(item_said(i, item, "arguments"));
    } else if (!strcmp(i->type, "custom_tool_call")) {
        RULE(i->arguments_said);
        TRY(item_said(i, item, "input"));
    } else if (!strcmp(i->type, "message")) {
        RULE(yyjson_arr_size(GET(item, "content")) == i->parts);
    } else if (!strcmp(i->type, "reasoning")) {
        RULE(yyjson_arr_size(GET(item, "summary")) == i->parts ||
             yyjson_arr_size(GET(item, "content")));
    }
    i->done = yyjson_val_write(item, 0, NULL);
    return NULL;
}

/* The events inside an item. */
static const char *item_event(struct judge *j, yyjson_val *v)
{
    yyjson_val *type = GET(v, "type");
    struct item *i = item_at(j, v);

    RULE(i && !i->done);
    RULE(IS(GET(v, "item_id"), i->id));
    if (IS(type, "response.content_part.added"))
        return part_begin(i, v, "content_index");
    if (IS(type, "response.reasoning_summary_part.added"))
        return part_begin(i, v, "summary_index");
    if (IS(type, "response.function_call_arguments.delta") ||
        IS(type, "response.custom_tool_call_input.delta"))
        return item_more(i, v);
    if (IS(type, "response.function_call_arguments.done") ||
        IS(type, "response.custom_tool_call_input.done")) {
        RULE(!i->arguments_said);
        i->arguments_said = true;
        return item_said(i, v,
                         IS(type, "response.custom_tool_call_input.done") ? "input" : "arguments");
    }
    TRY(part_inside(i, v, !strcmp(i->type, "reasoning") ? "summary_index" : "content_index"));
    if (IS(type, "response.output_text.delta") || IS(type, "response.refusal.delta") ||
        IS(type, "response.reasoning_summary_text.delta")) {
        RULE(!i->part_said);
        return item_more(i, v);
    }
    if (IS(type, "response.output_text.annotation.added")) {
        RULE(yyjson_is_obj(GET(v, "annotation")));
        return NULL;
    }
    if (IS(type, "response.content_part.done") || IS(type, "response.reasoning_summary_part.done"))
        return part_end(i, v);
    RULE(IS(type, "response.output_text.done") || IS(type, "response.refusal.done") ||
         IS(type, "response.reasoning_summary_text.done"));
    RULE(!i->part_said);
    i->part_said = true;
    return item_said(i, v, IS(type, "response.refusal.done") ? "refusal" : "text");
}

static const char *response_complete(struct judge *j, yyjson_val *response)
{
    yyjson_val *output = GET(response, "output"), *item;
    size_t i, max;

    RULE(yyjson_arr_size(output) == j->n_items);
    EACH(output, i, max, item)
    {
        char *text = yyjson_val_write(item, 0, NULL);
        bool same = j->items[i].done && strcmp(text, j->items[i].done) == 0;
        free(text);
        RULE(same);
    }
    return NULL;
}

static const char *response_event(struct judge *j, const struct event *e)
{
    static const char *const ends[] = {"response.completed", "response.incomplete",
                                       "response.failed"};
    yyjson_val *type = GET(e->v, "type"), *response = GET(e->v, "response");

    RULE(e->v != NULL);
    RULE(yyjson_equals_strn(type, e->name.p, e->name.n));
    RULE(number(GET(e->v, "sequence_number")) == j->events); /* from 0, without gaps */
    if (IS(type, "error")) {
        RULE(IS_TEXT(GET(e->v, "message")));
        j->failed = true;
        return NULL;
    }
    RULE(j->events != 0 || IS(type, "response.created"));
    RULE(j->events != 1 || IS(type, "response.in_progress"));
    if (j->events < 2) {
        RULE(IS(GET(response, "status"), "in_progress"));
        RULE(yyjson_is_arr(GET(response, "output")) && !yyjson_arr_size(GET(response, "output")));
        return NULL;
    }
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        if (!text_is(type, ends[i]))
            continue;
        RULE(IS(GET(response, "status"), ends[i] + 9));
        j->failed = i == 2;
        j->done = !j->failed;
        return j->failed ? NULL : response_complete(j, response);
    }
    if (IS(type, "response.output_item.added"))
        return item_added(j, e->v);
    if (IS(type, "response.output_item.done"))
        return item_done(j, e->v);
    return item_event(j, e->v);
}

/* --- all ----------------------------------------------------------------------------------------
 */

/* The framing this gateway writes: one name at most, one line of data, an empty line. */
static const char *next_event(struct str *rest, struct event *e)
{
    struct str line;

    *e = (struct event){0};
    RULE(str_cut(*rest, '\n', &line, rest));
    if (str_starts(line, STR("event: "))) {
        e->name = str_from(line, 7);
        RULE(e->name.n);
        RULE(str_cut(*rest, '\n', &line, rest));
    }
    RULE(str_starts(line, STR("data: ")));
    e->data = str_from(line, 6);
    RULE(str_cut(*rest, '\n', &line, rest) && !line.n);
    return NULL;
}

static const char *judge_event(struct judge *j, struct event *e)
{
    yyjson_doc *doc = NULL;
    const char *broken;

    RULE(!j->done && !j->failed); /* nothing follows the end */
    RULE(e->data.n > 0);
    if (!str_eq(e->data, STR("[DONE]"))) {
        doc = protocol_json(e->data);
        RULE(doc != NULL); /* data is JSON */
    }
    e->v = yyjson_doc_get_root(doc);
    broken = j->api == API_MESSAGES    ? message_event(j, e)
             : j->api == API_RESPONSES ? response_event(j, e)
                                       : chat_event(j, e);
    yyjson_doc_free(doc);
    j->events++;
    return broken;
}

static const char *judge_stream(struct judge *j, struct str stream, enum protocol_end end,
                                size_t *ret_at)
{
    struct str rest = stream;
    struct event e;

    RULE(!stream.n || (!memchr(stream.p, '\r', stream.n) && !memchr(stream.p, 0, stream.n)));
    while (rest.n) {
        *ret_at = stream.n - rest.n;
        TRY(next_event(&rest, &e));
        TRY(judge_event(j, &e));
    }
    *ret_at = stream.n;
    RULE(j->done == (end == PROTOCOL_DONE));
    RULE(j->failed == (end == PROTOCOL_FAILED));
    return j->done && (j->api == API_CHAT || j->api == API_COMPLETIONS) ? chat_end(j) : NULL;
}

const char *protocol_check(enum api client, struct str stream, enum protocol_end end,
                           size_t *ret_at)
{
    struct judge *j = calloc(1, sizeof *j);

    j->api = client;
    if (client == API_RESPONSES)
        j->items = calloc(BLOCKS_MAX, sizeof *j->items);
    const char *broken = judge_stream(j, stream, end, ret_at);
    for (uint64_t i = 0; i < j->n_items; i++)
        free(j->items[i].text.p), free(j->items[i].done);
    free(j->items);
    free(j);
    return broken;
}

static const char *chat_whole(enum api client, yyjson_val *v)
{
    yyjson_val *choices = GET(v, "choices"), *choice, *call;
    size_t i, max, k, calls;

    RULE(IS(GET(v, "object"), client == API_CHAT ? "chat.completion" : "text_completion"));
    RULE(yyjson_arr_size(choices) > 0);
    EACH(choices, i, max, choice)
    {
        yyjson_val *message = GET(choice, "message");
        RULE(IS_TEXT(GET(choice, "finish_reason")));
        if (client != API_CHAT) {
            RULE(IS_TEXT(GET(choice, "text")));
            continue;
        }
        RULE(IS(GET(message, "role"), "assistant"));
        RULE(IS_TEXT_OR_NULL(GET(message, "content")));
        EACH(GET(message, "tool_calls"), k, calls, call)
        {
            yyjson_val *custom = GET(call, "custom");
            RULE(IS_SOME_TEXT(GET(call, "id")));
            RULE(IS_TEXT(custom ? GET(custom, "input") : GET(GET(call, "function"), "arguments")));
        }
    }
    return NULL;
}

static const char *message_whole(yyjson_val *v)
{
    yyjson_val *block;
    size_t i, max;
    struct judge j;

    RULE(IS(GET(v, "type"), "message"));
    RULE(IS(GET(v, "role"), "assistant"));
    RULE(yyjson_is_arr(GET(v, "content")));
    RULE(IS_TEXT(GET(v, "stop_reason")));
    EACH(GET(v, "content"), i, max, block) TRY(message_block(&j, block));
    return message_usage(GET(v, "usage"));
}

static const char *response_whole(yyjson_val *v)
{
    yyjson_val *item;
    size_t i, max;

    RULE(IS(GET(v, "object"), "response"));
    RULE(IS(GET(v, "status"), "completed") || IS(GET(v, "status"), "incomplete"));
    RULE(yyjson_is_arr(GET(v, "output")));
    EACH(GET(v, "output"), i, max, item) RULE(yyjson_is_obj(item));
    return NULL;
}

const char *protocol_check_whole(enum api client, struct str reply)
{
    yyjson_doc *doc = protocol_json(reply);
    yyjson_val *v = yyjson_doc_get_root(doc);
    const char *broken = !yyjson_is_obj(v)         ? "a reply is a JSON object"
                         : client == API_MESSAGES  ? message_whole(v)
                         : client == API_RESPONSES ? response_whole(v)
                                                   : chat_whole(client, v);

    yyjson_doc_free(doc);
    return broken;
}
