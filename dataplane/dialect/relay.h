#pragma once

/*
 * A reply on its way from upstream to a client of the same dialect: bytes pass untouched but for
 * the model name (and the response id, where the gateway's own stands for it), the usage event
 * nobody asked for is withheld, everything the meter needs is read in passing. One machine for
 * streams (events) and for whole replies (a document). Pure.
 *
 * An event is held until it is complete, so that it can be withheld or edited; what is longer than
 * RELAY_HOLD passes in pieces, edited too. No line is too long. The bytes that come out do not
 * depend on how those that go in are split.
 */

#include "common/bufpool.h"

#include "dialect/reply_scan.h"
#include "dialect/response_id.h"

enum { RELAY_HOLD = 64 * 1024, RELAY_REPLY_HOLD = 1024 * 1024 };

struct relay_options {
    struct str model; /* replaces the upstream's, as a JSON string with quotes; empty: left alone */
    struct str id_tag; /* what the gateway's response id says before the upstream's (response_id.h);
                          empty: left alone */
    struct str id_key; /* seals it, for ... */
    const struct response_owner *id_owner;
    struct str id_given; /* the client asked by this one of the gateway's, and gets it back */
    bool withhold_usage; /* drop the event that holds usage and no choice */
};

struct relay {
    struct reply_scan scan;
    struct relay_options opt;
    struct bufpool *pool;
    struct buf hold;   /* the incomplete event, or what waits of an oversized one or of a reply */
    uint64_t events;   /* complete ones */
    bool done;         /* "[DONE]" went by */
    bool first_failed; /* the first event is an error: it can still be answered with a status */
    bool failed;       /* some event was one */
    /* private */
    bool through;  /* passing an oversized event in pieces */
    bool withheld; /* the last event was */
    bool after_cr, line_read_any, has_data;
    uint8_t field_n;  /* of "data:", what the current line of an oversized event begins with */
    uint64_t line_at; /* of the current line, from the start of the event */
    uint64_t seen;    /* bytes of the event, or of the reply in pieces, looked at */
    uint64_t passed;  /* ... and gone out: the others wait in `hold` */
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

/* Stream: the upstream ended. Appends a held event that only its blank line is missing of; a torn
 * one is dropped. */
MUST_CHECK bool relay_events_end(struct relay *r, struct buf *out);

/* Whole reply, complete at (p, n): appends it edited to `out`. False when memory ends. */
MUST_CHECK bool relay_reply(struct relay *r, const char *p, size_t n, struct buf *out);

/*
 * Whole reply too large to hold: passes pieces, edited too. A reply that ends within its model name
 * or id stays short of that.
 */
MUST_CHECK bool relay_reply_piece(struct relay *r, const char *p, size_t n, struct buf *out);
