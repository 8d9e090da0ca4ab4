#pragma once

/* Files that are part of the program, written by embed.py. */

#include <stddef.h>

struct embedded {
    const char *name; /* NULL ends a table */
    const char *text; /* NUL-terminated */
    size_t n;
};

extern const struct embedded migrations[];
extern const struct embedded page_html[];
