/* The Responses dialect by rows: what a request becomes, what it is refused for, what a stream
 * says.
 */

#include "dialect/openai_responses.h"
#include "dialect/translate.h"
#include "tests/unit/test.h"

struct world {
    struct bufpool pool;
    struct arena_pool blocks;
    struct arena arena;
    struct translate t;
};

static void world_init(struct world *w)
{
    *w = (struct world){.pool.ceiling = 64 << 20};
    arena_init(&w->arena, &w->blocks, 16 << 20);
    translate_init(&w->t, API_RESPONSES, API_RESPONSES, &w->pool, &w->blocks, &w->arena);
}

static void world_deinit(struct world *w)
{
    translate_deinit(&w->t);
    assert_int_equal(w->pool.lent, 0);
    arena_reset(&w->arena);
    arena_pool_deinit(&w->blocks);
    bufpool_deinit(&w->pool);
}

/* --- requests -----------------------------------------------------------------------------------
 */

static void test_what_cannot_be_carried_is_refused(void **state)
{
    static const struct {
        const char *body;
        enum client_error error;
        const char *detail;
    } rows[] = {
        {"{}", ERROR_MISSING_FIELD, "input"},
        {"{\"input\":7}", ERROR_BAD_FIELD, "input: neither text nor a list of items"},
        {"{\"input\":\"x\",\"conversation\":\"conv_1\"}", ERROR_UNSUPPORTED_PARAM,
         "conversation: conversations are not kept for this model"},
        {"{\"input\":\"x\",\"prompt\":{\"id\":\"p\"}}", ERROR_UNSUPPORTED_PARAM,
         "prompt: prompt templates are not kept for this model"},
        {"{\"input\":[{\"id\":\"msg_1\"}]}", ERROR_BAD_FIELD,
         "input.0: item_reference: no item with this id is known here"},
        {"{\"input\":[{\"role\":\"user\",\"content\":\"x\"},{\"type\":\"item_reference\",\"id\":"
         "\"a\"}]}",
         ERROR_BAD_FIELD, "input.1: item_reference: no item with this id is known here"},
        {"{\"input\":[{\"x\":1}]}", ERROR_BAD_FIELD, "input.0: an item needs a type"},
        {"{\"input\":[7]}", ERROR_BAD_FIELD, "input.0: an item needs a type"},
        {"{\"input\":[{\"role\":\"robot\",\"content\":\"x\"}]}", ERROR_BAD_FIELD,
         "input.0: a message needs a role"},
        {"{\"input\":[{\"role\":\"user\",\"content\":7}]}", ERROR_BAD_FIELD,
         "input.0: content is neither text nor a list"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"smell\"}]}]}", ERROR_BAD_FIELD,
         "input.0: a part of an unknown type"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_text\"}]}]}",
         ERROR_BAD_FIELD, "input.0: a text part without text"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\"}]}]}",
         ERROR_BAD_FIELD, "input.0: a part without data, URL or file"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"data:image/png;base64,%%%\"}]}]}",
         ERROR_BAD_FIELD, "input.0: the data URL is no valid base64"},
        {"{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
         ERROR_BAD_FIELD, "input.0: an audio part without data"},
        {"{\"input\":[{\"type\":\"function_call\",\"name\":\"f\"}]}", ERROR_BAD_FIELD,
         "input.0: a call needs call_id and name"},
        {"{\"input\":[{\"type\":\"function_call_output\",\"output\":\"x\"}]}", ERROR_BAD_FIELD,
         "input.0: an output needs call_id"},
        {"{\"input\":\"x\",\"instructions\":[]}", ERROR_BAD_FIELD, "instructions: not text"},
        {"{\"input\":\"x\",\"max_output_tokens\":0}", ERROR_BAD_FIELD,
         "max_output_tokens: not a positive integer"},
        {"{\"input\":\"x\",\"max_output_tokens\":1.5}", ERROR_BAD_FIELD,
         "max_output_tokens: not a positive integer"},
        {"{\"input\":\"x\",\"reasoning\":{\"effort\":\"heroic\"}}", ERROR_BAD_FIELD,
         "reasoning.effort: unknown effort"},
        {"{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"xml\"}}}", ERROR_BAD_FIELD,
         "text.format: unknown type"},
        {"{\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\"}}}",
         ERROR_BAD_FIELD, "text.format: json_schema without schema"},
        {"{\"input\":\"x\",\"tools\":{}}", ERROR_BAD_FIELD, "tools: not a list"},
        {"{\"input\":\"x\",\"tools\":[{\"name\":\"f\"}]}", ERROR_BAD_FIELD,
         "tools: a tool needs a type"},
        {"{\"input\":\"x\",\"tools\":[{\"type\":\"function\"}]}", ERROR_BAD_FIELD,
         "tools: a tool needs a name"},
        {"{\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"n\"}]}", ERROR_BAD_FIELD,
         "tools: a namespace needs a name and tools"},
        {"{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"n__f\"},{\"type\":"
         "\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"}]}]}",
         ERROR_BAD_FIELD, "tools: a function has the name of a tool in a namespace"},
        {"{\"input\":\"x\",\"tool_choice\":{\"type\":\"file_search\"}}", ERROR_UNSUPPORTED_PARAM,
         "tool_choice: only functions and custom tools can be chosen"},
        {"{\"input\":\"x\",\"tool_choice\":{\"type\":\"allowed_tools\"}}", ERROR_BAD_FIELD,
         "tool_choice: allowed_tools without tools"},
        {"{\"input\":\"x\",\"include\":\"all\"}", ERROR_BAD_FIELD, "include: not a list"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_init(&w);
        if (translate_read(&w.t, str_of(rows[i].body)))
            fail_msg("not refused: %s", rows[i].body);
        assert_int_equal(w.t.fault.error, rows[i].error);
        if (!str_eq(w.t.fault.detail, str_of(rows[i].detail)))
            fail_msg("%s: %.*s", rows[i].body, STR_ARG(w.t.fault.detail));
        world_deinit(&w);
    }
}

/* The part of the upstream's body from `"input"` on, for an input and more members. */
static void expect_body(const char *members, const char *wanted)
{
    struct world w;
    struct buf body = {0};
    struct upstream_model m = {.name = STR("m"), .in_path = true};
    char text[4096];

    world_init(&w);
    (void)snprintf(text, sizeof text, "{%s}", members);
    if (!translate_read(&w.t, str_of(text)))
        fail_msg("%s: %.*s", text, STR_ARG(w.t.fault.detail));
    struct jout o = jout_init(&w.pool, &body);
    if (!translate_write(&w.t, &o, &m))
        fail_msg("%s: %.*s", text, STR_ARG(w.t.fault.detail));
    (void)snprintf(text, sizeof text, "{\"store\":false,\"input\":%s}", wanted);
    if (!str_eq((struct str){body.p, body.n}, str_of(text)))
        fail_msg("%s\nwanted %s\ngot    %.*s", members, text, (int)body.n, body.p);
    buf_free(&w.pool, &body);
    jout_deinit(&o);
    world_deinit(&w);
}

static void test_items_become_turns_and_items_again(void **state)
{
    static const struct {
        const char *members, *wanted;
    } rows[] = {
        {"\"input\":\"a\\u00e9\"",
         "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":"
         "\"input_text\",\"text\":\"a\\u00e9\"}]}]"},
        {"\"input\":[{\"role\":\"developer\",\"content\":\"d\"},{\"role\":\"system\",\"content\":"
         "\"s\"}]",
         "[{\"type\":\"message\",\"role\":\"developer\",\"content\":[{\"type\":\"input_text\","
         "\"text\":\"d\"}]},{\"type\":\"message\",\"role\":\"system\",\"content\":[{\"type\":"
         "\"input_text\",\"text\":\"s\"}]}]"},
        /* messages of the assistant stay apart, with their phases */
        {"\"input\":[{\"role\":\"assistant\",\"content\":\"a\",\"phase\":\"commentary\"},{\"role\":"
         "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\",\"annotations\":[]},{"
         "\"type\":\"refusal\",\"refusal\":\"c\"}],\"phase\":\"final_answer\"}]",
         "[{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
         "\"text\":\"a\"}],\"phase\":\"commentary\"},{\"type\":\"message\",\"role\":\"assistant\","
         "\"content\":[{\"type\":\"output_text\",\"text\":\"b\"},{\"type\":\"refusal\",\"refusal\":"
         "\"c\"}],\"phase\":\"final_answer\"}]"},
        /* images, files, audio */
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":"
         "\"https://h/"
         "i.png\",\"detail\":\"low\"},{\"type\":\"input_image\",\"file_id\":\"file_1\"},"
         "{\"type\":\"input_image\",\"image_url\":{\"url\":\"data:image/jpg;base64,/9j/AA==\"}}]}]",
         "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_"
         "url\":\"https://h/"
         "i.png\",\"detail\":\"low\"},{\"type\":\"input_image\",\"file_id\":\"file_1\",\"detail\":"
         "\"auto\"},{\"type\":\"input_image\",\"image_url\":\"data:image/jpeg;base64,/9j/"
         "AA==\",\"detail\":\"auto\"}]}]"},
        {"\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_file\",\"file_data\":"
         "\"JVBERi0x\",\"filename\":\"a.pdf\"},{\"type\":\"input_file\",\"file_url\":\"https://h/"
         "a.pdf\"},{\"type\":\"input_file\",\"file_id\":\"file_2\"},{\"type\":\"input_file\","
         "\"file_data\":\"data:text/"
         "plain;base64,AAAA\"},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\","
         "\"format\":\"wav\"}}]}]",
         "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_file\","
         "\"filename\":\"a.pdf\",\"file_data\":\"data:application/"
         "pdf;base64,JVBERi0x\"},{\"type\":\"input_file\",\"file_url\":\"https://h/"
         "a.pdf\"},{\"type\":\"input_file\",\"file_id\":\"file_2\"},{\"type\":\"input_file\","
         "\"filename\":\"document.pdf\",\"file_data\":\"data:text/"
         "plain;base64,AAAA\"},{\"type\":\"input_audio\",\"input_audio\":{\"data\":\"UklG\","
         "\"format\":\"wav\"}}]}]"},
        /* calls, custom ones too, and what they came to */
        {"\"input\":[{\"type\":\"function_call\",\"id\":\"fc_1\",\"call_id\":\"c1\",\"name\":\"f\","
         "\"namespace\":\"ns\",\"arguments\":\"{\\\"n\\\":12345678901234567890}\"},{\"type\":"
         "\"custom_tool_call\",\"call_id\":\"c2\",\"name\":\"g\",\"input\":\"a\\nb\"},{\"type\":"
         "\"function_call\",\"call_id\":\"c3\",\"name\":\"h\",\"arguments\":\" "
         "\"},{\"type\":\"function_call_output\",\"call_id\":\"c1\",\"output\":[{\"type\":\"input_"
         "text\",\"text\":\"t\"},{\"type\":\"input_image\",\"image_url\":\"https://h/"
         "i\"}]},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c2\",\"output\":\"done\"},{"
         "\"type\":\"function_call_output\",\"call_id\":\"c3\",\"output\":{\"ok\":\"\\\"\"}}]",
         "[{\"type\":\"function_call\",\"call_id\":\"c1\",\"name\":\"ns__f\",\"arguments\":\"{"
         "\\\"n\\\":12345678901234567890}\"},{\"type\":\"custom_tool_call\",\"call_id\":\"c2\","
         "\"name\":\"g\",\"input\":\"a\\nb\"},{\"type\":\"function_call\",\"call_id\":\"c3\","
         "\"name\":\"h\",\"arguments\":\"{}\"},{\"type\":\"function_call_output\",\"call_id\":"
         "\"c1\",\"output\":[{\"type\":\"input_text\",\"text\":\"t\"},{\"type\":\"input_image\","
         "\"image_url\":\"https://h/"
         "i\",\"detail\":\"auto\"}]},{\"type\":\"custom_tool_call_output\",\"call_id\":\"c2\","
         "\"output\":\"done\"},{\"type\":\"function_call_output\",\"call_id\":\"c3\",\"output\":[{"
         "\"type\":\"input_text\",\"text\":\"{\\\"ok\\\":\\\"\\\\\\\"\\\"}\"}]}]"},
        /* reasoning comes back where something follows it, and only what its origin can use */
        {"\"input\":[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_"
         "text\",\"text\":\"x\"},{\"type\":\"summary_text\",\"text\":\"y\"}],\"encrypted_content\":"
         "\"gAAA\"},{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}"
         "\"},{\"type\":\"reasoning\",\"id\":\"rs_2\",\"summary\":[]},{\"type\":\"reasoning\","
         "\"id\":\"rs_3\",\"summary\":[],\"encrypted_content\":\"gBBB\"}]",
         "[{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[{\"type\":\"summary_text\","
         "\"text\":"
         "\"x\"},{\"type\":\"summary_text\",\"text\":\"y\"}],\"encrypted_content\":\"gAAA\"},{"
         "\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]"},
        /* what only this API has passes as it was written */
        {"\"input\":[{\"type\":\"web_search_call\",\"id\":\"ws_1\", "
         "\"x\":1.0},{\"type\":\"computer_"
         "call_output\",\"call_id\":\"c\"},{\"role\":\"user\",\"content\":\"u\"}]",
         "[{\"type\":\"web_search_call\",\"id\":\"ws_1\", \"x\":1.0},{\"type\":\"computer_call_"
         "output\",\"call_id\":\"c\"},{\"type\":\"message\",\"role\":\"user\",\"content\":[{"
         "\"type\":\"input_text\",\"text\":\"u\"}]}]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_body(rows[i].members, rows[i].wanted);
}

#define HI                                                                                         \
    "[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":"     \
    "\"hi\"}]}]"

static void test_members_become_members_again(void **state)
{
    static const struct {
        const char *members, *wanted;
    } rows[] = {
        {"\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":{"
         "\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"g\","
         "\"parameters\":null,\"strict\":null},{\"type\":\"custom\",\"name\":\"c\",\"format\":{"
         "\"type\":\"text\"}},{\"type\":\"web_search_2025_08_26\",\"search_context_size\":\"low\","
         "\"user_location\":{\"type\":\"approximate\",\"city\":\"B\"}},{\"type\":\"code_"
         "interpreter\",\"container\":{\"type\":\"auto\"}}]",
         ",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"parameters\":{"
         "\"type\":\"object\"},\"strict\":true},{\"type\":\"function\",\"name\":\"g\","
         "\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":false},{\"type\":"
         "\"custom\",\"name\":\"c\",\"format\":{\"type\":\"text\"}},{\"type\":\"web_search\","
         "\"search_context_size\":\"low\",\"user_location\":{\"type\":\"approximate\",\"city\":"
         "\"B\"}},{\"type\":\"code_interpreter\",\"container\":{\"type\":\"auto\"}}]"},
        {"\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},\"tools\":[{\"type\":"
         "\"namespace\",\"name\":\"ns\",\"description\":\"N\",\"tools\":[{\"type\":\"function\","
         "\"name\":\"f\",\"description\":\"d\"},{\"type\":\"mcp\"}]}]",
         ",\"tools\":[{\"type\":\"function\",\"name\":\"ns__f\",\"description\":\"N\\n\\nd\","
         "\"parameters\":{\"type\":\"object\",\"properties\":{}},\"strict\":false}],\"tool_"
         "choice\":{\"type\":\"function\",\"name\":\"ns__f\"}"},
        {"\"tool_choice\":\"none\"", ",\"tool_choice\":\"none\""},
        {"\"tool_choice\":{\"type\":\"auto\"}", ",\"tool_choice\":\"auto\""},
        {"\"tool_choice\":{\"type\":\"tool\"}", ",\"tool_choice\":\"required\""},
        {"\"tool_choice\":{\"type\":\"function\"}", ",\"tool_choice\":\"required\""},
        {"\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
         ",\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"}"},
        {"\"tool_choice\":{\"type\":\"custom\",\"name\":\"f\"}",
         ",\"tool_choice\":{\"type\":\"custom\",\"name\":\"f\"}"},
        {"\"tools\":[{\"type\":\"custom\",\"name\":\"c\"}],\"tool_choice\":{\"type\":\"allowed_"
         "tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{"
         "\"type\":\"custom\",\"name\":\"c\"}]}",
         ",\"tools\":[{\"type\":\"custom\",\"name\":\"c\"}],\"tool_choice\":{\"type\":\"allowed_"
         "tools\",\"mode\":\"required\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{"
         "\"type\":\"custom\",\"name\":\"c\"}]}"},
        {"\"parallel_tool_calls\":false", ",\"parallel_tool_calls\":false"},
        {"\"max_output_tokens\":1", ",\"max_output_tokens\":16"},
        {"\"text\":{\"verbosity\":\"low\"}", ",\"text\":{\"verbosity\":\"low\"}"},
        {"\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"schema\":{\"a\":1e2},"
         "\"strict\":true,\"description\":\"d\"}}",
         ",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"n\",\"description\":\"d\","
         "\"schema\":{\"a\":1e2},\"strict\":true}}"},
        {"\"reasoning\":{\"effort\":\"xhigh\",\"summary\":\"auto\"}",
         ",\"reasoning\":{\"effort\":\"xhigh\",\"summary\":\"auto\"}"},
        {"\"reasoning\":{\"generate_summary\":\"concise\"}",
         ",\"reasoning\":{\"summary\":\"concise\"}"},
        {"\"include\":[\"reasoning.encrypted_content\"]", ""},
        {"\"client_metadata\":{\"a\":1},\"tools\":[{\"type\":\"tool_search\",\"execution\":"
         "\"client\"}]",
         ""},
        {"\"safety_identifier\":\"s\",\"user\":\"u\"",
         ",\"user\":\"u\",\"safety_identifier\":\"s\""},
        {"\"user\":\"0123456789012345678901234567890123456789012345678901234567890\\u00e9\\u00e9"
         "\"",
         ",\"user\":\"0123456789012345678901234567890123456789012345678901234567890\xc3\xa9\""},
        {"\"temperature\":1.0,\"top_p\":null,\"metadata\":{},\"prompt_cache_retention\":\"24h\","
         "\"max_tool_calls\":3,\"store\":true",
         ",\"temperature\":1.0,\"metadata\":{},\"prompt_cache_retention\":\"24h\",\"max_tool_"
         "calls\":3"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char members[2048], wanted[2048];
        (void)snprintf(members, sizeof members, "\"input\":\"hi\",%s", rows[i].members);
        (void)snprintf(wanted, sizeof wanted, "%s%s", HI, rows[i].wanted);
        expect_body(members, wanted);
    }
}

/* Behind what was said before; a call and its output may stand on both sides. */
static void test_history_stands_before_the_input(void **state)
{
    static const char history[] =
        "[{\"role\":\"user\",\"content\":\"one\"},{\"type\":\"function_call\",\"call_id\":\"c\","
        "\"name\":\"f\",\"arguments\":\"{}\"}]";
    static const char body[] =
        "{\"input\":[{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[]}],"
        "\"instructions\":\"new\"}";
    const enum role roles[] = {ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_USER};
    struct world w;
    size_t n = 0;

    (void)state;
    world_init(&w);
    w.t.history = STR(history);
    assert_true(translate_read(&w.t, STR(body)));
    for (const struct turn *t = w.t.request.first; t; t = t->next, n++) {
        assert_true(n < ARRAY_LEN(roles));
        assert_int_equal(t->role, roles[n]);
    }
    assert_int_equal(n, ARRAY_LEN(roles));
    world_deinit(&w);
    world_init(&w);
    w.t.history = STR("{}");
    assert_false(translate_read(&w.t, STR(body)));
    world_deinit(&w);
}

/* What is kept is what the next request goes on from, and what GET shows. */
static void test_a_conversation_is_kept(void **state)
{
    static const struct {
        struct str body, reply, items;
    } turns[] = {
        {STR_INIT("{\"input\":\"one \\\"1\\\"\",\"instructions\":\"not kept\"}"),
         STR_INIT("{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
                  "\"text\":\"two\"}]}]}"),
         STR_INIT("[{\"id\":\"msg_000000000000000700000000000000080000\",\"type\":\"message\","
                  "\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"one "
                  "\\\"1\\\"\"}]},{\"id\":\"msg_000000000000000700000000000000088001\",\"type\":"
                  "\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\","
                  "\"text\":\"two\",\"annotations\":[]}],\"status\":\"completed\"}]")},
        {STR_INIT(
             "{\"input\":[{\"id\":null,\"role\":\"assistant\",\n\"content\":\"a\"},\n{\"type\":"
             "\"reasoning\",\"id\":\"rs_1\",\"summary\":[\n]},{\"type\":\"function_call_"
             "output\",\"call_id\":\"c\",\"output\":\"o\"}]}"),
         STR_INIT("{\"output\":[]}"),
         STR_INIT("[{\"id\":\"msg_000000000000000700000000000000080000\",\"type\":\"message\","
                  "\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\","
                  "\"annotations\":[]}]},{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[ ]},"
                  "{\"id\":\"fco_000000000000000700000000000000080002\",\"type\":\"function_call_"
                  "output\",\"call_id\":\"c\",\"output\":\"o\"}]")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(turns); i++) {
        struct buf kept = {0}, whole = {0}, out = {0};
        struct reply_scan scan;
        struct world w;
        world_init(&w);
        struct jout keep = jout_init(&w.pool, &kept), response = jout_init(&w.pool, &whole);
        w.t.keep = &keep;
        w.t.keep_id[0] = 7;
        w.t.keep_id[1] = 8;
        assert_true(translate_read(&w.t, turns[i].body));
        reply_scan_init(&scan);
        assert_true(translate_reply_begin(
            &w.t, &(struct translate_reply){
                      .scan = &scan, .model = STR("\"m\""), .now_s = 1, .seed = {7, 8}}));
        translate_forget(&w.t);
        assert_true(translate_whole(&w.t, turns[i].reply, &out));
        translate_keep(&w.t, &response);
        assert_true(str_eq((struct str){whole.p, whole.n}, (struct str){out.p, out.n}));
        if (!str_eq((struct str){kept.p, kept.n}, turns[i].items))
            fail_msg("%.*s", (int)kept.n, kept.p);

        /* and the next one goes on from it */
        struct world next;
        world_init(&next);
        struct buf again = {0};
        struct jout more = jout_init(&next.pool, &again);
        next.t.history = (struct str){kept.p, kept.n};
        next.t.keep = &more;
        assert_true(translate_read(&next.t, STR("{\"input\":\"three\"}")));
        assert_true(str_starts((struct str){again.p, again.n},
                               (struct str){kept.p, kept.n - 1})); /* without its end */
        buf_free(&next.pool, &again);
        world_deinit(&next);
        buf_free(&w.pool, &kept);
        buf_free(&w.pool, &whole);
        buf_free(&w.pool, &out);
        world_deinit(&w);
    }
}

static bool find_in(void *ctx, struct jstr id, struct str *ret)
{
    const struct str *items = ctx;
    uint64_t owner[2];

    return responses_item_owner(id, owner) && owner[0] == 7 && owner[1] == 8 &&
           responses_item_find(*items, id, ret);
}

/* item_reference: what it means stands in its place, for the model and for what is kept. */
static void test_references_are_followed(void **state)
{
    struct str items = STR(
        "[{\"id\":\"msg_000000000000000700000000000000080000\",\"type\":\"message\",\"role\":"
        "\"user\",\"content\":\"] } \\\" {\"},{\"id\":\"fc_000000000000000700000000000000088001\","
        "\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"}]");
    static const struct {
        struct str input;
        bool found;
    } rows[] = {
        {STR_INIT(
             "[{\"type\":\"item_reference\",\"id\":\"msg_000000000000000700000000000000080000\"},"
             " {\"id\":\"fc_000000000000000700000000000000088001\"} ,{\"type\":\"function_call_"
             "output\",\"call_id\":\"c\",\"output\":\"o\"}]"),
         true},
        {STR_INIT("[{\"id\":\"fc_000000000000000700000000000000088002\"}]"), false},
        {STR_INIT("[{\"id\":\"fc_000000000000000800000000000000088001\"}]"), false},
        {STR_INIT("[{\"id\":\"fc\"}]"), false},
        {STR_INIT("[{\"id\":\"fc_00000000000000070000000000000008800X\"}]"), false},
        {STR_INIT("[{\"id\":7}]"), false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        char body[512];
        world_init(&w);
        w.t.find_item = find_in;
        w.t.find_ctx = &items;
        (void)snprintf(body, sizeof body, "{\"a\":1,\"input\":" STR_FMT ",\"b\":2} ",
                       STR_ARG(rows[i].input));
        bool ok = translate_read(&w.t, str_of(body));
        assert_int_equal(ok, rows[i].found);
        if (!ok)
            assert_int_equal(w.t.fault.error, ERROR_BAD_FIELD);
        if (ok) {
            const struct turn *t = w.t.request.first;
            assert_int_equal(t->role, ROLE_USER);
            assert_str(((struct str){t->first->text.p, t->first->text.n}), "] } \\\" {");
            assert_int_equal(t->next->first->kind, BLOCK_TOOL_CALL);
            assert_int_equal(t->next->next->first->kind, BLOCK_TOOL_RESULT);
            assert_null(t->next->next->next);
        }
        world_deinit(&w);
    }
}

static void test_input_items_page_by_page(void **state)
{
    static const char items[] = "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"},{\"id\":\"d\"},"
                                "{\"id\":\"answer\"}]";
    static const struct {
        struct responses_page page;
        const char *ids, *tail; /* NULL: `after` is unknown */
    } rows[] = {
        {{0}, "dcba", "\"first_id\":\"d\",\"last_id\":\"a\",\"has_more\":false}"},
        {{.ascending = true}, "abcd", "\"first_id\":\"a\",\"last_id\":\"d\",\"has_more\":false}"},
        {{.limit = 3}, "dcb", "\"first_id\":\"d\",\"last_id\":\"b\",\"has_more\":true}"},
        {{.limit = 3, .ascending = true},
         "abc",
         "\"first_id\":\"a\",\"last_id\":\"c\",\"has_more\":true}"},
        {{.limit = 2, .after = STR_INIT("d")},
         "cb",
         "\"first_id\":\"c\",\"last_id\":\"b\",\"has_more\":true}"},
        {{.limit = 3, .ascending = true, .after = STR_INIT("a")},
         "bcd",
         "\"first_id\":\"b\",\"last_id\":\"d\",\"has_more\":false}"},
        {{.limit = 1000, .after = STR_INIT("a")},
         "",
         "\"first_id\":null,\"last_id\":null,\"has_more\":false}"},
        {{.after = STR_INIT("answer")}, NULL, NULL},
        {{.after = STR_INIT("x")}, NULL, NULL},
    };
    struct bufpool pool = {.ceiling = 1 << 20};
    struct json_tape tape;

    (void)state;
    json_tape_init(&tape, &pool);
    assert_int_equal(json_tape_read(&tape, items, sizeof items - 1), JSON_TAPE_DONE);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = {0};
        struct jout o = jout_init(&pool, &b);
        size_t n_input = str_find(STR(items), STR("{\"id\":\"answer\""));
        assert_int_equal(responses_items_page(&o, &tape, n_input, &rows[i].page),
                         rows[i].ids != NULL);
        struct str got = {b.p, b.n};
        const char *p = rows[i].ids ? rows[i].ids : "";
        for (size_t at; *p; p++, got = str_from(got, at + 8)) {
            at = str_find(got, STR("{\"id\":\""));
            assert_true(at != SIZE_MAX);
            assert_int_equal(got.p[at + 7], *p);
        }
        if (rows[i].ids)
            assert_true(str_find(got, STR("{\"id\"")) == SIZE_MAX &&
                        str_ends(got, str_of(rows[i].tail)));
        buf_free(&pool, &b);
    }
    json_tape_deinit(&tape);
    bufpool_deinit(&pool);
}

/* --- replies ------------------------------------------------------------------------------------
 */

/* Events as a line: S start, B block, D delta, G signature, C citation, L logprobs, E end of block,
 * O opaque, F finish, U usage, X error, . end; blocks by number, texts as they are. */
struct trace {
    char text[4096];
    size_t n;
};

static PRINTF(2, 3) void say(struct trace *t, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    t->n += (size_t)vsnprintf(t->text + t->n, sizeof t->text - t->n, fmt, args);
    va_end(args);
    assert_true(t->n < sizeof t->text);
}

static void on_event(void *ctx, const struct event *e)
{
    static const char kinds[] = "trRcoida?";
    static const char *const stops[] = {"end",  "seq",     "length", "context",
                                        "tool", "refusal", "pause"};
    struct trace *t = ctx;

    if (t->n)
        say(t, " ");
    switch ((enum event_kind)e->kind) {
    case EVENT_START:
        say(t, "S");
        break;
    case EVENT_BLOCK:
        say(t, "B%u%c%s", e->block, kinds[e->block_kind], e->is_custom ? "*" : "");
        if (e->block_kind == BLOCK_TOOL_CALL)
            say(t, "(%.*s,%.*s)", STR_ARG(e->id), STR_ARG(e->name));
        break;
    case EVENT_DELTA:
        say(t, "D%u'%.*s'", e->block, STR_ARG(e->text));
        break;
    case EVENT_SIGNATURE:
        say(t, "G%u(%.*s,%.*s)%s", e->block, STR_ARG(e->id), STR_ARG(e->signature),
            e->is_redacted ? "-" : "");
        break;
    case EVENT_CITATION:
        say(t, "C%u%.*s", e->block, STR_ARG(e->raw));
        break;
    case EVENT_LOGPROBS:
        say(t, "L%u%.*s", e->block, STR_ARG(e->raw));
        break;
    case EVENT_BLOCK_END:
        say(t, "E%u", e->block);
        break;
    case EVENT_OPAQUE:
        say(t, "O%.*s", STR_ARG(e->raw));
        break;
    case EVENT_FINISH:
        say(t, "F%s", stops[e->stop]);
        break;
    case EVENT_USAGE:
        say(t, "U%u/%u", (unsigned)usage_prompt(e->usage), (unsigned)usage_completion(e->usage));
        break;
    case EVENT_ERROR:
        say(t, "X%u(%.*s,%.*s)", e->error->status, STR_ARG(e->error->provider_code),
            STR_ARG(e->error->message));
        break;
    case EVENT_PING:
        say(t, "P");
        break;
    case EVENT_END:
        say(t, ".");
        break;
    }
}

/* Lines of data of a stream; "[DONE]" as the last one. Or a whole reply. */
static void expect_trace(const char *lines, bool whole, bool complete, const char *wanted)
{
    struct world w;
    struct trace trace = {0};
    struct json_tape tape;
    struct reply_scan scan;
    struct neutral request = {0};
    struct reader_env env = {.emit = on_event,
                             .ctx = &trace,
                             .pool = &w.pool,
                             .arena = &w.arena,
                             .scan = &scan,
                             .request = &request};
    struct str rest = str_of(lines), line;
    bool done = false;

    world_init(&w);
    json_tape_init(&tape, &w.pool);
    reply_scan_init(&scan);
    void *reader = arena_zalloc(&w.arena, openai_responses.reader_size);
    openai_responses.reader_init(reader, &env);
    while (rest.n) {
        str_cut(rest, '\n', &line, &rest);
        done = str_eq(line, STR("[DONE]"));
        if (done)
            break;
        if (json_tape_read(&tape, line.p, line.n) != JSON_TAPE_DONE)
            fail_msg("no JSON: %.*s", STR_ARG(line));
        if (whole)
            openai_responses.read_reply(reader, &tape);
        else
            openai_responses.read_event(reader, STR(""), &tape);
    }
    assert_int_equal(
        whole ? scan.finished || scan.failed : openai_responses.reader_end(reader, done), complete);
    if (strcmp(trace.text, wanted) != 0)
        fail_msg("%s\nwanted %s\ngot    %s", lines, wanted, trace.text);
    openai_responses.reader_deinit(reader);
    json_tape_deinit(&tape);
    world_deinit(&w);
}

#define EV(type, members) "{\"type\":\"response." type "\"," members "}\n"
#define AT(i)             "\"output_index\":" #i
#define ADDED(i, item)    EV("output_item.added", AT(i) ",\"item\":{" item "}")
#define DONE(i, item)     EV("output_item.done", AT(i) ",\"item\":{" item "}")
#define TEXT(i, c, text)                                                                           \
    EV("output_text.delta", AT(i) ",\"content_index\":" #c ",\"delta\":\"" text "\"")
#define ARGS(i, text) EV("function_call_arguments.delta", AT(i) ",\"delta\":\"" text "\"")
#define SUMMARY(i, s, text)                                                                        \
    EV("reasoning_summary_text.delta", AT(i) ",\"summary_index\":" #s ",\"delta\":\"" text "\"")
#define CALL(id, name)                                                                             \
    "\"type\":\"function_call\",\"id\":\"fc_" id "\",\"call_id\":\"" id "\",\"name\":\"" name "\""
#define CREATED   EV("created", "\"response\":{\"id\":\"r\",\"created_at\":1}")
#define COMPLETED EV("completed", "\"response\":{\"status\":\"completed\",\"output\":[]}")

static void test_streams_as_they_should_be_and_as_they_are(void **state)
{
    static const struct {
        const char *lines;
        bool complete;
        const char *wanted;
    } rows[] = {
        {CREATED COMPLETED, true, "S Fend ."},
        {CREATED ADDED(0, "\"type\":\"message\",\"id\":\"m\"") TEXT(0, 0, "a") TEXT(0, 0, "b")
             COMPLETED,
         true, "S B0t D0'a' D0'b' E0 Fend ."},
        /* nobody announced anything */
        {TEXT(0, 0, "a") COMPLETED, true, "S B0t D0'a' E0 Fend ."},
        /* parts, each a block; what was streamed is not said again when it is done */
        {TEXT(0, 0, "a") EV("output_text.done", AT(0) ",\"content_index\":0,\"text\":\"a\"")
             EV("refusal.delta", AT(0) ",\"content_index\":1,\"delta\":\"no\"")
                 DONE(0, "\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":"
                         "\"a\"},{\"type\":\"refusal\",\"refusal\":\"no\"}]") COMPLETED,
         true, "S B0t D0'a' E0 B1r D1'no' E1 Frefusal ."},
        /* only the ends came */
        {EV("output_text.done", AT(0) ",\"content_index\":0,\"text\":\"a\"") COMPLETED, true,
         "S B0t D0'a' E0 Fend ."},
        {EV("content_part.done", AT(0) ",\"content_index\":0,\"part\":{\"type\":\"output_text\","
                                       "\"text\":\"a\",\"annotations\":[{\"n\":1}]}") COMPLETED,
         true, "S B0t D0'a' C0{\"n\":1} E0 Fend ."},
        {DONE(0, "\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[{\"text\":\"x\"},{\"text\":"
                 "\"y\"}],\"encrypted_content\":\"enc\"")
             DONE(1, CALL("c", "f") ",\"arguments\":\"{}\"") COMPLETED,
         true, "S B0R D0'x' D0'\\n\\n' D0'y' G0(rs,enc) E0 B1c(c,f) D1'{}' E1 Ftool ."},
        {EV("completed",
            "\"response\":{\"output\":[{\"type\":\"message\",\"content\":[{\"type\":\"output_"
            "text\",\"text\":\"a\"}]},{" CALL("c", "f") ",\"arguments\":\"{}\"}]}"),
         true, "S B0t D0'a' E0 B1c(c,f) D1'{}' E1 Ftool ."},
        /* the terminal event brings what is missing, and repeats nothing */
        {ADDED(0, CALL("c", "f")) ARGS(0, "{")
             EV("completed",
                "\"response\":{\"output\":[{" CALL(
                    "c", "f") ",\"arguments\":\"{}\"},{"
                              "\"type\":\"message\",\"content\":[{\"type\":\"output_text\","
                              "\"text\":\"a\"}]}]}"),
         true, "S B0c(c,f) D0'{' E0 B1t D1'a' E1 Ftool ."},
        {ADDED(0, "\"type\":\"reasoning\",\"id\":\"rs\"") SUMMARY(0, 0, "x")
             EV("completed", "\"response\":{\"output\":[{\"type\":\"reasoning\",\"id\":\"rs\","
                             "\"encrypted_content\":\"enc\",\"summary\":[{\"text\":\"x\"}]}]}"),
         true, "S B0R D0'x' G0(rs,enc) E0 Fend ."},
        /* calls side by side; arguments only at the end; none at all; a custom one */
        {ADDED(0, CALL("a", "f")) ADDED(1, CALL("b", "g")) ARGS(0, "1") ARGS(1, "2") ARGS(0, "3")
             DONE(0, CALL("a", "f") ",\"arguments\":\"13\"") DONE(1, CALL("b", "g")) COMPLETED,
         true, "S B0c(a,f) B1c(b,g) D0'1' D1'2' D0'3' E0 E1 Ftool ."},
        {ADDED(0, CALL("a", "f")) EV("function_call_arguments.done", AT(0) ",\"arguments\":\"{}\"")
             COMPLETED,
         true, "S B0c(a,f) D0'{}' E0 Ftool ."},
        {ADDED(0, "\"type\":\"custom_tool_call\",\"id\":\"ct\",\"name\":\"f\"")
             EV("custom_tool_call_input.delta", AT(0) ",\"delta\":\"x\"")
                 EV("custom_tool_call_input.done", AT(0) ",\"input\":\"x\"") COMPLETED,
         true, "S B0c*(ct,f) D0'x' E0 Ftool ."},
        /* arguments of a call nobody announced wait for its end */
        {ARGS(0, "{}") DONE(0, CALL("a", "f") ",\"arguments\":\"{}\"") COMPLETED, true,
         "S B0c(a,f) D0'{}' E0 Ftool ."},
        /* one index for all (F.21) */
        {ADDED(0, "\"type\":\"message\",\"id\":\"m\"") TEXT(0, 0, "a") ADDED(0, CALL("c", "f"))
             ARGS(0, "{}") DONE(0, CALL("c", "f")) ADDED(0, CALL("d", "g")) ARGS(0, "[]")
                 DONE(0, CALL("d", "g")) TEXT(0, 0, "b") COMPLETED,
         true, "S B0t D0'a' E0 B1c(c,f) D1'{}' E1 B2c(d,g) D2'[]' E2 B3t D3'b' E3 Ftool ."},
        /* no index at all */
        {EV("output_item.added", "\"item\":{" CALL("c", "f") "}")
             EV("function_call_arguments.delta", "\"delta\":\"{}\"")
                 EV("output_item.done", "\"item\":{" CALL("c", "f") "}") COMPLETED,
         true, "S B0c(c,f) D0'{}' E0 Ftool ."},
        /* reasoning in its two forms; redacted; text behind it */
        {SUMMARY(0, 0, "x") SUMMARY(0, 1, "y") TEXT(1, 0, "a") COMPLETED, true,
         "S B0R D0'x' D0'\\n\\n' D0'y' E0 B1t D1'a' E1 Fend ."},
        {EV("reasoning_text.delta", AT(0) ",\"content_index\":0,\"delta\":\"x\"")
             EV("reasoning_text.done", AT(0) ",\"content_index\":0,\"text\":\"x\"") COMPLETED,
         true, "S B0R D0'x' E0 Fend ."},
        {DONE(0, "\"type\":\"reasoning\",\"id\":\"rs\",\"summary\":[],\"encrypted_content\":\"e\"")
             COMPLETED,
         true, "S B0R G0(rs,e)- E0 Fend ."},
        /* F.16: a pair in two deltas, half a pair at the end, half a pair alone */
        {TEXT(0, 0, "a\\ud83d") TEXT(0, 0, "\\ude00b") COMPLETED, true,
         "S B0t D0'a' D0'\\ud83d\\ude00' D0'b' E0 Fend ."},
        {TEXT(0, 0, "\\ud83d") TEXT(0, 0, "b") COMPLETED, true,
         "S B0t D0'\\ufffd' D0'b' E0 Fend ."},
        {TEXT(0, 0, "a\\ud83d") COMPLETED, true, "S B0t D0'a' D0'\\ufffd' E0 Fend ."},
        {TEXT(0, 0, "\\ude00") COMPLETED, true, "S B0t D0'\\ufffd' E0 Fend ."},
        {TEXT(0, 0, "\\\\ud83d") COMPLETED, true, "S B0t D0'\\\\ud83d' E0 Fend ."},
        /* annotations, logprobs, hosted tools, what nobody knows */
        {TEXT(0, 0, "a") EV("output_text.annotation.added", AT(0) ",\"annotation\":{\"n\":1}")
             DONE(0, "\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"a\","
                     "\"annotations\":[{\"n\":1}]}]") COMPLETED,
         true, "S B0t D0'a' C0{\"n\":1} E0 Fend ."},
        {EV("output_text.delta", AT(0) ",\"content_index\":0,\"delta\":\"a\",\"logprobs\":[1]")
             COMPLETED,
         true, "S B0t D0'a' L0[1] E0 Fend ."},
        {ADDED(0, "\"type\":\"web_search_call\",\"id\":\"ws\"")
             EV("web_search_call.searching", AT(0) ",\"item_id\":\"ws\"")
                 DONE(0, "\"type\":\"web_search_call\",\"id\":\"ws\"") TEXT(1, 0, "a") COMPLETED,
         true, "S O{\"type\":\"web_search_call\",\"id\":\"ws\"} B0t D0'a' E0 Fend ."},
        {"{\"type\":\"keepalive\"}\n" CREATED "[1]\n{}\n" COMPLETED, true, "S Fend ."},
        /* why it stopped */
        {TEXT(0, 0, "a") EV("incomplete", "\"response\":{\"status\":\"incomplete\",\"incomplete_"
                                          "details\":{\"reason\":\"max_output_tokens\"},\"usage\":{"
                                          "\"input_tokens\":3,\"output_tokens\":2}}"),
         true, "S B0t D0'a' E0 Flength U3/2 ."},
        {EV("incomplete", "\"response\":{\"incomplete_details\":{\"reason\":\"content_filter\"}}"),
         true, "S Frefusal ."},
        /* errors in all their places; nothing counts behind them */
        {CREATED EV("failed", "\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\","
                              "\"message\":\"slow\"}}") COMPLETED,
         true, "S X429(rate_limit_exceeded,slow)"},
        {"{\"type\":\"error\",\"code\":\"server_error\",\"message\":\"m\\n\",\"param\":null}\n",
         true, "X500(server_error,m\n)"},
        {"{\"error\":{\"type\":\"invalid_request_error\",\"code\":null,\"message\":\"m\"}}\n", true,
         "X400(,m)"},
        {"{\"error\":{\"code\":\"503\",\"message\":\"m\"}}\n", true, "X503(503,m)"},
        {EV("failed", "\"response\":{\"error\":{\"code\":\"invalid_image_url\"}}"), true,
         "X400(invalid_image_url,The model service answered with status 500.)"},
        /* F.8: the stream ends before its end, or with nothing but [DONE] */
        {CREATED TEXT(0, 0, "a"), false, "S B0t D0'a'"},
        {"", false, ""},
        {TEXT(0, 0, "a") "[DONE]", true, "S B0t D0'a' E0 Fend ."},
        {"[DONE]", false, ""},
        {COMPLETED "[DONE]", true, "S Fend ."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_trace(rows[i].lines, false, rows[i].complete, rows[i].wanted);
}

static void test_whole_replies(void **state)
{
    static const struct {
        const char *reply, *wanted;
    } rows[] = {
        {"{\"id\":\"r\",\"status\":\"completed\",\"error\":null,\"output\":[{\"type\":"
         "\"reasoning\","
         "\"id\":\"rs\",\"summary\":[],\"content\":[{\"text\":\"x\"}]},{\"type\":\"message\","
         "\"content\":[{\"type\":\"output_text\",\"text\":\"a\",\"annotations\":[{\"n\":1},{\"n\":"
         "2}"
         "],\"logprobs\":[7]},{\"type\":\"output_text\",\"text\":\"\"}]},{" CALL(
             "c",
             "f") ",\"arguments\":\"{}\"},{\"type\":\"image_generation_call\",\"result\":\"AA\"}],"
                  "\"incomplete_details\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":4}}",
         "S B0R D0'x' E0 B1t D1'a' L1[7] C1{\"n\":1} C1{\"n\":2} E1 B2c(c,f) D2'{}' E2 "
         "O{\"type\":\"image_generation_call\",\"result\":\"AA\"} Ftool U9/4 ."},
        {"{\"status\":\"incomplete\",\"output\":[]}", "S Flength ."},
        {"{\"status\":\"failed\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}",
         "X500(server_error,m)"},
        {"{\"status\":\"cancelled\"}", "X500(,The model service answered with status 500.)"},
        {"{}", "S Fend ."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        expect_trace(rows[i].reply, true, true, rows[i].wanted);
}

static void test_too_many_items_end_the_reply(void **state)
{
    struct buf lines = {0};
    struct bufpool pool = {.ceiling = 8 << 20};
    char line[128];

    (void)state;
    for (unsigned i = 0; i <= 1024; i++) {
        int n = snprintf(line, sizeof line,
                         "{\"type\":\"response.output_item.added\",\"output_index\":%u,\"item\":{"
                         "\"type\":\"message\"}}\n",
                         i);
        assert_true(buf_add(&pool, &lines, line, (size_t)n));
    }
    assert_true(buf_add(&pool, &lines, "", 1));
    expect_trace(lines.p, false, true, "X502(,The model service answered with too many items.)");
    buf_free(&pool, &lines);
    bufpool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_cannot_be_carried_is_refused),
        cmocka_unit_test(test_items_become_turns_and_items_again),
        cmocka_unit_test(test_members_become_members_again),
        cmocka_unit_test(test_history_stands_before_the_input),
        cmocka_unit_test(test_a_conversation_is_kept),
        cmocka_unit_test(test_references_are_followed),
        cmocka_unit_test(test_input_items_page_by_page),
        cmocka_unit_test(test_streams_as_they_should_be_and_as_they_are),
        cmocka_unit_test(test_whole_replies),
        cmocka_unit_test(test_too_many_items_end_the_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
