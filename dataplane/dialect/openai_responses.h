#pragma once

/*
 * What the Responses API has that others do not: responses that are kept, and go on from each
 * other. Where the upstream keeps none, the gateway does (shared/response_store.h).
 */

#include "dialect/event.h"

/*
 * Reads the items of an earlier conversation (root: a list) into *n, which is zeroed but for arena
 * and from, before request_read(). Their text must live as long as that of the request.
 */
bool responses_history_read(struct neutral *n, const struct json_tape *items, struct fault *f);
