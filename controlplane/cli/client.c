#include "cli/client.h"

#include <curl/curl.h>

enum {
    REPLY_MAX = 64 << 20,
    CONNECT_MS = 5000,
    WHOLE_MS = 90 * 1000, /* a little more than the control plane takes for the longest report */
};

struct client {
    CURL *curl;
    struct curl_slist *headers;
    char *url;
    /* of the request that runs */
    char *body;
    size_t n, cap;
    char applied[32];
    bool is_full;
};

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct client *c = ctx;

    n *= size;
    if (c->n + n > REPLY_MAX) {
        c->is_full = true;
        return 0;
    }
    if (c->n + n > c->cap) {
        size_t cap = MAX(2 * c->cap, c->n + n);
        char *more = realloc(c->body, cap);
        if (!more)
            return 0;
        c->body = more;
        c->cap = cap;
    }
    memcpy(c->body + c->n, p, n);
    c->n += n;
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *ctx)
{
    struct client *c = ctx;
    struct str name, value;

    if (str_cut((struct str){p, size * n}, ':', &name, &value) &&
        str_ieq(name, STR("x-weir-applied"))) {
        value = str_trim(value);
        while (value.n && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n'))
            value.n--;
        (void)snprintf(c->applied, sizeof c->applied, STR_FMT, STR_ARG(value));
    }
    return size * n;
}

struct client *client_free(struct client *c)
{
    if (!c)
        return NULL;
    curl_easy_cleanup(c->curl);
    curl_slist_free_all(c->headers);
    curl_global_cleanup();
    free(c->url);
    free(c->body);
    free(c);
    return NULL;
}

static bool is_loopback(const char *url)
{
    struct str rest = str_of(url);
    size_t at = str_find(rest, STR("://"));

    rest = str_from(rest, at == SIZE_MAX ? 0 : at + 3);
    return str_starts(rest, STR("127.")) || str_starts(rest, STR("localhost")) ||
           str_starts(rest, STR("[::1]"));
}

static bool header_add(struct client *c, const char *line)
{
    struct curl_slist *more = curl_slist_append(c->headers, line);

    if (more)
        c->headers = more;
    return more != NULL;
}

enum errc client_new(struct client **ret_c, const char *url, struct str key, struct err *e)
{
    const char *ca = getenv("SSL_CERT_FILE");
    struct client *c = calloc(1, sizeof *c);
    char line[1024];
    bool ok;

    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT)) {
        free(c);
        return err_set(e, ERRC_NOMEM, 0, "HTTP client");
    }
    if (key.n + 32 > sizeof line) {
        (void)client_free(c); /* NULL */
        return err_set(e, ERRC_LIMIT, 0, "the key is too long");
    }
    c->curl = curl_easy_init();
    c->url = strdup(url);
    (void)snprintf(line, sizeof line, "Authorization: Bearer " STR_FMT, STR_ARG(key));
    ok = c->curl && c->url && header_add(c, "Content-Type: application/json") &&
         (!key.n || header_add(c, line));
    explicit_bzero(line, sizeof line);
    while (ok && *c->url && c->url[strlen(c->url) - 1] == '/')
        c->url[strlen(c->url) - 1] = '\0';
    ok = ok && !curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers) &&
         !curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https") &&
         !curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L) &&
         !curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
         !curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)WHOLE_MS) &&
         !curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "weirctl/" WEIR_VERSION) &&
         !curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body) &&
         !curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c) &&
         !curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header) &&
         !curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c) &&
         (!ca || !curl_easy_setopt(c->curl, CURLOPT_CAINFO, ca)) &&
         (!is_loopback(url) || !curl_easy_setopt(c->curl, CURLOPT_PROXY, ""));
    if (!ok) {
        (void)client_free(c); /* NULL */
        return err_set(e, ERRC_NOMEM, 0, "HTTP client");
    }
    *ret_c = c;
    return ERRC_OK;
}

static enum errc errc_from_curl(CURLcode rc, const struct client *c, struct err *e)
{
    const char *text = curl_easy_strerror(rc);

    if (c->is_full)
        return err_set(e, ERRC_LIMIT, 0, "the answer is larger than %d MiB", REPLY_MAX >> 20);
    switch ((int)rc) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return err_set(e, ERRC_CLOSED, 0, "%s", text);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, ERRC_TIMEOUT, 0, "%s", text);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(e, ERRC_INVALID, 0, "%s", text);
    case CURLE_OUT_OF_MEMORY:
        return err_set(e, ERRC_NOMEM, 0, "%s", text);
    default:
        return err_set(e, ERRC_PROTO, 0, "%s", text);
    }
}

enum errc client_call(struct client *c, struct arena *a, const char *method, struct str path,
                      struct str body, struct client_reply *ret, struct err *e)
{
    struct str url = arena_printf(a, "%s" STR_FMT, c->url, STR_ARG(path));
    long status = 0;

    if (!url.p)
        return err_set(e, ERRC_NOMEM, 0, "request");
    c->n = 0;
    c->is_full = false;
    c->applied[0] = '\0';
    /* a POST with that method's name: so that a body goes with any method */
    if (curl_easy_setopt(c->curl, CURLOPT_URL, url.p) ||
        curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L) ||
        (body.n && (curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n) ||
                    curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.p))) ||
        curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, method))
        return err_set(e, ERRC_NOMEM, 0, "request");
    CURLcode rc = curl_easy_perform(c->curl);
    if (rc)
        return errc_from_curl(rc, c, e);
    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status); /* 0 then */
    *ret = (struct client_reply){
        .status = (unsigned)status,
        .body = arena_str(a, (struct str){c->body, c->n}),
        .applied = arena_str(a, str_of(c->applied)),
    };
    return ret->body.p || !c->n ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "reply");
}

const char *client_url(const struct client *c)
{
    return c->url;
}

struct str client_escaped(struct arena *a, struct str s)
{
    char *text = curl_easy_escape(NULL, s.n ? s.p : "", (int)MIN(s.n, (size_t)INT32_MAX));
    struct str out = arena_str(a, text ? str_of(text) : (struct str){0});

    curl_free(text);
    return out;
}
