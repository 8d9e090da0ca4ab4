/*
 * Origins: where connections lead and how many there may be; and generations, which name origins
 * by index. Equal origins of two generations are one, so that a reload keeps connections.
 */

#include "upstream/pool_priv.h"

/* What makes connections interchangeable (threats T-07). Borrows. */
struct origin_id {
    struct str host, proxy_host, proxy_auth;
    uint16_t port, proxy_port;
    uint32_t flags;
    const struct tls_trust *trust;
};

/* --- ceilings
 * ------------------------------------------------------------------------------------- */

static void origin_count(struct origin *o, int by)
{
    struct region *r = o->pool->region;

    o->n_claims += (unsigned)by;
    __atomic_store_n(&r->origin_connections[o->slot], r->origin_connections[o->slot] + (unsigned)by,
                     __ATOMIC_RELAXED);
    metric_add(r, METRIC_UPSTREAM_CONNECTIONS, (uint64_t)(int64_t)by); /* a gauge: goes down too */
}

/* Connections of all workers. A dead worker's count no more, and its successor starts from none. */
static uint64_t origin_total(const struct origin *o)
{
    const struct shared *s = o->pool->shared;
    uint64_t sum = 0;

    for (unsigned i = 0; i < shared_regions(s); i++) {
        struct region *r = shared_region(s, i);
        if (atomic_load_explicit(&r->state, memory_order_relaxed) == REGION_HELD)
            sum += __atomic_load_n(&r->origin_connections[o->slot], __ATOMIC_RELAXED);
    }
    return sum;
}

static bool origin_is_over(const struct origin *o)
{
    return o->max_connections && origin_total(o) > o->max_connections;
}

bool origin_claim(struct origin *o)
{
    struct upconn *oldest;

    origin_count(o, 1);
    /* two workers may both see the other's claim and step back; neither sees too few: the ceiling
       holds, and the tick tries again */
    atomic_thread_fence(memory_order_seq_cst);
    while (origin_is_over(o)) {
        oldest = LIST_LAST(&o->idle, struct upconn, link);
        if (!oldest) {
            origin_count(o, -1);
            return false;
        }
        conn_drop(oldest);
    }
    return true;
}

void origin_release(struct origin *o)
{
    origin_count(o, -1);
}

void origin_advance(struct origin *o)
{
    struct pool_wait *w;

    while (o->n_dials < ORIGIN_DIALS && (w = LIST_FIRST(&o->waiters, struct pool_wait, link)) &&
           origin_claim(o)) {
        list_drop(&w->link);
        o->n_waiters--;
        dial_start(w);
    }
}

/* --- idle limits
 * ---------------------------------------------------------------------------------- */

void origin_learn_idle(struct origin *o, uint64_t idle_ms)
{
    struct pool *p = o->pool;

    /* shorter ones are a server going away, not its habit; an eighth off for the way there */
    idle_ms -= idle_ms / 8;
    if (idle_ms < ORIGIN_IDLE_MIN_MS || idle_ms >= p->idle_ms)
        return;
    o->learnt_idle_ms = (unsigned)idle_ms;
    o->learnt_until_ms = pool_now_ms(p) + ORIGIN_LEARNT_MS;
}

static unsigned origin_idle_limit_ms(const struct origin *o, uint64_t now_ms)
{
    unsigned limit_ms = o->pool->idle_ms;

    if (now_ms < o->learnt_until_ms)
        limit_ms = MIN(limit_ms, o->learnt_idle_ms);
    if (o->max_connections && origin_total(o) >= o->max_connections)
        limit_ms = MIN(limit_ms, ORIGIN_FULL_IDLE_MS); /* another worker may be waiting */
    return limit_ms;
}

void origin_tick(struct origin *o)
{
    uint64_t now_ms = pool_now_ms(o->pool);
    struct upconn *c = LIST_LAST(&o->idle, struct upconn, link);

    if (c) {
        unsigned limit_ms = origin_idle_limit_ms(o, now_ms);
        for (; c && now_ms - c->idle_ms >= limit_ms; c = LIST_LAST(&o->idle, struct upconn, link))
            conn_drop(c);
    }
    LIST_FOREACH (&o->waiters, struct pool_wait, w, link) {
        if (now_ms < w->deadline_ms)
            continue;
        list_drop(&w->link);
        o->n_waiters--;
        pool_tell(o->pool, w, POOL_FULL, NULL);
    }
    origin_advance(o);
}

static void origin_drop_idle(struct origin *o)
{
    struct upconn *c;

    while ((c = LIST_FIRST(&o->idle, struct upconn, link)))
        conn_drop(c);
}

/* --- origins
 * -------------------------------------------------------------------------------------- */

static char *put_str(char *at, struct str *to, struct str from)
{
    *to = (struct str){at, from.n};
    if (from.n)
        memcpy(at, from.p, from.n);
    at[from.n] = '\0';
    return at + from.n + 1;
}

static MUST_CHECK enum errc origin_new(struct origin **ret_o, struct pool *p,
                                       const struct origin_id *id, struct tls_trust *trust,
                                       struct err *e)
{
    struct origin *o = calloc(1, sizeof *o);
    char *text = malloc(id->host.n + id->proxy_host.n + id->proxy_auth.n + 3);

    if (!o || !text) {
        free(text);
        free(o);
        return err_set(e, ERRC_NOMEM, 0, "upstream origin");
    }
    o->pool = p;
    text = put_str(text, &o->host, id->host);
    text = put_str(text, &o->proxy_host, id->proxy_host);
    (void)put_str(text, &o->proxy_auth, id->proxy_auth); /* the end is not needed */
    o->port = id->port;
    o->proxy_port = id->proxy_port;
    o->flags = id->flags;
    o->trust = trust ? tls_trust_ref(trust) : NULL;
    list_init(&o->idle);
    list_init(&o->waiters);
    list_push(&p->origins, &o->link);
    *ret_o = o;
    return ERRC_OK;
}

struct origin *origin_free(struct origin *o)
{
    if (!o)
        return NULL;
    ASSERT(o->n_claims == 0 && o->n_waits == 0);
    list_drop(&o->link);
    o->session = tls_session_free(o->session);
    o->trust = tls_trust_unref(o->trust);
    /* one block; the proxy's credential is in it */
    char *text = (char *)(uintptr_t)o->host.p;
    explicit_bzero(text, o->host.n + o->proxy_host.n + o->proxy_auth.n + 3);
    free(text);
    free(o);
    return NULL;
}

static struct origin *origin_find(struct pool *p, const struct origin_id *id)
{
    LIST_FOREACH (&p->origins, struct origin, o, link)
        if (o->port == id->port && o->flags == id->flags && o->trust == id->trust &&
            o->proxy_port == id->proxy_port && str_eq(o->host, id->host) &&
            str_eq(o->proxy_host, id->proxy_host) && str_eq(o->proxy_auth, id->proxy_auth))
            return o;
    return NULL;
}

/* --- generations
 * ---------------------------------------------------------------------------------- */

static const struct snap_origin *snap_origin_at(const struct snapshot *s, uint32_t i)
{
    const struct snap_origin *so = SNAP_AT(s, s->h->origins, struct snap_origin, i);

    ASSERT(so); /* i is below origins.n, and snapshot_open() checked the array */
    return so;
}

static struct str snap_origin_ca(const struct snapshot *s, const struct snap_origin *so)
{
    return snap_str(s, so->ca.n ? so->ca : s->h->settings.ca);
}

static bool snap_origin_is_unverified(const struct snap_origin *so)
{
    return so->flags & SNAP_ORIGIN_NO_VERIFY;
}

/* The trust for origin `at` of `g`: an earlier origin's with the same bytes, one we have, a new
 * one. The caller gets a reference. */
static MUST_CHECK enum errc generation_trust(struct pool *p, const struct generation *g,
                                             uint32_t at, struct tls_trust **ret_t, struct err *e)
{
    const struct snap_origin *so = snap_origin_at(g->s, at);
    struct str pem = snap_origin_ca(g->s, so);
    bool is_unverified = snap_origin_is_unverified(so);
    struct tls_trust_id id;

    for (uint32_t i = 0; i < at; i++) {
        const struct snap_origin *other = snap_origin_at(g->s, i);
        if ((other->flags & SNAP_ORIGIN_TLS) && snap_origin_is_unverified(other) == is_unverified &&
            (is_unverified || snap_origin_ca(g->s, other).p == pem.p)) {
            *ret_t = tls_trust_ref(g->origin[i]->trust);
            return ERRC_OK;
        }
    }
    tls_trust_identify(&id, pem, is_unverified);
    LIST_FOREACH (&p->origins, struct origin, o, link) {
        if (o->trust && tls_trust_is(o->trust, &id)) {
            *ret_t = tls_trust_ref(o->trust);
            return ERRC_OK;
        }
    }
    return tls_trust_new(ret_t, pem, is_unverified, e);
}

static MUST_CHECK enum errc generation_name_origin(struct pool *p, struct generation *g,
                                                   uint32_t at, struct err *e)
{
    const struct snap_origin *so = snap_origin_at(g->s, at);
    struct tls_trust *trust = NULL;
    enum errc rc = ERRC_OK;

    if (so->slot >= SHARED_ORIGINS || so->host.n == 0 || so->host.n > DNS_NAME_MAX)
        return err_set(e, ERRC_INVALID, 0, "upstream origin %u of the generation", at);
    if (so->flags & SNAP_ORIGIN_TLS)
        rc = generation_trust(p, g, at, &trust, e);
    if (rc)
        return err_wrap(e, "upstream " STR_FMT, STR_ARG(snap_str(g->s, so->host)));

    struct origin_id id = {
        .host = snap_str(g->s, so->host),
        .proxy_host = snap_str(g->s, so->proxy_host),
        .proxy_auth = snap_str(g->s, so->proxy_auth),
        .port = so->port,
        .proxy_port = so->proxy_port,
        .flags = so->flags,
        .trust = trust,
    };
    struct origin *o = origin_find(p, &id);
    if (!o)
        rc = origin_new(&o, p, &id, trust, e);
    if (!rc) {
        ASSERT(o);
        o->generations++;
        g->origin[at] = o;
    }
    trust = tls_trust_unref(trust); /* the origin has its own reference */
    return rc;
}

static struct generation *generation_free(struct generation *g)
{
    list_drop(&g->link);
    for (uint32_t i = 0; i < g->n; i++)
        if (g->origin[i])
            g->origin[i]->generations--;
    (void)snapshot_unref(g->s); /* NULL */
    free(g);
    return NULL;
}

/* From now on this generation decides the ceilings. */
static void generation_rule(struct generation *g)
{
    for (uint32_t i = 0; i < g->n; i++) {
        const struct snap_origin *so = snap_origin_at(g->s, i);
        struct origin *o = g->origin[i];
        int n = (int)o->n_claims;

        origin_count(o, -n);
        o->slot = so->slot;
        o->max_connections = so->max_connections;
        origin_count(o, n);
    }
}

static MUST_CHECK enum errc pool_set_resolver(struct pool *p, const struct snapshot *s,
                                              struct err *e)
{
    struct str servers = snap_str(s, s->h->settings.nameservers);
    struct dns_config cfg = {.is_ipv4_only = s->h->settings.flags & SNAP_FORCE_IPV4};
    enum errc rc;

    if (p->dns && cfg.is_ipv4_only == p->is_ipv4_only && str_eq(servers, str_of(p->nameservers)))
        return ERRC_OK;
    char *text = strndup(servers.n ? servers.p : "", servers.n);
    if (!text)
        return err_set(e, ERRC_NOMEM, 0, "resolver");
    cfg.nameservers = text;
    rc = p->dns ? dns_configure(p->dns, &cfg, e)
                : dns_new(&p->dns, p->loop, &cfg, &p->region->metric[METRIC_DNS_LOOKUPS], e);
    if (rc) {
        free(text);
        return rc;
    }
    free(p->nameservers);
    p->nameservers = text;
    p->is_ipv4_only = cfg.is_ipv4_only;
    return ERRC_OK;
}

enum errc pool_adopt(struct pool *p, struct snapshot *s, struct err *e)
{
    const struct snap_settings *set = &s->h->settings;
    uint32_t n = s->h->origins.n;
    struct generation *g = calloc(1, sizeof *g + n * sizeof(struct origin *));
    enum errc rc = ERRC_OK;

    if (!g)
        return err_set(e, ERRC_NOMEM, 0, "upstream origins");
    list_init(&g->link);
    g->s = snapshot_ref(s);
    g->n = n;
    for (uint32_t i = 0; i < n && !rc; i++)
        rc = generation_name_origin(p, g, i, e);
    if (!rc)
        rc = pool_set_resolver(p, s, e);
    if (rc) {
        (void)generation_free(g); /* NULL */
        return rc;
    }
    p->connect_ms = set->connect_timeout_ms;
    p->tls_ms = set->tls_timeout_ms;
    p->idle_ms = set->upstream_idle_ms;
    generation_rule(g);
    list_push(&p->generations, &g->link);
    pool_sweep(p, false);
    return ERRC_OK;
}

struct origin *pool_origin(struct pool *p, const struct snapshot *s, uint32_t index)
{
    /* newest first, which it nearly always is */
    for (struct list *l = p->generations.prev; l != &p->generations; l = l->prev) {
        struct generation *g = container_of(l, struct generation, link);
        if (g->s == s)
            return index < g->n ? g->origin[index] : NULL;
    }
    return NULL;
}

void pool_sweep(struct pool *p, bool all)
{
    const struct generation *newest = LIST_LAST(&p->generations, struct generation, link);

    LIST_FOREACH (&p->generations, struct generation, g, link)
        if (all || (g != newest && g->s->refs == 1)) /* ours alone */
            (void)generation_free(g);                /* NULL */
    LIST_FOREACH (&p->origins, struct origin, o, link) {
        if (o->generations > 0)
            continue;
        origin_drop_idle(o);
        if (o->n_claims == 0 && o->n_waits == 0)
            (void)origin_free(o); /* NULL */
    }
}
