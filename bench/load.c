/*
 * Load generator: one thread, edge-triggered epoll, N keep-alive connections to one URL.
 *
 * Open loop (--rate R). Request k is due at start + k/R whatever happened to those before it. It
 * goes out on an idle connection, or waits for one, and its latency counts from the moment it was
 * due: a gateway that stalls is charged for every request it delayed (no coordinated omission). How
 * late the generator itself sent, with a connection idle, is reported apart as lateness.
 *
 * Closed loop (--rate 0). Each connection sends its next request when an answer is complete.
 *
 * Streams (--streams N). N streams are opened and held; "ready N" is printed when each had its
 * first event.
 *
 * Streamed events carry the mock's CLOCK_MONOTONIC stamp ("t=<ns> "); an event's delay is arrival
 * less stamp.
 */

#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "load_priv.h"

enum { CONNECT_SPREAD = 64 }; /* connections being opened at once */

static volatile sig_atomic_t stop_asked;

bool load_may_send(const struct load *l)
{
    return l->now_ns < l->end_ns && (l->max_requests == 0 || l->sent < l->max_requests);
}

static void load_poll(struct load *l, uint64_t wait_until_ns)
{
    struct epoll_event evs[256];
    struct timespec ts = timespec_of(wait_until_ns > l->now_ns ? wait_until_ns - l->now_ns : 0);
    int n = epoll_pwait2(l->ep, evs, 256, &ts, NULL);

    l->now_ns = now_ns();
    for (int i = 0; i < n; i++)
        conn_on_event(evs[i].data.ptr, evs[i].events);
}

static void load_connect(struct load *l)
{
    uint64_t give_up_ns = now_ns() + l->timeout_ns;
    size_t opened = 0;

    l->now_ns = now_ns();
    while (opened < l->conn_count || l->connecting > 0) {
        for (; opened < l->conn_count && l->connecting < CONNECT_SPREAD; opened++) {
            l->conns[opened].load = l;
            conn_open(&l->conns[opened]);
        }
        load_poll(l, give_up_ns);
        if (l->now_ns >= give_up_ns)
            die("cannot open %zu connections", l->conn_count);
    }
}

static struct conn *load_take_idle(struct load *l)
{
    struct conn *c = &l->conns[l->idle_first - 1];

    l->idle_first = c->idle_next;
    return c;
}

static uint64_t load_due(const struct load *l, uint64_t k)
{
    return l->start_ns + (uint64_t)((unsigned __int128)k * NS_PER_S / l->rate);
}

/* Open loop: sends what is due, as far as there are idle connections. Returns when to look again.
 */
static uint64_t load_send_due(struct load *l, bool *has_waited)
{
    for (;;) {
        uint64_t due = load_due(l, l->sent);

        if (due >= l->end_ns || !load_may_send(l))
            return l->end_ns;
        if (due > l->now_ns) {
            *has_waited = false;
            return due;
        }
        if (l->idle_first == 0) {
            *has_waited = true;
            return l->end_ns;
        }
        if (*has_waited)
            l->waited++;
        else
            hist_add(&l->measures[LATENESS], l->now_ns - due);
        conn_request(load_take_idle(l), due);
        l->now_ns = now_ns();
    }
}

static void load_expire(struct load *l)
{
    for (size_t i = 0; i < l->conn_count; i++) {
        struct conn *c = &l->conns[i];

        if (c->state != CONN_IDLE && l->now_ns - c->sent_ns > l->timeout_ns)
            conn_fail(c, c->state == CONN_CONNECTING ? FAIL_CONNECT : FAIL_TIMEOUT);
    }
}

static void load_run(struct load *l)
{
    uint64_t expire_ns;
    bool has_waited = false;

    l->now_ns = l->start_ns = l->last_ns = now_ns();
    l->end_ns = l->start_ns + l->duration_ns;
    expire_ns = l->start_ns;
    if (l->rate == 0)
        while (l->idle_first && load_may_send(l))
            conn_request(load_take_idle(l), l->now_ns);
    while (!stop_asked && (load_may_send(l) || l->answered < l->sent)) {
        uint64_t next_ns = l->end_ns;

        if (l->rate > 0)
            next_ns = load_send_due(l, &has_waited);
        else if (l->is_holding && l->now_ns >= l->end_ns)
            break;
        if (next_ns > l->now_ns + 100 * NS_PER_MS || next_ns <= l->now_ns)
            next_ns = l->now_ns + 100 * NS_PER_MS;
        load_poll(l, next_ns);
        if (l->now_ns >= expire_ns && !l->is_holding) {
            load_expire(l);
            expire_ns = l->now_ns + 100 * NS_PER_MS;
        }
    }
}

/* ---- the request ---- */

struct text {
    char *p;
    size_t n, cap;
};

static void text_put(struct text *t, const char *p, size_t n)
{
    if (t->cap - t->n < n) {
        t->cap = 2 * t->cap + n;
        t->p = realloc(t->p, t->cap);
        if (!t->p)
            die("out of memory");
    }
    if (n > 0)
        memcpy(t->p + t->n, p, n);
    t->n += n;
}

__attribute__((format(printf, 2, 3))) static void text_printf(struct text *t, const char *fmt, ...)
{
    char line[1024];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof(line))
        die("an argument is too long");
    text_put(t, line, (size_t)n);
}

static void text_read_file(struct text *t, const char *path)
{
    char buf[65536];
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        die("%s: %s", path, strerror(errno));
    while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
        text_put(t, buf, n);
    fclose(f);
}

static bool path_ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

/* A request of exactly `bytes` bytes (or the least there can be) in the form the path asks for. */
static void text_make_body(struct text *t, const char *path, const char *model, bool is_streamed,
                           size_t bytes)
{
    const char *open =
        "\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},"
        "{\"role\":\"user\",\"content\":\"";
    const char *close = "\"}]}";
    static const char words[] = "The weir holds the river back and measures what goes over. ";

    if (path_ends(path, "/responses") || path_ends(path, "/embeddings")) {
        open = "\"input\":\"";
        close = "\"}";
    } else if (!path_ends(path, "/chat/completions") && path_ends(path, "/completions")) {
        open = "\"prompt\":\"";
        close = "\"}";
    } else if (path_ends(path, "/messages")) {
        open = "\"max_tokens\":256,\"messages\":[{\"role\":\"user\",\"content\":\"";
    }
    text_printf(t, "{\"model\":\"%s\",%s%s", model, is_streamed ? "\"stream\":true," : "", open);
    while (t->n + strlen(close) < bytes) {
        size_t left = bytes - t->n - strlen(close);

        text_put(t, words, left < sizeof(words) - 1 ? left : sizeof(words) - 1);
    }
    text_put(t, close, strlen(close));
}

/* ---- options ---- */

static const char usage[] =
    "usage: weir-bench-load --url http://127.0.0.1:PORT/PATH [options]\n"
    "  --connections N    kept alive (1)\n"
    "  --rate R           requests per second, open loop; 0: closed loop, as fast as answers come "
    "(0)\n"
    "  --duration MS      (2000)          --requests N   at most so many\n"
    "  --timeout MS       per request (10000)\n"
    "  --window MS        with --json: p99 of the latency in each part of the duration\n"
    "  --header 'N: V'    may be repeated\n"
    "  --body FILE        or, made:       --model NAME (mock-small), --body-bytes N (300), "
    "--stream 1\n"
    "  --streams N        open N streams, print \"ready N\", hold them for the duration or until "
    "SIGTERM\n"
    "  --json 1           one JSON object with histograms as [highest value, count]\n"
    "Exit status 1 when a request failed.";

struct options {
    const char *url, *body, *model;
    uint64_t connections, body_bytes, streams, stream, json, duration_ms, timeout_ms, window_ms,
        rate, requests;
    struct text headers;
};

static void options_read(struct options *o, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        uint64_t *number;
    } table[] = {
        {"url", &o->url, NULL},
        {"body", &o->body, NULL},
        {"model", &o->model, NULL},
        {"connections", NULL, &o->connections},
        {"body-bytes", NULL, &o->body_bytes},
        {"streams", NULL, &o->streams},
        {"stream", NULL, &o->stream},
        {"json", NULL, &o->json},
        {"duration", NULL, &o->duration_ms},
        {"timeout", NULL, &o->timeout_ms},
        {"window", NULL, &o->window_ms},
        {"rate", NULL, &o->rate},
        {"requests", NULL, &o->requests},
    };
    const size_t rows = sizeof(table) / sizeof(table[0]);

    for (int i = 1; i < argc; i += 2) {
        const char *value = argv[i + 1];
        size_t row = 0;

        if (strncmp(argv[i], "--", 2) != 0 || !value)
            die("%s", usage);
        if (strcmp(argv[i], "--header") == 0) {
            text_printf(&o->headers, "%s\r\n", value);
            continue;
        }
        while (row < rows && strcmp(argv[i] + 2, table[row].name) != 0)
            row++;
        if (row == rows)
            die("%s", usage);
        if (table[row].text)
            *table[row].text = value;
        else
            *table[row].number = number_arg(table[row].name, value);
    }
    if (!o->url)
        die("%s", usage);
}

/* http://127.0.0.1:PORT/PATH, nothing else: this is a loopback benchmark. Returns the path. */
static const char *load_set_url(struct load *l, const char *url)
{
    static const char scheme[] = "http://127.0.0.1:";
    const char *p = url + sizeof(scheme) - 1;
    uint64_t port = 0;

    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || !digits_read(&p, p + strlen(p), &port) ||
        *p != '/')
        die("--url: want %sPORT/PATH", scheme);
    l->addr = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return p;
}

static void load_set_request(struct load *l, const struct options *o, const char *path)
{
    struct text body = {0}, request = {0};

    if (o->body)
        text_read_file(&body, o->body);
    else
        text_make_body(&body, path, o->model, o->stream || o->streams, o->body_bytes);
    text_printf(&request,
                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: weir-bench\r\nAccept: "
                "application/json\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                path, body.n);
    if (o->headers.n)
        text_put(&request, o->headers.p, o->headers.n);
    text_put(&request, "\r\n", 2);
    text_put(&request, body.p, body.n);
    free(body.p);
    l->request = request.p;
    l->request_len = request.n;
}

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

int main(int argc, char **argv)
{
    struct load *l = xalloc(1, sizeof(*l));
    struct options o = {.model = "mock-small",
                        .connections = 1,
                        .body_bytes = 300,
                        .duration_ms = 2000,
                        .timeout_ms = 10000};
    struct sigaction sa = {.sa_handler = on_signal};
    struct rlimit files;
    uint64_t failed = 0;

    options_read(&o, argc, argv);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections then */
    }
    (void)prctl(PR_SET_TIMERSLACK, 1); /* requests on time; lateness shows it without */
    load_set_request(l, &o, load_set_url(l, o.url));
    l->is_holding = o.streams > 0;
    l->conn_count = o.streams ? o.streams : o.connections;
    l->rate = o.rate;
    l->max_requests = o.streams ? o.streams : o.requests;
    l->duration_ns = o.duration_ms * NS_PER_MS;
    l->timeout_ns = o.timeout_ms * NS_PER_MS;
    l->window_ns = o.window_ms * NS_PER_MS;
    l->window_count = o.window_ms ? o.duration_ms / o.window_ms : 0;
    l->windows = xalloc(l->window_count, sizeof(*l->windows));
    l->conns = xalloc(l->conn_count, sizeof(*l->conns));
    l->ep = epoll_create1(EPOLL_CLOEXEC);
    if (l->ep < 0)
        die("epoll: %s", strerror(errno));
    load_connect(l);
    load_run(l);
    if (o.json)
        load_print_json(l);
    else
        load_print(l);
    for (unsigned i = 0; i < FAILURES; i++)
        failed += l->failures[i];
    return failed > 0;
}
