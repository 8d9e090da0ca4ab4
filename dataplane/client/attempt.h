#pragma once

/*
 * One attempt of an inference request: the upstream's request is built and sent, its reply relayed,
 * its record written; or it failed, and another follows or the client is told.
 */

#include "client/request.h"

/* Starts the first attempt. The request is decided: r->plan, r->scan, r->model. */
void attempt_first(struct request *r);

/* Ends what runs without a reply: the client is gone. The record says so. */
void attempt_abandon(struct request *r);

/* Frees what an attempt holds. */
void attempt_reset(struct request *r);

extern const struct exchange_events attempt_events;
