#pragma once

/*
 * Connections to upstreams, of one worker: kept-alive ones lent and given back, new ones dialled
 * (DNS, address check, TCP, CONNECT, TLS), ceilings over all workers. Worker only; everything runs
 * on its loop.
 *
 *   origin   scheme, host, port and TLS policy: connections of one origin are interchangeable.
 * Outlives generations. upconn   one connection: idle in its origin's LIFO list, or lent to one
 * exchange.
 */

#include <uv.h>

#include "shared/region.h"
#include "snapshot/view.h"

struct pool;
struct origin;
struct upconn;

enum pool_got {
    POOL_CONNECTED,
    POOL_FULL,      /* max_connections of the origin reached and the wait was too long */
    POOL_DNS,       /* the name does not resolve */
    POOL_FORBIDDEN, /* it resolves only to addresses that may not be dialled (threats O-04 to O-06)
                     */
    POOL_REFUSED,   /* connect failed, or the proxy said no */
    POOL_TLS,       /* handshake or certificate: not to be retried */
    POOL_TIMEOUT,
};

/* Never NULL-terminated bytes to send; borrowed until sent. */
struct upconn_buf {
    const char *p;
    size_t n;
};

/* What a lent connection tells its exchange. None runs inside a call of the exchange into this
 * module. */
struct upconn_events {
    /* `n` > 0 bytes of plaintext, valid during the call, which may close or put the connection. */
    void (*on_read)(void *ctx, const char *p, size_t n);
    /* The peer is done: ERRC_CLOSED for an orderly end (FIN, with TLS close_notify), else
       ERRC_PROTO, ERRC_SYS, ERRC_TIMEOUT (write stalled), and for TLS a FIN without close_notify is
       ERRC_PROTO (threats T-05). The connection still has to be closed. */
    void (*on_end)(void *ctx, enum errc why);
    /* Everything given to upconn_write() has left. Only after a write that returned UPCONN_QUEUED.
     */
    void (*on_flushed)(void *ctx);
};

enum upconn_wrote { UPCONN_SENT, UPCONN_QUEUED, UPCONN_BROKEN };

typedef void (*pool_got_fn)(void *ctx, enum pool_got how, struct upconn *c);

/* `region` holds the worker's connection counts and metrics; `shared` those of all. Both borrowed.
 */
MUST_CHECK enum errc pool_new(struct pool **ret_p, uv_loop_t *loop, const struct shared *shared,
                              struct region *region, struct err *e);

/* Closes every idle connection; lent ones must be back. Memory goes when the loop has closed the
 * handles. */
void pool_close(struct pool *p);

/*
 * Makes the origins of a generation known: pool_origin(p, i) is then origin i of it. Origins equal
 * to known ones keep their connections; those no generation and no exchange uses any more close
 * theirs. Parses CA bundles when changed.
 */
MUST_CHECK enum errc pool_adopt(struct pool *p, const struct snapshot *s, struct err *e);
struct origin *pool_origin(struct pool *p, uint32_t index);

/* An idle connection that looks alive, or NULL: then dial. Sets its events. No allocation. */
struct upconn *pool_reuse(struct pool *p, struct origin *o, const struct upconn_events *ev,
                          void *ctx);

/*
 * Dials a new connection. cb(ctx, how, c) runs later, once, unless pool_cancel() was called first;
 * c is NULL unless POOL_CONNECTED, and is then lent with events `ev`. Waits at most until
 * `deadline_ns` (monotonic), and for each step the settings' own limit. Full origins queue here,
 * first come first served, and take a connection given back meanwhile.
 */
struct pool_wait;
MUST_CHECK enum errc pool_dial(struct pool *p, struct origin *o, uint64_t deadline_ns,
                               const struct upconn_events *ev, pool_got_fn cb, void *ctx,
                               struct pool_wait **ret_wait);
void pool_cancel(struct pool_wait *w);

/* Gives a connection back for reuse: the reply was complete, nothing extra came, nothing is queued
 * (threats C-10). */
void pool_put(struct upconn *c);

/* Ends a lent connection: close for good. No event follows. */
void upconn_close(struct upconn *c);

/*
 * Sends `n_bufs` (at most 4) pieces. UPCONN_SENT: all gone, the pieces are free. UPCONN_QUEUED:
 * they are borrowed until on_flushed() or upconn_close(). UPCONN_BROKEN: the connection is dead,
 * close it. One write at a time.
 */
enum upconn_wrote upconn_write(struct upconn *c, const struct upconn_buf *bufs, unsigned n_bufs);

/* Stops and starts on_read: back-pressure from a slow client. */
void upconn_pause(struct upconn *c);
void upconn_resume(struct upconn *c);

/* It served an exchange before: a death before the first byte may be the keep-alive race (threats
 * C-06). */
bool upconn_is_reused(const struct upconn *c);
