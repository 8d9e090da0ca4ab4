#pragma once

/* One alert to one receiver, over HTTP or SMTP (libcurl), within bounds. Any one thread. */

#include "common/err.h"
#include "common/str.h"

struct mail_server { /* texts end with NUL; empty: none */
    const char *host, *user, *password, *sender;
    uint32_t port;
    bool is_tls; /* from the first byte */
    bool starts_tls;
};

struct sender;

/* Sending ends once `ending` is set. `ca`: a file of trusted authorities; empty: the system's. Both
 * borrowed. */
MUST_CHECK enum errc sender_new(struct sender **ret_s, const atomic_bool *ending, const char *ca,
                                struct err *e);
struct sender *sender_free(struct sender *s);

/* JSON to `url`. ERRC_OK: it was taken (2xx); else why not, never with the URL. */
MUST_CHECK enum errc sender_post(struct sender *s, const char *url, struct str json, struct err *e);

/* A text to an address (which holds no blank and no control character). */
MUST_CHECK enum errc sender_mail(struct sender *s, const struct mail_server *m, struct str address,
                                 const char *subject, struct str text, struct err *e);
