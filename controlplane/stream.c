#include "stream.h"

#include <pthread.h>

#include "common/clock.h"
#include "common/http/server.h"

#include "daemon.h"

enum { STALL_MS = 20 * 1000 }; /* above the server's write timeout, which ends the connection */

struct stream {
    struct call *call;
    struct str type;
    pthread_mutex_t lock; /* of what both threads use */
    pthread_cond_t taken;
    char *piece;
    size_t n, cap;
    bool is_ready, is_gone, is_whole;
    /* of the loop */
    bool has_begun, is_sending;
    bool is_waiting; /* the pool thread is done, and a piece still on its way */
};

struct stream *stream_new(struct call *c, struct str type)
{
    struct stream *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;

    if (!s)
        return NULL;
    s->call = c;
    s->type = type;
    (void)pthread_mutex_init(&s->lock, NULL); /* of default attributes: cannot fail on Linux */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&s->taken, &attr);
    (void)pthread_condattr_destroy(&attr);
    return s;
}

struct stream *stream_free(struct stream *s)
{
    if (!s)
        return NULL;
    (void)pthread_cond_destroy(&s->taken);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->piece);
    free(s);
    return NULL;
}

/* ---- on the pool thread ---- */

static bool put_piece(struct stream *s, struct str piece)
{
    if (piece.n > s->cap) {
        char *bigger = realloc(s->piece, piece.n);
        if (!bigger)
            return false;
        s->piece = bigger;
        s->cap = piece.n;
    }
    memcpy(s->piece, piece.p, piece.n);
    s->n = piece.n;
    s->is_ready = true;
    return true;
}

bool stream_write(struct stream *s, struct str piece)
{
    uint64_t end_ns = clock_mono_ns() + STALL_MS * UINT64_C(1000000);
    struct timespec end = {(time_t)(end_ns / 1000000000), (long)(end_ns % 1000000000)};
    int rc = 0;

    if (!piece.n)
        return true;
    (void)pthread_mutex_lock(&s->lock);
    while (s->is_ready && !s->is_gone && !rc)
        rc = pthread_cond_timedwait(&s->taken, &s->lock, &end);
    bool ok = !rc && !s->is_gone && put_piece(s, piece);
    (void)pthread_mutex_unlock(&s->lock);
    if (ok)
        daemon_pump(s->call->d, s->call);
    return ok;
}

void stream_end(struct stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->is_whole = true;
    (void)pthread_mutex_unlock(&s->lock);
}

/* ---- on the loop ---- */

static bool is_ready(struct stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool ready = s->is_ready;
    (void)pthread_mutex_unlock(&s->lock);
    return ready;
}

static void taken(struct stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->is_ready = false;
    (void)pthread_cond_signal(&s->taken);
    (void)pthread_mutex_unlock(&s->lock);
}

/* Copies the piece into the connection, so that the next one can be made while it is sent. While
 * it is ready it is ours; the connection may close on the way, and call stream_gone(). */
void stream_pump(struct stream *s)
{
    struct http_request *r = s->call->http;

    if (s->is_sending || !is_ready(s))
        return;
    if (!s->has_begun)
        http_begin(
            r, &(struct http_answer){.status = 200, .type = s->type, .headers = s->call->headers});
    s->has_begun = true;
    s->is_sending = !http_piece(r, (struct str){s->piece, s->n});
    taken(s);
}

/* True: the request is gone. */
static bool finish(struct stream *s)
{
    s->is_waiting = false;
    stream_pump(s);
    s->is_waiting = s->is_sending;
    if (!s->is_waiting)
        http_end(s->call->http, s->is_whole);
    return !s->is_waiting;
}

bool stream_sent(struct stream *s)
{
    bool was_waiting = s->is_waiting;

    s->is_sending = false;
    if (was_waiting)
        return finish(s);
    stream_pump(s);
    return false;
}

bool stream_gone(struct stream *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->is_gone = true;
    (void)pthread_cond_signal(&s->taken);
    (void)pthread_mutex_unlock(&s->lock);
    s->is_sending = false;
    if (!s->is_waiting)
        return false;
    http_end(s->call->http, false);
    return true;
}

bool stream_finish(struct stream *s)
{
    return finish(s);
}
