/* Where deployments connect to: proxies of the environment, trusted authorities, origins. */

#include <errno.h>
#include <fcntl.h>
#include <mbedtls/base64.h>
#include <mbedtls/error.h>
#include <mbedtls/x509_crt.h>
#include <unistd.h>

#include "common/gateway/provider.h"
#include "common/num.h"

#include "link/config_priv.h"
#include "provider/url.h"

enum {
    MAX_CA_BYTES = 4 * 1024 * 1024,
    ADMIN_CONNECTIONS = 16, /* to the control plane, over all workers */
};

static const char system_ca[] = "/etc/ssl/certs/ca-certificates.crt";

/* ---- trusted authorities ---- */

/* The whole of a small file, NUL-terminated, in the arena; false with errno. */
static bool read_whole(struct arena *a, const char *path, struct str *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : arena_alloc(a, MAX_CA_BYTES + 1);
    ssize_t got = text ? 1 : -1;
    size_t n = 0;

    while (got > 0 && n < MAX_CA_BYTES) {
        got = read(fd, text + n, MAX_CA_BYTES - n);
        if (got > 0)
            n += (size_t)got;
    }
    int sys = errno;
    if (fd >= 0)
        (void)close(fd); /* only read from */
    errno = sys;
    if (got != 0)
        return false;
    text[n] = '\0';
    *ret = (struct str){text, n};
    return true;
}

struct str config_read_ca(struct config *c, const struct conf_node *at, struct str path,
                          struct conf_log *log)
{
    const char *name = arena_str(&c->file.arena, path).p;
    mbedtls_x509_crt crt;
    struct arena scratch;
    struct str text, pem = {0};

    if (!name)
        return pem;
    arena_init(&scratch, NULL, 2 * MAX_CA_BYTES);
    mbedtls_x509_crt_init(&crt);
    if (!read_whole(&scratch, name, &text))
        conf_note(log, CONF_ERROR, at, "authorities in %s: %s", name,
                  errno ? strerror(errno) : "too large");
    else if (mbedtls_x509_crt_parse(&crt, (const unsigned char *)text.p, text.n + 1) < 0 ||
             crt.version == 0)
        conf_note(log, CONF_ERROR, at, "authorities in %s: no certificate in PEM", name);
    else
        pem = arena_str(&c->file.arena, text);
    mbedtls_x509_crt_free(&crt);
    arena_reset(&scratch);
    return pem;
}

/* The file an ssl_verify names; empty for true, false and nothing. */
static struct str verify_file(const struct conf_node *n)
{
    bool truth;

    return n && n->kind == CONF_STR && !conf_bool(NULL, n, &truth) ? n->text : (struct str){0};
}

static bool verify_is_off(const struct conf_node *n)
{
    bool truth;

    return n && n->kind != CONF_LIST && n->kind != CONF_MAP && conf_bool(NULL, n, &truth) && !truth;
}

static const struct conf_node *global_verify(const struct config *c)
{
    return c->file
        .value[CONFIG_FIRST(&c->file, SETTING_LITELLM_ssl_verify, SETTING_ENV_SSL_VERIFY)];
}

void config_read_trust(struct config *c)
{
    const struct conf_node *at = global_verify(c);
    struct str path = verify_file(at);

    if (path.n == 0) {
        at = c->file.value[SETTING_ENV_SSL_CERT_FILE];
        path = config_text(&c->file, SETTING_ENV_SSL_CERT_FILE);
    }
    if (path.n)
        c->ca = config_read_ca(c, at, path, &c->file.log);
    else if (access(system_ca, R_OK) == 0)
        c->ca = config_read_ca(c, NULL, str_of(system_ca), &c->file.log);
    else
        conf_note(&c->file.log, CONF_WARNING, NULL,
                  "no trusted authorities: %s cannot be read and SSL_CERT_FILE is not set",
                  system_ca);
}

/* ---- proxies ---- */

/* The variable in lower case, else in upper case. */
static struct str proxy_variable(struct config *c, const char *lower, const char *upper)
{
    struct str v = config_env(&c->file, str_of(lower));

    return v.n ? v : config_env(&c->file, str_of(upper));
}

/* NO_PROXY: "*", a host, a domain (".example.com" and "example.com" alike, with what is below). */
static bool is_exempt(struct config *c, struct str host, uint16_t port)
{
    struct str rest = proxy_variable(c, "no_proxy", "NO_PROXY"), one, name, digits;
    uint32_t only;
    bool more;

    do {
        more = str_cut(rest, ',', &one, &rest);
        one = str_trim(one);
        if (str_eq(one, STR("*")))
            return true;
        if (str_find(one, STR("::")) == SIZE_MAX && str_cut(one, ':', &name, &digits)) {
            if (!num_u32(digits, &only) || only != port)
                continue;
            one = name;
        }
        if (one.n && one.p[0] == '.')
            one = str_from(one, 1);
        if (one.n == 0 || one.n > host.n)
            continue;
        size_t before = host.n - one.n;
        if (str_ieq(str_from(host, before), one) && (before == 0 || host.p[before - 1] == '.'))
            return true;
    } while (more);
    return false;
}

static int hex_digit(char c)
{
    c = char_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static struct str percent_decoded(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;

    for (size_t i = 0; p && i < s.n; i++) {
        int high = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.p[i + 2]) : -1;
        if (low >= 0)
            i += 2;
        p[n++] = low >= 0 ? (char)(high * 16 + low) : s.p[i];
    }
    return (struct str){p, p ? n : 0};
}

static struct str basic_auth(struct arena *a, struct str user_info)
{
    struct str plain = percent_decoded(a, user_info);
    size_t cap = 4 * (plain.n + 2) / 3 + 4, n = 0;
    unsigned char *out = arena_alloc(a, cap);

    if (!out || mbedtls_base64_encode(out, cap, &n, (const unsigned char *)plain.p, plain.n) != 0)
        return (struct str){0};
    return arena_printf(a, "Basic %.*s", (int)n, (const char *)out);
}

/* http://[user:password@]host[:port][/]; a proxy that cannot be used is an error, never skipped:
 * going around it may be what must not happen. */
static bool proxy_of(struct config *c, struct config_origin *o, struct conf_log *log)
{
    bool tls = o->flags & SNAP_ORIGIN_TLS;
    struct str url = tls ? proxy_variable(c, "https_proxy", "HTTPS_PROXY")
                         : proxy_variable(c, "http_proxy", "HTTP_PROXY");
    struct str authority, user, rest;
    uint32_t port = 80;

    if (url.n == 0)
        url = proxy_variable(c, "all_proxy", "ALL_PROXY");
    if (url.n == 0 || is_exempt(c, o->host, o->port))
        return true;
    if (str_find(url, STR("://")) == SIZE_MAX)
        rest = url;
    else if (str_starts(url, STR("http://")))
        rest = str_from(url, 7);
    else {
        conf_note(log, CONF_ERROR, NULL, "environment: %s: only http:// proxies are supported",
                  tls ? "HTTPS_PROXY" : "HTTP_PROXY");
        return false;
    }
    (void)str_cut(rest, '/', &authority, &rest); /* a path means nothing */
    for (user = (struct str){0}; str_find(authority, STR("@")) != SIZE_MAX;) {
        size_t at = authority.n - 1;
        while (authority.p[at] != '@')
            at--;
        user = (struct str){authority.p, at};
        authority = str_from(authority, at + 1);
    }
    if (authority.n && authority.p[0] == '[') {
        size_t end = str_find(authority, STR("]"));
        o->proxy_host = str_from((struct str){authority.p, MIN(end, authority.n)}, 1);
        rest = str_from(authority, end == SIZE_MAX ? authority.n : end + 1);
        rest = str_from(rest, 1);
    } else if (!str_cut(authority, ':', &o->proxy_host, &rest)) {
        rest = (struct str){0};
    }
    if (o->proxy_host.n == 0 || (rest.n && (!num_u32(rest, &port) || !port || port > 65535))) {
        conf_note(log, CONF_ERROR, NULL, "environment: %s: no http://host:port",
                  tls ? "HTTPS_PROXY" : "HTTP_PROXY");
        return false;
    }
    o->proxy_port = (uint16_t)port;
    if (user.n)
        o->proxy_auth = basic_auth(&c->file.arena, user);
    return true;
}

/* ---- origins ---- */

static bool origin_eq(const struct config_origin *a, const struct config_origin *b)
{
    return str_ieq(a->host, b->host) && a->port == b->port && a->flags == b->flags &&
           str_eq(a->ca, b->ca) && str_eq(a->proxy_host, b->proxy_host) &&
           a->proxy_port == b->proxy_port && str_eq(a->proxy_auth, b->proxy_auth);
}

/* Its index; SNAP_NONE without memory. */
static uint32_t origin_add(struct config *c, const struct config_origin *o)
{
    uint32_t n = c->n_origins;

    for (uint32_t i = 0; i < n; i++)
        if (origin_eq(&c->origins[i], o))
            return i;
    if ((n & (n - 1)) == 0) { /* room for 1, 2, 4 ... */
        struct config_origin *more = arena_alloc(&c->file.arena, (n ? 2 * n : 1) * sizeof *more);
        if (!more)
            return SNAP_NONE;
        if (n)
            memcpy(more, c->origins, n * sizeof *more);
        c->origins = more;
    }
    c->origins[c->n_origins++] = *o;
    return n;
}

/* The provider's own host out there, as the table has it: it has no business on this network. */
static bool is_public_default(const struct target *t)
{
    const struct provider *p = provider_find(t->provider);

    return p && str_find(p->base, t->host) != SIZE_MAX && str_find(t->host, STR(".")) != SIZE_MAX &&
           !str_starts(t->host, STR("127."));
}

uint32_t config_origin_of(struct config *c, const struct config_deployment *d, struct conf_log *log)
{
    const struct conf_node *own = conf_get(d->params, STR("ssl_verify"));
    const struct conf_node *verify = own && own->kind != CONF_NULL ? own : global_verify(c);
    struct config_origin o = {.host = d->target.host, .port = d->target.port};

    if (d->target.tls)
        o.flags |= SNAP_ORIGIN_TLS;
    if (d->target.tls && verify_is_off(verify))
        o.flags |= SNAP_ORIGIN_NO_VERIFY;
    if (!is_public_default(&d->target) && d->at->source != CONF_OF_OTHERS)
        o.flags |= SNAP_ORIGIN_PRIVATE_OK;
    if (d->target.tls && verify == own && verify_file(own).n) {
        o.ca = config_read_ca(c, own, verify_file(own), log);
        if (o.ca.n == 0)
            return SNAP_NONE;
    }
    if (!proxy_of(c, &o, log))
        return SNAP_NONE;
    return origin_add(c, &o);
}

/* The address control planes of this configuration listen on; they may do so on all. */
static struct str admin_default(struct config *c)
{
    struct str host = config_text(&c->file, SETTING_WEIR_admin_host);
    bool six = str_find(host, STR(":")) != SIZE_MAX;

    if (str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("::")))
        return arena_printf(&c->file.arena, "http://127.0.0.1:%u",
                            config_u32(&c->file, SETTING_WEIR_admin_port));
    return arena_printf(&c->file.arena, "http://%s" STR_FMT "%s:%u", six ? "[" : "", STR_ARG(host),
                        six ? "]" : "", config_u32(&c->file, SETTING_WEIR_admin_port));
}

void config_read_admin(struct config *c)
{
    struct config_file *f = &c->file;
    enum setting_id id =
        CONFIG_FIRST(f, SETTING_WEIR_admin_url, SETTING_ENV_WEIR_ADMIN_URL, SETTING_WEIR_admin_url);
    struct str text = config_text(f, id);
    struct url u;
    struct err e;

    c->admin_origin = SNAP_NONE;
    if (!config_bool(f, CONFIG_FIRST(f, SETTING_WEIR_forward_admin, SETTING_ENV_WEIR_FORWARD_ADMIN,
                                     SETTING_WEIR_forward_admin)))
        return;
    if (url_parse(&u, text.n ? text : admin_default(c), &f->arena, &e)) {
        conf_note(&f->log, CONF_ERROR, f->value[id], "weir.admin_url: %s", e.msg);
        return;
    }
    struct config_origin o = {
        .host = u.host,
        .port = u.port,
        .flags = SNAP_ORIGIN_ADMIN | SNAP_ORIGIN_PRIVATE_OK | (u.tls ? SNAP_ORIGIN_TLS : 0),
        .max_connections = ADMIN_CONNECTIONS,
    };
    if (u.tls && verify_is_off(global_verify(c)))
        o.flags |= SNAP_ORIGIN_NO_VERIFY;
    c->admin_host = url_authority(&u, &f->arena);
    c->admin_path = u.path;
    c->admin_origin = origin_add(c, &o);
}
