#pragma once

/* The books of a request: the record of the attempt that runs (r->meter), from its first moment to
 * the access line. */

#include "client/request.h"

/* Opens the record: who asks whom for what. False when there is no room for one. */
MUST_CHECK bool books_open(struct request *r);

/* What came so far, should this worker die: the link settles the record as it stands. */
void books_progress(struct request *r);

/* Usage of what went by, estimated when the provider did not say although something was produced.
 */
void books_usage(struct request *r, bool delivered);

/* What the exchange took, into record and histograms. Once per attempt. */
void books_exchange(struct request *r, bool success, struct str code);

/* Closes the request's books: record with the access line, counters. `status` was sent (499: nobody
 * was there). */
void books_close(struct request *r, unsigned status, struct str code);
