#pragma once

/* Where the data plane keeps its files, and that one instance uses them at a time. Manager only. */

#include "common/place.h"

struct places {
    char state_dir[PLACE_MAX]; /* spool, last generation: survives a restart of the machine */
    char run_dir[PLACE_MAX];   /* shared file, sockets, lock: does not */
    int lock_fd;
};

/* Chooses both and makes them (common/place.h), and sets both variables for children. ERRC_LIMIT
 * naming a path too long for a socket. */
MUST_CHECK enum errc places_find(struct places *p, struct err *e);

/* Takes run_dir/lock until this process ends; ERRC_LIMIT naming the process that has it. */
MUST_CHECK enum errc places_lock(struct places *p, struct err *e);
