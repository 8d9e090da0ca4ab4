/* What is counted with every request: windows, spend, what runs at once; by several processes. */

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/counters.h"
#include "tests/unit/test.h"

enum { NOW = 1790000000, MINUTE = 60, THREADS = 4, ROUNDS = 20000 };

static char path[64];
static struct counters counters;

static int setup(void **state)
{
    struct err e;
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/weir-counters-%d", (int)getpid());
    if (counters_make(path, &fd, &e) || counters_map(&counters, fd, &e))
        fail_msg("%s", e.msg);
    return 0;
}

static int teardown(void **state)
{
    int fd = counters.fd;

    (void)state;
    counters_unmap(&counters);
    (void)close(fd);
    return unlink(path);
}

static void test_window_holds_its_limit_and_begins_again(void **state)
{
    struct counter *n = counters_at(&counters, 7);
    struct window w;

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(window_take(&n->requests, NOW + i, MINUTE, 1, 3, &w));
        assert_int_equal(w.count, i);
        assert_int_equal(w.left_s, MINUTE - i + 1);
    }
    assert_false(window_take(&n->requests, NOW + 60, MINUTE, 1, 3, &w));
    assert_int_equal(w.count, 3);
    assert_int_equal(w.left_s, 1);
    assert_true(window_take(&n->requests, NOW + 61, MINUTE, 1, 3, &w));
    assert_int_equal(w.count, 1);
    assert_int_equal(w.left_s, MINUTE);
}

/* As by an entity, of no period. */
static void tell(uint32_t slot, int64_t nusd)
{
    counter_told(&counters, slot, &(struct told){.spend_nusd = nusd}, NOW);
}

/* What cannot be summed is above every budget, and never below it. */
static void test_spend_never_wraps(void **state)
{
    static const struct {
        int64_t told[2], spent, sum;
    } rows[] = {
        {{0, INT64_MAX}, 5, INT64_MAX},
        {{INT64_MAX, INT64_MAX}, INT64_MAX, INT64_MAX},
        {{INT64_MIN, INT64_MAX}, 0, INT64_MAX},
        {{INT64_MAX, 3}, 4, 7},
    };
    struct counter *n = counters_at(&counters, 9);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        counters_clear(&counters, 9);
        tell(9, rows[i].told[0]);
        tell(9, rows[i].told[1]);
        counter_spent(n, rows[i].spent, NOW);
        assert_true(counter_spend(n) == rows[i].sum);
    }
    counters_clear(&counters, 9);
}

static void test_limit_of_nothing_lets_nothing_through(void **state)
{
    struct counter *n = counters_at(&counters, 7);
    struct window w;

    (void)state;
    assert_false(window_take(&n->requests, NOW, MINUTE, 1, 0, &w));
    assert_true(window_take(&n->requests, NOW, MINUTE, 0, 0, &w));
    assert_int_equal(window_read(&n->requests, NOW, MINUTE).count, 0);
}

static void test_window_of_a_clock_set_back_is_over(void **state)
{
    struct counter *n = counters_at(&counters, 7);
    struct window w;

    (void)state;
    assert_true(window_take(&n->requests, NOW, MINUTE, 5, 5, &w));
    assert_true(window_take(&n->requests, NOW - 1, MINUTE, 1, 5, &w));
    assert_int_equal(w.count, 1);
}

static void test_giving_back_touches_only_the_window_it_was_taken_from(void **state)
{
    static const struct {
        uint32_t taken_s, given_s;
        uint64_t left;
    } rows[] = {
        {NOW + 5, NOW + 10, 90}, {NOW + 5, NOW + 59, 90}, {NOW - 20, NOW + 10, 100},
        {NOW, NOW, 90},          {NOW + 5, NOW + 60, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct counter *n = counters_at(&counters, 7);
        counters_clear(&counters, 7);
        window_add(&n->tokens, NOW, MINUTE, 100);
        window_give(&n->tokens, rows[i].taken_s, rows[i].given_s, MINUTE, 10);
        assert_int_equal(window_read(&n->tokens, rows[i].given_s, MINUTE).count, rows[i].left);
    }
    struct counter *n = counters_at(&counters, 8);
    window_add(&n->tokens, NOW, MINUTE, 5);
    window_give(&n->tokens, NOW, NOW, MINUTE, 10);
    assert_int_equal(window_read(&n->tokens, NOW, MINUTE).count, 0);
}

static void test_count_stops_at_its_ceiling(void **state)
{
    struct counter *n = counters_at(&counters, 7);

    (void)state;
    window_add(&n->tokens, NOW, MINUTE, UINT64_MAX);
    window_add(&n->tokens, NOW, MINUTE, UINT64_MAX);
    assert_int_equal(window_read(&n->tokens, NOW, MINUTE).count, (UINT64_C(1) << 40) - 1);
    assert_int_equal(window_read(&n->tokens, NOW, MINUTE).left_s, MINUTE);
}

static void test_parallel_is_bounded_and_never_negative(void **state)
{
    struct counter *n = counters_at(&counters, 9);
    uint32_t now;

    (void)state;
    assert_true(parallel_take(n, 2, &now));
    assert_true(parallel_take(n, 2, &now));
    assert_int_equal(now, 2);
    assert_false(parallel_take(n, 2, &now));
    parallel_give(n);
    parallel_give(n);
    parallel_give(n);
    assert_int_equal(n->parallel, 0);
    assert_false(parallel_take(n, 0, &now));
}

static void test_spend_told_late_is_not_counted_twice(void **state)
{
    static const struct {
        int64_t known, added, told, spend;
    } rows[] = {
        {0, 0, 500, 500},    /* the first time */
        {500, 40, 500, 540}, /* nothing new: a change of its limits */
        {500, 40, 520, 540}, /* some of ours is in it */
        {500, 40, 540, 540}, /* all of it */
        {500, 40, 900, 900}, /* and that of others */
        {500, 40, 0, 0},     /* a reset */
        {500, 40, 100, 100}, /* set by hand */
        {500, 40, -10, -10},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        counters_clear(&counters, 3);
        tell(3, rows[i].known);
        counter_spent(counters_at(&counters, 3), rows[i].added, NOW);
        tell(3, rows[i].told);
        assert_int_equal(counter_spend(counters_at(&counters, 3)), rows[i].spend);
    }
}

/* A sum with its place: what of this pod is in it is taken, the rest stays on top. */
static void test_sums_and_what_is_on_its_way_count_once(void **state)
{
    struct counter *n = counters_at(&counters, 3);

    (void)state;
    counters_clear(&counters, 3);
    counter_told(&counters, 3, &(struct told){.spend_nusd = 100, .is_exact = true}, NOW);
    counter_spent(n, 7, NOW);
    counter_spent(n, 5, NOW);
    assert_int_equal(counter_spend(n), 112);
    /* another pod's 50, and ours of before the place */
    counter_told(&counters, 3, &(struct told){.spend_nusd = 157, .is_exact = true}, NOW);
    counter_taken(&counters, 3, 7, NOW);
    assert_int_equal(counter_spend(n), 162);
    counter_told(&counters, 3, &(struct told){.spend_nusd = 162, .is_exact = true}, NOW);
    counter_taken(&counters, 3, 5, NOW);
    assert_int_equal(counter_spend(n), 162);
    /* somebody set it back: what is on its way is still spent */
    counter_spent(n, 4, NOW);
    counter_told(&counters, 3, &(struct told){.is_exact = true}, NOW);
    assert_int_equal(counter_spend(n), 4);
    counter_taken(&counters, 3, 100, NOW); /* never below nothing */
    assert_int_equal(counter_spend(n), 0);
}

enum { DAY = 86400, TODAY = NOW - NOW % DAY, MIDNIGHT = TODAY + DAY };

static void told_of(uint32_t slot, int64_t nusd, uint32_t ends_s, uint32_t now_s)
{
    counter_told(&counters, slot,
                 &(struct told){.spend_nusd = nusd, .ends_s = ends_s, .is_exact = true}, now_s);
}

static void test_a_period_ends_by_itself_and_once(void **state)
{
    struct counter *n = counters_at(&counters, 3);

    (void)state;
    counters_clear(&counters, 3);
    told_of(3, 100, MIDNIGHT, NOW);
    counter_spent(n, 7, MIDNIGHT - 1);
    counter_begin(n, MIDNIGHT - 1, TODAY, MIDNIGHT); /* it still runs */
    assert_int_equal(counter_spend(n), 107);
    assert_false(counter_is_over(n, MIDNIGHT - 1));
    assert_true(counter_is_over(n, MIDNIGHT));
    counter_begin(n, MIDNIGHT, MIDNIGHT, MIDNIGHT + DAY);
    assert_int_equal(counter_spend(n), 0);
    counter_spent(n, 3, MIDNIGHT + 1);
    counter_begin(n, MIDNIGHT + 1, MIDNIGHT, MIDNIGHT + DAY); /* two saw it end */
    assert_int_equal(counter_spend(n), 3);
    counter_spent(n, 50, MIDNIGHT - 1); /* ended before, noted late */
    counter_taken(&counters, 3, 7, MIDNIGHT - 1);
    assert_int_equal(counter_spend(n), 3);
    told_of(3, 107, MIDNIGHT, MIDNIGHT + 2); /* the job has not run */
    assert_int_equal(counter_spend(n), 3);
    told_of(3, 20, MIDNIGHT + DAY, MIDNIGHT + 3); /* it has */
    assert_int_equal(counter_spend(n), 23);
    counter_taken(&counters, 3, 3, MIDNIGHT + 1);
    assert_int_equal(counter_spend(n), 20);
}

/* Nobody asked since it ended: an exchange, or the control plane, is the first who sees it. */
static void test_a_period_ends_for_whoever_comes_first(void **state)
{
    struct counter *n = counters_at(&counters, 3);

    (void)state;
    counters_clear(&counters, 3);
    told_of(3, 100, MIDNIGHT, NOW);
    counter_spent(n, 3, MIDNIGHT + 5);
    assert_int_equal(counter_spend(n), 3);
    assert_int_equal(n->ends_s, 0);
    counter_begin(n, MIDNIGHT + 6, MIDNIGHT, MIDNIGHT + DAY);
    assert_int_equal(counter_spend(n), 3);
    assert_int_equal(n->ends_s, MIDNIGHT + DAY);

    counters_clear(&counters, 3);
    told_of(3, 100, MIDNIGHT, NOW);
    counter_spent(n, 7, NOW);
    told_of(3, 11, MIDNIGHT + DAY, MIDNIGHT + 1);
    assert_int_equal(counter_spend(n), 11);
    counter_taken(&counters, 3, 7, NOW); /* of the old one */
    assert_int_equal(counter_spend(n), 11);
}

/* Another duration keeps what was spent; a clock that jumps ends nothing twice. */
static void test_periods_that_move(void **state)
{
    struct counter *n = counters_at(&counters, 3);

    (void)state;
    counters_clear(&counters, 3);
    told_of(3, 100, MIDNIGHT, NOW);
    counter_spent(n, 7, NOW);
    counter_told_period(&counters, 3, MIDNIGHT + 30 * DAY, NOW);
    assert_int_equal(counter_spend(n), 107);
    counter_told_period(&counters, 3, MIDNIGHT, NOW);
    assert_int_equal(counter_spend(n), 107);

    counter_begin(n, MIDNIGHT + DAY / 2, MIDNIGHT, MIDNIGHT + DAY); /* a day ahead ... */
    assert_int_equal(counter_spend(n), 0);
    told_of(3, 107, MIDNIGHT, NOW + 1); /* ... and back: the period that was told runs */
    assert_int_equal(counter_spend(n), 107);
    counter_spent(n, 2, NOW + 2);
    assert_int_equal(counter_spend(n), 109);
    assert_int_equal(n->ends_s, MIDNIGHT);
    counter_begin(n, MIDNIGHT, MIDNIGHT, MIDNIGHT + DAY);
    assert_int_equal(counter_spend(n), 0);
}

/* ---- clocks that jump (threats G26) ---- */

/* A pod whose clock jumps, and a control plane whose does not, over some days with a budget each.
 */
struct jumping {
    uint32_t now_s; /* the right time */
    int32_t ahead_s;
    struct {
        uint32_t end_s;
        int64_t nusd;
    } record[448]; /* the spool */
    size_t n, counted, taken;
    uint32_t period; /* the control plane's: the day's beginning */
    int64_t spend;   /* its sum of that */
    unsigned rng, resets;
};

static uint32_t below(struct jumping *j, uint32_t n)
{
    j->rng = j->rng * 1664525 + 1013904223;
    return (j->rng >> 8) % n;
}

static uint32_t pod_s(const struct jumping *j)
{
    return (uint32_t)((int64_t)j->now_s + j->ahead_s);
}

static void jumping_spends(struct jumping *j, struct counter *n)
{
    uint32_t now_s = pod_s(j), today = now_s - now_s % DAY;

    if (counter_is_over(n, now_s)) /* the check before it, policy/budget.c */
        counter_begin(n, now_s, today, today + DAY);
    j->record[j->n].end_s = now_s;
    j->record[j->n].nusd = 1 + below(j, 100);
    counter_spent(n, j->record[j->n].nusd, now_s);
    j->n++;
}

/* As jobs/reset.c and ingest/entity.c. */
static void jumping_counts(struct jumping *j)
{
    if (j->now_s >= j->period + DAY) {
        j->period = j->now_s - j->now_s % DAY;
        j->spend = 0;
        for (size_t i = 0; i < j->counted; i++)
            j->spend += j->record[i].end_s >= j->period ? j->record[i].nusd : 0;
        j->resets++;
    }
    for (; j->counted < j->n; j->counted++)
        j->spend += j->record[j->counted].end_s >= j->period ? j->record[j->counted].nusd : 0;
}

static void jumping_is_told(struct jumping *j)
{
    told_of(3, j->spend, j->period + DAY, pod_s(j));
    for (; j->taken < j->counted; j->taken++)
        counter_taken(&counters, 3, j->record[j->taken].nusd, j->record[j->taken].end_s);
}

static void test_clocks_that_jump_reset_nothing_twice(void **state)
{
    static const int32_t jumps[] = {0, 3600, -3600, DAY, -DAY, 90, -90};
    struct counter *n = counters_at(&counters, 3);

    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++) {
        struct jumping j = {.now_s = MIDNIGHT - 7200, .period = TODAY, .rng = seed};
        counters_clear(&counters, 3);
        jumping_is_told(&j);
        for (unsigned step = 0; step < 400; step++) {
            j.now_s += below(&j, 900);
            if (below(&j, 20) == 0)
                j.ahead_s = jumps[below(&j, ARRAY_LEN(jumps))];
            if (below(&j, 2) && j.n + 8 < ARRAY_LEN(j.record))
                jumping_spends(&j, n);
            if (below(&j, 4) == 0)
                jumping_counts(&j);
            if (below(&j, 4) == 0)
                jumping_is_told(&j);
            assert_true(counter_spend(n) >= 0);
        }
        j.ahead_s = 0; /* it is right again: what is told holds, and what comes is added to it */
        jumping_counts(&j);
        jumping_is_told(&j);
        jumping_is_told(&j);
        assert_int_equal(counter_spend(n), j.spend);
        assert_int_equal(n->ends_s, j.period + DAY);
        assert_true(j.resets <= (j.now_s - TODAY) / DAY);
        jumping_spends(&j, n);
        assert_int_equal(counter_spend(n), j.spend + j.record[j.n - 1].nusd);
        j.now_s = j.period + DAY; /* the period ends once */
        jumping_spends(&j, n);
        assert_int_equal(counter_spend(n), j.record[j.n - 1].nusd);
        jumping_spends(&j, n);
        assert_int_equal(counter_spend(n), j.record[j.n - 1].nusd + j.record[j.n - 2].nusd);
    }
}

static void test_idle_entities_cost_no_memory(void **state)
{
    struct stat st, after;

    (void)state;
    assert_int_equal(fstat(counters.fd, &st), 0);
    for (uint32_t slot = 0; slot < COUNTERS_SLOTS; slot += 64) {
        tell(slot, 0);
        counters_clear(&counters, slot);
    }
    assert_int_equal(fstat(counters.fd, &after), 0);
    assert_int_equal(after.st_blocks, st.st_blocks);
    assert_non_null(counters_at(&counters, COUNTERS_SLOTS - 1));
    assert_null(counters_at(&counters, COUNTERS_SLOTS));
    assert_null(counters_at(&counters, UINT32_MAX));
}

static void test_pair_is_found_again_and_makes_way_when_it_is_over(void **state)
{
    struct pair_counter *a = counters_pair(&counters, 1, 0, STR("gpt"), NOW, MINUTE);
    struct window w;

    (void)state;
    assert_true(window_take(&a->requests, NOW, MINUTE, 1, 1, &w));
    assert_ptr_equal(counters_pair(&counters, 1, 0, STR("gpt"), NOW, MINUTE), a);
    assert_ptr_not_equal(counters_pair(&counters, 2, 0, STR("gpt"), NOW, MINUTE), a);
    assert_ptr_not_equal(counters_pair(&counters, 1, 1, STR("gpt"), NOW, MINUTE), a);
    assert_ptr_not_equal(counters_pair(&counters, 1, 0, STR("gpu"), NOW, MINUTE), a);
    uint32_t index = counters_pair_index(&counters, a);
    assert_ptr_equal(counters_pair_at(&counters, index, a->id), a);
    assert_null(counters_pair_at(&counters, index, a->id + 1));
    assert_null(counters_pair_at(&counters, COUNTERS_PAIRS, a->id));
}

/* Far more names than there is room for: whoever asks gets one, and nobody another's count. */
static void test_table_takes_more_names_than_it_holds(void **state)
{
    char name[16];

    (void)state;
    for (unsigned i = 0; i < COUNTERS_PAIRS + COUNTERS_PAIRS / 4; i++) {
        size_t n = (size_t)snprintf(name, sizeof name, "m%u", i);
        struct pair_counter *p =
            counters_pair(&counters, 5, 0, (struct str){name, n}, NOW + i / 1000, 0);
        assert_non_null(p);
        assert_int_equal(window_read(&p->requests, NOW + i / 1000, 100000).count, 0);
        window_add(&p->requests, NOW + i / 1000, 100000, 1);
    }
}

static struct pair_counter *end_user_of(uint32_t tenant, const char *prefix, unsigned i)
{
    char name[24];
    size_t n = (size_t)snprintf(name, sizeof name, "%s%u", prefix, i);

    return counters_pair_of(&counters, tenant, 0, 2, (struct str){name, n}, NOW, INT32_MAX / 2);
}

static unsigned places_of(uint32_t tenant)
{
    unsigned n = 0;

    for (uint32_t i = 0; i < COUNTERS_PAIRS; i++) {
        const struct pair_counter *p =
            (const void *)((const char *)counters.header + COUNTERS_HEADER +
                           ((size_t)COUNTERS_SLOTS + i) * sizeof *p);
        n += p->id > 1 && p->tenant == tenant;
    }
    return n;
}

/* Tenants who invent names without end take neither the counters of another, nor those of names
 * the administrator gave, nor the room for more of them. */
static void test_invented_names_crowd_out_their_inventor_s_alone(void **state)
{
    enum { VICTIM = 11, FLOOD = 21, FLOODS = 5, MANY = COUNTERS_PAIRS, FEW = 2000 };

    (void)state;
    for (unsigned i = 0; i < FEW; i++) {
        end_user_of(VICTIM, "v", i)->added_nusd = 7;
        counters_pair(&counters, i, 0, STR("gpt"), NOW, MINUTE)->added_nusd = 9;
    }
    for (unsigned t = 0; t < FLOODS; t++) {
        char prefix[8];
        (void)snprintf(prefix, sizeof prefix, "f%u-", t);
        for (unsigned i = 0; i < MANY; i++) {
            struct pair_counter *p = end_user_of(FLOOD + t, prefix, i);
            assert_true(!p || p->added_nusd == 0);
            if (p)
                p->added_nusd = 1;
        }
        assert_true(places_of(FLOOD + t) > COUNTERS_PAIRS / FLOODS / 2);
    }
    for (unsigned i = 0; i < FEW; i++) {
        assert_int_equal(end_user_of(VICTIM, "v", i)->added_nusd, 7);
        assert_int_equal(counters_pair(&counters, i, 0, STR("gpt"), NOW, MINUTE)->added_nusd, 9);
    }
    for (unsigned i = 0; i < FEW; i++) { /* and they get more */
        struct pair_counter *p = end_user_of(VICTIM, "more", i);
        assert_non_null(p);
        p->added_nusd = 5;
        assert_non_null(counters_pair(&counters, i, 0, STR("claude"), NOW, MINUTE));
    }
    for (unsigned i = 0; i < MANY / 4; i++)
        (void)end_user_of(FLOOD, "again", i);
    for (unsigned i = 0; i < FEW; i++)
        assert_int_equal(end_user_of(VICTIM, "more", i)->added_nusd, 5);
}

static void test_forgetting_leaves_nothing(void **state)
{
    (void)state;
    tell(3, 7);
    struct pair_counter *p = counters_pair(&counters, 3, 0, STR("m"), NOW, MINUTE);
    window_add(&p->tokens, NOW, MINUTE, 9);
    counters_forget(&counters, 42);
    assert_int_equal(counter_spend(counters_at(&counters, 3)), 0);
    p = counters_pair(&counters, 3, 0, STR("m"), NOW, MINUTE);
    assert_int_equal(window_read(&p->tokens, NOW, MINUTE).count, 0);
    assert_int_equal(counters.header->numbering, 42);
}

static void *take_many(void *ctx)
{
    struct counters mine;
    struct err e;
    uint64_t *taken = ctx;

    if (counters_map(&mine, counters.fd, &e))
        return NULL;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct window w;
        uint32_t now;
        struct pair_counter *p = counters_pair(&mine, i % 50, 0, STR("model"), NOW, MINUTE);
        struct counter *n = counters_at(&mine, 11);
        taken[0] += window_take(&p->requests, NOW, MINUTE, 1, 100, &w);
        taken[1] += window_take(&n->requests, NOW, MINUTE, 1, 1000, &w);
        if (parallel_take(n, 2, &now)) {
            taken[2] += now > 2;
            parallel_give(n);
        }
        counter_spent(n, 3, NOW);
    }
    counters_unmap(&mine);
    return ctx;
}

static void test_limits_hold_over_many_at_once(void **state)
{
    pthread_t threads[THREADS];
    uint64_t taken[THREADS][3] = {{0}}, sum[3] = {0};

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, taken[i]), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *ret;
        assert_int_equal(pthread_join(threads[i], &ret), 0);
        assert_non_null(ret);
        for (unsigned j = 0; j < 3; j++)
            sum[j] += taken[i][j];
    }
    assert_int_equal(sum[0], 50 * 100);
    assert_int_equal(sum[1], 1000);
    assert_int_equal(sum[2], 0);
    assert_int_equal(counters_at(&counters, 11)->parallel, 0);
    assert_int_equal(counter_spend(counters_at(&counters, 11)), (int64_t)THREADS * ROUNDS * 3);
}

static void test_file_is_kept_and_another_layout_replaced(void **state)
{
    struct counters again;
    struct err e;
    int fd;

    (void)state;
    tell(3, 7);
    assert_int_equal(counters_make(path, &fd, &e), ERRC_OK);
    assert_int_equal(counters_map(&again, fd, &e), ERRC_OK);
    assert_int_equal(counter_spend(counters_at(&again, 3)), 7);
    again.header->version++;
    counters_unmap(&again);
    assert_int_equal(counters_map(&again, fd, &e), ERRC_INVALID);
    (void)close(fd);
    assert_int_equal(counters_make(path, &fd, &e), ERRC_OK);
    assert_int_equal(counters_map(&again, fd, &e), ERRC_OK);
    assert_int_equal(counter_spend(counters_at(&again, 3)), 0);
    counters_unmap(&again);
    (void)close(fd);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_window_holds_its_limit_and_begins_again),
        EACH(test_spend_never_wraps),
        EACH(test_limit_of_nothing_lets_nothing_through),
        EACH(test_window_of_a_clock_set_back_is_over),
        EACH(test_giving_back_touches_only_the_window_it_was_taken_from),
        EACH(test_count_stops_at_its_ceiling),
        EACH(test_parallel_is_bounded_and_never_negative),
        EACH(test_spend_told_late_is_not_counted_twice),
        EACH(test_sums_and_what_is_on_its_way_count_once),
        EACH(test_a_period_ends_by_itself_and_once),
        EACH(test_a_period_ends_for_whoever_comes_first),
        EACH(test_periods_that_move),
        EACH(test_clocks_that_jump_reset_nothing_twice),
        EACH(test_idle_entities_cost_no_memory),
        EACH(test_pair_is_found_again_and_makes_way_when_it_is_over),
        EACH(test_table_takes_more_names_than_it_holds),
        EACH(test_invented_names_crowd_out_their_inventor_s_alone),
        EACH(test_forgetting_leaves_nothing),
        EACH(test_limits_hold_over_many_at_once),
        EACH(test_file_is_kept_and_another_layout_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
