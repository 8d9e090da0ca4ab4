#pragma once

/*
 * The way to one control plane: nng's req over ipc, or over tls+tcp with certificates on both
 * sides. Three lanes over one connection, each with one request at a time and a thread of its own:
 * the session's, which connects, and those that ship usage and transcripts. Whatever happens to the
 * connection ends what is asked. What came before the other end was lost is never asked again by
 * itself.
 */

#include "common/err.h"
#include "common/gateway/join.h"

enum plane_lane { PLANE_SESSION, PLANE_USAGE, PLANE_TRANSCRIPTS, PLANE_LANES };

struct plane;

struct plane *plane_new(void); /* NULL: no memory */
struct plane *plane_free(struct plane *p);

/* Connects to an address with the certificates of `j` (borrowed for the call), whatever was before.
 * ERRC_TIMEOUT: nobody answers, or a certificate is not accepted; ERRC_CLOSED: nobody listens, which
 * of a local socket shows at once, or plane_stop(); ERRC_INVALID, ERRC_NOMEM, ERRC_SYS. */
MUST_CHECK enum errc plane_connect(struct plane *p, const char *address, const struct join *j,
                                   struct err *e);
/* What another lane asks is given up, and waited for. */
void plane_disconnect(struct plane *p);

/* From any thread: closing a connection has not come to its end for seconds, and never will: nng
 * 1.5.2 can wait for ever for one that broke as it was written to. Only another process helps. */
bool plane_is_stuck(const struct plane *p, uint64_t now_ns);

/*
 * Sends `request` and waits for the answer, which the lane keeps until its next call. ERRC_TIMEOUT,
 * ERRC_CLOSED (the connection, or plane_stop()), ERRC_NOMEM. After a failure the session's lane has
 * to connect again; the others may ask again while there is a connection.
 */
MUST_CHECK enum errc plane_ask(struct plane *p, enum plane_lane lane, struct str request,
                               unsigned timeout_ms, struct str *ret_answer, struct err *e);

/* Waits; false when plane_stop() ended it. */
bool plane_sleep(struct plane *p, unsigned ms);

/* From any thread: what waits ends, and what would wait does not. */
void plane_stop(struct plane *p);
bool plane_is_stopped(struct plane *p);
