#pragma once

/*
 * What clients of each API hold a stream of events to (wire-formats.md A.9, B.9, C.6): a judge that
 * shares nothing with the writers.
 */

#include <yyjson.h>

#include "common/gateway/api.h"

enum protocol_end {
    PROTOCOL_DONE,   /* the reply is complete */
    PROTOCOL_FAILED, /* the stream ends with an error */
    PROTOCOL_OPEN,   /* more would follow */
};

/* NULL: all rules are kept; else the rule that is broken, with *ret_at the offset of the event. */
const char *protocol_check(enum api client, struct str stream, enum protocol_end end,
                           size_t *ret_at);

/* The same for a whole reply. */
const char *protocol_check_whole(enum api client, struct str reply);

/* Strictly, but for bytes that are no ASCII: each is read as "~", because whether they are UTF-8 is
 * for who sent them. NULL: no JSON. */
yyjson_doc *protocol_json(struct str text);
