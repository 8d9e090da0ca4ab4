#pragma once

/*
 * The session with a control plane (proto/weir.proto): a thread that asks what changed, keeps it
 * (snapshot/directory.h), gives sealed files to the manager, waits for the workers to serve with
 * them and acknowledges by asking again. Of several addresses one is used, the next one when it
 * fails. Nothing a control plane does or sends costs more than the session with it.
 *
 *   session.c         the thread: connect, ask, apply, publish, wait
 *   session_local.c   what is kept on disk: the pod's name, the last good state
 *   totals.c          spend, into the counters
 *   status.c          what GET /weir/nodes is told
 *   plane.c, reply.c  the connection, and an answer from its bytes
 *
 * Documents (models, credentials, settings) go to the thread that builds generations, which takes
 * them when session_fd() is readable.
 */

#include "link/documents.h"
#include "link/ship.h"
#include "link/transcript_ship.h"
#include "shared/control.h"
#include "shared/counters.h"
#include "shared/region.h"

struct session;

/* What a file says; borrowed for the call. */
struct session_config {
    const struct join *join;
    struct str config_hash;
    struct str secret; /* seals the last good state; empty: none is kept */
};

struct session_options {
    const char *state_dir;               /* borrowed for its life */
    struct shared *shared;               /* likewise */
    struct ship *ship;                   /* likewise: sends usage while there is a session */
    struct transcript_ship *transcripts; /* likewise: and prompts with their replies */
    const struct counters *counters;     /* likewise */
    /* Hands a sealed file on; from session_open() and from the session's thread. */
    enum errc (*publish)(void *ctx, enum control_type type, uint64_t n, int fd, struct err *e);
    void *ctx;
};

/*
 * Loads the last good state and goes on from the files in force (-1: none; borrowed). What was
 * loaded is published when nothing is in force. No thread yet, and nobody is asked.
 */
MUST_CHECK enum errc session_open(struct session **ret_s, const struct session_options *o,
                                  const struct session_config *c, int base_fd, int overlay_fd,
                                  struct err *e);
MUST_CHECK enum errc session_start(struct session *s, struct err *e);

/* Says goodbye to nobody: ends the thread, saves what is served with, frees. NULL is fine. */
struct session *session_close(struct session *s);

/* Another configuration: the next Hello is said with it, soon. ERRC_NOMEM. */
MUST_CHECK enum errc session_renew(struct session *s, const struct session_config *c,
                                   struct err *e);

void session_drain(struct session *s); /* from now on the pod is said to drain */

bool session_is_stuck(const struct session *s, uint64_t now_ns); /* plane_is_stuck() */

int session_fd(const struct session *s); /* readable when there is news */

struct session_news {
    struct documents *documents; /* the caller's; NULL: as before */
    bool is_known;               /* what the database holds is known: loaded, or told */
    bool is_settled;             /* nothing comes soon: everything was told, or nobody answers */
};
bool session_news(struct session *s, struct session_news *ret); /* false: none */

/* What became of documents of that version: they are in force with this generation, or why not
 * (NULL: all of them are). */
void session_built(struct session *s, uint64_t version, uint64_t generation, const char *error);
