#pragma once

/* An upstream's reply on its way to the client, until its last byte or the fault that ends it. */

#include "client/request.h"

/* Before the exchange starts: what is to be edited or translated in passing. False when memory
 * ended. */
MUST_CHECK bool relaying_begin(struct request *r);

/* A fault after the client saw a 200: an event says so and ends the stream (F.29, F-UP-4); a body
 * without events ends without its mark of completeness. */
void relaying_failed(struct request *r, enum client_error error);

extern const struct exchange_events relaying_events;
