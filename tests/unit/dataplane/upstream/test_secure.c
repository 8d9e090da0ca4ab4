/* TLS through the pool: handshakes that end in every way, resumed sessions, bytes and their end. */

#include <mbedtls/net_sockets.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#include "fixture.h"
#include "tests/unit/alloc_count.h"
#include "tests/unit/common/net/tls_peer.h"

enum { SECURE = SNAP_ORIGIN_TLS | SNAP_ORIGIN_PRIVATE_OK, BIG = 8 << 20 };

static const mbedtls_ssl_protocol_version versions[] = {MBEDTLS_SSL_VERSION_TLS1_2,
                                                        MBEDTLS_SSL_VERSION_TLS1_3};

static struct fix f;
static struct tls_peer peer;
static mbedtls_net_context net = {-1}; /* the server's end */
static int listener;
static uint16_t port;
static char *ca;

static int setup(void **state)
{
    (void)state;
    fix_open(&f);
    listener = server_listen(&port, 64);
    ca = certs_read("ca.pem");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(ca);
    close(listener);
    fix_close(&f);
    return 0;
}

static struct origin *secure_origin(const char *host, uint32_t flags)
{
    struct fix_origin o = {.host = host, .port = port, .flags = SECURE | flags, .ca = ca};

    fix_adopt(&f, &o, 1);
    return fix_origin(&f, 0);
}

static void peer_begin(int fd)
{
    net.fd = fd;
    tls_peer_begin(&peer, &net, mbedtls_net_send, mbedtls_net_recv);
}

static void peer_accept(void)
{
    peer_begin(server_accept(&f, listener));
}

static bool wants(int rc)
{
    return rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE;
}

/* Dials and does the server's part, again if the client tries again; false when it failed. */
static bool peer_shake_hands(struct origin *o, struct seen *s)
{
    int rc = MBEDTLS_ERR_SSL_WANT_READ;

    fix_dial(&f, o, s, 5000);
    peer_accept();
    while (!s->n_got) {
        int fd = wants(rc) ? -1 : accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            close(net.fd);
            peer_begin(fd);
            rc = MBEDTLS_ERR_SSL_WANT_READ;
        }
        if (wants(rc))
            rc = mbedtls_ssl_handshake(&peer.ssl);
        fix_turn(&f);
    }
    while (s->how == POOL_CONNECTED && wants(rc))
        rc = mbedtls_ssl_handshake(&peer.ssl);
    return rc == 0;
}

static void connect_secure(struct origin *o, struct seen *s)
{
    assert_true(peer_shake_hands(o, s));
    assert_int_equal(s->how, POOL_CONNECTED);
}

static void peer_read(void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        int rc = MBEDTLS_ERR_SSL_WANT_READ;
        fix_until(&f, !wants(rc = mbedtls_ssl_read(&peer.ssl, (unsigned char *)to + at, n - at)));
        assert_true(rc > 0);
        at += (size_t)rc;
    }
}

static void peer_write(const char *text)
{
    assert_int_equal(mbedtls_ssl_write(&peer.ssl, (const unsigned char *)text, strlen(text)),
                     strlen(text));
}

static void peer_hang_up(void)
{
    close(net.fd);
    net.fd = -1;
}

/* --- handshakes ----------------------------------------------------------------------------------
 */

static void test_exchanges_in_both_versions(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1"};
    char got[64];

    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct seen a = {0};
        tls_peer_open(&peer, "good", versions[v], 0);
        struct origin *o = secure_origin(hosts[v], 0);
        connect_secure(o, &a);
        struct upconn *c = a.c;
        for (unsigned i = 0; i < 3; i++) {
            struct upconn_buf b[3] = {{"POST / ", 7}, {"", 0}, {"{\"body\":1}", 10}};
            assert_int_equal(upconn_write(c, b, 3), UPCONN_SENT);
            /* one record, however many pieces: the first read has all of it */
            int rc = 0;
            fix_until(&f, (rc = mbedtls_ssl_read(&peer.ssl, (unsigned char *)got, 64)) > 0);
            assert_int_equal(rc, 17);
            assert_memory_equal(got, "POST / {\"body\":1}", 17);
            peer_write("HTTP/1.1 ");
            peer_write("200 OK");
            fix_until(&f, a.n_bytes == 15);
            assert_string_equal(a.bytes, "HTTP/1.1 200 OK");
            a.n_bytes = 0;
            pool_put(c);
            assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
        }
        assert_int_equal(f.region->metric[METRIC_TLS_HANDSHAKES], v + 1);
        upconn_close(c);
        peer_hang_up();
        tls_peer_close(&peer);
        seen_reset(&a);
    }
}

static void test_bad_certificates_end_the_dial(void **state)
{
    static const char *const certs[] = {"expired", "other", "self", "stranger", "cn"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(certs); i++) {
        struct seen a = {0};
        tls_peer_open(&peer, certs[i], versions[i % 2], 0);
        (void)peer_shake_hands(secure_origin("localhost", 0), &a);
        assert_int_equal(a.how, POOL_TLS);
        peer_hang_up();

        (void)peer_shake_hands(secure_origin("localhost", SNAP_ORIGIN_NO_VERIFY), &a);
        assert_int_equal(a.how, POOL_CONNECTED);
        upconn_close(a.c);
        peer_hang_up();
        tls_peer_close(&peer);
    }
}

static void test_another_authority_is_another_origin(void **state)
{
    struct seen a = {0};

    (void)state;
    tls_peer_open(&peer, "good", versions[1], PEER_TICKETS);
    struct origin *first = secure_origin("localhost", 0);
    connect_secure(first, &a);
    pool_put(a.c);
    free(ca);
    ca = certs_read("strange.pem");
    struct origin *second = secure_origin("localhost", 0);
    assert_ptr_not_equal(first, second);
    assert_null(pool_reuse(f.pool, second, &seen_events, &a)); /* threats T-07 */
    peer_hang_up();
    (void)peer_shake_hands(second, &a);
    assert_int_equal(a.how, POOL_TLS);
    peer_hang_up();
    tls_peer_close(&peer);
}

static void test_sessions_resume_and_tickets_do_not_disturb_idle_connections(void **state)
{
    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct seen a = {0};
        struct upconn *c;

        uint64_t resumed = f.region->metric[METRIC_TLS_RESUMED];
        tls_peer_open(&peer, "good", versions[v], PEER_TICKETS);
        /* origins are told apart by their host: a fresh one for each version */
        struct origin *o = secure_origin(v ? "localhost" : "127.0.0.1", 0);
        fix_dial(&f, o, &a, 5000);
        peer_accept();
        while (!a.n_got) { /* not a step further than the client needs */
            int rc = mbedtls_ssl_is_handshake_over(&peer.ssl)
                         ? 0
                         : mbedtls_ssl_handshake_step(&peer.ssl);
            assert_true(rc == 0 || wants(rc));
            fix_turn(&f);
        }
        c = a.c;
        pool_put(c);
        int rc = MBEDTLS_ERR_SSL_WANT_READ;
        fix_until(&f, mbedtls_ssl_is_handshake_over(&peer.ssl) ||
                          !wants(rc = mbedtls_ssl_handshake(&peer.ssl)));
        fix_until(&f, o->session);
        assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
        upconn_close(c);
        peer_hang_up();

        connect_secure(o, &a);
        assert_int_equal(f.region->metric[METRIC_TLS_RESUMED], resumed + 1);
        upconn_close(a.c);
        peer_hang_up();
        tls_peer_close(&peer);
    }
}

static void test_session_the_server_dislikes_is_given_up(void **state)
{
    struct seen a = {0};

    (void)state;
    tls_peer_open(&peer, "good", versions[0], PEER_TICKETS);
    struct origin *o = secure_origin("localhost", 0);
    connect_secure(o, &a);
    assert_non_null(o->session);
    upconn_close(a.c);
    peer_hang_up();
    tls_peer_close(&peer);

    tls_peer_open(&peer, "good", versions[1], 0); /* the session's version is gone */
    connect_secure(o, &a);
    assert_null(o->session);
    upconn_close(a.c);
    peer_hang_up();
    tls_peer_close(&peer);
}

static void test_handshake_ends_in_every_way(void **state)
{
    struct seen a = {0};

    (void)state;
    fix_tls_ms = 300;
    struct origin *o = secure_origin("localhost", 0);

    fix_dial(&f, o, &a, 5000); /* a server that says nothing */
    int fd = server_accept(&f, listener);
    uint64_t start_ns = clock_mono_ns();
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_TIMEOUT);
    assert_in_range((clock_mono_ns() - start_ns) / 1000000, 200, 600);
    close(fd);

    fix_dial(&f, o, &a, 5000); /* that goes */
    fd = server_accept(&f, listener);
    fix_run_ms(&f, 20);
    close(fd);
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_REFUSED);

    fix_dial(&f, o, &a, 5000); /* that speaks something else */
    fd = server_accept(&f, listener);
    server_send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n");
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_TLS);
    close(fd);

    fix_dial(&f, o, &a, 5000); /* an exchange that does not wait */
    fd = server_accept(&f, listener);
    fix_run_ms(&f, 20);
    pool_cancel(a.wait);
    fix_run_ms(&f, 20);
    assert_int_equal(a.n_got, 0);
    close(fd);
    assert_int_equal(f.region->metric[METRIC_UPSTREAM_CONNECTIONS], 0);

    tls_peer_open(&peer, "good", versions[1], 0); /* killed in the middle */
    fix_dial(&f, o, &a, 5000);
    peer_accept();
    for (unsigned i = 0; i < 4; i++) {
        (void)mbedtls_ssl_handshake_step(&peer.ssl);
        fix_turn(&f);
    }
    peer_hang_up();
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_REFUSED);
    tls_peer_close(&peer);
}

static void test_handshake_inside_a_tunnel(void **state)
{
    struct fix_origin row = {.host = "localhost",
                             .port = 443,
                             .flags = SECURE,
                             .ca = ca,
                             .proxy_host = "127.0.0.1",
                             .proxy_port = port};
    struct seen a = {0};
    char got[8];

    (void)state;
    tls_peer_open(&peer, "good", versions[1], 0);
    fix_adopt(&f, &row, 1);
    fix_dial(&f, fix_origin(&f, 0), &a, 5000);
    peer_accept();
    server_expect(&f, net.fd, "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n");
    server_send(net.fd, "HTTP/1.1 200 OK\r\n\r\n");
    int rc = MBEDTLS_ERR_SSL_WANT_READ;
    fix_until(&f, !wants(rc = mbedtls_ssl_handshake(&peer.ssl)));
    assert_int_equal(rc, 0);
    assert_string_equal(peer.sni, "localhost");
    fix_until(&f, a.n_got);
    assert_int_equal(a.how, POOL_CONNECTED);
    struct upconn_buf b = {"inside", 6};
    assert_int_equal(upconn_write(a.c, &b, 1), UPCONN_SENT);
    peer_read(got, 6);
    assert_memory_equal(got, "inside", 6);
    upconn_close(a.c);
    peer_hang_up();
    tls_peer_close(&peer);
}

/* --- bytes and their end -------------------------------------------------------------------------
 */

static void test_end_without_close_notify_is_truncation(void **state)
{
    (void)state;
    tls_peer_open(&peer, "good", versions[1], 0);
    struct origin *o = secure_origin("localhost", 0);
    for (unsigned is_announced = 0; is_announced < 2; is_announced++) {
        struct seen a = {0};
        connect_secure(o, &a);
        peer_write("all");
        if (is_announced)
            assert_int_equal(mbedtls_ssl_close_notify(&peer.ssl), 0);
        peer_hang_up();
        fix_until(&f, a.n_end);
        assert_string_equal(a.bytes, "all");
        assert_int_equal(a.why, is_announced ? ERRC_CLOSED : ERRC_PROTO);
        fix_run_ms(&f, 10);
        assert_int_equal(a.n_end, 1);
        upconn_close(a.c);
        seen_reset(&a);
    }
    tls_peer_close(&peer);
}

static void test_idle_connection_goes_when_the_peer_says_anything(void **state)
{
    (void)state;
    tls_peer_open(&peer, "good", versions[1], 0);
    struct origin *o = secure_origin("localhost", 0);
    for (unsigned i = 0; i < 3; i++) {
        struct seen a = {0};
        connect_secure(o, &a);
        pool_put(a.c);
        if (i == 0)
            peer_write("unasked");
        else if (i == 1)
            (void)mbedtls_ssl_close_notify(&peer.ssl);
        else
            server_send(net.fd, "garbage");
        fix_until(&f, f.region->metric[METRIC_UPSTREAM_CONNECTIONS] == 0);
        assert_int_equal(a.n_bytes + a.n_end, 0);
        peer_hang_up();
    }
    tls_peer_close(&peer);
}

static void test_large_body_leaves_in_pieces(void **state)
{
    char *body = malloc(BIG), *got = malloc(BIG);

    (void)state;
    for (size_t i = 0; i < BIG; i++)
        body[i] = (char)(i * 2654435761u >> 24);
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct seen a = {0};
        size_t n = 0;
        struct upconn_buf b[4] = {
            {body, 100}, {body + 100, 0}, {body + 100, 20000}, {body + 20100, BIG - 20100}};

        tls_peer_open(&peer, "good", versions[v], 0);
        struct origin *o = secure_origin("localhost", 0);
        connect_secure(o, &a);
        assert_int_equal(upconn_write(a.c, b, 4), UPCONN_QUEUED);
        memset(got, 0, BIG);
        while (n < BIG) {
            int rc = mbedtls_ssl_read(&peer.ssl, (unsigned char *)got + n, BIG - n);
            assert_true(rc > 0 || wants(rc));
            n += rc > 0 ? (size_t)rc : 0;
            (void)uv_run(&f.loop, UV_RUN_NOWAIT);
        }
        assert_memory_equal(body, got, BIG);
        fix_until(&f, a.n_flushed);
        assert_int_equal(f.pool->outs.n_lent, 0);

        assert_int_equal(upconn_write(a.c, b, 4), UPCONN_QUEUED);
        fix_turn(&f);
        upconn_close(a.c); /* with most of it not sent */
        fix_run_ms(&f, 20);
        assert_int_equal(a.n_flushed, 1);
        assert_int_equal(f.pool->outs.n_lent, 0);
        peer_hang_up();
        tls_peer_close(&peer);
    }
    free(body);
    free(got);
}

static void test_paused_connection_reads_nothing(void **state)
{
    struct seen a = {0};

    (void)state;
    tls_peer_open(&peer, "good", versions[1], 0);
    connect_secure(secure_origin("localhost", 0), &a);
    upconn_pause(a.c);
    peer_write("held");
    fix_run_ms(&f, 30);
    assert_int_equal(a.n_bytes, 0);
    upconn_resume(a.c);
    fix_until(&f, a.n_bytes == 4);
    upconn_close(a.c);
    peer_hang_up();
    tls_peer_close(&peer);
    seen_reset(&a);
}

static void test_steady_state_allocates_nothing(void **state)
{
    struct upconn_buf b[2] = {{"head", 4}, {"body", 4}};
    unsigned char got[16];

    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct seen a = {0};
        tls_peer_open(&peer, "good", versions[v], 0);
        struct origin *o = secure_origin("localhost", 0);
        connect_secure(o, &a);
        struct upconn *c = a.c;
        for (unsigned i = 0; i < 1010; i++) {
            if (i == 10)
                alloc_count_start();
            c->requests = 1; /* stays young */
            pool_put(c);
            assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
            assert_int_equal(upconn_write(c, b, 2), UPCONN_SENT);
            while (mbedtls_ssl_read(&peer.ssl, got, sizeof got) != 8)
                ;
            assert_int_equal(mbedtls_ssl_write(&peer.ssl, got, 2), 2);
            a.n_bytes = 0;
            size_t before = alloc_count;
            while (a.n_bytes == 0)
                (void)uv_run(&f.loop, UV_RUN_ONCE);
            alloc_count -= MIN(alloc_count - before, 1); /* the realloc of seen_on_read() */
        }
        assert_int_equal(alloc_count, 0);
        upconn_close(c);
        peer_hang_up();
        tls_peer_close(&peer);
        seen_reset(&a);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_exchanges_in_both_versions),
        TEST(test_bad_certificates_end_the_dial),
        TEST(test_another_authority_is_another_origin),
        TEST(test_sessions_resume_and_tickets_do_not_disturb_idle_connections),
        TEST(test_session_the_server_dislikes_is_given_up),
        TEST(test_handshake_ends_in_every_way),
        TEST(test_handshake_inside_a_tunnel),
        TEST(test_end_without_close_notify_is_truncation),
        TEST(test_idle_connection_goes_when_the_peer_says_anything),
        TEST(test_large_body_leaves_in_pieces),
        TEST(test_paused_connection_reads_nothing),
        TEST(test_steady_state_allocates_nothing),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    certs_remove();
    return failed;
}
