#pragma once

/* A TLS server of the test: mbedTLS with a certificate of tests/support/make-certs, over any bytes.
 */

#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>

#include "common/base.h"

/* The certificates, made once for the program; "" with a file behind it: its path. */
const char *certs_path(const char *file);
char *certs_read(const char *file); /* NUL-terminated, the caller's */
void certs_remove(void);

struct tls_peer {
    mbedtls_ssl_config config;
    mbedtls_x509_crt cert;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
    mbedtls_ssl_context ssl; /* of the present connection */
    char sni[64];            /* the name it was asked for, "" */
};

enum { PEER_TICKETS = BIT(0) };

/* A server of exactly this version. */
void tls_peer_open(struct tls_peer *p, const char *cert, mbedtls_ssl_protocol_version version,
                   unsigned flags);
void tls_peer_close(struct tls_peer *p);

/* Forgets the connection and begins another over these. */
void tls_peer_begin(struct tls_peer *p, void *ctx, mbedtls_ssl_send_t *send,
                    mbedtls_ssl_recv_t *recv);
