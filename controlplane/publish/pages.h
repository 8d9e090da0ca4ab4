#pragma once

/* The thread that reads pages of everything for who comes new, and what changed since for who comes
 * back: with a connection of its own, so that changes need not wait for it. */

#include "publish/hub.h"

struct pages;

struct pages_options {
    struct db *db; /* of its own: one connection */
    const struct entities *entities;
    struct hub *hub;
};

MUST_CHECK enum errc pages_new(struct pages **ret_p, const struct pages_options *o, struct err *e);

/* As hub_options.job. */
bool pages_push(struct pages *p, const struct hub_job *job);

/* Ends the thread; what waits is answered with nothing. */
void pages_stop(struct pages *p);
struct pages *pages_free(struct pages *p);
