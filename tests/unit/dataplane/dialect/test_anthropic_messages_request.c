/*
 * Requests of the Messages dialect by itself: written for what models can and cannot. Whole ways
 * between two APIs: tests/cases/translate.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_refused),   cmocka_unit_test(test_request_read),
        cmocka_unit_test(test_request_written),   cmocka_unit_test(test_request_not_written),
        cmocka_unit_test(test_request_of_others), cmocka_unit_test(test_many_results),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
