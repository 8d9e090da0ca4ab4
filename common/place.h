#pragma once

/* Directories of an instance, the same for every program of it. */

#include "common/err.h"

enum {
    PLACE_MAX = 256,
    PLACE_SOCKET_MAX = 100, /* bytes of a socket's path that every system takes */
};

/*
 * What must outlive a restart of the machine: WEIR_STATE_DIR, else the first of STATE_DIRECTORY,
 * else /var/lib/weir if it can be written, else ~/.local/state/weir. Made, 0700.
 */
MUST_CHECK enum errc place_state(char out[PLACE_MAX], struct err *e);

/* Sockets and shared files: WEIR_RUN_DIR, else RUNTIME_DIRECTORY, else /run/weir if it can be
 * written, else "run" below the state directory. Made, 0700. */
MUST_CHECK enum errc place_run(char out[PLACE_MAX], struct err *e);
