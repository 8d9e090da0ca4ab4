/* Listeners, the clock of all connections, the end; a connection is server_conn.c. */

#include "common/clock.h"
#include "common/http/server_priv.h"

enum { BACKLOG = 511 }; /* threats section 1 */

void http_server_handle_closed(struct http_server *s)
{
    if (--s->n_open == 0 && s->closing && s->o.on_closed)
        s->o.on_closed(s->o.ctx);
}

static void server_on_tick(uv_timer_t *t)
{
    struct http_server *s = t->data;

    wheel_run(&s->wheel, clock_mono_ns());
    (void)bufpool_trim(&s->bufs, 1024 * 1024);
}

enum errc http_server_new(struct http_server **ret_s, const struct http_server_options *o,
                          struct err *e)
{
    struct http_server *s = calloc(1, sizeof *s);

    if (s && o->tls)
        s->plain = malloc(READ_MAX + TLS_RECORD);
    if (!s || (o->tls && !s->plain) || uv_timer_init(o->loop, &s->tick)) {
        if (s)
            free(s->plain);
        free(s);
        return err_set(e, ERRC_NOMEM, 0, "HTTP server");
    }
    s->o = *o;
    s->n_open = 1;
    s->tick.data = s;
    s->bufs.ceiling = o->max_memory;
    list_init(&s->conns);
    wheel_init(&s->wheel, clock_mono_ns());
    (void)uv_timer_start(&s->tick, server_on_tick, WHEEL_TICK_MS, WHEEL_TICK_MS);
    *ret_s = s;
    return ERRC_OK;
}

static void server_on_connection(uv_stream_t *listener, int status)
{
    if (status >= 0)
        http_conn_accept(listener->data, listener);
}

static int bind_host(uv_tcp_t *l, const char *host, uint16_t port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (uv_ip4_addr(host, port, &v4) == 0)
        return uv_tcp_bind(l, (const struct sockaddr *)&v4, 0);
    if (uv_ip6_addr(host, port, &v6) == 0)
        return uv_tcp_bind(l, (const struct sockaddr *)&v6, 0);
    return UV_EINVAL;
}

enum errc http_server_listen(struct http_server *s, const char *host, uint16_t port,
                             uint16_t *ret_port, struct err *e)
{
    if (s->n_listeners == LISTENERS_MAX)
        return err_set(e, ERRC_LIMIT, 0, "more than %d listening addresses", LISTENERS_MAX);
    uv_tcp_t *l = &s->listener[s->n_listeners];
    int rc = uv_tcp_init(s->o.loop, l);
    if (rc)
        return err_set(e, ERRC_SYS, -rc, "listening on %s:%u", host, port);
    l->data = s;
    s->n_listeners++;
    s->n_open++;
    rc = bind_host(l, host, port);
    if (!rc)
        rc = uv_listen((uv_stream_t *)l, BACKLOG, server_on_connection);
    if (rc)
        return err_set(e, ERRC_SYS, -rc, "listening on %s:%u", host, port);
    if (ret_port) {
        struct sockaddr_storage a;
        int n = sizeof a;
        rc = uv_tcp_getsockname(l, (struct sockaddr *)&a, &n);
        if (rc)
            return err_set(e, ERRC_SYS, -rc, "listening on %s", host);
        *ret_port = ntohs(((const struct sockaddr_in *)(const void *)&a)->sin_port);
    }
    return ERRC_OK;
}

static void server_on_handle_closed(uv_handle_t *h)
{
    http_server_handle_closed(h->data);
}

void http_server_drain(struct http_server *s)
{
    if (s->draining)
        return;
    s->draining = true;
    for (unsigned i = 0; i < s->n_listeners; i++)
        uv_close((uv_handle_t *)&s->listener[i], server_on_handle_closed);
    LIST_FOREACH (&s->conns, struct http_conn, c, link) {
        c->keep_alive = false;
        if (http_conn_is_idle(c))
            http_conn_close(c);
    }
}

void http_server_close(struct http_server *s)
{
    http_server_drain(s);
    if (s->closing)
        return;
    s->closing = true;
    while (!list_is_empty(&s->conns))
        http_conn_close(LIST_FIRST(&s->conns, struct http_conn, link));
    uv_close((uv_handle_t *)&s->tick, server_on_handle_closed);
}

struct http_server *http_server_free(struct http_server *s)
{
    if (s) {
        bufpool_deinit(&s->bufs);
        free(s->plain);
    }
    free(s);
    return NULL;
}

unsigned http_server_connections(const struct http_server *s)
{
    return s->n_conns;
}
