#pragma once

/*
 * Rows of CSV (RFC 4180: CRLF, quotes doubled) that a spreadsheet may open: a text that would be
 * read as a formula has an apostrophe before it.
 */

#include "common/jw.h"

struct csv {      /* private */
    struct jw *w; /* only its buffer and its sink are used */
    bool begun;   /* of a row */
};

struct csv csv_init(struct jw *w);
void csv_put(struct csv *c, struct str cell);
void csv_put_i64(struct csv *c, int64_t v);
void csv_put_raw(struct csv *c, struct str number); /* of digits, signs, points alone */
void csv_end(struct csv *c);                        /* of the row */
