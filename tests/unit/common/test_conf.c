/* YAML to a tree: what scalars are, what is shared and merged, what is refused. */

#include "common/conf.h"

#include "test.h"

static const struct conf_node *parse(struct arena *a, const char *text)
{
    const struct conf_node *root;
    struct err e = {0};

    arena_init(a, NULL, 64 << 20);
    if (conf_parse(&root, a, "t", str_of(text), &e) != ERRC_OK)
        fail_msg("%s: %s", text, e.msg);
    return root;
}

static void test_scalars_are_typed_as_python_types_them(void **state)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"", "null"},
        {"~", "null"},
        {"null", "null"},
        {"NULL", "null"},
        {"nULL", "\"nULL\""},
        {"'null'", "\"null\""},
        {"true", "true"},
        {"yes", "true"},
        {"On", "true"},
        {"OFF", "false"},
        {"no", "false"},
        {"y", "\"y\""},
        {"yEs", "\"yEs\""},
        {"\"true\"", "\"true\""},
        {"0", "0"},
        {"-0", "0"},
        {"+12", "12"},
        {"1_000", "1000"},
        {"017", "15"},
        {"08", "\"08\""},
        {"0x1F", "31"},
        {"-0x10", "-16"},
        {"0b101", "5"},
        {"0o17", "\"0o17\""},
        {"1:30", "90"},
        {"190:20:30", "685230"},
        {"4000:4000", "\"4000:4000\""},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"1.5", "1.5"},
        {".5", "0.5"},
        {"-.5", "\"-.5\""},
        {"+1.", "1.0"},
        {"00.5", "0.5"},
        {"1.5e+3", "1.5e+3"},
        {"1.5e3", "\"1.5e3\""},
        {"1e6", "\"1e6\""},
        {"1_0.2_5", "10.25"},
        {"1.2.3", "\"1.2.3\""},
        {".", "\".\""},
        {"...x", "\"...x\""},
        {"-", "[null]"},
        {"+", "\"+\""},
        {".inf", "\".inf\""},
        {".nan", "\".nan\""},
        {"2024-02-01", "\"2024-02-01\""},
        {"!!str 12", "\"12\""},
        {"!!float 3", "3"},
        {"! 12", "\"12\""},
        {"a\\nb", "\"a\\\\nb\""},
        {"\"a\\nb\\u00e9\"", "\"a\\nb\303\251\""},
        {"|\n a\n b\n", "\"a\\nb\\n\""},
        {"[1, [2], {a: 3}]", "[1,[2],{\"a\":3}]"},
        {"{a: , 1: x, yes: no}", "{\"a\":null,\"1\":\"x\",\"yes\":false}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct str json = conf_json(&a, parse(&a, rows[i].yaml));
        if (!str_eq(json, str_of(rows[i].json)))
            fail_msg("%s is %.*s, not %s", rows[i].yaml, STR_ARG(json), rows[i].json);
        arena_reset(&a);
    }
}

static void test_aliases_and_merges(void **state)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"a: &x {k: 1}\nb: *x", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}"},
        {"a: &x 1\na2: &x 2\nb: *x", "{\"a\":1,\"a2\":2,\"b\":2}"},
        {"a: &x {k: 1, l: 2}\nb: {<<: *x, l: 3}", /* the map's own wins */
         "{\"a\":{\"k\":1,\"l\":2},\"b\":{\"l\":3,\"k\":1}}"},
        {"b: {<<: [{k: 1}, {k: 2, m: 3}]}", "{\"b\":{\"k\":1,\"m\":3}}"}, /* the first wins */
        {"b: {'<<': 1}", "{\"b\":{\"<<\":1}}"},
        {"- &a x\n- *a\n- *a", "[\"x\",\"x\",\"x\"]"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct str json = conf_json(&a, parse(&a, rows[i].yaml));
        if (!str_eq(json, str_of(rows[i].json)))
            fail_msg("%s is %.*s, not %s", rows[i].yaml, STR_ARG(json), rows[i].json);
        arena_reset(&a);
    }
}

static void test_nodes_know_their_lines(void **state)
{
    struct arena a;
    const struct conf_node *root = parse(&a, "a: 1\n\nb:\n  - x\n  - c:\n      y\n");
    const struct conf_node *b = conf_get(root, STR("b"));

    (void)state;
    assert_int_equal(conf_get(root, STR("a"))->line, 1);
    assert_int_equal(b->key_line, 3);
    assert_int_equal(b->first[0].line, 4);
    assert_int_equal(conf_get(&b->first[1], STR("c"))->key_line, 5);
    assert_int_equal(conf_get(&b->first[1], STR("c"))->line, 6);
    assert_null(conf_get(root, STR("d")));
    assert_null(conf_get(NULL, STR("d")));
    arena_reset(&a);
}

static void test_readers_say_what_does_not_fit(void **state)
{
    struct arena a;
    const struct conf_node *root = parse(
        &a, "{i: 3, n: -1, f: 2.50, w: 3.0, t: 'true', s: x, nothing: , l: [1], big: 4294967296}");
    struct conf_log log = {.arena = &a};
    uint32_t u32 = 7;
    int64_t scaled = 7;
    bool truth = false;
    struct str text = {0};

    (void)state;
    assert_true(conf_u32(&log, conf_get(root, STR("i")), &u32));
    assert_int_equal(u32, 3);
    assert_true(conf_u32(&log, conf_get(root, STR("w")), &u32));
    assert_true(conf_scaled(&log, conf_get(root, STR("f")), 3, &scaled));
    assert_int_equal(scaled, 2500);
    assert_true(conf_bool(&log, conf_get(root, STR("t")), &truth));
    assert_true(truth);
    assert_true(conf_text(&log, conf_get(root, STR("i")), &text));
    assert_str(text, "3");
    assert_false(conf_u32(&log, conf_get(root, STR("nothing")), &u32));
    assert_false(conf_u32(&log, conf_get(root, STR("absent")), &u32));
    assert_int_equal(log.n_errors, 0);
    assert_false(conf_u32(&log, conf_get(root, STR("n")), &u32));
    assert_false(conf_u32(&log, conf_get(root, STR("big")), &u32));
    assert_false(conf_scaled(&log, conf_get(root, STR("s")), 3, &scaled));
    assert_false(conf_text(&log, conf_get(root, STR("l")), &text));
    assert_false(conf_bool(&log, conf_get(root, STR("s")), &truth));
    assert_int_equal(log.n_errors, 5);
    assert_str(log.first->text, "t:1: n: an integer from 0 is wanted, not \"-1\"");
    assert_int_equal(u32, 3);
    arena_reset(&a);
}

static char *repeated(const char *piece, size_t times)
{
    size_t n = strlen(piece);
    char *text = malloc(n * times + 1);

    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * n, piece, n);
    text[n * times] = '\0';
    return text;
}

/* Each is refused as beyond a limit, and soon: threats D-08 allows two seconds. */
static void test_bombs_are_refused(void **state)
{
    static const struct {
        const char *piece;
        size_t times;
    } rows[] = {
        {"[", 40000},      {"{a: ", 40000}, {"- ", 40000},      {"- &a 1\n", 100000},
        {"- 1\n", 250000}, {"? ", 40000},   {" ", 2 * 1048576}, {"&a [*a, ", 1000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *text = repeated(rows[i].piece, rows[i].times);
        const struct conf_node *root = NULL;
        struct arena a;
        struct err e = {0};
        clock_t from = clock();
        arena_init(&a, NULL, 256 << 20);
        enum errc rc = conf_parse(&root, &a, "t", str_of(text), &e);
        assert_true(rc == ERRC_LIMIT || rc == ERRC_INVALID);
        assert_true(clock() - from < 2 * CLOCKS_PER_SEC);
        arena_reset(&a);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_are_typed_as_python_types_them),
        cmocka_unit_test(test_aliases_and_merges),
        cmocka_unit_test(test_nodes_know_their_lines),
        cmocka_unit_test(test_readers_say_what_does_not_fit),
        cmocka_unit_test(test_bombs_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
