/* Parameters of the URL's query: libpq's pass, the other library's are understood or dropped. */

#include "store/db_url.h"

#include "common/http/url.h"
#include "common/num.h"

static const struct {
    struct str name, libpq; /* empty: not for libpq */
} params[] = {
    {STR_INIT("host"), STR_INIT("host")},
    {STR_INIT("hostaddr"), STR_INIT("hostaddr")},
    {STR_INIT("port"), STR_INIT("port")},
    {STR_INIT("user"), STR_INIT("user")},
    {STR_INIT("password"), STR_INIT("password")},
    {STR_INIT("passfile"), STR_INIT("passfile")},
    {STR_INIT("sslmode"), STR_INIT("sslmode")},
    {STR_INIT("sslrootcert"), STR_INIT("sslrootcert")},
    {STR_INIT("sslcert"), STR_INIT("sslrootcert")}, /* there it names the server's authority */
    {STR_INIT("sslkey"), STR_INIT("sslkey")},
    {STR_INIT("sslcrl"), STR_INIT("sslcrl")},
    {STR_INIT("sslsni"), STR_INIT("sslsni")},
    {STR_INIT("channel_binding"), STR_INIT("channel_binding")},
    {STR_INIT("options"), STR_INIT("options")},
    {STR_INIT("target_session_attrs"), STR_INIT("target_session_attrs")},
    {STR_INIT("krbsrvname"), STR_INIT("krbsrvname")},
    {STR_INIT("keepalives"), STR_INIT("keepalives")},
    {STR_INIT("keepalives_idle"), STR_INIT("keepalives_idle")},
};

static struct str libpq_name(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        if (str_eq(params[i].name, name))
            return params[i].libpq;
    return (struct str){0};
}

static struct str decoded(struct str s, struct arena *a)
{
    char *out = arena_alloc(a, s.n + 1);
    size_t n = out ? url_decode(out, s) : SIZE_MAX;

    if (n == SIZE_MAX)
        return (struct str){0};
    out[n] = '\0';
    return (struct str){out, n};
}

/* A schema goes into search_path: a name and nothing else. */
static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = char_lower(s.p[i]);
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (i && c >= '0' && c <= '9')))
            return false;
    }
    return s.n > 0 && s.n < 64;
}

enum errc db_url_read(struct db_url *ret, struct str url, struct arena *a, struct err *e)
{
    struct db_url u = {.schema = STR("public")};
    struct str base, query, name, value;
    bool any = false;

    if (!str_starts(url, STR("postgresql://")) && !str_starts(url, STR("postgres://"))) {
        u.conninfo = arena_str(a, url);
        if (!memchr(url.p, '=', url.n))
            return err_set(e, ERRC_INVALID, 0, "database URL: postgresql://... is wanted");
        *ret = u;
        return arena_ok(a) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "database URL");
    }
    (void)str_cut(url, '?', &base, &query); /* without one the query is empty */
    u.conninfo = arena_str(a, base);
    while (query_next(&query, &name, &value)) {
        struct str libpq = libpq_name(name);
        if (libpq.n) {
            u.conninfo = arena_printf(a, STR_FMT "%c" STR_FMT "=" STR_FMT, STR_ARG(u.conninfo),
                                      any ? '&' : '?', STR_ARG(libpq), STR_ARG(value));
            any = true;
        } else if (str_eq(name, STR("schema"))) {
            u.schema = decoded(value, a);
            if (!is_name(u.schema))
                return err_set(e, ERRC_INVALID, 0, "database URL: schema is no plain name");
        } else if (str_eq(name, STR("connection_limit"))) {
            if (!num_u32(value, &u.connection_limit))
                return err_set(e, ERRC_INVALID, 0, "database URL: connection_limit is no number");
        } else if (str_eq(name, STR("pgbouncer"))) {
            u.pgbouncer = str_eq(value, STR("true"));
        }
    }
    if (!arena_ok(a))
        return err_set(e, ERRC_NOMEM, 0, "database URL");
    *ret = u;
    return ERRC_OK;
}
