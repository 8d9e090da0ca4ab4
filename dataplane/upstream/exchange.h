#pragma once

/*
 * One attempt of a request at one upstream: get a connection, send, read the reply's head and body,
 * give the connection back. Knows HTTP/1.1 framing and timeouts, nothing of what the bytes mean.
 *
 *   IDLE -> CONNECT -> SEND -> HEAD -> BODY -> IDLE        any -> IDLE on failure or cancel
 */

#include <llhttp.h>

#include "api/context.h"

enum exchange_state { EXCHANGE_IDLE, EXCHANGE_CONNECT, EXCHANGE_HEAD, EXCHANGE_BODY };

enum exchange_end {
    EXCHANGE_DONE,    /* the reply is complete */
    EXCHANGE_NO_ROOM, /* POOL_FULL */
    EXCHANGE_DNS,
    EXCHANGE_FORBIDDEN,
    EXCHANGE_REFUSED,
    EXCHANGE_TLS,
    EXCHANGE_TIMEOUT,
    EXCHANGE_CUT,      /* the connection ended before the reply did */
    EXCHANGE_STOPPED,  /* by exchange_stop() */
    EXCHANGE_PROTOCOL, /* what came is no acceptable HTTP/1.1 */
};

enum { REPLY_HEADERS_MAX = 24 };

struct reply_header { /* of the allow-list; name in lower case, static */
    struct str name, value;
};

struct exchange;

struct exchange_events {
    /* The reply's headers that are kept; a name that ends in '-' is a prefix. NULL: those of a
     * provider a client may see. */
    const struct str *headers;
    size_t n_headers;
    /* The reply's head is there: e->status, e->headers, e->content_type. */
    void (*on_head)(struct exchange *e);
    /* Body bytes, unchunked, valid during the call. May cancel the exchange. */
    void (*on_body)(struct exchange *e, const char *p, size_t n);
    /* The exchange is over, the connection back or closed: the last call. */
    void (*on_end)(struct exchange *e, enum exchange_end how);
};

struct exchange_timeouts {
    uint64_t first_ns;   /* from start to the first byte of the reply */
    uint64_t silence_ns; /* between bytes of the body */
    uint64_t total_ns;   /* whole exchange */
};

struct exchange {
    /* set by the owner */
    struct context *cx;
    struct arena *arena; /* for kept header values; lives as long as the exchange */
    const struct exchange_events *events;
    bool once; /* never sent again, whatever becomes of the connection: a write */
    /* read by the owner */
    enum exchange_state state;
    uint16_t status;
    bool reused;     /* on a kept-alive connection */
    bool is_stream;  /* content-type: text/event-stream */
    bool is_encoded; /* some Content-Encoding but identity */
    uint8_t n_headers;
    struct reply_header headers[REPLY_HEADERS_MAX];
    struct str content_type;
    uint64_t content_length; /* UINT64_MAX: not stated */
    uint32_t retry_after_ms; /* 0: none */
    uint64_t body_bytes;
    uint64_t start_ns, sent_ns, first_ns,
        end_ns; /* asked for a connection, request handed to it, first byte, end */
    /* private */
    struct upconn *conn;
    struct pool_wait *wait;
    struct origin *origin;
    const struct upconn_buf *piece;
    unsigned n_pieces, next_piece;
    bool revived, any_byte, complete, keep, paused, stopped, sending;
    struct exchange_timeouts limits;
    uint64_t last_ns;
    struct timer timer;
    llhttp_t parser;
    uint32_t head_bytes, n_lines, n_interim;
    uint16_t name_n, value_n;
    char name[64], value[512];
};

/* Before first use and between exchanges. */
void exchange_init(struct exchange *e, struct context *cx, struct arena *arena,
                   const struct exchange_events *events);

/*
 * Starts: `piece` (n_pieces, borrowed until the end) is the whole request, head first. No event
 * runs inside. ERRC_NOMEM or ERRC_LIMIT when it could not be started; then no event follows.
 */
MUST_CHECK enum errc exchange_start(struct exchange *e, struct origin *origin,
                                    const struct upconn_buf *piece, unsigned n_pieces,
                                    const struct exchange_timeouts *limits);

/* Ends it now: closes the connection, no event follows. Safe when idle and inside its events. */
void exchange_cancel(struct exchange *e);

/* The whole request has left: its pieces are not needed any more once a byte of the reply came. */
static inline bool exchange_is_sent(const struct exchange *e)
{
    return e->next_piece == e->n_pieces && !e->sending;
}

/* Inside on_head and on_body: the rest of the reply is not wanted. on_end(EXCHANGE_STOPPED)
 * follows, from where another exchange may be started; the connection is closed. */
void exchange_stop(struct exchange *e);

/* Back-pressure: stops and resumes on_body; silence is not counted while paused. */
void exchange_pause(struct exchange *e);
void exchange_resume(struct exchange *e);
