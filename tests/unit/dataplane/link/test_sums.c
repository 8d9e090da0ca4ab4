/* Usage added up while the spool takes nothing: nothing of it is lost, and it stays bounded. */

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "link/sums.h"
#include "tests/unit/test.h"
#include "weir.pb-c.h"

union any_record {
    struct record r;
    char bytes[RECORD_MAX];
};

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/weir-sums-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {"0000000001.seg", "lock", "name"};
    char path[96];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    return rmdir(dir);
}

static const struct record *example(union any_record *u, unsigned key, unsigned model)
{
    char text[32];

    record_init(&u->r);
    u->r.flags = RECORD_SPOOL;
    u->r.start_us = INT64_C(1795183448000000);
    u->r.end_us = u->r.start_us + 1000;
    u->r.usage = (struct usage){.input = 3, .output = 4, .seen = 1};
    u->r.cost_nusd = 10 + key;
    (void)snprintf(text, sizeof text, "key-%u", key);
    record_set(&u->r, RS_KEY, str_of(text));
    (void)snprintf(text, sizeof text, "model-%u", model);
    record_set(&u->r, RS_GROUP, str_of(text));
    record_set(&u->r, RS_REQUEST_ID, STR("not kept"));
    return &u->r;
}

struct total {
    uint64_t sums, exchanges, input;
    int64_t nusd;
    unsigned of_nobody;
    char last[64];
};

static void see(void *ctx, const struct spool_entry *en)
{
    struct total *t = ctx;
    Weir__UsageRecord *m =
        weir__usage_record__unpack(NULL, en->body.n, (const uint8_t *)en->body.p);

    assert_non_null(m);
    assert_int_equal(en->id.region, UINT32_MAX);
    assert_int_equal(m->request_id.len, 36);
    assert_memory_equal(m->request_id.data, "sum-", 4);
    assert_memory_not_equal(m->request_id.data, t->last, 36); /* each has a name of its own */
    memcpy(t->last, m->request_id.data, 36);
    t->sums++;
    t->exchanges += m->exchanges;
    t->input += m->usage->input;
    t->nusd += m->cost_nusd;
    t->of_nobody += m->key.len == 0;
    weir__usage_record__free_unpacked(m, NULL);
}

static struct spool *open_spool(void)
{
    const struct spool_options o = {.dir = dir};
    struct spool *s;
    struct err e;

    assert_int_equal(spool_open(&s, &o, NULL, NULL, &e), ERRC_OK);
    return s;
}

static struct total written(void)
{
    struct total t = {0};
    struct err e;
    uint64_t bad;

    assert_int_equal(spool_read(dir, see, &t, &bad, &e), ERRC_OK);
    assert_int_equal(bad, 0);
    return t;
}

static void test_alike_are_added_up(void **state)
{
    union any_record u;
    struct err e;

    (void)state;
    struct sums *s = sums_new();
    for (unsigned i = 0; i < 600; i++)
        assert_true(sums_add(s, example(&u, i % 3, i % 2)));
    example(&u, 0, 0);
    u.r.end_us += INT64_C(3600000000); /* another hour */
    assert_true(sums_add(s, &u.r));
    assert_int_equal(sums_count(s), 7);
    struct spool *spool = open_spool();
    assert_int_equal(sums_write(s, spool, 7, &e), ERRC_OK);
    assert_int_equal(sums_count(s), 0);
    spool = spool_free(spool);
    struct total t = written();
    assert_true(t.sums == 7 && t.exchanges == 601 && t.input == 1803);
    assert_int_equal(t.nusd, 200 * (10 + 11 + 12) + 10);
    s = sums_free(s);
}

static void test_beyond_the_bound_all_is_one_sum(void **state)
{
    union any_record u;
    struct err e;

    (void)state;
    struct sums *s = sums_new();
    for (unsigned i = 0; i < SUMS_MAX + 500; i++)
        assert_true(sums_add(s, example(&u, i, 0)));
    assert_true(sums_add(s, example(&u, 5, 0))); /* those that are known are still found */
    assert_int_equal(sums_count(s), SUMS_MAX + 1);
    struct spool *spool = open_spool();
    assert_int_equal(sums_write(s, spool, 7, &e), ERRC_OK);
    spool = spool_free(spool);
    struct total t = written();
    assert_true(t.sums == SUMS_MAX + 1 && t.exchanges == SUMS_MAX + 501 && t.of_nobody == 1);
    s = sums_free(s);
}

/* RLIMIT_FSIZE stands for a disk that is full again in the middle. */
static void test_what_the_spool_does_not_take_stays(void **state)
{
    union any_record u;
    struct rlimit was, low;
    struct err e;

    (void)state;
    struct sums *s = sums_new();
    for (unsigned i = 0; i < 5000; i++)
        assert_true(sums_add(s, example(&u, i, 0)));
    struct spool *spool = open_spool();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    low = was;
    low.rlim_cur = 200000;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum errc rc = sums_write(s, spool, 7, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, ERRC_SYS);
    assert_true(sums_count(s) > 0 && sums_count(s) < 5000);
    for (unsigned i = 0; i < 5000; i++) /* known ones are found, the others begin anew */
        assert_true(sums_add(s, example(&u, i, 0)));
    assert_int_equal(sums_count(s), 5000);
    assert_int_equal(sums_write(s, spool, 7, &e), ERRC_OK);
    spool = spool_free(spool);
    assert_int_equal(written().exchanges, 10000);
    s = sums_free(s);
}

#define SUMS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SUMS_TEST(test_alike_are_added_up),
        SUMS_TEST(test_beyond_the_bound_all_is_one_sum),
        SUMS_TEST(test_what_the_spool_does_not_take_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
