/*
 * Two buffers: the link fills one while the thread writes the other. A batch goes over when it is
 * half full or 50 ms old and the thread is idle. With a full buffer the link waits for the thread,
 * 20 ms at most: a sink that takes longer is slow, and lines are dropped until it has caught up.
 * A buffer holds what a busy worker leaves between two looks at its ring, and more: the two threads
 * share a core with it, and large writes cost half of small ones for each byte.
 */

#include "link/access.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/date.h"
#include "common/num.h"
#include "common/pages.h"

enum {
    BUFFER = 256 * 1024,
    BATCH_NS = 50 * 1000000,
    WAIT_NS = 20 * 1000000,
    WRITER_STACK = 64 * 1024,
    SINK_MAX = 512,
    END_MS = 1000,
};

struct access {
    char *fill; /* of the link */
    size_t n;
    uint64_t n_lines;
    uint64_t first_ns; /* when the oldest line in it came */
    uint64_t dropped;
    bool off;  /* no sink: nothing is formatted */
    bool slow; /* the sink: do not wait for it */

    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake, idle;
    char *out; /* of the thread while busy */
    size_t out_n;
    uint64_t out_lines;
    char sink[SINK_MAX];
    bool busy, reopen, stop;
    uint64_t lost; /* lines the sink did not take */
    int failed;    /* errno since last asked */
};

/* --- formatting ------------------------------------------------------------------------------ */

static char *put(char *p, struct str s)
{
    memcpy(p, s.p, s.n);
    return p + s.n;
}

#define PUT(p, lit) put((p), STR(lit))

static char *put_u64(char *p, uint64_t v)
{
    return p + num_put_u64(p, v);
}

/* `v` with at least `digits` digits. */
static char *put_padded(char *p, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + digits;
}

/* A JSON string; what is no UTF-8 becomes U+FFFD. At most 6 bytes for each of `s`. */
static char *put_json(char *p, struct str s)
{
    static const char hex[] = "0123456789abcdef";

    *p++ = '"';
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        size_t n = 1;
        if (c >= 0x80) {
            n = str_utf8_length(str_from(s, i));
            p = n ? put(p, (struct str){s.p + i, n}) : PUT(p, "\\ufffd");
            n = MAX(n, 1);
        } else if (c < 0x20 || c == 0x7f) {
            p = PUT(p, "\\u00");
            *p++ = hex[c >> 4];
            *p++ = hex[c & 15];
        } else {
            if (c == '"' || c == '\\')
                *p++ = '\\';
            *p++ = (char)c;
        }
        i += n;
    }
    *p++ = '"';
    return p;
}

/* "2026-11-20T13:04:05.123456Z" */
static char *put_time(char *p, int64_t wall_us)
{
    uint64_t us = (uint64_t)MAX(wall_us, 0), s = us / 1000000;

    p = date_put(p, (int64_t)(s / 86400));
    *p++ = 'T';
    p = put_padded(p, s / 3600 % 24, 2);
    *p++ = ':';
    p = put_padded(p, s / 60 % 60, 2);
    *p++ = ':';
    p = put_padded(p, s % 60, 2);
    *p++ = '.';
    p = put_padded(p, us % 1000000, 6);
    *p++ = 'Z';
    return p;
}

/* Nanoseconds as milliseconds with three decimals. */
static char *put_ms(char *p, uint64_t ns)
{
    uint64_t us = ns / 1000;

    p = put_u64(p, us / 1000);
    *p++ = '.';
    return put_padded(p, us % 1000, 3);
}

/* Nano-dollars as dollars, without trailing zeros. */
static char *put_usd(char *p, int64_t nusd)
{
    uint64_t v = (uint64_t)MAX(nusd, 0);

    p = put_u64(p, v / 1000000000);
    if (v % 1000000000 == 0)
        return p;
    *p++ = '.';
    p = put_padded(p, v % 1000000000, 9);
    while (p[-1] == '0')
        p--;
    return p;
}

static struct str route_path(uint8_t route)
{
    static const struct str paths[] = {
#define ROUTE(id, method, path, forms, policy, handler, api) STR_INIT(path),
#include "proto/routes.def"
    };

    return route < ARRAY_LEN(paths) ? paths[route] : STR("other");
}

size_t access_format(char *out, const struct record *r)
{
    static const struct {
        enum record_string which;
        struct str key;
        enum record_string usual; /* left out when it says the same; itself: there is none */
    } texts[] = {
        {RS_CLIENT_IP, STR_INIT(",\"client_ip\":"), RS_CLIENT_IP},
        {RS_KEY_ALIAS, STR_INIT(",\"key_alias\":"), RS_KEY_ALIAS},
        {RS_TEAM, STR_INIT(",\"team\":"), RS_TEAM},
        {RS_USER, STR_INIT(",\"user\":"), RS_USER},
        {RS_MODEL, STR_INIT(",\"model\":"), RS_MODEL},
        {RS_GROUP, STR_INIT(",\"group\":"), RS_MODEL},
        {RS_DEPLOYMENT, STR_INIT(",\"deployment\":"), RS_DEPLOYMENT},
        {RS_UPSTREAM_MODEL, STR_INIT(",\"upstream_model\":"), RS_GROUP},
        {RS_PROVIDER, STR_INIT(",\"provider\":"), RS_PROVIDER},
        {RS_API_BASE, STR_INIT(",\"api_base\":"), RS_API_BASE},
        {RS_ERROR, STR_INIT(",\"error\":"), RS_ERROR},
    };
    const struct usage *u = &r->usage;
    char *p = out;

    p = PUT(p, "{\"time\":\"");
    p = put_time(p, r->end_us);
    p = PUT(p, "\",\"request_id\":");
    p = put_json(p, record_get(r, RS_REQUEST_ID));
    p = PUT(p, ",\"route\":");
    p = put_json(p, route_path(r->route));
    p = PUT(p, ",\"status\":");
    p = put_u64(p, r->status);
    if (r->upstream_status != r->status) {
        p = PUT(p, ",\"upstream_status\":");
        p = put_u64(p, r->upstream_status);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct str s = record_get(r, texts[i].which);
        if (s.n == 0 ||
            (texts[i].usual != texts[i].which && str_eq(s, record_get(r, texts[i].usual))))
            continue;
        p = put(p, texts[i].key);
        p = put_json(p, s);
    }
    if (r->flags & RECORD_STREAM)
        p = PUT(p, ",\"stream\":true");
    if (r->flags & RECORD_CLIENT_GONE)
        p = PUT(p, ",\"client_gone\":true");
    if (r->flags & RECORD_DIED)
        p = PUT(p, ",\"worker_died\":true");
    if (r->attempt != 1) {
        p = PUT(p, ",\"attempts\":");
        p = put_u64(p, r->attempt);
    }
    p = PUT(p, ",\"bytes_in\":");
    p = put_u64(p, r->bytes_in);
    p = PUT(p, ",\"bytes_out\":");
    p = put_u64(p, r->bytes_out);
    p = PUT(p, ",\"total_ms\":");
    p = put_ms(p, r->total_ns);
    if (r->connect_ns) {
        p = PUT(p, ",\"connect_ms\":");
        p = put_ms(p, r->connect_ns);
    }
    p = PUT(p, ",\"first_byte_ms\":");
    p = put_ms(p, r->first_byte_ns);
    p = PUT(p, ",\"upstream_ms\":");
    p = put_ms(p, r->upstream_ns);
    p = PUT(p, ",\"overhead_ms\":");
    p = put_ms(p, r->overhead_ns);
    p = PUT(p, ",\"prompt_tokens\":");
    p = put_u64(p, usage_prompt(u));
    p = PUT(p, ",\"completion_tokens\":");
    p = put_u64(p, usage_completion(u));
    if (u->cache_read) {
        p = PUT(p, ",\"cached_tokens\":");
        p = put_u64(p, u->cache_read);
    }
    if (u->estimated)
        p = PUT(p, ",\"tokens_estimated\":true");
    p = PUT(p, ",\"cost_usd\":");
    p = put_usd(p, r->cost_nusd);
    if (r->flags & RECORD_UNPRICED)
        p = PUT(p, ",\"unpriced\":true");
    p = PUT(p, "}\n");
    return (size_t)(p - out);
}

/* --- the writing thread ---------------------------------------------------------------------- */

/* Opens `sink`; *ret_errno says why it could not. -1: there is none. */
static int sink_open(const char *sink, int *ret_errno)
{
    *ret_errno = 0;
    if (strcmp(sink, "-") == 0)
        return STDOUT_FILENO;
    if (sink[0] == '\0' || strcmp(sink, "off") == 0)
        return -1;
    int fd = open(sink, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        *ret_errno = errno;
    return fd;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t did = write(fd, p, n);
        if (did < 0 && errno == EINTR)
            continue;
        if (did <= 0)
            return did < 0 ? errno : EIO;
        p += did;
        n -= (size_t)did;
    }
    return 0;
}

static void *writer_run(void *arg)
{
    struct access *a = arg;
    char sink[SINK_MAX];
    int fd = -1, failed;

    (void)pthread_mutex_lock(&a->lock);
    for (;;) {
        while (!a->busy && !a->stop)
            (void)pthread_cond_wait(&a->wake, &a->lock);
        if (!a->busy)
            break;
        bool reopen = a->reopen;
        a->reopen = false;
        memcpy(sink, a->sink, sizeof sink);
        (void)pthread_mutex_unlock(&a->lock);

        failed = 0;
        if (reopen || fd < 0) {
            if (fd > STDERR_FILENO)
                close(fd);
            fd = sink_open(sink, &failed);
        }
        if (fd >= 0)
            failed = write_all(fd, a->out, a->out_n);

        (void)pthread_mutex_lock(&a->lock);
        a->busy = false;
        (void)pthread_cond_signal(&a->idle);
        if (failed) {
            a->failed = failed;
            a->lost += a->out_lines;
        }
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (fd > STDERR_FILENO)
        close(fd);
    return NULL;
}

/* --- the link's side ------------------------------------------------------------------------- */

enum errc access_new(struct access **ret_a, struct err *e)
{
    struct access *a = calloc(1, sizeof *a);
    pthread_condattr_t monotonic;
    pthread_attr_t attr;

    if (!a || !(a->fill = malloc(BUFFER)) || !(a->out = malloc(BUFFER))) {
        if (a)
            free(a->fill);
        free(a);
        return err_set(e, ERRC_NOMEM, 0, "access log");
    }
    (void)pthread_mutex_init(&a->lock, NULL); /* cannot fail here */
    (void)pthread_cond_init(&a->wake, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&a->idle, &monotonic);
    int rc = pthread_attr_init(&attr);
    if (rc == 0) {
        (void)pthread_attr_setstacksize(&attr, WRITER_STACK); /* else the default: larger */
        rc = pthread_create(&a->thread, &attr, writer_run, a);
        (void)pthread_attr_destroy(&attr);
    }
    if (rc != 0) {
        free(a->fill);
        free(a->out);
        free(a);
        return err_set(e, ERRC_SYS, rc, "start the access log's thread");
    }
    *ret_a = a;
    return ERRC_OK;
}

/* Hands the filled buffer to the thread if it is idle. */
static void hand_over(struct access *a)
{
    if (a->n == 0)
        return;
    (void)pthread_mutex_lock(&a->lock);
    if (!a->busy) {
        char *was = a->out;
        a->out = a->fill;
        a->out_n = a->n;
        a->out_lines = a->n_lines;
        a->busy = true;
        a->fill = was;
        a->n = a->n_lines = 0;
        a->slow = false;
        (void)pthread_cond_signal(&a->wake);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

static bool is_idle(struct access *a)
{
    (void)pthread_mutex_lock(&a->lock);
    bool idle = !a->busy;
    (void)pthread_mutex_unlock(&a->lock);
    return idle;
}

struct access *access_free(struct access *a)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    if (!a)
        return NULL;
    for (int ms = 0; ms < END_MS && (a->n > 0 || !is_idle(a)); ms++) {
        hand_over(a);
        (void)nanosleep(&pause, NULL);
    }
    if (!is_idle(a))
        return NULL; /* the thread hangs in a write, with this memory; the process is ending */
    (void)pthread_mutex_lock(&a->lock);
    a->stop = true;
    (void)pthread_cond_signal(&a->wake);
    (void)pthread_mutex_unlock(&a->lock);
    (void)pthread_join(a->thread, NULL);
    (void)pthread_mutex_destroy(&a->lock);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_cond_destroy(&a->idle);
    free(a->fill);
    free(a->out);
    free(a);
    return NULL;
}

void access_set_sink(struct access *a, struct str sink)
{
    a->off = sink.n == 0 || str_eq(sink, STR("off"));
    (void)pthread_mutex_lock(&a->lock);
    (void)snprintf(a->sink, sizeof a->sink, STR_FMT, STR_ARG(sink)); /* cut: it will not open */
    a->reopen = true;
    (void)pthread_mutex_unlock(&a->lock);
}

void access_reopen(struct access *a)
{
    (void)pthread_mutex_lock(&a->lock);
    a->reopen = true;
    (void)pthread_mutex_unlock(&a->lock);
}

/* Waits until the thread has written its buffer, or is found slow. */
static void wait_idle(struct access *a)
{
    uint64_t until_ns = clock_mono_ns() + WAIT_NS;
    struct timespec until = clock_timespec(until_ns);

    (void)pthread_mutex_lock(&a->lock);
    while (a->busy && !a->slow)
        a->slow = pthread_cond_timedwait(&a->idle, &a->lock, &until) == ETIMEDOUT && a->busy;
    (void)pthread_mutex_unlock(&a->lock);
}

void access_add(struct access *a, const struct record *r)
{
    if (a->off)
        return;
    if (a->n + ACCESS_LINE_MAX > BUFFER) {
        wait_idle(a);
        hand_over(a);
    }
    if (a->n + ACCESS_LINE_MAX > BUFFER) {
        a->dropped++;
        return;
    }
    if (a->n == 0)
        a->first_ns = clock_mono_ns();
    a->n += access_format(a->fill + a->n, r);
    a->n_lines++;
}

void access_tick(struct access *a, uint64_t now_ns)
{
    if (a->n >= BUFFER / 2 || (a->n > 0 && now_ns >= a->first_ns + BATCH_NS))
        hand_over(a);
}

void access_trim(struct access *a)
{
    if (a->n == 0)
        pages_forget(a->fill, BUFFER);
    (void)pthread_mutex_lock(&a->lock);
    if (!a->busy)
        pages_forget(a->out, BUFFER);
    (void)pthread_mutex_unlock(&a->lock);
}

uint64_t access_dropped(struct access *a)
{
    (void)pthread_mutex_lock(&a->lock);
    uint64_t n = a->dropped + a->lost;
    (void)pthread_mutex_unlock(&a->lock);
    return n;
}

bool access_failed(struct access *a, int *ret_errno)
{
    (void)pthread_mutex_lock(&a->lock);
    *ret_errno = a->failed;
    a->failed = 0;
    (void)pthread_mutex_unlock(&a->lock);
    return *ret_errno != 0;
}
