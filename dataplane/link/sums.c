/*
 * A cell holds the first record of its kind, into which the others are added. Cells lie in the
 * order they came; an index by hash, twice as large, finds them.
 */

#include "link/sums.h"

#include <sys/random.h>

#include "common/crc32c.h"

#include "link/usage_pack.h"

enum { INDEX = 32768 };
#define HOUR_US INT64_C(3600000000)

/* What two records must have in common. */
static const enum record_string kinds[] = {
    RS_KEY,      RS_TEAM,           RS_USER,  RS_ORGANIZATION,  RS_PROJECT,
    RS_END_USER, RS_TAGS,           RS_GROUP, RS_DEPLOYMENT,    RS_MODEL,
    RS_PROVIDER, RS_UPSTREAM_MODEL, RS_ERROR, RS_BUDGET_GROUPS,
};

/* What is kept of it besides. */
static const enum record_string kept[] = {RS_API_BASE, RS_KEY_ALIAS};

struct cell {
    uint32_t hash;
    uint64_t exchanges;
    union {
        struct record record;
        char bytes[RECORD_MAX];
    };
};

struct sums {
    struct cell *cells[SUMS_MAX + 1]; /* the last one is the rest */
    size_t n;
    bool has_rest;
    uint64_t seq;          /* of the records written */
    uint16_t index[INDEX]; /* number of a cell and one; 0: free */
};

struct sums *sums_new(void)
{
    return calloc(1, sizeof(struct sums));
}

struct sums *sums_free(struct sums *s)
{
    if (!s)
        return NULL;
    for (size_t i = 0; i < s->n; i++)
        free(s->cells[i]);
    free(s);
    return NULL;
}

size_t sums_count(const struct sums *s)
{
    return s->n;
}

static uint32_t hash_of(const struct record *r)
{
    const int64_t hour = r->end_us / HOUR_US;
    uint32_t h = crc32c(crc32c(0, &hour, sizeof hour), &r->api, 1);

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct str text = record_get(r, kinds[i]);
        h = crc32c(crc32c(h, text.p, text.n), &text.n, sizeof text.n);
    }
    return h;
}

static bool is_alike(const struct record *a, const struct record *b)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (!str_eq(record_get(a, kinds[i]), record_get(b, kinds[i])))
            return false;
    return a->api == b->api && a->end_us / HOUR_US == b->end_us / HOUR_US &&
           a->usage.tier == b->usage.tier;
}

/* `r` NULL: of nobody, for nothing in particular. */
static struct cell *cell_new(struct sums *s, const struct record *r, const struct record *first)
{
    struct cell *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    record_init(&c->record);
    c->record.flags = RECORD_SPOOL;
    c->record.attempt = 1;
    c->record.status = first->status;
    c->record.upstream_status = first->upstream_status;
    c->record.start_us = first->start_us;
    c->record.usage.seen = 1;
    for (size_t i = 0; r && i < ARRAY_LEN(kinds); i++)
        record_set(&c->record, kinds[i], record_get(r, kinds[i]));
    for (size_t i = 0; r && i < ARRAY_LEN(kept); i++)
        record_set(&c->record, kept[i], record_get(r, kept[i]));
    if (r) {
        c->record.api = r->api;
        c->record.usage.tier = r->usage.tier;
    }
    s->cells[s->n++] = c;
    return c;
}

/* The cell of records like `r`; the last one collects what has none. NULL: no memory. */
static struct cell *cell_of(struct sums *s, const struct record *r)
{
    uint32_t hash = hash_of(r);
    size_t at = hash % INDEX;

    for (; s->index[at]; at = (at + 1) % INDEX) {
        struct cell *c = s->cells[s->index[at] - 1];
        if (c->hash == hash && is_alike(&c->record, r))
            return c;
    }
    if (s->has_rest)
        return s->cells[SUMS_MAX];
    if (s->n == SUMS_MAX) {
        struct cell *rest = cell_new(s, NULL, r);
        s->has_rest = rest != NULL;
        return rest;
    }
    struct cell *c = cell_new(s, r, r);
    if (c) {
        c->hash = hash;
        c->record.end_us = r->end_us;
        s->index[at] = (uint16_t)s->n;
    }
    return c;
}

static void add_u64(uint64_t *to, uint64_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = UINT64_MAX;
}

static void add_i64(int64_t *to, int64_t n)
{
    if (__builtin_add_overflow(*to, n, to))
        *to = n < 0 ? INT64_MIN : INT64_MAX;
}

static void add_usage(struct usage *to, const struct usage *u)
{
    add_u64(&to->input, u->input);
    add_u64(&to->cache_read, u->cache_read);
    add_u64(&to->cache_write, u->cache_write);
    add_u64(&to->cache_write_1h, u->cache_write_1h);
    add_u64(&to->audio_in, u->audio_in);
    add_u64(&to->image_in, u->image_in);
    add_u64(&to->output, u->output);
    add_u64(&to->reasoning, u->reasoning);
    add_u64(&to->audio_out, u->audio_out);
    add_u64(&to->image_out, u->image_out);
    if (__builtin_add_overflow(to->web_searches, u->web_searches, &to->web_searches))
        to->web_searches = UINT32_MAX;
    to->seen &= u->seen;
    to->estimated |= u->estimated;
}

bool sums_add(struct sums *s, const struct record *r)
{
    struct cell *c = cell_of(s, r);
    struct record *to = c ? &c->record : NULL;

    if (!c)
        return false;
    c->exchanges++;
    add_usage(&to->usage, &r->usage);
    add_i64(&to->cost_nusd, r->cost_nusd);
    add_i64(&to->input_nusd, r->input_nusd);
    add_i64(&to->output_nusd, r->output_nusd);
    add_i64(&to->cache_read_nusd, r->cache_read_nusd);
    add_i64(&to->cache_write_nusd, r->cache_write_nusd);
    add_u64(&to->bytes_in, r->bytes_in);
    add_u64(&to->bytes_out, r->bytes_out);
    add_u64(&to->upstream_bytes_in, r->upstream_bytes_in);
    add_u64(&to->upstream_bytes_out, r->upstream_bytes_out);
    to->flags |= r->flags & RECORD_UNPRICED;
    to->start_us = MIN(to->start_us, r->start_us);
    to->end_us = MAX(to->end_us, r->end_us);
    to->total_ns = (uint64_t)MAX(to->end_us - to->start_us, INT64_C(0)) * 1000;
    return true;
}

/* A name of its own, for ledgers that want one of each record. */
static void name(struct record *r)
{
    unsigned char random[16];
    char text[4 + 2 * sizeof random + 1] = "sum-";

    (void)!getrandom(random, sizeof random, 0); /* so few bytes come whole once there are any */
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(text + 4 + 2 * i, 3, "%02x", random[i]);
    record_set(r, RS_REQUEST_ID, (struct str){text, sizeof text - 1});
}

/* After cells went from the end: those that stay are found as before. */
static void index_again(struct sums *s)
{
    memset(s->index, 0, sizeof s->index);
    s->has_rest = s->n > SUMS_MAX;
    for (size_t i = 0; i < MIN(s->n, (size_t)SUMS_MAX); i++) {
        size_t at = s->cells[i]->hash % INDEX;
        while (s->index[at])
            at = (at + 1) % INDEX;
        s->index[at] = (uint16_t)(i + 1);
    }
}

enum errc sums_write(struct sums *s, struct spool *spool, uint64_t epoch, struct err *e)
{
    enum errc rc = ERRC_OK;

    while (s->n && !rc) {
        struct cell *c = s->cells[s->n - 1];
        unsigned char *body = spool_begin(spool);
        if (!body) {
            rc = spool_flush(spool, e);
            continue;
        }
        name(&c->record);
        /* of no region: no worker's records are taken for written because of it */
        const struct spool_id id = {epoch, UINT32_MAX, s->seq++};
        spool_end(spool, &id, SPOOL_USAGE, usage_pack(body, &c->record, c->exchanges));
        free(c);
        s->n--;
    }
    index_again(s);
    return rc ? rc : spool_flush(spool, e); /* what stays in its buffer is not lost */
}
