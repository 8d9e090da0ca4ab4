/* The scanner: what it reports, refuses and skips, and that no split of the input changes it. */

#include <inttypes.h>

#include "common/json_scan.h"

#include "tests/unit/test.h"

enum { A = 1, O, OX, ODEEP, OY, LIST, ELEMENT, EK };

static const struct json_watch deep_watch[] = {{.key = STR_INIT("y"), .id = OY}};
static const struct json_watch o_watch[] = {
    {.key = STR_INIT("x"), .id = OX},
    {.key = STR_INIT("deep"), .id = ODEEP, JSON_WATCH_CHILDREN(deep_watch)},
};
static const struct json_watch k_watch[] = {{.key = STR_INIT("k"), .id = EK}};
static const struct json_watch element_watch = {.id = ELEMENT, JSON_WATCH_CHILDREN(k_watch)};
static const struct json_watch root_watch[] = {
    {.key = STR_INIT("a"), .id = A},
    {.key = STR_INIT("o"), .id = O, JSON_WATCH_CHILDREN(o_watch)},
    {.key = STR_INIT("list"), .id = LIST, .elements = &element_watch},
};
static const struct json_watch root = {JSON_WATCH_CHILDREN(root_watch)};

/* What came out of a document, as text. */
struct outcome {
    enum json_scan_state state;
    bool word_seen;
    size_t n;
    char log[1 << 16];
};

static void log_member(void *ctx, const struct json_member *m)
{
    struct outcome *o = ctx;

    o->n += (size_t)snprintf(o->log + o->n, sizeof o->log - o->n,
                             "%u type%u depth%u #%u object%" PRIu64 " prev%" PRIu64 " key%" PRIu64
                             "-%" PRIu64 " value%" PRIu64 "-%" PRIu64 " " STR_FMT "=" STR_FMT "\n",
                             m->id, m->type, m->depth, m->index, m->object_at,
                             m->index ? m->prev_end : 0, m->key_at, m->key_end, m->at, m->end,
                             STR_ARG(m->key), STR_ARG(m->text));
    assert_true(o->n < sizeof o->log);
}

static void log_short(void *ctx, const struct json_member *m)
{
    struct outcome *o = ctx;

    o->n += (size_t)snprintf(o->log + o->n, sizeof o->log - o->n, "%s%u " STR_FMT "=" STR_FMT,
                             o->n ? ", " : "", m->id, STR_ARG(m->key), STR_ARG(m->text));
    assert_true(o->n < sizeof o->log);
}

static void scan_begin(struct json_scan *s, struct outcome *o, json_member_fn fn)
{
    o->n = 0;
    o->log[0] = '\0';
    memset(s, 0xa5, sizeof *s); /* nothing may depend on what was there */
    json_scan_init(s, &root, fn, o);
    s->all_members = true;
    s->word = STR("cache_control");
}

/* Feeds exactly the bytes of the piece, from memory of its own, so that reading on is seen. */
static void scan_piece(struct json_scan *s, struct outcome *o, const char *p, size_t n)
{
    char *piece = malloc(n + 1);

    assert_non_null(piece);
    piece = realloc(piece, n ? n : 1);
    assert_non_null(piece);
    if (n)
        memcpy(piece, p, n);
    o->state = json_scan_feed(s, piece, n);
    free(piece);
    o->word_seen = s->word_seen;
}

static void scan_whole(struct outcome *o, struct str doc, json_member_fn fn)
{
    struct json_scan s;

    scan_begin(&s, o, fn);
    scan_piece(&s, o, doc.p, doc.n);
}

static void assert_same(const struct outcome *whole, const struct outcome *split, struct str doc,
                        size_t at)
{
    bool refused = whole->state == JSON_SCAN_BAD || whole->state == JSON_SCAN_DEEP;

    if (whole->state == split->state && (refused || whole->word_seen == split->word_seen) &&
        strcmp(whole->log, split->log) == 0)
        return;
    print_error("split at %zu: " STR_FMT "\nstate %d %d word %d %d\n--- whole\n%s--- split\n%s", at,
                STR_ARG(doc), whole->state, split->state, whole->word_seen, split->word_seen,
                whole->log, split->log);
    fail();
}

/* One byte at a time, and split in two at every offset. */
static void assert_splits_do_not_matter(struct str doc)
{
    static struct outcome whole, split;
    struct json_scan s;

    scan_whole(&whole, doc, log_member);
    scan_begin(&s, &split, log_member);
    for (size_t i = 0; i < doc.n; i++)
        scan_piece(&s, &split, doc.p + i, 1);
    assert_same(&whole, &split, doc, SIZE_MAX);
    for (size_t at = 0; at <= doc.n; at++) {
        scan_begin(&s, &split, log_member);
        scan_piece(&s, &split, doc.p, at);
        scan_piece(&s, &split, doc.p + at, doc.n - at);
        assert_same(&whole, &split, doc, at);
    }
}

static const struct {
    const char *doc;
    const char *members; /* "id key=text" of each, in order */
} good[] = {
    {"{}", ""},
    {" \t\r\n{ \t\r\n} \t\r\n", ""},
    {"{\"a\":1}", "1 a=1"},
    {"{\"a\":-0.5e+10}", "1 a=-0.5e+10"},
    {"{\"a\":0}", "1 a=0"},
    {"{\"a\":null,\"b\":true,\"c\":false}", "1 a=null, 0 b=true, 0 c=false"},
    {"{\"a\":\"\"}", "1 a=\"\""},
    {"{\"a\":\"x\\\"y\\\\\"}", "1 a=\"x\\\"y\\\\\""},
    {"{ \"a\" : \"x\" , \"\" : 2 }", "1 a=\"x\", 0 =2"},
    {"{\"a\":[]}", "1 a="},
    {"{\"a\":{}}", "1 a="},
    {"{\"a\":[1,\"]\",{\"b\":\"}\"}],\"c\":1}", "1 a=, 0 c=1"},
    {"{\"o\":{\"x\":1,\"z\":2,\"deep\":{\"y\":[3]}},\"a\":4}", "3 x=1, 5 y=, 4 deep=, 2 o=, 1 a=4"},
    {"{\"o\":[{\"x\":1}],\"a\":4}", "2 o=, 1 a=4"},
    {"{\"o\":1}", "2 o=1"},
    {"{\"list\":[]}", "6 list="},
    {"{\"list\":[1,{\"k\":2},{\"k\":{}},\"s\"]}", "7 =1, 8 k=2, 7 =, 8 k=, 7 =, 7 =\"s\", 6 list="},
    {"{\"list\":{\"k\":1}}", "6 list="},
    {"{\"o\":{\"\\u0078\":1}}", "3 \\u0078=1, 2 o="}, /* a key is what it means, not how it looks */
    {"{\"o\":{\"\\u0079\":1}}", "2 o="},
    {"[{\"a\":1}]", ""},
    {"[]", ""},
    {"\"a\"", ""},
};

static void test_reports_members(void **state)
{
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        scan_whole(&o, str_of(good[i].doc), log_short);
        if (o.state != JSON_SCAN_DONE)
            print_error("%s\n", good[i].doc);
        assert_int_equal(o.state, JSON_SCAN_DONE);
        assert_string_equal(o.log, good[i].members);
        assert_splits_do_not_matter(str_of(good[i].doc));
    }
}

static void test_reports_where_members_lie(void **state)
{
    static struct outcome o;

    (void)state;
    scan_whole(&o, STR(" {\"a\" : 1 , \"b\":[2], \"list\":[ 7 ]}"), log_member);
    assert_string_equal(o.log, "1 type3 depth1 #0 object1 prev0 key2-5 value8-9 a=1\n"
                               "0 type5 depth1 #1 object1 prev9 key12-15 value16-19 b=\n"
                               "7 type3 depth2 #0 object28 prev0 key30-30 value30-31 =7\n"
                               "6 type5 depth1 #2 object1 prev19 key21-27 value28-33 list=\n");
}

static void test_incomplete_documents_ask_for_more(void **state)
{
    static const char doc[] = "{\"a\":[1,{\"b\":\"x\\n\"}],\"o\":{\"x\":null},\"list\":[-1.5]}";
    static struct outcome o;

    (void)state;
    for (size_t n = 0; n < sizeof doc - 1; n++) {
        scan_whole(&o, (struct str){doc, n}, log_member);
        assert_int_equal(o.state, JSON_SCAN_MORE);
    }
    scan_whole(&o, STR(doc), log_member);
    assert_int_equal(o.state, JSON_SCAN_DONE);
}

static void test_refuses_what_is_not_json(void **state)
{
    static const char *const bad[] = {
        "}",
        "]",
        ",",
        "x",
        "{a:1}",
        "{'a':1}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\":,}",
        "{,\"a\":1}",
        "{\"a\":1,}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1]",
        "{\"a\":1}}",
        "{\"a\":1}x",
        "{\"a\":1}{\"a\":1}",
        "{\"a\":nul}",
        "{\"a\":nullx}",
        "{\"a\":True}",
        "{\"a\":NaN}",
        "{\"a\":-}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":+1}",
        "{\"a\":1-2}",
        "{\"a\":--1}",
        "{\"a\":0x1}",
        "{\"a\":\"x\ny\"}",
        "{\"a\n\":1}",
        "{\"\\x\":1}",
        "{\"\\u00\":1}",
        "{\"o\":{\"x\":1,}}",
        "{\"o\":{x:1}}",
        "{\"o\":{\"\\x\":1}}",
        "{\"list\":[1,]}",
        "{\"list\":[,1]}",
        "{\"list\":[1 2]}",
        "{\"list\":[1}",
        "{\"list\":[{\"k\":1]}",
        /* unwatched: brackets, quotes and what a string may hold */
        "{\"u\":[}}",
        "{\"u\":[{]}}",
        "{\"u\":{\"a\":1]}",
        "{\"u\":[\"\n\"]}",
        "{\"u\":[\\]}",
        "{\"u\":[\"x\\",
        /* the same where blocks of 64 bytes are looked at */
        "{\"u\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29}}",
        "{\"u\":[1,2,3,4,5,6,7,8,9,10,\"x\ny\",13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28]}",
        "{\"u\":[1,2,3,4,5,6,7,8,9,10,\"x\",\\,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29]}",
    };
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool cut = bad[i][strlen(bad[i]) - 1] == '\\';
        scan_whole(&o, str_of(bad[i]), log_member);
        if (o.state != (cut ? JSON_SCAN_MORE : JSON_SCAN_BAD))
            print_error("%s\n", bad[i]);
        assert_int_equal(o.state, cut ? JSON_SCAN_MORE : JSON_SCAN_BAD);
        assert_splits_do_not_matter(str_of(bad[i]));
    }
}

/* {"u":[[[...]]]}: `depth` brackets deep. */
static struct str nested(char *out, unsigned depth, const char *open, const char *close)
{
    size_t n = strlen("{\"u\":");

    memcpy(out, "{\"u\":", n);
    for (unsigned i = 1; i < depth; i++, n += strlen(open))
        memcpy(out + n, open, strlen(open));
    for (unsigned i = 1; i < depth; i++, n += strlen(close))
        memcpy(out + n, close, strlen(close));
    out[n++] = '}';
    return (struct str){out, n};
}

static void test_depth_is_bounded(void **state)
{
    static const struct {
        const char *open, *close;
    } forms[] = {{"[", "]"}, {"{\"k\":1,\"l\":", "}"}, {"[ {\"k\":", "}]"}};
    static struct outcome o;
    char doc[2048];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++)
        for (unsigned times = 2; times < 70; times++) {
            struct str s = nested(doc, times, forms[i].open, forms[i].close);
            unsigned depth = i < 2 ? times : times * 2 - 1;
            scan_whole(&o, s, log_member);
            assert_int_equal(o.state, depth <= JSON_SCAN_DEPTH ? JSON_SCAN_DONE : JSON_SCAN_DEEP);
            if (depth > 61 && depth < 67)
                assert_splits_do_not_matter(s);
        }
}

static void test_sees_a_word_only_where_it_stands_alone(void **state)
{
    static const struct {
        const char *doc;
        bool seen;
    } rows[] = {
        {"{\"u\":[{\"cache_control\":1}]}", true},
        {"{\"u\":[\"cache_control\"]}", true},
        {"{\"o\":{\"cache_control\":{}}}", true},
        {"{\"list\":[{\"cache_control\":{}}]}", true},
        {"{\"cache_control\":1}", false}, /* the root's own members are reported */
        {"{\"u\":\"cache_control\"}", false},
        {"{\"u\":[\"cache_contro\"]}", false},
        {"{\"u\":[\"cache_control2\"]}", false},
        {"{\"u\":[\"xcache_control\"]}", false},
        {"{\"u\":[\"x\\\"cache_control\"]}", false},
        {"{\"u\":[\"\\\\cache_control\"]}", false},
        {"{\"u\":[\"please explain \\\"cache_control\\\" to me\"]}", false},
        {"{\"u\":[\"a prompt with cache_control in it, and much more text behind it than fits in "
         "a block\"]}",
         false},
        {"{\"u\":[{\"role\":\"user\",\"content\":\"some text, long enough for one block of it\","
         "\"x\":[{\"type\":\"text\",\"cache_control\":{\"type\":\"ephemeral\"}}],\"y\":\"z\"}]}",
         true},
        {"{\"u\":[{\"a\":\"text text text text text text text text text text\\n text text\","
         "\"cache_control\":{\"type\":\"ephemeral\"},\"b\":\"text text text text text text\"}]}",
         true},
    };
    static struct outcome o;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        scan_whole(&o, str_of(rows[i].doc), log_member);
        assert_int_equal(o.state, JSON_SCAN_DONE);
        if (o.word_seen != rows[i].seen)
            print_error("%s\n", rows[i].doc);
        assert_int_equal(o.word_seen, rows[i].seen);
        assert_splits_do_not_matter(str_of(rows[i].doc));
    }
}

static void test_word_is_seen_at_every_offset_of_a_block(void **state)
{
    static struct outcome o;
    char doc[512];

    (void)state;
    for (int pad = 0; pad < 140; pad++) {
        int n =
            snprintf(doc, sizeof doc, "{\"u\":[%*s\"cache_control\",\"%0*d\"]}", pad, "", 80, 1);
        scan_whole(&o, (struct str){doc, (size_t)n}, log_member);
        assert_int_equal(o.state, JSON_SCAN_DONE);
        assert_true(o.word_seen);
    }
}

static void test_long_keys_and_texts_are_spans_only(void **state)
{
    static struct outcome o;
    static const size_t lengths[] = {39, 40, 41, 509, 510, 511, 512, 513, 600, 5000};
    static char doc[12000], text[6000], want[12000];

    (void)state;
    memset(text, 'k', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        int n = (int)lengths[i];
        int len = snprintf(doc, sizeof doc, "{\"%.*s\":1,\"a\":2}", n, text);
        scan_whole(&o, (struct str){doc, (size_t)len}, log_short);
        assert_int_equal(o.state, JSON_SCAN_DONE);
        (void)snprintf(want, sizeof want, "0 %.*s=1, 1 a=2", n <= JSON_KEY_MAX ? n : 0, text);
        assert_string_equal(o.log, want);
        if (n <= 600)
            assert_splits_do_not_matter((struct str){doc, (size_t)len});
        len = snprintf(doc, sizeof doc, "{\"a\":\"%.*s\",\"b\":%d%.*s}", n, text, 1, n, text);
        memset(doc + len - 1 - n, '0', (size_t)n); /* a long number too */
        scan_whole(&o, (struct str){doc, (size_t)len}, log_short);
        assert_int_equal(o.state, JSON_SCAN_DONE);
        bool kept = n + 2 <= JSON_TEXT_MAX, number_kept = n + 1 <= JSON_TEXT_MAX;
        (void)snprintf(want, sizeof want, "1 a=%s%.*s%s, 0 b=%s%.*s", kept ? "\"" : "",
                       kept ? n : 0, text, kept ? "\"" : "", number_kept ? "1" : "",
                       number_kept ? n : 0, doc + len - 1 - n);
        assert_string_equal(o.log, want);
        if (n <= 600)
            assert_splits_do_not_matter((struct str){doc, (size_t)len});
    }
}

#define MANY(X)                                                                                    \
    X("a")                                                                                         \
    X("bb")                                                                                        \
    X("ccc")                                                                                       \
    X("dddd")                                                                                      \
    X("e") X("ff") X("ggg") X("hhhh") X("i") X("jj") X("kkk") X("llll") X("m") X("nn") X("ooo")    \
        X("pppp") X("q") X("rr") X("ssss")
#define X(name) {.key = STR_INIT(name), .id = 1},
static const struct json_watch many_watch[] = {MANY(X)};
#undef X
#define X(name) JSON_WATCH_TAG(name),
static const uint8_t many_tags[JSON_WATCH_TAGS(ARRAY_LEN(many_watch))] = {MANY(X)};
#undef X
static const struct json_watch many = {JSON_WATCH_CHILDREN(many_watch), .tags = many_tags};

static void test_tags_find_every_member(void **state)
{
    static struct outcome o;
    struct json_scan s;
    char doc[64], want[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(many_watch); i++) {
        o.n = 0;
        json_scan_init(&s, &many, log_short, &o);
        int n = snprintf(doc, sizeof doc, "{\"zz\":1,\"\":0,\"" STR_FMT "\":2,\"ssx\":3}",
                         STR_ARG(many_watch[i].key));
        assert_int_equal(json_scan_feed(&s, doc, (size_t)n), JSON_SCAN_DONE);
        (void)snprintf(want, sizeof want, "1 " STR_FMT "=2", STR_ARG(many_watch[i].key));
        assert_string_equal(o.log, want);
    }
}

static uint32_t random_next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

/* Bytes of JSON in no order: mostly refused, at the same byte however they come. */
static void test_any_bytes_come_out_the_same_in_pieces(void **state)
{
    static const char *const tokens[] = {
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\"a\":",
        "\"u\":[",
        "\"list\":[",
        "\"k\":1,",
        "\"cache_control\"",
        "null",
        "12",
        " ",
        "\n",
        "\"some text that is longer than others\"",
        "\\\"",
        "\"o\":{",
        "\"x\":",
    };
    uint64_t seed = 7;
    static struct outcome whole, split;
    struct json_scan s;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char doc[600];
        size_t n = (size_t)snprintf(doc, sizeof doc, "%s", round % 2 ? "{\"u\":[" : "{");
        for (unsigned i = random_next(&seed) % 24; i; i--)
            n += (size_t)snprintf(doc + n, sizeof doc - n, "%s",
                                  tokens[random_next(&seed) % ARRAY_LEN(tokens)]);
        scan_whole(&whole, (struct str){doc, n}, log_member);
        scan_begin(&s, &split, log_member);
        for (size_t at = 0; at < n;) {
            size_t piece = 1 + random_next(&seed) % (round % 3 ? 100 : 5);
            piece = MIN(piece, n - at);
            scan_piece(&s, &split, doc + at, piece);
            at += piece;
        }
        assert_same(&whole, &split, (struct str){doc, n}, SIZE_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports_members),
        cmocka_unit_test(test_reports_where_members_lie),
        cmocka_unit_test(test_incomplete_documents_ask_for_more),
        cmocka_unit_test(test_refuses_what_is_not_json),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_sees_a_word_only_where_it_stands_alone),
        cmocka_unit_test(test_word_is_seen_at_every_offset_of_a_block),
        cmocka_unit_test(test_long_keys_and_texts_are_spans_only),
        cmocka_unit_test(test_tags_find_every_member),
        cmocka_unit_test(test_any_bytes_come_out_the_same_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
