#pragma once

/*
 * The attempts of an inference request: one after the other until a reply is on its way to the
 * client, or the client is told why there is none.
 */

#include "client/request.h"

/* Starts the first attempt. The request is decided: r->plan, r->scan, r->model. */
void attempt_first(struct request *r);

/* The attempt failed for a reason of ours or of the network: another one, the error, or the end of
 * what the client sees already. */
void attempt_broken(struct request *r, enum client_error error, bool may_retry);

/* The upstream answered with an error: its words in the client's envelope, or another attempt. */
void attempt_refused(struct request *r, unsigned status, struct str body);

/* The same, said inside a reply that began well: what was read of it, and nothing was sent. */
void attempt_faulted(struct request *r, const struct error_facts *upstream);

/* Ends what runs without a reply: the client is gone. The record says so. */
void attempt_abandon(struct request *r);

/* Frees what an attempt holds. */
void attempt_reset(struct request *r);
