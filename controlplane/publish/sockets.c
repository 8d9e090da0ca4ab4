/*
 * One raw reply socket with all listeners. Raw, because then a parked request costs no more than
 * its header: the message that came, emptied, is what hub and pages know as `to`.
 */

#include "publish/sockets.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    PIPES_MAX = 4096,
    SEND_QUEUE = 1024,
    TICK_MS = 250,
    STRANGER_MS = 2000, /* a connection without a session: a certificate alone opens nothing */
};

struct stranger {
    nng_pipe pipe;
    uint64_t since_ns; /* when it was last seen with one */
};

struct sockets {
    struct hub *hub;
    nng_socket socket;
    nng_aio *receive, *tick;
    atomic_bool closing;
    atomic_uint n_pipes;
    bool is_open;

    pthread_mutex_t lock; /* of those from other machines */
    struct stranger far[PIPES_MAX];
    unsigned n_far;
    uint64_t looked_ns;
};

static enum errc errc_from_nng(int rv, const char *what, struct err *e)
{
    if (rv >= NNG_ESYSERR && !(rv & NNG_ETRANERR))
        return err_set(e, ERRC_SYS, rv - NNG_ESYSERR, "%s", what);
    return err_set(e, rv == NNG_ENOMEM ? ERRC_NOMEM : ERRC_INVALID, 0, "%s: %s", what,
                   nng_strerror(rv));
}

void sockets_send(struct sockets *s, void *to, struct str bytes)
{
    nng_msg *m = to;

    /* not waiting: a data plane that does not read loses its answer, and asks again */
    if (!bytes.n || nng_msg_append(m, bytes.p, bytes.n) != 0 ||
        nng_sendmsg(s->socket, m, NNG_FLAG_NONBLOCK) != 0)
        nng_msg_free(m);
}

static bool is_local(nng_pipe p)
{
    uint64_t uid;

    return nng_pipe_get_uint64(p, NNG_OPT_IPC_PEER_UID, &uid) == 0 && uid == geteuid();
}

static bool is_ipc(nng_pipe p)
{
    nng_sockaddr a;

    return nng_pipe_get_addr(p, NNG_OPT_LOCADDR, &a) == 0 && a.s_family == NNG_AF_IPC;
}

static void on_receive(void *arg)
{
    struct sockets *s = arg;
    int rv = nng_aio_result(s->receive);

    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED || atomic_load(&s->closing))
        return;
    if (rv == 0) {
        nng_msg *m = nng_aio_get_msg(s->receive);
        nng_pipe pipe = nng_msg_get_pipe(m);
        struct str bytes = {nng_msg_body(m), nng_msg_len(m)};
        char small[REQUEST_MAX];
        char *copy = bytes.n <= sizeof small ? small : malloc(bytes.n);

        if (copy) {
            memcpy(copy, bytes.p, bytes.n);
            nng_msg_clear(m);
            hub_request(s->hub, m, (struct hub_peer){(uint32_t)nng_pipe_id(pipe), is_local(pipe)},
                        (struct str){copy, bytes.n}, clock_mono_ns());
        } else {
            nng_msg_free(m);
        }
        if (copy != small)
            free(copy);
    }
    nng_recv_aio(s->socket, s->receive);
}

static void far_add(struct sockets *s, nng_pipe p)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->n_far < PIPES_MAX)
        s->far[s->n_far++] = (struct stranger){p, clock_mono_ns()};
    (void)pthread_mutex_unlock(&s->lock);
}

static void far_remove(struct sockets *s, nng_pipe p)
{
    (void)pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_far; i++)
        if (nng_pipe_id(s->far[i].pipe) == nng_pipe_id(p))
            s->far[i--] = s->far[--s->n_far];
    (void)pthread_mutex_unlock(&s->lock);
}

/* Who was cut, or never said who they are, is not kept. */
static void close_strangers(struct sockets *s, uint64_t now_ns)
{
    nng_pipe late[64];
    unsigned n = 0;

    if (now_ns < s->looked_ns + STRANGER_MS / 4 * UINT64_C(1000000))
        return;
    s->looked_ns = now_ns;
    (void)pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n_far && n < ARRAY_LEN(late); i++) {
        struct stranger *f = &s->far[i];
        if (hub_has_session(s->hub, (uint32_t)nng_pipe_id(f->pipe)))
            f->since_ns = now_ns;
        else if (now_ns >= f->since_ns + STRANGER_MS * UINT64_C(1000000))
            late[n++] = f->pipe;
    }
    (void)pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < n; i++) /* its event takes the lock */
        (void)nng_pipe_close(late[i]);
}

static void on_tick(void *arg)
{
    struct sockets *s = arg;
    uint64_t now_ns = clock_mono_ns();

    if (nng_aio_result(s->tick) != 0 || atomic_load(&s->closing))
        return;
    hub_tick(s->hub, now_ns);
    close_strangers(s, now_ns);
    nng_sleep_aio(TICK_MS, s->tick);
}

static void on_pipe(nng_pipe p, nng_pipe_ev ev, void *arg)
{
    struct sockets *s = arg;

    if (ev == NNG_PIPE_EV_ADD_PRE) {
        bool is_stranger = is_ipc(p) && !is_local(p); /* threats S-12 */
        if (atomic_fetch_add(&s->n_pipes, 1) >= PIPES_MAX || is_stranger) {
            log_warn("node_refused", "why=\"%s\"",
                     is_stranger ? "another user" : "too many connections");
            (void)nng_pipe_close(p);
        } else if (!is_ipc(p)) {
            far_add(s, p);
        }
    } else if (ev == NNG_PIPE_EV_REM_POST) {
        atomic_fetch_sub(&s->n_pipes, 1);
        far_remove(s, p);
        hub_pipe_gone(s->hub, (uint32_t)nng_pipe_id(p));
    }
}

enum errc sockets_new(struct sockets **ret_s, struct hub *hub, struct err *e)
{
    struct sockets *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(e, ERRC_NOMEM, 0, "sockets");
    s->hub = hub;
    (void)pthread_mutex_init(&s->lock, NULL); /* of default attributes: cannot fail on Linux */
    int rv = nng_rep0_open_raw(&s->socket);
    s->is_open = rv == 0;
    if (!rv)
        rv = nng_socket_set_size(s->socket, NNG_OPT_RECVMAXSZ, USAGE_REQUEST_MAX);
    if (!rv)
        rv = nng_socket_set_int(s->socket, NNG_OPT_SENDBUF, SEND_QUEUE);
    if (!rv)
        rv = nng_pipe_notify(s->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, s);
    if (!rv)
        rv = nng_pipe_notify(s->socket, NNG_PIPE_EV_REM_POST, on_pipe, s);
    if (!rv)
        rv = nng_aio_alloc(&s->receive, on_receive, s);
    if (!rv)
        rv = nng_aio_alloc(&s->tick, on_tick, s);
    if (rv) {
        sockets_free(s);
        return errc_from_nng(rv, "sockets of data planes", e);
    }
    nng_recv_aio(s->socket, s->receive);
    nng_sleep_aio(TICK_MS, s->tick);
    *ret_s = s;
    return ERRC_OK;
}

static int set_tls(nng_listener l, const struct sockets_tls *tls)
{
    nng_tls_config *c;
    int rv = nng_tls_config_alloc(&c, NNG_TLS_MODE_SERVER);

    if (rv)
        return rv;
    rv = nng_tls_config_version(c, NNG_TLS_1_2, NNG_TLS_1_2);
    if (!rv)
        rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
    if (!rv)
        rv = nng_tls_config_ca_chain(c, tls->authority, NULL);
    if (!rv)
        rv = nng_tls_config_own_cert(c, tls->certificate, tls->key, NULL);
    if (!rv)
        rv = nng_listener_set_ptr(l, NNG_OPT_TLS_CONFIG, c);
    nng_tls_config_free(c); /* the listener holds it */
    return rv;
}

/* The directory above a socket: made 0700 where it is not there. */
static void make_directory(const char *path)
{
    char dir[256];
    const char *slash = strrchr(path, '/');

    if (!slash || slash == path || (size_t)(slash - path) >= sizeof dir)
        return;
    (void)snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    (void)mkdir(dir, 0700); /* there, or listening fails and says why */
}

enum errc sockets_listen(struct sockets *s, const char *address, const struct sockets_tls *tls,
                         struct err *e)
{
    enum { SOCKET_PATH_MAX = 100 };
    bool ipc = strncmp(address, "ipc://", 6) == 0;
    nng_listener l;

    if (!ipc && strncmp(address, "tls+tcp://", 10) != 0)
        return err_set(e, ERRC_INVALID, 0,
                       "weir.plane_listen: %s begins neither with ipc:// nor with tls+tcp://",
                       address);
    if (ipc && strlen(address + 6) > SOCKET_PATH_MAX)
        return err_set(e, ERRC_LIMIT, 0,
                       "weir.plane_listen: the path in %s is longer than %d bytes", address,
                       SOCKET_PATH_MAX);
    if (ipc)
        make_directory(address + 6);
    int rv = nng_listener_create(&l, s->socket, address);
    if (!rv)
        rv = ipc ? nng_listener_set_int(l, NNG_OPT_IPC_PERMISSIONS, 0600) : set_tls(l, tls);
    if (!rv)
        rv = nng_listener_start(l, 0);
    if (rv) {
        enum errc rc = errc_from_nng(rv, address, e);
        (void)err_wrap(e, "weir.plane_listen");
        return rc;
    }
    log_info("planes", "address=%s", address);
    return ERRC_OK;
}

void sockets_close(struct sockets *s)
{
    if (!s || !s->is_open)
        return;
    atomic_store(&s->closing, true);
    if (s->tick)
        nng_aio_stop(s->tick);
    if (s->receive)
        nng_aio_stop(s->receive);
    (void)nng_close(s->socket);
    s->is_open = false;
}

struct sockets *sockets_free(struct sockets *s)
{
    if (!s)
        return NULL;
    sockets_close(s);
    nng_aio_free(s->receive);
    nng_aio_free(s->tick);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}
