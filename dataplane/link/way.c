#include "link/way.h"

void way_init(struct way *w)
{
    pthread_condattr_t monotonic;

    *w = (struct way){0};
    /* fail only without memory, and never with these arguments on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->woken, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
}

void way_deinit(struct way *w)
{
    (void)pthread_cond_destroy(&w->woken);
    (void)pthread_mutex_destroy(&w->lock);
}

static void wake(struct way *w)
{
    w->has_news = true;
    (void)pthread_cond_broadcast(&w->woken);
}

void way_wake(struct way *w)
{
    (void)pthread_mutex_lock(&w->lock);
    wake(w);
    (void)pthread_mutex_unlock(&w->lock);
}

void way_stop(struct way *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->is_stopped = true;
    wake(w);
    (void)pthread_mutex_unlock(&w->lock);
}

void way_give(struct way *w, struct plane *plane, const unsigned char *name, size_t n)
{
    (void)pthread_mutex_lock(&w->lock);
    w->now.serial++;
    w->now.plane = n ? plane : NULL;
    w->now.n = MIN(n, sizeof w->now.name);
    if (n)
        memcpy(w->now.name, name, w->now.n);
    wake(w);
    while (!n && w->is_asking)
        (void)pthread_cond_wait(&w->woken, &w->lock);
    (void)pthread_mutex_unlock(&w->lock);
}

bool way_enter(struct way *w, struct way_session *used)
{
    (void)pthread_mutex_lock(&w->lock);
    bool is_other = w->now.serial != used->serial;
    *used = w->now;
    (void)pthread_mutex_unlock(&w->lock);
    return is_other;
}

static bool set_asking(struct way *w, const struct way_session *used, bool is_asking)
{
    (void)pthread_mutex_lock(&w->lock);
    bool may = w->now.plane && w->now.serial == used->serial && !w->is_stopped;
    w->is_asking = is_asking && may;
    if (!is_asking)
        (void)pthread_cond_broadcast(&w->woken);
    (void)pthread_mutex_unlock(&w->lock);
    return may;
}

enum errc way_ask(struct way *w, const struct way_session *used, enum plane_lane lane,
                  Weir__Request *q, unsigned timeout_ms, struct arena *a, const Weir__Reply **ret,
                  struct err *e)
{
    struct str answer;

    q->session = (ProtobufCBinaryData){used->n, (uint8_t *)(uintptr_t)used->name};
    arena_reset(a);
    size_t n = weir__request__get_packed_size(q);
    uint8_t *packed = malloc(n);
    if (!packed)
        return err_set(e, ERRC_NOMEM, 0, "request");
    (void)weir__request__pack(q, packed);
    enum errc rc =
        set_asking(w, used, true)
            ? plane_ask(used->plane, lane, (struct str){(char *)packed, n}, timeout_ms, &answer, e)
            : err_set(e, ERRC_CLOSED, 0, "the session ended");
    (void)set_asking(w, used, false);
    free(packed);
    return rc ? rc : reply_read(ret, answer, a, e);
}
