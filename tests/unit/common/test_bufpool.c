/* Buffers in classes: what comes back, what is bounded, what is given away. */

#include "common/bufpool.h"

#include "tests/unit/test.h"

static void test_capacities_are_powers_of_two(void **state)
{
    static const struct {
        size_t want, cap; /* cap 0: refused */
    } rows[] = {
        {1, BUF_MIN},
        {BUF_MIN, BUF_MIN},
        {BUF_MIN + 1, 2 * BUF_MIN},
        {2 * BUF_MIN, 2 * BUF_MIN},
        {100000, 131072},
        {(size_t)BUF_MIN << (BUF_CLASSES - 1), (size_t)BUF_MIN << (BUF_CLASSES - 1)},
        {((size_t)BUF_MIN << (BUF_CLASSES - 1)) + 1, 0},
        {SIZE_MAX, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct bufpool pool = {.ceiling = SIZE_MAX};
        struct buf b = {0};
        assert_int_equal(buf_reserve(&pool, &b, rows[i].want), rows[i].cap != 0);
        assert_int_equal(b.cap, rows[i].cap);
        assert_int_equal(pool.lent, rows[i].cap);
        buf_free(&pool, &b);
        assert_int_equal(pool.lent, 0);
        bufpool_deinit(&pool);
    }
}

static void test_growth_keeps_the_content(void **state)
{
    struct bufpool pool = {.ceiling = 8 << 20};
    struct buf b = {0};

    (void)state;
    for (unsigned i = 0; i < 300000; i++) {
        char byte = (char)(i * 7);
        assert_true(buf_add(&pool, &b, &byte, 1));
    }
    assert_int_equal(b.n, 300000);
    for (unsigned i = 0; i < 300000; i++)
        if (b.p[i] != (char)(i * 7))
            fail_msg("byte %u", i);
    assert_int_equal(pool.lent, b.cap);
    buf_free(&pool, &b);
    assert_null(b.p);
    bufpool_deinit(&pool);
}

static void test_large_ones_grow_where_they_are(void **state)
{
    enum { MIB = 1 << 20 };
    struct bufpool pool = {.ceiling = 40 * MIB};
    struct buf a = {0}, b = {0};

    (void)state;
    assert_true(buf_reserve(&pool, &a, 4 * MIB));
    memset(a.p, 'a', 4 * MIB);
    a.n = 4 * MIB;
    char *p = a.p;
    assert_true(buf_reserve(&pool, &a, 5 * MIB));
    assert_ptr_equal(a.p, p);
    assert_int_equal(pool.lent, 8 * MIB);
    assert_true(buf_reserve(&pool, &b, 5 * MIB));
    assert_false(buf_reserve(&pool, &a, 32 * MIB + 1));
    assert_true(buf_reserve(&pool, &a, 32 * MIB)); /* the ceiling counts what it grows by */
    assert_ptr_equal(a.p, p);
    memset(a.p + 4 * MIB, 'b', 28 * MIB);
    assert_int_equal(a.p[4 * MIB - 1], 'a');
    assert_int_equal(pool.lent, 40 * MIB);
    assert_false(buf_reserve(&pool, &b, 9 * MIB));
    buf_free(&pool, &b);
    buf_free(&pool, &a);
    assert_int_equal(pool.lent, 0);
    assert_true(buf_reserve(&pool, &b, 8 * MIB)); /* of whatever size it was before */
    assert_ptr_equal(b.p, p);
    buf_free(&pool, &b);
    bufpool_deinit(&pool);
}

static void test_the_ceiling_holds_over_all_buffers(void **state)
{
    struct bufpool pool = {.ceiling = 4 * BUF_MIN};
    struct buf a = {0}, b = {0};
    volatile size_t too_much = SIZE_MAX - 2; /* the compiler refuses a length it can see */

    (void)state;
    assert_true(buf_add(&pool, &a, "kept", 4));
    assert_true(buf_reserve(&pool, &b, 2 * BUF_MIN));
    assert_false(buf_reserve(&pool, &a, 2 * BUF_MIN)); /* while it grows both are lent */
    assert_false(buf_add(&pool, &a, "x", too_much));
    assert_int_equal(a.n, 4);
    assert_int_equal(a.cap, BUF_MIN);
    assert_memory_equal(a.p, "kept", 4);
    buf_free(&pool, &b);
    assert_true(buf_reserve(&pool, &a, 2 * BUF_MIN));
    assert_int_equal(pool.lent, 2 * BUF_MIN);
    buf_free(&pool, &a);
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
}

static void test_a_freed_buffer_is_lent_again(void **state)
{
    struct bufpool pool = {.ceiling = 1 << 20};
    struct buf a = {0};

    (void)state;
    assert_true(buf_reserve(&pool, &a, 10000));
    char *p = a.p;
    buf_free(&pool, &a);
    buf_free(&pool, &a);
    assert_true(buf_reserve(&pool, &a, 16000));
    assert_ptr_equal(a.p, p);
    buf_free(&pool, &a);
    bufpool_deinit(&pool);
}

static void test_trim_frees_what_was_not_needed_since_the_last(void **state)
{
    static const size_t sizes[] = {1, BUF_MIN + 1}; /* pages, and beyond */

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct bufpool pool = {.ceiling = 1 << 20};
        struct buf b[3] = {{0}};
        size_t size = 0;
        for (size_t k = 0; k < ARRAY_LEN(b); k++)
            assert_true(buf_reserve(&pool, &b[k], sizes[i]));
        for (size_t k = 0; k < ARRAY_LEN(b); k++) {
            size = b[k].cap;
            buf_free(&pool, &b[k]);
        }
        assert_int_equal(bufpool_trim(&pool, 0), 0); /* all three were in use since the beginning */
        assert_true(buf_reserve(&pool, &b[0], sizes[i]));
        memset(b[0].p, 7, size);
        buf_free(&pool, &b[0]);
        assert_int_equal(bufpool_trim(&pool, 0), 2 * size); /* one was */
        assert_int_equal(bufpool_trim(&pool, size), 0);
        assert_int_equal(bufpool_trim(&pool, 0), size);
        assert_int_equal(bufpool_trim(&pool, 0), 0);
        for (size_t k = 0; k < ARRAY_LEN(b); k++) { /* what went comes again */
            assert_true(buf_reserve(&pool, &b[k], sizes[i]));
            memset(b[k].p, 7, size);
        }
        for (size_t k = 0; k < ARRAY_LEN(b); k++)
            buf_free(&pool, &b[k]);
        bufpool_deinit(&pool);
    }
}

static void test_many_pages_are_all_different(void **state)
{
    enum { N = 1000 };
    struct bufpool pool = {.ceiling = SIZE_MAX};
    struct buf b[N] = {{0}};

    (void)state;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < N; i++) {
            assert_true(buf_reserve(&pool, &b[i], BUF_MIN));
            memset(b[i].p, (int)(i % 251), BUF_MIN);
        }
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal((unsigned char)b[i].p[0], i % 251);
            assert_int_equal((unsigned char)b[i].p[BUF_MIN - 1], i % 251);
            buf_free(&pool, &b[i]);
        }
        (void)bufpool_trim(&pool, 0);
        assert_int_equal(bufpool_trim(&pool, 0), N * BUF_MIN);
    }
    bufpool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capacities_are_powers_of_two),
        cmocka_unit_test(test_growth_keeps_the_content),
        cmocka_unit_test(test_large_ones_grow_where_they_are),
        cmocka_unit_test(test_the_ceiling_holds_over_all_buffers),
        cmocka_unit_test(test_a_freed_buffer_is_lent_again),
        cmocka_unit_test(test_trim_frees_what_was_not_needed_since_the_last),
        cmocka_unit_test(test_many_pages_are_all_different),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
