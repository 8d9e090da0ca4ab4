#pragma once

/*
 * The access log: one JSON object per request. Lines are formatted into a buffer by the link and
 * written by a thread of this module, so that a slow or blocked sink costs lines and never stalls
 * the spool. Link only; the steady state allocates nothing.
 */

#include "common/err.h"

#include "shared/record.h"

enum { ACCESS_LINE_MAX = 8 * 1024 }; /* bytes of the line of any record */

/* Writes the line with its line feed to `out` (ACCESS_LINE_MAX bytes) and returns its length. Holds
 * no secret: neither key nor prompt. */
size_t access_format(char *out, const struct record *r);

struct access;

MUST_CHECK enum errc access_new(struct access **ret_a, struct err *e);

/* Writes what is buffered for at most a second, then frees. */
struct access *access_free(struct access *a);

/* The sink: a path, "-" for standard output, "off" or empty for none; copied. Takes effect between
 * batches. Repeating the same one reopens the file: after a rotation. */
void access_set_sink(struct access *a, struct str sink);
void access_reopen(struct access *a);

/* Adds a line, or drops it when the sink has not taken the ones before. */
void access_add(struct access *a, const struct record *r);

/* To be called each time around the loop: hands over what is old or much enough. */
void access_tick(struct access *a, uint64_t now_ns);

/* Gives back the memory of buffers that hold nothing. */
void access_trim(struct access *a);

/* Lines dropped since the start, and whether the sink could not be opened or written since the last
 * call. */
uint64_t access_dropped(struct access *a);
bool access_failed(struct access *a, int *ret_errno);
