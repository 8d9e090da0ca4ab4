#pragma once

/*
 * WEIR_JOIN: what a data plane needs to reach its control plane, in one string made by
 * `weirctl join new`: base64url of a JSON object. It holds secrets.
 *
 *   {"addresses": ["tls+tcp://HOST:PORT", ...], "ca": PEM, "cert": PEM, "key": PEM, "token": TEXT}
 *
 * ca, cert and key are wanted where an address is tls+tcp, token always. The certificate a control
 * plane shows is for JOIN_SERVER_NAME, whatever its address; no other certificate of that authority
 * may be.
 */

#include "common/arena.h"
#include "common/err.h"

#define JOIN_SERVER_NAME "weir-controlplane"

enum { JOIN_ADDRESSES = 16, JOIN_MAX = 64 * 1024 /* bytes of the string */ };

struct join { /* texts are NUL-terminated, in the arena */
    const char *addresses[JOIN_ADDRESSES];
    unsigned n_addresses;
    const char *ca, *cert, *key; /* PEM; NULL: none */
    const char *token;           /* "": none */
};

/* ERRC_INVALID with a sentence that holds nothing of the string. */
MUST_CHECK enum errc join_read(struct join *ret_j, struct str text, struct arena *a, struct err *e);

/* The string; empty when the arena failed. */
struct str join_write(const struct join *j, struct arena *a);

/* One address added to what is there: ERRC_INVALID for another scheme or a path too long for a
 * socket, ERRC_LIMIT for too many. */
MUST_CHECK enum errc join_address(struct join *j, struct str address, struct arena *a,
                                  struct err *e);

/* Addresses that want certificates. */
bool join_wants_tls(const struct join *j);
