/* The ring of transcripts: order, wrapping, its room, and memory that holds anything. */

#include <unistd.h>

#include "shared/transcripts.h"
#include "tests/unit/test.h"

static char text[TRANSCRIPT_TEXT_MAX];

static int setup(void **state)
{
    static struct transcripts t;
    struct err e;
    int fd;

    memset(text, 'x', sizeof text);
    assert_int_equal(transcripts_make(2, &fd, &e), ERRC_OK);
    assert_int_equal(transcripts_map(&t, fd, &e), ERRC_OK);
    assert_int_equal(close(fd), 0);
    assert_int_equal(t.regions, 2);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    transcripts_unmap(*state);
    return 0;
}

static bool put(struct transcript_region *r, int64_t n, size_t request, size_t reply)
{
    struct transcript_entry en = {.start_us = n};

    return transcript_put(r, &en, (struct str){text, request}, (struct str){text, reply});
}

/* The next one, which is released. */
static void take(struct transcript_region *r, int64_t n, size_t request, size_t reply)
{
    struct transcript_view v;
    uint64_t next;

    assert_true(transcript_peek(r, r->tail, &v, &next));
    assert_int_equal(v.entry.start_us, n);
    assert_true(v.request.n == request && v.reply.n == reply);
    assert_true(!request || v.request.p[request - 1] == 'x');
    assert_true(!reply || v.reply.p[reply - 1] == 'x');
    transcript_release(r, next);
}

static void assert_empty(const struct transcript_region *r)
{
    struct transcript_view v;
    uint64_t next;

    assert_false(transcript_peek(r, r->tail, &v, &next));
}

static void test_what_goes_in_comes_out_in_order(void **state)
{
    struct transcript_region *r = transcripts_region(*state, 1);

    assert_empty(r);
    for (int64_t n = 0; n < 100; n++)
        assert_true(put(r, n, (size_t)n * 7, (size_t)(100 - n)));
    for (int64_t n = 0; n < 100; n++)
        take(r, n, (size_t)n * 7, (size_t)(100 - n));
    assert_empty(r);
    assert_empty(transcripts_region(*state, 0));
}

static void test_a_full_ring_takes_nothing_and_keeps_what_it_has(void **state)
{
    struct transcript_region *r = transcripts_region(*state, 0);
    int64_t n = 0;

    while (put(r, n, sizeof text, sizeof text))
        n++;
    assert_int_equal(n, TRANSCRIPT_RING / (2 * TRANSCRIPT_TEXT_MAX) - 1);
    uint64_t head = r->head;
    assert_false(put(r, n, sizeof text, sizeof text));
    assert_int_equal(r->head, head);
    for (int64_t i = 0; i < n; i++)
        take(r, i, sizeof text, sizeof text);
    assert_empty(r);
    assert_true(put(r, 1, sizeof text, sizeof text));
    take(r, 1, sizeof text, sizeof text);
}

static void test_it_wraps_and_a_link_that_keeps_up_leaves_the_same_pages(void **state)
{
    struct transcript_region *r = transcripts_region(*state, 0);
    uint64_t highest = 0;

    for (int64_t n = 0; n < 200; n++) {
        assert_true(put(r, n, sizeof text - (size_t)n, 300000));
        highest = MAX(highest, (r->head - 1) % TRANSCRIPT_RING);
        take(r, n, sizeof text - (size_t)n, 300000);
        assert_empty(r);
    }
    assert_true(highest < TRANSCRIPT_REWIND + 2 * TRANSCRIPT_TEXT_MAX);
    for (int64_t n = 0; n < 200; n++) { /* one always waits: it goes all around */
        assert_true(put(r, n, 1000000, 5));
        if (n)
            take(r, n - 1, 1000000, 5);
    }
    take(r, 199, 1000000, 5);
}

static void test_memory_that_holds_anything_is_passed_over(void **state)
{
    struct transcript_region *r = transcripts_region(*state, 0);
    struct transcript_view v;
    uint64_t next, random = 1;

    for (unsigned round = 0; round < 2000; round++) {
        uint64_t tail = r->tail;
        assert_true(put(r, 7, 100, 100));
        uint64_t head = r->head;
        for (unsigned i = 0; i < 8; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            r->ring[(tail + (random >> 33) % sizeof v.entry) % TRANSCRIPT_RING] =
                (unsigned char)(random >> 24);
        }
        if (transcript_peek(r, tail, &v, &next)) {
            const char *end = (const char *)r->ring + TRANSCRIPT_RING;
            assert_true(v.reply.p + v.reply.n <= end && v.request.p + v.request.n <= end);
        }
        assert_true(next > tail && next <= head);
        transcript_release(r, head);
    }
    r->head += 3 * (uint64_t)TRANSCRIPT_RING; /* nothing there can be meant */
    assert_false(transcript_peek(r, r->tail, &v, &next));
    assert_int_equal(next, r->head);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_goes_in_comes_out_in_order),
        TEST(test_a_full_ring_takes_nothing_and_keeps_what_it_has),
        TEST(test_it_wraps_and_a_link_that_keeps_up_leaves_the_same_pages),
        TEST(test_memory_that_holds_anything_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
