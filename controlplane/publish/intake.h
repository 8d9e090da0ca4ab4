#pragma once

/*
 * Batches of usage on their way to the database: a bounded queue and threads with connections of
 * their own, so that neither changes nor keys being made wait for them. What batches become is
 * somebody else's (`take`); who sent them is answered once that is committed. Those that wait
 * together are taken together.
 */

#include "publish/hub.h"

struct intake;

enum { INTAKE_MERGE = 16 }; /* batches taken together, at most */

struct intake_options {
    struct db *db; /* of its own: a connection a thread */
    unsigned threads;
    struct hub *hub;
    /* As ingest_batches(). ERRC_INVALID: one is no batch; any other fault: to be sent again. */
    enum errc (*take)(void *ctx, struct db *db, const Weir__UsageBatch *const *b, size_t n,
                      Weir__UsageTaken *ret, struct err *e);
    void *ctx;
};

MUST_CHECK enum errc intake_new(struct intake **ret_i, const struct intake_options *o,
                                struct err *e);

/* As hub_options.usage. */
bool intake_push(struct intake *i, const struct hub_delivery *u);

/* Ends the threads; what waits is answered with nothing, and comes again. */
void intake_stop(struct intake *i);
struct intake *intake_free(struct intake *i);
