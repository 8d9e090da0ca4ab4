#pragma once

/*
 * Where data planes connect: ipc on the same machine, for the same user; tls+tcp, certificates of
 * our own authority on both sides. Requests go to the hub from nng's threads.
 */

#include "publish/hub.h"

struct sockets;

struct sockets_tls { /* PEM, NUL-terminated */
    const char *authority, *certificate, *key;
};

MUST_CHECK enum errc sockets_new(struct sockets **ret_s, struct hub *hub, struct err *e);

/* ipc://PATH or tls+tcp://HOST:PORT; the latter wants `tls`. ERRC_INVALID, ERRC_SYS. */
MUST_CHECK enum errc sockets_listen(struct sockets *s, const char *address,
                                    const struct sockets_tls *tls, struct err *e);

/* hub_options.send. */
void sockets_send(struct sockets *s, void *to, struct str bytes);

/* No request comes any more. */
void sockets_close(struct sockets *s);
struct sockets *sockets_free(struct sockets *s);
