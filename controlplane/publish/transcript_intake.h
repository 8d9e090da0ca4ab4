#pragma once

/* Prompts and replies on their way to the database: a short queue and one thread with a connection
 * of its own, so that usage does not wait for them. Who finds it full sends again. */

#include "common/gateway/seal.h"

#include "publish/hub.h"

struct transcript_intake;

struct transcript_intake_options {
    struct db *db; /* of its own */
    struct hub *hub;
    const struct seal_key *key;
    /* As transcripts_take(). */
    enum errc (*take)(const struct seal_key *key, struct db *db, const Weir__Transcripts *m,
                      struct err *e);
};

MUST_CHECK enum errc transcript_intake_new(struct transcript_intake **ret_i,
                                           const struct transcript_intake_options *o,
                                           struct err *e);

/* As hub_options.transcripts. */
bool transcript_intake_push(struct transcript_intake *i, const struct hub_delivery *u);

/* Ends the thread; what waits is answered with nothing, and comes again. */
void transcript_intake_stop(struct transcript_intake *i);
struct transcript_intake *transcript_intake_free(struct transcript_intake *i);
