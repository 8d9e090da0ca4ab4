/* Credentials: where they are looked for, in which order, and what they are worth. */

#include "policy/auth.h"
#include "tests/unit/test.h"

static struct {
    struct snap_header h;
    char text[64];
} image;
static struct snapshot snap = {.base = (const char *)&image, .size = sizeof image, .h = &image.h};

static struct snap_ref text_at(size_t at, const char *s)
{
    memcpy(image.text + at, s, strlen(s));
    return (struct snap_ref){(uint32_t)(offsetof(__typeof__(image), text) + at),
                             (uint32_t)strlen(s)};
}

struct header {
    const char *name, *value;
    bool repeated;
};

static struct str header_get(const void *ctx, struct str name, bool *ret_repeated)
{
    for (const struct header *h = ctx; h->name; h++)
        if (str_eq(name, str_of(h->name))) {
            *ret_repeated |= h->repeated;
            return str_of(h->value);
        }
    return (struct str){0};
}

static void test_credentials(void **state)
{
    static const struct {
        const char *own; /* litellm_key_header_name */
        struct header headers[4];
        enum auth_result result;
        const char *key;
    } rows[] = {
        {"", {{0}}, AUTH_NONE, ""},
        {"", {{"authorization", "Bearer sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"authorization", "bEaReR   sk-master ", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"authorization", "Basic sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"authorization", "sk-master", 0}}, AUTH_MALFORMED, ""},
        {"", {{"authorization", "Bearer", 0}}, AUTH_MALFORMED, ""},
        {"", {{"authorization", "Bearer  ", 0}}, AUTH_MALFORMED, ""},
        {"", {{"authorization", "Digest sk-master", 0}}, AUTH_MALFORMED, ""},
        {"", {{"authorization", "", 0}, {"x-api-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        /* nearly */
        {"", {{"authorization", "Bearer sk-maste", 0}}, AUTH_UNKNOWN, "sk-maste"},
        {"", {{"authorization", "Bearer sk-masterr", 0}}, AUTH_UNKNOWN, "sk-masterr"},
        {"",
         {{"authorization", "Bearer sk-mastersk-master", 0}},
         AUTH_UNKNOWN,
         "sk-mastersk-master"},
        {"", {{"authorization", "Bearer SK-MASTER", 0}}, AUTH_NOT_A_KEY, "SK-MASTER"},
        {"", {{"authorization", "Bearer x", 0}}, AUTH_NOT_A_KEY, "x"},
        /* each place, with and without a scheme; the first one wins */
        {"", {{"x-litellm-api-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"x-litellm-api-key", "Bearer sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"api-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"x-api-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"x-goog-api-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"", {{"ocp-apim-subscription-key", "sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"",
         {{"authorization", "Bearer sk-other", 0}, {"x-litellm-api-key", "sk-master", 0}},
         AUTH_MASTER,
         "sk-master"},
        {"",
         {{"authorization", "Bearer sk-other", 0}, {"x-api-key", "sk-master", 0}},
         AUTH_UNKNOWN,
         "sk-other"},
        {"",
         {{"api-key", "sk-1", 0}, {"x-api-key", "sk-2", 0}, {"x-goog-api-key", "sk-3", 0}},
         AUTH_UNKNOWN,
         "sk-1"},
        /* said twice differently */
        {"", {{"authorization", "Bearer sk-master", 1}}, AUTH_AMBIGUOUS, ""},
        {"",
         {{"authorization", "Bearer sk-master", 0}, {"x-api-key", "a", 1}},
         AUTH_MASTER,
         "sk-master"},
        /* a header of its own replaces all */
        {"x-own", {{"authorization", "Bearer sk-master", 0}}, AUTH_NONE, ""},
        {"x-own", {{"x-own", "Bearer sk-master", 0}}, AUTH_MASTER, "sk-master"},
        {"x-own", {{"x-own", "sk-master", 0}}, AUTH_MALFORMED, ""},
        {"x-own", {{"x-own", "Bearer sk-master", 1}}, AUTH_AMBIGUOUS, ""},
    };

    (void)state;
    image.h.settings.flags = SNAP_HAS_MASTER_KEY;
    image.h.settings.master_key = text_at(0, "sk-master");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str key = STR("?");
        image.h.settings.key_header = text_at(32, rows[i].own);
        enum auth_result got = auth_check(&snap, header_get, rows[i].headers, &key);
        if (got != rows[i].result)
            fail_msg("row %zu: %d, not %d", i, got, rows[i].result);
        assert_str(key, rows[i].key);
    }
}

static void test_without_a_master_key_all_are_let_in(void **state)
{
    static const struct header headers[] = {{"authorization", "Bearer x", 1}, {0}};
    struct str key;

    (void)state;
    image.h.settings = (struct snap_settings){0};
    assert_int_equal(auth_check(&snap, header_get, headers, &key), AUTH_OPEN);
    assert_int_equal(key.n, 0);
}

static void test_an_empty_master_key_is_nobody_s(void **state)
{
    static const struct header headers[] = {{"x-api-key", "sk-1", 0}, {0}};
    struct str key;

    (void)state;
    image.h.settings = (struct snap_settings){.flags = SNAP_HAS_MASTER_KEY,
                                              .master_key = {UINT32_MAX, 0}}; /* out of bounds */
    assert_int_equal(auth_check(&snap, header_get, headers, &key), AUTH_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_without_a_master_key_all_are_let_in),
        cmocka_unit_test(test_an_empty_master_key_is_nobody_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
