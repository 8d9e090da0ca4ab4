/*
 * c-ares on a libuv loop.
 *
 *     dns_get ──▶ cache ──▶ query ──▶ c-ares ──▶ query_on_answer ──▶ cache ──▶ waits of the name
 *                             ▲ sockets: one uv_poll each
 *                             └ timer while a query is under way: c-ares' timeouts, patience, limit
 *
 * c-ares may answer inside the call that asks (the hosts file, an error); dns_get() then returns
 * the answer itself. A query cannot be taken back: one that nobody waits for runs to its end.
 */

#include "common/net/dns.h"

#include <ares.h>

enum { TICK_MS = 100, TRY_MS = 800, TRIES = 2 };

struct dns {
    uv_loop_t *loop;
    ares_channel channel; /* NULL: none, being changed or closed */
    bool is_ipv4_only;
    uint64_t *lookups;
    struct dns_cache cache;
    struct list queries;
    struct list polls;
    uv_timer_t timer;
    unsigned open_handles;
};

struct query {
    struct list link;
    struct dns *dns;
    struct dns_name *name;
};

struct poll { /* a socket of c-ares */
    struct list link;
    uv_poll_t handle;
    struct dns *dns;
    int fd;
};

static void dns_handle_closed(struct dns *d)
{
    if (--d->open_handles > 0)
        return;
    ares_library_cleanup();
    free(d);
}

/* --- sockets ---------------------------------------------------------------------------------- */

static void poll_on_closed(uv_handle_t *h)
{
    struct poll *s = container_of(h, struct poll, handle);
    struct dns *d = s->dns;

    free(s);
    dns_handle_closed(d);
}

static void poll_on_ready(uv_poll_t *h, int status, int events)
{
    struct poll *s = container_of(h, struct poll, handle);
    /* an error is for c-ares to find when it reads */
    bool readable = status < 0 || (events & UV_READABLE);
    bool writable = status < 0 || (events & UV_WRITABLE);

    ares_process_fd(s->dns->channel, readable ? s->fd : ARES_SOCKET_BAD,
                    writable ? s->fd : ARES_SOCKET_BAD);
}

static struct poll *poll_of(struct dns *d, int fd)
{
    LIST_FOREACH (&d->polls, struct poll, s, link)
        if (s->fd == fd)
            return s;

    struct poll *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    if (uv_poll_init(d->loop, &s->handle, fd) < 0) {
        free(s);
        return NULL;
    }
    s->dns = d;
    s->fd = fd;
    list_push(&d->polls, &s->link);
    d->open_handles++;
    return s;
}

/* c-ares wants to know of a socket, or (neither) closes it as soon as this returns. */
static void dns_on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct poll *s = poll_of(ctx, fd);

    if (!s)
        return; /* no memory: the query runs into its timeout */
    if (readable || writable) {
        (void)uv_poll_start(&s->handle, /* fails on a closing handle only */
                            (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                            poll_on_ready);
        return;
    }
    (void)uv_poll_stop(&s->handle); /* as above */
    list_drop(&s->link);
    uv_close((uv_handle_t *)&s->handle, poll_on_closed);
}

/* --- queries ---------------------------------------------------------------------------------- */

static void name_answer(struct dns_name *e, const struct dns_addrs *addrs)
{
    struct dns_addrs copy; /* a callback may ask again, and the entry change */

    if (addrs)
        copy = *addrs;
    while (!list_is_empty(&e->waits)) {
        struct dns_wait *w = LIST_FIRST(&e->waits, struct dns_wait, link);
        list_drop(&w->link);
        w->cb(w, addrs ? &copy : NULL);
    }
}

/* Asking failed or takes too long: waits get the old answer, if there is one. */
static void name_fail(struct dns_name *e, uint64_t now_ms)
{
    dns_name_failed(e, now_ms);
    name_answer(e, dns_name_is_stale_ok(e, now_ms) ? &e->addrs : NULL);
}

static uint32_t addrs_read(struct dns_addrs *a, const struct ares_addrinfo *res)
{
    uint32_t ttl_s = UINT32_MAX;

    a->n = 0;
    for (struct ares_addrinfo_node *i = res->nodes; i && a->n < DNS_ADDRS; i = i->ai_next) {
        union addr *to = &a->addr[a->n];
        memset(to, 0, sizeof *to);
        if (i->ai_family == AF_INET && i->ai_addrlen == sizeof to->v4)
            memcpy(&to->v4, i->ai_addr, sizeof to->v4);
        else if (i->ai_family == AF_INET6 && i->ai_addrlen == sizeof to->v6)
            memcpy(&to->v6, i->ai_addr, sizeof to->v6);
        else
            continue;
        a->n++;
        ttl_s = MIN(ttl_s, i->ai_ttl > 0 ? (uint32_t)i->ai_ttl : 0);
    }
    return ttl_s;
}

/* Returns the name it asked for. */
static struct dns_name *query_free(struct query *q)
{
    struct dns *d = q->dns;
    struct dns_name *e = q->name;

    list_drop(&q->link);
    free(q);
    e->is_asking = false;
    if (list_is_empty(&d->queries))
        (void)uv_timer_stop(&d->timer); /* cannot fail */
    return e;
}

static void query_on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
    struct query *q = arg;
    struct dns *d = q->dns;
    struct dns_addrs addrs = {0};
    uint32_t ttl_s = 0;

    (void)timeouts;
    if (status == ARES_EDESTRUCTION)
        return; /* stays in the list, for who destroyed the channel */
    if (status == ARES_SUCCESS)
        ttl_s = addrs_read(&addrs, res);
    if (res)
        ares_freeaddrinfo(res);
    struct dns_name *e = query_free(q);
    uint64_t now_ms = uv_now(d->loop);
    if (addrs.n == 0) {
        name_fail(e, now_ms);
        return;
    }
    dns_name_found(e, &addrs, ttl_s, now_ms);
    name_answer(e, &addrs);
}

static void dns_on_timer(uv_timer_t *t)
{
    struct dns *d = t->data;
    struct list todo;

    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    /* callbacks may start and end queries: each is moved back before its waits are answered */
    list_move(&todo, &d->queries);
    while (!list_is_empty(&todo)) {
        struct query *q = LIST_FIRST(&todo, struct query, link);
        struct dns_name *e = q->name;
        uint64_t now_ms = uv_now(d->loop);
        uint64_t limit_ms = dns_name_is_stale_ok(e, now_ms) ? DNS_PATIENCE_MS : DNS_LIMIT_MS;

        list_drop(&q->link);
        list_push(&d->queries, &q->link);
        if (now_ms >= e->asked_ms + limit_ms && !list_is_empty(&e->waits))
            name_fail(e, now_ms);
    }
}

/* Starts the query of `e`, which may have ended when this returns. */
static void dns_ask(struct dns *d, struct dns_name *e)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = d->is_ipv4_only ? AF_INET : AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct query *q = calloc(1, sizeof *q);

    if (!q) {
        name_fail(e, uv_now(d->loop));
        return;
    }
    q->dns = d;
    q->name = e;
    list_push(&d->queries, &q->link);
    e->is_asking = true;
    e->asked_ms = uv_now(d->loop);
    if (d->lookups)
        __atomic_store_n(d->lookups, *d->lookups + 1, __ATOMIC_RELAXED);
    if (!uv_is_active((uv_handle_t *)&d->timer))
        (void)uv_timer_start(&d->timer, dns_on_timer, TICK_MS, TICK_MS); /* has a callback */
    ares_getaddrinfo(d->channel, e->text, NULL, &hints, query_on_answer, q);
}

/* --- the resolver ------------------------------------------------------------------------------
 */

static MUST_CHECK enum errc dns_open_channel(struct dns *d, const struct dns_config *cfg,
                                             ares_channel *ret, struct err *e)
{
    struct ares_options o = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = dns_on_socket,
        .sock_state_cb_data = d,
    };
    ares_channel channel;

    int rc = ares_init_options(&channel, &o,
                               ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc)
        return err_set(e, ERRC_NOMEM, 0, "resolver: %s", ares_strerror(rc));
    if (cfg->nameservers && *cfg->nameservers) {
        rc = ares_set_servers_ports_csv(channel, cfg->nameservers);
        if (rc) {
            ares_destroy(channel);
            return err_set(e, ERRC_INVALID, 0, "nameservers \"%s\": %s", cfg->nameservers,
                           ares_strerror(rc));
        }
    }
    *ret = channel;
    return ERRC_OK;
}

/* Ends every query; the queries, whose names may still have waits, go to `ret_queries`. */
static void dns_drop_channel(struct dns *d, struct list *ret_queries)
{
    ares_destroy(d->channel);
    d->channel = NULL;
    list_move(ret_queries, &d->queries);
}

enum errc dns_new(struct dns **ret_d, uv_loop_t *loop, const struct dns_config *cfg,
                  uint64_t *lookups, struct err *e)
{
    struct dns *d = calloc(1, sizeof *d);

    if (!d || ares_library_init(ARES_LIB_INIT_ALL)) {
        free(d);
        return err_set(e, ERRC_NOMEM, 0, "resolver");
    }
    d->loop = loop;
    d->lookups = lookups;
    d->is_ipv4_only = cfg->is_ipv4_only;
    list_init(&d->queries);
    list_init(&d->polls);
    dns_cache_init(&d->cache);

    enum errc rc = dns_open_channel(d, cfg, &d->channel, e);
    if (rc) {
        ares_library_cleanup();
        free(d);
        return rc;
    }
    (void)uv_timer_init(loop, &d->timer); /* cannot fail */
    d->timer.data = d;
    d->open_handles = 1;
    *ret_d = d;
    return ERRC_OK;
}

enum errc dns_configure(struct dns *d, const struct dns_config *cfg, struct err *e)
{
    ares_channel fresh = NULL;
    struct list names;
    enum errc rc = dns_open_channel(d, cfg, &fresh, e);

    if (rc)
        return rc;
    dns_drop_channel(d, &names);
    d->channel = fresh;
    d->is_ipv4_only = cfg->is_ipv4_only;
    while (!list_is_empty(&names)) {
        struct dns_name *n = query_free(LIST_FIRST(&names, struct query, link));
        if (!list_is_empty(&n->waits))
            dns_ask(d, n);
    }
    return ERRC_OK;
}

static void dns_on_timer_closed(uv_handle_t *h)
{
    dns_handle_closed(h->data);
}

void dns_close(struct dns *d)
{
    struct list unasked;

    if (!d)
        return;
    dns_drop_channel(d, &unasked);
    while (!list_is_empty(&unasked))
        (void)query_free(LIST_FIRST(&unasked, struct query, link)); /* nobody waits */
    dns_cache_deinit(&d->cache);
    uv_close((uv_handle_t *)&d->timer, dns_on_timer_closed);
}

enum dns_got dns_get(struct dns *d, struct str host, struct dns_addrs *ret, struct dns_wait *w)
{
    uint64_t now_ms = uv_now(d->loop);

    if (addr_read(host, 0, &ret->addr[0])) {
        ret->n = 1;
        return DNS_FOUND;
    }
    struct dns_name *e = dns_cache_get(&d->cache, host, now_ms);
    if (!e)
        return DNS_NONE;
    if (dns_name_use(e, now_ms) == DNS_ASK) {
        if (!e->is_asking)
            dns_ask(d, e);
        if (e->is_asking) {
            list_push(&e->waits, &w->link);
            return DNS_LATER;
        }
    }
    if (dns_name_use(e, now_ms) != DNS_USE)
        return DNS_NONE;
    *ret = e->addrs;
    return DNS_FOUND;
}

void dns_cancel(struct dns_wait *w)
{
    list_drop(&w->link);
}
