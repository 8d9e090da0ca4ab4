/*
 * The pool of one worker: who gets a connection, the clock, and the end.
 *
 * One coarse timer walks what can run out: dials under way, writes, waiters and idle connections.
 * An idle connection is put at the front of its origin's list and taken from there, so that those
 * not needed gather at the back and go.
 */

#include "upstream/pool_priv.h"

enum { TICKS_PER_TRIM = 100 };

static void pool_on_later(uv_idle_t *h)
{
    struct pool *p = h->data;
    struct list todo;

    list_move(&todo, &p->ready);
    while (!list_is_empty(&todo)) {
        struct pool_wait *w = LIST_FIRST(&todo, struct pool_wait, link);
        struct origin *o = w->origin;
        struct upconn *c = w->conn;
        pool_got_fn cb = w->cb;
        void *ctx = w->ctx;
        enum pool_got how = w->how;

        list_drop(&w->link);
        if (c)
            conn_lend(c, w->ev, ctx);
        slab_put(&p->waits, w);
        o->n_waits--;
        origin_advance(o); /* a failed dial left a place */
        cb(ctx, how, c);
    }
    if (list_is_empty(&p->ready))
        (void)uv_idle_stop(&p->later); /* cannot fail */
}

void pool_tell(struct pool *p, struct pool_wait *w, enum pool_got how, struct upconn *c)
{
    w->state = WAIT_TELLING;
    w->how = how;
    w->conn = c;
    list_init(&w->link);
    list_push(&p->ready, &w->link);
    (void)uv_idle_start(&p->later, pool_on_later); /* has a callback; no harm when active */
}

static void pool_on_tick(uv_timer_t *t)
{
    struct pool *p = t->data;
    struct list writers;

    LIST_FOREACH (&p->dials, struct pool_wait, w, link)
        dial_tick(w);
    LIST_FOREACH (&p->origins, struct origin, o, link)
        origin_tick(o);
    if (++p->n_ticks % TICKS_PER_TRIM == 0) {
        slab_trim(&p->conns);
        slab_trim(&p->waits);
        slab_trim(&p->outs);
    }
    pool_sweep(p, false);

    /* this may call exchanges, which may end any connection: each is put back first */
    list_move(&writers, &p->writers);
    while (!list_is_empty(&writers)) {
        struct upconn *c = LIST_FIRST(&writers, struct upconn, writing);
        list_drop(&c->writing);
        list_push(&p->writers, &c->writing);
        conn_check_write(c);
    }
}

enum errc pool_new(struct pool **ret_p, uv_loop_t *loop, const struct shared *shared,
                   struct region *region, struct err *e)
{
    struct pool *p = calloc(1, sizeof *p); /* its buffers cost memory once touched */

    if (!p)
        return err_set(e, ERRC_NOMEM, 0, "upstream pool");
    p->loop = loop;
    p->shared = shared;
    p->region = region;
    list_init(&p->origins);
    list_init(&p->generations);
    list_init(&p->dials);
    list_init(&p->ready);
    list_init(&p->writers);
    slab_init(&p->conns, sizeof(struct upconn), POOL_CONNECTIONS);
    slab_init(&p->waits, sizeof(struct pool_wait), POOL_WAITS);
    slab_init(&p->outs, sizeof(struct out_buf), POOL_CONNECTIONS);

    (void)uv_idle_init(loop, &p->later); /* these three cannot fail */
    (void)uv_timer_init(loop, &p->tick);
    (void)uv_timer_start(&p->tick, pool_on_tick, POOL_TICK_MS, POOL_TICK_MS);
    p->later.data = p->tick.data = p;
    p->open_handles = 2;
    *ret_p = p;
    return ERRC_OK;
}

void pool_handle_closed(struct pool *p)
{
    if (--p->open_handles > 0)
        return;
    slab_deinit(&p->conns);
    slab_deinit(&p->waits);
    slab_deinit(&p->outs);
    free(p->nameservers);
    free(p);
}

static void pool_on_closed(uv_handle_t *h)
{
    pool_handle_closed(h->data);
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    pool_sweep(p, true);
    ASSERT(list_is_empty(&p->origins)); /* nothing is lent and nobody waits */
    dns_close(TAKE(p->dns));
    uv_close((uv_handle_t *)&p->tick, pool_on_closed);
    uv_close((uv_handle_t *)&p->later, pool_on_closed);
}

struct upconn *pool_reuse(struct pool *p, struct origin *o, const struct upconn_events *ev,
                          void *ctx)
{
    struct upconn *c;
    uint64_t now_ms = pool_now_ms(p);

    while ((c = LIST_FIRST(&o->idle, struct upconn, link))) {
        if (!conn_is_worn(c) && (now_ms - c->idle_ms < CONN_PEEK_MS || conn_looks_alive(c))) {
            list_drop(&c->link);
            conn_lend(c, ev, ctx);
            return c;
        }
        conn_drop(c);
    }
    return NULL;
}

enum errc pool_dial(struct pool *p, struct origin *o, uint64_t deadline_ns,
                    const struct upconn_events *ev, pool_got_fn cb, void *ctx,
                    struct pool_wait **ret_wait)
{
    struct pool_wait *w = o->n_waiters < ORIGIN_WAITERS ? slab_get(&p->waits) : NULL;

    if (!w)
        return ERRC_LIMIT;
    w->state = WAIT_QUEUED;
    w->origin = o;
    w->conn = NULL;
    w->ev = ev;
    w->cb = cb;
    w->ctx = ctx;
    w->deadline_ms = deadline_ns / 1000000;
    list_init(&w->link);
    list_push(&o->waiters, &w->link);
    o->n_waiters++;
    o->n_waits++;
    *ret_wait = w;
    origin_advance(o);
    return ERRC_OK;
}

void pool_cancel(struct pool_wait *w)
{
    struct origin *o = w->origin;

    switch (w->state) {
    case WAIT_QUEUED:
        o->n_waiters--;
        break;
    case WAIT_RESOLVING:
    case WAIT_DIALLING:
        dial_stop(w);
        break;
    case WAIT_TELLING:
        if (w->conn)
            conn_give(w->conn);
        break;
    }
    list_drop(&w->link);
    o->n_waits--;
    slab_put(&o->pool->waits, w);
    origin_advance(o);
}
