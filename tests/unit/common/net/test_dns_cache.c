/* When a known answer is used, asked for again, or taken although it is old. */

#include "common/net/dns_cache.h"

#include "tests/unit/test.h"

enum { NOW = 1000 * 1000 };

static struct dns_cache cache;

static int setup(void **state)
{
    (void)state;
    dns_cache_init(&cache);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_cache_deinit(&cache);
    return 0;
}

static struct dns_addrs one_addr(void)
{
    struct dns_addrs a = {.n = 1};

    assert_true(addr_read(STR("192.0.2.1"), 0, &a.addr[0]));
    return a;
}

static void test_time_to_live_is_bounded(void **state)
{
    static const struct {
        uint32_t ttl_s, want_ms;
    } rows[] = {
        {0, 5000},     {1, 5000},     {5, 5000},       {6, 6000},          {299, 299000},
        {300, 300000}, {301, 300000}, {86400, 300000}, {1u << 31, 300000}, {UINT32_MAX, 300000},
    };
    struct dns_addrs a = one_addr();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dns_name *e = dns_cache_get(&cache, STR("a.example"), NOW);
        dns_name_found(e, &a, rows[i].ttl_s, NOW);
        assert_int_equal(dns_name_use(e, NOW + rows[i].want_ms - 1), DNS_USE);
        assert_int_equal(dns_name_use(e, NOW + rows[i].want_ms), DNS_ASK);
    }
}

static void test_names_ignore_case_and_keep_their_entry(void **state)
{
    struct dns_name *e = dns_cache_get(&cache, STR("Api.Example.COM"), NOW);
    char longest[DNS_NAME_MAX + 1];

    (void)state;
    assert_non_null(e);
    assert_string_equal(e->text, "api.example.com");
    assert_ptr_equal(dns_cache_get(&cache, STR("api.example.com"), NOW), e);
    assert_ptr_not_equal(dns_cache_get(&cache, STR("api.example.co"), NOW), e);
    assert_null(dns_cache_get(&cache, STR(""), NOW));
    assert_null(dns_cache_get(&cache, (struct str){"a\0b", 3}, NOW));
    memset(longest, 'a', sizeof longest);
    assert_non_null(dns_cache_get(&cache, (struct str){longest, DNS_NAME_MAX}, NOW));
    assert_null(dns_cache_get(&cache, (struct str){longest, DNS_NAME_MAX + 1}, NOW));
}

static void test_failure_without_an_old_answer_is_short(void **state)
{
    struct dns_name *e = dns_cache_get(&cache, STR("gone.example"), NOW);

    (void)state;
    assert_int_equal(dns_name_use(e, NOW), DNS_ASK);
    dns_name_failed(e, NOW);
    assert_int_equal(dns_name_use(e, NOW + DNS_FAILURE_MS - 1), DNS_FAIL);
    assert_int_equal(dns_name_use(e, NOW + DNS_FAILURE_MS), DNS_ASK);
}

static void test_old_answer_serves_for_an_hour_while_asking_fails(void **state)
{
    struct dns_name *e = dns_cache_get(&cache, STR("a.example"), NOW);
    struct dns_addrs a = one_addr();
    uint64_t old = NOW + 10000;

    (void)state;
    dns_name_found(e, &a, 10, NOW);
    assert_int_equal(dns_name_use(e, old), DNS_ASK);
    assert_true(dns_name_is_stale_ok(e, old));
    dns_name_failed(e, old);
    /* RFC 8767: used at once, and asked again after a while only */
    assert_int_equal(dns_name_use(e, old + DNS_STALE_RECHECK_MS - 1), DNS_USE);
    assert_int_equal(dns_name_use(e, old + DNS_STALE_RECHECK_MS), DNS_ASK);
    assert_true(dns_name_is_stale_ok(e, old + DNS_STALE_MS - 1));
    assert_false(dns_name_is_stale_ok(e, old + DNS_STALE_MS));
    dns_name_failed(e, old + DNS_STALE_MS);
    assert_int_equal(dns_name_use(e, old + DNS_STALE_MS), DNS_FAIL);

    dns_name_found(e, &a, 10, old + DNS_STALE_MS);
    assert_int_equal(dns_name_use(e, old + DNS_STALE_MS + 9999), DNS_USE);
}

static void test_full_cache_forgets_what_is_of_no_use(void **state)
{
    struct dns_addrs a = one_addr();
    char name[32];

    (void)state;
    for (unsigned i = 0; i < DNS_NAMES; i++) {
        int n = snprintf(name, sizeof name, "h%u.example", i);
        struct dns_name *e = dns_cache_get(&cache, (struct str){name, (size_t)n}, NOW);
        assert_non_null(e);
        if (i < 10)
            dns_name_found(e, &a, 60, NOW);
        else
            dns_name_failed(e, NOW);
    }
    assert_null(dns_cache_get(&cache, STR("one.more"), NOW)); /* all are worth keeping */
    assert_non_null(dns_cache_get(&cache, STR("one.more"), NOW + DNS_FAILURE_MS));
    assert_int_equal(cache.n_names, 11);
    assert_int_equal(dns_name_use(dns_cache_get(&cache, STR("h9.example"), NOW), NOW), DNS_USE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_time_to_live_is_bounded),
        TEST(test_names_ignore_case_and_keep_their_entry),
        TEST(test_failure_without_an_old_answer_is_short),
        TEST(test_old_answer_serves_for_an_hour_while_asking_fails),
        TEST(test_full_cache_forgets_what_is_of_no_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
