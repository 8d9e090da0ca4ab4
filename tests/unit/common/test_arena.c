/* The arena: blocks come back, the ceiling sticks. */

#include "common/arena.h"

#include "tests/unit/test.h"

static void test_reset_keeps_blocks_for_the_next_request(void **state)
{
    struct arena_pool pool = {.max_spare = 4};
    struct arena a;

    (void)state;
    arena_init(&a, &pool, 1 << 20);
    void *first = arena_alloc(&a, 100);
    assert_non_null(first);
    arena_reset(&a);
    assert_int_equal(pool.n_spare, 1);
    assert_ptr_equal(arena_alloc(&a, 100), first);
    arena_reset(&a);
    arena_pool_deinit(&pool);
}

static void test_ceiling_sticks(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 2 * ARENA_BLOCK);
    assert_non_null(arena_alloc(&a, 10));
    assert_null(arena_alloc(&a, 10 * ARENA_BLOCK));
    assert_false(arena_ok(&a));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_true(arena_ok(&a));
    assert_non_null(arena_alloc(&a, 1));
    arena_reset(&a);
}

static void test_large_object_leaves_the_current_block_in_use(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    char *one = arena_alloc(&a, 16);
    char *large = arena_alloc(&a, 3 * ARENA_BLOCK);
    char *two = arena_alloc(&a, 16);
    memset(large, 1, 3 * ARENA_BLOCK);
    assert_ptr_equal(two, one + 16);
    arena_reset(&a);
}

static void test_printf_and_copies_are_terminated(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_str(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    struct str s = arena_str(&a, STR("abc"));
    assert_int_equal(s.p[3], '\0');
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset_keeps_blocks_for_the_next_request),
        cmocka_unit_test(test_ceiling_sticks),
        cmocka_unit_test(test_large_object_leaves_the_current_block_in_use),
        cmocka_unit_test(test_printf_and_copies_are_terminated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
