/* The rules all dialects share: ids, names, media, effort, sealed reasoning. */

#include "dialect/neutral.h"
#include "tests/unit/test.h"

#define assert_jstr(j, expected) assert_str(((struct str){(j).p, (j).n}), expected)

static struct neutral start(struct arena *a)
{
    arena_init(a, NULL, 1 << 20);
    return (struct neutral){.arena = a, .from = API_CHAT};
}

static void test_ids(void **state)
{
    struct arena a;
    struct neutral n = start(&a);

    (void)state;
    assert_jstr(neutral_id(&n, JSTR("call_1"), 40), "call_1");
    struct jstr id = neutral_id(&n, JSTR("a.b:c"), 40);
    assert_true(id.n <= 40 && id.n == 3 + 17);
    assert_true(jstr_same(id, neutral_id(&n, JSTR("a.b:c"), 40)));
    assert_false(jstr_same(id, neutral_id(&n, JSTR("ab.c:"), 40)));
    struct jstr longer = JSTR("0123456789012345678901234567890123456789x");
    assert_int_equal(neutral_id(&n, longer, 40).n, 40);
    assert_true(neutral_id(&n, JSTR(""), 40).n > 0);
    arena_reset(&a);
}

static void test_names_come_back(void **state)
{
    struct arena a;
    struct neutral n = start(&a);

    (void)state;
    struct jstr sent = neutral_tool_name(&n, JSTR("my tool \\u00e9"), 64);
    assert_true(jstr_same(sent, neutral_tool_name(&n, JSTR("my tool \\u00e9"), 64)));
    assert_jstr(neutral_original_name(&n, sent), "my tool \\u00e9");
    assert_jstr(neutral_original_name(&n, JSTR("other")), "other");

    /* what share a list on purpose are not all noted, and those keep what the upstream calls them
     */
    unsigned known = 0;
    for (unsigned i = 0; i < 2 * RENAMED_IN_LIST; i++) {
        struct str name = arena_printf(&a, "%04u and the same end", i);
        struct jstr wrapped = neutral_wrapped_name(&n, (struct jstr){name.p, name.n}, 64);
        known += jstr_same(neutral_original_name(&n, wrapped), (struct jstr){name.p, name.n});
    }
    assert_true(known > 0);
    struct arena kept;
    arena_init(&kept, NULL, 1 << 20);
    assert_true(neutral_renamed_keep(&n, &kept));
    assert_jstr(neutral_original_name(&n, sent), "my tool \\u00e9");
    arena_reset(&kept);
    arena_reset(&a);
}

static void test_data_urls(void **state)
{
    static const struct {
        const char *url, *type, *data;
        enum media_source source;
        bool ok;
    } rows[] = {
        {"data:image/png;base64,iVBORw0KGgoA", "image/png", "iVBORw0KGgoA", MEDIA_BASE64, true},
        {"data:image/jpg;base64,QUJD", "image/jpeg", "QUJD", MEDIA_BASE64, true},
        {"DATA:image\\/png;base64,QUJD", "image/png", "QUJD", MEDIA_BASE64, true},
        {"data:;base64,/9j/", "image/jpeg", "/9j/", MEDIA_BASE64, true},
        {"data:image/png;base64,/9j/", "image/jpeg", "/9j/", MEDIA_BASE64, true},
        {"data:application/pdf;name=x.pdf;base64,JVBERi0x", "application/pdf", "JVBERi0x",
         MEDIA_BASE64, true},
        {"data:image/png;base64,QUI", "image/png", "QUI=", MEDIA_BASE64, true},
        {"data:image/png;base64,a-_b", "image/png", "a+/b", MEDIA_BASE64, true},
        {"data:image/png;base64,QU\\nJD", "image/png", "QUJD", MEDIA_BASE64, true},
        {"data:image/png;base64,Q!JDQ", "", "", MEDIA_BASE64, false},
        {"data:image/png;base64,", "", "", MEDIA_BASE64, false},
        {"data:text/plain,hello", "", "", MEDIA_BASE64, false},
        {"data:image/png", "", "", MEDIA_BASE64, false},
        {"data:image\\/svg+xml;base64,QUJD", "image/svg+xml", "QUJD", MEDIA_BASE64, true},
        /* a type that would end the string it is written into */
        {"data:a\\\",\\\"b\\\":\\\"c;base64,QUJD", "", "", MEDIA_BASE64, false},
        {"data:a\\nb;base64,QUJD", "", "", MEDIA_BASE64, false},
        {"https://example.com/a.png", "", "https://example.com/a.png", MEDIA_URL, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct neutral n = start(&a);
        struct block b = {0};
        struct str url = str_of(rows[i].url);
        bool ok = neutral_data_url(&n, &b, (struct jstr){url.p, url.n});
        if (ok != rows[i].ok)
            fail_msg("%s", rows[i].url);
        if (ok) {
            assert_int_equal(b.source, rows[i].source);
            assert_jstr(b.text, rows[i].data);
            assert_jstr(b.media_type, rows[i].type);
        }
        arena_reset(&a);
    }
}

static void test_effort(void **state)
{
    (void)state;
    assert_int_equal(effort_of(JSTR("medium")), EFFORT_MEDIUM);
    assert_int_equal(effort_of(JSTR("?")), EFFORT_UNSET);
    assert_int_equal(effort_of(JSTR("")), EFFORT_UNSET);
    assert_int_equal(effort_of_budget(effort_budget(EFFORT_MEDIUM)), EFFORT_MEDIUM);
    assert_str(effort_name(EFFORT_XHIGH), "xhigh");
}

static void test_sealed_reasoning_comes_back(void **state)
{
    struct arena a;
    struct neutral n = start(&a);
    struct block b = {.kind = BLOCK_REASONING};

    (void)state;
    struct jstr sealed = reasoning_seal(n.arena, API_RESPONSES, JSTR("rs_1"), JSTR("gAA=="), false);
    assert_true(reasoning_open(&b, sealed));
    assert_int_equal(b.origin, API_RESPONSES);
    assert_jstr(b.id, "rs_1");
    assert_jstr(b.signature, "gAA==");
    assert_false(b.is_redacted);
    for (size_t cut = 0; cut < sealed.n - 9; cut++) /* its head torn: none of ours */
        assert_false(reasoning_open(&b, (struct jstr){sealed.p, cut}));
    assert_false(reasoning_open(&b, JSTR("weir1.99.0.0.")));
    assert_false(reasoning_open(&b, JSTR("weir1.1.0.999999999999.x")));
    assert_false(reasoning_open(&b, JSTR("EqQBCgIYAhIM")));
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_names_come_back),
        cmocka_unit_test(test_data_urls),
        cmocka_unit_test(test_effort),
        cmocka_unit_test(test_sealed_reasoning_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
