#pragma once

/* Between the two files of the hub: hub.c, hub_nodes.c. */

#include <pthread.h>

#include "publish/hub.h"

enum { POD = 16, SPOOL = 16 };

struct session {
    unsigned char id[HUB_SESSION], pod[POD];
    char host[128], version[32], error[256];
    char token[40]; /* id of the one it joined with; empty: local */
    uint32_t pipe;
    bool is_connected;
    uint64_t seen_ns;
    struct revision have;
    bool is_late;
    uint64_t late_n; /* until it has this one */
    void *parked;    /* NULL: nothing waits */
    uint64_t parked_until_ns;
    unsigned n_working[HUB_WORKS]; /* each up to work_max */
    bool config_matches, is_draining, spool_is_full;
    uint32_t workers;
    uint64_t requests, in_flight, spool_bytes, resident_bytes, entities;
    uint64_t unshipped_bytes, unshipped_ms;
    bool wants_totals;
    unsigned char spool[SPOOL];
    uint64_t totals;             /* it has those, */
    struct feed_place totals_at; /* and what lies before this of those behind; {0}: no more */
    uint64_t claimed;            /* ... as it said itself, when the session began */
    bool is_judged, was_told;    /* that was looked at; those are of this session */
};

struct hub {
    struct hub_options o;
    pthread_mutex_t lock; /* of all below */
    struct feed feed;
    struct feed totals;       /* "revisions" are moments */
    struct hub_spool *spools; /* by name: what the newest of them hold */
    size_t n_spools;
    struct wire wire;
    struct session *sessions[HUB_SESSIONS];
    unsigned n_sessions;
    struct hub_token *tokens;
    size_t n_tokens;
    bool has_tokens; /* they were read once */
    bool is_awaited;
};

bool session_is_live(const struct session *s, uint64_t now_ns);
