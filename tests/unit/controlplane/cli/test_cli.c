/* What weirctl makes of its arguments, and how it compares. */

#include "cli/command.h"
#include "cli/diff.h"
#include "cli/members.h"
#include "cli/show.h"
#include "tests/unit/test.h"

static void test_members(void **state)
{
    static const struct {
        enum field_list list;
        const char *args, *json; /* args with blanks between; json NULL: refused */
    } rows[] = {
        {FIELDS_KEY_GENERATE, "key_alias=a max_budget=2.5",
         "{\"key_alias\":\"a\",\"max_budget\":2.5}"},
        {FIELDS_KEY_GENERATE, "key_alias=12", "{\"key_alias\":\"12\"}"},
        {FIELDS_KEY_GENERATE, "key_alias=a=b", "{\"key_alias\":\"a=b\"}"},
        {FIELDS_KEY_GENERATE, "key_alias=null", "{\"key_alias\":null}"},
        {FIELDS_KEY_GENERATE, "key_alias=", "{\"key_alias\":\"\"}"},
        {FIELDS_KEY_GENERATE, "tpm_limit=3 tpm_limit=4", "{\"tpm_limit\":4}"},
        {FIELDS_KEY_GENERATE, "tpm_limit=1.5", NULL},
        {FIELDS_KEY_GENERATE, "max_budget=x", NULL},
        {FIELDS_KEY_GENERATE, "blocked=true", "{\"blocked\":true}"},
        {FIELDS_KEY_GENERATE, "blocked=yes", NULL},
        {FIELDS_KEY_GENERATE, "models=a,b", "{\"models\":[\"a\",\"b\"]}"},
        {FIELDS_KEY_GENERATE, "models=", "{\"models\":[]}"},
        {FIELDS_KEY_GENERATE, "models=[\"a,b\"]", "{\"models\":[\"a,b\"]}"},
        {FIELDS_KEY_GENERATE, "metadata={\"a\":1} metadata.b=2",
         "{\"metadata\":{\"a\":1,\"b\":2}}"},
        {FIELDS_KEY_GENERATE, "metadata.a.b=x", "{\"metadata\":{\"a\":{\"b\":\"x\"}}}"},
        {FIELDS_KEY_GENERATE, "metadata=[]", NULL},
        {FIELDS_KEY_GENERATE, "models.a=1", NULL},
        {FIELDS_KEY_GENERATE, "nothing=1", NULL},
        {FIELDS_KEY_GENERATE, "key_alias", NULL},
        {FIELDS_KEY_GENERATE, "=1", NULL},
        {FIELDS_TEAM_MEMBER_ADD, "member.user_id=007 member.role=user",
         "{\"member\":{\"user_id\":\"007\",\"role\":\"user\"}}"},
        {FIELDS_ANYTHING, "a=1 b=x c=[1]", "{\"a\":1,\"b\":\"x\",\"c\":[1]}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_val *obj = yyjson_mut_obj(doc);
        struct str rest = str_of(rows[i].args), one;
        struct err e = {0};
        bool more;
        yyjson_mut_doc_set_root(doc, obj);
        do
            more = str_cut(rest, ' ', &one, &rest);
        while (!member_put(doc, obj, rows[i].list, one, &e) && more);
        char *json = e.code ? NULL : yyjson_mut_write(doc, 0, NULL);
        if (rows[i].json)
            assert_string_equal(json ? json : e.msg, rows[i].json);
        else
            assert_null(json);
        free(json);
        yyjson_mut_doc_free(doc);
    }
}

/* A command that asks a route nobody serves would be found out by people. */
static void test_every_command_asks_a_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        enum field_list list;
        if (!members_of_route(cmd->method, cmd->path, &list))
            fail_msg("%s %s", cmd->method, cmd->path);
        if (cmd->take == TAKE_ONE || cmd->take == TAKE_MANY)
            assert_non_null(field_find(list, str_of(cmd->member)));
        assert_ptr_equal(command_find(cmd->group, cmd->verb), cmd);
        assert_non_null(command_group_find(cmd->group));
    }
}

static void test_differences(void **state)
{
    static const struct {
        const char *want, *is, *paths;
    } rows[] = {
        {"{}", "{\"a\":1}", ""},
        {"{\"a\":1}", "{\"a\":1.0}", ""},
        {"{\"a\":1}", "{\"a\":\"1\"}", "m.a"},
        {"{\"a\":null}", "{}", ""},
        {"{\"a\":null}", "{\"a\":0}", "m.a"},
        {"{\"a\":[]}", "{}", ""},
        {"{\"a\":[]}", "{\"a\":[1]}", "m.a"},
        {"{\"a\":[1,2]}", "{\"a\":[2,1]}", "m.a"},
        {"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":1,\"c\":2}}", ""},
        {"{\"a\":{\"b\":1,\"d\":{\"e\":3}}}", "{\"a\":{\"b\":2,\"d\":{\"e\":4}}}", "m.a.b m.a.d.e"},
        {"{\"a\":{\"b\":1}}", "{}", "m.a"},
        {"{\"a\":false}", "{}", "m.a"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        yyjson_doc *want = yyjson_read(rows[i].want, strlen(rows[i].want), 0);
        yyjson_doc *is = yyjson_read(rows[i].is, strlen(rows[i].is), 0);
        struct arena a;
        struct str out = {0};
        arena_init(&a, NULL, 1 << 20);
        struct diff d = {.arena = &a};
        diff_add(&d, STR("m"), yyjson_doc_get_root(want), yyjson_doc_get_root(is));
        for (size_t k = 0; k < d.n; k++)
            out = arena_printf(&a, STR_FMT "%s" STR_FMT, STR_ARG(out), k ? " " : "",
                               STR_ARG(d.list[k].path));
        assert_str(out, rows[i].paths);
        arena_reset(&a);
        yyjson_doc_free(want);
        yyjson_doc_free(is);
    }
}

static void test_a_list_may_have_more(void **state)
{
    const char text[] = "[[{\"a\":1}],[{\"a\":2,\"b\":0},{\"a\":1,\"b\":0}],[{\"a\":2}]]";
    yyjson_doc *doc = yyjson_read(text, sizeof text - 1, 0);
    yyjson_val *v = yyjson_doc_get_root(doc);

    (void)state;
    assert_true(diff_within(yyjson_arr_get(v, 0), yyjson_arr_get(v, 1)));
    assert_false(diff_within(yyjson_arr_get(v, 0), yyjson_arr_get(v, 2)));
    yyjson_doc_free(doc);
}

static void test_nothing_a_terminal_obeys(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain \xc3\xa4\xe2\x82\xac", "plain \xc3\xa4\xe2\x82\xac"},
        {"a\x1b[2Jb\n\x7f", "a?[2Jb??"},
        {"\xc2\x9b"
         "31m",
         "??31m"},
        {"\xc2\xa0", "\xc2\xa0"},
    };
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(show_harmless(&a, str_of(rows[i].in)), rows[i].out);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_every_command_asks_a_row),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_a_list_may_have_more),
        cmocka_unit_test(test_nothing_a_terminal_obeys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
