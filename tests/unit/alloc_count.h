#pragma once

/*
 * Counts calls of malloc and its kin in the whole process, libraries included: by the sanitizer's
 * hook, else by standing in front of glibc's. Include in one file of a test program.
 */

#include <stddef.h>

static size_t alloc_count;

#ifdef __SANITIZE_ADDRESS__
#define ALLOC_HOOKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALLOC_HOOKED 1
#endif
#endif

#ifdef ALLOC_HOOKED
/* of sanitizer/allocator_interface.h, which gcc does not bring */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void alloc_on_malloc(const volatile void *p, size_t n)
{
    (void)p;
    (void)n;
    alloc_count++;
}

static void alloc_on_free(const volatile void *p)
{
    (void)p;
}

static void alloc_count_start(void)
{
    static int is_installed;

    if (!is_installed)
        is_installed = __sanitizer_install_malloc_and_free_hooks(alloc_on_malloc, alloc_on_free);
    alloc_count = 0;
}
#else
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

void *malloc(size_t n)
{
    alloc_count++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    alloc_count++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    alloc_count++;
    return __libc_realloc(p, n);
}

static void alloc_count_start(void)
{
    alloc_count = 0;
}
#endif
