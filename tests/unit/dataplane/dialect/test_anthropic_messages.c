/*
 * The Messages dialect by itself: requests written for what models can and cannot, replies read
 * into events, events written as replies. Whole ways between two APIs: tests/cases/translate.
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

/* --- requests --------------------------------------------------------------------------------
 */

/* What the models of the tests can. */
enum {
    CAN_BASE = CAP_FORCED_TOOLS | CAP_SYSTEM | CAP_SAMPLING,
    CAN_45 = CAN_BASE | CAP_REASONING | CAP_THINKING_BUDGET | CAP_JSON_SCHEMA | CAP_PREFILL,
    CAN_5 = CAP_FORCED_TOOLS | CAP_REASONING | CAP_THINKING_ADAPTIVE | CAP_EFFORT |
            CAP_JSON_SCHEMA | CAP_SYSTEM_INSIDE,
    CAN_3 = CAN_BASE | CAP_PREFILL,
};

static const struct upstream_model claude = {
    .name = STR_INIT("c"), .provider = STR_INIT("anthropic"), .can = CAN_45};

/* Reads a body in the words of Messages as if a client of `from` had said it. */
static bool read_as(enum api from, const char *body, struct fault *f)
{
    struct json_tape t;

    arena_reset(&arena);
    memset(&n, 0, sizeof n);
    n.arena = &arena;
    n.from = from;
    json_tape_init(&t, &pool);
    assert_int_equal(json_tape_read(&t, body, strlen(body)), JSON_TAPE_DONE);
    bool ok = anthropic_messages.request_read(&n, &t, f);
    json_tape_deinit(&t);
    return ok;
}

/* The body written for `m`, in the arena; empty when it was refused. */
static struct str written(const struct upstream_model *m, struct fault *f)
{
    struct buf b = {0};
    struct jout o = jout_init(&pool, &b);
    struct str body = {0};

    if (anthropic_messages.request_write(&o, &n, m, f))
        body = arena_str(&arena, (struct str){b.p, b.n});
    buf_free(&pool, &b);
    jout_deinit(&o);
    return body;
}

#define HI   "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}]"
#define HEAD "{\"max_tokens\":100,\"model\":\"c\","
#define TOOL                                                                                       \
    "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}},"         \
    "\"type\":\"custom\"}]"

static void test_request_refused(void **state)
{
    static const struct {
        const char *body, *detail;
    } rows[] = {
        {"{}", "messages"},
        {"{\"messages\":{}}", "messages must be a list."},
        {"{\"messages\":[]}", "max_tokens"},
        {"{\"messages\":[],\"max_tokens\":\"1\"}", "max_tokens must be a whole number."},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{}],\"max_tokens\":1}",
         "messages.1.role must be user, assistant or system."},
        {"{\"messages\":[{\"role\":\"user\",\"content\":1}],\"max_tokens\":1}",
         "messages.0.content must be a string or a list."},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}],\"max_tokens\":1}",
         "messages.0.content has a text block without text."},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\","
         "\"name\":\"f\",\"input\":\"{}\"}]}],\"max_tokens\":1}",
         "messages.0.content has a tool_use without id, name or input object."},
        {"{\"messages\":[],\"max_tokens\":1,\"tools\":{}}", "tools must be a list."},
        {"{\"messages\":[],\"max_tokens\":1,\"tools\":[{\"description\":\"x\"}]}",
         "tools has one without a name."},
        {"{\"messages\":[],\"max_tokens\":1,\"tool_choice\":{\"type\":\"tool\"}}",
         "tool_choice names no tool."},
        {"{\"messages\":[],\"max_tokens\":1,\"stop_sequences\":[1]}",
         "stop_sequences must be a list of strings."},
        {"{\"messages\":[],\"max_tokens\":1,\"system\":3}", "system must be a string or a list."},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fault f = {0};
        assert_false(read_as(API_MESSAGES, rows[i].body, &f));
        assert_int_equal(f.error,
                         strchr(rows[i].detail, ' ') ? ERROR_BAD_FIELD : ERROR_MISSING_FIELD);
        assert_str(f.detail, rows[i].detail);
    }
}

static void test_request_read(void **state)
{
    struct fault f = {0};
    const struct block *b;

    (void)state;
    assert_true(read_as(
        API_MESSAGES,
        "{\"max_tokens\":7,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{"
        "\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":["
        "{\"type\":\"search_result\",\"source\":\"u\",\"title\":\"t\",\"content\":[{\"type\":"
        "\"text\",\"text\":\"one\"},{\"type\":\"text\",\"text\":\"two\"}]},"
        "{\"type\":\"document\",\"title\":\"d\",\"source\":{\"type\":\"content\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"x\"},{\"type\":\"image\",\"source\":{\"type\":\"url\","
        "\"url\":\"https://a/b.png\"}},{\"type\":\"text\",\"text\":\"y\"}]}}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"t\","
        "\"signature\":\"weir1.6.0.4.rs_1ENC\"},{\"type\":\"server_tool_use\",\"id\":\"srvtoolu_1\""
        ",\"name\":\"web_search\",\"input\":{}},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
        "\"input\":{\"n\":12345678901234567890}}]},{\"role\":\"user\",\"content\":[{\"type\":"
        "\"tool_result\",\"tool_use_id\":\"a\",\"is_error\":true,\"content\":[{\"type\":\"text\","
        "\"text\":\"a \\u00e9\"},{\"type\":\"tool_reference\",\"tool_name\":\"g\"}]}]}],"
        "\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2048},\"output_config\":{\"effort\":"
        "\"high\",\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\"}}},"
        "\"metadata\":{\"user_id\":\"u1\"},\"top_k\":4,\"temperature\":null,\"betas\":[\"x\"],"
        "\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true},\"stream\":true,"
        "\"tools\":[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"},{\"type\":"
        "\"bash_20250124\",\"name\":\"bash\"}],\"stop_sequences\":[\"A\"]}",
        &f));
    assert_int_equal(n.first->role, ROLE_SYSTEM);
    assert_str(n.first->first->cache, "{\"type\":\"ephemeral\"}");

    b = n.first->next->first;
    assert_int_equal(b->kind, BLOCK_TEXT);
    assert_str(((struct str){b->text.p, b->text.n}), "t\\nu\\n\\none\\ntwo");
    b = b->next;
    assert_int_equal(b->kind, BLOCK_DOCUMENT);
    assert_int_equal(b->source, MEDIA_TEXT);
    assert_str(((struct str){b->text.p, b->text.n}), "x\\ny");
    assert_int_equal(b->next->kind, BLOCK_IMAGE);
    assert_int_equal(b->next->source, MEDIA_URL);

    b = n.first->next->next->first; /* reasoning of somebody else, sealed by this gateway */
    assert_int_equal(b->origin, API_RESPONSES);
    assert_str(((struct str){b->id.p, b->id.n}), "rs_1");
    assert_str(((struct str){b->signature.p, b->signature.n}), "ENC");
    assert_int_equal(b->next->kind, BLOCK_OPAQUE);
    assert_str(b->next->next->input, "{\"n\":12345678901234567890}");

    b = n.last->first;
    assert_true(b->is_error);
    assert_str(((struct str){b->inner->text.p, b->inner->text.n}), "a \\u00e9");
    assert_int_equal(b->inner->next->kind, BLOCK_OPAQUE);

    assert_int_equal(n.reasoning.thinking, THINKING_ON);
    assert_int_equal(n.reasoning.budget, 2048);
    assert_int_equal(n.reasoning.effort, EFFORT_HIGH);
    assert_int_equal(n.format.kind, FORMAT_SCHEMA);
    assert_int_equal(n.choice.kind, CHOICE_REQUIRED);
    assert_int_equal(n.parallel_tools, NO);
    assert_str(n.param[PARAM_TOP_K], "4");
    assert_null(n.param[PARAM_TEMPERATURE].p);
    assert_str(n.extras->value, "[\"x\"]");
    assert_null(n.extras->next);
    assert_int_equal(n.tools->kind, TOOL_WEB_SEARCH);
    assert_int_equal(n.tools->next->kind, TOOL_OPAQUE);
    assert_int_equal(n.n_stop, 1);
    assert_true(n.stream);
}

/* What a client said is written for what a model can. */
static void test_request_written(void **state)
{
    static const struct {
        const char *what;
        uint32_t can;
        const char *said, *want;
        bool modify, drop;
    } rows[] = {
        {"plain", CAN_45, "{" HI ",\"max_tokens\":100}", HEAD HI "}", 0, 0},
        {"no limit: the default", CAN_45, "{" HI "}",
         "{\"max_tokens\":4096,\"model\":\"c\"," HI "}", 0, 0},
        {"neighbours are one message, results first", CAN_45,
         "{\"max_tokens\":100," TOOL ",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
         "\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"tool_use\",\"id\":\"x.1\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\","
         "\"content\":"
         "\"c\"},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":"
         "\"x.1\",\"content\":\"r\"}]}]}",
         HEAD TOOL
         ",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{"
         "\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"tool_use\",\"id\":\"x1_1a0dc7f654df714d\",\"name\":\"f\",\"input\":{}}]},{\"role\":"
         "\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"x1_1a0dc7f654df714d\","
         "\"content\":\"r\"},{\"type\":\"text\",\"text\":\"c\"}]}]}",
         0, 0},
        {"what is missing is mended", CAN_45,
         "{\"max_tokens\":100," TOOL ",\"messages\":[{\"role\":\"assistant\",\"content\":[{"
         "\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\",\"input\":{}},{\"type\":\"tool_use\","
         "\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":\"c\"},{\"type\":\"tool_result\",\"tool_use_id\":\"b\"}]}]}",
         HEAD TOOL
         ",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
         "\"Please continue.\"}]},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\","
         "\"id\":\"a\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":"
         "\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"[The call was interrupted; there is "
         "no result.]\",\"is_error\":true},{\"type\":\"text\",\"text\":\"c\"}]}]}",
         1, 0},
        {"calls nobody answered", CAN_45,
         "{\"max_tokens\":100," TOOL ",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
         "\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
         "\"input\":{}}]}]}",
         HEAD TOOL
         ",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{"
         "\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"f\","
         "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
         "\"tool_use_id\":\"a\",\"content\":\"[The call was interrupted; there is no result.]\","
         "\"is_error\":true}]}]}",
         1, 0},
        {"blank texts go, a blank message does not", CAN_45,
         "{\"max_tokens\":100,\"system\":\" \",\"messages\":[{\"role\":\"user\",\"content\":\" "
         "\\n\"},{\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":\"a\"},{"
         "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b \\n\"}]}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"[empty "
              "message]\"},{\"type\":\"text\",\"text\":\"a\"}]},{"
              "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]}]}",
         0, 0},
        {"a prefill it does not continue", CAN_5,
         "{\"max_tokens\":100," HI ",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{"
         "\"role\":\"assistant\",\"content\":\"b\"}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{"
              "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":"
              "\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Please continue.\"}]}]}",
         1, 0},
        {"system messages inside", CAN_5,
         "{\"max_tokens\":100,\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
         "{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"system\",\"content\":\"i\"},{"
         "\"role\":\"user\",\"content\":\"c\"}]}",
         HEAD "\"system\":[{\"type\":\"text\",\"text\":\"s\"}],\"messages\":[{\"role\":\"user\","
              "\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\","
              "\"content\":[{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"user\",\"content\":[{"
              "\"type\":\"text\",\"text\":\"c\"}]},{\"role\":\"system\",\"content\":[{\"type\":"
              "\"text\",\"text\":\"i\"}]}]}",
         0, 0},
        {"... of a model that has none", CAN_45,
         "{\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":"
         "\"system\",\"content\":\"i\"}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{"
              "\"type\":\"text\",\"text\":\"[What follows is an instruction of the system, not of "
              "the user.]\"},{\"type\":\"text\",\"text\":\"i\"}]}]}",
         0, 0},
        {"calls in the history want a tool", CAN_45,
         "{\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{"
         "\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":"
         "\"AA==\"}}]}]}]}",
         HEAD "\"tools\":[{\"name\":\"dummy_tool\",\"input_schema\":{\"type\":\"object\","
              "\"properties\":{}},\"type\":\"custom\"}],\"messages\":[{\"role\":\"user\","
              "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":[{\"type\":"
              "\"text\",\"text\":\"x\"},{\"type\":\"image\",\"source\":{\"type\":\"base64\","
              "\"media_type\":\"image/png\",\"data\":\"AA==\"}}]}]}]}",
         0, 0},
        {"the last four marks", CAN_45,
         "{\"max_tokens\":100,\"system\":[{\"type\":\"text\",\"text\":\"s\",\"cache_control\":{"
         "\"type\":\"ephemeral\"}}],\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":"
         "\"text\",\"text\":\"1\",\"cache_control\":{\"mode\":\"explicit\"}},{\"type\":\"text\","
         "\"text\":\"2\",\"cache_control\":{\"type\":\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":"
         "\"text\",\"text\":\"3\",\"cache_control\":{\"type\":\"ephemeral\"}},{\"type\":\"text\","
         "\"text\":\"4\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}",
         HEAD "\"system\":[{\"type\":\"text\",\"text\":\"s\"}],\"messages\":[{\"role\":\"user\","
              "\"content\":[{\"type\":\"text\",\"text\":\"1\",\"cache_control\":{\"type\":"
              "\"ephemeral\"}},{\"type\":\"text\",\"text\":\"2\",\"cache_control\":{\"type\":"
              "\"ephemeral\",\"ttl\":\"1h\"}},{\"type\":\"text\",\"text\":\"3\",\"cache_control\":{"
              "\"type\":\"ephemeral\"}},{\"type\":\"text\",\"text\":\"4\",\"cache_control\":{"
              "\"type\":\"ephemeral\"}}]}]}",
         0, 0},
        {"a budget, and room beside it", CAN_45, "{" HI ",\"output_config\":{\"effort\":\"high\"}}",
         "{\"max_tokens\":8192,\"model\":\"c\"," HI
         ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096}}",
         0, 0},
        {"a budget gives way to the limit", CAN_45,
         "{" HI ",\"max_tokens\":3000,\"output_config\":{\"effort\":\"high\"}}",
         "{\"max_tokens\":3000,\"model\":\"c\"," HI
         ",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1500}}",
         0, 0},
        {"no room for any", CAN_45,
         "{" HI ",\"max_tokens\":100,\"output_config\":{\"effort\":"
         "\"high\"}}",
         HEAD HI "}", 0, 0},
        {"adaptive", CAN_5,
         "{" HI ",\"max_tokens\":100,\"output_config\":{\"effort\":\"minimal\"}}",
         HEAD HI ",\"thinking\":{\"type\":\"adaptive\",\"display\":\"summarized\"},"
                 "\"output_config\":{\"effort\":\"low\"}}",
         0, 0},
        {"adaptive for who asks by budget", CAN_5,
         "{" HI ",\"max_tokens\":100,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":4096}}",
         HEAD HI ",\"thinking\":{\"type\":\"adaptive\"},\"output_config\":{\"effort\":\"high\"}}",
         0, 0},
        {"off", CAN_5, "{" HI ",\"max_tokens\":100,\"output_config\":{\"effort\":\"none\"}}",
         HEAD HI ",\"thinking\":{\"type\":\"disabled\"}}", 0, 0},
        {"not to be switched off", CAN_5 | CAP_THINKING_ALWAYS,
         "{" HI ",\"max_tokens\":100,\"thinking\":{\"type\":\"disabled\"}}", HEAD HI "}", 0, 0},
        {"a forced tool is not thought about", CAN_45,
         "{" HI ",\"max_tokens\":2000," TOOL ",\"tool_choice\":{\"type\":\"any\"},\"thinking\":{"
         "\"type\":\"enabled\",\"budget_tokens\":1024}}",
         "{\"max_tokens\":2000,\"model\":\"c\"," TOOL ",\"tool_choice\":{\"type\":\"any\"}," HI "}",
         0, 0},
        {"tools that cannot be forced", CAN_5 & ~CAP_FORCED_TOOLS,
         "{" HI ",\"max_tokens\":100," TOOL ",\"tool_choice\":{\"type\":\"any\"}}",
         HEAD TOOL ",\"tool_choice\":{\"type\":\"auto\"}," HI "}", 0, 1},
        {"a choice without tools", CAN_45,
         "{" HI ",\"max_tokens\":100,\"tool_choice\":{\"type\":\"auto\"}}", HEAD HI "}", 0, 0},
        {"one at a time", CAN_45,
         "{" HI ",\"max_tokens\":100," TOOL ",\"tool_choice\":{\"type\":\"auto\","
         "\"disable_parallel_tool_use\":true}}",
         HEAD TOOL ",\"tool_choice\":{\"type\":\"auto\",\"disable_parallel_tool_use\":true}," HI
                   "}",
         0, 0},
        {"structured output", CAN_45,
         "{" HI ",\"max_tokens\":100,\"output_format\":{\"type\":\"json_schema\",\"schema\":{"
         "\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":1}}}}}",
         HEAD HI ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":"
                 "\"object\",\"properties\":{\"a\":{\"description\":\"Note: minimum 1.\",\"type\":"
                 "\"integer\"}},\"additionalProperties\":false}}}}",
         0, 0},
        {"... with names of its own: by a tool", CAN_45,
         "{" HI ",\"max_tokens\":100,\"output_format\":{\"type\":\"json_schema\",\"schema\":{"
         "\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}",
         HEAD "\"tools\":[{\"name\":\"json_tool_call\",\"input_schema\":{\"type\":\"object\","
              "\"additionalProperties\":{\"type\":\"string\"},\"properties\":{}}}],\"tool_choice\":"
              "{\"type\":\"tool\",\"name\":\"json_tool_call\"}," HI "}",
         0, 0},
        {"... of a model without: among tools", CAN_3,
         "{" HI ",\"max_tokens\":100," TOOL ",\"output_format\":{\"type\":\"json_schema\","
         "\"schema\":{\"type\":\"object\",\"properties\":{}}}}",
         HEAD "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\",\"properties\":{}},"
              "\"type\":\"custom\"},{\"name\":\"json_tool_call\",\"description\":\"To answer, call "
              "this instead of writing.\",\"input_schema\":{\"type\":\"object\",\"properties\":{}}}"
              "],\"tool_choice\":{\"type\":\"any\"}," HI "}",
         0, 0},
        {"sampling", CAN_45,
         "{" HI ",\"max_tokens\":100,\"temperature\":1.7,\"top_p\":0.50,\"top_k\":3}",
         HEAD HI ",\"temperature\":1,\"top_p\":0.50,\"top_k\":3}", 0, 0},
        {"sampling of a model that takes none", CAN_5,
         "{" HI ",\"max_tokens\":100,\"temperature\":0.2,\"top_p\":0.5}", HEAD HI "}", 0, 1},
        {"temperature 1 is no choice", CAN_5, "{" HI ",\"max_tokens\":100,\"temperature\":1.0}",
         HEAD HI ",\"temperature\":1.0}", 0, 0},
        {"tiers, users, stops, extras", CAN_45,
         "{" HI ",\"max_tokens\":100,\"service_tier\":\"default\",\"metadata\":{\"user_id\":"
         "\"u\"},\"stop_sequences\":[\" \",\"END\"],\"zork\":{\"a\":1e400}}",
         HEAD HI ",\"service_tier\":\"standard_only\",\"stop_sequences\":[\"END\"],\"metadata\":{"
                 "\"user_id\":\"u\"},\"zork\":{\"a\":1e400}}",
         0, 0},
        {"an address is nobody's business", CAN_45,
         "{" HI ",\"max_tokens\":100,\"metadata\":{\"user_id\":\"a@example.org\"}}", HEAD HI "}", 0,
         0},
        {"documents", CAN_45,
         "{\"max_tokens\":100,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\","
         "\"title\":\"n.txt\",\"source\":{\"type\":\"base64\",\"media_type\":\"text/plain\","
         "\"data\":\"aGkgInlvdSI=\"}},{\"type\":\"document\",\"source\":{\"type\":\"base64\","
         "\"data\":\"JVBERi0=\"}}]}]}",
         HEAD "\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{"
              "\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"hi \\\"you\\\"\"},"
              "\"title\":\"n.txt\"},{\"type\":\"document\",\"source\":{\"type\":\"base64\","
              "\"media_type\":\"application/pdf\",\"data\":\"JVBERi0=\"}}]}]}",
         0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fault f = {.error = CLIENT_ERRORS};
        struct upstream_model m = claude;
        m.can = rows[i].can;
        m.modify_params = rows[i].modify;
        m.drop_params = rows[i].drop;
        if (!read_as(API_CHAT, rows[i].said, &f))
            fail_msg("%s: not read: %.*s", rows[i].what, STR_ARG(f.detail));
        struct str got = written(&m, &f);
        if (!str_eq(got, str_of(rows[i].want)))
            fail_msg("%s\ngot    %.*s\nwanted %s\nfault %.*s", rows[i].what, STR_ARG(got),
                     rows[i].want, STR_ARG(f.detail));
    }
}

static void test_request_not_written(void **state)
{
    static const struct {
        uint32_t can;
        const char *said, *param;
    } rows[] = {
        {CAN_5, "{" HI ",\"temperature\":0.2}", "temperature"},
        {CAN_5, "{" HI ",\"output_config\":{\"effort\":\"max\"}}", "reasoning_effort"},
        {CAN_5 & ~CAP_FORCED_TOOLS, "{" HI "," TOOL ",\"tool_choice\":{\"type\":\"any\"}}",
         "tool_choice"},
        {CAN_45, "{" HI ",\"service_tier\":\"flex\"}", "service_tier"},
        {CAN_45, "{\"system\":\"s\",\"messages\":[]}", "messages"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fault f = {.error = CLIENT_ERRORS};
        struct upstream_model m = claude;
        m.can = rows[i].can;
        assert_true(read_as(API_CHAT, rows[i].said, &f));
        assert_int_equal(written(&m, &f).n, 0);
        assert_str(f.param, rows[i].param);
        assert_true(f.detail.n > 0);
    }
}

/* What other APIs have and this one has not. */
static void test_request_of_others(void **state)
{
    struct fault f = {.error = CLIENT_ERRORS};
    struct upstream_model m = claude;
    struct block *b;
    struct turn *t;

    (void)state;
    assert_true(read_as(API_CHAT, "{" HI "}", &f));
    t = neutral_turn(&n, ROLE_ASSISTANT);
    b = neutral_block(&n, t, BLOCK_REASONING); /* not ours */
    b->text = JSTR("hm");
    b->signature = JSTR("s");
    b = neutral_block(&n, t, BLOCK_REASONING);
    b->origin = API_MESSAGES;
    b->text = JSTR("hm");
    b->signature = JSTR("sig");
    b = neutral_block(&n, t, BLOCK_TOOL_CALL);
    b->id = JSTR("1");
    b->name = JSTR("get.it");
    b->arguments = JSTR("{\\\"a\\\": 12345678901234567890, \\\"b\\\": \\\"\\u00e9\\\"}");
    b = neutral_block(&n, t, BLOCK_TOOL_CALL);
    b->id = JSTR("2");
    b->name = JSTR("patch");
    b->is_custom = true;
    b->text = JSTR("a\\n\\\"b\\\"");
    b = neutral_block(&n, t, BLOCK_TOOL_CALL);
    b->id = JSTR("3");
    b->name = JSTR("f");
    b->arguments = JSTR(" \\n");
    t = neutral_turn(&n, ROLE_USER);
    b = neutral_block(&n, t, BLOCK_TOOL_RESULT);
    b->id = JSTR("1");
    struct tool *tool = neutral_tool(&n, TOOL_FUNCTION);
    tool->name = JSTR("get.it");
    tool->schema = STR("{\"$schema\":\"x\",\"anyOf\":[],\"required\":[\"a\"],\"type\":[\"object\"],"
                       "\"properties\":{\"a\":{}}}");
    tool = neutral_tool(&n, TOOL_CUSTOM);
    tool->name = JSTR("patch");
    tool->description = JSTR("p");
    tool->format = STR("{\"type\":\"grammar\",\"syntax\":\"lark\",\"definition\":\"start: \\\"x\\\""
                       "\"}");
    tool = neutral_tool(&n, TOOL_WEB_SEARCH);
    tool->raw = STR("{\"type\":\"web_search\"}");
    tool->context_size = JSTR("medium");
    assert_str(
        written(&m, &f),
        "{\"max_tokens\":4096,\"model\":\"c\",\"tools\":[{\"name\":\"getit_5ab96e608658b47b\","
        "\"input_schema\":{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{}}},"
        "\"type\":\"custom\"},{\"name\":\"patch\",\"description\":\"p\",\"input_schema\":{\"type\":"
        "\"object\",\"properties\":{\"content\":{\"type\":\"string\",\"description\":\"Follows "
        "this "
        "grammar (lark):\\nstart: \\\"x\\\"\"}},\"required\":[\"content\"]},\"type\":\"custom\"},{"
        "\"type\":\"web_search_20250305\",\"name\":\"web_search\",\"max_uses\":5}],\"messages\":[{"
        "\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]},{\"role\":"
        "\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":"
        "\"sig\"},{\"type\":\"tool_use\",\"id\":\"1\",\"name\":\"getit_5ab96e608658b47b\","
        "\"input\":{\"a\": 12345678901234567890, \"b\": \"\xc3\xa9\"}},{\"type\":\"tool_use\","
        "\"id\":\"2\",\"name\":\"patch\",\"input\":{\"content\":\"a\\n\\\"b\\\"\"}},{\"type\":"
        "\"tool_use\",\"id\":\"3\",\"name\":\"f\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
        "{\"type\":\"tool_result\",\"tool_use_id\":\"1\",\"content\":\"\"}]}]}");

    b = n.last->first; /* a call whose arguments are none */
    n.first->next->last->arguments = JSTR("{\\\"a\\\": ");
    assert_int_equal(written(&m, &f).n, 0);
    assert_str(f.param, "messages");
    m.modify_params = true;
    assert_true(str_find(written(&m, &f), STR("\"input\":{\"_raw\":\"{\\\"a\\\": \"}}")) !=
                SIZE_MAX);
    n.first->next->last->arguments = JSTR("{}");

    b = neutral_block(&n, n.first, BLOCK_AUDIO);
    assert_int_equal(written(&m, &f).n, 0);
    assert_int_equal(f.error, ERROR_UNSUPPORTED_PARAM);
    m.drop_params = true;
    assert_true(written(&m, &f).n > 0);

    n.choice.only_allowed = true;
    n.choice.allowed = &(struct jstr){"patch", 5};
    n.choice.n_allowed = 1;
    n.choice.kind = CHOICE_REQUIRED;
    struct str got = written(&m, &f);
    assert_true(str_find(got, STR("\"tool_choice\":{\"type\":\"any\"}")) != SIZE_MAX);
    assert_int_equal(str_find(got, STR("\"input_schema\":{\"type\":\"object\",\"required\"")),
                     SIZE_MAX);
}

/* Many calls and results cost what they are, whatever their ids. */
static void test_many_results(void **state)
{
    enum { CALLS = 20000 };
    struct fault f = {.error = CLIENT_ERRORS};
    struct upstream_model m = claude;
    struct turn *a, *u;

    (void)state;
    m.modify_params = true;
    assert_true(read_as(API_CHAT, "{" HI "}", &f));
    a = neutral_turn(&n, ROLE_ASSISTANT);
    u = neutral_turn(&n, ROLE_USER);
    for (unsigned i = 0; i < CALLS; i++) {
        struct str id = arena_printf(&arena, "call_%u", i);
        struct block *call = neutral_block(&n, a, BLOCK_TOOL_CALL);
        struct block *result = neutral_block(&n, u, BLOCK_TOOL_RESULT);
        call->id = result->id = (struct jstr){id.p, id.n};
        call->name = JSTR("f");
    }
    struct str got = written(&m, &f);
    assert_int_equal(str_find(got, STR("interrupted")), SIZE_MAX);
    assert_true(str_find(got, STR("\"tool_use_id\":\"call_19999\"")) != SIZE_MAX);
}

/* --- replies ---------------------------------------------------------------------------------
 */

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
        cmocka_unit_test(test_request_refused),
        cmocka_unit_test(test_request_read),
        cmocka_unit_test(test_request_written),
        cmocka_unit_test(test_request_not_written),
        cmocka_unit_test(test_request_of_others),
        cmocka_unit_test(test_many_results),
        cmocka_unit_test(test_reply_read),
        cmocka_unit_test(test_reply_undone),
        cmocka_unit_test(test_reply_round_trip),
        cmocka_unit_test(test_reply_written),
        cmocka_unit_test(test_reply_whole_arguments),
        cmocka_unit_test(test_reply_waiting_is_bounded),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
