#pragma once

/*
 * A prompt with its reply as they are stored: JSON of clients and providers, written anew so that a
 * database takes it and nothing too much is in it. Pure.
 *
 *   long texts      of 100 characters that are kept the first 35 and the last 65
 *   credentials     texts under names such as api_key are masked, but for what tools got and said
 *   redaction       of the request all messages; of the reply its texts and arguments
 */

#include "common/arena.h"

struct transcript_rules {
    size_t string_max; /* characters of a text */
    bool redacts;
};

struct transcript_part { /* text empty: nothing came, or (bytes not 0) it was too large */
    struct str text;
    uint64_t bytes;
};

/* {"proxy_server_request": ..., "response": ...} in the arena; empty when that has no room. */
struct str transcript_text(const struct transcript_part *request,
                           const struct transcript_part *reply, const struct transcript_rules *r,
                           struct arena *a);
