#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>

#include "common/net/tls_priv.h"

struct tls_identity {
    unsigned refs;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    mbedtls_ssl_config config;
};

static enum errc bad_file(struct err *e, const char *what, const char *path, int rc)
{
    char why[96];

    mbedtls_strerror(rc, why, sizeof why);
    return err_set(e, ERRC_INVALID, 0, "%s %s: %s", what, path, why);
}

static MUST_CHECK enum errc identity_read(struct tls_identity *id, const char *chain_path,
                                          const char *key_path, struct err *e)
{
    int rc = mbedtls_x509_crt_parse_file(&id->chain, chain_path);

    if (rc) /* above 0: so many could not be parsed, and clients would miss them */
        return bad_file(e, "certificate", chain_path,
                        rc < 0 ? rc : MBEDTLS_ERR_X509_INVALID_FORMAT);
    rc = mbedtls_pk_parse_keyfile(&id->key, key_path, NULL, mbedtls_psa_get_random,
                                  MBEDTLS_PSA_RANDOM_STATE);
    if (rc)
        return bad_file(e, "private key", key_path, rc);
    rc = mbedtls_pk_check_pair(&id->chain.pk, &id->key, mbedtls_psa_get_random,
                               MBEDTLS_PSA_RANDOM_STATE);
    if (rc)
        return err_set(e, ERRC_INVALID, 0, "private key %s: not that of the certificate %s",
                       key_path, chain_path);
    return ERRC_OK;
}

enum errc tls_identity_new(struct tls_identity **ret_id, const char *chain_path,
                           const char *key_path, struct err *e)
{
    struct tls_identity *id = calloc(1, sizeof *id);

    if (!id)
        return err_set(e, ERRC_NOMEM, 0, "certificate %s", chain_path);
    id->refs = 1;
    mbedtls_x509_crt_init(&id->chain);
    mbedtls_pk_init(&id->key);
    mbedtls_ssl_config_init(&id->config);
    enum errc rc = tls_configure(&id->config, MBEDTLS_SSL_IS_SERVER, e);
    if (!rc)
        rc = identity_read(id, chain_path, key_path, e);
    if (!rc && mbedtls_ssl_conf_own_cert(&id->config, &id->chain, &id->key))
        rc = err_set(e, ERRC_NOMEM, 0, "certificate %s", chain_path);
    if (rc) {
        (void)tls_identity_unref(id); /* NULL */
        return rc;
    }
    mbedtls_ssl_conf_authmode(&id->config, MBEDTLS_SSL_VERIFY_NONE); /* keys tell who calls */
    *ret_id = id;
    return ERRC_OK;
}

struct tls_identity *tls_identity_unref(struct tls_identity *id)
{
    if (!id || --id->refs > 0)
        return NULL;
    mbedtls_ssl_config_free(&id->config);
    mbedtls_x509_crt_free(&id->chain);
    mbedtls_pk_free(&id->key); /* wipes it */
    free(id);
    return NULL;
}

enum errc tls_accept(struct tls **ret_t, struct tls_identity *id, struct err *e)
{
    enum errc rc = tls_setup(ret_t, &id->config, e);

    if (rc)
        return rc;
    id->refs++;
    (*ret_t)->identity = id;
    return ERRC_OK;
}
