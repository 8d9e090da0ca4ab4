#pragma once

/* Parameters of requests by the names OpenAI, configuration and clients give them (params.def). */

#include "common/arena.h"
#include "common/gateway/api.h"

struct param {
    struct str name, plain;
    bool silent;
    uint32_t apis; /* BIT(enum api) */
};

size_t param_count(void);
const struct param *param_at(size_t i);

/* NULL: not one of OpenAI's chat completions. */
const struct param *param_find(struct str name);

/*
 * An entry of additional_drop_params as a path of provider/edit.h: "tools[*].input_examples" is
 * "tools.input_examples". Empty when it picks single elements, or the arena failed.
 */
struct str param_path(struct str name, struct arena *a);
