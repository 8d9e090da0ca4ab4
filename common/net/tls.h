#pragma once

/*
 * TLS, of a client above all: versions 1.2 (AEAD with forward secrecy only) and 1.3, ALPN
 * "http/1.1", certificates and names verified, sessions resumed (threats T-02 to T-07).
 *
 * No sockets here: ciphertext comes in and goes out through a struct tls_io that the caller fills
 * and empties around each call. Nothing is allocated per record.
 *
 *   tls_trust     authorities and rules, parsed once, shared by connections
 *   tls           one connection
 *   tls_identity  of a server: certificates and their key
 *   tls_session   what resumes a later connection to the same server
 */

#include "common/err.h"
#include "common/str.h"

struct tls_trust;
struct tls_identity;
struct tls;
struct tls_session;

enum {
    TLS_RECORD = 16384,          /* the most plaintext a record can bring */
    TLS_PIECE = TLS_RECORD - 1,  /* the most written in one: TLS 1.3 adds the type, this library
                                    within the limit */
    TLS_RECORD_MAX = 16384 + 64, /* and what it becomes, with header, padding and tag */
    TLS_FLIGHT_MAX = TLS_RECORD_MAX,
};

/* One step's bytes. `in` is borrowed and consumed; what is produced is appended to `out`. */
struct tls_io {
    const char *in;
    size_t in_n;
    char *out;
    size_t out_n, out_cap;
};

enum tls_got {
    TLS_MORE,   /* all input used up, more is needed */
    TLS_READY,  /* the handshake is complete; input may be left */
    TLS_CLOSED, /* close_notify: an orderly end of what the peer sends */
    TLS_FAILED, /* tls_explain() says why; `out` may hold an alert worth sending */
};

/*
 * Parses the PEM authorities in `pem`; those that cannot be parsed are skipped, and if that are all
 * it is ERRC_INVALID. Without any byte nothing is trusted. With `is_unverified` certificates are
 * not checked and `pem` is ignored.
 */
MUST_CHECK enum errc tls_trust_new(struct tls_trust **ret_t, struct str pem, bool is_unverified,
                                   struct err *e);
struct tls_trust *tls_trust_ref(struct tls_trust *t);
struct tls_trust *tls_trust_unref(struct tls_trust *t);

/* What a trust was made from, to find an equal one without parsing. */
struct tls_trust_id {
    unsigned char sha256[32];
};
void tls_trust_identify(struct tls_trust_id *ret_id, struct str pem, bool is_unverified);
bool tls_trust_is(const struct tls_trust *t, const struct tls_trust_id *id);

/*
 * A connection to `host`, a name or a numeric address (which must then be a subjectAltName of type
 * iPAddress; RFC 6125, 9525: no common name). `resume` is borrowed and may be NULL. Holds a
 * reference to `trust`.
 */
MUST_CHECK enum errc tls_new(struct tls **ret_t, struct tls_trust *trust, struct str host,
                             const struct tls_session *resume, struct err *e);
struct tls *tls_free(struct tls *t);

/* ---- of a server ---- */

/* From PEM files: the certificate with those between it and the authority, and its key without a
 * passphrase. ERRC_INVALID names the file. */
MUST_CHECK enum errc tls_identity_new(struct tls_identity **ret_id, const char *chain_path,
                                      const char *key_path, struct err *e);
struct tls_identity *tls_identity_unref(struct tls_identity *id);

/* A connection that came in; clients show no certificate. Holds a reference to `id`. */
MUST_CHECK enum errc tls_accept(struct tls **ret_t, struct tls_identity *id, struct err *e);

/* ---- of both ---- */

/* Goes on with the handshake: first without input, then with what the peer sent. `out` has room
 * for TLS_FLIGHT_MAX. */
enum tls_got tls_handshake(struct tls *t, struct tls_io *io);

/* After TLS_READY: an abbreviated one. Always false for unverified connections, which cannot tell.
 */
bool tls_was_resumed(const struct tls *t);

/*
 * Decrypts all input into `plain`, at least io->in_n + TLS_RECORD bytes, *ret_n of which are then
 * filled whatever is returned.
 */
enum tls_got tls_read(struct tls *t, struct tls_io *io, char *plain, size_t cap, size_t *ret_n);

/* Encrypts `n` bytes, 1 to TLS_PIECE, as one record; `out` has room for TLS_RECORD_MAX. */
MUST_CHECK bool tls_write(struct tls *t, struct tls_io *io, const char *p, size_t n);

/* Appends close_notify. */
void tls_end(struct tls *t, struct tls_io *io);

/* True once per session ticket that came: tls_session_save() is worth calling. */
bool tls_has_session(struct tls *t);

/* Replaces *s (NULL or a session) by the current one; keeps it on failure. */
void tls_session_save(const struct tls *t, struct tls_session **s);
struct tls_session *tls_session_free(struct tls_session *s);

/* Why it failed: the certificate's faults or the protocol error. */
enum errc tls_explain(const struct tls *t, struct err *e);

/* "TLSv1.3 TLS1-3-AES-128-GCM-SHA256" and the like, for diagnosis. Constant strings. */
const char *tls_version(const struct tls *t);
const char *tls_cipher(const struct tls *t);
