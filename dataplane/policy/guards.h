#pragma once

/*
 * What few keys have: asked of requests with `guarded` alone, which one look at the flags of
 * whoever calls decides.
 */

#include "policy/ask.h"

/* Headers that name the session a request is of; the first one counts. */
enum { TRACE_HEADERS = 4 };
extern const struct str trace_headers[TRACE_HEADERS];

/* Some of it may hold for the request. */
bool guards_apply(const struct ask *k);

/* Each true, or false with the ask's refusal set. */
bool guard_trace_id(struct ask *k);
bool guard_guardrails(struct ask *k);
bool guard_tools(struct ask *k);

/* The key's budget being used up, it goes on slower. */
bool guard_throttles(const struct ask *k);
/* A limit of such a key. */
int64_t guard_throttled(const struct ask *k, int64_t limit);
