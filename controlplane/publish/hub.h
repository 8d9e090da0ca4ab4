#pragma once

/*
 * The data planes that are connected: their sessions, what they asked and wait for, what they have
 * acknowledged. It answers from memory or hands on; it opens no socket and asks no database. Any
 * thread may call; every call is short.
 *
 *   Hello ───────▶ session        ChangesSince ─▶ parked ─▶ page of the feed, or heartbeat
 *                                             └─▶ job: a page that only the database has
 *                               UsageBatch ───▶ usage: to spend, in the database
 *                               Transcripts ──▶ transcripts: into the log
 */

#include "publish/wire.h"

enum {
    HUB_PROTOCOL = 1,        /* the newest spoken */
    HUB_PROTOCOL_OLDEST = 1, /* and the oldest */
    HUB_HEARTBEAT_MS = 4000, /* a parked request is answered within */
    HUB_GONE_MS = 10000,     /* who is silent for as long is gone ... */
    HUB_FORGET_MS = 120000,  /* ... and then forgotten */
    HUB_SESSIONS = 4096,
    HUB_SESSION = 16, /* bytes of a session's name */
};

enum hub_work { HUB_PAGE, HUB_USAGE, HUB_TRANSCRIPTS, HUB_WORKS }; /* others do it, for a session */

struct hub_job { /* a page for somebody */
    void *to;    /* as in hub_request() */
    unsigned char session[HUB_SESSION];
    bool is_delta;            /* what changed since `have`, when that is little; else everything */
    struct revision have;     /* of a delta */
    struct revision revision; /* what holds once all pages were taken */
    struct entities_place place; /* its keys borrow from the request */
};

struct hub_delivery { /* what a data plane hands over */
    void *to;
    unsigned char session[HUB_SESSION];
    Weir__Request *request; /* HUB_USAGE: UsageBatch or UsageBatches; HUB_TRANSCRIPTS */
};

struct hub_options {
    void *ctx;
    uint32_t protocol, oldest; /* 0: HUB_PROTOCOL and HUB_PROTOCOL_OLDEST */
    const char *version;
    struct str config_hash;
    /* Takes `to`: the bytes are the answer, or with none there is none. */
    void (*send)(void *ctx, void *to, struct str bytes);
    /* Takes job->to when it returns true; copies what it needs. False: too many wait. */
    bool (*job)(void *ctx, const struct hub_job *job);
    /* Takes to and request when it returns true. False: too many wait. */
    bool (*usage)(void *ctx, const struct hub_delivery *d);
    bool (*transcripts)(void *ctx, const struct hub_delivery *d);
    /* Somebody has a revision that this control plane does not know. */
    void (*ahead)(void *ctx, struct revision r);
    /* Somebody acknowledged, while hub_await() is on. */
    void (*progress)(void *ctx);
};

struct hub;
MUST_CHECK enum errc hub_new(struct hub **ret_h, const struct hub_options *o, struct err *e);
struct hub *hub_free(struct hub *h);

struct hub_peer {
    uint32_t pipe; /* the connection it came over */
    bool is_local; /* same machine and user: no token is wanted */
};

/* A request: `to` is taken, for its answer. */
void hub_request(struct hub *h, void *take_to, struct hub_peer peer, struct str bytes,
                 uint64_t now_ns);
void hub_pipe_gone(struct hub *h, uint32_t pipe);
/* Somebody said Hello over it, and was not cut since. */
bool hub_has_session(struct hub *h, uint32_t pipe);

/* Heartbeats, and who is gone; a few times a second. */
void hub_tick(struct hub *h, uint64_t now_ns);

/* The answer to a job or a delivery; to who was cut meanwhile nothing is sent. */
void hub_done(struct hub *h, enum hub_work work, void *take_to,
              const unsigned char session[HUB_SESSION], struct str bytes);

/* ---- what the reader found ---- */

/* `entities` (taken) lead to `r`; another epoch, or NULL: what was before is void. */
void hub_published(struct hub *h, struct revision r, struct packed *take_entities);
struct revision hub_revision(struct hub *h);

/* Spend that changed (taken) up to moment `n`, each later than the one before, and where all spools
 * stood then (taken). NULL: what was before `n` is not known; `n` 0: nothing is. */
struct hub_spool {
    unsigned char id[16];
    struct hub_place place;
};
void hub_totals(struct hub *h, uint64_t n, struct packed *take_totals,
                struct hub_spool *take_spools, size_t n_spools);
/* Somebody who is connected asks for it. */
bool hub_wants_totals(struct hub *h);

struct hub_token {
    char id[40], hash[65];
    int64_t expires_us; /* 0: never */
};
/* Those that are valid (taken): who joined with another is cut. */
void hub_tokens(struct hub *h, struct hub_token *take_tokens, size_t n);

/* ---- who has what ---- */

void hub_await(struct hub *h, bool on);

struct hub_applied {
    unsigned all, have;  /* connected; of those, who acknowledged it */
    unsigned waited_for; /* who did not and is not lagging */
};
struct hub_applied hub_applied(struct hub *h, struct revision r, uint64_t now_ns);
/* Who has not acknowledged it is lagging: not waited for until it has what is newest now. */
void hub_late(struct hub *h, struct revision r, uint64_t now_ns);

struct hub_node {
    char id[33]; /* hex */
    const char *host, *version, *state, *error, *token;
    struct revision revision;
    uint64_t lag; /* revisions it has not got */
    double age_seconds;
    uint32_t workers;
    uint64_t requests, in_flight, spool_bytes, resident_bytes, entities;
    uint64_t unshipped_bytes, unshipped_ms;
    bool config_matches, is_draining, spool_is_full;
};
void hub_each(struct hub *h, uint64_t now_ns, void (*fn)(void *ctx, const struct hub_node *n),
              void *ctx);
