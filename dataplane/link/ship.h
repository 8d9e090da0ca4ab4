#pragma once

/*
 * Sends the spool to the control plane, in order, until it is acknowledged: a thread beside the
 * session's, over the same connection, with one batch on its way. The control plane's cursor is the
 * only memory: it is asked for at the start of each session, and after whatever went wrong.
 *
 *   cursor? ─▶ batch from there ─▶ taken: the cursor moves, whole segments before it may go ─┐
 *      ▲             ▲                                                                       │
 *      │             └───────── at once, or when the spool has more ◀────────────────────────┘
 *      └── back off ◀── no answer, no database, nonsense, a cursor that fell back with its database
 *
 * So a batch goes again after any death on either side, and counts once. Link only.
 */

#include "link/plane.h"
#include "link/spool.h"
#include "shared/region.h"

struct ship;

struct ship *ship_new(struct shared *shared); /* borrowed; NULL: no memory */

/* Begins the thread, unless it runs: a control plane is configured. ERRC_SYS. */
MUST_CHECK enum errc ship_start(struct ship *s, struct err *e);

/* Ends the thread; the session is closed before. Then the spool may go, whose thread still calls.
 */
void ship_stop(struct ship *s);
struct ship *ship_free(struct ship *s);

/* What is sent; borrowed until ship_stop(). Once. */
void ship_spool(struct ship *s, struct spool *spool);

/* From the session's thread: usage goes over `plane` (borrowed) under that name. With n == 0 none
 * is sent any more, and `plane` is not used once this returns; disconnected before, it is short. */
void ship_session(struct ship *s, struct plane *plane, const unsigned char *name, size_t n);

/* spool_options.synced; from any thread. */
void ship_on_synced(void *ship);

/* Nothing of the spool waits, or nobody takes it. */
bool ship_is_done(struct ship *s);
