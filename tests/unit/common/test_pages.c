/* Whole pages inside a range read as zeros; no byte outside them changes. */

#include <sys/mman.h>

#include "common/pages.h"

#include "tests/unit/test.h"

enum { PAGE = 4096, PAGES = 4 };

static void test_only_whole_pages_go(void **state)
{
    static const struct {
        size_t at, n, from, to; /* what is given, what goes */
    } rows[] = {
        {0, PAGES * PAGE, 0, PAGES * PAGE},
        {1, PAGES * PAGE - 2, PAGE, (PAGES - 1) * PAGE},
        {PAGE, PAGE, PAGE, 2 * PAGE},
        {PAGE, PAGE - 1, 0, 0},
        {PAGE - 1, PAGE, 0, 0},
        {PAGE - 1, PAGE + 1, PAGE, 2 * PAGE},
        {PAGE + 1, 2 * PAGE, 2 * PAGE, 3 * PAGE},
        {17, 0, 0, 0},
    };
    static void (*const fns[])(void *, size_t) = {pages_forget, pages_remove};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        int kind = i % 2 ? MAP_SHARED : MAP_PRIVATE;
        size_t row = i / 2;
        char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(p, MAP_FAILED);
        memset(p, 'x', PAGES * PAGE);
        fns[i % 2](p + rows[row].at, rows[row].n);
        for (size_t k = 0; k < PAGES * PAGE; k++)
            assert_int_equal(p[k], k >= rows[row].from && k < rows[row].to ? 0 : 'x');
        assert_int_equal(munmap(p, PAGES * PAGE), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_only_whole_pages_go)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
