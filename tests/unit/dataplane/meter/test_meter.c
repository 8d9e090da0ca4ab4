/* Records from slot to ring: each published once, none lost while the ring is full. */

#include <unistd.h>

#include "common/gateway/price.h"

#include "meter/meter.h"
#include "tests/unit/test.h"

static struct context cx;

static int setup(void **state)
{
    char path[] = "/tmp/weir-meter-XXXXXX";
    int fd = mkstemp(path), shared_fd;
    struct err e;

    (void)state;
    if (fd < 0 || shared_make(&cx.shared, path, 1, &shared_fd, &e))
        return -1;
    close(fd);
    close(shared_fd);
    (void)unlink(path);
    cx.region = shared_region(&cx.shared, 0);
    cx.region_index = 0;
    cx.wall_ahead_us = 1000000;
    meter_init(&cx);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shared_unmap(&cx.shared);
    return 0;
}

/* Takes every record from the ring: how many, with rising sequence. */
static unsigned ring_drain(uint64_t *seq)
{
    union {
        struct record r;
        char bytes[RECORD_MAX];
    } out;
    uint64_t at = atomic_load(&cx.region->ring_tail), next;
    unsigned n = 0;

    for (; ring_peek(cx.region, at, &out.r, &next) == RING_RECORD; at = next, n++) {
        assert_true(out.r.seq > *seq || (out.r.seq == 0 && *seq == 0));
        *seq = out.r.seq;
    }
    ring_release(cx.region, at);
    return n;
}

static void test_a_record_s_life(void **state)
{
    uint64_t seq = 0;

    (void)state;
    struct inflight *a = meter_open(&cx, 5000), *b = meter_open(&cx, 6000);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    assert_int_equal(a->record.start_us, 1000005);
    assert_int_equal(a->record.epoch, cx.shared.header->epoch);
    assert_int_equal(a->record.size, sizeof a->record);
    assert_int_equal(atomic_load(&a->state), INFLIGHT_FREE);
    meter_start(&cx, a);
    assert_int_equal(atomic_load(&a->state), INFLIGHT_OPEN);
    meter_close(&cx, a);
    assert_int_equal(atomic_load(&a->state), INFLIGHT_FREE);
    assert_int_equal(counter_get(&cx.region->metric[METRIC_RECORDS]), 1);
    assert_int_equal(ring_drain(&seq), 1);
    meter_start(&cx, b);
    meter_drop(&cx, b);
    assert_int_equal(atomic_load(&b->state), INFLIGHT_FREE);
    assert_int_equal(ring_drain(&seq), 0);
    /* the slot given back last comes first */
    assert_ptr_equal(meter_open(&cx, 0), b);
    assert_int_equal(b->record.start_us, 1000000);
    assert_ptr_equal(meter_open(&cx, 0), a);
}

static void test_a_full_ring_delays_records_in_order(void **state)
{
    enum { WAITING = 10, UNREAD = 4096 };
    static struct inflight *slot[REGION_INFLIGHT];
    unsigned opened = 0, n = 0;
    uint64_t seq = 0;

    (void)state;
    /* a ring partly unread, so that the slots are more than what fits beside it */
    for (; n < UNREAD; n++) {
        struct inflight *f = meter_open(&cx, 0);
        assert_non_null(f);
        f->record.size = RECORD_MAX;
        meter_start(&cx, f);
        meter_close(&cx, f);
    }
    n = 0;
    /* more large records than the ring holds, opened while it has room */
    for (size_t room = ring_free(cx.region);
         opened * (size_t)RECORD_MAX < room + WAITING * RECORD_MAX;) {
        struct inflight *f = slot[opened++] = meter_open(&cx, 0);
        assert_non_null(f);
        f->record.size = RECORD_MAX;
        meter_start(&cx, f);
    }
    for (unsigned i = 0; i < opened; i++)
        meter_close(&cx, slot[i]);
    uint64_t published = counter_get(&cx.region->metric[METRIC_RECORDS]);
    assert_true(published < UNREAD + opened);
    assert_int_equal(counter_get(&cx.region->metric[METRIC_RECORDS_WAITED]),
                     UNREAD + opened - published);
    assert_false(list_is_empty(&cx.unpublished));
    assert_int_equal(atomic_load(&slot[opened - 1]->state), INFLIGHT_OPEN);
    assert_true(slot[opened - 1]->record.end_us > 0);
    assert_null(meter_open(&cx, 0)); /* too little is free for another */
    assert_int_equal(counter_get(&cx.region->metric[METRIC_REQUESTS_REFUSED]), 1);
    meter_retry(&cx);
    assert_int_equal(counter_get(&cx.region->metric[METRIC_RECORDS]), published);
    for (unsigned got; (got = ring_drain(&seq)); meter_retry(&cx))
        n += got;
    assert_int_equal(n, UNREAD + opened);
    assert_true(list_is_empty(&cx.unpublished));
    assert_int_equal(cx.n_free_slots, cx.slots_used);
}

static void test_trim_gives_pages_back_and_keeps_the_rest(void **state)
{
    enum { BUSY = 500 };
    static struct inflight *slot[BUSY];
    uint64_t seq = 0;

    (void)state;
    for (unsigned i = 0; i < BUSY; i++) {
        slot[i] = meter_open(&cx, 0);
        assert_non_null(slot[i]);
        slot[i]->record.status = 200;
        meter_start(&cx, slot[i]);
    }
    meter_trim(&cx); /* something is in flight */
    assert_int_equal(slot[BUSY / 2]->record.status, 200);
    assert_int_equal(atomic_load(&cx.region->inflight_high), BUSY);
    for (unsigned i = 0; i < BUSY; i++)
        meter_close(&cx, slot[i]);
    meter_trim(&cx); /* records lie in the ring */
    assert_true(atomic_load(&cx.region->inflight_high) < BUSY);
    assert_int_equal(slot[BUSY / 2]->record.status, 0);
    assert_int_equal(ring_drain(&seq), BUSY);
    meter_trim(&cx);
    for (unsigned i = 0; i < BUSY; i++) {
        struct inflight *f = meter_open(&cx, 0);
        assert_ptr_equal(f, &cx.region->inflight[i]);
        meter_start(&cx, f);
        meter_close(&cx, f);
        assert_int_equal(ring_drain(&seq), 1);
        meter_drop(&cx, meter_open(&cx, 0)); /* the same slot again */
        assert_non_null(slot[i] = meter_open(&cx, 0));
    }
}

static void test_slots_end(void **state)
{
    (void)state;
    for (unsigned i = 0; i < REGION_INFLIGHT; i++)
        assert_non_null(meter_open(&cx, 0));
    assert_null(meter_open(&cx, 0));
    meter_drop(&cx, &cx.region->inflight[7]);
    assert_ptr_equal(meter_open(&cx, 0), &cx.region->inflight[7]);
}

static void test_prices_and_counts(void **state)
{
    static const struct {
        struct usage u;
        bool priced; /* at 2 and 10 dollars a million */
        int64_t cost_nusd;
        bool unpriced;
    } rows[] = {
        {{.input = 1000, .output = 100, .seen = 1}, true, 3000000, false},
        {{.input = 1000, .output = 100, .seen = 1}, false, 0, true},
        {{0}, false, 0, false},
        {{0}, true, 0, false},
        {{.cache_write_1h = 1}, false, 0, true},
        {{.audio_out = 1}, false, 0, true},
    };
    struct price p;
    uint64_t unpriced = 0, prompt = 0, spend = 0;

    (void)state;
    price_init(&p);
    assert_int_equal(price_set(&p, STR("input_cost_per_token"), STR("2e-06")), PRICE_FIELD_SET);
    assert_int_equal(price_set(&p, STR("output_cost_per_token"), STR("1e-05")), PRICE_FIELD_SET);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct record r;
        record_init(&r);
        r.upstream_ns = 10;
        r.first_byte_ns = 4;
        r.flags = i ? 0 : RECORD_STREAM;
        meter_price(&r, &rows[i].u, rows[i].priced ? &p : NULL);
        assert_int_equal(r.cost_nusd, rows[i].cost_nusd);
        assert_int_equal((r.flags & RECORD_UNPRICED) != 0, rows[i].unpriced);
        /* slots beyond the last count in it */
        meter_count(&cx, SHARED_DEPLOYMENTS + (uint32_t)i, &r, i % 2);
        unpriced += rows[i].unpriced;
        prompt += usage_prompt(&rows[i].u);
        spend += (uint64_t)rows[i].cost_nusd;
    }
    const struct deployment_counters *d = &cx.region->deployment[SHARED_DEPLOYMENTS - 1];
    assert_int_equal(d->requests, ARRAY_LEN(rows));
    assert_int_equal(d->success, ARRAY_LEN(rows) / 2);
    assert_int_equal(d->failure, ARRAY_LEN(rows) - ARRAY_LEN(rows) / 2);
    assert_int_equal(d->input_tokens, prompt);
    assert_int_equal(d->spend_nusd, spend);
    assert_int_equal(d->unpriced, unpriced);
    assert_int_equal(d->latency_ns_sum, 10 * (ARRAY_LEN(rows) / 2)); /* of successes */
    assert_int_equal(d->first_token_ns_sum, 4);
    assert_int_equal(d->first_token_count, 1);
    assert_int_equal(counter_get(&cx.region->metric[METRIC_UNPRICED]), unpriced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_record_s_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_ring_delays_records_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trim_gives_pages_back_and_keeps_the_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_slots_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prices_and_counts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
