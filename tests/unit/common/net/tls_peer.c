#include "tls_peer.h"

#include <ftw.h>
#include <mbedtls/psa_util.h>
#include <psa/crypto.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

static char dir[] = "/tmp/weir-certs-XXXXXX";
static bool is_made;

static void certs_make(void)
{
    char script[] = "tests/support/make-certs";
    char *argv[] = {script, dir, NULL};
    pid_t pid;
    int status;

    assert_non_null(mkdtemp(dir));
    is_made = true;
    assert_int_equal(posix_spawn(&pid, script, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

const char *certs_path(const char *file)
{
    static char path[128];

    if (!is_made)
        certs_make();
    (void)snprintf(path, sizeof path, "%s/%s", dir, file);
    return path;
}

char *certs_read(const char *file)
{
    char *text = calloc(1, 1 << 16);
    FILE *in = fopen(certs_path(file), "re");

    assert_non_null(in);
    assert_true(fread(text, 1, (1 << 16) - 1, in) > 0);
    fclose(in);
    return text;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *w)
{
    (void)st;
    (void)type;
    (void)w;
    return remove(path);
}

void certs_remove(void)
{
    if (is_made)
        (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int on_sni(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *name, size_t n)
{
    struct tls_peer *p = ctx;

    (void)ssl;
    (void)snprintf(p->sni, sizeof p->sni, "%.*s", (int)n, (const char *)name);
    return 0;
}

void tls_peer_open(struct tls_peer *p, const char *cert, mbedtls_ssl_protocol_version version,
                   unsigned flags)
{
    static const char *protocols[] = {"h2", "http/1.1", NULL};
    char file[64];

    memset(p, 0, sizeof *p);
    assert_int_equal(psa_crypto_init(), PSA_SUCCESS);
    mbedtls_ssl_config_init(&p->config);
    mbedtls_x509_crt_init(&p->cert);
    mbedtls_pk_init(&p->key);
    mbedtls_ssl_ticket_init(&p->tickets);
    mbedtls_ssl_init(&p->ssl);
    (void)snprintf(file, sizeof file, "%s.pem", cert);
    assert_int_equal(mbedtls_x509_crt_parse_file(&p->cert, certs_path(file)), 0);
    (void)snprintf(file, sizeof file, "%s.key", cert);
    assert_int_equal(mbedtls_pk_parse_keyfile(&p->key, certs_path(file), NULL,
                                              mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE),
                     0);
    assert_int_equal(mbedtls_ssl_config_defaults(&p->config, MBEDTLS_SSL_IS_SERVER,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&p->config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(&p->config, version);
    mbedtls_ssl_conf_max_tls_version(&p->config, version);
    mbedtls_ssl_conf_sni(&p->config, on_sni, p);
    assert_int_equal(mbedtls_ssl_conf_alpn_protocols(&p->config, protocols), 0);
    assert_int_equal(mbedtls_ssl_conf_own_cert(&p->config, &p->cert, &p->key), 0);
    if (flags & PEER_TICKETS) {
        assert_int_equal(mbedtls_ssl_ticket_setup(&p->tickets, mbedtls_psa_get_random,
                                                  MBEDTLS_PSA_RANDOM_STATE,
                                                  MBEDTLS_CIPHER_AES_256_GCM, 3600),
                         0);
        mbedtls_ssl_conf_session_tickets_cb(&p->config, mbedtls_ssl_ticket_write,
                                            mbedtls_ssl_ticket_parse, &p->tickets);
    }
}

void tls_peer_close(struct tls_peer *p)
{
    mbedtls_ssl_free(&p->ssl);
    mbedtls_ssl_ticket_free(&p->tickets);
    mbedtls_pk_free(&p->key);
    mbedtls_x509_crt_free(&p->cert);
    mbedtls_ssl_config_free(&p->config);
}

void tls_peer_begin(struct tls_peer *p, void *ctx, mbedtls_ssl_send_t *send,
                    mbedtls_ssl_recv_t *recv)
{
    mbedtls_ssl_free(&p->ssl);
    mbedtls_ssl_init(&p->ssl);
    p->sni[0] = '\0';
    assert_int_equal(mbedtls_ssl_setup(&p->ssl, &p->config), 0);
    mbedtls_ssl_set_bio(&p->ssl, ctx, send, recv, NULL);
}
