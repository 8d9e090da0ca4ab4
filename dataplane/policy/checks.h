#pragma once

/*
 * Whether a request may be made, in LiteLLM's order (release 1.110.2): what its head says, then
 * everything that needs the body. Limits come after (limits.h).
 */

#include "policy/ask.h"

/* Before the credential: address and route. */
bool checks_head(struct ask *k);

/* All the rest: models, budgets, routes, what the body must have. */
bool checks_all(struct ask *k);

/* The address a request is said to come from: the connection's, or the first of X-Forwarded-For. */
struct str client_address(const struct snapshot *s, struct str connection_ip,
                          struct str forwarded_for);
