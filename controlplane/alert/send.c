#include "alert/send.h"

#include <curl/curl.h>

enum { CONNECT_MS = 5000, WHOLE_MS = 10000, ANSWER_MAX = 64 * 1024, TEXT = 512 };

struct sender {
    CURL *curl;
    const atomic_bool *ending;
    const char *ca;
    size_t n; /* bytes of the answer */
};

/* What a receiver answers is nobody's news, and not without end. */
static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct sender *s = ctx;

    (void)p;
    s->n += size * n;
    return s->n <= ANSWER_MAX ? size * n : 0;
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct sender *s = ctx;

    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return atomic_load(s->ending);
}

enum errc sender_new(struct sender **ret_s, const atomic_bool *ending, const char *ca,
                     struct err *e)
{
    struct sender *s = calloc(1, sizeof *s);

    if (s)
        s->curl = curl_easy_init();
    if (!s || !s->curl) {
        free(s);
        return err_set(e, ERRC_NOMEM, 0, "alerts");
    }
    s->ending = ending;
    s->ca = ca;
    *ret_s = s;
    return ERRC_OK;
}

struct sender *sender_free(struct sender *s)
{
    if (s)
        curl_easy_cleanup(s->curl);
    free(s);
    return NULL;
}

/* Fails only for options that this library does not know. */
static bool begin(struct sender *s, const char *url, const char *protocols)
{
    CURL *c = s->curl;

    curl_easy_reset(c);
    s->n = 0;
    return !curl_easy_setopt(c, CURLOPT_URL, url) &&
           !curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, protocols) &&
           (!s->ca[0] || !curl_easy_setopt(c, CURLOPT_CAINFO, s->ca)) &&
           !curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) &&
           !curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) &&
           !curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)WHOLE_MS) &&
           !curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body) &&
           !curl_easy_setopt(c, CURLOPT_WRITEDATA, s) &&
           !curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L) &&
           !curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress) &&
           !curl_easy_setopt(c, CURLOPT_XFERINFODATA, s);
}

static enum errc unknown_option(struct err *e)
{
    return err_set(e, ERRC_INVALID, 0, "libcurl does not know an option");
}

static enum errc perform(struct sender *s, long least, long most, struct err *e)
{
    CURLcode rc = curl_easy_perform(s->curl);
    long status = 0;

    if (rc)
        return err_set(e, rc == CURLE_OPERATION_TIMEDOUT ? ERRC_TIMEOUT : ERRC_CLOSED, 0, "%s",
                       curl_easy_strerror(rc));
    (void)curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status); /* 0: none */
    if (status < least || status > most)
        return err_set(e, ERRC_PROTO, 0, "answered %ld", status);
    return ERRC_OK;
}

enum errc sender_post(struct sender *s, const char *url, struct str json, struct err *e)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *c = s->curl;
    enum errc rc;

    if (!headers)
        return err_set(e, ERRC_NOMEM, 0, "alerts");
    if (!begin(s, url, "http,https") || curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers) ||
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)json.n) ||
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, json.p))
        rc = unknown_option(e);
    else
        rc = perform(s, 200, 299, e);
    curl_slist_free_all(headers);
    return rc;
}

/* What goes over the wire, built by libcurl. NULL: no memory. */
static curl_mime *mail_body(CURL *c, struct str text)
{
    curl_mime *mime = curl_mime_init(c);
    curl_mimepart *part = mime ? curl_mime_addpart(mime) : NULL;

    if (part && !curl_mime_data(part, text.p, text.n) &&
        !curl_mime_type(part, "text/plain; charset=utf-8") && !curl_mime_encoder(part, "base64"))
        return mime;
    curl_mime_free(mime);
    return NULL;
}

static struct curl_slist *mail_head(const struct mail_server *m, const char *to,
                                    const char *subject)
{
    static const char *const names[] = {"From", "To", "Subject"};
    const char *const values[] = {m->sender, to, subject};
    struct curl_slist *list = NULL, *more;
    char line[TEXT];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(line, sizeof line, "%s: %s", names[i], values[i]);
        more = curl_slist_append(list, line);
        if (!more) {
            curl_slist_free_all(list);
            return NULL;
        }
        list = more;
    }
    return list;
}

enum errc sender_mail(struct sender *s, const struct mail_server *m, struct str address,
                      const char *subject, struct str text, struct err *e)
{
    char url[TEXT], from[TEXT], to[TEXT];
    CURL *c = s->curl;
    enum errc rc = ERRC_OK;

    (void)snprintf(url, sizeof url, "%s://%s:%u", m->is_tls ? "smtps" : "smtp", m->host, m->port);
    (void)snprintf(from, sizeof from, "<%s>", m->sender);
    (void)snprintf(to, sizeof to, "<" STR_FMT ">", STR_ARG(address));
    bool ok = begin(s, url, "smtp,smtps");
    curl_mime *mime = mail_body(c, text);
    struct curl_slist *head = mail_head(m, to, subject), *rcpt = curl_slist_append(NULL, to);
    if (!mime || !head || !rcpt)
        rc = err_set(e, ERRC_NOMEM, 0, "alerts");
    else if (!ok || curl_easy_setopt(c, CURLOPT_MAIL_FROM, from) ||
             curl_easy_setopt(c, CURLOPT_MAIL_RCPT, rcpt) ||
             curl_easy_setopt(c, CURLOPT_HTTPHEADER, head) ||
             curl_easy_setopt(c, CURLOPT_MIMEPOST, mime) ||
             curl_easy_setopt(
                 c, CURLOPT_USE_SSL,
                 (long)(m->starts_tls && !m->is_tls ? CURLUSESSL_ALL : CURLUSESSL_NONE)) ||
             (m->user[0] && (curl_easy_setopt(c, CURLOPT_USERNAME, m->user) ||
                             curl_easy_setopt(c, CURLOPT_PASSWORD, m->password))))
        rc = unknown_option(e);
    if (!rc)
        rc = perform(s, 200, 299, e);
    curl_slist_free_all(rcpt);
    curl_slist_free_all(head);
    curl_mime_free(mime);
    return rc;
}
