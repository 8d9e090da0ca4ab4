/*
 * Replies of the Messages dialect by itself: read into events, events written as replies. Whole
 * ways between two APIs: tests/cases/translate.
 */

#include "dialect/event.h"
#include "dialect/sse.h"
#include "tests/unit/test.h"

static struct bufpool pool;
static struct arena_pool blocks;
static struct arena arena;
static struct neutral n;

static int setup(void **state)
{
    (void)state;
    pool.ceiling = 256 << 20;
    arena_init(&arena, &blocks, 64 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
    arena_pool_deinit(&blocks);
    return 0;
}

/* ---- read ---- */

static struct buf dump;
static struct reply_scan scan;
static struct json_tape tape;
static void *reader;

static void say(const char *fmt, ...) PRINTF(1, 2);
static void say(const char *fmt, ...)
{
    char text[512];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    assert_true(buf_add(&pool, &dump, text, (size_t)len));
}

/* An event a line. */
static void on_event(void *ctx, const struct event *e)
{
    static const char *const kinds[] = {"start",    "block", "delta",  "signature", "citation",
                                        "logprobs", "end",   "opaque", "finish",    "usage",
                                        "error",    "ping",  "done"};
    static const char *const block_kinds[] = {"text", "refusal", "reasoning", "call"};

    (void)ctx;
    assert_true(e->origin == API_MESSAGES);
    say("%s", kinds[e->kind]);
    if (e->kind >= EVENT_BLOCK && e->kind <= EVENT_BLOCK_END)
        say(" %u", e->block);
    if (e->kind == EVENT_BLOCK)
        say(" %s%s%s", block_kinds[e->block_kind], e->is_custom ? " custom" : "",
            e->is_redacted ? " redacted" : "");
    if (e->kind == EVENT_FINISH)
        say(" %u", e->stop);
    if (e->id.n)
        say(" id=" STR_FMT, STR_ARG(e->id));
    if (e->name.n)
        say(" name=" STR_FMT, STR_ARG(e->name));
    if (e->text.p)
        say(" \"" STR_FMT "\"", STR_ARG(e->text));
    if (e->signature.n)
        say(" sig=" STR_FMT, STR_ARG(e->signature));
    if (e->stop_sequence.n)
        say(" at=" STR_FMT, STR_ARG(e->stop_sequence));
    if (e->raw.n)
        say(" " STR_FMT, STR_ARG(e->raw));
    if (e->usage)
        say(" %llu+%llu+%llu %llu+%llu", (unsigned long long)e->usage->input,
            (unsigned long long)e->usage->cache_read, (unsigned long long)e->usage->cache_write,
            (unsigned long long)e->usage->output, (unsigned long long)e->usage->reasoning);
    if (e->service_tier.n)
        say(" tier=" STR_FMT, STR_ARG(e->service_tier));
    if (e->error)
        say(" %u " STR_FMT ": " STR_FMT, e->error->status, STR_ARG(e->error->type),
            STR_ARG(e->error->message));
    say("\n");
}

static bool on_sse(void *ctx, struct str name, struct str data)
{
    (void)ctx;
    if (json_tape_read(&tape, data.p, data.n) != JSON_TAPE_DONE)
        return false;
    anthropic_messages.read_event(reader, name, &tape);
    return true;
}

static void reader_begin(event_fn emit, void *ctx)
{
    const struct reader_env env = {
        .emit = emit, .ctx = ctx, .pool = &pool, .arena = &arena, .scan = &scan, .request = &n};

    reply_scan_init(&scan);
    json_tape_init(&tape, &pool);
    reader = arena_zalloc(&arena, anthropic_messages.reader_size);
    anthropic_messages.reader_init(reader, &env);
}

static void reader_done(void)
{
    anthropic_messages.reader_deinit(reader);
    json_tape_deinit(&tape);
}

/* Events one a line; what is no stream is a whole reply. */
static void read_reply(const char *text, event_fn emit, void *ctx, bool *ret_complete)
{
    struct str rest = str_of(text), line;

    reader_begin(emit, ctx);
    if (text[0] == '{' && !strstr(text, "\n")) {
        assert_int_equal(json_tape_read(&tape, text, strlen(text)), JSON_TAPE_DONE);
        anthropic_messages.read_reply(reader, &tape);
    }
    while (strstr(text, "\n") && rest.n) {
        (void)str_cut(rest, '\n', &line, &rest);
        assert_true(on_sse(NULL, (struct str){0}, line));
    }
    *ret_complete = anthropic_messages.reader_end(reader, false);
    reader_done();
}

static void expect_events(const char *what, const char *in, const char *want, bool want_complete)
{
    bool complete;

    dump.n = 0;
    read_reply(in, on_event, NULL, &complete);
    struct str got = {dump.p, dump.n};
    if (!str_eq(got, str_of(want)))
        fail_msg("%s\ngot\n%.*s\nwanted\n%s", what, STR_ARG(got), want);
    assert_int_equal(complete, want_complete);
    buf_free(&pool, &dump);
}

#define START                                                                                      \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"m1\",\"usage\":{\"input_tokens\":9,"        \
    "\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n"
#define BLOCK(i, block)                                                                            \
    "{\"type\":\"content_block_start\",\"index\":" #i ",\"content_block\":" block "}\n"
#define DELTA(i, delta) "{\"type\":\"content_block_delta\",\"index\":" #i ",\"delta\":" delta "}\n"
#define STOP(i)         "{\"type\":\"content_block_stop\",\"index\":" #i "}\n"
#define FINISH(reason)                                                                             \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{"           \
    "\"output_tokens\":7,\"input_tokens\":null}}\n{\"type\":\"message_stop\"}\n"

static void test_reply_read(void **state)
{
    static const struct {
        const char *what, *in, *want;
        bool complete;
    } rows[] = {
        {"text",
         START BLOCK(0, "{\"type\":\"text\",\"text\":\"a\"}") "{\"type\":\"ping\"}\n" DELTA(
             0, "{\"type\":\"text_delta\",\"text\":\"b\"}") STOP(0) FINISH("end_turn"),
         "start id=m1\nblock 0 text\ndelta 0 \"a\"\nping\ndelta 0 \"b\"\nend 0\nfinish 0\n"
         "usage 9+5+0 7+0\ndone\n",
         true},
        {"thinking, its signature, a redacted one",
         START BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
             DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}")
                 DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"S\"}") STOP(0)
                     BLOCK(1, "{\"type\":\"redacted_thinking\",\"data\":\"D\"}") STOP(1)
                         FINISH("end_turn"),
         "start id=m1\nblock 0 reasoning\ndelta 0 \"t\"\nsignature 0 sig=S\nend 0\n"
         "block 1 reasoning redacted\nsignature 1 sig=D\nend 1\nfinish 0\nusage 9+5+0 7+0\ndone\n",
         true},
        {"tools: fragments, none, an input at once",
         START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}}")
             DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"\"}") DELTA(
                 0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":1\"}")
                 DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"}\"}") STOP(0)
                     BLOCK(1, "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\",\"input\":{}}")
                         STOP(1) BLOCK(2, "{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"g\","
                                          "\"input\":{\"y\":1.0}}") STOP(2) FINISH("tool_use"),
         "start id=m1\nblock 0 call id=a name=f\ndelta 0 \"{\\\"x\\\":1\"\ndelta 0 \"}\"\nend 0\n"
         "block 1 call id=b name=g\ndelta 1 \"{}\"\nend 1\n"
         "block 2 call id=c name=g\ndelta 2 \"{\\\"y\\\":1.0}\"\nend 2\n"
         "finish 4\nusage 9+5+0 7+0\ndone\n",
         true},
        {"half a character waits for the other (F.16)",
         START BLOCK(0, "{\"type\":\"text\",\"text\":\"\"}")
             DELTA(0, "{\"type\":\"text_delta\",\"text\":\"a\\ud83d\"}")
                 DELTA(0, "{\"type\":\"text_delta\",\"text\":\"\\ude00b\"}")
                     DELTA(0, "{\"type\":\"text_delta\",\"text\":\"\\ud83d\"}")
                         DELTA(0, "{\"type\":\"text_delta\",\"text\":\"c\\udc00\\ud800\"}") STOP(0)
                             FINISH("max_tokens"),
         "start id=m1\nblock 0 text\ndelta 0 \"a\"\ndelta 0 \"\\ud83d\\ude00b\"\n"
         "delta 0 \"\\ufffdc\\ufffd\"\ndelta 0 \"\\ufffd\"\nend 0\nfinish 2\nusage 9+5+0 7+0\n"
         "done\n",
         true},
        {"server tools, whole; their input where it belongs",
         START BLOCK(0, "{\"type\":\"server_tool_use\",\"id\":\"s\",\"input\":{},\"name\":\"w\"}")
             DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"q\\\":\"}")
                 DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}") STOP(0)
                     BLOCK(1, "{\"type\":\"web_search_tool_result\",\"content\":[]}") STOP(1)
                         BLOCK(2, "{\"type\":\"text\",\"text\":\"x\"}")
                             DELTA(2, "{\"type\":\"citations_delta\",\"citation\":{\"url\":\"u\"}}")
                                 STOP(2) FINISH("pause_turn"),
         "start id=m1\nopaque {\"type\":\"server_tool_use\",\"id\":\"s\",\"input\":{\"q\":1},"
         "\"name\":\"w\"}\nopaque {\"type\":\"web_search_tool_result\",\"content\":[]}\n"
         "block 0 text\ndelta 0 \"x\"\ncitation 0 {\"url\":\"u\"}\nend 0\nfinish 6\n"
         "usage 9+5+0 7+0\ndone\n",
         true},
        {"a refusal and its reason",
         START
         "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\",\"stop_details\":"
         "{\"type\":\"refusal\",\"explanation\":\"no\"}}}\n{\"type\":\"message_stop\"}\n",
         "start id=m1\nfinish 5 \"no\"\nusage 9+5+0 1+0\ndone\n", true},
        {"usage later and again",
         START "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"stop_sequence\","
               "\"stop_sequence\":\"X\"},\"usage\":{\"output_tokens\":3}}\n"
               "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"output_tokens\":4,"
               "\"output_tokens_details\":{\"thinking_tokens\":3},\"service_tier\":\"priority\"}}\n"
               "{\"type\":\"message_stop\"}\n",
         "start id=m1\nfinish 1 at=X\nusage 9+5+0 3+0\nusage 9+5+0 1+3 tier=priority\ndone\n",
         true},
        {"cut", START BLOCK(0, "{\"type\":\"text\",\"text\":\"a\"}"),
         "start id=m1\nblock 0 text\ndelta 0 \"a\"\n", false},
        {"finished, but without its last event",
         START "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n",
         "start id=m1\nfinish 0\nusage 9+5+0 1+0\ndone\n", true},
        {"an error",
         START
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n"
         "{\"type\":\"ping\"}\n",
         "start id=m1\nerror 529 : busy\n", true},
        {"what is broken or unknown",
         START "{\"type\":\"zork\"}\n[]\n{}\n" DELTA(7, "{\"type\":\"input_json_delta\","
                                                        "\"partial_json\":\"x\"}")
             DELTA(3, "{\"type\":\"text_delta\",\"text\":\"no start\"}") DELTA(
                 3, "{\"type\":\"zork_delta\",\"zork\":1}") BLOCK(4, "{\"type\":\"tool_use\","
                                                                     "\"id\":\"a\",\"name\":\"f\"}")
                 BLOCK(5, "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"g\"}")
                     DELTA(4, "{\"type\":\"input_json_delta\",\"partial_json\":\"{}\"}") STOP(9)
                         FINISH("end_turn"),
         "start id=m1\nblock 0 text\ndelta 0 \"no start\"\nend 0\nblock 1 call id=a name=f\n"
         "block 2 call id=b name=g\ndelta 1 \"{}\"\ndelta 2 \"{}\"\nend 2\nend 1\nfinish 0\n"
         "usage 9+5+0 7+0\ndone\n",
         true},
        {"a whole reply",
         "{\"id\":\"m2\",\"type\":\"message\",\"content\":[{\"type\":\"thinking\",\"thinking\":"
         "\"t\",\"signature\":\"S\"},{\"type\":\"text\",\"text\":\"a\",\"citations\":[{\"c\":1},{"
         "\"c\":2}]},{\"type\":\"tool_use\",\"id\":\"x\",\"name\":\"f\",\"input\":{\"n\":1E5}}],"
         "\"stop_reason\":\"tool_use\",\"usage\":{\"input_tokens\":1,\"output_tokens\":2,"
         "\"service_tier\":\"standard\"}}",
         "start id=m2\nblock 0 reasoning\ndelta 0 \"t\"\nsignature 0 sig=S\nend 0\nblock 1 text\n"
         "delta 1 \"a\"\ncitation 1 {\"c\":1}\ncitation 1 {\"c\":2}\nend 1\n"
         "block 2 call id=x name=f\ndelta 2 \"{\\\"n\\\":1E5}\"\nend 2\nfinish 4\n"
         "usage 1+0+0 2+0 tier=standard\ndone\n",
         true},
        {"a whole error",
         "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"slow\"}}",
         "error 429 : slow\n", true},
        {"no reply at all", "{\"status\":\"up\"}",
         "error 502 : The model service sent an answer that cannot be understood.\n", true},
        {"an empty one", "{\"content\":[],\"stop_reason\":\"end_turn\"}", "start\nfinish 0\ndone\n",
         true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memset(&n, 0, sizeof n);
        n.arena = &arena;
        expect_events(rows[i].what, rows[i].in, rows[i].want, rows[i].complete);
    }
    assert_str(((struct str){scan.response_id, scan.response_id_n}), "");
}

/* The tool in place of structured output, and tools of free text, become what they stand for. */
static void test_reply_undone(void **state)
{
    static const char answer[] = START BLOCK(0, "{\"type\":\"text\",\"text\":\"Here:\"}") STOP(0)
        BLOCK(1, "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"json_tool_call\",\"input\":{}}")
            DELTA(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"x\\\":\"}")
                DELTA(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}") STOP(1)
                    FINISH("tool_use");
    static const char prose[] =
        START BLOCK(0, "{\"type\":\"text\",\"text\":\"No.\"}") STOP(0) FINISH("end_turn");
    struct tool *t;

    (void)state;
    memset(&n, 0, sizeof n);
    n.arena = &arena;
    n.emulates_schema = true;
    expect_events("answer", answer,
                  "start id=m1\nblock 0 text\ndelta 0 \"{\\\"x\\\":\"\ndelta 0 \"1}\"\nend 0\n"
                  "finish 0\nusage 9+5+0 7+0\ndone\n",
                  true);
    expect_events("no answer", prose,
                  "start id=m1\nblock 0 text\ndelta 0 \"No.\"\nend 0\nfinish 0\n"
                  "usage 9+5+0 7+0\ndone\n",
                  true);
    n.emulates_schema = false;
    t = neutral_tool(&n, TOOL_CUSTOM);
    t->name = JSTR("my.patch");
    struct jstr sent = neutral_wrapped_name(&n, t->name, 128);
    struct str stream = arena_printf(
        &arena,
        START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"%.*s\"}")
            DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"content\\\": "
                     "\\\"a\\\\\"}") DELTA(0, "{\"type\":\"input_json_delta\",\"partial_json\":"
                                              "\"nb\\\\u00e9\\\"}\"}") STOP(0) FINISH("tool_use"),
        STR_ARG(sent));
    expect_events("custom", stream.p,
                  "start id=m1\nblock 0 call custom id=a name=my.patch\ndelta 0 \"a\"\n"
                  "delta 0 \"\\nb\\u00e9\"\nend 0\nfinish 4\nusage 9+5+0 7+0\ndone\n",
                  true);
    stream = arena_printf(&arena,
                          START BLOCK(0, "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"%.*s\","
                                         "\"input\":{\"content\":\"x\"}}") STOP(0)
                              BLOCK(1, "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":"
                                       "\"%.*s\"}")
                                  DELTA(1, "{\"type\":\"input_json_delta\",\"partial_json\":\"{ "
                                           "\"}")
                                      DELTA(1, "{\"type\":\"input_json_delta\",\"partial_json\":"
                                               "\"\\\"z\\\":1}\"}") STOP(1) FINISH("tool_use"),
                          STR_ARG(sent), STR_ARG(sent));
    expect_events("custom at once, and not as it was told", stream.p,
                  "start id=m1\nblock 0 call custom id=a name=my.patch\ndelta 0 \"x\"\nend 0\n"
                  "block 1 call custom id=b name=my.patch\ndelta 1 \"{ \\\"z\\\":1}\"\nend 1\n"
                  "finish 4\nusage 9+5+0 7+0\ndone\n",
                  true);
}

/* --- replies written -------------------------------------------------------------------------
 */

static void *writer;
static struct jout out;

static void writer_begin(bool stream)
{
    const struct writer_env env = {.out = &out,
                                   .arena = &arena,
                                   .request = &n,
                                   .model = STR("\"public\""),
                                   .seed = {1, 2},
                                   .stream = stream};

    dump.n = 0;
    out = jout_init(&pool, &dump);
    writer = arena_zalloc(&arena, anthropic_messages.writer_size);
    anthropic_messages.writer_init(writer, &env);
}

static void writer_done(void)
{
    anthropic_messages.writer_deinit(writer);
    jout_deinit(&out);
    assert_false(out.failed);
}

static void on_write(void *ctx, const struct event *e)
{
    (void)ctx;
    anthropic_messages.write(writer, e);
}

/* Only the data of each event, after its name was compared to its type. */
static bool on_written(void *ctx, struct str name, struct str data)
{
    struct buf *b = ctx;

    assert_int_equal(json_tape_read(&tape, data.p, data.n), JSON_TAPE_DONE);
    struct jstr type = json_text(&tape, JSON_GET(&tape, json_root(&tape), "type"));
    assert_true(str_eq(name, (struct str){type.p, type.n}));
    assert_true(buf_add(&pool, b, data.p, data.n) && buf_add(&pool, b, "\n", 1));
    return true;
}

static void expect_written(const char *what, const char *want)
{
    struct buf lines = {0};
    struct sse sse;

    json_tape_init(&tape, &pool);
    sse_init(&sse, &pool, on_written, &lines);
    assert_true(sse_feed(&sse, dump.p, dump.n) && sse_end(&sse));
    sse_deinit(&sse);
    json_tape_deinit(&tape);
    struct str got = {lines.p, lines.n};
    if (!str_eq(got, str_of(want)))
        fail_msg("%s\ngot\n%.*s\nwanted\n%s", what, STR_ARG(got), want);
    buf_free(&pool, &lines);
}

#define USAGE(in, read, made)                                                                      \
    "\"usage\":{\"input_tokens\":" #in ",\"cache_creation_input_tokens\":0,"                       \
    "\"cache_read_input_tokens\":" #read ",\"output_tokens\":" #made "}"
#define OUT_START                                                                                  \
    "{\"type\":\"message_start\",\"message\":{\"id\":"                                             \
    "\"msg_00000000000000010000000000000002\",\"type\":\"message\",\"role\":\"assistant\","        \
    "\"model\":\"public\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null," USAGE(      \
        0, 0, 0) "}}\n"
#define OUT_END(reason, usage)                                                                     \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"" reason "\","                       \
    "\"stop_sequence\":null,\"stop_details\":null}," usage "}\n"                                   \
    "{\"type\":\"message_stop\"}\n"

/* What this API said comes out as it went in. */
static void test_reply_round_trip(void **state)
{
    static const char in[] =
        START BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
            DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}")
                DELTA(0, "{\"type\":\"signature_delta\",\"signature\":\"S\"}") STOP(0)
                    BLOCK(1, "{\"type\":\"redacted_thinking\",\"data\":\"D\"}") STOP(1)
                        BLOCK(2, "{\"type\":\"text\",\"text\":\"\"}")
                            DELTA(2, "{\"type\":\"text_delta\",\"text\":\"a\\n\"}") DELTA(
                                2, "{\"type\":\"citations_delta\",\"citation\":{\"u\":1}}") STOP(2)
                                BLOCK(3, "{\"type\":\"server_tool_use\",\"id\":\"s\"}") STOP(3)
                                    BLOCK(4, "{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
                                             "\"input\":{}}")
                                        DELTA(4, "{\"type\":\"input_json_delta\",\"partial_json\":"
                                                 "\"{\\\"x\\\":1}\"}") STOP(4) FINISH("tool_use");
    struct str body = str_from(STR(in), sizeof START - 1), head;
    bool complete;

    (void)state;
    memset(&n, 0, sizeof n);
    n.arena = &arena;
    writer_begin(true);
    read_reply(in, on_write, NULL, &complete);
    writer_done();
    body.n = str_find(body, STR("{\"type\":\"message_delta\""));
    head =
        arena_printf(&arena, OUT_START STR_FMT OUT_END("tool_use", USAGE(9, 5, 7)), STR_ARG(body));
    expect_written("stream", head.p);

    writer_begin(false);
    read_reply(in, on_write, NULL, &complete);
    writer_done();
    assert_str(((struct str){dump.p, dump.n}),
               "{\"id\":\"msg_00000000000000010000000000000002\",\"type\":\"message\",\"role\":"
               "\"assistant\",\"model\":\"public\",\"content\":[{\"type\":\"thinking\","
               "\"thinking\":\"t\",\"signature\":\"S\"},{\"type\":\"redacted_thinking\",\"data\":"
               "\"D\"},{\"type\":\"text\",\"text\":\"a\\n\",\"citations\":[{\"u\":1}]},{\"type\":"
               "\"server_tool_use\",\"id\":\"s\"},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":"
               "\"f\",\"input\":{\"x\":1}}],\"stop_reason\":\"tool_use\",\"stop_sequence\":null,"
               "\"stop_details\":null," USAGE(9, 5, 7) "}");
    buf_free(&pool, &dump);
}

#define EV(...) ((struct event){__VA_ARGS__})
#define CALL(b, i)                                                                                 \
    EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_TOOL_CALL, .block = b, .id = JSTR(i),              \
       .name = JSTR("f"))
#define ARGS(b, t)                                                                                 \
    EV(.kind = EVENT_DELTA, .block_kind = BLOCK_TOOL_CALL, .block = b, .text = JSTR(t))
#define END(b)    EV(.kind = EVENT_BLOCK_END, .block = b)
#define TEXT(b)   EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_TEXT, .block = b)
#define SAY(b, t) EV(.kind = EVENT_DELTA, .block_kind = BLOCK_TEXT, .block = b, .text = JSTR(t))
#define OUT_CALL(i, id)                                                                            \
    BLOCK(i, "{\"type\":\"tool_use\",\"id\":\"" id "\",\"name\":\"f\",\"input\":{}}")
#define OUT_ARGS(i, t) DELTA(i, "{\"type\":\"input_json_delta\",\"partial_json\":\"" t "\"}")
#define OUT_TEXT(i)    BLOCK(i, "{\"type\":\"text\",\"text\":\"\"}")
#define OUT_SAY(i, t)  DELTA(i, "{\"type\":\"text_delta\",\"text\":\"" t "\"}")

enum { EVENTS_MAX = 20 };

static void test_reply_written(void **state)
{
    static const struct error_facts broken = {.status = 529, .message = STR_INIT("x")};
    static const struct usage u = {.input = 3,
                                   .cache_read = 2,
                                   .cache_write = 1,
                                   .cache_write_1h = 4,
                                   .output = 5,
                                   .reasoning = 6,
                                   .web_searches = 7,
                                   .seen = 1};
    const struct event begin = {.kind = EVENT_START}, end = {.kind = EVENT_END},
                       stop = {.kind = EVENT_FINISH, .stop = STOP_END},
                       tool = {.kind = EVENT_FINISH, .stop = STOP_TOOL};
    const struct {
        const char *what;
        struct event event[EVENTS_MAX];
        const char *want;
    } rows[] = {
        {"nothing", {begin, stop, end}, OUT_START OUT_END("end_turn", USAGE(0, 0, 0))},
        {"empty texts leave no block",
         {begin, TEXT(0), SAY(0, ""), END(0), TEXT(1), SAY(1, "a"), END(1), stop, end},
         OUT_START OUT_TEXT(0) OUT_SAY(0, "a") STOP(0) OUT_END("end_turn", USAGE(0, 0, 0))},
        {"calls side by side: the second waits",
         {begin, CALL(0, "a"), CALL(1, "b"), ARGS(0, "{\\\"x\\\":"), ARGS(1, "{\\\"y"),
          ARGS(0, "\\\"}\\\"}"), ARGS(1, "\\\":1}"), END(0), END(1), stop, end},
         OUT_START OUT_CALL(0, "a") OUT_ARGS(0, "{\\\"x\\\":") OUT_ARGS(0, "\\\"}\\\"}") STOP(0)
             OUT_CALL(1, "b") OUT_ARGS(1, "{\\\"y") OUT_ARGS(1, "\\\":1}") STOP(1)
                 OUT_END("tool_use", USAGE(0, 0, 0))},
        {"one after the other without ends: not held",
         {begin, CALL(0, "a"), ARGS(0, "{\\\"x\\\":[1]}"), CALL(1, "b"), ARGS(1, "{}"), TEXT(2),
          SAY(2, "t"), END(2), END(1), END(0), tool, end},
         OUT_START OUT_CALL(0, "a") OUT_ARGS(0, "{\\\"x\\\":[1]}") STOP(0) OUT_CALL(1, "b")
             OUT_ARGS(1, "{}") STOP(1) OUT_TEXT(2) OUT_SAY(2, "t") STOP(2)
                 OUT_END("tool_use", USAGE(0, 0, 0))},
        {"never ended",
         {begin, CALL(0, "a"), ARGS(0, "{\\\"x"), CALL(1, "b"), SAY(1, "{}"),
          EV(.kind = EVENT_FINISH, .stop = STOP_LENGTH), end},
         OUT_START OUT_CALL(0, "a") OUT_ARGS(0, "{\\\"x") STOP(0) OUT_CALL(1, "b") OUT_ARGS(1, "{}")
             STOP(1) OUT_END("max_tokens", USAGE(0, 0, 0))},
        {"free text is an object's string; ids in our letters",
         {begin,
          EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_TOOL_CALL, .is_custom = true,
             .id = JSTR("a:1"), .name = JSTR("f")),
          ARGS(0, "x\\n"), ARGS(0, "\\\"y\\\""), END(0), tool, end},
         OUT_START OUT_CALL(0, "a1_bdd9120750ba97c2") OUT_ARGS(0, "{\\\"content\\\":\\\"")
             OUT_ARGS(0, "x\\\\n") OUT_ARGS(0, "\\\\\\\"y\\\\\\\"") OUT_ARGS(0, "\\\"}") STOP(0)
                 OUT_END("tool_use", USAGE(0, 0, 0))},
        {"reasoning of others is sealed, also where nothing is to be read",
         {begin, EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_REASONING),
          EV(.kind = EVENT_DELTA, .block_kind = BLOCK_REASONING, .text = JSTR("t")),
          EV(.kind = EVENT_SIGNATURE, .id = JSTR("rs_1"), .signature = JSTR("E"),
             .origin = API_RESPONSES),
          END(0), EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_REASONING, .block = 1),
          EV(.kind = EVENT_SIGNATURE, .block = 1, .id = JSTR("rs_2"), .signature = JSTR("F"),
             .origin = API_RESPONSES),
          END(1), EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_REASONING, .block = 2), END(2), stop,
          end},
         OUT_START BLOCK(0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}")
             DELTA(0, "{\"type\":\"thinking_delta\",\"thinking\":\"t\"}") DELTA(
                 0, "{\"type\":\"signature_delta\",\"signature\":\"weir1.6.0.4.rs_1E\"}") STOP(0)
                 BLOCK(1, "{\"type\":\"redacted_thinking\",\"data\":\"weir1.6.0.4.rs_2F\"}") STOP(1)
                     OUT_END("end_turn", USAGE(0, 0, 0))},
        {"a refusal is text, and why it stops",
         {begin, EV(.kind = EVENT_BLOCK, .block_kind = BLOCK_REFUSAL),
          EV(.kind = EVENT_DELTA, .block_kind = BLOCK_REFUSAL, .text = JSTR("No.")), END(0), stop,
          end},
         OUT_START OUT_TEXT(0) OUT_SAY(0, "No.")
             STOP(0) "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"refusal\","
                     "\"stop_sequence\":null,\"stop_details\":{\"type\":\"refusal\",\"category\":"
                     "null,\"explanation\":\"No.\"}}," USAGE(0, 0, 0) "}\n{\"type\":"
                                                                      "\"message_stop\"}\n"},
        {"usage in our counting, the last one",
         {begin, EV(.kind = EVENT_USAGE, .usage = &(struct usage){.input = 99}), stop,
          EV(.kind = EVENT_USAGE, .usage = &u, .service_tier = JSTR("flex")), end},
         OUT_START OUT_END("end_turn",
                           "\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":5,"
                           "\"cache_read_input_tokens\":2,\"cache_creation\":{\"ephemeral_5m_input_"
                           "tokens\":1,\"ephemeral_1h_input_tokens\":4},\"output_tokens\":11,"
                           "\"output_tokens_details\":{\"thinking_tokens\":6},\"server_tool_use\":{"
                           "\"web_search_requests\":7},\"service_tier\":\"standard\"}")},
        {"a call where the upstream says it just stopped; none where it says tools",
         {begin, tool, end},
         OUT_START OUT_END("end_turn", USAGE(0, 0, 0))},
        {"pings, other choices, an error",
         {EV(.kind = EVENT_PING), begin, EV(.kind = EVENT_PING), TEXT(0),
          EV(.kind = EVENT_BLOCK, .choice = 1, .block = 1),
          EV(.kind = EVENT_DELTA, .choice = 1, .block = 1, .text = JSTR("other")), SAY(0, "a"),
          EV(.kind = EVENT_ERROR, .error = &broken), SAY(0, "b"), end},
         OUT_START "{\"type\":\"ping\"}\n" OUT_TEXT(0) OUT_SAY(
             0, "a") "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":"
                     "\"x\"}}\n"},
    };

    (void)state;
    memset(&n, 0, sizeof n);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        writer_begin(true);
        for (size_t k = 0; k == 0 || rows[i].event[k - 1].kind != EVENT_END; k++)
            anthropic_messages.write(writer, &rows[i].event[k]);
        writer_done();
        expect_written(rows[i].what, rows[i].want);
    }
    buf_free(&pool, &dump);
}

/* Arguments that are no object cannot stand in a whole reply. */
static void test_reply_whole_arguments(void **state)
{
    static const struct {
        const char *args, *want;
    } rows[] = {
        {"", "{}"},
        {"{\\\"a\\\": 1.50}", "{\"a\": 1.50}"},
        {"{\\\"a\\\":", "{}"},
        {"null", "{}"},
        {"[1]", "{}"},
    };

    (void)state;
    memset(&n, 0, sizeof n);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct event events[] = {
            {.kind = EVENT_START},
            CALL(0, "a"),
            {.kind = EVENT_DELTA,
             .block_kind = BLOCK_TOOL_CALL,
             .text = {rows[i].args, strlen(rows[i].args)}},
            END(0),
            {.kind = EVENT_FINISH, .stop = STOP_TOOL},
            {.kind = EVENT_END},
        };
        writer_begin(false);
        for (size_t k = 0; k < ARRAY_LEN(events); k++)
            anthropic_messages.write(writer, &events[k]);
        writer_done();
        struct str want = arena_printf(&arena, "\"input\":%s}]", rows[i].want);
        assert_true(str_find((struct str){dump.p, dump.n}, want) != SIZE_MAX);
    }
    buf_free(&pool, &dump);
}

/* What waits is bounded: the stream fails, not the memory. */
static void test_reply_waiting_is_bounded(void **state)
{
    static char big[1 << 20];
    struct event delta = {.kind = EVENT_DELTA, .block_kind = BLOCK_TOOL_CALL, .block = 1};

    (void)state;
    memset(&n, 0, sizeof n);
    memset(big, 'x', sizeof big);
    delta.text = (struct jstr){big, sizeof big};
    writer_begin(true);
    anthropic_messages.write(writer, &(struct event){.kind = EVENT_START});
    anthropic_messages.write(writer, &CALL(0, "a"));
    anthropic_messages.write(writer, &CALL(1, "b"));
    for (unsigned i = 0; i < 32; i++)
        anthropic_messages.write(writer, &delta);
    assert_true(out.failed);
    assert_true(pool.lent < 32u << 20);
    anthropic_messages.writer_deinit(writer);
    jout_deinit(&out);
    buf_free(&pool, &dump);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_read),
        cmocka_unit_test(test_reply_undone),
        cmocka_unit_test(test_reply_round_trip),
        cmocka_unit_test(test_reply_written),
        cmocka_unit_test(test_reply_whole_arguments),
        cmocka_unit_test(test_reply_waiting_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
