#pragma once

/*
 * The session with a control plane, as threads beside the session's own use it: each has a way of
 * its own and asks over its lane of the connection. A session that ends gives up what is asked and
 * waits for that; the connection is used by nobody then.
 */

#include <pthread.h>

#include "link/plane.h"
#include "link/reply.h"

struct way_session {
    struct plane *plane; /* NULL: none */
    unsigned char name[REPLY_SESSION_MAX];
    size_t n;
    uint64_t serial; /* differs from session to session */
};

struct way {
    pthread_mutex_t lock; /* of the rest, and of what else its owner puts under it */
    pthread_cond_t woken;
    struct way_session now;
    bool has_news, is_stopped, is_asking;
};

void way_init(struct way *w);
void way_deinit(struct way *w);

/* From the session's thread, as ship_session(). */
void way_give(struct way *w, struct plane *plane, const unsigned char *name, size_t n);

/* From any thread: wakes whoever waits on `woken`; for good. */
void way_wake(struct way *w);
void way_stop(struct way *w);

/* Goes on in the session there is now; true when it is another one. */
bool way_enter(struct way *w, struct way_session *used);

/* Asks in the session `used`; the answer lies in the arena, which is emptied before. ERRC_CLOSED:
 * that session is over; else as plane_ask() and reply_read(). */
MUST_CHECK enum errc way_ask(struct way *w, const struct way_session *used, enum plane_lane lane,
                             Weir__Request *q, unsigned timeout_ms, struct arena *a,
                             const Weir__Reply **ret, struct err *e);
