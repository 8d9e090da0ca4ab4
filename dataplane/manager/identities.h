#pragma once

/*
 * The identities in force, as the manager keeps them for whoever starts later: a base and the
 * overlay over it, handed on as a pair. Never read here.
 */

#include "manager/child.h"
#include "shared/control.h"

struct identities_in_force {
    int base_fd, overlay_fd; /* -1: none yet */
    int next_base_fd;        /* until an overlay over it comes; -1: none */
    uint64_t base_n, overlay_n, next_base_n;
};

#define IDENTITIES_NONE                                                                            \
    {                                                                                              \
        .base_fd = -1, .overlay_fd = -1, .next_base_fd = -1                                        \
    }

/* Takes `fd` of the link's CONTROL_BASE or CONTROL_OVERLAY. True: another pair is in force, which
 * `link` has. A base is in force once an overlay over it follows. */
bool identities_take(struct identities_in_force *i, const struct control_msg *m, int fd,
                     struct child *link);

/* Gives a child what it was not given yet, base first. What it does not take now, because it does
 * not read, it is given by the next call. */
void identities_give(const struct identities_in_force *i, struct child *c);
