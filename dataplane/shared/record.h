#pragma once

/*
 * What is known of one exchange (one attempt at one upstream) or of a request refused before one:
 * the unit of metering. The worker fills it in its in-flight slot from the start of the exchange,
 * so that a dead worker's exchanges can be settled by the link; finished, it is copied into the
 * ring. The link appends it to the spool (RECORD_SPOOL) and prints the access line (RECORD_ACCESS).
 * Self-contained: names, not indexes, because the reader may be a newer link with another
 * generation.
 */

#include "common/gateway/api.h"
#include "common/gateway/usage.h"
#include "common/str.h"

enum { RECORD_MAX = 1536, RECORD_VERSION = 3 };

enum record_string {
    RS_REQUEST_ID,     /* ours, x-litellm-call-id */
    RS_RESPONSE_ID,    /* the provider's */
    RS_MODEL,          /* as the client asked */
    RS_GROUP,          /* model group that answered */
    RS_DEPLOYMENT,     /* model_info.id */
    RS_UPSTREAM_MODEL, /* sent upstream */
    RS_PROVIDER,
    RS_API_BASE,
    RS_KEY, /* hex SHA-256 of the key, or "litellm_proxy_master_key"; never the key */
    RS_END_USER,
    RS_CLIENT_IP,
    RS_TRACE_ID,
    RS_USER_AGENT,
    RS_ERROR, /* our error code ("upstream_timeout"), empty on success; never upstream's text */
    RS_KEY_ALIAS,
    RS_TEAM, /* ids */
    RS_USER,
    RS_ORGANIZATION,
    RS_PROJECT,
    RS_TAGS,          /* a NUL between two */
    RS_BUDGET_GROUPS, /* of models, that have a budget; a NUL between two */
    RECORD_STRINGS,
};

enum record_flags {
    RECORD_SPOOL = BIT(0),  /* an exchange: to the ledger */
    RECORD_ACCESS = BIT(1), /* the request's last: print its line */
    RECORD_STREAM = BIT(2),
    RECORD_UNPRICED = BIT(3), /* cost leaves out a bucket without price */
    RECORD_CLIENT_GONE = BIT(4),
    RECORD_DIED = BIT(5),   /* settled for a worker that died */
    RECORD_REUSED = BIT(6), /* on a kept-alive upstream connection */
};

struct record {
    uint32_t size; /* bytes in use: this struct and the strings behind it, multiple of 8 */
    uint16_t version;
    uint16_t flags; /* enum record_flags */
    uint64_t seq;   /* per region, never reused: with `epoch` and `region` the record's identity */
    uint64_t epoch; /* when the shared file was made, wall microseconds */
    uint32_t region;
    uint16_t status;          /* sent to the client; 499: it left before */
    uint16_t upstream_status; /* 0: none came */
    uint8_t api;              /* enum api */
    uint8_t route;            /* row of routes.def */
    uint8_t attempt;          /* 1 for the first exchange of the request */
    uint8_t reserved[5];
    int64_t start_us; /* wall clock: request complete, first token, last byte; 0: never */
    int64_t first_us;
    int64_t end_us;
    uint64_t
        total_ns; /* monotonic: whole request, of which upstream, of which until its first byte */
    uint64_t upstream_ns;
    uint64_t first_byte_ns;
    uint64_t connect_ns;          /* waiting for a connection */
    uint64_t overhead_ns;         /* ours: total - upstream - waiting for the client */
    uint64_t bytes_in, bytes_out; /* client side, bodies */
    uint64_t upstream_bytes_in, upstream_bytes_out; /* bodies */
    struct usage usage;
    int64_t cost_nusd;
    int64_t input_nusd, output_nusd, cache_read_nusd, cache_write_nusd;
    uint16_t at[RECORD_STRINGS];  /* string i lies at at[i] bytes from the start ... */
    uint16_t len[RECORD_STRINGS]; /* ... and has this length; cut to what fits */
};

static_assert(sizeof(struct record) % 8 == 0, "record layout");

/* Zeroes the fixed part and the strings. `cap` bytes lie at *r (RECORD_MAX). */
static inline void record_init(struct record *r)
{
    memset(r, 0, sizeof *r);
    r->size = sizeof *r;
    r->version = RECORD_VERSION;
}

/* Appends string `which`, cut to what is left of RECORD_MAX. Setting one twice wastes the first. */
static inline void record_set(struct record *r, enum record_string which, struct str s)
{
    size_t n = MIN(s.n, (size_t)(RECORD_MAX - r->size));

    if (n == 0)
        return;
    memcpy((char *)r + r->size, s.p, n);
    r->at[which] = (uint16_t)r->size;
    r->len[which] = (uint16_t)n;
    r->size += (uint32_t)n;
}

static inline struct str record_get(const struct record *r, enum record_string which)
{
    if ((size_t)r->at[which] + r->len[which] > RECORD_MAX)
        return (struct str){0};
    return (struct str){(const char *)r + r->at[which], r->len[which]};
}

/* When it ended, wall seconds. */
static inline uint32_t record_end_s(const struct record *r)
{
    return (uint32_t)(r->end_us / 1000000);
}
