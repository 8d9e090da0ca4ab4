#pragma once

/* Answers about models, from the generation alone (litellm-dataplane.md 2.9). JSON in the arena;
 * empty when it overflowed. */

#include "common/jw.h"

#include "snapshot/view.h"

typedef bool (*models_may_fn)(void *ctx, struct str model, const struct snap_found *f);

struct models_of { /* whose answers: models that may() refuses are not there */
    const struct snapshot *s;
    struct arena *arena;
    models_may_fn may; /* NULL: all of them */
    void *ctx;
};

struct str models_list(const struct models_of *of);

/* One model; empty when it is not visible. */
struct str models_one(const struct models_of *of, struct str id);

/* /v1/model/info: every deployment, or the one with this id when not empty. */
struct str models_info(const struct models_of *of, struct str deployment_id);

/* /model_group/info: every group, or the named one. */
struct str models_group_info(const struct models_of *of, struct str group);
