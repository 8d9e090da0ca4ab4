#pragma once

/* Between the files of packed log entries. */

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

struct log_late {                  /* an entry written since its block was packed */
    struct str at, to, request_id; /* [at, to): its millisecond */
    uint32_t source, place;        /* where it would be, or is, among those of the block */
    bool was_there;                /* it is packed; what it is now may differ, if it is at all */
};

struct log_live { /* an entry that matches, as it is now: in no block, or late */
    struct log_key key;
    struct str at, request_id;
};

struct packed {
    struct store *s;
    const struct log_query *q;
    struct source *sources;
    size_t n_sources;
    uint32_t *blocks; /* which of them are, and their ids */
    struct str *ids;
    size_t n_blocks;
    struct log_late *lates;
    size_t n_lates;
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

struct hit { /* an entry near the page */
    struct log_key key;
    uint32_t source, place;
    const struct log_live *live; /* NULL: in a block */
};

/* That of a packed entry; late ones lie before the packed one at their place. */
enum { PACKED_LATE = 1 << 20 /* in one place, at most */ };
static inline int64_t packed_i(uint32_t place)
{
    return ((int64_t)place + 1) * PACKED_LATE;
}

/* Numbers as they are packed. */
static inline uint32_t packed_u16(const char *p, uint32_t i)
{
    uint16_t v;

    memcpy(&v, p + (size_t)2 * i, sizeof v);
    return __builtin_bswap16(v);
}

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

/* ---- what they share: log_packed.c ---- */

/* `i` counts in the order of time of its source. */
struct log_key packed_key(const struct packed *p, double value, bool is_null, size_t source,
                          int64_t i);

/* What was read is no block. */
void packed_fail(struct packed *p);

/* `n` rows of bytes, some at once, each row to fn(): false when it is not what it should be. */
typedef bool (*packed_row_fn)(struct packed *p, size_t i, struct rows r, int row, void *ctx);
struct packed_read {
    const char *sql;
    const struct db_arg *args;
    int n_args;
    size_t n;
    unsigned at_once;
    packed_row_fn fn;
    void *ctx;
};
void packed_each(struct packed *p, const struct packed_read *r);

/* ---- where entries lie: log_blocks.c ---- */

/* False: there is no block. */
bool packed_find_sources(struct packed *p);
/* Late entries of the blocks. */
void packed_find_lates(struct packed *p);
/* The rows themselves; those of a block are found from the mark before them. */
struct rows packed_read_rows(struct packed *p, const struct hit *f, size_t n);

/* ---- as they are now: log_live.c ---- */

/* Entries of no block, and late ones, as they are now. False: there are too many. */
bool packed_read_live(struct packed *p, const struct log_series *of);

/* ---- which are meant: log_choose.c ---- */

/* Chooses entries of the query's range of spend, and of what is found; no late ones. */
void packed_choose(struct packed *p);

/* ---- the page: log_scan.c ---- */

/* How many match, and the entries of the page. */
int64_t packed_scan(struct packed *p, const struct hit **ret, size_t *ret_n);
