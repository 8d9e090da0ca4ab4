/* The client's TLS against a server in memory: whom it trusts, what it resumes, how it ends. */

#include "common/net/tls.h"

#include "tests/unit/alloc_count.h"
#include "tests/unit/test.h"
#include "tls_peer.h"

enum { QUEUE = 1 << 20 };
#define V12 MBEDTLS_SSL_VERSION_TLS1_2
#define V13 MBEDTLS_SSL_VERSION_TLS1_3

static const mbedtls_ssl_protocol_version versions[] = {V12, V13};

/* The two directions between client and server. */
struct queue {
    char bytes[QUEUE];
    size_t from, to;
};

static struct queue to_server, to_client;
static struct tls_peer peer;
static struct tls *tls;
static struct tls_trust *trust;
static size_t step; /* bytes the client is given at a time */

static int peer_on_send(void *ctx, const unsigned char *p, size_t n)
{
    (void)ctx;
    assert_true(to_client.to + n <= QUEUE);
    memcpy(to_client.bytes + to_client.to, p, n);
    to_client.to += n;
    return (int)n;
}

static int peer_on_recv(void *ctx, unsigned char *p, size_t n)
{
    (void)ctx;
    n = MIN(n, to_server.to - to_server.from);
    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    memcpy(p, to_server.bytes + to_server.from, n);
    to_server.from += n;
    return (int)n;
}

static struct tls_trust *trust_of(const char *file)
{
    struct tls_trust *t = NULL;
    struct err e;
    char *pem = certs_read(file);

    assert_int_equal(tls_trust_new(&t, str_of(pem), false, &e), ERRC_OK);
    free(pem);
    return t;
}

static int setup(void **state)
{
    (void)state;
    step = SIZE_MAX;
    trust = trust_of("ca.pem");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tls = tls_free(tls);
    trust = tls_trust_unref(trust);
    return 0;
}

static void client_begin(const char *host, const struct tls_session *resume)
{
    struct err e;

    tls = tls_free(tls);
    to_server.from = to_server.to = to_client.from = to_client.to = 0;
    tls_peer_begin(&peer, NULL, peer_on_send, peer_on_recv);
    assert_int_equal(tls_new(&tls, trust, str_of(host), resume, &e), ERRC_OK);
}

static struct tls_io client_io(size_t in_n)
{
    return (struct tls_io){
        .in = to_client.bytes + to_client.from,
        .in_n = in_n,
        .out = to_server.bytes + to_server.to,
        .out_cap = QUEUE - to_server.to,
    };
}

/* What one step of the client used and made. */
static void client_took(const struct tls_io *io)
{
    to_client.from = (size_t)(io->in - to_client.bytes);
    to_server.to += io->out_n;
}

/* Both sides to the end of the handshake, or the client's failure. */
static enum tls_got handshake(void)
{
    enum tls_got got = TLS_MORE;
    int server = MBEDTLS_ERR_SSL_WANT_READ;

    for (unsigned i = 0; i < 100000 && got == TLS_MORE; i++) {
        struct tls_io io = client_io(MIN(step, to_client.to - to_client.from));
        got = tls_handshake(tls, &io);
        client_took(&io);
        if (server == MBEDTLS_ERR_SSL_WANT_READ && to_client.from == to_client.to)
            server = mbedtls_ssl_handshake(&peer.ssl);
    }
    while (got == TLS_READY && server == MBEDTLS_ERR_SSL_WANT_READ)
        server = mbedtls_ssl_handshake(&peer.ssl);
    if (got == TLS_READY)
        assert_int_equal(server, 0);
    return got;
}

static char plain[QUEUE + TLS_RECORD];

/* Decrypts what the server sent into `plain`; *ret_n bytes in all. */
static enum tls_got receive(size_t *ret_n)
{
    enum tls_got got = TLS_MORE;

    *ret_n = 0;
    while (got == TLS_MORE && to_client.from < to_client.to) {
        struct tls_io io = client_io(MIN(step, to_client.to - to_client.from));
        size_t n;
        got = tls_read(tls, &io, plain + *ret_n, sizeof plain - *ret_n, &n);
        client_took(&io);
        *ret_n += n;
        if (got == TLS_MORE)
            assert_int_equal(io.in_n, 0);
    }
    return got;
}

static void client_send(const char *p, size_t n)
{
    struct tls_io io = client_io(0);

    if (!tls_write(tls, &io, p, n)) {
        struct err e;
        (void)tls_explain(tls, &e);
        fail_msg("%zu bytes: %s", n, e.msg);
    }
    client_took(&io);
}

/* --- whom it trusts ------------------------------------------------------------------------------
 */

static void test_good_servers_are_accepted_in_both_versions(void **state)
{
    static const char *const certs[] = {"good", "rsa", "chain"};
    static const size_t steps[] = {SIZE_MAX, 1, 100};

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(certs); c++) {
        for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
            tls_peer_open(&peer, certs[c], versions[v], 0);
            for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
                step = steps[i];
                client_begin("localhost", NULL);
                assert_int_equal(handshake(), TLS_READY);
                assert_string_equal(tls_version(tls), versions[v] == V12 ? "TLSv1.2" : "TLSv1.3");
                assert_string_equal(mbedtls_ssl_get_alpn_protocol(&peer.ssl), "http/1.1");
                assert_string_equal(peer.sni, "localhost");
                assert_false(tls_was_resumed(tls));
            }
            tls_peer_close(&peer);
        }
    }
}

static void test_bad_certificates_are_refused_with_the_reason(void **state)
{
    static const struct {
        const char *cert, *why;
    } rows[] = {
        {"other", "Common Name (CN)"}, /* the library's words for any name */
        {"cn", "Common Name (CN)"},
        {"expired", "expired"},
        {"future", "future"},
        {"self", "not correctly signed"},
        {"stranger", "not correctly signed"},
        {"weak", "unacceptable key"},
        {"noca", "not correctly signed"},
    };

    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(rows); c++) {
        for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
            struct err e = {0};
            tls_peer_open(&peer, rows[c].cert, versions[v], 0);
            client_begin("localhost", NULL);
            if (handshake() != TLS_FAILED)
                fail_msg("%s was accepted", rows[c].cert);
            assert_int_equal(tls_explain(tls, &e), ERRC_PROTO);
            if (!strstr(e.msg, rows[c].why))
                fail_msg("%s: %s", rows[c].cert, e.msg);
            tls_peer_close(&peer);
        }
    }
}

static void test_names_match_as_the_rules_say(void **state)
{
    static const struct {
        const char *cert, *host;
        bool ok;
        const char *sni;
    } rows[] = {
        {"good", "localhost", true, "localhost"},
        {"good", "LOCALHOST", true, "LOCALHOST"},
        {"good", "127.0.0.1", true, ""},
        {"good", "::1", true, ""},
        {"good", "[::1]", true, ""},
        {"good", "a.wild.example", true, "a.wild.example"},
        {"good", "a.b.wild.example", false, NULL},
        {"good", "wild.example", false, NULL},
        {"good", ".wild.example", false, NULL},
        {"good", "127.0.0.2", false, NULL},
        {"good", "::2", false, NULL},
        {"good", "localhost.evil", false, NULL},
        {"good", "ocalhost", false, NULL},
        {"cn", "localhost", false, NULL},
        {"cn", "127.0.0.1", false, NULL},
        {"other", "127.0.0.1", false, NULL},
        {"other", "elsewhere.example", true, "elsewhere.example"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        tls_peer_open(&peer, rows[i].cert, V13, 0);
        client_begin(rows[i].host, NULL);
        if ((handshake() == TLS_READY) != rows[i].ok)
            fail_msg("%s for %s", rows[i].cert, rows[i].host);
        if (rows[i].sni)
            assert_string_equal(peer.sni, rows[i].sni);
        tls_peer_close(&peer);
    }
}

static void test_wrong_or_no_authority_trusts_nobody(void **state)
{
    struct err e;

    (void)state;
    tls_peer_open(&peer, "good", V13, 0);
    trust = tls_trust_unref(trust);
    trust = trust_of("strange.pem");
    client_begin("localhost", NULL);
    assert_int_equal(handshake(), TLS_FAILED);
    tls = tls_free(tls);

    trust = tls_trust_unref(trust);
    assert_int_equal(tls_trust_new(&trust, STR(""), false, &e), ERRC_OK);
    client_begin("localhost", NULL);
    assert_int_equal(handshake(), TLS_FAILED);
    tls_peer_close(&peer);
}

static void test_unverified_accepts_whatever_comes(void **state)
{
    static const char *const certs[] = {"expired", "other", "self", "stranger"};
    struct err e;

    (void)state;
    trust = tls_trust_unref(trust);
    assert_int_equal(tls_trust_new(&trust, STR(""), true, &e), ERRC_OK);
    for (size_t c = 0; c < ARRAY_LEN(certs); c++) {
        for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
            tls_peer_open(&peer, certs[c], versions[v], 0);
            client_begin(v ? "127.0.0.1" : "localhost", NULL);
            assert_int_equal(handshake(), TLS_READY);
            tls_peer_close(&peer);
        }
    }
}

static void test_authorities_are_known_by_their_bytes(void **state)
{
    struct tls_trust_id a, b;
    struct err e;
    char *pem = certs_read("ca.pem");
    struct tls_trust *none = NULL;

    (void)state;
    tls_trust_identify(&a, str_of(pem), false);
    assert_true(tls_trust_is(trust, &a));
    pem[strlen(pem) - 1] = ' ';
    tls_trust_identify(&b, str_of(pem), false);
    assert_false(tls_trust_is(trust, &b));
    tls_trust_identify(&b, str_of(pem), true);
    assert_false(tls_trust_is(trust, &b));
    assert_int_equal(tls_trust_new(&none, STR("no certificate"), false, &e), ERRC_INVALID);
    assert_null(none);
    free(pem);
}

static void test_weak_servers_are_refused(void **state)
{
    static const int cbc[] = {MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, 0};
    static const int no_secrecy[] = {MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, 0};

    (void)state;
    tls_peer_open(&peer, "good", V12, 0);
    mbedtls_ssl_conf_ciphersuites(&peer.config, cbc);
    client_begin("localhost", NULL);
    for (unsigned i = 0; i < 3; i++) { /* the server finds no common suite and says so */
        struct tls_io io = client_io(to_client.to - to_client.from);
        enum tls_got got = tls_handshake(tls, &io);
        client_took(&io);
        assert_int_equal(got, i == 0 ? TLS_MORE : TLS_FAILED);
        if (got == TLS_FAILED)
            break;
        assert_true(mbedtls_ssl_handshake(&peer.ssl) < 0);
    }
    tls_peer_close(&peer);

    tls_peer_open(&peer, "rsa", V12, 0);
    mbedtls_ssl_conf_ciphersuites(&peer.config, no_secrecy);
    client_begin("localhost", NULL);
    struct tls_io io = client_io(0);
    assert_int_equal(tls_handshake(tls, &io), TLS_MORE);
    client_took(&io);
    assert_true(mbedtls_ssl_handshake(&peer.ssl) != MBEDTLS_ERR_SSL_WANT_READ);
    tls_peer_close(&peer);
}

/* --- what it resumes -----------------------------------------------------------------------------
 */

static void test_sessions_are_resumed_in_both_versions(void **state)
{
    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        struct tls_session *session = NULL;
        size_t n;

        tls_peer_open(&peer, "good", versions[v], PEER_TICKETS);
        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        assert_int_equal(receive(&n), TLS_MORE); /* in TLS 1.3 the ticket */
        assert_int_equal(n, 0);
        if (!tls_has_session(tls))
            fail_msg("no session in %s", tls_version(tls));
        assert_false(tls_has_session(tls));
        tls_session_save(tls, &session);
        assert_non_null(session);

        for (unsigned i = 0; i < 2; i++) { /* more than once */
            client_begin("localhost", session);
            assert_int_equal(handshake(), TLS_READY);
            assert_true(tls_was_resumed(tls));
            client_send("x", 1);
            unsigned char byte;
            assert_int_equal(mbedtls_ssl_read(&peer.ssl, &byte, 1), 1);
        }
        tls_peer_close(&peer);

        /* a server that does not know it: in full, and verified */
        tls_peer_open(&peer, "good", versions[v], PEER_TICKETS);
        client_begin("localhost", session);
        assert_int_equal(handshake(), TLS_READY);
        assert_false(tls_was_resumed(tls));
        tls_peer_close(&peer);
        tls_peer_open(&peer, "expired", versions[v], PEER_TICKETS);
        client_begin("localhost", session);
        assert_int_equal(handshake(), TLS_FAILED);
        tls_peer_close(&peer);
        session = tls_session_free(session);
    }
}

/* --- what it carries -----------------------------------------------------------------------------
 */

static void test_bytes_go_both_ways_however_they_are_cut(void **state)
{
    static const size_t steps[] = {SIZE_MAX, 1, 777, 16384};
    enum { N = 50000 };
    unsigned char *data = malloc(N), *got = malloc(N);

    (void)state;
    for (size_t i = 0; i < N; i++)
        data[i] = (unsigned char)(i * 2654435761u >> 24);
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        tls_peer_open(&peer, "good", versions[v], 0);
        for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
            step = steps[s];
            client_begin("localhost", NULL);
            assert_int_equal(handshake(), TLS_READY);

            size_t at = 0;
            for (size_t n; at < N; at += n) {
                n = MIN((size_t)TLS_PIECE, N - at);
                size_t before = to_server.to;
                client_send((char *)data + at, n);
                assert_true(to_server.to - before <= TLS_RECORD_MAX);
            }
            for (at = 0; at < N;) {
                int n = mbedtls_ssl_read(&peer.ssl, got + at, N - at);
                assert_true(n > 0);
                at += (size_t)n;
            }
            assert_memory_equal(got, data, N);

            for (at = 0; at < N;) {
                int n = mbedtls_ssl_write(&peer.ssl, data + at, N - at);
                assert_true(n > 0);
                at += (size_t)n;
            }
            assert_int_equal(receive(&at), TLS_MORE);
            assert_int_equal(at, N);
            assert_memory_equal(plain, data, N);
        }
        tls_peer_close(&peer);
    }
    free(data);
    free(got);
}

static void test_ends_are_told_apart(void **state)
{
    size_t n;

    (void)state;
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        tls_peer_open(&peer, "good", versions[v], 0);
        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        assert_int_equal(mbedtls_ssl_write(&peer.ssl, (const unsigned char *)"bye", 3), 3);
        assert_int_equal(mbedtls_ssl_close_notify(&peer.ssl), 0);
        assert_int_equal(receive(&n), TLS_CLOSED);
        assert_int_equal(n, 3);

        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        assert_int_equal(mbedtls_ssl_write(&peer.ssl, (const unsigned char *)"fine", 4), 4);
        assert_int_equal(mbedtls_ssl_write(&peer.ssl, (const unsigned char *)"foul", 4), 4);
        to_client.bytes[to_client.to - 1] ^= 1; /* on the way */
        assert_int_equal(receive(&n), TLS_FAILED);
        assert_int_equal(n, 4);

        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        assert_int_equal(peer_on_send(NULL, (const unsigned char *)"HTTP/1.1 400 Bad", 16), 16);
        assert_int_equal(receive(&n), TLS_FAILED);

        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        struct tls_io io = client_io(0);
        tls_end(tls, &io);
        client_took(&io);
        unsigned char byte;
        assert_int_equal(mbedtls_ssl_read(&peer.ssl, &byte, 1), MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY);
        tls_peer_close(&peer);
    }
}

static void test_records_allocate_nothing(void **state)
{
    char small[300];
    size_t n;

    (void)state;
    memset(small, 'x', sizeof small);
    for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
        tls_peer_open(&peer, "good", versions[v], 0);
        client_begin("localhost", NULL);
        assert_int_equal(handshake(), TLS_READY);
        for (unsigned i = 0; i < 1000; i++)
            assert_int_equal(mbedtls_ssl_write(&peer.ssl, (unsigned char *)small, sizeof small),
                             sizeof small);
        alloc_count_start();
        assert_int_equal(receive(&n), TLS_MORE);
        for (unsigned i = 0; i < 1000; i++)
            client_send(small, sizeof small);
        size_t count = alloc_count;
        assert_int_equal(n, 1000 * sizeof small);
        assert_int_equal(count, 0);
        tls_peer_close(&peer);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_good_servers_are_accepted_in_both_versions),
        TEST(test_bad_certificates_are_refused_with_the_reason),
        TEST(test_names_match_as_the_rules_say),
        TEST(test_wrong_or_no_authority_trusts_nobody),
        TEST(test_unverified_accepts_whatever_comes),
        TEST(test_authorities_are_known_by_their_bytes),
        TEST(test_weak_servers_are_refused),
        TEST(test_sessions_are_resumed_in_both_versions),
        TEST(test_bytes_go_both_ways_however_they_are_cut),
        TEST(test_ends_are_told_apart),
        TEST(test_records_allocate_nothing),
    };

    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    certs_remove();
    return failed;
}
