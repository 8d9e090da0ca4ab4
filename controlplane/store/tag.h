#pragma once

/* Tags beyond their row: the models they name, and those that only requests carried. */

#include "store/store.h"

enum { TAGS_MAX = 1000 };

/* Rows of the database's models of those ids or names, locked. */
yyjson_mut_val *tag_models(struct store *s, const struct str *names, size_t n);

/* Tags that requests carried, on days of YYYY-MM-DD or ever (p NULL), and that have no row. */
void tag_append_seen(struct store *s, yyjson_mut_val *list, struct str from, struct str to);
