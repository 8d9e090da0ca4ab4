/*
 * mbedTLS 3.6 behind tls.h.
 *
 * The BIO callbacks move bytes between struct tls_io and the library's record buffers, so a
 * record is copied once on its way in and once on its way out and no call blocks.
 */

#include <mbedtls/asn1.h>
#include <mbedtls/error.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>

#include "common/clock.h"
#include "common/net/addr.h"
#include "common/net/tls_priv.h"

enum { HOST_MAX = 253 };
static const uint64_t SESSION_MAX_NS = UINT64_C(24) * 3600 * 1000000000;

struct tls_trust {
    unsigned refs;
    bool is_unverified;
    struct tls_trust_id id;
    mbedtls_x509_crt authorities;
    mbedtls_ssl_config config;
};

struct tls_session {
    mbedtls_ssl_session session;
    uint64_t saved_ns;
};

/*
 * AES-128-GCM first: with AES-NI and the small records of chats and streams it costs a little less
 * here than ChaCha20-Poly1305 (10.7 against 11.0 us CPU per exchange, system calls included), which
 * is ahead by a sixth in bulk (24 against 28 ms for 8 MiB).
 */
static const int suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    0,
};

/* P-256 first: every server has it, and with this library it costs less than X25519. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const char *protocols[] = {"http/1.1", NULL};

/* --- trust --------------------------------------------------------------------------------------
 */

static MUST_CHECK enum errc trust_parse(struct tls_trust *t, struct str pem, struct err *e)
{
    /* the parser of PEM wants a NUL behind it, counted */
    char *copy = malloc(pem.n + 1);

    if (!copy)
        return err_set(e, ERRC_NOMEM, 0, "certificate authorities");
    if (pem.n)
        memcpy(copy, pem.p, pem.n);
    copy[pem.n] = '\0';
    int rc = mbedtls_x509_crt_parse(&t->authorities, (unsigned char *)copy, pem.n + 1);
    free(copy);
    if (rc < 0 || t->authorities.version == 0) { /* above 0: so many could not be parsed */
        char why[96];
        mbedtls_strerror(rc < 0 ? rc : MBEDTLS_ERR_X509_INVALID_FORMAT, why, sizeof why);
        return err_set(e, ERRC_INVALID, 0, "certificate authorities: %s", why);
    }
    return ERRC_OK;
}

enum errc tls_configure(mbedtls_ssl_config *c, int endpoint, struct err *e)
{
    if (psa_crypto_init() != PSA_SUCCESS || /* repeated calls do nothing */
        mbedtls_ssl_config_defaults(c, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM,
                                    MBEDTLS_SSL_PRESET_DEFAULT))
        return err_set(e, ERRC_NOMEM, 0, "TLS configuration");
    mbedtls_ssl_conf_rng(c, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_ciphersuites(c, suites);
    mbedtls_ssl_conf_groups(c, groups);
    mbedtls_ssl_conf_renegotiation(c, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
    /* a ticket alone has no forward secrecy: always with a fresh key exchange */
    mbedtls_ssl_conf_tls13_key_exchange_modes(c,
                                              MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ALL);
    if (mbedtls_ssl_conf_alpn_protocols(c, protocols))
        return err_set(e, ERRC_INVALID, 0, "TLS configuration: ALPN");
    return ERRC_OK;
}

static MUST_CHECK enum errc trust_configure(struct tls_trust *t, struct err *e)
{
    mbedtls_ssl_config *c = &t->config;
    enum errc rc = tls_configure(c, MBEDTLS_SSL_IS_CLIENT, e);

    if (rc)
        return rc;
    mbedtls_ssl_conf_session_tickets(c, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        c, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_authmode(c, t->is_unverified ? MBEDTLS_SSL_VERIFY_NONE
                                                  : MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(c, &t->authorities, NULL);
    return ERRC_OK;
}

void tls_trust_identify(struct tls_trust_id *ret_id, struct str pem, bool is_unverified)
{
    static const unsigned char nothing;

    if (is_unverified)
        *ret_id = (struct tls_trust_id){{0}};
    else /* cannot fail in software */
        (void)mbedtls_sha256(pem.n ? (const unsigned char *)pem.p : &nothing, pem.n, ret_id->sha256,
                             0);
}

enum errc tls_trust_new(struct tls_trust **ret_t, struct str pem, bool is_unverified, struct err *e)
{
    struct tls_trust *t = calloc(1, sizeof *t);
    enum errc rc;

    if (!t)
        return err_set(e, ERRC_NOMEM, 0, "certificate authorities");
    t->refs = 1;
    t->is_unverified = is_unverified;
    mbedtls_x509_crt_init(&t->authorities);
    mbedtls_ssl_config_init(&t->config);
    tls_trust_identify(&t->id, pem, is_unverified);
    rc = trust_configure(t, e);
    if (!rc && !is_unverified && pem.n > 0)
        rc = trust_parse(t, pem, e);
    if (rc) {
        (void)tls_trust_unref(t); /* NULL */
        return rc;
    }
    *ret_t = t;
    return ERRC_OK;
}

struct tls_trust *tls_trust_ref(struct tls_trust *t)
{
    t->refs++;
    return t;
}

struct tls_trust *tls_trust_unref(struct tls_trust *t)
{
    if (!t || --t->refs > 0)
        return NULL;
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->authorities);
    free(t);
    return NULL;
}

bool tls_trust_is(const struct tls_trust *t, const struct tls_trust_id *id)
{
    return memcmp(&t->id, id, sizeof *id) == 0;
}

/* --- bytes --------------------------------------------------------------------------------------
 */

static int tls_on_send(void *ctx, const unsigned char *p, size_t n)
{
    struct tls_io *io = ((struct tls *)ctx)->io;

    n = MIN(n, io->out_cap - io->out_n);
    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_WRITE;
    memcpy(io->out + io->out_n, p, n);
    io->out_n += n;
    return (int)n;
}

static int tls_on_recv(void *ctx, unsigned char *p, size_t n)
{
    struct tls *t = ctx;
    struct tls_io *io = t->io;

    n = MIN(n, io->in_n);
    if (n == 0) {
        t->is_starved = true;
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(p, io->in, n);
    io->in += n;
    io->in_n -= n;
    return (int)n;
}

static enum tls_got tls_fail(struct tls *t, int error)
{
    t->error = error;
    return TLS_FAILED;
}

/* --- names --------------------------------------------------------------------------------------
 */

static bool crt_has_ip(const mbedtls_x509_crt *crt, const uint8_t *ip, size_t n)
{
    for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s; s = s->next)
        if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            s->buf.len == n && memcmp(s->buf.p, ip, n) == 0)
            return true;
    return false;
}

/*
 * Completes the library's check of the leaf: it would fall back to the common name without a
 * subjectAltName, and numeric hosts are ours because a name set there is also sent as SNI, which
 * RFC 6066 section 3 forbids for addresses.
 */
static int tls_on_verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls *t = ctx;

    t->was_verified = true;
    if (depth > 0)
        return 0;
    if (t->ip_bytes ? !crt_has_ip(crt, t->ip, t->ip_bytes) : !crt->subject_alt_names.buf.p)
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

static MUST_CHECK enum errc tls_set_host(struct tls *t, struct str host, struct err *e)
{
    union addr a;
    char text[HOST_MAX + 1];

    if (addr_read(host, 0, &a)) {
        t->ip_bytes = a.sa.sa_family == AF_INET6 ? 16 : 4;
        memcpy(t->ip,
               a.sa.sa_family == AF_INET6 ? (const void *)&a.v6.sin6_addr
                                          : (const void *)&a.v4.sin_addr,
               t->ip_bytes);
        /* says that the name is checked elsewhere: tls_on_verify() */
        return mbedtls_ssl_set_hostname(&t->ssl, NULL) ? err_set(e, ERRC_NOMEM, 0, "TLS connection")
                                                       : ERRC_OK;
    }
    if (host.n == 0 || host.n > HOST_MAX || memchr(host.p, '\0', host.n))
        return err_set(e, ERRC_INVALID, 0, "host name for TLS");
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return mbedtls_ssl_set_hostname(&t->ssl, text) ? err_set(e, ERRC_NOMEM, 0, "TLS connection")
                                                   : ERRC_OK;
}

/* --- a connection
 * --------------------------------------------------------------------------------- */

enum errc tls_setup(struct tls **ret_t, const mbedtls_ssl_config *c, struct err *e)
{
    struct tls *t = calloc(1, sizeof *t);

    if (!t)
        return err_set(e, ERRC_NOMEM, 0, "TLS connection");
    mbedtls_ssl_init(&t->ssl);
    if (mbedtls_ssl_setup(&t->ssl, c)) {
        (void)tls_free(t); /* NULL */
        return err_set(e, ERRC_NOMEM, 0, "TLS connection");
    }
    mbedtls_ssl_set_bio(&t->ssl, t, tls_on_send, tls_on_recv, NULL);
    *ret_t = t;
    return ERRC_OK;
}

enum errc tls_new(struct tls **ret_t, struct tls_trust *trust, struct str host,
                  const struct tls_session *resume, struct err *e)
{
    struct tls *t = NULL;
    enum errc rc = tls_setup(&t, &trust->config, e);

    if (rc)
        return rc;
    t->trust = tls_trust_ref(trust);
    rc = tls_set_host(t, host, e);
    if (rc) {
        (void)tls_free(t); /* NULL */
        return rc;
    }
    mbedtls_ssl_set_verify(&t->ssl, tls_on_verify, t);
    /* a session that does not fit means a full handshake, no more */
    t->was_offered = resume && clock_mono_ns() - resume->saved_ns < SESSION_MAX_NS &&
                     mbedtls_ssl_set_session(&t->ssl, &resume->session) == 0;
    *ret_t = t;
    return ERRC_OK;
}

struct tls *tls_free(struct tls *t)
{
    if (!t)
        return NULL;
    mbedtls_ssl_free(&t->ssl);
    t->trust = tls_trust_unref(t->trust);
    t->identity = tls_identity_unref(t->identity);
    free(t);
    return NULL;
}

enum tls_got tls_handshake(struct tls *t, struct tls_io *io)
{
    int rc;

    t->io = io;
    t->is_starved = false;
    do
        rc = mbedtls_ssl_handshake(&t->ssl);
    while (rc == MBEDTLS_ERR_SSL_WANT_READ && !t->is_starved);
    t->io = NULL;

    if (rc == MBEDTLS_ERR_SSL_WANT_READ)
        return TLS_MORE;
    if (rc)
        return tls_fail(t, rc);
    /* in TLS 1.3 a session comes with its ticket, later */
    t->has_ticket = mbedtls_ssl_get_version_number(&t->ssl) == MBEDTLS_SSL_VERSION_TLS1_2 &&
                    !tls_was_resumed(t);
    return TLS_READY;
}

bool tls_was_resumed(const struct tls *t)
{
    return t->was_offered && !t->was_verified && !t->trust->is_unverified;
}

enum tls_got tls_read(struct tls *t, struct tls_io *io, char *plain, size_t cap, size_t *ret_n)
{
    size_t n = 0;
    int rc = 0;
    bool goes_on = true;

    t->io = io;
    t->is_starved = false;
    while (goes_on && n < cap) {
        rc = mbedtls_ssl_read(&t->ssl, (unsigned char *)plain + n, cap - n);
        if (rc > 0)
            n += (size_t)rc;
        else if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            t->has_ticket = true;
        else /* a message that is no data makes it want to be called again */
            goes_on = rc == MBEDTLS_ERR_SSL_WANT_READ && !t->is_starved;
    }
    t->io = NULL;
    *ret_n = n;

    if (rc == MBEDTLS_ERR_SSL_WANT_READ)
        return TLS_MORE;
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return TLS_CLOSED;
    return tls_fail(t, rc < 0 ? rc : MBEDTLS_ERR_SSL_INTERNAL_ERROR);
}

bool tls_write(struct tls *t, struct tls_io *io, const char *p, size_t n)
{
    t->io = io;
    int rc = mbedtls_ssl_write(&t->ssl, (const unsigned char *)p, n);
    t->io = NULL;

    if (rc == (int)n)
        return true;
    (void)tls_fail(t, rc < 0 ? rc : MBEDTLS_ERR_SSL_INTERNAL_ERROR);
    return false;
}

void tls_end(struct tls *t, struct tls_io *io)
{
    t->io = io;
    (void)mbedtls_ssl_close_notify(&t->ssl); /* a courtesy: the connection goes either way */
    t->io = NULL;
}

/* --- sessions
 * ------------------------------------------------------------------------------------- */

bool tls_has_session(struct tls *t)
{
    bool has = t->has_ticket;

    t->has_ticket = false;
    return has;
}

void tls_session_save(const struct tls *t, struct tls_session **s)
{
    struct tls_session *fresh = calloc(1, sizeof *fresh);

    if (!fresh)
        return;
    mbedtls_ssl_session_init(&fresh->session);
    fresh->saved_ns = clock_mono_ns();
    if (mbedtls_ssl_get_session(&t->ssl, &fresh->session)) {
        (void)tls_session_free(fresh); /* NULL */
        return;
    }
    (void)tls_session_free(*s); /* replaced next */
    *s = fresh;
}

struct tls_session *tls_session_free(struct tls_session *s)
{
    if (!s)
        return NULL;
    mbedtls_ssl_session_free(&s->session); /* wipes it */
    free(s);
    return NULL;
}

/* --- words
 * ---------------------------------------------------------------------------------------- */

enum errc tls_explain(const struct tls *t, struct err *e)
{
    char why[192];
    uint32_t flags = mbedtls_ssl_get_verify_result(&t->ssl);

    if (t->error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED && flags != UINT32_MAX &&
        mbedtls_x509_crt_verify_info(why, sizeof why, "", flags) > 0) {
        size_t n = strlen(why);
        for (size_t i = 0; i < n; i++)
            if (why[i] == '\n')
                why[i] = ' ';
        return err_set(e, ERRC_PROTO, 0, "certificate: %.*s", (int)(n - 1), why);
    }
    mbedtls_strerror(t->error, why, sizeof why);
    return err_set(e, ERRC_PROTO, 0, "%s", why);
}

const char *tls_version(const struct tls *t)
{
    return mbedtls_ssl_get_version(&t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
    return mbedtls_ssl_get_ciphersuite(&t->ssl);
}
