#pragma once

/* Between tls.c and tls_server.c: a connection, and what configurations of both ends share. */

#include <mbedtls/ssl.h>

#include "common/net/tls.h"

struct tls {
    mbedtls_ssl_context ssl;
    struct tls_trust *trust;       /* of a client */
    struct tls_identity *identity; /* of a server */
    struct tls_io *io;             /* of the running call */
    int error;                     /* of the library, when TLS_FAILED */
    bool is_starved;               /* it asked for more than there is */
    bool was_offered, was_verified, has_ticket;
    uint8_t ip_bytes; /* 4 or 16 when the host is numeric */
    uint8_t ip[16];
};

/* Versions, suites, groups, ALPN; `endpoint` is MBEDTLS_SSL_IS_CLIENT or _SERVER. */
MUST_CHECK enum errc tls_configure(mbedtls_ssl_config *c, int endpoint, struct err *e);

/* A connection of that configuration, its bytes through struct tls_io. */
MUST_CHECK enum errc tls_setup(struct tls **ret_t, const mbedtls_ssl_config *c, struct err *e);
