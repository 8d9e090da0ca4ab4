/* The resolver on a loop, against a name server the test plays. */

#include "common/clock.h"
#include "common/net/dns.h"

#include "fake_dns.h"
#include "tests/unit/test.h"

static uv_loop_t loop;
static struct fake_dns server;
static struct dns *dns;
static uint64_t lookups;

struct asked {
    struct dns_wait wait;
    unsigned n_answers;
    struct dns_addrs addrs; /* n 0: failed */
};

static void on_got(struct dns_wait *w, const struct dns_addrs *addrs)
{
    struct asked *a = container_of(w, struct asked, wait);

    a->n_answers++;
    a->addrs = addrs ? *addrs : (struct dns_addrs){.n = 0};
}

static int setup(void **state)
{
    static const char *const v4[] = {"192.0.2.1", NULL};
    struct err e;

    (void)state;
    lookups = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    fake_dns_open(&server, &loop);
    server.v4 = v4;
    server.ttl_s = 60;
    struct dns_config cfg = {.nameservers = server.server};
    assert_int_equal(dns_new(&dns, &loop, &cfg, &lookups, &e), ERRC_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dns_close(dns);
    fake_dns_close(&server);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static enum dns_got ask(struct asked *a, const char *host)
{
    *a = (struct asked){.wait.cb = on_got};
    uv_update_time(&loop);
    enum dns_got got = dns_get(dns, str_of(host), &a->addrs, &a->wait);
    assert_int_equal(a->n_answers, 0);
    return got;
}

/* Runs until answered; returns how long it took. */
static unsigned await(struct asked *a)
{
    uint64_t start_ns = clock_mono_ns();

    while (a->n_answers == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return (unsigned)((clock_mono_ns() - start_ns) / 1000000);
}

static void on_late(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/*
 * The same, when the resolver's own timer must have answered `ms` after now. Timers of a loop fire
 * in the order they are due, so a machine that is busy meanwhile makes no difference.
 */
static unsigned await_within(struct asked *a, unsigned ms)
{
    static uv_timer_t timer; /* closes after the function */
    bool is_late = false;

    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    timer.data = &is_late;
    assert_int_equal(uv_timer_start(&timer, on_late, ms + 200, 0), 0); /* it looks so often */
    unsigned took_ms = await(a);
    assert_false(is_late);
    uv_close((uv_handle_t *)&timer, NULL);
    return took_ms;
}

static void run_ms(unsigned ms)
{
    uint64_t end_ns = clock_mono_ns() + ms * UINT64_C(1000000);

    while (clock_mono_ns() < end_ns) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        uv_sleep(2);
    }
}

static void assert_addr(const struct dns_addrs *a, unsigned i, const char *want)
{
    char text[ADDR_TEXT];

    assert_true(i < a->n);
    addr_put(&a->addr[i], text);
    assert_string_equal(text, want);
}

static void test_numeric_hosts_need_no_server(void **state)
{
    struct asked a;

    (void)state;
    assert_int_equal(ask(&a, "203.0.113.9"), DNS_FOUND);
    assert_addr(&a.addrs, 0, "203.0.113.9");
    assert_int_equal(ask(&a, "[2001:db8::9]"), DNS_FOUND);
    assert_addr(&a.addrs, 0, "2001:db8::9");
    assert_int_equal(lookups, 0);
}

static void test_answer_is_cached_and_asked_for_once(void **state)
{
    static const char *const v6[] = {"2001:db8::1", NULL};
    struct asked a, b;

    (void)state;
    server.v6 = v6;
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    assert_int_equal(ask(&b, "API.example.test"), DNS_LATER);
    (void)await(&a);
    (void)await(&b);
    assert_int_equal(a.addrs.n, 2);
    assert_int_equal(b.addrs.n, 2);
    assert_int_equal(server.n_v4 + server.n_v6, 2);
    assert_int_equal(ask(&a, "api.example.test"), DNS_FOUND);
    assert_int_equal(a.addrs.n, 2);
    assert_int_equal(server.n_v4 + server.n_v6, 2);
    assert_int_equal(lookups, 1);
}

static void test_at_most_16_addresses(void **state)
{
    static char text[40][16];
    static const char *rows[41];
    struct asked a;

    (void)state;
    for (unsigned i = 0; i < 25; i++) {
        (void)snprintf(text[i], sizeof text[i], "192.0.2.%u", i + 1);
        rows[i] = text[i];
    }
    server.v4 = rows;
    assert_int_equal(ask(&a, "many.example.test"), DNS_LATER);
    (void)await(&a);
    assert_int_equal(a.addrs.n, DNS_ADDRS);
}

static void test_ipv4_only_asks_for_nothing_else(void **state)
{
    struct dns_config cfg = {.nameservers = server.server, .is_ipv4_only = true};
    struct asked a;

    (void)state;
    assert_int_equal(dns_configure(dns, &cfg, NULL), ERRC_OK);
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    (void)await(&a);
    assert_addr(&a.addrs, 0, "192.0.2.1");
    assert_int_equal(server.n_v6, 0);
}

static void test_unknown_name_fails_and_is_remembered(void **state)
{
    struct asked a;

    (void)state;
    server.mode = FAKE_DNS_NXDOMAIN;
    assert_int_equal(ask(&a, "no.example.test"), DNS_LATER);
    (void)await(&a);
    assert_int_equal(a.addrs.n, 0);
    unsigned asked = server.n_v4;
    assert_int_equal(ask(&a, "no.example.test"), DNS_NONE);
    assert_int_equal(server.n_v4, asked);
}

static void test_silent_server_fails_within_three_seconds(void **state)
{
    struct asked a, b;

    (void)state;
    server.mode = FAKE_DNS_SILENT;
    assert_int_equal(ask(&a, "slow.example.test"), DNS_LATER);
    assert_int_equal(ask(&b, "slow.example.test"), DNS_LATER);
    dns_cancel(&b.wait);
    assert_true(await_within(&a, DNS_LIMIT_MS) >= 1000);
    assert_int_equal(a.addrs.n, 0);
    assert_int_equal(b.n_answers, 0);
}

static void test_old_answer_serves_when_the_server_is_gone(void **state)
{
    struct asked a;

    (void)state;
    server.ttl_s = 1;
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    (void)await(&a);
    server.mode = FAKE_DNS_SILENT;
    run_ms(DNS_TTL_MIN_MS + 50);
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    assert_true(await_within(&a, DNS_PATIENCE_MS) >= DNS_PATIENCE_MS - 100);
    assert_addr(&a.addrs, 0, "192.0.2.1");
    assert_int_equal(ask(&a, "api.example.test"), DNS_FOUND); /* without waiting again */
}

static void test_new_servers_answer_what_the_old_ones_did_not(void **state)
{
    static struct fake_dns second; /* closes after the function */
    struct asked a, b;

    (void)state;
    fake_dns_open(&second, &loop);
    second.v4 = server.v4;
    server.mode = FAKE_DNS_SILENT;
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    assert_int_equal(ask(&b, "left.example.test"), DNS_LATER);
    dns_cancel(&b.wait);
    run_ms(20);
    struct dns_config cfg = {.nameservers = second.server};
    assert_int_equal(dns_configure(dns, &cfg, NULL), ERRC_OK);
    (void)await(&a);
    assert_addr(&a.addrs, 0, "192.0.2.1");
    assert_int_equal(second.n_v4, 1); /* nobody waited for the other name */
    assert_int_equal(b.n_answers, 0);

    struct dns_config bad = {.nameservers = "not an address"};
    assert_int_equal(dns_configure(dns, &bad, NULL), ERRC_INVALID);
    assert_int_equal(ask(&a, "api.example.test"), DNS_FOUND);
    fake_dns_close(&second);
}

static void test_closes_with_a_query_under_way(void **state)
{
    struct asked a;

    (void)state;
    server.mode = FAKE_DNS_SILENT;
    assert_int_equal(ask(&a, "api.example.test"), DNS_LATER);
    dns_cancel(&a.wait);
    run_ms(5);
}

static void test_hosts_file_is_honoured(void **state)
{
    struct asked a;

    (void)state;
    if (ask(&a, "localhost") == DNS_LATER)
        (void)await(&a);
    assert_true(a.addrs.n > 0);
    assert_int_equal(addr_reach(&a.addrs.addr[0]), ADDR_PRIVATE);
    assert_int_equal(server.n_v4 + server.n_v6, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_numeric_hosts_need_no_server),
        TEST(test_answer_is_cached_and_asked_for_once),
        TEST(test_at_most_16_addresses),
        TEST(test_ipv4_only_asks_for_nothing_else),
        TEST(test_unknown_name_fails_and_is_remembered),
        TEST(test_silent_server_fails_within_three_seconds),
        TEST(test_old_answer_serves_when_the_server_is_gone),
        TEST(test_new_servers_answer_what_the_old_ones_did_not),
        TEST(test_closes_with_a_query_under_way),
        TEST(test_hosts_file_is_honoured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
