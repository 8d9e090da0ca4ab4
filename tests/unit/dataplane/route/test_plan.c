/* Attempts of a request: which deployment, how often, after how long. */

#include "route/plan.h"
#include "tests/unit/test.h"

enum { MEMBERS = 70 };

static struct {
    struct snap_header h;
    struct snap_deployment d[MEMBERS];
    struct snap_member m[MEMBERS];
    struct snap_group g;
} image;
static struct snapshot snap = {.base = (const char *)&image, .size = sizeof image, .h = &image.h};

/* A group of `n`, each of weight 1. */
static struct snap_found group_of(uint32_t n)
{
    memset(&image, 0, sizeof image);
    image.h.deployments = (struct snap_ref){offsetof(__typeof__(image), d), MEMBERS};
    image.g = (struct snap_group){.members = {offsetof(__typeof__(image), m), n},
                                  .num_retries = SNAP_NONE};
    for (uint32_t i = 0; i < MEMBERS; i++) {
        image.d[i].num_retries = SNAP_NONE;
        image.m[i] = (struct snap_member){.deployment = i, .weight = 1};
    }
    image.h.settings.num_retries = 2;
    return (struct snap_found){.group = &image.g};
}

static void test_each_is_tried_once_before_any_again(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= MEMBERS; n++)
        for (uint64_t random = 0; random < 200; random += 7) {
            struct snap_found found = group_of(n);
            struct route_plan p;
            uint32_t tried[MEMBERS] = {0};
            plan_init(&p, &snap, &found, SNAP_NONE);
            for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
                const struct snap_deployment *d = plan_next(&p, random + i);
                assert_non_null(d);
                assert_ptr_equal(d, p.deployment);
                uint32_t at = (uint32_t)(d - image.d);
                assert_true(at < n);
                if (n <= PLAN_EXCLUDED_MAX)
                    assert_true(tried[at] <= i / n);
                tried[at]++;
            }
            assert_null(plan_next(&p, random));
        }
}

static void test_shares_follow_weights(void **state)
{
    struct snap_found found = group_of(3);
    unsigned n[3] = {0};

    (void)state;
    image.m[0].weight = 7;
    image.m[1].weight = 0;
    image.m[2].weight = 3;
    for (uint64_t random = 0; random < 1000; random++) {
        struct route_plan p;
        plan_init(&p, &snap, &found, SNAP_NONE);
        n[plan_next(&p, random) - image.d]++;
    }
    assert_int_equal(n[0], 700);
    assert_int_equal(n[1], 0);
    assert_int_equal(n[2], 300);
}

static void test_nobody_to_choose(void **state)
{
    struct snap_found found = group_of(0);
    struct route_plan p;

    (void)state;
    plan_init(&p, &snap, &found, SNAP_NONE);
    assert_null(plan_next(&p, 1));
    found = group_of(1);
    image.m[0].deployment = MEMBERS; /* out of bounds */
    plan_init(&p, &snap, &found, SNAP_NONE);
    assert_null(plan_next(&p, 1));
}

static void test_retries(void **state)
{
    enum { N = SNAP_NONE };
    static const struct {
        uint32_t members;
        uint32_t router, group, requested, own; /* N: not said */
        unsigned attempts, status;
        bool may;
    } rows[] = {
        /* who decides how many */
        {2, 1, N, N, N, 1, 500, true},
        {2, 1, N, N, N, 2, 500, false},
        {2, 0, N, N, N, 1, 500, false},
        {2, 0, 1, N, N, 1, 500, true},
        {2, 5, 0, N, N, 1, 500, false},
        {2, 0, 0, 1, N, 1, 500, true},
        {2, 5, 5, 0, N, 1, 500, false},
        {2, 0, 0, 0, 1, 1, 500, true},
        {2, 5, 5, 5, 0, 1, 500, false},
        {2, 90, N, N, N, 3, 500, true},
        {2, 90, N, N, N, 4, 500, false},
        /* which */
        {1, 9, N, N, N, 1, 0, true},
        {1, 9, N, N, N, 1, 408, true},
        {1, 9, N, N, N, 1, 409, true},
        {1, 9, N, N, N, 1, 429, true},
        {1, 9, N, N, N, 1, 500, true},
        {1, 9, N, N, N, 1, 529, true},
        {1, 9, N, N, N, 1, 599, true},
        {1, 9, N, N, N, 1, 400, false},
        {1, 9, N, N, N, 1, 404, false},
        {1, 9, N, N, N, 1, 422, false},
        {1, 9, N, N, N, 1, 200, false},
        {1, 9, N, N, N, 1, 401, false},
        {1, 9, N, N, N, 1, 403, false},
        {2, 9, N, N, N, 1, 401, true},
        {2, 9, N, N, N, 1, 403, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snap_found found = group_of(rows[i].members);
        struct route_plan p;
        image.h.settings.num_retries = rows[i].router;
        image.g.num_retries = rows[i].group;
        for (unsigned k = 0; k < MEMBERS; k++)
            image.d[k].num_retries = rows[i].own;
        plan_init(&p, &snap, &found, rows[i].requested);
        for (unsigned k = 0; k < rows[i].attempts; k++)
            assert_non_null(plan_next(&p, k));
        if (plan_may_retry(&p, rows[i].status) != rows[i].may)
            fail_msg("row %zu", i);
    }
}

static void test_a_deployment_by_its_id(void **state)
{
    struct route_plan p;

    (void)state;
    (void)group_of(1);
    struct snap_found found = {.deployment = &image.d[5]};
    plan_init(&p, &snap, &found, SNAP_NONE);
    assert_ptr_equal(plan_next(&p, 3), &image.d[5]);
    assert_true(plan_may_retry(&p, 500));
    assert_false(plan_may_retry(&p, 401));
    assert_int_equal(plan_wait_ms(&p, 0, 0), 500);
    assert_ptr_equal(plan_next(&p, 4), &image.d[5]);
}

static void test_waits(void **state)
{
    static const struct {
        uint32_t members, least, retry_after;
        unsigned attempts;
        uint64_t random;
        uint32_t wait;
    } rows[] = {
        {2, 0, 0, 1, 0, 0}, /* another one is left */
        {2, 0, 30000, 1, 0, 0},      {2, 70, 30000, 1, 0, 70},
        {2, 0, 0, 2, 0, 1000},                               /* none is left */
        {1, 0, 0, 1, 0, 500},        {1, 0, 0, 1, 749, 126}, /* a quarter at least */
        {1, 0, 0, 1, 750, 500},      {1, 0, 0, 4, 0, 4000},
        {1, 200, 0, 1, 749, 200},    {1, 0, 1500, 1, 0, 1500}, /* as the upstream said */
        {1, 2000, 1500, 1, 0, 2000}, {1, 0, 60000, 1, 0, 60000},
        {1, 0, 60001, 1, 0, 500}, /* which is too long */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct snap_found found = group_of(rows[i].members);
        struct route_plan p;
        image.h.settings.retry_after_ms = rows[i].least;
        plan_init(&p, &snap, &found, SNAP_NONE);
        for (unsigned k = 0; k < rows[i].attempts; k++)
            assert_non_null(plan_next(&p, k));
        assert_int_equal(plan_wait_ms(&p, rows[i].retry_after, rows[i].random), rows[i].wait);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_tried_once_before_any_again),
        cmocka_unit_test(test_shares_follow_weights),
        cmocka_unit_test(test_nobody_to_choose),
        cmocka_unit_test(test_retries),
        cmocka_unit_test(test_a_deployment_by_its_id),
        cmocka_unit_test(test_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
