/* From a name to a connection: addresses, proxies, time limits, and cancelling at every step. */

#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#include "fixture.h"
#include "tests/unit/common/net/fake_dns.h"

static struct fix f;
static struct fake_dns names;
static int listener;
static uint16_t port;

static int setup(void **state)
{
    static const char *const here[] = {"127.0.0.1", NULL};

    (void)state;
    fix_open(&f);
    fake_dns_open(&names, &f.loop);
    names.v4 = here;
    names.ttl_s = 60;
    fix_nameservers = names.server;
    listener = server_listen(&port, 64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    fake_dns_close(&names);
    fix_close(&f);
    return 0;
}

/* A listener on 127.0.0.2 whose queue is full: connects get no answer. */
struct black_hole {
    int listener;
    int filler[4];
};

static void black_hole_open(struct black_hole *b, uint16_t at)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(at), .sin_addr.s_addr = htonl(0x7f000002)};

    b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(b->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(b->listener, 0), 0);
    for (size_t i = 0; i < ARRAY_LEN(b->filler); i++) {
        b->filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(b->filler[i], (struct sockaddr *)&a, sizeof a); /* under way */
    }
}

static void black_hole_close(struct black_hole *b)
{
    for (size_t i = 0; i < ARRAY_LEN(b->filler); i++)
        close(b->filler[i]);
    close(b->listener);
}

static struct origin *origin_at(const char *host, uint32_t flags)
{
    struct fix_origin o = {.host = host, .port = port, .flags = flags};

    fix_adopt(&f, &o, 1);
    return fix_origin(&f, 0);
}

static struct origin *origin_behind_proxy(const char *host, const char *auth)
{
    struct fix_origin o = {.host = host,
                           .port = 443,
                           .proxy_host = "localhost",
                           .proxy_port = port,
                           .proxy_auth = auth};

    fix_adopt(&f, &o, 1);
    return fix_origin(&f, 0);
}

/* Dials and returns how long the outcome took. */
static unsigned dial(struct origin *o, struct seen *s, unsigned deadline_ms)
{
    uint64_t start_ns = clock_mono_ns();

    fix_dial(&f, o, s, deadline_ms);
    fix_until(&f, s->n_got);
    assert_int_equal(f.region->metric[METRIC_UPSTREAM_CONNECTIONS], s->how == POOL_CONNECTED);
    return (unsigned)((clock_mono_ns() - start_ns) / 1000000);
}

/* --- addresses -----------------------------------------------------------------------------------
 */

static void test_closed_port_is_refused(void **state)
{
    struct seen a = {0};

    (void)state;
    close(listener);
    assert_true(dial(origin_at("127.0.0.1", SNAP_ORIGIN_PRIVATE_OK), &a, 5000) < 500);
    assert_int_equal(a.how, POOL_REFUSED);
    listener = server_listen(&port, 64);
}

static void test_forbidden_addresses_are_not_dialled(void **state)
{
    static const char *const metadata[] = {"169.254.169.254", NULL};
    static const struct {
        const char *host;
        uint32_t flags;
    } rows[] = {
        {"127.0.0.1", 0},
        {"10.1.2.3", 0},
        {"::ffff:127.0.0.1", 0},
        {"169.254.169.254", SNAP_ORIGIN_PRIVATE_OK},
        {"rebound.example.test", SNAP_ORIGIN_PRIVATE_OK},
    };

    (void)state;
    names.v4 = metadata;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen a = {0};
        (void)dial(origin_at(rows[i].host, rows[i].flags), &a, 5000);
        assert_int_equal(a.how, POOL_FORBIDDEN);
    }
    assert_true(accept(listener, NULL, NULL) < 0);
}

static void test_forbidden_addresses_of_an_answer_are_skipped(void **state)
{
    static const char *const mixed[] = {"169.254.169.254", "127.0.0.1", NULL};
    struct seen a = {0};

    (void)state;
    names.v4 = mixed;
    fix_connect(&f, origin_at("mixed.example.test", SNAP_ORIGIN_PRIVATE_OK), &a);
    upconn_close(a.c);
    assert_int_equal(f.region->metric[METRIC_DNS_LOOKUPS], 1);
}

static void test_unknown_name_is_told(void **state)
{
    struct seen a = {0};

    (void)state;
    names.mode = FAKE_DNS_NXDOMAIN;
    struct origin *o = origin_at("no.example.test", 0);
    (void)dial(o, &a, 5000);
    assert_int_equal(a.how, POOL_DNS);
    assert_true(dial(o, &a, 5000) < 200); /* remembered */
    assert_int_equal(a.how, POOL_DNS);
}

static void test_next_address_is_tried_and_remembered(void **state)
{
    static const char *const two[] = {"127.0.0.2", "127.0.0.1", NULL};
    struct black_hole hole;
    struct seen a = {0}, b = {0};

    (void)state;
    black_hole_open(&hole, port);
    names.v4 = two;
    struct origin *o = origin_at("two.example.test", SNAP_ORIGIN_PRIVATE_OK);
    uint64_t start_ns = clock_mono_ns();
    fix_connect(&f, o, &a);
    unsigned first_ms = (unsigned)((clock_mono_ns() - start_ns) / 1000000);
    assert_in_range(first_ms, 400, 900); /* half of the second for connecting */
    start_ns = clock_mono_ns();
    fix_connect(&f, o, &b);
    assert_true(clock_mono_ns() - start_ns < 300 * UINT64_C(1000000));
    upconn_close(a.c);
    upconn_close(b.c);
    black_hole_close(&hole);
}

static void test_black_hole_times_out(void **state)
{
    static const char *const dark[] = {"127.0.0.2", NULL};
    struct black_hole hole;
    struct seen a = {0};

    (void)state;
    black_hole_open(&hole, port);
    names.v4 = dark;
    struct origin *o = origin_at("dark.example.test", SNAP_ORIGIN_PRIVATE_OK);
    assert_in_range(dial(o, &a, 5000), 900, 1300); /* the limit for connecting */
    assert_int_equal(a.how, POOL_TIMEOUT);
    assert_in_range(dial(o, &a, 200), 150, 500); /* the exchange's own */
    assert_int_equal(a.how, POOL_TIMEOUT);
    black_hole_close(&hole);
}

/* --- proxies -------------------------------------------------------------------------------------
 */

static void test_tunnel_asks_and_opens(void **state)
{
    static const struct {
        const char *host, *auth, *asks;
    } rows[] = {
        {"api.example.test", NULL,
         "CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test:443\r\n\r\n"},
        {"api.example.test", "Basic dTpw",
         "CONNECT api.example.test:443 HTTP/1.1\r\nHost: api.example.test:443\r\n"
         "Proxy-Authorization: Basic dTpw\r\n\r\n"},
        {"2001:db8::1", NULL,
         "CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"},
    };
    static const char reply[] = "HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen a = {0};
        fix_dial(&f, origin_behind_proxy(rows[i].host, rows[i].auth), &a, 5000);
        int proxy = server_accept(&f, listener);
        server_expect(&f, proxy, rows[i].asks);
        for (size_t at = 0; at + 1 < sizeof reply; at++) { /* one byte at a time */
            assert_int_equal(a.n_got, 0);
            assert_int_equal(write(proxy, reply + at, 1), 1);
            fix_turn(&f);
            fix_turn(&f);
        }
        fix_until(&f, a.n_got);
        assert_int_equal(a.how, POOL_CONNECTED);
        server_send(proxy, "through");
        fix_until(&f, a.n_bytes == 7);
        upconn_close(a.c);
        close(proxy);
        seen_reset(&a);
    }
    assert_int_equal(names.n_v4, 0); /* the proxy resolves */
}

static void test_tunnel_is_refused(void **state)
{
    static const char *const replies[] = {
        "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nunasked",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct seen a = {0};
        fix_dial(&f, origin_behind_proxy("api.example.test", NULL), &a, 5000);
        int proxy = server_accept(&f, listener);
        server_send(proxy, replies[i]);
        fix_until(&f, a.n_got);
        assert_int_equal(a.how, POOL_REFUSED);
        close(proxy);
    }
}

static void test_tunnel_reply_is_bounded(void **state)
{
    struct tunnel t = {.n = 0};
    char line[64];

    (void)state;
    assert_int_equal(tunnel_read(&t, "HTTP/1.1 200 OK\r\n", 17), TUNNEL_MORE);
    memset(line, 'x', sizeof line);
    enum tunnel_got got = TUNNEL_MORE;
    for (size_t i = 0; i < 16 * 1024 / sizeof line && got == TUNNEL_MORE; i++)
        got = tunnel_read(&t, line, sizeof line);
    assert_int_equal(got, TUNNEL_REFUSED);

    /* a CR before the end does not hide it */
    t = (struct tunnel){.n = 0};
    assert_int_equal(tunnel_read(&t, "HTTP/1.0 200 k\r\r\n\r\n", 19), TUNNEL_OPEN);
    t = (struct tunnel){.n = 0};
    assert_int_equal(tunnel_read(&t, "HTTP/1.0 200 k\r\n\r\r\n\r\n", 21), TUNNEL_OPEN);
}

static void test_silent_proxy_times_out_and_a_closed_one_is_refused(void **state)
{
    struct seen a = {0};

    (void)state;
    struct origin *o = origin_behind_proxy("api.example.test", NULL);
    assert_in_range(dial(o, &a, 5000), 900, 1300);
    assert_int_equal(a.how, POOL_TIMEOUT);
    int proxy = server_accept(&f, listener);
    close(proxy);

    fix_dial(&f, o, &a, 5000);
    proxy = server_accept(&f, listener);
    server_send(proxy, "HTTP/1.1 20");
    close(proxy);
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_REFUSED);
}

static void test_proxy_does_not_reach_forbidden_literals(void **state)
{
    struct seen a = {0};

    (void)state;
    (void)dial(origin_behind_proxy("169.254.169.254", NULL), &a, 5000);
    assert_int_equal(a.how, POOL_FORBIDDEN);
    (void)dial(origin_behind_proxy("10.0.0.1", NULL), &a, 5000);
    assert_int_equal(a.how, POOL_FORBIDDEN);
    assert_true(accept(listener, NULL, NULL) < 0);
}

/* --- cancelling ----------------------------------------------------------------------------------
 */

static void cancel_after(struct origin *o, unsigned ms)
{
    struct seen a = {0};

    fix_dial(&f, o, &a, 5000);
    fix_run_ms(&f, ms);
    assert_int_equal(a.n_got, 0);
    pool_cancel(a.wait);
    fix_run_ms(&f, 10);
    assert_int_equal(a.n_got, 0);
    assert_int_equal(f.region->metric[METRIC_UPSTREAM_CONNECTIONS], 0);
}

static void test_cancel_at_every_step(void **state)
{
    static const char *const dark[] = {"127.0.0.2", NULL};
    struct black_hole hole;
    struct seen a = {0}, b = {0};

    (void)state;
    names.mode = FAKE_DNS_SILENT;
    cancel_after(origin_at("slow.example.test", SNAP_ORIGIN_PRIVATE_OK), 20); /* resolving */
    names.mode = FAKE_DNS_ANSWER;
    black_hole_open(&hole, port);
    names.v4 = dark;
    cancel_after(origin_at("dark.example.test", SNAP_ORIGIN_PRIVATE_OK), 20); /* connecting */
    black_hole_close(&hole);
    cancel_after(origin_behind_proxy("api.example.test", NULL), 20); /* tunnel */
    close(server_accept(&f, listener));
    cancel_after(origin_at("127.0.0.1", 0), 0); /* about to be told a failure */

    struct fix_origin one = {
        .host = "127.0.0.1", .port = port, .flags = SNAP_ORIGIN_PRIVATE_OK, .max_connections = 1};
    fix_adopt(&f, &one, 1);
    struct origin *o = fix_origin(&f, 0);
    fix_connect(&f, o, &a);
    struct upconn *c = a.c;
    fix_dial(&f, o, &b, 5000);
    pool_cancel(b.wait); /* queued */
    fix_dial(&f, o, &b, 5000);
    pool_put(c);
    assert_int_equal(c->state, CONN_HANDED);
    pool_cancel(b.wait); /* about to be told of a connection, which goes back */
    assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
    fix_run_ms(&f, 10);
    assert_int_equal(b.n_got, 0);
    upconn_close(c);
}

static void test_dials_of_one_origin_are_bounded(void **state)
{
    static struct seen many[ORIGIN_DIALS + 8];
    unsigned n_got = 0;

    (void)state;
    struct origin *o = origin_behind_proxy("api.example.test", NULL); /* says nothing yet */
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        fix_dial(&f, o, &many[i], 5000);
    assert_int_equal(o->n_dials, ORIGIN_DIALS);
    assert_int_equal(o->n_waiters, 8);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) { /* as places come free, the rest follow */
        int proxy = server_accept(&f, listener);
        server_send(proxy, "HTTP/1.1 200 OK\r\n\r\n");
        fix_turn(&f);
        close(proxy);
    }
    fix_until(&f, o->n_waits == 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        n_got += many[i].how == POOL_CONNECTED;
        upconn_close(many[i].c);
    }
    assert_int_equal(n_got, ARRAY_LEN(many));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_closed_port_is_refused),
        TEST(test_forbidden_addresses_are_not_dialled),
        TEST(test_forbidden_addresses_of_an_answer_are_skipped),
        TEST(test_unknown_name_is_told),
        TEST(test_next_address_is_tried_and_remembered),
        TEST(test_black_hole_times_out),
        TEST(test_tunnel_asks_and_opens),
        TEST(test_tunnel_is_refused),
        TEST(test_tunnel_reply_is_bounded),
        TEST(test_silent_proxy_times_out_and_a_closed_one_is_refused),
        TEST(test_proxy_does_not_reach_forbidden_literals),
        TEST(test_cancel_at_every_step),
        TEST(test_dials_of_one_origin_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
