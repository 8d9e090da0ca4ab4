#pragma once

/* A whole chat completion as the events of a stream, for a client that asked for one where the
 * upstream did not (F.30). Pure. */

#include "common/arena.h"

/* The events with "data: [DONE]"; usage in an event of its own when asked for. Empty when `reply`
 * is no chat completion. */
struct str chat_stream_of(struct arena *a, struct str reply, bool include_usage);
