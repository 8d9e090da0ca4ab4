#pragma once

/* Parts of a request target, read one way only (threats H-07, H-08). */

#include "common/str.h"

/* A path that no two readers read differently: no controls, no empty, "." or ".." segment. */
bool url_path_is_plain(struct str path);

/* host[:port] and nothing else. */
bool url_host_is_plain(struct str host);

/*
 * `path` against a pattern: {name} is one segment, {name:path} all that is left; *ret_params (`max`
 * of them) are what they stand for, as sent.
 */
bool url_path_match(struct str pattern, struct str path, struct str *ret_params, unsigned max);

/* Decodes %XX of `s` into `out` (s.n bytes); SIZE_MAX on a bad escape or a NUL. */
size_t url_decode(char *out, struct str s);

/* The value of `name` in a query string, as sent; empty when absent. */
struct str query_get(struct str query, struct str name);

/* Visits the pairs of a query string in order: true while *rest held one more. Both as sent. */
bool query_next(struct str *rest, struct str *ret_name, struct str *ret_value);
