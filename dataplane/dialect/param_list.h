#pragma once

/* Lists of parameter names that requests carry: additional_drop_params, allowed_openai_params. */

#include "common/arena.h"

enum { PARAM_LIST_MAX = 32, PARAM_LIST_NESTED = 8, PARAM_NAME_MAX = 100 };

/*
 * The names in `json`, a list of strings or one string as it stands in a body: into out
 * (PARAM_LIST_MAX), returns how many. With `paths` as paths of provider/edit.h. What is none, is
 * longer than PARAM_NAME_MAX or comes after PARAM_LIST_MAX, or PARAM_LIST_NESTED below the top
 * level, is left out. Borrows from `json` or lies in the arena.
 */
size_t param_list(struct str *out, struct str json, bool paths, struct arena *a);
