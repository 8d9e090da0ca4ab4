#pragma once

/*
 * The manager role of weir-dataplane: opens the sockets, makes the shared file, starts the link and
 * the workers, hands generations from the one to the others, replaces who dies, drains. It never
 * reads a byte from the network.
 */

#include "common/err.h"

struct manager_options { /* all borrowed; NULL, 0 and port -1: not given */
    const char *config;
    const char *host;
    int32_t port;
    unsigned workers;
};

/*
 * Runs until told to end by a signal. TERM, INT: drain, a second one ends at once; HUP: read the
 * configuration again; USR1: reopen logs. Returns the exit code.
 */
int manager_main(const struct manager_options *o);
