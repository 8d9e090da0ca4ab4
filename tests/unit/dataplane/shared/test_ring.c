/* The ring: order, wrapping, back-pressure, two threads, and a worker killed at every instruction.
 */

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/region.h"
#include "tests/unit/test.h"

static struct region *region_new(void)
{
    struct region *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(r != MAP_FAILED);
    return r;
}

static void region_free(struct region *r)
{
    assert_int_equal(munmap(r, sizeof *r), 0);
}

union any_record {
    struct record r;
    char bytes[RECORD_MAX];
};

/* A record whose size depends on `n`, and whose strings tell it. */
static const struct record *record_of(union any_record *u, uint64_t n)
{
    char text[RECORD_MAX];
    size_t len = (size_t)(n * 37 % (RECORD_MAX - sizeof u->r + 1));

    record_init(&u->r);
    u->r.start_us = (int64_t)n;
    memset(text, 'a' + (int)(n % 26), sizeof text);
    record_set(&u->r, RS_MODEL, (struct str){text, len});
    return &u->r;
}

static void check_record(const struct record *got, uint64_t n)
{
    union any_record want;

    (void)record_of(&want, n);
    assert_int_equal(got->start_us, n);
    assert_int_equal(got->size, want.r.size);
    assert_true(str_eq(record_get(got, RS_MODEL), record_get(&want.r, RS_MODEL)));
}

static void test_records_come_out_as_they_went_in(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t next;

    (void)state;
    assert_int_equal(ring_peek(r, 0, &u.r, &next), RING_EMPTY);
    for (uint64_t n = 0; n < 50; n++)
        assert_true(ring_put(r, record_of(&u, n)));
    uint64_t at = 0;
    for (uint64_t n = 0; n < 50; n++) {
        assert_int_equal(ring_peek(r, at, &u.r, &next), RING_RECORD);
        check_record(&u.r, n);
        assert_int_equal(u.r.seq, n);
        at = next;
    }
    assert_int_equal(ring_peek(r, at, &u.r, &next), RING_EMPTY);
    region_free(r);
}

static void test_full_ring_refuses_and_goes_on_after_release(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t put = 0, got = 0, at = 0, next;

    (void)state;
    for (int round = 0; round < 5; round++) {
        while (ring_put(r, record_of(&u, put)))
            put++;
        assert_true(ring_free(r) < 2 * RECORD_MAX);
        for (int i = 0; i < 3000; i++) {
            assert_int_equal(ring_peek(r, at, &u.r, &next), RING_RECORD);
            check_record(&u.r, got++);
            at = next;
        }
        ring_release(r, at);
    }
    while (ring_peek(r, at, &u.r, &next) == RING_RECORD) {
        check_record(&u.r, got++);
        at = next;
    }
    assert_int_equal(got, put);
    region_free(r);
}

static void test_reader_that_keeps_up_leaves_few_pages_in_use(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t at = 0, next;
    unsigned char pages[REGION_RING / 4096];
    size_t used = 0;

    (void)state;
    for (uint64_t n = 0; n < 50000; n++) {
        assert_true(ring_put(r, record_of(&u, n)));
        if (n % 10 != 9)
            continue;
        while (ring_peek(r, at, &u.r, &next) == RING_RECORD)
            at = next;
        ring_release(r, at);
    }
    char *from = (char *)(((uintptr_t)r->ring + 4095) & ~(uintptr_t)4095);
    assert_int_equal(mincore(from, REGION_RING - 4096, pages), 0);
    for (size_t i = 0; i < REGION_RING / 4096 - 1; i++)
        used += pages[i] & 1;
    assert_true(used <= RING_REWIND / 4096 + 10 * RECORD_MAX / 4096 + 2);
    region_free(r);
}

static void test_jump_to_the_beginning_leaves_the_whole_ring(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t at = 0, next, put = 0, got = 0;

    (void)state;
    for (int round = 0; round < 4; round++) {
        while ((r->ring_head & (REGION_RING - 1)) < RING_REWIND)
            assert_true(ring_put(r, record_of(&u, put++)));
        while (ring_peek(r, at, &u.r, &next) == RING_RECORD) {
            check_record(&u.r, got++);
            at = next;
        }
        ring_release(r, at); /* empty: the next one jumps */
        size_t bytes = 0;
        while (ring_put(r, record_of(&u, put))) {
            bytes += (u.r.size + 7) & ~7u;
            put++;
        }
        assert_true(bytes > REGION_RING - 2 * RECORD_MAX);
        assert_true(ring_free(r) < 2 * RECORD_MAX);
        while (ring_peek(r, at, &u.r, &next) == RING_RECORD) {
            check_record(&u.r, got++);
            at = next;
        }
        assert_int_equal(got, put);
        ring_release(r, at);
        assert_int_equal(ring_free(r), REGION_RING);
    }
    region_free(r);
}

static void test_overwritten_ring_is_told_not_read(void **state)
{
    static const struct {
        uint32_t size;
        uint16_t version;
    } rows[] = {{0, 0},
                {7, 0},
                {REGION_RING, 0},
                {0, RECORD_VERSION},
                {1 << 30, RECORD_VERSION},
                {sizeof(struct record), 77},
                {sizeof(struct record) - 8, RECORD_VERSION}};
    struct region *r = region_new();
    union any_record u;
    uint64_t next;

    (void)state;
    assert_true(ring_put(r, record_of(&u, 1)));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memcpy(r->ring, &rows[i].size, sizeof rows[i].size);
        memcpy(r->ring + 4, &rows[i].version, sizeof rows[i].version);
        next = 0;
        assert_int_equal(ring_peek(r, 0, &u.r, &next), RING_BROKEN);
        assert_int_equal(next, r->ring_head);
    }
    r->ring_head = UINT64_MAX / 2;
    assert_int_equal(ring_peek(r, 0, &u.r, &next), RING_BROKEN);
    region_free(r);
}

/* --- two threads: what TSan watches --- */

enum { THREAD_RECORDS = 100000 };

static void *produce(void *arg)
{
    struct region *r = arg;
    union any_record u;

    for (uint64_t n = 0; n < THREAD_RECORDS; n++) {
        (void)record_of(&u, n);
        while (!ring_put(r, &u.r))
            ;
    }
    return NULL;
}

static void test_reader_beside_writer_sees_whole_records_in_order(void **state)
{
    struct region *r = region_new();
    union any_record u;
    uint64_t at = 0, next;
    pthread_t writer;

    (void)state;
    assert_int_equal(pthread_create(&writer, NULL, produce, r), 0);
    for (uint64_t n = 0; n < THREAD_RECORDS;) {
        enum ring_got got = ring_peek(r, at, &u.r, &next);
        assert_int_not_equal(got, RING_BROKEN);
        if (got == RING_EMPTY)
            continue;
        check_record(&u.r, n++);
        at = next;
        if (n % 16 == 0)
            ring_release(r, at);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    region_free(r);
}

/* --- killed at every instruction --- */

#ifndef __SANITIZE_THREAD__ /* its run time does not live through fork and single steps */

/* What the link does for a dead worker. */
static void settle(struct region *r)
{
    if (inflight_is_lost(r, &r->inflight[0]))
        assert_true(inflight_publish(r, &r->inflight[0]));
    else
        inflight_drop(&r->inflight[0]);
}

static void worker_of_test(struct region *r)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(2);
    (void)raise(SIGSTOP);
    bool done = inflight_publish(r, &r->inflight[0]);
    _exit(done ? 0 : 1);
}

/* The memory a worker killed now would leave behind, settled: every record is there once, in order.
 */
static void check_what_is_left(const struct region *r, struct region *copy, uint64_t before)
{
    const size_t ring = offsetof(struct region, ring), slots = offsetof(struct region, inflight);
    union any_record u;
    uint64_t at = r->ring_tail, next, seq_before = 0;

    memcpy(copy, r, offsetof(struct region, metric));
    memcpy((char *)copy + ring, (const char *)r + ring, 8 * RECORD_MAX);
    memcpy((char *)copy + slots, (const char *)r + slots, sizeof r->inflight[0]);
    settle(copy);
    for (uint64_t n = 0; n <= before; n++) {
        assert_int_equal(ring_peek(copy, at, &u.r, &next), RING_RECORD);
        check_record(&u.r, n);
        assert_true(n == 0 || u.r.seq > seq_before);
        seq_before = u.r.seq;
        at = next;
    }
    assert_int_equal(ring_peek(copy, at, &u.r, &next), RING_EMPTY);
}

/* `before` records lie in the ring from position `at` on. */
static void kill_at_every_instruction(uint64_t at, uint64_t before)
{
    struct region *r = region_new(), *copy = region_new();
    unsigned lost = 0, steps = 0;
    union any_record u;
    int status;

    r->ring_head = r->ring_tail = at;
    if (at) { /* it has jumped before */
        r->jump_from = RING_REWIND;
        r->jump_to = REGION_RING;
    }
    for (uint64_t n = 0; n < before; n++)
        assert_true(ring_put(r, record_of(&u, n)));
    (void)record_of((union any_record *)(void *)r->inflight[0].bytes, before);
    inflight_open(r, &r->inflight[0]);

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        worker_of_test(r);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        skip(); /* no ptrace here */
    for (; r->inflight[0].state != INFLIGHT_FREE; steps++) {
        assert_true(WIFSTOPPED(status));
        lost += inflight_is_lost(r, &r->inflight[0]);
        check_what_is_left(r, copy, before);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    check_what_is_left(r, copy, before);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(lost > 10);    /* some would have died before the head moved, */
    assert_true(steps > lost); /* and some after */
    region_free(copy);
    region_free(r);
}

static void test_killed_at_every_instruction_publishes_once(void **state)
{
    (void)state;
    kill_at_every_instruction(0, 3);
}

static void test_killed_at_every_instruction_of_a_jump_publishes_once(void **state)
{
    (void)state;
    kill_at_every_instruction(REGION_RING + RING_REWIND, 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_come_out_as_they_went_in),
        cmocka_unit_test(test_full_ring_refuses_and_goes_on_after_release),
        cmocka_unit_test(test_reader_that_keeps_up_leaves_few_pages_in_use),
        cmocka_unit_test(test_jump_to_the_beginning_leaves_the_whole_ring),
        cmocka_unit_test(test_overwritten_ring_is_told_not_read),
        cmocka_unit_test(test_reader_beside_writer_sees_whole_records_in_order),
#ifndef __SANITIZE_THREAD__
        cmocka_unit_test(test_killed_at_every_instruction_publishes_once),
        cmocka_unit_test(test_killed_at_every_instruction_of_a_jump_publishes_once),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
