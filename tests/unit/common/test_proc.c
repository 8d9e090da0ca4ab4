/* A slice is asked for without a change of anything else, and not of who is scheduled in another
 * way. */

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/proc.h"

#include "tests/unit/test.h"

enum { RUNTIME = 24, ATTR = 48 }; /* of struct sched_attr */

static uint64_t slice_ns(void)
{
    unsigned char attr[ATTR] = {ATTR};
    uint64_t ns;

    assert_int_equal(syscall(SYS_sched_getattr, 0, attr, sizeof attr, 0), 0);
    memcpy(&ns, attr + RUNTIME, sizeof ns);
    return ns;
}

static void test_a_slice_changes_nothing_else(void **state)
{
    uint64_t before_ns = slice_ns();

    (void)state;
    if (sched_getscheduler(0) != SCHED_OTHER)
        skip();
    assert_int_equal(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1), 0);
    int nice = getpriority(PRIO_PROCESS, 0);
    proc_set_slice(200);
    uint64_t after_ns = slice_ns();
    assert_true(after_ns == (before_ns ? 200000 : 0)); /* a kernel that says 0 knows no slices */
    assert_int_equal(getpriority(PRIO_PROCESS, 0), nice);
    assert_int_equal(sched_getscheduler(0), SCHED_OTHER);

    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), 0);
    proc_set_slice(300);
    assert_int_equal(slice_ns(), after_ns);
    assert_int_equal(sched_getscheduler(0), SCHED_BATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_slice_changes_nothing_else)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
