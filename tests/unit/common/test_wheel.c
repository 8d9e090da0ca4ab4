/* Timers: never early, at most a tick late, whatever their callbacks do. */

#include "common/wheel.h"

#include "tests/unit/test.h"

#define MS UINT64_C(1000000)

static struct wheel wheel;
static uint64_t now;

struct probe {
    struct timer t;
    unsigned fired;
    uint64_t at, again_ns; /* again: armed anew by the callback for that moment */
    struct probe *other;   /* disarmed by the callback */
};

static void on_probe(struct timer *t)
{
    struct probe *p = container_of(t, struct probe, t);

    p->fired++;
    p->at = now;
    assert_false(timer_is_armed(t));
    if (p->again_ns) {
        timer_arm(&wheel, t, p->again_ns);
        p->again_ns = 0;
    }
    if (p->other)
        timer_disarm(&p->other->t);
}

static void run_to(uint64_t to)
{
    for (; now < to; now += WHEEL_TICK_MS * MS)
        wheel_run(&wheel, now);
}

static void test_fires_once_and_in_time(void **state)
{
    static const uint64_t after_ms[] = {0,     1,     49,    50,    51,    99,
                                        12345, 25549, 25600, 25650, 25651, 100000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(after_ms); i++)
        for (uint64_t from = 7 * MS; from < 200 * MS; from += 31 * MS) {
            struct probe p = {0};
            now = from;
            wheel_init(&wheel, now);
            timer_init(&p.t, on_probe);
            uint64_t due = now + after_ms[i] * MS;
            timer_arm(&wheel, &p.t, due);
            run_to(due + 200 * MS);
            assert_int_equal(p.fired, 1);
            assert_true(p.at >= due && p.at <= due + 2 * WHEEL_TICK_MS * MS);
        }
}

static void test_what_is_overdue_fires_with_the_next_tick(void **state)
{
    struct probe p = {0};

    (void)state;
    now = 1000 * MS;
    wheel_init(&wheel, now);
    timer_init(&p.t, on_probe);
    timer_arm(&wheel, &p.t, 0);
    p.again_ns = 1; /* long ago */
    run_to(1200 * MS);
    assert_int_equal(p.fired, 2);
}

static void test_a_late_tick_fires_everything(void **state)
{
    struct probe p[300] = {0};

    (void)state;
    now = 0;
    wheel_init(&wheel, now);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        timer_init(&p[i].t, on_probe);
        timer_arm(&wheel, &p[i].t, i * 1000 * MS);
    }
    now = 200 * 1000 * MS + 60 * MS;
    wheel_run(&wheel, now);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        assert_int_equal(p[i].fired, i <= 200);
        timer_disarm(&p[i].t);
        assert_false(timer_is_armed(&p[i].t));
    }
}

static void test_callbacks_disarm_and_arm_others(void **state)
{
    struct probe a = {0}, b = {0};

    (void)state;
    now = 0;
    wheel_init(&wheel, now);
    timer_init(&a.t, on_probe);
    timer_init(&b.t, on_probe);
    a.other = &b;
    timer_arm(&wheel, &a.t, 10 * MS);
    timer_arm(&wheel, &b.t, 10 * MS); /* the same slot */
    run_to(300 * MS);
    assert_int_equal(a.fired, 1);
    assert_int_equal(b.fired, 0);
    timer_arm(&wheel, &b.t, 400 * MS);
    timer_arm(&wheel, &b.t, 800 * MS); /* later instead */
    run_to(600 * MS);
    assert_int_equal(b.fired, 0);
    run_to(1000 * MS);
    assert_int_equal(b.fired, 1);
}

static void test_a_clock_that_stands_still_or_goes_back_fires_nothing(void **state)
{
    struct probe p = {0};

    (void)state;
    now = 1000 * MS;
    wheel_init(&wheel, now);
    timer_init(&p.t, on_probe);
    timer_arm(&wheel, &p.t, 1020 * MS);
    wheel_run(&wheel, now);
    wheel_run(&wheel, now - 500 * MS);
    assert_int_equal(p.fired, 0);
    run_to(1200 * MS);
    assert_int_equal(p.fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_once_and_in_time),
        cmocka_unit_test(test_what_is_overdue_fires_with_the_next_tick),
        cmocka_unit_test(test_a_late_tick_fires_everything),
        cmocka_unit_test(test_callbacks_disarm_and_arm_others),
        cmocka_unit_test(test_a_clock_that_stands_still_or_goes_back_fires_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
