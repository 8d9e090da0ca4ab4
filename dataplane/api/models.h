#pragma once

/* Answers about models, from the generation alone (litellm-dataplane.md 2.9). JSON in the arena;
 * empty when it overflowed. */

#include "common/jw.h"

#include "snapshot/view.h"

struct str models_list(const struct snapshot *s, struct arena *a);

/* One model; empty when it is not visible. */
struct str models_one(const struct snapshot *s, struct str id, struct arena *a);

/* /v1/model/info: every deployment, or the one with this id when not empty. */
struct str models_info(const struct snapshot *s, struct str deployment_id, struct arena *a);

/* /model_group/info: every group, or the named one. */
struct str models_group_info(const struct snapshot *s, struct str group, struct arena *a);
