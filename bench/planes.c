/*
 * weir-bench-planes ADDRESS COUNT: so many data planes at one control plane, without data planes.
 * Each has a connection and a session of its own, takes everything, then asks for what changes and
 * acknowledges it at once. Prints a line of JSON when all have everything, and one at the end (end
 * of standard input).
 */

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"
#include "proto/weir.pb-c.h"

enum { PAGE_MAX = 64 << 20, SESSION = 16 };

struct plane {
    nng_socket socket;
    nng_aio *aio;
    unsigned number;
    bool is_sending, is_welcome, is_synced;
    uint8_t session[SESSION];
    uint64_t epoch, n;         /* what it has */
    uint8_t cursor[16 * 1024]; /* of the page before */
    size_t cursor_n;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    unsigned n, n_synced, n_failed;
    uint64_t pages, entities, bytes, changes, heartbeats, from_ns;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void fail(struct plane *p, const char *what)
{
    (void)fprintf(stderr, "plane %u: %s\n", p->number, what);
    (void)pthread_mutex_lock(&all.lock);
    all.n_failed++;
    (void)pthread_cond_signal(&all.moved);
    (void)pthread_mutex_unlock(&all.lock);
}

static void ask(struct plane *p, const Weir__Request *r)
{
    size_t n = weir__request__get_packed_size(r);
    nng_msg *m;

    if (nng_msg_alloc(&m, n) != 0) {
        fail(p, "no memory");
        return;
    }
    (void)weir__request__pack(r, nng_msg_body(m));
    p->is_sending = true;
    nng_aio_set_msg(p->aio, m);
    nng_send_aio(p->socket, p->aio);
}

static void ask_hello(struct plane *p)
{
    uint8_t pod[16] = {(uint8_t)p->number, (uint8_t)(p->number >> 8)};
    Weir__Request r;
    Weir__Hello h;

    weir__request__init(&r);
    weir__hello__init(&h);
    h.protocol = h.oldest = 1;
    h.pod = (ProtobufCBinaryData){sizeof pod, pod};
    r.is_case = WEIR__REQUEST__IS_HELLO;
    r.hello = &h;
    ask(p, &r);
}

static void ask_changes(struct plane *p)
{
    Weir__Request r;
    Weir__ChangesSince c;
    Weir__Revision have;

    weir__request__init(&r);
    weir__changes_since__init(&c);
    weir__revision__init(&have);
    have.epoch = p->epoch;
    have.n = p->n;
    c.have = &have;
    c.wait = true;
    c.cursor = (ProtobufCBinaryData){p->cursor_n, p->cursor};
    r.is_case = WEIR__REQUEST__IS_CHANGES;
    r.changes = &c;
    r.session = (ProtobufCBinaryData){SESSION, p->session};
    ask(p, &r);
}

static void take_changes(struct plane *p, const Weir__Changes *c, size_t bytes)
{
    bool is_last = c->cursor.len == 0;

    (void)pthread_mutex_lock(&all.lock);
    all.pages++;
    all.entities += c->n_entities;
    all.bytes += bytes;
    if (is_last && p->is_synced && c->n_entities)
        all.changes++;
    else if (is_last && p->is_synced)
        all.heartbeats++;
    if (is_last && !p->is_synced) {
        p->is_synced = true;
        all.n_synced++;
        (void)pthread_cond_signal(&all.moved);
    }
    (void)pthread_mutex_unlock(&all.lock);
    p->cursor_n = c->cursor.len;
    if (c->cursor.len && c->cursor.len <= sizeof p->cursor)
        memcpy(p->cursor, c->cursor.data, c->cursor.len);
    if (is_last) {
        p->epoch = c->now->epoch;
        p->n = c->now->n;
    }
    ask_changes(p);
}

static void take(struct plane *p, const Weir__Reply *r, size_t bytes)
{
    if (r && r->is_case == WEIR__REPLY__IS_WELCOME && r->welcome->session.len == SESSION) {
        memcpy(p->session, r->welcome->session.data, SESSION);
        ask_changes(p);
    } else if (r && r->is_case == WEIR__REPLY__IS_CHANGES) {
        take_changes(p, r->changes, bytes);
    } else {
        fail(p, r && r->is_case == WEIR__REPLY__IS_REFUSAL ? r->refusal->text : "no reply");
    }
}

static void on_done(void *ctx)
{
    struct plane *p = ctx;
    int rv = nng_aio_result(p->aio);

    if (rv == NNG_ECLOSED || rv == NNG_ECANCELED)
        return;
    if (rv) {
        fail(p, nng_strerror(rv));
        return;
    }
    if (p->is_sending) {
        p->is_sending = false;
        nng_recv_aio(p->socket, p->aio);
        return;
    }
    nng_msg *m = nng_aio_get_msg(p->aio);
    Weir__Reply *r = weir__reply__unpack(NULL, nng_msg_len(m), nng_msg_body(m));
    take(p, r, nng_msg_len(m));
    if (r)
        weir__reply__free_unpacked(r, NULL);
    nng_msg_free(m);
}

static void say(const char *what)
{
    (void)printf("{\"what\":\"%s\",\"planes\":%u,\"synced\":%u,\"failed\":%u,\"seconds\":%.3f,"
                 "\"pages\":%llu,\"entities\":%llu,\"bytes\":%llu,\"changes\":%llu,"
                 "\"heartbeats\":%llu}\n",
                 what, all.n, all.n_synced, all.n_failed,
                 (double)(clock_mono_ns() - all.from_ns) / 1e9, (unsigned long long)all.pages,
                 (unsigned long long)all.entities, (unsigned long long)all.bytes,
                 (unsigned long long)all.changes, (unsigned long long)all.heartbeats);
    (void)fflush(stdout);
}

static int plane_open(struct plane *p, const char *address)
{
    int rv = nng_req0_open(&p->socket);

    if (!rv)
        rv = nng_socket_set_size(p->socket, NNG_OPT_RECVMAXSZ, PAGE_MAX);
    if (!rv)
        rv = nng_socket_set_ms(p->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (!rv)
        rv = nng_aio_alloc(&p->aio, on_done, p);
    return rv ? rv : nng_dial(p->socket, address, NULL, 0);
}

int main(int argc, char **argv)
{
    struct plane *planes;
    uint32_t n;
    char c;

    if (argc != 3 || !num_u32(str_of(argv[2]), &n) || !n || n > 10000 ||
        !(planes = calloc(n, sizeof *planes))) {
        (void)fputs("Usage: weir-bench-planes ADDRESS COUNT\n", stderr);
        return 2;
    }
    all.n = n;
    all.from_ns = clock_mono_ns();
    for (uint32_t i = 0; i < n; i++) {
        planes[i].number = i;
        int rv = plane_open(&planes[i], argv[1]);
        if (rv) {
            fail(&planes[i], nng_strerror(rv));
            return 1;
        }
        ask_hello(&planes[i]);
    }
    (void)pthread_mutex_lock(&all.lock);
    while (all.n_synced + all.n_failed < n)
        (void)pthread_cond_wait(&all.moved, &all.lock);
    say("synced");
    (void)pthread_mutex_unlock(&all.lock);
    while (read(0, &c, 1) > 0)
        ;
    (void)pthread_mutex_lock(&all.lock);
    say("end");
    (void)pthread_mutex_unlock(&all.lock);
    return all.n_failed ? 1 : 0;
}
