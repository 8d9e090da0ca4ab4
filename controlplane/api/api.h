#pragma once

/* From a call to its answer. */

#include "api/call.h"

/* On a pool thread: who asks, the route's gate, the members, the handler in its transaction. Always
 * leaves an answer. */
void api_run(struct call *c, struct db *db);

/* The same without a database, on the loop: rows of LANE_LOOP. */
void api_run_on_loop(struct call *c);

/* The served description, made once at start; borrowed from `a`. */
struct str openapi_json(struct arena *a);
