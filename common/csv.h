#pragma once

/*
 * Comma-separated values (RFC 4180), read where they lie: a record at a time, nothing copied but
 * fields with doubled quotes in them. A byte order mark is skipped, lines end with LF or CRLF.
 */

#include "common/arena.h"

enum { CSV_FIELDS = 128 };

struct csv_reader {
    struct str rest;
    char separator;
    struct arena *arena; /* for fields that must be copied */
    struct str field[CSV_FIELDS];
    unsigned n_fields;
    uint64_t line; /* of the record, from 1 */

    uint64_t next_line; /* private */
};

enum csv_got {
    CSV_RECORD,
    CSV_END,
    CSV_BAD,   /* a quote that does not end, or text behind one */
    CSV_LARGE, /* more fields than CSV_FIELDS, or no memory */
};

/* The separator is what the first line has most of: comma, semicolon, tab or bar. */
struct csv_reader csv_read(struct str text, struct arena *arena);

/* The next record that is not an empty line. */
enum csv_got csv_next(struct csv_reader *c);
