/* Transcripts open for the exchange they were sealed for, by the same secret, and for no other. */

#include "common/gateway/transcript.h"

#include "tests/unit/test.h"

static struct arena arena;

static struct seal_key key_of(const char *secret)
{
    struct seal_key k;

    assert_true(seal_key_init(&k, str_of(secret)));
    return k;
}

static void test_it_opens_for_its_exchange_alone(void **state)
{
    const struct seal_key k = key_of("sk-salt"), other = key_of("sk-other");
    const struct transcript_id id = {STR_INIT("call-1"), 1700000000000000, 1};
    const struct transcript_id others[] = {
        {STR_INIT("call-2"), 1700000000000000, 1},
        {STR_INIT("call-1"), 1700000000000001, 1},
        {STR_INIT("call-1"), 1700000000000000, 2},
    };
    struct str sealed = transcript_seal(&k, &id, STR("{\"a\":1}"), &arena), plain;

    (void)state;
    assert_true(sealed.n > 0 && str_find(sealed, STR("\"a\"")) == SIZE_MAX);
    assert_true(transcript_open(&k, &id, sealed, &arena, &plain));
    assert_true(str_eq(plain, STR("{\"a\":1}")));
    assert_false(transcript_open(&other, &id, sealed, &arena, &plain));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(transcript_open(&k, &others[i], sealed, &arena, &plain));
    arena_reset(&arena);
}

/* What is sealed for other uses by the same secret is none of them, nor they of it. */
static void test_its_key_is_its_own(void **state)
{
    const struct seal_key k = key_of("sk-salt");
    const struct transcript_id id = {STR_INIT("call-1"), 7, 1};
    struct str place = STR("transcript call-1 7 1"), plain;

    (void)state;
    struct str ours = transcript_seal(&k, &id, STR("x"), &arena);
    assert_false(seal_own_open(&k, place, ours, &arena, &plain));
    assert_false(transcript_open(&k, &id, seal_own(&k, place, STR("x"), &arena), &arena, &plain));
    arena_reset(&arena);
}

static void test_without_a_key_nothing_is_sealed(void **state)
{
    const struct seal_key none = key_of("");
    const struct transcript_id id = {STR_INIT("call-1"), 7, 1};
    struct str plain;

    (void)state;
    assert_int_equal(transcript_seal(&none, &id, STR("x"), &arena).n, 0);
    assert_false(transcript_open(&none, &id, STR("weir1:AAAA"), &arena, &plain));
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_for_its_exchange_alone),
        cmocka_unit_test(test_its_key_is_its_own),
        cmocka_unit_test(test_without_a_key_nothing_is_sealed),
    };

    arena_init(&arena, NULL, 1 << 20);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
