#pragma once

/*
 * The load generator's own: load.c reads the options and runs the clock, load_conn.c is one
 * connection, load_report.c counts and prints.
 *
 *     CONNECTING -> IDLE -> HEAD -> BODY -> IDLE
 *
 * A request is still being sent while out_off < request_len. Only load_conn.c sets a state.
 */

#include "http.h"

enum {
    READ_MAX = 256 * 1024,
    HEAD_MAX = 16384,
    LINE_MAX_BYTES = 512, /* of an SSE line, what is kept to look for a stamp */
};

/* A histogram of 128 linear steps in each power of two: a value is off by less than 1 %. */

enum { HIST_BITS = 7, HIST_SUB = 1 << HIST_BITS, HIST_SIZE = (64 - HIST_BITS) * HIST_SUB };

struct hist {
    uint64_t count, sum, max;
    uint64_t at[HIST_SIZE];
};

enum failure { FAIL_STATUS, FAIL_CONNECT, FAIL_READ, FAIL_TIMEOUT, FAIL_BODY, FAILURES };

enum measure { LATENCY, LATENESS, FIRST_EVENT, EVENT, MEASURES };

enum conn_state { CONN_CONNECTING, CONN_IDLE, CONN_HEAD, CONN_BODY };
enum framing { FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE };

struct conn {
    struct load *load;
    int fd;
    enum conn_state state;
    size_t idle_next; /* when idle: the next idle connection plus one */
    uint64_t due_ns, sent_ns;
    size_t out_off;

    char *head; /* an unfinished head; NULL until one was needed */
    size_t head_len;

    unsigned status;
    bool is_last, is_stream;
    enum framing framing;
    struct chunked chunked;
    uint64_t body_left; /* with a length */
    char body_tail;     /* last byte that is not white space */

    char line[LINE_MAX_BYTES]; /* of a stream */
    size_t line_len;
    uint64_t events;
    bool is_whole; /* the stream's last event came */
};

struct load {
    int ep;
    struct sockaddr_in addr;
    char *request;
    size_t request_len;
    struct conn *conns;
    size_t conn_count, idle_first; /* idle connections: LIFO, index plus one */
    size_t connecting;

    uint64_t rate, max_requests, timeout_ns, duration_ns;
    bool is_holding; /* --streams */

    uint64_t start_ns, end_ns, last_ns; /* last_ns: when the last answer was complete */
    uint64_t now_ns;                    /* when this batch of events was seen */
    uint64_t sent, waited, ok, answered, reconnects, bytes_in, ready;
    uint64_t failures[FAILURES];
    struct hist measures[MEASURES];
    struct hist *windows; /* --window: latencies once more, by when a request was due */
    size_t window_count;
    uint64_t window_ns;
    char read_buf[READ_MAX];
};

/* load_conn.c */

void conn_open(struct conn *c);
/* Sends the request that was due then, on an idle connection taken out of the list. */
void conn_request(struct conn *c, uint64_t due_ns);
/* Ends the connection, opens another in its place, and counts its request, if it had one, as
 * failed. */
void conn_fail(struct conn *c, enum failure why);
void conn_on_event(struct conn *c, uint32_t events);

/* load.c: before the end, and below the number asked for? */
bool load_may_send(const struct load *l);

/* load_report.c */

void hist_add(struct hist *h, uint64_t v);
/* The answer that is complete now, to a request that was due then. */
void load_add_latency(struct load *l, uint64_t due_ns);
void load_print(const struct load *l);
void load_print_json(const struct load *l);
