#pragma once

/*
 * Connections to upstreams, of one worker: kept-alive ones lent and given back, new ones dialled
 * (DNS, address check, TCP, CONNECT, TLS), ceilings over all workers. Worker only; everything runs
 * on its loop.
 *
 *   origin    scheme, host, port, proxy and TLS policy: connections of one origin are
 *             interchangeable; outlives generations
 *   upconn    one connection: idle in its origin's LIFO list, or lent to one exchange
 *   pool_wait an exchange's claim on a connection: queued while the origin is full, then dialled
 *
 * With a proxy every origin is reached by CONNECT, plain http ones too: a connection then behaves
 * the same however it was made, and the proxy's credential stays out of requests.
 */

#include <uv.h>

#include "shared/region.h"
#include "snapshot/view.h"

enum { POOL_READ_MAX = (64 + 16) * 1024 };

struct pool;
struct origin;
struct upconn;
struct pool_wait;

enum pool_got {
    POOL_CONNECTED,
    POOL_FULL,      /* max_connections of the origin, or ports and descriptors of this host, used
                       up and the wait was too long: 503 */
    POOL_DNS,       /* the name does not resolve */
    POOL_FORBIDDEN, /* it resolves only to addresses that may not be dialled (threats O-04 to O-06)
                     */
    POOL_REFUSED,   /* connect failed, the proxy said no, or it was gone before it was ready */
    POOL_TLS,       /* handshake or certificate: not to be retried */
    POOL_TIMEOUT,
};

/* Bytes to send; borrowed until sent. */
struct upconn_buf {
    const char *p;
    size_t n;
};

/* What a lent connection tells its exchange. None runs inside a call of the exchange into this
 * module. */
struct upconn_events {
    /* `n` > 0 bytes of plaintext (at most POOL_READ_MAX), valid during the call, which may close or
       put the connection. */
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

/*
 * `region` holds the worker's connection counts and metrics; `shared` those of all. Both borrowed.
 * The region is held and its gauges are zero; SIGPIPE is ignored (libuv writes with plain write()).
 */
MUST_CHECK enum errc pool_new(struct pool **ret_p, uv_loop_t *loop, const struct shared *shared,
                              struct region *region, struct err *e);

/* Closes every idle connection; lent ones must be back, waits told or cancelled. Memory goes when
 * the loop has closed the handles. NULL is fine. */
void pool_close(struct pool *p);

/*
 * Makes the origins of a generation known and takes the resolver's and timeouts' settings from it.
 * Origins equal to known ones keep their connections; those of no generation in use any more close
 * theirs. The pool holds a reference to `s` until nobody else does and a newer one was adopted, so
 * exchanges may ask for the origins of the generation they began with. Parses CA bundles when
 * changed (10 ms for the 150 authorities of a distribution); on failure nothing has changed. The
 * first call, and one that changes the nameservers, reads the system's resolver files.
 */
MUST_CHECK enum errc pool_adopt(struct pool *p, struct snapshot *s, struct err *e);

/* Origin `index` of generation `s`, which was adopted; NULL beyond its end. Valid while `s` is. */
struct origin *pool_origin(struct pool *p, const struct snapshot *s, uint32_t index);

/* An idle connection that looks alive, or NULL: then dial. Sets its events. No allocation. */
struct upconn *pool_reuse(struct pool *p, struct origin *o, const struct upconn_events *ev,
                          void *ctx);

/*
 * Dials a new connection. cb(ctx, how, c) runs later, once, unless pool_cancel() was called first;
 * c is NULL unless POOL_CONNECTED, and is then lent with events `ev`. Waits at most until
 * `deadline_ns` (monotonic), and for each step the settings' own limit; a tick of 100 ms is the
 * resolution. Full origins queue here, first come first served, and take a connection given back
 * meanwhile. ERRC_LIMIT: the queue is full, ERRC_NOMEM.
 */
MUST_CHECK enum errc pool_dial(struct pool *p, struct origin *o, uint64_t deadline_ns,
                               const struct upconn_events *ev, pool_got_fn cb, void *ctx,
                               struct pool_wait **ret_wait);
void pool_cancel(struct pool_wait *w);

/* Gives a connection back for reuse: the reply was complete, nothing extra came, nothing is queued
 * (threats C-10). It goes to the first waiter, to the idle list, or is closed for its age. */
void pool_put(struct upconn *c);

/*
 * The reply said "Keep-Alive: timeout": connections of this origin idle no longer than a second
 * less, for the next minutes (threats C-06). Closes seen on idle connections teach the same.
 */
void upconn_limit_idle(struct upconn *c, unsigned timeout_s);

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
