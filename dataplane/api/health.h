#pragma once

/* Liveness and readiness (litellm-dataplane.md 2.9): from this process alone, never from a
 * dependency (threats P-07). */

#include "common/jw.h"

#include "snapshot/view.h"

/* Body of /health/readiness; empty when the arena overflowed. */
struct str health_readiness(const struct snapshot *s, bool draining, struct arena *a);
