#pragma once

/* Messages between manager, link and workers: one datagram each on a SOCK_SEQPACKET pair, one
 * descriptor at most. */

#include "common/err.h"

enum control_type {
    CONTROL_GENERATION, /* link -> manager -> worker: n = generation, descriptor = sealed memfd;
                           manager -> link: the one in force, to a link that was restarted */
    CONTROL_BASE,       /* link -> manager -> worker: n of a base of identities, descriptor = sealed
                           memfd; in force once an overlay over it follows. manager -> link: as
                           above, before the overlay */
    CONTROL_OVERLAY,    /* the same, of an overlay */
    CONTROL_REFUSED,    /* link -> manager: the configuration was not accepted; text says why */
    CONTROL_READY,      /* worker -> manager: serves generation n and accepts */
    CONTROL_RELOAD,     /* manager -> link: read the configuration again */
    CONTROL_REOPEN,     /* manager -> link: reopen log files */
    CONTROL_WORKER_DIED, /* manager -> link: n = region */
    CONTROL_REGION_FREE, /* link -> manager: n = region, settled */
    CONTROL_DRAIN,       /* manager -> worker: finish what runs (control_drain()); -> link:
                            flush and end */
    CONTROL_TYPES,
};

struct control_msg {
    uint32_t type; /* enum control_type */
    uint32_t reserved;
    uint64_t n;
    char text[512]; /* NUL-terminated */
};

/* CONTROL_DRAIN's n for a worker: finish within, and take new connections for. Milliseconds. */
static inline uint64_t control_drain(uint32_t within_ms, uint32_t accept_ms)
{
    return (uint64_t)accept_ms << 32 | within_ms;
}

static inline uint32_t control_drain_within(uint64_t n)
{
    return (uint32_t)n;
}

static inline uint32_t control_drain_accept(uint64_t n)
{
    return (uint32_t)(n >> 32);
}

/* What the children of the manager inherit. */
enum {
    CONTROL_FD = 3,
    SHARED_FD = 4,
    RESPONSES_FD = 5,   /* shared/response_store.h; workers use it */
    COUNTERS_FD = 6,    /* shared/counters.h */
    TRANSCRIPTS_FD = 7, /* shared/transcripts.h */
    LISTEN_FD = 8,      /* and following, one per address */
};

/* Sends with MSG_DONTWAIT. `pass_fd` -1: none; it stays the caller's. ERRC_LIMIT when the peer does
 * not read, ERRC_CLOSED, ERRC_SYS. */
MUST_CHECK enum errc control_send(int fd, const struct control_msg *m, int pass_fd, struct err *e);

/* Receives one; *ret_fd is -1 or the caller's now (close-on-exec). ERRC_TIMEOUT when nothing is
 * there, ERRC_CLOSED at the end. */
MUST_CHECK enum errc control_recv(int fd, struct control_msg *ret_m, int *ret_fd, struct err *e);
