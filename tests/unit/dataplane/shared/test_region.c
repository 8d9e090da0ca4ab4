/* The shared file across managers: what is kept, grown, replaced. */

#include <sys/stat.h>
#include <unistd.h>

#include "shared/region.h"
#include "tests/unit/test.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/weir-region-%d", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static struct shared make(unsigned capacity)
{
    struct shared s;
    struct err e;
    int fd;

    if (shared_make(&s, path, capacity, &fd, &e))
        fail_msg("%s", e.msg);
    close(fd);
    return s;
}

static void test_file_is_private_and_kept(void **state)
{
    struct stat st;

    (void)state;
    struct shared s = make(4);
    uint64_t epoch = s.header->epoch;
    assert_true(epoch > 0);
    assert_int_equal(shared_regions(&s), 0);
    s.header->n_regions = 2;
    shared_region(&s, 1)->next_seq = 77;
    shared_unmap(&s);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    s = make(4);
    assert_int_equal(s.header->epoch, epoch);
    assert_int_equal(shared_region(&s, 1)->next_seq, 77);
    shared_unmap(&s);
}

static void test_file_grows_under_those_who_map_it(void **state)
{
    (void)state;
    struct shared old = make(2);
    old.header->n_regions = 2;
    shared_region(&old, 1)->next_seq = 5;

    struct shared s = make(6);
    assert_int_equal(s.capacity, 6);
    assert_int_equal(shared_region(&s, 1)->next_seq, 5);
    s.header->n_regions = 6;
    shared_region(&s, 5)->next_seq = 9;
    assert_int_equal(shared_regions(&s), 6);
    assert_int_equal(shared_regions(&old), 2); /* its mapping ends there */
    shared_unmap(&old);
    shared_unmap(&s);

    s = make(3); /* never smaller */
    assert_int_equal(s.capacity, 6);
    shared_unmap(&s);
}

static void test_another_layout_is_replaced(void **state)
{
    (void)state;
    struct shared s = make(2);
    uint64_t epoch = s.header->epoch;
    s.header->version++;
    shared_unmap(&s);
    s = make(2);
    assert_int_not_equal(s.header->epoch, epoch);
    assert_int_equal(s.header->version, SHARED_VERSION);
    shared_unmap(&s);
}

static void test_settled_means_free_and_empty(void **state)
{
    union {
        struct record r;
        char bytes[RECORD_MAX];
    } u;

    (void)state;
    struct shared s = make(2);
    s.header->n_regions = 2;
    struct region *r = shared_region(&s, 1);
    assert_true(shared_is_settled(&s));
    r->state = REGION_DEAD;
    assert_false(shared_is_settled(&s));
    r->state = REGION_FREE;
    record_init(&u.r);
    assert_true(ring_put(r, &u.r));
    assert_false(shared_is_settled(&s));
    ring_release(r, r->ring_head);
    assert_true(shared_is_settled(&s));
    shared_unmap(&s);
}

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FILE_TEST(test_file_is_private_and_kept),
        FILE_TEST(test_file_grows_under_those_who_map_it),
        FILE_TEST(test_another_layout_is_replaced),
        FILE_TEST(test_settled_means_free_and_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
