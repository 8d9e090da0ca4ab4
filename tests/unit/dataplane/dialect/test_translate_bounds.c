/* What is too much for one turn of the loop is refused, by a row of errors.def of its own. */

#include "dialect/translate.h"
#include "tests/unit/test.h"

enum { MIB = 1 << 20 };

struct world {
    struct bufpool pool;
    struct arena_pool blocks;
    struct arena arena;
    struct translate t;
    char *text;
    size_t n, cap;
};

static void setup(struct world *w, enum api client, enum api upstream)
{
    *w = (struct world){.pool.ceiling = (size_t)256 * MIB, .cap = (size_t)40 * MIB};
    w->text = malloc(w->cap);
    assert_non_null(w->text);
    arena_init(&w->arena, &w->blocks, (size_t)64 * MIB);
    translate_init(&w->t, client, upstream, &w->pool, &w->blocks, &w->arena);
}

static void teardown(struct world *w)
{
    translate_deinit(&w->t);
    assert_int_equal(w->pool.lent, 0);
    arena_reset(&w->arena);
    arena_pool_deinit(&w->blocks);
    bufpool_deinit(&w->pool);
    free(w->text);
}

static void put(struct world *w, const char *s)
{
    size_t n = strlen(s);

    assert_true(w->n + n <= w->cap);
    memcpy(w->text + w->n, s, n);
    w->n += n;
}

/* `piece` until there are `bytes` of it. */
static void fill(struct world *w, const char *piece, size_t bytes)
{
    for (size_t at = 0; at + strlen(piece) <= bytes; at += strlen(piece))
        put(w, piece);
}

/* CLIENT_ERRORS: it was carried. */
static enum client_error ask(struct world *w, size_t lend_min)
{
    struct buf body = {0};
    struct jout out = jout_init(&w->pool, &body);
    bool messages = w->t.upstream->api == API_MESSAGES;
    struct upstream_model m = {.name = STR("m"),
                               .provider = messages ? STR("anthropic") : STR("openai")};

    out.lend_min = lend_min;
    bool ok =
        translate_read(&w->t, (struct str){w->text, w->n}) && translate_write(&w->t, &out, &m);
    assert_int_equal(ok, w->t.fault.error == CLIENT_ERRORS);
    buf_free(&w->pool, &body);
    jout_deinit(&out);
    return w->t.fault.error;
}

static void test_arguments_that_are_rewritten_are_bounded(void **state)
{
    static const struct {
        enum api client, upstream;
        const char *head, *tail;
        enum client_error error; /* of more than the most */
    } rows[] = {
        {API_CHAT, API_MESSAGES,
         "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"",
         "\\\"}\"}}]}]}", ERROR_LARGE_ARGUMENTS},
        {API_CHAT, API_RESPONSES, /* where they stay what they are */
         "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"",
         "\\\"}\"}}]}]}", CLIENT_ERRORS},
        {API_MESSAGES, API_CHAT,
         "{\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":"
         "\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"",
         "\"}}]}]}", ERROR_LARGE_ARGUMENTS},
        {API_RESPONSES, API_MESSAGES,
         "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":"
         "\"{\\\"a\\\":\\\"",
         "\\\"}\"}]}", ERROR_LARGE_ARGUMENTS},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned over = 0; over < 2; over++) {
            struct world w;
            setup(&w, rows[i].client, rows[i].upstream);
            put(&w, rows[i].head);
            fill(&w, "x", TRANSLATE_ARGUMENTS_MAX - (over ? 0 : 64));
            put(&w, rows[i].tail);
            assert_int_equal(ask(&w, TRANSLATE_LEND_MIN), over ? rows[i].error : CLIENT_ERRORS);
            teardown(&w);
        }
}

static void test_what_outgrows_the_largest_buffer_is_no_overload(void **state)
{
    static const size_t lend_min[] = {SIZE_MAX, TRANSLATE_LEND_MIN};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lend_min); i++) {
        struct world w;
        setup(&w, API_CHAT, API_MESSAGES);
        put(&w, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
        fill(&w, "x", BUF_MAX - 64);
        put(&w, "\"}]}");
        assert_int_equal(ask(&w, lend_min[i]), i ? CLIENT_ERRORS : ERROR_LARGE_TRANSLATION);
        teardown(&w);
    }
}

static void test_lone_halves_are_bounded(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        struct world w;
        setup(&w, API_CHAT, API_MESSAGES);
        put(&w, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
        fill(&w, "\\ud83d", 6 * (JSON_TAPE_LONE + over));
        put(&w, "\"}]}");
        assert_int_equal(ask(&w, TRANSLATE_LEND_MIN), over ? ERROR_BROKEN_TEXT : CLIENT_ERRORS);
        teardown(&w);
    }
}

static bool begin(struct world *w, struct reply_scan *scan, bool stream)
{
    struct translate_reply r = {.scan = scan, .model = STR("\"public\""), .stream = stream};

    reply_scan_init(scan);
    return translate_reply_begin(&w->t, &r);
}

static void test_a_whole_reply_is_bounded(void **state)
{
    (void)state;
    for (unsigned over = 0; over < 2; over++) {
        static struct reply_scan scan;
        struct world w;
        struct buf out = {0};
        setup(&w, API_MESSAGES, API_CHAT);
        assert_true(begin(&w, &scan, false));
        put(&w, "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"content\":\"");
        fill(&w, "x", TRANSLATE_REPLY_MAX - (over ? 0 : 128));
        put(&w, "\"}}]}");
        assert_int_equal(translate_whole(&w.t, (struct str){w.text, w.n}, &out), !over);
        assert_int_equal(w.t.done, !over);
        assert_false(w.t.unreadable); /* it is too large, not wrong */
        buf_free(&w.pool, &out);
        teardown(&w);
    }
}

/* As it comes from a connection. */
static bool feed(struct world *w, struct buf *out, bool stream)
{
    bool ok = true;

    for (size_t at = 0; ok && at < w->n; at += 64 * 1024) {
        ok = translate_events(&w->t, w->text + at, MIN(w->n - at, (size_t)64 * 1024), out);
        out->n = stream ? 0 : out->n; /* sent */
    }
    return ok;
}

/* Small events of which a whole reply is made, or one event. */
static void test_events_are_bounded(void **state)
{
    static const struct {
        enum api client;
        bool stream;
        size_t event, all;
        bool ok;
    } rows[] = {
        {API_CHAT, true, 64 * 1024, (size_t)24 * MIB, true},
        {API_CHAT, false, 64 * 1024, 7 * MIB, true},
        {API_CHAT, false, 64 * 1024, 9 * MIB, false},
        {API_MESSAGES, true, SSE_EVENT_MAX - 256, SSE_EVENT_MAX - 256, true},
        {API_MESSAGES, true, SSE_EVENT_MAX, SSE_EVENT_MAX, false},
        {API_RESPONSES, true, 64 * 1024, 3 * MIB, true},
        {API_RESPONSES, true, 64 * 1024, 5 * MIB, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        static struct reply_scan scan;
        struct world w;
        struct buf out = {0};
        bool ok = true;
        setup(&w, rows[i].client, API_CHAT);
        assert_true(begin(&w, &scan, rows[i].stream));
        put(&w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"");
        fill(&w, "x", rows[i].event);
        put(&w, "\"}}]}\n\n");
        for (size_t at = 0; ok && at < rows[i].all; at += rows[i].event)
            ok = feed(&w, &out, rows[i].stream);
        ok = ok && translate_events(&w.t, "data: [DONE]\n\n", 14, &out);
        assert_int_equal(ok, rows[i].ok);
        assert_false(w.t.unreadable);
        buf_free(&w.pool, &out);
        teardown(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments_that_are_rewritten_are_bounded),
        cmocka_unit_test(test_what_outgrows_the_largest_buffer_is_no_overload),
        cmocka_unit_test(test_lone_halves_are_bounded),
        cmocka_unit_test(test_a_whole_reply_is_bounded),
        cmocka_unit_test(test_events_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
