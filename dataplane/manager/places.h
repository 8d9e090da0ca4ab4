#pragma once

/* Where the data plane keeps its files, and that one instance uses them at a time. Manager only. */

#include "common/err.h"

enum {
    PLACE_MAX = 256,
    PLACE_SOCKET_MAX = 100, /* bytes of a socket's path that every system takes */
};

struct places {
    char state_dir[PLACE_MAX]; /* spool, last generation: survives a restart of the machine */
    char run_dir[PLACE_MAX];   /* shared file, sockets, lock: does not */
    int lock_fd;
};

/*
 * Chooses both and makes them (0700): WEIR_STATE_DIR, else the first of STATE_DIRECTORY, else
 * /var/lib/weir if it can be written, else ~/.local/state/weir; WEIR_RUN_DIR, else
 * RUNTIME_DIRECTORY, else /run/weir if it can be written, else "run" below the state directory.
 * Sets both variables for children. ERRC_LIMIT naming a path too long for a socket.
 */
MUST_CHECK enum errc places_find(struct places *p, struct err *e);

/* Takes run_dir/lock until this process ends; ERRC_LIMIT naming the process that has it. */
MUST_CHECK enum errc places_lock(struct places *p, struct err *e);
