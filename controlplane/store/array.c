/* As array_recv() of PostgreSQL reads them: dimensions, elements with their lengths; big endian. */

#include "store/array.h"

enum { OID_INT8 = 20, OID_TEXT = 25, HEAD = 5 * 4 };

static char *put_be(char *to, uint64_t v, unsigned bytes)
{
    while (bytes--)
        *to++ = (char)(v >> (8 * bytes));
    return to;
}

/* Room for the elements at *ret_at; NULL: no memory. */
static char *begin(struct arena *a, unsigned type, size_t n, size_t bytes, char **ret_at)
{
    char *out = arena_alloc(a, HEAD + bytes), *p = out;

    if (!out)
        return NULL;
    p = put_be(p, n ? 1 : 0, 4); /* dimensions */
    p = put_be(p, 0, 4);         /* no NULLs */
    p = put_be(p, type, 4);
    if (n) {
        p = put_be(p, n, 4);
        p = put_be(p, 1, 4); /* the first one's number */
    }
    *ret_at = p;
    return out;
}

static struct db_arg end(const char *out, const char *at)
{
    return (struct db_arg){.type = ARG_BINARY, .text = {out, out ? (size_t)(at - out) : 0}};
}

struct db_arg array_of_texts(struct arena *a, const struct str *v, size_t n)
{
    size_t bytes = 4 * n;
    char *at = NULL;

    for (size_t i = 0; i < n; i++)
        bytes += v[i].n;
    char *out = begin(a, OID_TEXT, n, bytes, &at);
    for (size_t i = 0; out && i < n; i++) {
        at = put_be(at, v[i].n, 4);
        if (v[i].n)
            memcpy(at, v[i].p, v[i].n);
        at += v[i].n;
    }
    return end(out, at);
}

struct db_arg array_of_ints(struct arena *a, const int64_t *v, size_t n)
{
    char *at = NULL, *out = begin(a, OID_INT8, n, 12 * n, &at);

    for (size_t i = 0; out && i < n; i++) {
        at = put_be(at, 8, 4);
        at = put_be(at, (uint64_t)v[i], 8);
    }
    return end(out, at);
}
