/*
 * nng's callbacks come from its own threads: they set a flag under the lock and wake whoever waits.
 * No call of nng is made with the lock held.
 */

#include "link/plane.h"

#include <errno.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"

#include "link/reply.h"

enum {
    CONNECT_IPC_MS = 1000,
    CONNECT_TLS_MS = 3000,
    REDIAL_MIN_MS = 250, /* nng dials again itself within those */
    REDIAL_MAX_MS = 1000,
    STUCK_MS = 3000,
};

struct lane {
    struct plane *plane;
    nng_ctx ctx;
    nng_aio *aio;
    bool has_ctx;
    bool is_done, is_busy; /* under the lock */
    nng_msg *answer;       /* lent by plane_ask() */
};

struct plane {
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool is_up, is_lost, is_stopped; /* under the lock */
    bool is_open;                    /* likewise: a lane may begin to ask */
    _Atomic uint64_t closing_ns;     /* since when nng closes; 0: it does not */

    nng_socket socket;
    bool has_socket;
    struct lane lanes[PLANE_LANES];
};

static enum errc errc_from_nng(struct err *e, int rc, const char *what)
{
    switch (rc) {
    case NNG_ENOMEM:
        return err_set(e, ERRC_NOMEM, 0, "%s", what);
    case NNG_ETIMEDOUT:
        return err_set(e, ERRC_TIMEOUT, 0, "%s: no answer", what);
    case NNG_ECLOSED:
    case NNG_ECANCELED:
    case NNG_ECONNRESET:
    case NNG_ECONNABORTED:
        return err_set(e, ERRC_CLOSED, 0, "%s: the connection is gone", what);
    default:
        return err_set(e, ERRC_INVALID, 0, "%s: %s", what, nng_strerror(rc));
    }
}

/* ---- waiting ---- */

static void wake(struct plane *p, bool *flag)
{
    (void)pthread_mutex_lock(&p->lock);
    *flag = true;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
}

static struct timespec after_ms(unsigned ms)
{
    uint64_t at_ns = clock_mono_ns() + (uint64_t)ms * 1000000;

    return (struct timespec){(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)};
}

/* Until `a` or `b` or the stop, or the time is over. With the lock held. */
static void wait_for(struct plane *p, const bool *a, const bool *b, unsigned ms)
{
    struct timespec until = after_ms(ms);

    while (!*a && !*b && !p->is_stopped)
        if (pthread_cond_timedwait(&p->woken, &p->lock, &until) != 0)
            return;
}

bool plane_sleep(struct plane *p, unsigned ms)
{
    const bool never = false;

    (void)pthread_mutex_lock(&p->lock);
    wait_for(p, &never, &never, ms);
    bool goes_on = !p->is_stopped;
    (void)pthread_mutex_unlock(&p->lock);
    return goes_on;
}

void plane_stop(struct plane *p)
{
    wake(p, &p->is_stopped);
}

bool plane_is_stopped(struct plane *p)
{
    (void)pthread_mutex_lock(&p->lock);
    bool is_stopped = p->is_stopped;
    (void)pthread_mutex_unlock(&p->lock);
    return is_stopped;
}

static void on_done(void *ctx)
{
    struct lane *l = ctx;

    wake(l->plane, &l->is_done);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev ev, void *ctx)
{
    struct plane *p = ctx;

    (void)pipe;
    wake(p, ev == NNG_PIPE_EV_ADD_POST ? &p->is_up : &p->is_lost);
}

/* ---- the connection ---- */

struct plane *plane_new(void)
{
    struct plane *p = calloc(1, sizeof *p);
    pthread_condattr_t monotonic;

    if (!p)
        return NULL;
    /* fail only without memory, and never with these arguments on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->woken, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    for (unsigned i = 0; i < PLANE_LANES; i++)
        p->lanes[i].plane = p;
    return p;
}

static void forget_answer(struct lane *l)
{
    if (l->answer)
        nng_msg_free(l->answer);
    l->answer = NULL;
}

/* Nobody asks any more: what waits ends with the flag that says it is lost. */
static void quiesce(struct plane *p)
{
    (void)pthread_mutex_lock(&p->lock);
    p->is_open = false;
    p->is_lost = true;
    (void)pthread_cond_broadcast(&p->woken);
    for (unsigned i = 0; i < PLANE_LANES; i++)
        while (p->lanes[i].is_busy)
            (void)pthread_cond_wait(&p->woken, &p->lock);
    (void)pthread_mutex_unlock(&p->lock);
}

void plane_disconnect(struct plane *p)
{
    quiesce(p);
    forget_answer(&p->lanes[PLANE_SESSION]); /* the others are read by their own threads */
    p->closing_ns = clock_mono_ns();
    for (unsigned i = 0; i < PLANE_LANES; i++) {
        if (p->lanes[i].has_ctx)
            (void)nng_ctx_close(p->lanes[i].ctx); /* fails only if it is closed */
        p->lanes[i].has_ctx = false;
    }
    if (p->has_socket)
        (void)nng_close(p->socket);
    p->closing_ns = 0;
    p->has_socket = false;
    p->is_up = p->is_lost = false; /* no callback comes any more */
}

bool plane_is_stuck(const struct plane *p, uint64_t now_ns)
{
    uint64_t since_ns = p->closing_ns;

    return since_ns && now_ns > since_ns && now_ns - since_ns > STUCK_MS * UINT64_C(1000000);
}

struct plane *plane_free(struct plane *p)
{
    bool has_aio = false;

    if (!p)
        return NULL;
    plane_disconnect(p);
    for (unsigned i = 0; i < PLANE_LANES; i++) {
        forget_answer(&p->lanes[i]);
        has_aio |= p->lanes[i].aio != NULL;
        nng_aio_free(p->lanes[i].aio); /* NULL is fine */
    }
    if (has_aio)
        nng_fini(); /* waits for what its threads still have to free; there is one plane */
    (void)pthread_cond_destroy(&p->woken);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}

static int tls_config(nng_tls_config **ret_c, const struct join *j)
{
    nng_tls_config *c;
    int rc = nng_tls_config_alloc(&c, NNG_TLS_MODE_CLIENT);

    if (rc)
        return rc;
    rc = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
    if (!rc)
        rc = nng_tls_config_server_name(c, JOIN_SERVER_NAME);
    if (!rc)
        rc = nng_tls_config_ca_chain(c, j->ca, NULL);
    if (!rc)
        rc = nng_tls_config_own_cert(c, j->cert, j->key, NULL);
    if (rc) {
        nng_tls_config_free(c);
        return rc;
    }
    *ret_c = c;
    return 0;
}

static int dial(struct plane *p, const char *address, const struct join *j, bool is_tls)
{
    nng_tls_config *tls = NULL;
    nng_dialer d;
    int rc = nng_dialer_create(&d, p->socket, address);

    if (!rc && is_tls)
        rc = tls_config(&tls, j);
    if (!rc && tls)
        rc = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, tls);
    if (tls)
        nng_tls_config_free(tls); /* the dialer holds it */
    return rc ? rc : nng_dialer_start(d, NNG_FLAG_NONBLOCK);
}

static int open_socket(struct plane *p)
{
    int rc = nng_req0_open(&p->socket);

    if (rc)
        return rc;
    p->has_socket = true;
    rc = nng_socket_set_size(p->socket, NNG_OPT_RECVMAXSZ, REPLY_MAX);
    if (!rc)
        rc = nng_socket_set_ms(p->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (!rc)
        rc = nng_socket_set_ms(p->socket, NNG_OPT_RECONNMINT, REDIAL_MIN_MS);
    if (!rc)
        rc = nng_socket_set_ms(p->socket, NNG_OPT_RECONNMAXT, REDIAL_MAX_MS);
    if (!rc)
        rc = nng_pipe_notify(p->socket, NNG_PIPE_EV_ADD_POST, on_pipe, p);
    if (!rc)
        rc = nng_pipe_notify(p->socket, NNG_PIPE_EV_REM_POST, on_pipe, p);
    for (unsigned i = 0; i < PLANE_LANES && !rc; i++) {
        struct lane *l = &p->lanes[i];
        rc = l->aio ? 0 : nng_aio_alloc(&l->aio, on_done, l);
        if (!rc)
            rc = nng_ctx_open(&l->ctx, p->socket);
        l->has_ctx = rc == 0;
    }
    return rc;
}

/*
 * nng dials in the background and does not say when nobody is there, at the cost of threads that
 * spin for milliseconds around each time it is refused (1.5.2). So the kernel is asked first, in
 * microseconds: of a path that a stream socket listens at it says that the type is another one
 * before it connects anything, of one that nobody listens at that it refuses.
 */
static enum errc find_listener(const char *address, struct err *e)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int sys = 0;

    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", address + strlen("ipc://")); /* fits */
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "socket");
    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0)
        sys = errno;
    close(fd);
    if (sys == ENOENT || sys == ENOTDIR || sys == ECONNREFUSED || sys == EACCES)
        return err_set(e, ERRC_CLOSED, sys, "%s", address);
    return ERRC_OK; /* EPROTOTYPE */
}

enum errc plane_connect(struct plane *p, const char *address, const struct join *j, struct err *e)
{
    const bool is_tls = str_starts(str_of(address), STR("tls"));
    const bool never = false;

    plane_disconnect(p);
    if (!is_tls && find_listener(address, e))
        return e->code;
    int rc = open_socket(p);
    if (!rc)
        rc = dial(p, address, j, is_tls);
    if (rc) {
        plane_disconnect(p);
        return errc_from_nng(e, rc, address);
    }
    (void)pthread_mutex_lock(&p->lock);
    wait_for(p, &p->is_up, &never, is_tls ? CONNECT_TLS_MS : CONNECT_IPC_MS);
    bool is_up = p->is_up, is_stopped = p->is_stopped;
    p->is_open = is_up && !is_stopped;
    (void)pthread_mutex_unlock(&p->lock);
    if (is_up && !is_stopped)
        return ERRC_OK;
    plane_disconnect(p);
    return is_stopped ? err_set(e, ERRC_CLOSED, 0, "%s: ending", address)
                      : err_set(e, ERRC_TIMEOUT, 0, "%s: nobody answers%s", address,
                                is_tls ? ", or a certificate is not accepted" : "");
}

/* Waits for what the lane does; what is not done by then is given up. */
static int aio_wait(struct lane *l, unsigned ms)
{
    struct plane *p = l->plane;

    (void)pthread_mutex_lock(&p->lock);
    wait_for(p, &l->is_done, &p->is_lost, ms);
    bool is_done = l->is_done, is_cut = p->is_lost || p->is_stopped;
    (void)pthread_mutex_unlock(&p->lock);
    if (!is_done)
        nng_aio_abort(l->aio, is_cut ? NNG_ECLOSED : NNG_ETIMEDOUT);
    nng_aio_wait(l->aio);
    return nng_aio_result(l->aio);
}

static void begin(struct lane *l)
{
    (void)pthread_mutex_lock(&l->plane->lock);
    l->is_done = false;
    (void)pthread_mutex_unlock(&l->plane->lock);
}

static enum errc exchange(struct lane *l, struct str request, unsigned timeout_ms,
                          struct str *ret_answer, struct err *e)
{
    uint64_t until_ns = clock_mono_ns() + (uint64_t)timeout_ms * 1000000, now_ns;
    nng_msg *m;
    int rc;

    forget_answer(l);
    if ((rc = nng_msg_alloc(&m, request.n)) != 0)
        return errc_from_nng(e, rc, "ask");
    memcpy(nng_msg_body(m), request.p, request.n);
    begin(l);
    nng_aio_set_msg(l->aio, m);
    nng_ctx_send(l->ctx, l->aio);
    rc = aio_wait(l, timeout_ms);
    if (rc) {
        nng_msg_free(m);
        return errc_from_nng(e, rc, "ask");
    }
    now_ns = clock_mono_ns();
    begin(l);
    nng_ctx_recv(l->ctx, l->aio);
    rc = aio_wait(l, now_ns < until_ns ? (unsigned)((until_ns - now_ns) / 1000000) : 0);
    if (rc)
        return errc_from_nng(e, rc, "wait for the answer");
    l->answer = nng_aio_get_msg(l->aio);
    *ret_answer = (struct str){nng_msg_body(l->answer), nng_msg_len(l->answer)};
    return ERRC_OK;
}

static bool set_busy(struct lane *l, bool is_busy)
{
    struct plane *p = l->plane;

    (void)pthread_mutex_lock(&p->lock);
    bool may = p->is_open && l->has_ctx;
    l->is_busy = is_busy && may;
    (void)pthread_cond_broadcast(&p->woken);
    (void)pthread_mutex_unlock(&p->lock);
    return may;
}

enum errc plane_ask(struct plane *p, enum plane_lane lane, struct str request, unsigned timeout_ms,
                    struct str *ret_answer, struct err *e)
{
    struct lane *l = &p->lanes[lane];

    if (!set_busy(l, true))
        return err_set(e, ERRC_CLOSED, 0, "not connected");
    enum errc rc = exchange(l, request, timeout_ms, ret_answer, e);
    (void)set_busy(l, false);
    return rc;
}
