#pragma once

/* Between the files of packed log entries: log_packed.c, log_range.c, log_scan.c. */

#include "analytics/log_priv.h"
#include "analytics/log_rank.h"

enum { PACKED_MARK = 1024 /* entries; as in weir.log_packed */ };
#define PACKED_MARKS(n) (((n) + PACKED_MARK - 1) / PACKED_MARK)

struct source {              /* in the order of time */
    bool is_block;           /* else a stretch of time that no block holds */
    struct str id, from, to; /* as they are asked for */
    uint32_t n, first, last; /* entries; those at the places [first, last) are asked for */
    unsigned char *chosen;   /* of which those alone, a bit for each place; NULL: all */
};

struct log_live { /* an entry of no block that matches */
    struct log_key key;
    struct str at, request_id;
};

struct packed {
    struct store *s;
    const struct log_query *q;
    struct source *sources;
    size_t n_sources;
    struct log_live *live;
    size_t n_live;
    bool by_kind;   /* in the order of kinds of codes, and of time: models, or all of one kind */
    int16_t *kinds; /* by code: -1 does not match; NULL: all do */
    uint32_t n_kinds;
    unsigned n_models;
    bool has_null; /* the last of them */
    struct log_part *parts;
    size_t n_parts;
};

struct found {
    struct log_key key;
    uint32_t source, place;
    const struct log_live *live; /* NULL: in a block */
};

/* `i` counts in the order of (value, time) of its source. */
struct log_key packed_key(const struct packed *p, double value, bool is_null, size_t source,
                          int64_t i);

/* Numbers as they are packed. */
static inline uint32_t packed_u32(const char *p, uint32_t i)
{
    uint32_t v;

    memcpy(&v, p + (size_t)4 * i, sizeof v);
    return __builtin_bswap32(v);
}

static inline double packed_num(const char *p, uint32_t i)
{
    uint64_t v;
    double num;

    memcpy(&v, p + (size_t)8 * i, sizeof v);
    v = __builtin_bswap64(v);
    memcpy(&num, &v, sizeof num);
    return num;
}

/* What was read is no block. */
void packed_fail(struct packed *p);

/* Entries of the query's range of spend are chosen. */
void packed_choose(struct packed *p);

/* How many match, and the entries of the page. */
int64_t packed_scan(struct packed *p, const struct found **ret, size_t *ret_n);
