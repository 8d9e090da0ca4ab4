#pragma once

/*
 * What a declared object says against what there is. Only what is declared is compared: members of
 * an object one by one, lists whole; numbers by value.
 */

#include <yyjson.h>

#include "common/arena.h"

struct difference {
    struct str path;       /* "litellm_params.rpm" */
    yyjson_val *want, *is; /* is: NULL where nothing stands */
};

struct diff {
    struct arena *arena;
    struct difference *list;
    size_t n, cap;
};

/* Adds what differs below `path`; depth is bounded, deeper values are compared as text. */
void diff_add(struct diff *d, struct str path, yyjson_val *want, yyjson_val *is);

/* The values say the same, as far as `want` says anything. */
bool diff_same(yyjson_val *want, yyjson_val *is);

/* The same, but a list may have more than what is wanted: whoever makes a team is in it too. */
bool diff_within(yyjson_val *want, yyjson_val *is);
