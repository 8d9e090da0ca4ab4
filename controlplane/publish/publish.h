#pragma once

/*
 * What was committed goes to the data planes, and the answer of a change waits for them a moment: a
 * key works once its creator holds it. The database connection is given back before.
 *
 *   reader     sees what was committed, gives it revisions       thread, connections of its own
 *   pages      reads everything, page by page, for who is new    thread, a connection of its own
 *   intake     usage of data planes: to spend                    threads, connections of their own
 *   hub        sessions, parked requests, acknowledgements       any thread, short
 *   sockets    ipc and tls+tcp                                   threads of nng
 *   roster     the other control planes' data planes             of the reader, and of who asks
 *   publish    answers that wait                                 the loop
 */

#include "api/call.h"

struct publish;
struct hub;
struct roster;

/* On the loop's thread, before it runs. Who comes over ipc is told that the database is away. */
MUST_CHECK enum errc publish_new(struct publish **ret_p, struct daemon *d, struct err *e);

/* On any thread, with d->catalog: reads the database, and listens on other machines' addresses too,
 * whose certificate lies in it. ERRC_CLOSED: nothing was begun, another try may work. */
MUST_CHECK enum errc publish_open(struct publish *p, const struct db_wait *w, struct err *e);

/* Closes its handles on the loop: the next turn is its last. No answer waits any more. */
void publish_close(struct publish *p);
/* After the loop ended. */
struct publish *publish_free(struct publish *p);

/* Something was committed: data planes are told. A number for publish_park(). Any thread. */
uint64_t publish_kick(struct daemon *d);

/*
 * On the loop, with the answer of a committed change ready. True: it will be answered, by
 * daemon_answer(), once the connected data planes have acknowledged it or a second is over. False:
 * answer now. With data planes x-weir-applied: N/M stands in the answer: of M that are connected, N
 * have it.
 */
bool publish_park(struct daemon *d, struct call *c);

struct hub *publish_hub(struct publish *p);
const struct roster *publish_roster(const struct publish *p);
