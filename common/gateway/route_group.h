#pragma once

/* What an entry of a key's `allowed_routes` lets through. Pure. */

#include "common/str.h"

/*
 * `entry` is a path, a group of route_groups.def, a path that ends with '*', or a prefix of whole
 * segments. A path with {x} stands for one segment there.
 */
bool route_allows(struct str entry, struct str path);
