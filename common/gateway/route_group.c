#include "common/gateway/route_group.h"

static const struct {
    struct str group, path, other;
} rows[] = {
#define GROUP_PATH(group, path)      {STR_INIT(#group), STR_INIT(path), {NULL, 0}},
#define GROUP_INCLUDES(group, other) {STR_INIT(#group), {NULL, 0}, STR_INIT(#other)},
#include "common/gateway/route_groups.def"
#undef GROUP_PATH
#undef GROUP_INCLUDES
};

/* {x} in `pattern` is one segment; a final '*' is anything. */
static bool matches(struct str pattern, struct str path)
{
    struct str name;

    while (pattern.n) {
        if (pattern.p[0] == '*' && pattern.n == 1)
            return true;
        if (pattern.p[0] == '{') {
            const char *slash = memchr(path.p, '/', path.n);
            size_t n = slash ? (size_t)(slash - path.p) : path.n;
            if (!n)
                return false;
            (void)str_cut(str_from(pattern, 1), '}', &name, &pattern);
            path = str_from(path, n);
        } else if (path.n && path.p[0] == pattern.p[0]) {
            pattern = str_from(pattern, 1);
            path = str_from(path, 1);
        } else {
            return false;
        }
    }
    return path.n == 0;
}

static bool group_has(struct str group, struct str path, unsigned depth)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!str_eq(rows[i].group, group))
            continue;
        if (rows[i].path.n ? matches(rows[i].path, path)
                           : depth && group_has(rows[i].other, path, depth - 1))
            return true;
    }
    return false;
}

bool route_allows(struct str entry, struct str path)
{
    if (matches(entry, path) || group_has(entry, path, 3))
        return true;
    return entry.n > 1 && entry.p[0] == '/' && str_starts(path, entry) &&
           (str_ends(entry, STR("/")) || path.p[entry.n] == '/');
}
