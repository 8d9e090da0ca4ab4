/*
 * Mock upstream: an OpenAI- and Anthropic-compatible server that costs as little as a server can,
 * so that what a benchmark measures is the gateway in front of it.
 *
 * One thread, edge-triggered epoll, HTTP/1.1 keep-alive on 127.0.0.1 (and ::1), plain and TLS. A
 * request is framed and its body read whole, but only the first and last kilobytes are looked at,
 * for three fields: "model", "stream", "include_usage". Gateways forward no headers of ours, so the
 * model name steers:
 *
 *     mock-stream-EVENTS-US   so many events when streamed, so far apart (any other name: 20, 0)
 *     mock-large-BYTES        an answer with so much text
 *     mock-wait-US            an answer after so long
 *     mock-status-CODE        an error
 *
 * Each streamed event carries the CLOCK_MONOTONIC time it was written, as text "t=<ns> ": a reader
 * on the same machine knows how long the way was.
 */

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mock_priv.h"

static volatile sig_atomic_t stop_asked;

/* ---- heap of due times ---- */

static void heap_set(struct mock *m, size_t at, struct conn *c)
{
    m->heap[at] = c;
    c->heap_at = at + 1;
}

static void heap_sift(struct mock *m, size_t at, struct conn *c)
{
    while (at > 0 && m->heap[(at - 1) / 2]->due_ns > c->due_ns) {
        heap_set(m, at, m->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t kid = 2 * at + 1;

        if (kid + 1 < m->heap_len && m->heap[kid + 1]->due_ns < m->heap[kid]->due_ns)
            kid++;
        if (kid >= m->heap_len || m->heap[kid]->due_ns >= c->due_ns)
            break;
        heap_set(m, at, m->heap[kid]);
        at = kid;
    }
    heap_set(m, at, c);
}

void conn_wake_at(struct conn *c, uint64_t due_ns)
{
    struct mock *m = c->mock;
    size_t at = c->heap_at ? c->heap_at - 1 : m->heap_len++;

    if (m->heap_len > m->heap_cap) {
        m->heap_cap = m->heap_cap ? 2 * m->heap_cap : 1024;
        m->heap = realloc(m->heap, m->heap_cap * sizeof(*m->heap));
        if (!m->heap)
            die("out of memory");
    }
    c->due_ns = due_ns;
    m->heap[at] = c;
    heap_sift(m, at, c);
}

void conn_wake_cancel(struct conn *c)
{
    struct mock *m = c->mock;
    size_t at = c->heap_at - 1;

    if (!c->heap_at)
        return;
    c->heap_at = 0;
    struct conn *tail = m->heap[--m->heap_len];
    if (tail != c)
        heap_sift(m, at, tail);
}

/* ---- ledger: one line per exchange, for tests that compare it with the gateway's records ---- */

static void ledger_flush(struct mock *m)
{
    for (size_t off = 0; off < m->ledger_len;) {
        ssize_t n = write(m->ledger_fd, m->ledger + off, m->ledger_len - off);

        if (n < 0)
            die("ledger: %s", strerror(errno));
        off += (size_t)n;
    }
    m->ledger_len = 0;
}

void ledger_add(struct mock *m, const struct exchange *ex, bool is_done)
{
    uint64_t tokens = !is_done && ex->is_streamed ? ex->events_sent : ex->tokens_out;

    if (m->ledger_fd < 0)
        return;
    int n = snprintf(m->ledger + m->ledger_len, sizeof(m->ledger) - m->ledger_len,
                     "%llu %s %s %s %llu %llu %d %llu %s\n", (unsigned long long)ex->seq, ex->id,
                     ex->path, ex->model[0] ? ex->model : "-", (unsigned long long)ex->plan.status,
                     (unsigned long long)ex->bytes_in, PROMPT_TOKENS, (unsigned long long)tokens,
                     is_done ? "done" : "aborted");
    m->ledger_len += (size_t)n;
    if (m->ledger_len >= LEDGER_FLUSH)
        ledger_flush(m);
}

/* ---- listeners and the loop ---- */

static void listener_on_accept(struct mock *m, const struct listener *l)
{
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        struct conn *c = xalloc(1, sizeof(*c));
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                 .data.ptr = c};

        c->mock = m;
        c->fd = fd;
        socket_nodelay(fd);
        if (l->is_tls) {
            c->ssl = SSL_new(m->tls);
            if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1)
                die("tls: no session");
            SSL_set_accept_state(c->ssl);
        }
        if (epoll_ctl(m->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
            die("epoll_ctl: %s", strerror(errno));
    }
}

static int listen_on(const struct sockaddr *addr, socklen_t len)
{
    int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int one = 1;

    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, addr, len) == 0 && listen(fd, 4096) == 0)
        return fd;
    close(fd);
    return -1;
}

static void listener_add(struct mock *m, int fd, bool is_tls)
{
    struct listener *l = &m->listeners[m->listener_count++];
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};

    *l = (struct listener){fd, is_tls};
    if (epoll_ctl(m->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* Listens on 127.0.0.1 and, where there is one, on ::1 ("localhost" may mean either). Returns the
 * port. */
static unsigned mock_listen(struct mock *m, uint16_t port, bool is_tls)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t len = sizeof(v4);
    int fd = listen_on((struct sockaddr *)&v4, len);

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&v4, &len) < 0)
        die("listen on port %u: %s", port, strerror(errno));
    listener_add(m, fd, is_tls);
    v6.sin6_port = v4.sin_port;
    fd = listen_on((struct sockaddr *)&v6, sizeof(v6));
    if (fd >= 0)
        listener_add(m, fd, is_tls);
    return ntohs(v4.sin_port);
}

static void mock_tls_init(struct mock *m, const char *cert, const char *key)
{
    m->tls = SSL_CTX_new(TLS_server_method());
    if (!m->tls || SSL_CTX_set_min_proto_version(m->tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_use_certificate_chain_file(m->tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(m->tls, key, SSL_FILETYPE_PEM) != 1)
        die("tls: cannot use %s and %s", cert, key);
    SSL_CTX_set_mode(m->tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(m->tls, (const unsigned char *)"mock", 4);
}

static void mock_run_due(struct mock *m)
{
    if (m->heap_len == 0)
        return;
    for (uint64_t now = now_ns(); m->heap_len > 0 && m->heap[0]->due_ns <= now;) {
        struct conn *c = m->heap[0];

        conn_due(c);
        conn_free_closed(c);
    }
}

static bool mock_owns_listener(const struct mock *m, const void *p)
{
    return (const char *)p >= (const char *)m->listeners &&
           (const char *)p < (const char *)(m->listeners + LISTENERS_MAX);
}

static void mock_loop(struct mock *m, const sigset_t *wait_mask)
{
    struct epoll_event evs[256];

    while (!stop_asked) {
        struct timespec ts, *wait = NULL;

        if (m->ledger_len)
            ledger_flush(m);
        if (m->heap_len > 0) {
            uint64_t now = now_ns();

            ts = timespec_of(m->heap[0]->due_ns > now ? m->heap[0]->due_ns - now : 0);
            wait = &ts;
        }
        int n = epoll_pwait2(m->ep, evs, 256, wait, wait_mask);

        for (int i = 0; i < n; i++) {
            if (mock_owns_listener(m, evs[i].data.ptr)) {
                listener_on_accept(m, evs[i].data.ptr);
                continue;
            }
            conn_on_event(evs[i].data.ptr, evs[i].events);
            conn_free_closed(evs[i].data.ptr);
        }
        mock_run_due(m);
    }
    if (m->ledger_len)
        ledger_flush(m);
}

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

static sigset_t signals_init(void)
{
    struct sigaction sa = {.sa_handler = on_signal};
    sigset_t mask, before;

    sigemptyset(&mask);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGINT);
    sigprocmask(SIG_BLOCK, &mask,
                &before); /* taken only inside epoll_pwait2, so that none is missed */
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    return before;
}

static const char usage[] =
    "usage: weir-bench-mock [--port N] [--tls-port N --cert FILE --key FILE] [--ledger FILE]\n"
    "Listens on loopback (port 0: a free one) and prints \"plain=PORT tls=PORT\" when ready. "
    "SIGTERM ends it.\n"
    "ledger lines: seq id path model status bytes_in tokens_in tokens_out done|aborted";

int main(int argc, char **argv)
{
    struct mock *m = xalloc(1, sizeof(*m));
    struct rlimit files;
    uint64_t port = 0, tls_port = 0;
    bool has_tls = false;
    const char *cert = NULL, *key = NULL, *ledger = NULL;

    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];

        if (!value)
            die("%s", usage);
        if (strcmp(name, "--port") == 0)
            port = number_arg("port", value);
        else if (strcmp(name, "--tls-port") == 0) {
            tls_port = number_arg("tls-port", value);
            has_tls = true;
        } else if (strcmp(name, "--cert") == 0)
            cert = value;
        else if (strcmp(name, "--key") == 0)
            key = value;
        else if (strcmp(name, "--ledger") == 0)
            ledger = value;
        else
            die("%s", usage);
    }
    if (has_tls && (!cert || !key))
        die("%s", usage);
    sigset_t wait_mask = signals_init();

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files); /* fewer connections then */
    }
    (void)prctl(PR_SET_TIMERSLACK, 1); /* events on time; later without */
    m->ep = epoll_create1(EPOLL_CLOEXEC);
    m->ledger_fd = ledger ? open(ledger, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644) : -1;
    if (m->ep < 0 || (ledger && m->ledger_fd < 0))
        die("%s: %s", ledger ? ledger : "epoll", strerror(errno));
    (void)snprintf(m->run, sizeof(m->run), "%08x",
                   (unsigned)(now_ns() / NS_PER_US) ^ (unsigned)getpid() << 20);
    (void)snprintf(m->started, sizeof(m->started), "%ld", (long)time(NULL));
    if (has_tls)
        mock_tls_init(m, cert, key);
    printf("plain=%u", mock_listen(m, (uint16_t)port, false));
    if (has_tls)
        printf(" tls=%u", mock_listen(m, (uint16_t)tls_port, true));
    printf("\n");
    fflush(stdout);
    mock_loop(m, &wait_mask);
    return 0;
}
