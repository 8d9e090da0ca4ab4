#include "analytics/log_rank.h"

#include <stdlib.h>

#define CMP(a, b) ((a) < (b) ? -1 : (a) > (b))

int log_key_cmp(const struct log_key *a, const struct log_key *b)
{
    int c = CMP(a->is_null, b->is_null);

    if (!c)
        c = CMP(a->value, b->value);
    if (!c)
        c = CMP(a->source, b->source);
    return c ? c : CMP(a->i, b->i);
}

static int by_begin(const void *a, const void *b)
{
    return log_key_cmp(&(*(struct log_part *const *)a)->begin,
                       &(*(struct log_part *const *)b)->begin);
}

static int by_end(const void *a, const void *b)
{
    return log_key_cmp(&(*(struct log_part *const *)a)->end, &(*(struct log_part *const *)b)->end);
}

int64_t log_near(struct arena *a, struct log_part *parts, size_t n, int64_t offset, int64_t limit)
{
    struct log_part **sorted = arena_alloc(a, (n + 1) * sizeof(struct log_part *));
    const struct log_key *from = NULL, *until = NULL;
    int64_t seen = 0, before = 0;

    if (!sorted || !n)
        return 0;
    for (size_t i = 0; i < n; i++)
        sorted[i] = &parts[i];
    qsort(sorted, n, sizeof(struct log_part *), by_begin);
    for (size_t i = 0; i < n && seen <= offset; i++) { /* so many at most come before it begins */
        from = &sorted[i]->begin;
        seen += sorted[i]->found;
    }
    qsort(sorted, n, sizeof(struct log_part *), by_end);
    seen = 0;
    for (size_t i = 0; i < n && seen < offset + limit; i++) { /* so many at least before its end */
        until = &sorted[i]->end;
        seen += sorted[i]->found;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_before = log_key_cmp(&parts[i].end, from) <= 0;
        parts[i].is_near = !is_before && log_key_cmp(&parts[i].begin, until) < 0;
        if (is_before)
            before += parts[i].found;
    }
    return before;
}
