#pragma once

/* Why a request is not served: a row of proto/errors.def, and what completes it. */

#include "common/str.h"
#include "proto/errors.h"

struct refusal {
    enum client_error error; /* CLIENT_ERRORS: it is served */
    struct str message;      /* in the arena; empty: the row's */
    struct str param;        /* empty: the row's */
    /* of a rate limit */
    const char *limit_type; /* "requests", "tokens", "max_parallel_requests"; NULL: none */
    struct str reset_at;    /* "2026-11-30 04:05:06 UTC" */
    uint32_t retry_after_s;
};
