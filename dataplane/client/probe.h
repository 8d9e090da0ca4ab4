#pragma once

/*
 * GET /health: a small real request to every deployment, a few at a time, and the answer when all
 * have answered or the probe timeout is over (litellm-dataplane.md 2.9). Query `model` or
 * `model_id` narrows it.
 */

#include "client/request.h"

struct probe_run;

void probe_start(struct request *r);

/* Ends it: the client is gone, or the answer is on its way. NULL is fine. Returns NULL. */
struct probe_run *probe_run_free(struct probe_run *run);
