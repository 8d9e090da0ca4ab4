/* Response ids: LiteLLM's text, made and read back. */

#include "dialect/response_id.h"
#include "tests/unit/test.h"

static void test_ids_come_back(void **state)
{
    static const struct {
        const char *provider, *deployment, *upstream;
    } rows[] = {
        {"openai", "d-1", "resp_abc"},
        {"", "", "r"},
        {"azure", "a;b:c", "resp;response_id:x;model_id:y"},
        {"\xc3\xa4", "\x01", "\xff"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX];
        struct response_id got;
        struct str tag =
            response_id_tag(text, str_of(rows[i].provider), str_of(rows[i].deployment));
        size_t n = response_id_make(id, tag, str_of(rows[i].upstream), STR(""), NULL);
        assert_true(n > 0);
        assert_true(response_id_read(&got, (struct str){id, n}));
        assert_str(got.deployment, rows[i].deployment);
        assert_str(got.upstream, rows[i].upstream);
    }
}

static void test_the_form_is_litellm_s(void **state)
{
    char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX];
    struct str tag = response_id_tag(text, STR("openai"), STR("abc"));
    size_t n = response_id_make(id, tag, STR("resp_1"), STR(""), NULL);

    (void)state;
    assert_str(tag, "litellm:custom_llm_provider:openai;model_id:abc;response_id:");
    assert_str(((struct str){id, n}),
               "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDphYmM7cmVzcG9uc2VfaW"
               "Q6cmVzcF8x");
}

static void test_bounds(void **state)
{
    static char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX], fill[RESPONSE_ID_TEXT_MAX + 1];
    struct response_id got;

    (void)state;
    memset(fill, 'x', sizeof fill);
    struct str tag = response_id_tag(text, STR("p"), STR("d"));
    size_t room = RESPONSE_ID_TEXT_MAX - tag.n,
           n = response_id_make(id, tag, (struct str){fill, room}, STR(""), NULL);
    assert_true(n > 0);
    assert_true(response_id_read(&got, (struct str){id, n}));
    assert_int_equal(got.upstream.n, room);
    assert_int_equal(response_id_make(id, tag, (struct str){fill, room + 1}, STR(""), NULL), 0);
    assert_int_equal(response_id_tag(text, (struct str){fill, sizeof fill}, STR("d")).n, 0);
}

static void test_others_ids_are_not_ours(void **state)
{
    static const char *const ids[] = {
        "",
        "resp_",
        "resp_abc",
        "resp_68a1b2c3",
        "resp_!!!!",
        "bGl0ZWxsbTo=",
        "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haQ==", /* no model, no id */
        /* an id of no bytes */
        "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOnA7bW9kZWxfaWQ6ZDtyZXNwb25zZV9pZDo=",
        /* "x" before it */
        "resp_eGxpdGVsbG06Y3VzdG9tX2xsbV9wcm92aWRlcjpwO21vZGVsX2lkOmQ7cmVzcG9uc2VfaWQ6cg==",
        /* response_id before model_id */
        "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOnA7cmVzcG9uc2VfaWQ6cjttb2RlbF9pZDpk",
    };
    struct response_id got;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_false(response_id_read(&got, str_of(ids[i])));
}

static struct response_owner owner(unsigned char c)
{
    struct response_owner o;

    memset(o.is, c, sizeof o.is);
    return o;
}

static void test_a_sealed_id_is_its_owner_s(void **state)
{
    static const char one[] = "0123456789abcdef0123456789abcdef",
                      other[] = "0123456789abcdef0123456789abcdeg";
    const struct str key = {one, RESPONSE_SEAL_KEY}, key2 = {other, RESPONSE_SEAL_KEY};
    const struct response_owner a = owner(1), b = owner(2), none = owner(0);
    char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX], again[RESPONSE_ID_MAX];
    struct str tag = response_id_tag(text, STR("openai"), STR("d-1"));
    struct response_id got;

    (void)state;
    size_t n = response_id_make(id, tag, STR("resp_up"), key, &a);
    assert_true(response_id_read(&got, (struct str){id, n}));
    assert_str(got.deployment, "d-1");
    assert_str(got.upstream, "resp_up");
    assert_true(response_id_is_of(&got, key, &a));
    assert_false(response_id_is_of(&got, key, &b));
    assert_false(response_id_is_of(&got, key, &none));
    assert_false(response_id_is_of(&got, key2, &a));
    assert_false(response_id_is_of(&got, STR(""), &a));
    assert_int_equal(response_id_make(again, tag, STR("resp_up"), key, &a), n);
    assert_memory_equal(id, again, n);
    n = response_id_make(id, tag, STR("resp_up"), STR(""), NULL);
    assert_true(response_id_read(&got, (struct str){id, n}));
    assert_false(response_id_is_of(&got, key, &a));
    assert_false(response_id_is_of(&got, key, &none));
}

/* No character of it can be another: not the deployment's, not the id's, not the seal's. */
static void test_a_sealed_id_is_not_forged(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const struct str key = {"0123456789abcdef0123456789abcdef", RESPONSE_SEAL_KEY};
    const struct response_owner a = owner(1);
    char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX];
    struct str tag = response_id_tag(text, STR("openai"), STR("d-1"));
    size_t n = response_id_make(id, tag, STR("resp_up"), key, &a); /* no padding: no spare bits */
    struct response_id got;
    unsigned read = 0;

    (void)state;
    assert_true(id[n - 1] != '=');
    for (size_t i = 5; i < n; i++)
        for (size_t d = 0; d < 64; d++) {
            char was = id[i];
            if (was == digits[d])
                continue;
            id[i] = digits[d];
            if (response_id_read(&got, (struct str){id, n})) {
                read++;
                assert_false(response_id_is_of(&got, key, &a));
            }
            id[i] = was;
        }
    assert_true(read > 1000); /* most of them say something: the seal alone tells */
    id[n] = '\n';             /* nor is one written in two ways */
    assert_false(response_id_read(&got, (struct str){id, n + 1}));
}

/* RFC 4231 would be HMAC alone: here as another implementation of the whole computes it. */
static void test_the_seal_is_hmac_sha256(void **state)
{
    const struct str key = {"0123456789abcdef0123456789abcdef", RESPONSE_SEAL_KEY};
    const struct response_owner a = owner(1);
    char text[RESPONSE_ID_TEXT_MAX], id[RESPONSE_ID_MAX];
    struct str tag = response_id_tag(text, STR("openai"), STR("d-1"));
    size_t n = response_id_make(id, tag, STR("resp_up"), key, &a);

    (void)state;
    assert_str(((struct str){id, n}),
               "resp_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDpkLTE7cmV"
               "zcG9uc2VfaWQ6cmVzcF91cDtzZWFsOjZmZmEyMWEwODc2ODdlZjc3ZDUzNmI3OTVhN2NkMTA"
               "z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_come_back),
        cmocka_unit_test(test_the_form_is_litellm_s),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_others_ids_are_not_ours),
        cmocka_unit_test(test_a_sealed_id_is_its_owner_s),
        cmocka_unit_test(test_a_sealed_id_is_not_forged),
        cmocka_unit_test(test_the_seal_is_hmac_sha256),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
