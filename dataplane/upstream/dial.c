/*
 * From a claim to a connection:
 *
 *     name ─▶ addresses ─▶ TCP (one address after the other) ─▶ CONNECT ─▶ TLS ─▶ handed to the
 * wait
 *
 * The only place of the workers that connects (threats O-01): each address is checked right
 * before its connect, and the connection is made to that address, not to the name (O-04 to O-06).
 */

#include "common/log.h"

#include "upstream/pool_priv.h"

enum {
    ADDR_SHARE_MIN_MS = 250, /* each address is tried so long at least */
    TUNNEL_HEAD_MAX = 16 * 1024,
};

static void dial_next_addr(struct pool_wait *w);

/* At most one line in a while for each origin: what repeats says nothing new. */
static void origin_warn(struct origin *o, const char *event, const char *why)
{
    uint64_t now_ms = pool_now_ms(o->pool);

    if (o->warned_ms && now_ms - o->warned_ms < ORIGIN_WARN_MS)
        return;
    o->warned_ms = now_ms;
    log_warn(event, "host=" STR_FMT " port=%u why=\"%s\"", STR_ARG(o->host), o->port, why);
}

static bool origin_has_proxy(const struct origin *o)
{
    return o->proxy_host.n > 0;
}

void dial_stop(struct pool_wait *w)
{
    struct origin *o = w->origin;

    if (w->state == WAIT_RESOLVING)
        dns_cancel(&w->dns);
    if (w->conn)
        conn_drop(w->conn);
    w->conn = NULL;
    list_drop(&w->link);
    o->n_dials--;
    origin_release(o);
}

static void dial_fail(struct pool_wait *w, enum pool_got how)
{
    dial_stop(w);
    pool_tell(w->origin->pool, w, how, NULL);
}

static void dial_done(struct pool_wait *w)
{
    struct upconn *c = w->conn;

    list_drop(&w->link);
    w->origin->n_dials--;
    c->has_claim = true; /* was the wait's */
    conn_hand(c, w);
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

/*
 * With a session of TLS 1.2 only that version is offered, and a session may be what the peer
 * dislikes: once more without, before anybody is told.
 */
static void dial_tls_failed(struct pool_wait *w)
{
    struct origin *o = w->origin;
    bool was_offered = o->session && !w->is_second_try;
    struct err e;

    o->session = tls_session_free(o->session);
    if (was_offered) {
        w->is_second_try = true;
        w->how = POOL_TLS;
        w->next_addr--;
        dial_next_addr(w);
        return;
    }
    (void)tls_explain(w->conn->tls, &e); /* returns the class, which is known */
    origin_warn(o, "upstream.tls", e.msg);
    dial_fail(w, POOL_TLS);
}

static void dial_shake_hands(struct upconn *c, const char *p, size_t n)
{
    struct pool *pool = c->pool;
    struct pool_wait *w = c->wait;
    struct out_buf *out = slab_get(&pool->outs);

    if (!out) {
        dial_fail(w, POOL_FULL);
        return;
    }
    struct tls_io io = {.in = p, .in_n = n, .out = out->bytes, .out_cap = sizeof out->bytes};
    enum tls_got got = tls_handshake(c->tls, &io);
    bool is_sent = io.out_n == 0 || conn_send_now(c, io.out, io.out_n);
    slab_put(&pool->outs, out);

    if (got == TLS_FAILED) {
        dial_tls_failed(w);
    } else if (!is_sent) {
        dial_fail(w, POOL_REFUSED);
    } else if (got == TLS_READY) {
        metric_add(pool->region, METRIC_TLS_HANDSHAKES, 1);
        if (tls_was_resumed(c->tls))
            metric_add(pool->region, METRIC_TLS_RESUMED, 1);
        conn_save_session(c);
        dial_done(w);
        if (io.in_n) /* tickets may follow at once */
            conn_input(c, io.in, io.in_n);
    }
}

static void dial_secure(struct upconn *c)
{
    struct pool_wait *w = c->wait;
    struct origin *o = c->origin;

    if (!o->trust) {
        dial_done(w);
        return;
    }
    conn_enter(c, CONN_HANDSHAKE);
    w->step_due_ms = pool_now_ms(c->pool) + c->pool->tls_ms;
    if (tls_new(&c->tls, o->trust, o->host, o->session, NULL)) {
        dial_fail(w, POOL_FULL);
        return;
    }
    dial_shake_hands(c, NULL, 0);
}

/* --- CONNECT ------------------------------------------------------------------------------------
 */

enum tunnel_got tunnel_read(struct tunnel *t, const char *p, size_t n)
{
    static const char end[4] = "\r\n\r\n";

    for (size_t i = 0; i < n; i++) {
        if (t->n < sizeof t->status)
            t->status[t->n] = p[i];
        t->n++;
        t->blank = p[i] == end[t->blank] ? t->blank + 1 : p[i] == '\r';
        if (t->blank < sizeof end) {
            if (t->n >= TUNNEL_HEAD_MAX)
                return TUNNEL_REFUSED;
            continue;
        }
        /* RFC 9110 9.3.6: a 2xx has no content, whatever its fields say; the far side waits for us,
           so anything behind it is not meant for us */
        bool is_open = memcmp(t->status, "HTTP/1.", 7) == 0 && t->status[8] == ' ' &&
                       t->status[9] == '2' && i + 1 == n;
        return is_open ? TUNNEL_OPEN : TUNNEL_REFUSED;
    }
    return TUNNEL_MORE;
}

/* RFC 9112 3.2.3: authority form, an IPv6 address in brackets. */
static void dial_ask_proxy(struct upconn *c)
{
    static const char auth_field[] = "Proxy-Authorization: ";
    struct pool_wait *w = c->wait;
    struct origin *o = c->origin;
    char *text = c->pool->gather;
    size_t cap = sizeof c->pool->gather;
    bool has_brackets = memchr(o->host.p, ':', o->host.n) && o->host.p[0] != '[';

    conn_enter(c, CONN_TUNNEL);
    char authority[DNS_NAME_MAX + 16];
    int m = snprintf(authority, sizeof authority, has_brackets ? "[" STR_FMT "]:%u" : STR_FMT ":%u",
                     STR_ARG(o->host), o->port);
    int n = snprintf(text, cap, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s" STR_FMT "%s\r\n", authority,
                     authority, o->proxy_auth.n ? auth_field : "", STR_ARG(o->proxy_auth),
                     o->proxy_auth.n ? "\r\n" : "");
    bool fits = m > 0 && (size_t)m < sizeof authority && n > 0 && (size_t)n < cap;
    w->tunnel = (struct tunnel){.n = 0};
    w->step_due_ms = w->connect_until_ms;
    if (!fits || !conn_send_now(c, text, (size_t)n))
        dial_fail(w, POOL_REFUSED);
    explicit_bzero(text, MIN(cap, (size_t)MAX(n, 0))); /* it held the credential */
}

static void dial_tunnel_input(struct upconn *c, const char *p, size_t n)
{
    struct pool_wait *w = c->wait;

    switch (tunnel_read(&w->tunnel, p, n)) {
    case TUNNEL_MORE:
        break;
    case TUNNEL_OPEN:
        dial_secure(c);
        break;
    case TUNNEL_REFUSED:
        origin_warn(c->origin, "upstream.proxy", "the proxy refused to connect");
        dial_fail(w, POOL_REFUSED);
        break;
    }
}

void dial_input(struct upconn *c, const char *p, size_t n)
{
    if (c->state == CONN_TUNNEL)
        dial_tunnel_input(c, p, n);
    else
        dial_shake_hands(c, p, n);
}

void dial_lost(struct upconn *c, enum errc why)
{
    dial_fail(c->wait, why == ERRC_TIMEOUT ? POOL_TIMEOUT : POOL_REFUSED);
}

/* --- TCP ----------------------------------------------------------------------------------------
 */

static enum pool_got got_from_uv(int status)
{
    switch (status) {
    case UV_ETIMEDOUT:
        return POOL_TIMEOUT;
    case UV_EADDRNOTAVAIL: /* threats B-04: no port left */
    case UV_EMFILE:
    case UV_ENFILE:
    case UV_ENOBUFS:
    case UV_ENOMEM:
        return POOL_FULL;
    default:
        return POOL_REFUSED;
    }
}

static void dial_on_connected(uv_connect_t *req, int status)
{
    struct upconn *c = container_of(req, struct upconn, req.connect);
    struct pool_wait *w = c->wait;

    if (c->state == CONN_CLOSING)
        return;
    if (status == 0 && !conn_read_start(c))
        status = UV_ENOMEM;
    if (status < 0) {
        w->how = got_from_uv(status);
        dial_next_addr(w);
        return;
    }
    w->origin->good_addr = w->addrs.addr[w->next_addr - 1];
    w->how = POOL_TIMEOUT;
    w->step_due_ms = w->deadline_ms;
    if (origin_has_proxy(w->origin))
        dial_ask_proxy(c);
    else
        dial_secure(c);
}

/* True when the connect is under way; else w->how says why not. */
static bool dial_connect(struct pool_wait *w, union addr *a)
{
    struct origin *o = w->origin;
    struct upconn *c = conn_new(o, a->sa.sa_family, &w->how);

    if (!c)
        return false;
    c->wait = w;
    w->conn = c;
    addr_set_port(a, origin_has_proxy(o) ? o->proxy_port : o->port);
    int rc = uv_tcp_connect(&c->req.connect, &c->tcp, &a->sa, dial_on_connected);
    if (rc < 0)
        w->how = got_from_uv(rc);
    return rc == 0;
}

/* One address after the other, each with its share of the time that is left for connecting. */
static void dial_next_addr(struct pool_wait *w)
{
    struct origin *o = w->origin;
    struct pool *p = o->pool;
    /* the operator chose the proxy */
    bool is_private_ok = origin_has_proxy(o) || (o->flags & SNAP_ORIGIN_PRIVATE_OK);
    uint64_t now_ms = pool_now_ms(p);

    if (w->conn)
        conn_drop(TAKE(w->conn));
    while (w->next_addr < w->addrs.n && now_ms < w->connect_until_ms) {
        uint64_t share_ms = (w->connect_until_ms - now_ms) / (w->addrs.n - w->next_addr);
        union addr *a = &w->addrs.addr[w->next_addr++];

        if (!addr_is_allowed(a, is_private_ok)) {
            char text[ADDR_TEXT];
            addr_put(a, text);
            origin_warn(o, "upstream.forbidden_address", text);
            continue;
        }
        w->step_due_ms = MIN(now_ms + MAX(share_ms, ADDR_SHARE_MIN_MS), w->connect_until_ms);
        if (dial_connect(w, a))
            return;
        if (w->conn)
            conn_drop(TAKE(w->conn));
    }
    dial_fail(w, w->how);
}

/* --- names --------------------------------------------------------------------------------------
 */

static void dial_resolved(struct pool_wait *w)
{
    struct pool *p = w->origin->pool;

    w->state = WAIT_DIALLING;
    w->how = POOL_FORBIDDEN; /* unless one may be tried */
    w->is_second_try = false;
    w->next_addr = 0;
    w->connect_until_ms = MIN(pool_now_ms(p) + p->connect_ms, w->deadline_ms);
    for (unsigned i = 1; i < w->addrs.n; i++) {
        union addr a = w->addrs.addr[i];
        if (addr_is_same_host(&a, &w->origin->good_addr)) {
            w->addrs.addr[i] = w->addrs.addr[0];
            w->addrs.addr[0] = a;
        }
    }
    dial_next_addr(w);
}

static void dial_on_resolved(struct dns_wait *d, const struct dns_addrs *addrs)
{
    struct pool_wait *w = container_of(d, struct pool_wait, dns);

    if (!addrs) {
        dial_fail(w, POOL_DNS);
        return;
    }
    w->addrs = *addrs;
    dial_resolved(w);
}

void dial_start(struct pool_wait *w)
{
    struct origin *o = w->origin;
    struct pool *p = o->pool;
    union addr target;

    w->state = WAIT_RESOLVING;
    w->step_due_ms = w->deadline_ms; /* the resolver has a limit of its own */
    w->dns.cb = dial_on_resolved;
    list_init(&w->dns.link);
    list_push(&p->dials, &w->link);
    o->n_dials++;
    metric_add(p->region, METRIC_UPSTREAM_DIALS, 1);

    /* a proxy resolves names for us, but a literal address is ours to check */
    if (origin_has_proxy(o) && addr_read(o->host, o->port, &target) &&
        !addr_is_allowed(&target, o->flags & SNAP_ORIGIN_PRIVATE_OK)) {
        dial_fail(w, POOL_FORBIDDEN);
        return;
    }
    switch (dns_get(p->dns, origin_has_proxy(o) ? o->proxy_host : o->host, &w->addrs, &w->dns)) {
    case DNS_FOUND:
        dial_resolved(w);
        break;
    case DNS_NONE:
        dial_fail(w, POOL_DNS);
        break;
    case DNS_LATER:
        break;
    }
}

void dial_tick(struct pool_wait *w)
{
    uint64_t now_ms = pool_now_ms(w->origin->pool);

    if (now_ms >= w->deadline_ms) {
        dial_fail(w, POOL_TIMEOUT);
    } else if (now_ms >= w->step_due_ms) {
        w->how = POOL_TIMEOUT;
        if (w->conn && w->conn->state == CONN_CONNECTING)
            dial_next_addr(w);
        else
            dial_fail(w, POOL_TIMEOUT);
    }
}
