#include "ingest/tally.h"

enum { CAP_FIRST = 64 };

void tally_init(struct tally *t, struct arena *a, unsigned key_n)
{
    ASSERT(key_n <= TALLY_KEY_MAX);
    *t = (struct tally){.arena = a, .key_n = key_n};
}

/* Of what clients choose: a flood of one slot costs them a batch's time, no more. */
static uint64_t hash_of(const struct str *key, unsigned n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (unsigned i = 0; i < n; i++) {
        const char *p = key[i].p;
        size_t left = key[i].n;
        for (; left >= 8; p += 8, left -= 8) {
            uint64_t word;
            memcpy(&word, p, 8);
            h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 29;
        }
        for (; left; p++, left--)
            h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        h = (h ^ key[i].n ^ 0xff) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    return h;
}

static void grow(struct tally *t)
{
    size_t cap = t->cap ? 2 * t->cap : CAP_FIRST;
    struct tally_row *rows = arena_alloc(t->arena, cap * sizeof *rows);
    uint32_t *slots = arena_zalloc(t->arena, 2 * cap * sizeof *slots);

    if (!rows || !slots)
        return;
    if (t->n)
        memcpy(rows, t->rows, t->n * sizeof *rows);
    for (size_t i = 0; i < t->n; i++) {
        size_t at = rows[i].hash & (2 * cap - 1);
        while (slots[at])
            at = (at + 1) & (2 * cap - 1);
        slots[at] = (uint32_t)i + 1;
    }
    t->rows = rows;
    t->slots = slots;
    t->cap = cap;
}

static bool same(const struct str *a, const struct str *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!str_eq(a[i], b[i]))
            return false;
    return true;
}

static struct tally_row *row_of(struct tally *t, const struct str *key)
{
    uint64_t h = hash_of(key, t->key_n);

    if (t->n == t->cap)
        grow(t);
    if (t->n == t->cap)
        return NULL; /* no memory: the arena says so */
    size_t mask = 2 * t->cap - 1, at = h & mask;
    for (; t->slots[at]; at = (at + 1) & mask) {
        struct tally_row *r = &t->rows[t->slots[at] - 1];
        if (r->hash == h && same(r->key, key, t->key_n))
            return r;
    }
    struct str *copy = arena_alloc(t->arena, t->key_n * sizeof *copy);
    if (!copy)
        return NULL;
    memcpy(copy, key, t->key_n * sizeof *copy);
    struct tally_row *r = &t->rows[t->n++];
    *r = (struct tally_row){.key = copy, .hash = h};
    t->slots[at] = (uint32_t)t->n;
    return r;
}

/* Amounts of one exchange are bounded (spent.c), and the exchanges of a batch: no sum overflows. */
size_t tally_add(struct tally *t, const struct str *key, const struct spent *s)
{
    struct tally_row *r = row_of(t, key);

    if (!r)
        return 0;
    const int64_t add[SUMS] = {
        [SUM_NUSD] = s->nusd,
        [SUM_PERIOD_NUSD] = s->nusd,
        [SUM_PROMPT] = s->prompt,
        [SUM_COMPLETION] = s->completion,
        [SUM_CACHE_READ] = s->cache_read,
        [SUM_CACHE_WRITTEN] = s->cache_written,
        [SUM_REQUESTS] = s->requests,
        [SUM_SUCCEEDED] = s->is_failure ? 0 : s->requests,
        [SUM_FAILED] = s->is_failure ? s->requests : 0,
        [SUM_DURATION_MS] = s->is_failure ? 0 : spent_duration_ms(s),
        [SUM_TIMED] = !s->is_failure,
        [SUM_ROWS] = 1,
        [SUM_ROW_PROMPT] = MIN(s->prompt, (int64_t)INT32_MAX),
        [SUM_ROW_COMPLETION] = MIN(s->completion, (int64_t)INT32_MAX),
        [SUM_ROW_TOTAL] = MIN(s->prompt + s->completion, (int64_t)INT32_MAX),
    };

    r->first_ms = r->last ? MIN(r->first_ms, s->end_ms) : s->end_ms;
    r->last = s;
    for (unsigned i = 0; i < SUMS; i++)
        r->sum[i] += add[i];
    return (size_t)(r - t->rows);
}

static int key_cmp(const struct str *x, const struct str *y, unsigned key_n)
{
    for (unsigned i = 0; i < key_n; i++) {
        size_t n = MIN(x[i].n, y[i].n);
        int d = n ? memcmp(x[i].p, y[i].p, n) : 0;
        if (d)
            return d;
        if (x[i].n != y[i].n)
            return x[i].n < y[i].n ? -1 : 1;
    }
    return 0;
}

static int by_key(const void *a, const void *b, void *key_n)
{
    return key_cmp(((const struct tally_row *)a)->key, ((const struct tally_row *)b)->key,
                   *(const unsigned *)key_n);
}

void tally_sort(struct tally *t)
{
    if (t->n)
        qsort_r(t->rows, t->n, sizeof *t->rows, by_key, &t->key_n);
}

size_t tally_find(const struct tally_row *rows, size_t n, const struct str *key, unsigned key_n)
{
    size_t from = 0, to = n;

    while (to - from > 1) {
        size_t mid = from + (to - from) / 2;
        if (key_cmp(rows[mid].key, key, key_n) <= 0)
            from = mid;
        else
            to = mid;
    }
    return from;
}

struct db_arg tally_keys(struct arena *a, const struct tally_row *rows, size_t n, unsigned i)
{
    struct str *texts = arena_alloc(a, (n + 1) * sizeof *texts);

    for (size_t r = 0; texts && r < n; r++)
        texts[r] = rows[r].key[i];
    return array_of_texts(a, texts, texts ? n : 0);
}

/* Of the int64_t at `off` in each row. */
static struct db_arg numbers(struct arena *a, const struct tally_row *rows, size_t n, size_t off)
{
    int64_t *v = arena_alloc(a, (n + 1) * sizeof *v);

    for (size_t r = 0; v && r < n; r++)
        memcpy(&v[r], (const char *)&rows[r] + off, sizeof v[r]);
    return array_of_ints(a, v, v ? n : 0);
}

struct db_arg tally_sums(struct arena *a, const struct tally_row *rows, size_t n, enum sum which)
{
    return numbers(a, rows, n, offsetof(struct tally_row, sum) + which * sizeof rows->sum[0]);
}

struct db_arg tally_firsts(struct arena *a, const struct tally_row *rows, size_t n)
{
    return numbers(a, rows, n, offsetof(struct tally_row, first_ms));
}
