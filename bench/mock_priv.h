#pragma once

/*
 * The mock's own: mock.c runs the loop, mock_conn.c reads requests, mock_answer.c writes answers.
 *
 *     HEAD -> BODY -> (WAIT ->) STREAM -> HEAD
 *
 * WAIT and STREAM are driven by the heap of due times, the rest by the socket. Only mock_conn.c
 * sets a state.
 */

#include <openssl/ssl.h>

#include "http.h"

enum {
    HEAD_MAX = 16384,
    WINDOW_FIRST = 8192, /* of a body: what is searched for fields */
    WINDOW_LAST = 2048,
    READ_MAX = 256 * 1024,
    LISTENERS_MAX = 4,
    LEDGER_FLUSH = 32768,
    PROMPT_TOKENS = 10,
};

/* What the model name asked for. */
struct plan {
    uint64_t events, interval_us;
    uint64_t text_bytes; /* 0: answer_text */
    uint64_t wait_us;
    uint64_t status;
};

/* One request and its answer. */
struct exchange {
    const struct dialect *dialect; /* NULL: unknown path */
    struct plan plan;
    char path[96], model[96], id[48];
    uint64_t seq, bytes_in, events_sent, tokens_out;
    bool is_streamed, has_usage; /* has_usage: include_usage was asked for */
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_WAIT, CONN_STREAM, CONN_CLOSED };

struct conn {
    struct mock *mock;
    int fd;
    SSL *ssl; /* NULL: plain */
    enum conn_state state;
    bool is_last;   /* "Connection: close" */
    size_t heap_at; /* place in mock.heap plus one; 0: not there */
    uint64_t due_ns;

    char head[HEAD_MAX]; /* an unfinished head, or bytes that came before their turn */
    size_t head_len;

    bool is_chunked;
    struct chunked chunked;
    uint64_t body_left; /* when not chunked */
    char first[WINDOW_FIRST], last[WINDOW_LAST];
    size_t first_len, last_len;

    struct exchange ex;

    char *out;
    size_t out_off, out_len, out_cap;
};

struct listener {
    int fd;
    bool is_tls;
};

struct mock {
    int ep;
    SSL_CTX *tls;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct conn **heap; /* waiting and streaming connections by due_ns */
    size_t heap_len, heap_cap;
    uint64_t seq;
    char run[9], started[12]; /* hexadecimal mark of this process in ids; seconds since 1970 */
    int ledger_fd;            /* -1: none */
    char ledger[2 * LEDGER_FLUSH];
    size_t ledger_len;
    char read_buf[READ_MAX];
};

/* mock.c */

/* Has conn_due() called at that time instead of any other. */
void conn_wake_at(struct conn *c, uint64_t due_ns);
void conn_wake_cancel(struct conn *c);
/* One line for an exchange, done or aborted. */
void ledger_add(struct mock *m, const struct exchange *ex, bool is_done);

/* mock_conn.c; each may close the connection, and whoever calls from the loop then calls
 * conn_free_closed(). */

void conn_on_event(struct conn *c, uint32_t events);
void conn_due(struct conn *c);
void conn_free_closed(struct conn *c);

/* mock_answer.c: reads c->ex and the body's windows, appends to c->out */

/* The path's dialect is found while the head is read. */
void exchange_set_path(struct exchange *ex, const char *path, size_t n);
/* Plans the answer, once the body is there. */
void answer_plan(struct conn *c);
/* The whole answer, or the head of a stream. */
void answer_begin(struct conn *c);
/* The next event of a stream or, without interval, the next few; the end behind the last. */
void answer_events(struct conn *c);
bool answer_is_complete(const struct conn *c);
void out_put(struct conn *c, const char *p, size_t n);
