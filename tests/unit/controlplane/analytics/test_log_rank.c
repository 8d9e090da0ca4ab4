/* Which parts of ordered lists a page lies in. */

#include <stdlib.h>

#include "analytics/log_rank.h"
#include "tests/unit/test.h"

enum { SOURCES = 7, ENTRIES = 400, PART = 32, ALL = SOURCES * ENTRIES };

struct world {
    struct log_key keys[ALL]; /* those of a source in its order; then all in theirs */
    struct log_part parts[ALL];
    size_t n_parts, n_found;
    bool matches[ALL];
};

static uint32_t seed = 1;

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static int by_key(const void *a, const void *b)
{
    return log_key_cmp(a, b);
}

/* Entries of few values, some of none; one in `rare` matches. */
static void fill(struct world *w, uint32_t n_values, uint32_t rare)
{
    *w = (struct world){0};
    for (uint32_t s = 0; s < SOURCES; s++) {
        struct log_key *of = &w->keys[s * ENTRIES];
        for (uint32_t i = 0; i < ENTRIES; i++)
            of[i] = (struct log_key){.is_null = pick(5) == 0, .value = pick(n_values), .source = s};
        for (uint32_t i = 0; i < ENTRIES; i++)
            of[i].value = of[i].is_null ? 0 : of[i].value;
        qsort(of, ENTRIES, sizeof *of, by_key);
        for (uint32_t i = 0; i < ENTRIES; i++) {
            of[i].i = i;
            w->matches[s * ENTRIES + i] = pick(rare) == 0;
        }
        for (uint32_t first = 0; first < ENTRIES; first += PART) {
            uint32_t n = MIN((uint32_t)PART, ENTRIES - first);
            struct log_part p = {.source = s, .first = first, .n = n, .begin = of[first]};
            p.end = of[first + n - 1];
            p.end.i++;
            for (uint32_t i = first; i < first + n; i++)
                p.found += w->matches[s * ENTRIES + i];
            if (p.found)
                w->parts[w->n_parts++] = p;
        }
    }
}

/* Where a page begins among the entries of near parts, against all sorted. */
static void check(struct world *w, struct arena *a, int64_t offset, int64_t limit)
{
    static struct log_key all[ALL], near[ALL];
    size_t n_all = 0, n_near = 0;
    int64_t before = log_near(a, w->parts, w->n_parts, offset, limit);

    for (size_t i = 0; i < ALL; i++)
        if (w->matches[i])
            all[n_all++] = w->keys[i];
    qsort(all, n_all, sizeof *all, by_key);
    for (size_t k = 0; k < w->n_parts; k++)
        for (uint32_t i = 0; w->parts[k].is_near && i < w->parts[k].n; i++) {
            size_t at = (size_t)w->parts[k].source * ENTRIES + w->parts[k].first + i;
            if (w->matches[at])
                near[n_near++] = w->keys[at];
        }
    qsort(near, n_near, sizeof *near, by_key);
    for (int64_t i = offset; i < offset + limit && i < (int64_t)n_all; i++) {
        assert_in_range(i - before, 0, n_near - 1);
        assert_int_equal(log_key_cmp(&near[i - before], &all[i]), 0);
    }
    if (limit < 10 && n_all > 1000)
        assert_true(n_near < n_all / 2);
}

static void test_a_page_lies_in_near_parts(void **state)
{
    static const uint32_t values[] = {1, 3, 40, 100000}, rare[] = {1, 2, 20, 300};
    static struct world w;
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 64 << 20);
    for (size_t v = 0; v < ARRAY_LEN(values); v++)
        for (size_t r = 0; r < ARRAY_LEN(rare); r++) {
            fill(&w, values[v], rare[r]);
            int64_t n = 0;
            for (size_t i = 0; i < w.n_parts; i++)
                n += w.parts[i].found;
            for (int64_t offset = 0; offset < n; offset += 1 + (int64_t)pick(60)) {
                check(&w, &a, offset, 5);
                check(&w, &a, offset, 150);
            }
        }
    assert_true(arena_ok(&a));
    arena_reset(&a);
}

static void test_of_nothing_nothing_is_near(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, NULL, 1 << 20);
    assert_int_equal(log_near(&a, NULL, 0, 0, 50), 0);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_lies_in_near_parts),
        cmocka_unit_test(test_of_nothing_nothing_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
