#pragma once

/* Replies as people read them. What comes from the server is never let near the terminal's control
 * codes. */

#include <yyjson.h>

#include "common/arena.h"

struct show_row {
    yyjson_val *v, *parent; /* a column that v lacks is looked for in parent (may be NULL) */
};

/* A heading and a line for each; `columns` are "a,b.c": the last part of each is its heading. */
void show_table(FILE *f, struct arena *a, const struct show_row *rows, size_t n,
                const char *columns);

/* A line for each member that says something. */
void show_object(FILE *f, struct arena *a, yyjson_val *obj);
/* The same without one of them. */
void show_object_but(FILE *f, struct arena *a, yyjson_val *obj, const char *but);

/* A value on one line. */
struct str show_cell(struct arena *a, yyjson_val *v);

/* A copy in which bytes a terminal might obey are '?'. */
struct str show_harmless(struct arena *a, struct str s);
