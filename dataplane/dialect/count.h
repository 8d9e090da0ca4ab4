#pragma once

/*
 * What a request costs in tokens of its prompt, estimated from the body as it stands: a request of
 * any of the APIs, for upstreams that do not count themselves.
 */

#include "common/json_tape.h"

/* The body has none of the members that hold a prompt: 0. */
uint64_t count_prompt(const struct json_tape *t);
