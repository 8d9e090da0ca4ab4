/* JSON as a flat list; texts as they stand in literals; JSON written with holes. */

#include "common/jout.h"
#include "common/json_tape.h"

#include "tests/unit/test.h"

static struct bufpool pool = {.ceiling = 64 << 20};

static enum json_tape_state read_text(struct json_tape *t, const char *text)
{
    return json_tape_read(t, text, strlen(text));
}

static void test_documents(void **state)
{
    static const struct {
        const char *text;
        enum json_tape_state state;
    } rows[] = {
        {"{}", JSON_TAPE_DONE},
        {" [ 1 , -2.5e3 , true ] ", JSON_TAPE_DONE},
        {"\"a\\u00e9\\n\"", JSON_TAPE_DONE},
        {"{\"a\":[{}, null],\"b\":{\"c\":false}}", JSON_TAPE_DONE},
        {"", JSON_TAPE_BAD},
        {"{", JSON_TAPE_BAD},
        {"[1,]", JSON_TAPE_BAD},
        {"{\"a\"}", JSON_TAPE_BAD},
        {"{\"a\":1,}", JSON_TAPE_BAD},
        {"{1:2}", JSON_TAPE_BAD},
        {"[1 2]", JSON_TAPE_BAD},
        {"[1}", JSON_TAPE_BAD},
        {"01", JSON_TAPE_BAD},
        {"1.", JSON_TAPE_BAD},
        {"nul", JSON_TAPE_BAD},
        {"\"\\x\"", JSON_TAPE_BAD},
        {"\"\\u12g4\"", JSON_TAPE_BAD},
        {"\"\\u12", JSON_TAPE_BAD},
        {"\"a\nb\"", JSON_TAPE_BAD},
        {"\"a", JSON_TAPE_BAD},
        {"{} {}", JSON_TAPE_BAD},
    };
    struct json_tape t;

    (void)state;
    json_tape_init(&t, &pool);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read_text(&t, rows[i].text) != rows[i].state)
            fail_msg("%s", rows[i].text);
    json_tape_deinit(&t);
}

static void test_members_are_found_by_meaning(void **state)
{
    struct json_tape t;

    (void)state;
    json_tape_init(&t, &pool);
    read_text(&t, "{\"a\":[1,{\"x\":[2]},\"s\"],\"\\u0062\":\"t\\\"\",\"n\":null,\"d\":1,\"d\":2}");
    const struct json_val *a = JSON_GET(&t, json_root(&t), "a");
    unsigned n = 0;
    JSON_ELEMENTS(&t, a, v)
    n++;
    assert_int_equal(n, 3);
    assert_str(json_raw(&t, a), "[1,{\"x\":[2]},\"s\"]");
    assert_str(json_raw(&t, JSON_GET(&t, json_root(&t), "b")), "\"t\\\"\"");
    assert_null(JSON_GET(&t, json_root(&t), "n"));
    assert_str(json_raw(&t, JSON_GET(&t, json_root(&t), "d")), "2");
    assert_null(JSON_GET(&t, a, "a"));
    uint64_t v;
    assert_true(json_u64(&t, JSON_GET(&t, json_root(&t), "d"), &v) && v == 2);
    assert_false(json_u64(&t, a, &v));
    n = 0;
    JSON_MEMBERS(&t, json_root(&t), key, value)
    n += key->type == JSON_STRING && value->next > 0;
    assert_int_equal(n, 5);
    json_tape_deinit(&t);
    assert_int_equal(pool.lent, 0);
}

static void test_depth_and_size_are_bounded(void **state)
{
    enum { N = JSON_TAPE_VALUES * 2 + 8 };
    char *text = malloc(N);
    struct json_tape t;

    (void)state;
    json_tape_init(&t, &pool);
    memset(text, '[', JSON_TAPE_DEPTH + 1);
    memset(text + JSON_TAPE_DEPTH + 1, ']', JSON_TAPE_DEPTH + 1);
    assert_int_equal(json_tape_read(&t, text, 2 * (JSON_TAPE_DEPTH + 1)), JSON_TAPE_DEEP);
    assert_int_equal(json_tape_read(&t, text + 1, 2 * JSON_TAPE_DEPTH), JSON_TAPE_DONE);
    text[0] = '[';
    for (size_t i = 0; i < JSON_TAPE_VALUES; i++)
        memcpy(text + 1 + 2 * i, "0,", 2);
    memcpy(text + 1 + 2 * (JSON_TAPE_VALUES - 1), "0]", 2);
    assert_int_equal(json_tape_read(&t, text, 2 * JSON_TAPE_VALUES + 1), JSON_TAPE_LIMIT);
    memcpy(text + 1 + 2 * (JSON_TAPE_VALUES - 2), "0]", 2);
    assert_int_equal(json_tape_read(&t, text, 2 * JSON_TAPE_VALUES - 1), JSON_TAPE_DONE);
    json_tape_deinit(&t);
    free(text);
}

static void test_texts(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_true(jstr_is(JSTR("auto"), STR("auto")));
    assert_true(jstr_is(JSTR("\\u0061uto"), STR("auto")));
    assert_false(jstr_is(JSTR("aut\\u006f"), STR("autp")));
    assert_false(jstr_is(JSTR("\\n"), STR("\\n")));
    assert_str(jstr_decode(JSTR("a\\nb"), &a), "a\nb");
    assert_int_equal(jstr_encode(STR("a\"b"), &a).n, 4);
    assert_true(jstr_is_blank(JSTR(" \\n\\t")));
    assert_false(jstr_is_blank(JSTR("\\\\n")));
    assert_int_equal(jstr_trim_end(JSTR("a \\n")).n, 1);
    assert_int_equal(jstr_trim_end(JSTR("a\\\\n")).n, 4);
    assert_int_equal(jstr_half_pair(JSTR("a\\ud83d")), 6);
    assert_int_equal(jstr_half_pair(JSTR("a\\\\ud83d")), 0);
    assert_int_equal(jstr_half_pair(JSTR("a\\ude00")), 0);
    struct jstr mended = jstr_repair(JSTR("\\ud83d\\ude00\\ud83dx\\ude00"), &a);
    assert_str(((struct str){mended.p, mended.n}), "\\ud83d\\ude00\\ufffdx\\ufffd");
    mended = jstr_repair(JSTR("\\\\ud83d"), &a);
    assert_str(((struct str){mended.p, mended.n}), "\\\\ud83d");
    arena_reset(&a);
}

static void test_writing(void **state)
{
    struct buf b = {0};
    struct jout o = jout_init(&pool, &b);

    (void)state;
    jout_lit(&o, "{\"a\":");
    jout_quote(&o, STR("x\"\n\x01"));
    jout_lit(&o, ",\"b\":");
    jout_unescaped(&o, JSTR("{\\\"k\\\":1}"));
    jout_lit(&o, ",\"c\":");
    o.lend_min = 4;
    jout_string(&o, JSTR("long"));
    jout_lit(&o, "}");
    assert_false(o.failed);
    assert_str(((struct str){b.p, b.n}), "{\"a\":\"x\\\"\\n\\u0001\",\"b\":{\"k\":1},\"c\":\"\"}");
    assert_int_equal(o.lent, 4);
    const struct jout_hole *h = (const void *)o.holes.p;
    assert_int_equal(h->at, b.n - 2);
    jout_deinit(&o);
    buf_free(&pool, &b);
    assert_int_equal(pool.lent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_members_are_found_by_meaning),
        cmocka_unit_test(test_depth_and_size_are_bounded),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_writing),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    bufpool_deinit(&pool);
    return failed;
}
