#pragma once

/*
 * The thread that sees what was committed: told by this process at once, by PostgreSQL's NOTIFY
 * soon, and otherwise by looking each second. It gives revisions to the hub. While the database is
 * away it waits; who is connected is served on.
 */

#include "publish/hub.h"

struct reader;
struct roster;

struct reader_options {
    struct hub *hub;
    struct roster *roster; /* it writes */
    struct db *db;         /* of its own: two connections */
    const struct catalog *catalog;
    const struct entities *entities;
    /* On its thread: what was kicked before has a revision now. */
    void (*seen)(void *ctx);
    void *ctx;
};

MUST_CHECK enum errc reader_new(struct reader **ret_r, const struct reader_options *o,
                                struct err *e);
struct reader *reader_free(struct reader *r);

/* Look at once; what is committed now has a revision when reader_seen() reaches the number. Any
 * thread. */
uint64_t reader_kick(struct reader *r);
uint64_t reader_seen(const struct reader *r);

/* Somebody has this revision: if it is not the database's, a new epoch begins. Any thread. */
void reader_ahead(struct reader *r, struct revision known);
