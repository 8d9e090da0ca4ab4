#pragma once

/* GET /metrics: Prometheus text exposition 0.0.4, over all workers of the pod. */

#include "common/arena.h"

#include "shared/region.h"
#include "snapshot/view.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/*
 * The text, in `a`; empty when the arena overflowed. Families: the rows of proto/metrics.def,
 * weir_requests_total by route and status class, and per deployment of `snap` LiteLLM's own
 * (litellm-dataplane.md 10.2) with those of its labels whose values the configuration bounds: never
 * a key, user or model a client made up. Sums are read while workers count: each is right, two need
 * not fit each other to the last request.
 */
struct str metrics_text(const struct shared *sh, const struct snapshot *snap, struct arena *a);
