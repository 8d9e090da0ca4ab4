#pragma once

/*
 * A reply on its way from upstream to a client of the same dialect: bytes pass untouched but for
 * the model name (and the response id, where the gateway's own stands for it), the usage event
 * nobody asked for is withheld, everything the meter needs is read in passing. One machine for
 * streams (events) and for whole replies (a document). Pure.
 *
 * An event is held until it is complete, so that it can be withheld or edited; what is longer than
 * RELAY_HOLD passes in pieces and only its first RELAY_HOLD bytes can be edited. No line is too
 * long.
 */

#include "common/bufpool.h"

#include "dialect/reply_scan.h"
#include "dialect/response_id.h"

enum { RELAY_HOLD = 64 * 1024, RELAY_REPLY_HOLD = 1024 * 1024 };

struct relay_options {
    struct str model; /* replaces the upstream's, as a JSON string with quotes; empty: left alone */
    struct str id_tag; /* what the gateway's response id says before the upstream's (response_id.h);
                          empty: left alone */
    bool withhold_usage; /* drop the event that holds usage and no choice */
};

struct relay {
    struct reply_scan scan;
    struct relay_options opt;
    struct bufpool *pool;
    struct buf hold;   /* the incomplete event, or the reply so far */
    uint64_t events;   /* complete ones */
    bool done;         /* "[DONE]" went by */
    bool first_failed; /* the first event is an error: it can still be answered with a status */
    bool failed;       /* some event was one */
    /* private */
    bool through; /* passing an oversized event in pieces */
    bool in_data; /* ... whose current line is data */
    bool after_cr, line_read_any, has_data;
    uint64_t line_at; /* of the current line, from the start of the event */
    uint64_t seen;    /* bytes of the event looked at */
    uint16_t id_n;
    char id[RESPONSE_ID_MAX +
            2]; /* ours, as a JSON string, made when the upstream's is first seen */
};

/* `pool` and the strings in `opt` are borrowed for the life of the relay. */
void relay_init(struct relay *r, struct bufpool *pool, const struct relay_options *opt);
void relay_deinit(struct relay *r);

/* Stream: takes the next bytes and appends what may go to the client to `out`. False when memory
 * ends. */
MUST_CHECK bool relay_events(struct relay *r, const char *p, size_t n, struct buf *out);

/* Stream: the upstream ended. Appends a held event that its last blank line is missing of. */
MUST_CHECK bool relay_events_end(struct relay *r, struct buf *out);

/* Whole reply, complete at (p, n): appends it edited to `out`. False when memory ends. */
MUST_CHECK bool relay_reply(struct relay *r, const char *p, size_t n, struct buf *out);

/*
 * Whole reply too large to hold: passes pieces. The first call may bring up to RELAY_REPLY_HOLD
 * bytes in which the model name is edited; what follows is only read.
 */
MUST_CHECK bool relay_reply_piece(struct relay *r, const char *p, size_t n, struct buf *out);
