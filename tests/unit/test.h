#pragma once

/* What every unit test includes: cmocka with the headers it expects, and equality of strings. */

/* cmocka wants these before it */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "common/str.h"

#define assert_str(actual, expected)                                                               \
    assert_str_((actual), str_of(expected), #actual, __FILE__, __LINE__)

static inline void assert_str_(struct str actual, struct str expected, const char *what,
                               const char *file, int line)
{
    if (str_eq(actual, expected))
        return;
    print_error("%s: got \"%.*s\", expected \"%.*s\"\n", what, STR_ARG(actual), STR_ARG(expected));
    _fail(file, line);
}
