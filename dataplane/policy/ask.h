#pragma once

/* What is asked of the gateway, as the checks of this folder see it; all of it is borrowed. */

#include "common/arena.h"
#include "common/gateway/bearer.h"

#include "dialect/request_scan.h"
#include "policy/caller.h"
#include "policy/refusal.h"
#include "shared/charge.h"

struct ask {
    const struct snapshot *s;
    struct caller *caller;
    const struct counters *counters;
    struct arena *arena;
    bool guarded;      /* guards.h: some of what few have may hold */
    bool throttled;    /* the key's budget is used up, and it goes on slower */
    bool is_inference; /* a route of models; else one of lists and health */
    enum api api;      /* of an inference route */
    struct str path;   /* as sent, without root path and query */
    struct str client_ip;
    struct str presented;            /* the credential: its end stands in a text */
    struct str model;                /* as the client asked; empty: the route has none */
    struct str dispatched;           /* what aliases make of it */
    const struct snap_group *group;  /* that answers `dispatched`; NULL: none does */
    const struct request_scan *scan; /* NULL: there is no body */
    struct str body;
    int64_t now_us;
    bearer_header_fn header; /* of the request, by lower-case name */
    const void *header_ctx;
    /* Writes down, where it outlives this process, what is about to run at once: `c` with
     * CHARGE_PARALLEL. False: there is no room. */
    bool (*hold)(void *ctx, const struct charges *c);
    void *hold_ctx;
    bool spool_is_full;     /* usage cannot be written down now */
    struct refusal refusal; /* what a check that failed says */
};

static inline uint32_t ask_now_s(const struct ask *k)
{
    return (uint32_t)(k->now_us / 1000000);
}

/* Refuses; always false. `message` empty: the row's own. */
static inline bool ask_refuse(struct ask *k, enum client_error error, struct str message)
{
    k->refusal.error = error;
    k->refusal.message = message;
    return false;
}
