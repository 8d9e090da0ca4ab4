/* Streams and replies as rows: bytes in, bytes out, what was learnt; whole, by bytes, at every
 * split. */

#include "dialect/relay.h"
#include "tests/unit/test.h"

static struct bufpool pool = {.ceiling = 64 << 20};
static const struct relay_options plain = {.model = STR_INIT("\"ours\"")};
static const struct relay_options quiet = {.model = STR_INIT("\"ours\""), .withhold_usage = true};

/* What came of the input in pieces of `first`, then `step` bytes. */
struct outcome {
    struct relay r;
    struct buf out;
};

static void outcome_free(struct outcome *o)
{
    relay_deinit(&o->r);
    buf_free(&pool, &o->out);
}

static void stream(struct outcome *o, const struct relay_options *opt, struct str in, size_t first,
                   size_t step)
{
    *o = (struct outcome){0};
    relay_init(&o->r, &pool, opt);
    for (size_t at = 0, n = MIN(first, in.n); at < in.n; at += n, n = MIN(step, in.n - at)) {
        char *piece = malloc(n); /* the sanitizer sees a read beyond it */
        assert_non_null(piece);
        memcpy(piece, in.p + at, n);
        assert_true(relay_events(&o->r, piece, n, &o->out));
        free(piece);
    }
    assert_true(relay_events_end(&o->r, &o->out));
    assert_int_equal(o->r.hold.n, 0);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->out.n, b->out.n);
    assert_memory_equal(a->out.p ? a->out.p : "", b->out.p ? b->out.p : "", a->out.n);
    assert_int_equal(a->r.events, b->r.events);
    assert_int_equal(a->r.done, b->r.done);
    assert_int_equal(a->r.failed, b->r.failed);
    assert_int_equal(a->r.first_failed, b->r.first_failed);
    assert_int_equal(a->r.scan.finished, b->r.scan.finished);
    assert_int_equal(a->r.scan.counted, b->r.scan.counted);
    assert_int_equal(a->r.scan.text_bytes, b->r.scan.text_bytes);
    assert_int_equal(a->r.scan.next_sequence, b->r.scan.next_sequence);
    assert_int_equal(a->r.scan.response_id_n, b->r.scan.response_id_n);
    assert_memory_equal(a->r.scan.count, b->r.scan.count, sizeof a->r.scan.count);
}

/* One byte at a time, and split at each offset that is a multiple of `every`. */
static void assert_splits(const struct outcome *whole, const struct relay_options *opt,
                          struct str in, size_t every)
{
    struct outcome o;

    stream(&o, opt, in, 1, 1);
    assert_same(whole, &o);
    outcome_free(&o);
    for (size_t at = every; at < in.n; at += every) {
        stream(&o, opt, in, at, in.n);
        assert_same(whole, &o);
        outcome_free(&o);
    }
}

static void test_streams(void **state)
{
    static const struct {
        const struct relay_options *opt;
        const char *in, *out;
        unsigned events;
        bool done, finished, failed, first_failed;
        unsigned text;
    } rows[] = {
        {&plain, "", "", 0, 0, 0, 0, 0, 0},
        {&plain, "data: {\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"abc\"}}]}\n\n",
         "data: {\"model\":\"ours\",\"choices\":[{\"delta\":{\"content\":\"abc\"}}]}\n\n", 1, 0, 0,
         0, 0, 3},
        {&plain, "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n",
         "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n", 1, 1, 1, 0, 0,
         0},
        {&plain, "data: {\"choices\":[{\"finish_reason\":\"\"}]}\n\n",
         "data: {\"choices\":[{\"finish_reason\":\"\"}]}\n\n", 1, 0, 0, 0, 0, 0},
        /* 0.1, F.2: line ends of all kinds, kept */
        {&plain, "data: {\"model\":\"m\"}\r\n\r\ndata: [DONE]\r\n\r\n",
         "data: {\"model\":\"ours\"}\r\n\r\ndata: [DONE]\r\n\r\n", 1, 1, 0, 0, 0, 0},
        {&plain, "data: {\"model\":\"m\"}\r\rdata: {\"model\":\"m\"}\r\r",
         "data: {\"model\":\"ours\"}\r\rdata: {\"model\":\"ours\"}\r\r", 2, 0, 0, 0, 0, 0},
        {&plain, "data: {\"model\":\"m\"}\n\r\ndata: {\"model\":\"m\"}\r\n\ndata:{}\r\n\r",
         "data: {\"model\":\"ours\"}\n\r\ndata: {\"model\":\"ours\"}\r\n\ndata:{}\r\n\r", 3, 0, 0,
         0, 0, 0},
        /* F.3: several data lines; F.4: comments and fields; F.5: no blank, a mark */
        {&plain, "data: {\"model\":\ndata: \"m\"\ndata: }\n\n",
         "data: {\"model\":\ndata: \"ours\"\ndata: }\n\n", 1, 0, 0, 0, 0, 0},
        {&plain, ": hi\n\nevent: x\nid: 1\ndata:{\"model\":\"m\"}\nretry: 5\n\n",
         ": hi\n\nevent: x\nid: 1\ndata:{\"model\":\"ours\"}\nretry: 5\n\n", 1, 0, 0, 0, 0, 0},
        {&plain,
         "\xef\xbb\xbf"
         "data:  {\"model\":\"m\"} \n\n",
         "\xef\xbb\xbf"
         "data:  {\"model\":\"ours\"} \n\n",
         1, 0, 0, 0, 0, 0},
        {&plain, "datas: {\"model\":\"m\"}\ndat\ndata\n\n",
         "datas: {\"model\":\"m\"}\ndat\ndata\n\n", 0, 0, 0, 0, 0, 0},
        {&plain, "data: not json \"model\":\"m\"\n\n", "data: not json \"model\":\"m\"\n\n", 1, 0,
         0, 0, 0, 0},
        {&plain, "data: [DONE] \n\n", "data: [DONE] \n\n", 0, 1, 0, 0, 0, 0},
        /* F.1: UTF-8 anywhere */
        {&plain,
         "data: {\"model\":\"\xf0\x9f\x98\x80\",\"choices\":[{\"text\":\"\xe2\x82\xac\"}]}\n\n",
         "data: {\"model\":\"ours\",\"choices\":[{\"text\":\"\xe2\x82\xac\"}]}\n\n", 1, 0, 0, 0, 0,
         3},
        /* F.40: the model where dialects have it, and nowhere else */
        {&plain,
         "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m\","
         "\"content\":[]}}\n\n",
         "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"ours\","
         "\"content\":[]}}\n\n",
         1, 0, 0, 0, 0, 0},
        {&plain,
         "data: "
         "{\"type\":\"response.completed\",\"sequence_number\":7,\"response\":{\"x\":{\"model\":"
         "\"in\"},\"model\":\"m\"}}\n\n",
         "data: "
         "{\"type\":\"response.completed\",\"sequence_number\":7,\"response\":{\"x\":{\"model\":"
         "\"in\"},\"model\":\"ours\"}}\n\n",
         1, 0, 1, 0, 0, 0},
        {&plain, "data: {\"model\":null,\"choices\":[{\"model\":\"in\"}]}\n\n",
         "data: {\"model\":null,\"choices\":[{\"model\":\"in\"}]}\n\n", 1, 0, 0, 0, 0, 0},
        {&plain, "data: {\"m\\u006fdel\" : \"m\\\"\\\\\" }\n\n",
         "data: {\"m\\u006fdel\" : \"ours\" }\n\n", 1, 0, 0, 0, 0, 0},
        /* the event with usage and no choice */
        {&quiet,
         "data: {\"choices\":[{}]}\n\ndata: "
         "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\ndata: "
         "[DONE]\n\n",
         "data: {\"choices\":[{}]}\n\ndata: [DONE]\n\n", 2, 1, 0, 0, 0, 0},
        {&quiet,
         "data: {\"choices\":[{}]}\r\n\r\ndata: {\"usage\":{},\"choices\":[]}\r\n\r\ndata: "
         "[DONE]\r\n\r\n",
         "data: {\"choices\":[{}]}\r\n\r\ndata: [DONE]\r\n\r\n", 2, 1, 0, 0, 0, 0},
        {&plain, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
         "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n", 1, 0, 0, 0, 0, 0},
        /* F.7: Azure's first event; usage beside a choice; an error beside usage */
        {&quiet, "data: {\"choices\":[],\"usage\":null}\n\n",
         "data: {\"choices\":[],\"usage\":null}\n\n", 1, 0, 0, 0, 0, 0},
        {&quiet, "data: {\"choices\":[{\"index\":0}],\"usage\":{\"prompt_tokens\":1}}\n\n",
         "data: {\"choices\":[{\"index\":0}],\"usage\":{\"prompt_tokens\":1}}\n\n", 1, 0, 0, 0, 0,
         0},
        {&quiet, "data: {\"usage\":{\"input_tokens\":1}}\n\n",
         "data: {\"usage\":{\"input_tokens\":1}}\n\n", 1, 0, 0, 0, 0, 0},
        {&quiet, "data: {\"choices\":[],\"usage\":{},\"error\":{}}\n\n",
         "data: {\"choices\":[],\"usage\":{},\"error\":{}}\n\n", 1, 0, 0, 1, 1, 0},
        /* F.9: errors, first and later; what is no error */
        {&plain, ": hi\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n",
         ": hi\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n", 1, 0, 0, 1, 1, 0},
        {&plain, "data: {}\n\ndata: {\"error\":\"no\"}\n\n",
         "data: {}\n\ndata: {\"error\":\"no\"}\n\n", 2, 0, 0, 1, 0, 0},
        {&plain,
         "data: {\"error\":null}\n\ndata: {\"error\":\"\"}\n\ndata: {\"error\":0}\n\ndata: "
         "{\"error\":false}\n\n",
         "data: {\"error\":null}\n\ndata: {\"error\":\"\"}\n\ndata: {\"error\":0}\n\ndata: "
         "{\"error\":false}\n\n",
         4, 0, 0, 0, 0, 0},
        {&plain, "event: error\ndata: {\"type\":\"error\",\"code\":null,\"message\":\"no\"}\n\n",
         "event: error\ndata: {\"type\":\"error\",\"code\":null,\"message\":\"no\"}\n\n", 1, 0, 1,
         1, 1, 0},
        {&plain, "data: {\"type\":\"response.failed\"}\n\n",
         "data: {\"type\":\"response.failed\"}\n\n", 1, 0, 1, 1, 1, 0},
        /* the last blank line is missing: a whole event gets it, a torn one is nothing */
        {&plain, "data: {\"model\":\"m\"}", "data: {\"model\":\"ours\"}\n\n", 1, 0, 0, 0, 0, 0},
        {&plain, "data: {}\n\ndata: [DONE]", "data: {}\n\ndata: [DONE]\n\n", 1, 1, 0, 0, 0, 0},
        {&plain, "data: {}\n\ndata: {\"choices\":[{\"finish_reason\":\"stop\"}],\"us",
         "data: {}\n\n", 1, 0, 0, 0, 0, 0},
        {&plain, "data: {}\n\nevent: ping\n", "data: {}\n\n", 1, 0, 0, 0, 0, 0},
        {&quiet, "data: {\"choices\":[],\"usage\":{}}\r\n", "", 1, 0, 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome o;
        struct str in = str_of(rows[i].in);
        stream(&o, rows[i].opt, in, in.n, in.n);
        assert_str(((struct str){o.out.p, o.out.n}), rows[i].out);
        assert_int_equal(o.r.events, rows[i].events);
        assert_int_equal(o.r.done, rows[i].done);
        assert_int_equal(o.r.scan.finished, rows[i].finished);
        assert_int_equal(o.r.failed, rows[i].failed);
        assert_int_equal(o.r.first_failed, rows[i].first_failed);
        assert_int_equal(o.r.scan.text_bytes, rows[i].text);
        assert_splits(&o, rows[i].opt, in, 1);
        outcome_free(&o);
    }
    assert_int_equal(pool.lent, 0);
}

static void put(struct buf *b, const char *s)
{
    assert_true(buf_add(&pool, b, s, strlen(s)));
}

static void put_fill(struct buf *b, size_t n)
{
    assert_true(buf_reserve(&pool, b, b->n + n));
    memset(b->p + b->n, 'x', n);
    b->n += n;
}

/* Events beyond RELAY_HOLD: model first, last and on the edge; usage at the end; lines of any kind.
 */
static void test_oversized_events(void **state)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    static const struct {
        const char *head; /* before the filling */
        const char *tail; /* after it; | ends a line */
        bool model;
    } rows[] = {
        {"data: {\"model\":\"m\",\"a\":\"",
         "\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", true},
        {"data: {\"a\":\"",
         "\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", true},
        {"data: {\"a\":\"",
         "\",|data: \"model\":\"m\",|: x|data:\"usage\":{\"prompt_tokens\":3,|data: "
         "\"completion_tokens\":4}}",
         true},
        {": ",
         "|event: x|data: "
         "{\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}",
         true},
        {"\xef\xbb\xbf"
         "data: {\"a\":\"",
         "\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}", true},
        {": \"model\":\"m\" ", "|dat: x|datax: {}", false},
    };
    static const size_t fills[] = {RELAY_HOLD - 60, RELAY_HOLD - 30, RELAY_HOLD - 22,
                                   RELAY_HOLD - 10, RELAY_HOLD,      3 * RELAY_HOLD};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows) * ARRAY_LEN(ends) * ARRAY_LEN(fills); i++) {
        size_t row = i / ARRAY_LEN(ends) / ARRAY_LEN(fills);
        const char *eol = ends[i / ARRAY_LEN(fills) % ARRAY_LEN(ends)];
        struct buf in[2] = {{0}, {0}}; /* what comes, what is to go */

        for (int k = 0; k < 2; k++)
            for (int event = 0; event < 2; event++) {
                const char *head = rows[row].head + (event && *rows[row].head == '\xef' ? 3 : 0);
                char text[256];
                size_t n = 0;
                put(&in[k], head);
                put_fill(&in[k], fills[i % ARRAY_LEN(fills)]);
                for (const char *p = rows[row].tail; *p; p++)
                    n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", *p == '|' ? 2 : 1,
                                          *p == '|' ? eol : p);
                text[n] = '\0';
                put(&in[k], text);
                put(&in[k], eol);
                put(&in[k], eol);
            }
        struct buf want = {0};
        struct str model = STR("\"model\":\"m\""), left = {in[1].p, in[1].n};
        for (size_t at; rows[row].model && (at = str_find(left, model)) != SIZE_MAX;
             left = str_from(left, at + model.n)) {
            assert_true(buf_add(&pool, &want, left.p, at));
            put(&want, "\"model\":\"ours\"");
        }
        assert_true(buf_add(&pool, &want, left.p, left.n));

        struct outcome o, split;
        struct str all = {in[0].p, in[0].n};
        stream(&o, &quiet, all, all.n, all.n);
        assert_int_equal(o.out.n, want.n);
        assert_memory_equal(o.out.p, want.p, want.n);
        assert_int_equal(o.r.events, rows[row].model ? 2 : 0);
        assert_int_equal(o.r.scan.count[UC_PROMPT], rows[row].model ? 3 : 0);
        assert_int_equal(o.r.scan.count[UC_COMPLETION], rows[row].model ? 4 : 0);
        for (size_t step = 1; step < all.n; step = step * 3 + 7) {
            stream(&split, &quiet, all, step, step);
            assert_same(&o, &split);
            outcome_free(&split);
        }
        for (size_t at = all.n / 2 - 120; at < all.n / 2 + 40; at += 3) {
            stream(&split, &quiet, all, at, all.n);
            assert_same(&o, &split);
            outcome_free(&split);
        }
        outcome_free(&o);
        buf_free(&pool, &want);
        buf_free(&pool, &in[0]);
        buf_free(&pool, &in[1]);
    }
    assert_int_equal(pool.lent, 0);
}

/* A cut oversized event ends nothing, although its type says so. */
static void test_a_torn_oversized_event_is_no_end(void **state)
{
    struct buf in = {0};
    struct outcome o;

    (void)state;
    put(&in, "data: {\"type\":\"response.completed\",\"response\":{\"x\":\"");
    put_fill(&in, RELAY_HOLD);
    struct str all = {in.p, in.n};
    stream(&o, &plain, all, all.n, all.n);
    assert_false(o.r.scan.finished);
    assert_int_equal(o.out.n, in.n + 2);
    assert_splits(&o, &plain, all, RELAY_HOLD / 2 + 11);
    outcome_free(&o);
    buf_free(&pool, &in);
}

static void test_names_beyond_measure_are_left_alone(void **state)
{
    struct buf in = {0};
    struct outcome o;

    (void)state;
    put(&in, "data: {\"model\":\"");
    put_fill(&in, 2 * RELAY_HOLD);
    put(&in, "\"}\n\n");
    struct str all = {in.p, in.n};
    stream(&o, &plain, all, all.n, all.n);
    assert_int_equal(o.out.n, in.n);
    assert_memory_equal(o.out.p, in.p, in.n);
    assert_splits(&o, &plain, all, RELAY_HOLD / 2 + 11);
    outcome_free(&o);
    buf_free(&pool, &in);
}

static void test_response_ids(void **state)
{
    char tag_text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX], want[2048];
    struct str tag = response_id_tag(tag_text, STR("openai"), STR("d-1"));
    const struct relay_options opt = {.model = STR_INIT("\"ours\""), .id_tag = tag};
    size_t n = response_id_make(id, tag, STR("resp_up"), STR(""), NULL);
    static const char form[] =
        "data: {\"type\":\"response.created\",\"response\":{\"id\":\"%.*s\",\"model\":\"%s\"}}\n\n"
        "data: {\"type\":\"response.output_item.added\",\"item\":{\"id\":\"msg_1\"}}\n\n"
        "data: "
        "{\"type\":\"response.completed\",\"response\":{\"model\":\"%s\",\"id\":\"%.*s\"}}\n\n";
    char in[1024];
    struct outcome o;

    (void)state;
    (void)snprintf(in, sizeof in, form, 7, "resp_up", "m", "m", 7, "resp_up");
    (void)snprintf(want, sizeof want, form, (int)n, id, "ours", "ours", (int)n, id);
    stream(&o, &opt, str_of(in), sizeof in, 1);
    assert_str(((struct str){o.out.p, o.out.n}), want);
    assert_str(((struct str){o.r.scan.response_id, o.r.scan.response_id_n}), "resp_up");
    assert_splits(&o, &opt, str_of(in), 1);
    outcome_free(&o);
}

static void test_replies(void **state)
{
    static const struct {
        const char *in, *out;
        bool failed;
    } rows[] = {
        {"{\"id\":\"x\",\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"hi\"}}]}",
         "{\"id\":\"x\",\"model\":\"ours\",\"choices\":[{\"message\":{\"content\":\"hi\"}}]}",
         false},
        {" {\"data\":[{\"embedding\":[0.1]}] , \"model\" : \"m\"}\n",
         " {\"data\":[{\"embedding\":[0.1]}] , \"model\" : \"ours\"}\n", false},
        {"{\"error\":{\"message\":\"no\"}}", "{\"error\":{\"message\":\"no\"}}", true},
        {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}",
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}", true},
        {"[\"model\",\"m\"]", "[\"model\",\"m\"]", false},
        {"<html>\"model\":\"m\"", "<html>\"model\":\"m\"", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t step = 0; rows[i].in[step]; step++) {
            struct outcome o = {0};
            struct str in = str_of(rows[i].in);
            relay_init(&o.r, &pool, &plain);
            for (size_t at = 0; step && at < in.n; at += step)
                assert_true(relay_reply_piece(&o.r, in.p + at, MIN(step, in.n - at), &o.out));
            if (!step)
                assert_true(relay_reply(&o.r, in.p, in.n, &o.out));
            assert_str(((struct str){o.out.p, o.out.n}), rows[i].out);
            assert_int_equal(o.r.failed, rows[i].failed);
            outcome_free(&o);
        }
    assert_int_equal(pool.lent, 0);
}

static void test_fails_when_memory_ends(void **state)
{
    struct bufpool small = {.ceiling = 0};
    struct buf out = {0};
    struct relay r;

    (void)state;
    relay_init(&r, &small, &plain);
    assert_false(relay_events(&r, "data: {}\n\n", 10, &out));
    relay_deinit(&r);
    relay_init(&r, &small, &plain);
    assert_false(relay_events(&r, "da", 2, &out));
    relay_deinit(&r);
}

static int group_teardown(void **state)
{
    (void)state;
    bufpool_deinit(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streams),
        cmocka_unit_test(test_oversized_events),
        cmocka_unit_test(test_a_torn_oversized_event_is_no_end),
        cmocka_unit_test(test_names_beyond_measure_are_left_alone),
        cmocka_unit_test(test_response_ids),
        cmocka_unit_test(test_replies),
        cmocka_unit_test(test_fails_when_memory_ends),
    };
    return cmocka_run_group_tests(tests, NULL, group_teardown);
}
