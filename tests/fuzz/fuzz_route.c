/*
 * Any bytes as a request target, behind one that chooses method and root path: what is found is a
 * row of that method whose pattern, filled in, is the path; escapes decode in bounds.
 */

#include "common/http/url.h"

#include "api/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_found(const struct route_match *m, enum route_method method, struct str target)
{
    const struct route_row *row = &route_rows[m->route];
    struct str path, query, before, after;

    ASSERT(row->method == method);
    (void)str_cut(target, '?', &path, &query);
    ASSERT(str_eq(query, m->query));
    bool star = str_cut(row->path, '*', &before, &after);
    ASSERT(star == (m->placeholder.n != 0));
    ASSERT(path.n >= before.n + m->placeholder.n + after.n);
    path = str_from(path, path.n - before.n - m->placeholder.n - after.n);
    ASSERT(str_starts(path, before) && str_ends(path, after));
    ASSERT(str_eq((struct str){path.p + before.n, m->placeholder.n}, m->placeholder));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct str roots[] = {{NULL, 0}, STR_INIT("/api")};
    struct route_match m;

    if (n < 1)
        return 0;
    enum route_method method = (enum route_method)(data[0] % (METHOD_OTHER + 1));
    size_t room = MAX(n - 1, (size_t)1);
    char *copy = malloc(room), *out = malloc(room); /* the sanitizer sees a step beyond them */
    ASSERT(copy && out);
    memcpy(copy, data + 1, n - 1);
    struct str target = {copy, n - 1};
    if (route_find(&m, method, target, roots[data[0] >> 7]) == ROUTE_FOUND) {
        check_found(&m, method, target);
        struct str value = query_get(m.query, STR("key"));
        ASSERT(value.n <= m.query.n);
    }
    size_t len = url_decode(out, target);
    ASSERT(len == SIZE_MAX || (len <= target.n && !memchr(out, '\0', len)) ||
           memchr(target.p, '\0', target.n));
    free(copy);
    free(out);
    return 0;
}
