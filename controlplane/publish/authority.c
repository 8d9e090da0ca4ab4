#include "publish/authority.h"

#include <mbedtls/ecp.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>
#include <sys/random.h>

#include "common/clock.h"

enum {
    PEM_MAX = 4096,
    YEARS = 10,
    SERIAL = 16,
};

#define YEAR_US (INT64_C(366) * 86400 * 1000000)
#define DAY_US  (INT64_C(86400) * 1000000)

static int random_bytes(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    for (size_t at = 0; at < n;) {
        ssize_t got = getrandom(out + at, n - at, 0);
        if (got <= 0)
            return -1;
        at += (size_t)got;
    }
    return 0;
}

static int key_new(mbedtls_pk_context *pk)
{
    int rc = mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY));

    return rc ? rc
              : mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*pk), random_bytes,
                                    NULL);
}

static void put_time(char out[16], int64_t at_us)
{
    time_t t = (time_t)(at_us / 1000000);
    struct tm tm;

    (void)gmtime_r(&t, &tm);
    (void)strftime(out, 16, "%Y%m%d%H%M%S", &tm);
}

struct spec { /* of a certificate */
    const char *subject, *issuer;
    mbedtls_pk_context *key, *issuer_key;
    const char *dns;   /* NULL: none */
    const char *usage; /* extended key usage; NULL: it is an authority */
    size_t usage_n;
    int64_t until_us;
};

static int extend(mbedtls_x509write_cert *w, const struct spec *s)
{
    mbedtls_asn1_sequence usage = {
        .buf = {MBEDTLS_ASN1_OID, s->usage_n, (unsigned char *)(uintptr_t)s->usage}};
    mbedtls_x509_san_list san = {.node = {.type = MBEDTLS_X509_SAN_DNS_NAME}};
    int rc = mbedtls_x509write_crt_set_basic_constraints(w, !s->usage, s->usage ? -1 : 0);

    if (!rc)
        rc = mbedtls_x509write_crt_set_subject_key_identifier(w);
    if (!rc)
        rc = mbedtls_x509write_crt_set_authority_key_identifier(w);
    if (!rc)
        rc = mbedtls_x509write_crt_set_key_usage(w, s->usage ? MBEDTLS_X509_KU_DIGITAL_SIGNATURE
                                                             : MBEDTLS_X509_KU_KEY_CERT_SIGN |
                                                                   MBEDTLS_X509_KU_CRL_SIGN);
    if (!rc && s->usage)
        rc = mbedtls_x509write_crt_set_ext_key_usage(w, &usage);
    if (!rc && s->dns) {
        san.node.san.unstructured_name = (mbedtls_x509_buf){MBEDTLS_ASN1_IA5_STRING, strlen(s->dns),
                                                            (unsigned char *)(uintptr_t)s->dns};
        rc = mbedtls_x509write_crt_set_subject_alternative_name(w, &san);
    }
    return rc;
}

static int certificate_write(char out[PEM_MAX], const struct spec *s)
{
    unsigned char serial[SERIAL];
    char from[16], until[16];
    mbedtls_x509write_cert w;
    int64_t now = clock_wall_us();
    int rc = random_bytes(NULL, serial, sizeof serial);

    serial[0] &= 0x7f; /* RFC 5280 4.1.2.2: positive */
    put_time(from, now - DAY_US);
    put_time(until, s->until_us ? MIN(s->until_us, now + YEARS * YEAR_US) : now + YEARS * YEAR_US);
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_version(&w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&w, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&w, s->key);
    mbedtls_x509write_crt_set_issuer_key(&w, s->issuer_key);
    if (!rc)
        rc = mbedtls_x509write_crt_set_serial_raw(&w, serial, sizeof serial);
    if (!rc)
        rc = mbedtls_x509write_crt_set_subject_name(&w, s->subject);
    if (!rc)
        rc = mbedtls_x509write_crt_set_issuer_name(&w, s->issuer);
    if (!rc)
        rc = mbedtls_x509write_crt_set_validity(&w, from, until);
    if (!rc)
        rc = extend(&w, s);
    if (!rc)
        rc = mbedtls_x509write_crt_pem(&w, (unsigned char *)out, PEM_MAX, random_bytes, NULL);
    mbedtls_x509write_crt_free(&w);
    return rc;
}

/* Key and certificate as PEM, in the arena. */
static int write_both(struct identity_pem *ret, const struct spec *s, struct arena *arena)
{
    char certificate[PEM_MAX], key[PEM_MAX];
    int rc = certificate_write(certificate, s);

    if (!rc)
        rc = mbedtls_pk_write_key_pem(s->key, (unsigned char *)key, sizeof key);
    if (!rc)
        *ret = (struct identity_pem){arena_str(arena, str_of(certificate)).p,
                                     arena_str(arena, str_of(key)).p};
    explicit_bzero(key, sizeof key);
    return rc ? rc : arena_ok(arena) ? 0 : -1;
}

#define AUTHORITY_NAME "CN=Weir authority"

static enum errc authority_make(struct identity_pem *ret, struct arena *arena, struct err *e)
{
    mbedtls_pk_context key;
    struct spec s = {
        .subject = AUTHORITY_NAME, .issuer = AUTHORITY_NAME, .key = &key, .issuer_key = &key};

    mbedtls_pk_init(&key);
    int rc = key_new(&key);
    if (!rc)
        rc = write_both(ret, &s, arena);
    mbedtls_pk_free(&key);
    return rc ? err_set(e, ERRC_INVALID, 0, "authority: it cannot be made (%d)", rc) : ERRC_OK;
}

/* The key, which is good beside its certificate alone; one that an earlier version sealed as
 * LiteLLM seals is sealed anew. */
static bool open_key(struct tx *tx, const struct seal_key *key, struct str certificate,
                     struct str sealed, struct arena *arena, struct str *ret_plain)
{
    struct str anew;

    if (seal_own_open(key, certificate, sealed, arena, ret_plain))
        return true;
    if (!seal_open(key, sealed, arena, ret_plain))
        return false;
    anew = seal_own(key, certificate, *ret_plain, arena);
    if (anew.n)
        (void)TX_QUERY(tx,
                       "UPDATE weir.authority SET sealed_key = $1"
                       " WHERE sealed_key = $2",
                       DB_TEXT(anew), DB_TEXT(sealed));
    return true;
}

enum errc authority_get(struct authority *ret_a, struct tx *tx, const struct seal_key *key,
                        struct arena *arena, struct err *e)
{
    struct identity_pem made;
    struct str plain;

    if (!key->is_set)
        return err_set(
            e, ERRC_INVALID, 0,
            "authority: set LITELLM_SALT_KEY or a master key, its key is sealed with it");
    for (int i = 0; i < 2; i++) {
        struct rows r = TX_QUERY0(tx, "SELECT certificate, sealed_key FROM weir.authority");
        if (!tx_ok(tx))
            break;
        if (r.n) {
            if (!open_key(tx, key, rows_text(r, 0, 0), rows_text(r, 0, 1), arena, &plain))
                return err_set(e, ERRC_INVALID, 0,
                               "authority: its key in the database was sealed with another "
                               "LITELLM_SALT_KEY or master key");
            *ret_a = (struct authority){arena_str(arena, rows_text(r, 0, 0)).p, plain.p};
            return arena_ok(arena) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "authority");
        }
        enum errc rc = authority_make(&made, arena, e);
        if (rc)
            return rc;
        struct str sealed = seal_own(key, str_of(made.certificate), str_of(made.key), arena);
        if (!sealed.n)
            return err_set(e, ERRC_NOMEM, 0, "authority");
        (void)TX_QUERY(tx,
                       "INSERT INTO weir.authority (certificate, sealed_key) VALUES ($1, $2)"
                       " ON CONFLICT DO NOTHING", /* another control plane was faster */
                       DB_TEXT(str_of(made.certificate)), DB_TEXT(sealed));
    }
    return err_set(e, errc_from_fault(tx->fault), 0, "authority: %s", tx->err.msg);
}

enum errc authority_sign(struct identity_pem *ret_i, const struct authority *a,
                         enum authority_for purpose, const char *name, int64_t until_us,
                         struct arena *arena, struct err *e)
{
    static const struct {
        const char *usage;
        size_t n;
    } usages[] = {
        [AUTHORITY_SERVER] = {MBEDTLS_OID_SERVER_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)},
        [AUTHORITY_CLIENT] = {MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH)},
    };
    mbedtls_pk_context key, issuer;
    struct str subject = arena_printf(arena, "CN=%s", name);
    struct spec s = {.subject = subject.p,
                     .issuer = AUTHORITY_NAME,
                     .key = &key,
                     .issuer_key = &issuer,
                     .dns = purpose == AUTHORITY_SERVER ? name : NULL,
                     .usage = usages[purpose].usage,
                     .usage_n = usages[purpose].n,
                     .until_us = until_us};

    if (!subject.p)
        return err_set(e, ERRC_NOMEM, 0, "certificate");
    mbedtls_pk_init(&key);
    mbedtls_pk_init(&issuer);
    int rc = mbedtls_pk_parse_key(&issuer, (const unsigned char *)a->key, strlen(a->key) + 1, NULL,
                                  0, random_bytes, NULL);
    if (!rc)
        rc = key_new(&key);
    if (!rc)
        rc = write_both(ret_i, &s, arena);
    mbedtls_pk_free(&key);
    mbedtls_pk_free(&issuer);
    return rc ? err_set(e, ERRC_INVALID, 0, "certificate: it cannot be made (%d)", rc) : ERRC_OK;
}
