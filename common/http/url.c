/* Escapes are resolved where a value is used, never before a path is matched. */

#include "common/http/url.h"

bool url_path_is_plain(struct str path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '\\' || c == '#')
            return false;
        if (c == '/' && i + 1 < path.n) {
            struct str rest = str_from(path, i + 1);
            if (rest.p[0] == '/' || str_eq(rest, STR(".")) || str_eq(rest, STR("..")) ||
                str_starts(rest, STR("./")) || str_starts(rest, STR("../")))
                return false;
        }
    }
    return true;
}

bool url_host_is_plain(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char ch = char_lower(host.p[i]);
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '-' ||
                  ch == ':' || ch == '_' || ch == '[' || ch == ']';
        if (!ok)
            return false;
    }
    return host.n != 0;
}

bool url_path_match(struct str pattern, struct str path, struct str *ret_params, unsigned max)
{
    unsigned n = 0;

    while (pattern.n) {
        if (pattern.p[0] != '{') {
            if (!path.n || path.p[0] != pattern.p[0])
                return false;
            pattern = str_from(pattern, 1);
            path = str_from(path, 1);
            continue;
        }
        struct str name, value = path;
        (void)str_cut(str_from(pattern, 1), '}', &name, &pattern);
        if (!str_ends(name, STR(":path"))) {
            const char *slash = memchr(path.p, '/', path.n);
            value.n = slash ? (size_t)(slash - path.p) : path.n;
        }
        if (!value.n || n == max)
            return false;
        ret_params[n++] = value;
        path = str_from(path, value.n);
    }
    return path.n == 0;
}

static int hex_digit(char c)
{
    c = char_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t url_decode(char *out, struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1;
            int lo = s.n - i > 2 ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
                return SIZE_MAX;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

bool query_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
    struct str pair;

    if (!rest->n)
        return false;
    (void)str_cut(*rest, '&', &pair, rest);
    (void)str_cut(pair, '=', ret_name, ret_value);
    return true;
}

struct str query_get(struct str query, struct str name)
{
    struct str key, value;

    while (query_next(&query, &key, &value))
        if (str_eq(key, name))
            return value;
    return (struct str){0};
}
