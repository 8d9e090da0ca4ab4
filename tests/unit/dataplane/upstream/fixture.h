#pragma once

/*
 * A pool on a loop with a hand-made generation, exchanges that note what they are told, and
 * servers that are plain sockets of the test, which decides what they do and when.
 */

#include "tests/unit/test.h"
#include "upstream/pool_priv.h"

enum { FIX_ORIGINS = 4, FIX_REGIONS = 2 };

struct fix_origin {
    const char *host;
    uint16_t port;
    uint32_t flags, max_connections;
    const char *ca, *proxy_host, *proxy_auth;
    uint16_t proxy_port;
};

struct fix {
    uv_loop_t loop;
    struct pool *pool;
    struct shared shared;
    struct region *region, *other; /* ours and another worker's */
    struct snapshot *s;
};

/* What one exchange was told. */
struct seen {
    struct upconn *c;
    struct pool_wait *wait;
    unsigned n_got, n_end, n_flushed;
    enum pool_got how;
    enum errc why;
    char *bytes; /* everything read; owned */
    size_t n_bytes;
    void (*then)(struct seen *s); /* called after each on_read; may be NULL */
};

extern const struct upconn_events seen_events;

void fix_open(struct fix *f);
void fix_close(struct fix *f);

/* Builds and adopts a generation of these origins; limits are connect, TLS 1 s and idle 60 s unless
 * changed. */
struct snapshot *fix_adopt(struct fix *f, const struct fix_origin *o, uint32_t n);
extern uint32_t fix_idle_ms, fix_connect_ms, fix_tls_ms;
extern const char *fix_nameservers;

struct origin *fix_origin(struct fix *f, uint32_t i);
void fix_dial(struct fix *f, struct origin *o, struct seen *s, unsigned deadline_ms);

/* Runs the loop until `cond` or 5 seconds, and fails then. */
#define fix_until(f, cond)                                                                         \
    do {                                                                                           \
        uint64_t fix_end_ns = clock_mono_ns() + UINT64_C(5000000000);                              \
        while (!(cond)) {                                                                          \
            fix_turn(f);                                                                           \
            if (clock_mono_ns() > fix_end_ns)                                                      \
                fail_msg("never happened: %s", #cond);                                             \
        }                                                                                          \
    } while (0)

/* One turn of the loop, waiting 1 ms at most. */
void fix_turn(struct fix *f);
void fix_run_ms(struct fix *f, unsigned ms);

/* Dials and waits until connected. */
void fix_connect(struct fix *f, struct origin *o, struct seen *s);

void seen_reset(struct seen *s);

/* --- servers -------------------------------------------------------------------------------------
 */

/* Listens on 127.0.0.1; the port goes to *ret_port. */
int server_listen(uint16_t *ret_port, int backlog);

/* Accepts, waiting; the socket is non-blocking. */
int server_accept(struct fix *f, int listener);

/* Reads exactly `n` bytes, running the loop meanwhile. */
void server_expect(struct fix *f, int fd, const char *text);
void server_send(int fd, const char *text);
