#pragma once

/* What reports have in common: where they read, and how their body goes out. */

#include "common/jw.h"

#include "api/reply.h"

/* From here on the call reads where reports are read, and texts of rows read before are gone. Who
 * may see what is known by then. */
void report_begin(struct call *c);

/* A body, written with `w` by jw_* or as CSV. */
struct out {
    struct jw w;
    /* private */
    struct call *c;
    struct str type;
};

void out_begin(struct out *o, struct call *c, struct str type);
/* The same as a file to be kept under that name. */
void out_begin_file(struct out *o, struct call *c, struct str type, struct str name);
/* False: nobody will read more. */
bool out_wants(const struct out *o);
void out_end(struct out *o);
