#pragma once

/* DATABASE_URL as LiteLLM's client library writes it, for libpq. Pure. */

#include "common/arena.h"
#include "common/err.h"

struct db_url {
    struct str conninfo;       /* NUL behind it */
    struct str schema;         /* of LiteLLM's tables; "public" */
    uint32_t connection_limit; /* 0: not given */
    bool pgbouncer;
};

/* A URL, or libpq's own keyword=value form, which passes as it is. ERRC_INVALID without quoting
 * any of it: it holds a password. */
MUST_CHECK enum errc db_url_read(struct db_url *ret, struct str url, struct arena *a,
                                 struct err *e);
