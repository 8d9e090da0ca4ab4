#pragma once

/*
 * request_id of each row: the provider's id of the response; without one our id of the call,
 * "-attempt-N" behind it for the N-th of those that were tried again. One that there is already
 * (an upstream that repeats itself must not make usage free) gets the call's behind it, and in the
 * end the record's own place, which no other has.
 *
 * Where spend logs are partitioned by day no index spans them: an id is compared with those of the
 * days of its batch. What repeats on another day stands there with its own time; the primary key is
 * both.
 */

#include "ingest/spent.h"
#include "store/tx.h"

struct ids_options {
    bool by_day; /* spend logs are partitioned */
    bool strict; /* one that there is already gets its place at once */
};

/* Decides them. The unit's arena is reset, the ids lie in `a`. */
void ids_decide(struct tx *tx, struct spent *const *s, size_t n, const struct ids_options *o,
                struct arena *a);
