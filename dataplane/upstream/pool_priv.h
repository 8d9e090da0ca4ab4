#pragma once

/*
 * What pool.c, origin.c, conn.c and dial.c share.
 *
 *              pool_dial                              pool_reuse
 *                  ▼                                       ▼
 *   pool_wait:  QUEUED ─▶ RESOLVING ─▶ DIALLING ─▶ TELLING │
 *                  ▲                      │           ▲    │
 *   upconn:        │  CONNECTING ─▶ TUNNEL ─▶ HANDSHAKE ─▶ HANDED ─▶ LENT ◀─▶ IDLE
 *                  └──────────────────── died ◀───────┘            (any) ─▶ CLOSING
 *
 * A claim is one connection counted against the ceilings: a wait holds it while it dials and
 * passes it on to the connection it made. Callbacks of exchanges run only from the loop: outcomes
 * of waits go through the pool's `ready` list and its idle handle.
 */

#include "common/list.h"
#include "common/net/dns.h"
#include "common/net/tls.h"
#include "common/slab.h"

#include "upstream/pool.h"

enum {
    POOL_IN = POOL_READ_MAX - TLS_RECORD, /* of one read; plaintext may hold a record more */
    POOL_OUT = 4 * TLS_RECORD_MAX,        /* ciphertext of one loop turn and connection */
    POOL_TICK_MS = 100,
    POOL_CONNECTIONS = 16384, /* of one worker, to all origins */
    POOL_WAITS = 32768,
    ORIGIN_WAITERS = 4096,   /* queued for one origin */
    ORIGIN_DIALS = 64,       /* of one origin under way at a time: bounds handshakes and storms */
    HANDSHAKES_PER_TURN = 1, /* their arithmetic takes milliseconds: others come between */
    /* Threats C-10. At thousands of requests a second 1,000 of them are a second: connections made
     * together would all be worn together, and their handshakes hold up who waits for one. */
    CONN_AGE_MS = 5 * 60 * 1000,
    CONN_REQUESTS = 10000,
    CONN_SPREAD = 4,                  /* each connection lasts up to a quarter less */
    CONN_PEEK_MS = 1000,              /* idle for longer: looked at before reuse (threats C-06) */
    CONN_STALL_MS = 20000,            /* nothing of a write accepted for so long (threats C-08) */
    ORIGIN_IDLE_MIN_MS = 1000,        /* never learnt lower */
    ORIGIN_LEARNT_MS = 5 * 60 * 1000, /* then forgotten */
    ORIGIN_FULL_IDLE_MS = 1000,       /* idle limit while other workers may want the place */
    ORIGIN_WARN_MS = 10 * 1000,       /* between log lines of one origin */
};

struct out_buf { /* ciphertext on its way */
    size_t n;
    char bytes[POOL_OUT];
};

struct origin {
    struct list link;
    struct pool *pool;
    struct str host, proxy_host, proxy_auth; /* owned, one block at host.p */
    uint16_t port, proxy_port;
    uint32_t flags; /* enum snap_origin_flags */
    struct tls_trust *trust;
    struct tls_session *session;
    uint32_t slot, max_connections;
    unsigned generations; /* that name it */
    unsigned n_claims, n_dials, n_waits, n_waiters;
    struct list idle;    /* upconn, most recently used first */
    struct list waiters; /* pool_wait in WAIT_QUEUED, first come first */
    unsigned learnt_idle_ms;
    uint64_t learnt_until_ms;
    union addr good_addr; /* connected last, tried first; family 0: none */
    uint64_t warned_ms;
};

enum wait_state { WAIT_QUEUED, WAIT_RESOLVING, WAIT_DIALLING, WAIT_TELLING };

enum tunnel_got { TUNNEL_MORE, TUNNEL_OPEN, TUNNEL_REFUSED };

struct tunnel {      /* the proxy's reply as far as it has come */
    char status[12]; /* "HTTP/1.1 200" */
    unsigned n;      /* bytes seen */
    unsigned blank;  /* how much of CR LF CR LF was matched */
};

struct pool_wait {
    struct list link; /* origin's waiters, pool's dials or ready */
    enum wait_state state;
    struct origin *origin;
    struct upconn *conn; /* DIALLING, TELLING of POOL_CONNECTED */
    const struct upconn_events *ev;
    pool_got_fn cb;
    void *ctx;
    uint64_t deadline_ms, step_due_ms, connect_until_ms; /* of uv_now() */
    enum pool_got how;                                   /* so far, then for cb */
    unsigned next_addr;
    bool is_second_try; /* the handshake failed with a session, now without */
    struct tunnel tunnel;
    struct dns_wait dns;
    struct dns_addrs addrs;
};

enum conn_state {
    CONN_CONNECTING,
    CONN_TUNNEL,
    CONN_HANDSHAKE,
    CONN_HANDED, /* given to a wait that has not been told yet */
    CONN_LENT,
    CONN_IDLE,
    CONN_CLOSING,
    CONN_STATES
};

struct upconn {
    uv_tcp_t tcp;
    union {
        uv_connect_t connect; /* CONN_CONNECTING */
        uv_write_t write;     /* is_writing */
    } req;
    enum conn_state state;
    bool has_claim, is_paused, is_writing, has_ended, has_saved_session;
    uint32_t requests, max_requests;
    struct pool *pool;
    struct origin *origin;  /* NULL: closing */
    struct pool_wait *wait; /* CONN_CONNECTING to CONN_HANDED */
    struct list link;       /* origin's idle list */
    const struct upconn_events *ev;
    void *ctx;
    uint64_t worn_ms, idle_ms; /* when */
    struct tls *tls;
    struct out_buf *out;       /* being sent */
    struct list writing;       /* pool's writers */
    struct upconn_buf bufs[4]; /* what of a write is not encrypted yet */
    unsigned n_bufs;
    size_t unsent;
    uint64_t progress_ms; /* when `unsent` last changed */
};

struct generation {
    struct list link;
    struct snapshot *s;
    uint32_t n;
    struct origin *origin[];
};

struct pool {
    uv_loop_t *loop;
    const struct shared *shared;
    struct region *region;
    struct dns *dns;
    char *nameservers; /* as configured in the resolver */
    bool is_ipv4_only;
    unsigned connect_ms, tls_ms, idle_ms;
    uv_timer_t tick;
    uv_idle_t later;
    unsigned open_handles, n_ticks;
    uint32_t n_born;         /* connections ever made */
    struct list origins;     /* all */
    struct list generations; /* newest last */
    struct list dials;       /* pool_wait in WAIT_RESOLVING and WAIT_DIALLING */
    struct list ready;       /* pool_wait in WAIT_TELLING */
    struct list writers;     /* upconn with a write under way */
    struct slab conns, waits, outs;
    uint64_t turn_ms; /* loop time in which `turn_handshakes` steps were made */
    unsigned turn_handshakes;
    char in[POOL_IN];
    char plain[POOL_READ_MAX];
    char gather[TLS_PIECE];
};

static inline uint64_t pool_now_ms(const struct pool *p)
{
    return uv_now(p->loop);
}

/* --- pool.c --------------------------------------------------------------------------------------
 */

/* Tells the wait later; it holds no claim any more. `c` (may be NULL) is lent to it then. */
void pool_tell(struct pool *p, struct pool_wait *w, enum pool_got how, struct upconn *c);

/* One handle of the pool is closed; frees it with the last. */
void pool_handle_closed(struct pool *p);

/* --- origin.c ------------------------------------------------------------------------------------
 */

/* Counts one more connection if the ceilings allow, closing an idle one of ours if that helps. */
MUST_CHECK bool origin_claim(struct origin *o);
void origin_release(struct origin *o);

/* Starts dials for waiters while there is room. Runs no callback of an exchange. */
void origin_advance(struct origin *o);

/* Closes what has been idle too long, and retries for waiters other workers made room for. */
void origin_tick(struct origin *o);

void origin_learn_idle(struct origin *o, uint64_t idle_ms);
struct origin *origin_free(struct origin *o);

/* Drops generations and origins nobody uses any more; with `all` every one. */
void pool_sweep(struct pool *p, bool all);

/* --- conn.c --------------------------------------------------------------------------------------
 */

/* A connection with an open, unconnected socket, or NULL with *ret_how saying why. */
struct upconn *conn_new(struct origin *o, sa_family_t family, enum pool_got *ret_how);
void conn_enter(struct upconn *c, enum conn_state to);
bool conn_read_start(struct upconn *c);

/* Bytes came in. A call into the exchange may be its last. */
void conn_input(struct upconn *c, const char *p, size_t n);

/* Keeps the session for the origin's next connections, if one came. */
void conn_save_session(struct upconn *c);

/* Sends a message that a fresh socket takes whole; false when it does not. */
bool conn_send_now(struct upconn *c, const char *p, size_t n);

/* Lends it; gives it to the first waiter, the idle list, or closes it. */
void conn_lend(struct upconn *c, const struct upconn_events *ev, void *ctx);
void conn_give(struct upconn *c);
void conn_hand(struct upconn *c, struct pool_wait *w);
bool conn_looks_alive(const struct upconn *c);
bool conn_is_worn(const struct upconn *c);

/* Closes for good; conn_drop() leaves the place to its caller, conn_close() to waiters. */
void conn_drop(struct upconn *c);
void conn_close(struct upconn *c);

/* A write under way made no progress for too long, or did. */
void conn_check_write(struct upconn *c);

enum errc errc_from_uv(int status);

/* --- dial.c --------------------------------------------------------------------------------------
 */

/* Starts dialling for `w`, which holds a claim. It may have failed (and be about to be told). */
void dial_start(struct pool_wait *w);

/* Bytes and the end of a connection in CONN_TUNNEL or CONN_HANDSHAKE. */
void dial_input(struct upconn *c, const char *p, size_t n);
void dial_lost(struct upconn *c, enum errc why);

/* Ends the dial of `w` and gives back what it holds. It is told nothing. */
void dial_stop(struct pool_wait *w);

/* Checks deadline and step of `w`. */
void dial_tick(struct pool_wait *w);

/* Reads of the reply to CONNECT: a 2xx and an empty line, at most 16 KiB, nothing behind it. */
enum tunnel_got tunnel_read(struct tunnel *t, const char *p, size_t n);
