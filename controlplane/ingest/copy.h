#pragma once

/*
 * COPY ... (FORMAT binary) of one table: rows field by field, in the order of the columns named.
 * Out in pieces of COPY_BUFFER bytes; a fault sticks in the unit of work.
 */

#include "store/tx.h"

enum { COPY_BUFFER = 64 * 1024 };

struct copy { /* private */
    struct tx *tx;
    size_t n;
    unsigned char buffer[COPY_BUFFER];
};

/* `sql`: COPY table (columns) FROM STDIN (FORMAT binary). */
void copy_begin(struct copy *c, struct tx *tx, const char *sql);
void copy_end(struct copy *c);

void copy_row(struct copy *c, unsigned fields);
void copy_null(struct copy *c);
void copy_text(struct copy *c, struct str s);
void copy_jsonb(struct copy *c, struct str json);
void copy_i32(struct copy *c, int64_t v); /* the nearest there is */
void copy_i64(struct copy *c, int64_t v);
void copy_f64(struct copy *c, double v);
void copy_date(struct copy *c, int32_t day);          /* since 1970 */
void copy_timestamp(struct copy *c, int64_t wall_ms); /* without time zone, UTC */
