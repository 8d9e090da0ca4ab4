/*
 * Values that LiteLLM's own functions sealed open, and what is sealed here opens again. With an
 * argument: "secret format sealed plain" lines for tests/cases/seal/make.py --verify, which opens
 * them with LiteLLM's functions.
 */

#include <stdio.h>

#include "common/gateway/seal.h"

#include "tests/unit/test.h"

static const char *const names[SEAL_FORMATS] = {"box", "v2", "v3"};

static struct arena arena;

static struct seal_key key_of(const char *secret)
{
    struct seal_key k;

    assert_true(seal_key_init(&k, str_of(secret)));
    return k;
}

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static struct str unhex(const char *hex)
{
    size_t n = strcmp(hex, "-") ? strlen(hex) / 2 : 0;
    char *out = arena_alloc(&arena, n + 1);

    assert_non_null(out);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    return (struct str){out, n};
}

static void test_opens_what_litellm_sealed(void **state)
{
    char secret[256], name[8], sealed[4096], hex[4096];
    FILE *f = fopen("tests/cases/seal/litellm.txt", "r");
    unsigned n = 0;

    (void)state;
    assert_non_null(f);
    while (fscanf(f, "%255s %7s %4095s %4095s", secret, name, sealed, hex) == 4) {
        struct seal_key k = key_of(secret);
        struct str plain = {0}, expected = unhex(hex);
        if (!seal_open(&k, str_of(sealed), &arena, &plain))
            fail_msg("%s %s does not open", name, sealed);
        assert_true(str_eq(plain, expected));
        n++;
    }
    assert_int_equal(n, 72);
    fclose(f);
}

static const char *const plains[] = {"sk-provider-key", "", "gr\xc3\xbc\303\237e", "{\"a\": 1}"};

/* What is our own opens in its own place alone, and never as a credential, nor a credential as it.
 */
static void test_own_values_open_in_their_place(void **state)
{
    struct seal_key k = key_of("sk-1234"), other = key_of("sk-1235"), none = {0};
    struct str here = STR("table, row 1"), there = STR("table, row 2"), plain;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
        struct str sealed = seal_own(&k, here, str_of(plains[i]), &arena);
        assert_true(str_starts(sealed, STR("weir1:")));
        assert_true(seal_own_open(&k, here, sealed, &arena, &plain));
        assert_str(plain, plains[i]);
        assert_false(seal_own_open(&k, there, sealed, &arena, &plain));
        assert_false(seal_own_open(&k, STR(""), sealed, &arena, &plain));
        assert_false(seal_own_open(&other, here, sealed, &arena, &plain));
        assert_false(seal_open(&k, sealed, &arena, &plain));
        for (enum seal_format f = 0; f < SEAL_FORMATS; f++) {
            struct str theirs = seal(&k, f, str_of(plains[i]), &arena);
            assert_false(seal_own_open(&k, here, theirs, &arena, &plain));
            theirs = arena_printf(&arena, "weir1:" STR_FMT,
                                  STR_ARG(str_from(theirs, f == SEAL_BOX ? 0 : 7)));
            assert_false(seal_own_open(&k, STR(""), theirs, &arena, &plain));
        }
    }
    assert_int_equal(seal_own(&none, here, STR("x"), &arena).n, 0);
    assert_false(seal_own_open(&k, here, STR("weir1:"), &arena, &plain));
    assert_false(seal_own_open(&k, here, STR("weir1:AAAA"), &arena, &plain));
}

static void test_opens_what_it_sealed(void **state)
{
    struct seal_key k = key_of("sk-1234"), other = key_of("sk-1235");

    (void)state;
    for (enum seal_format f = 0; f < SEAL_FORMATS; f++)
        for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
            struct str sealed = seal(&k, f, str_of(plains[i]), &arena), plain = {0};
            assert_true(sealed.n > 0);
            assert_int_equal(seal_format_of(sealed), f);
            assert_true(seal_open(&k, sealed, &arena, &plain));
            assert_str(plain, plains[i]);
            assert_false(str_eq(sealed, seal(&k, f, str_of(plains[i]), &arena))); /* a new nonce */
            assert_false(seal_open(&other, sealed, &arena, &plain));
        }
}

static void test_any_changed_byte_is_refused(void **state)
{
    struct seal_key k = key_of("sk-1234");
    struct str plain;

    (void)state;
    for (enum seal_format f = 0; f < SEAL_FORMATS; f++) {
        struct str sealed = seal(&k, f, STR("value"), &arena);
        char *p = arena_alloc(&arena, sealed.n);
        assert_non_null(p);
        for (size_t i = 0; i < sealed.n; i++) {
            memcpy(p, sealed.p, sealed.n);
            p[i] = p[i] == 'A' ? 'B' : 'A';
            assert_false(seal_open(&k, (struct str){p, sealed.n}, &arena, &plain));
        }
        for (size_t n = 0; n < sealed.n; n++)
            assert_false(seal_open(&k, (struct str){sealed.p, n}, &arena, &plain));
    }
}

static void test_what_is_not_sealed_does_not_open(void **state)
{
    static const char *const texts[] = {
        "", "sk-plain", "os.environ/KEY", "v2:gcm:", "v3:gcm:", "v2:gcm:AA", "====", "v9:gcm:AAAA"};
    struct seal_key k = key_of("sk-1234"), none = key_of("");
    struct str plain;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_false(seal_open(&k, str_of(texts[i]), &arena, &plain));
    assert_false(none.is_set);
    assert_int_equal(seal(&none, SEAL_BOX, STR("x"), &arena).n, 0);
    assert_false(seal_open(&none, seal(&k, SEAL_BOX, STR("x"), &arena), &arena, &plain));
}

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 64 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static int print_sealed(void)
{
    struct seal_key k = key_of("sk-1234");

    (void)begin(NULL);
    for (enum seal_format f = 0; f < SEAL_FORMATS; f++)
        for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
            printf("sk-1234 %s " STR_FMT " ", names[f],
                   STR_ARG(seal(&k, f, str_of(plains[i]), &arena)));
            for (const char *p = plains[i]; *p; p++)
                printf("%02x", (unsigned char)*p);
            printf("%s\n", *plains[i] ? "" : "-");
        }
    return end(NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens_what_litellm_sealed, begin, end),
        cmocka_unit_test_setup_teardown(test_own_values_open_in_their_place, begin, end),
        cmocka_unit_test_setup_teardown(test_opens_what_it_sealed, begin, end),
        cmocka_unit_test_setup_teardown(test_any_changed_byte_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_what_is_not_sealed_does_not_open, begin, end),
    };

    (void)argv;
    return argc > 1 ? print_sealed() : cmocka_run_group_tests(tests, NULL, NULL);
}
