/* Strings one after another; whatever stands between them is not looked at. */

#include "dialect/param_list.h"

#include "common/gateway/param.h"
#include "common/json_scan.h"

/* The name as it is meant, or empty. */
static struct str name_of(struct str inside, bool path, struct arena *a)
{
    if (inside.n && memchr(inside.p, '\\', inside.n)) {
        char *p = arena_alloc(a, inside.n);
        size_t n = p ? json_unescape(p, inside) : SIZE_MAX;
        inside = n == SIZE_MAX ? (struct str){0} : (struct str){p, n};
    }
    if (path && inside.n)
        inside = param_path(inside, a);
    /* "**" is for the tables of providers: it looks into everything. */
    return inside.n && memchr(inside.p, '*', inside.n) ? (struct str){0} : inside;
}

size_t param_list(struct str *out, struct str json, bool paths, struct arena *a)
{
    const char *p = json.p, *end = json.p + json.n;
    size_t n = 0, nested = 0;

    if (!json.n || (*p != '[' && *p != '"'))
        return 0;
    while (n < PARAM_LIST_MAX && p < end && (p = memchr(p, '"', (size_t)(end - p))) != NULL) {
        const char *close = json_string_end(p + 1, end);
        if (!close)
            break;
        struct str inside = {p + 1, (size_t)(close - p) - 2};
        struct str name = inside.n <= PARAM_NAME_MAX ? name_of(inside, paths, a) : (struct str){0};
        bool is_nested = name.n && memchr(name.p, '.', name.n);
        if (name.n && !(is_nested && nested == PARAM_LIST_NESTED)) {
            nested += is_nested;
            out[n++] = name;
        }
        p = close;
    }
    return n;
}
