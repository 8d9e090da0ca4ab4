#pragma once

/* The worker role of weir-dataplane. */

#include "common/base.h"

/*
 * Runs a worker in `region` of the shared file until drained: CONTROL_FD, SHARED_FD, RESPONSES_FD
 * and n_listeners sockets from LISTEN_FD on are inherited, all non-blocking. Returns the exit code.
 */
int worker_main(unsigned region, unsigned n_listeners);
