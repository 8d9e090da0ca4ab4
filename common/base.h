#pragma once

/* What every file uses: fixed-width types, attributes, assertions, scope-bound cleanup. */

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h> /* MIN, MAX; libuv includes it too */
#include <time.h>

#include "common/banned.h"

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define UNUSED                  __attribute__((unused))
#define NORETURN                __attribute__((noreturn))
#define FALLTHROUGH             __attribute__((fallthrough))
#define UNINITIALIZED           __attribute__((uninitialized)) /* large; written before it is read */
#define LIKELY(x)               __builtin_expect(!!(x), 1)
#define UNLIKELY(x)             __builtin_expect(!!(x), 0)

#define BIT(n)       (1u << (n))
#define BIT64(n)     (UINT64_C(1) << (n))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * States what our own code guarantees; stays on in release. A failed one reports the place and
 * ends the process, which the manager then replaces. Never used on a peer's bytes, files, the clock
 * or memory.
 */
#define ASSERT(cond) (LIKELY(cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))
NORETURN void assert_failed(const char *cond, const char *file, int line);

/*
 * Scope-bound ownership: AUTO_FREE(trust) struct trust *t = trust_new(); frees with trust_free() at
 * the end of the scope; `return TAKE(t)` hands it on. A type says DEFINE_AUTO_FREE(trust) in its
 * header.
 */
#define DEFINE_AUTO_FREE(type)                                                                     \
    static inline void type##_auto_free(struct type **p)                                           \
    {                                                                                              \
        *p = type##_free(*p);                                                                      \
    }
#define AUTO_FREE(type) __attribute__((cleanup(type##_auto_free)))

#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) take_ = (p);                                                                 \
        (p) = NULL;                                                                                \
        take_;                                                                                     \
    })
