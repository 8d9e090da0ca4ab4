/* One pass with one point to go back to: behind the last '*'. */

#include "common/gateway/glob.h"

bool glob_match(struct str pattern, struct str name)
{
    size_t p = 0, n = 0;
    size_t star = SIZE_MAX, mark = 0;

    while (n < name.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            mark = n;
        } else if (p < pattern.n && pattern.p[p] == name.p[n]) {
            p++;
            n++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            n = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

bool globs_match(struct str patterns, struct str name)
{
    bool negated = str_starts(patterns, STR("!"));
    struct str rest = str_from(patterns, negated), one;

    if (patterns.n == 0)
        return true;
    while (rest.n) {
        str_cut(rest, '|', &one, &rest);
        if (glob_match(one, name))
            return !negated;
    }
    return negated;
}
