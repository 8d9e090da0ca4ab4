#include "publish/feed.h"

bool feed_init(struct feed *f)
{
    *f = (struct feed){.batches = calloc(FEED_REVISIONS, sizeof *f->batches)};
    return f->batches != NULL;
}

static struct feed_batch *batch_at(const struct feed *f, unsigned i)
{
    return &f->batches[(f->first + i) % FEED_REVISIONS];
}

static void drop_first(struct feed *f)
{
    struct feed_batch *b = batch_at(f, 0);

    f->base = b->to;
    f->bytes -= b->entities.n;
    packed_deinit(&b->entities);
    f->first = (f->first + 1) % FEED_REVISIONS;
    f->count--;
}

void feed_reset(struct feed *f, uint64_t epoch, uint64_t n)
{
    while (f->count)
        drop_first(f);
    f->epoch = epoch;
    f->base = f->n = n;
}

void feed_deinit(struct feed *f)
{
    if (f->batches)
        feed_reset(f, 0, 0);
    free(f->batches);
    *f = (struct feed){0};
}

void feed_push(struct feed *f, uint64_t n, struct packed *take_entities)
{
    struct packed p = *take_entities;

    *take_entities = (struct packed){0};
    if (p.failed || p.n > FEED_MAX) {
        packed_deinit(&p);
        feed_reset(f, f->epoch, n);
        return;
    }
    while (f->count && (f->count == FEED_REVISIONS || f->bytes + p.n > FEED_MAX))
        drop_first(f);
    *batch_at(f, f->count++) = (struct feed_batch){n, p};
    f->bytes += p.n;
    f->n = n;
}

/* The first batch that leads beyond `n`; f->count: none. */
static unsigned batch_behind(const struct feed *f, uint64_t n)
{
    unsigned lo = 0, hi = f->count;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (batch_at(f, mid)->to <= n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool feed_has(const struct feed *f, uint64_t epoch, uint64_t n)
{
    unsigned i = batch_behind(f, n);

    if (!f->epoch || epoch != f->epoch)
        return false;
    return n == (i ? batch_at(f, i - 1)->to : f->base);
}

uint64_t feed_behind(const struct feed *f, uint64_t n)
{
    return f->count - batch_behind(f, n) + (n < f->base);
}

/* Bytes of whole entities at the start of `s`, at most `max`, but at least one entity. */
static size_t whole(struct str s, size_t max)
{
    size_t n = 0;

    if (s.n <= max)
        return s.n;
    while (n < s.n) {
        size_t step = packed_step(str_from(s, n));
        if (n && n + step > max)
            break;
        n += step;
    }
    return MIN(n, s.n);
}

bool feed_page(const struct feed *f, uint64_t have, struct feed_place *at, size_t max,
               void (*put)(void *ctx, struct str piece), void *ctx)
{
    uint64_t from = at->to ? at->to : have + 1;
    unsigned i = batch_behind(f, from - 1);
    size_t put_n = 0, offset = at->to ? at->offset : 0;

    bool is_there = !at->to || (i < f->count && batch_at(f, i)->to == from &&
                                offset <= batch_at(f, i)->entities.n);
    *at = (struct feed_place){0};
    if (!is_there)
        return false;
    for (; i < f->count; i++, offset = 0) {
        const struct feed_batch *b = batch_at(f, i);
        struct str rest = {b->entities.p + offset, b->entities.n - offset};
        size_t n = rest.n && put_n < max ? whole(rest, max - put_n) : 0;
        if (put_n + n > max && put_n)
            n = 0; /* one too large for this page */
        if (n)
            put(ctx, (struct str){rest.p, n});
        put_n += n;
        if (n < rest.n) {
            *at = (struct feed_place){b->to, offset + n};
            return false;
        }
    }
    return true;
}
