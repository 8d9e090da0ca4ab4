/* A fold of many names agrees with sums made without one. */

#include "analytics/fold.h"
#include "tests/unit/test.h"

enum { MODELS = 40, KEYS = 300 };

static struct str text(struct arena *a, const char *what, int i)
{
    return arena_printf(a, "%s-%d", what, i);
}

/* How often `needle` occurs. */
static size_t occurs(struct str s, struct str needle)
{
    size_t n = 0, at;

    while ((at = str_find(s, needle)) != SIZE_MAX) {
        n++;
        s = str_from(s, at + needle.n);
    }
    return n;
}

static void test_many_names(void **state)
{
    struct arena a;
    const struct str *names;

    (void)state;
    arena_init(&a, NULL, 256 * 1024 * 1024);
    struct fold *f = fold_new(&a);
    for (int key = 0; key < KEYS; key++)
        for (int model = 0; model < MODELS; model++) {
            struct fold_row row = {.date = key % 2 ? STR("2026-01-02") : STR("2026-01-01"),
                                   .dim = {[DIM_MODEL] = text(&a, "m", model),
                                           [DIM_KEY] = text(&a, "k", key),
                                           [DIM_ENTITY] = text(&a, "e", key / 10)},
                                   .m = {.count = {[COUNT_api_requests] = 1}}};
            fold_add(f, &row, FOLD_KEYS | FOLD_ENTITY_KEY);
            fold_add(f, &row, FOLD_DAY | FOLD_DIMS | FOLD_ENTITY);
        }
    assert_int_equal(fold_total(f)->count[COUNT_api_requests], KEYS * MODELS);
    assert_int_equal(fold_names(f, DIM_KEY, &names), KEYS);
    assert_int_equal(fold_names(f, DIM_ENTITY, &names), KEYS / 10);
    fold_describe(f, DIM_KEY, STR("k-7"), STR("{\"is\":7}"));
    struct jw w = jw_init(&a);
    jw_arr(&w);
    fold_put_days(&w, f);
    jw_end(&w);
    struct str json = jw_finish(&w);
    assert_true(arena_ok(&a));
    /* each model has all keys of the day, as have its group, of the same name, the provider, the
     * entity and the day */
    assert_int_equal(occurs(json, STR("\"k-7\":")), 2 * MODELS + 3);
    assert_int_equal(occurs(json, STR("{\"is\":7}")), 2 * MODELS + 3);
    assert_int_equal(occurs(json, STR("\"api_requests\":150}")), 0); /* not the last member */
    assert_int_equal(occurs(json, STR("\"api_requests\":150,")), 2 * 2 * MODELS);
    assert_true(str_find(json, STR("2026-01-02")) < str_find(json, STR("2026-01-01")));
    arena_reset(&a);
}

static void test_memory_ends(void **state)
{
    struct arena a;
    struct fold_row row = {.date = STR("2026-01-01"), .m = {.count = {1}}};

    (void)state;
    for (size_t ceiling = 4096; ceiling < 512 * 1024; ceiling += 16384) {
        arena_init(&a, NULL, ceiling);
        struct fold *f = fold_new(&a);
        char name[16];
        for (int i = 0; f && i < 2000; i++) {
            int n = snprintf(name, sizeof name, "%d", i);
            row.dim[DIM_KEY] = row.dim[DIM_ENTITY] = (struct str){name, (size_t)n};
            fold_add(f, &row, FOLD_ALL);
        }
        assert_false(arena_ok(&a));
        arena_reset(&a);
    }
}

static void test_days_that_are_none(void **state)
{
    struct arena a;
    struct fold_row row = {.date = STR("nonsense"), .m = {.count = {1}}};

    (void)state;
    arena_init(&a, NULL, 1024 * 1024);
    struct fold *f = fold_new(&a);
    fold_add(f, &row, FOLD_ALL);
    assert_int_equal(fold_total(f)->count[0], 0);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_memory_ends),
        cmocka_unit_test(test_days_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
