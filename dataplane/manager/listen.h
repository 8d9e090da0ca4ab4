#pragma once

/* The sockets clients connect to: opened once by the manager and never closed while it lives, since
 * closing one resets the connections queued on it (threats P-05). */

#include "common/err.h"

enum { LISTEN_MAX = 8, LISTEN_BACKLOG = 4096, LISTEN_TEXT = 64 };

struct listeners {
    int fd[LISTEN_MAX];
    char text[LISTEN_MAX][LISTEN_TEXT]; /* "127.0.0.1:4000", "[::]:4000" */
    unsigned n;
};

/*
 * Opens one socket for each address of `host`: a literal, "localhost", or a name the system
 * resolves; "::" takes IPv4 as well. With `loopback_only` any other address is ERRC_INVALID. Port 0
 * lets the kernel choose. ERRC_SYS names address and port.
 */
MUST_CHECK enum errc listen_open(struct listeners *l, const char *host, uint16_t port,
                                 bool loopback_only, struct err *e);

/* True when every socket takes connections of this machine alone. */
bool listen_is_loopback(const struct listeners *l);
