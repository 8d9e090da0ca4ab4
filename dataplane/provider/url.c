/* RFC 3986 cut down to what an HTTP origin needs, and no leniency. */

#include "provider/url.h"

#include <arpa/inet.h>

#include "common/num.h"

enum { URL_MAX = 2048, HOST_MAX = 253, LABEL_MAX = 63 };

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_unreserved(char c)
{
    return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Bytes of path and query beyond the unreserved ones: RFC 3986 3.3, 3.4. */
static bool is_plain(struct str s, const char *more)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (is_unreserved(c) || (c && strchr(more, c)))
            continue;
        if (c != '%' || i + 2 >= s.n || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
            return false;
        i += 2;
    }
    return true;
}

/* True when some segment is "." or "..", also when it hides behind %2e. */
static bool has_dot_segment(struct str path)
{
    struct str segment;

    while (path.n) {
        size_t dots = 0, at = 0;
        str_cut(path, '/', &segment, &path);
        while (at < segment.n) {
            struct str rest = str_from(segment, at);
            if (rest.p[0] == '.')
                at += 1;
            else if (rest.n >= 3 && str_ieq((struct str){rest.p, 3}, STR("%2e")))
                at += 3;
            else
                break;
            dots++;
        }
        if (at == segment.n && (dots == 1 || dots == 2))
            return true;
    }
    return false;
}

static bool is_ipv4(struct str host)
{
    unsigned parts = 0;
    struct str part;
    uint32_t v;

    for (bool more = true; more; parts++) {
        more = str_cut(host, '.', &part, &host);
        if (part.n > 3 || (part.n > 1 && part.p[0] == '0') || !num_u32(part, &v) || v > 255)
            return false;
    }
    return parts == 4;
}

/*
 * Dotted labels. A last label that is a number makes the whole an address, and addresses have one
 * notation (127.1, 0x7f000001 and the like are refused). '_' is no letter of a host name, but
 * container networks name their hosts with it.
 */
static bool is_host_name(struct str host)
{
    struct str rest = host, label = {0};

    if (host.n == 0 || host.n > HOST_MAX)
        return false;
    for (bool more = true; more;) {
        more = str_cut(rest, '.', &label, &rest);
        if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
                return false;
    }
    if (label.p[0] >= '0' && label.p[0] <= '9')
        return is_ipv4(host);
    return true;
}

static bool is_ipv6(struct str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;

    if (host.n >= sizeof text)
        return false;
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    return inet_pton(AF_INET6, text, &addr) == 1;
}

static enum errc refused(struct err *e, const char *why)
{
    return err_set(e, ERRC_INVALID, 0, "api_base: %s", why);
}

static enum errc authority_parse(struct url *u, struct str s, struct arena *a, struct err *e)
{
    struct str host = s, port = {0};
    bool has_port;
    uint32_t v;

    if (memchr(s.p, '@', s.n))
        return refused(e, "a user name or password has no place in it");
    if (str_starts(s, STR("["))) {
        size_t close = str_find(s, STR("]"));
        if (close == SIZE_MAX)
            return refused(e, "the address is not closed by ]");
        host = (struct str){s.p + 1, close - 1};
        port = str_from(s, close + 1);
        has_port = port.n != 0;
        if (has_port && port.p[0] != ':')
            return refused(e, "the port is not a number from 1 to 65535");
        port = str_from(port, 1);
        if (!is_ipv6(host))
            return refused(e, "the host is no IPv6 address");
    } else {
        has_port = str_cut(s, ':', &host, &port);
        if (!is_host_name(host))
            return refused(e, "the host is neither a name nor an address");
    }
    u->port = u->tls ? 443 : 80;
    if (has_port) {
        if (!num_u32(port, &v) || v == 0 || v > 65535)
            return refused(e, "the port is not a number from 1 to 65535");
        u->port = (uint16_t)v;
    }
    char *lower = arena_alloc(a, host.n);
    if (!lower)
        return err_set(e, ERRC_NOMEM, 0, "api_base");
    for (size_t i = 0; i < host.n; i++)
        lower[i] = char_lower(host.p[i]);
    u->host = (struct str){lower, host.n};
    return ERRC_OK;
}

enum errc url_parse(struct url *u, struct str text, struct arena *a, struct err *e)
{
    size_t scheme = str_find(text, STR("://"));

    *u = (struct url){0};
    if (text.n > URL_MAX)
        return refused(e, "longer than 2048 bytes");
    if (scheme == SIZE_MAX)
        return refused(e, "not a URL: it does not begin with http:// or https://");
    u->tls = str_ieq((struct str){text.p, scheme}, STR("https"));
    if (!u->tls && !str_ieq((struct str){text.p, scheme}, STR("http")))
        return refused(e, "the scheme is neither http nor https");
    if (memchr(text.p, '#', text.n))
        return refused(e, "a fragment (#) has no place in it");

    struct str rest = str_from(text, scheme + 3);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    enum errc rc = authority_parse(u, (struct str){rest.p, end}, a, e);
    if (rc)
        return rc;

    struct str path, query;
    str_cut(str_from(rest, end), '?', &path, &query);
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    if (!is_plain(path, "!$&'()*+,;=:@/") || !is_plain(query, "!$&'()*+,;=:@/?"))
        return refused(e, "it holds a byte that must be percent-encoded");
    if (has_dot_segment(path) || str_find(path, STR("//")) != SIZE_MAX)
        return refused(e, "the path holds an empty, . or .. segment");
    u->path = arena_str(a, path);
    u->query = arena_str(a, query);
    return arena_ok(a) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "api_base");
}

struct str url_authority(const struct url *u, struct arena *a)
{
    bool v6 = u->host.n && memchr(u->host.p, ':', u->host.n);
    const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";

    if (u->port == (u->tls ? 443 : 80))
        return arena_printf(a, "%s" STR_FMT "%s", open, STR_ARG(u->host), close);
    return arena_printf(a, "%s" STR_FMT "%s:%u", open, STR_ARG(u->host), close, u->port);
}

struct str url_text(const struct url *u, struct arena *a)
{
    struct str authority = url_authority(u, a);

    return arena_printf(a, "%s://" STR_FMT STR_FMT, u->tls ? "https" : "http", STR_ARG(authority),
                        STR_ARG(u->path));
}

struct str url_query_value(const struct url *u, struct str name)
{
    struct str rest = u->query, pair, key, value;

    while (rest.n) {
        str_cut(rest, '&', &pair, &rest);
        if (str_cut(pair, '=', &key, &value) && str_eq(key, name))
            return value;
    }
    return (struct str){0};
}

struct str url_encode(struct str s, struct arena *a)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, s.n * 3);
    size_t n = 0;

    if (!out)
        return (struct str){0};
    for (size_t i = 0; i < s.n; i++) {
        if (is_unreserved(s.p[i])) {
            out[n++] = s.p[i];
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[(unsigned char)s.p[i] >> 4];
        out[n++] = hex[(unsigned char)s.p[i] & 15];
    }
    return (struct str){out, n};
}
