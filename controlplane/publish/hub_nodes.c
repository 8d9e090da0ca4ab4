/* Which data planes there are, and what each of them has. */

#include "common/log.h"
#include "common/num.h"

#include "publish/hub_priv.h"

void hub_await(struct hub *h, bool on)
{
    (void)pthread_mutex_lock(&h->lock);
    h->is_awaited = on;
    (void)pthread_mutex_unlock(&h->lock);
}

static bool has(const struct session *s, struct revision r)
{
    return s->have.epoch == r.epoch && s->have.n >= r.n;
}

struct hub_applied hub_applied(struct hub *h, struct revision r, uint64_t now_ns)
{
    struct hub_applied a = {0};

    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        const struct session *s = h->sessions[i];
        if (!session_is_live(s, now_ns))
            continue;
        a.all++;
        a.have += has(s, r);
        a.waited_for += !has(s, r) && !s->is_late;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return a;
}

void hub_late(struct hub *h, struct revision r, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        struct session *s = h->sessions[i];
        if (has(s, r) || s->is_late)
            continue;
        if (session_is_live(s, now_ns))
            log_warn(
                "node_lagging",
                "host=\"%s\" has=%llu wants=%llu consequence=\"not waited for until it caught up\"",
                s->host, (unsigned long long)s->have.n, (unsigned long long)r.n);
        s->is_late = true;
        s->late_n = h->feed.n;
    }
    (void)pthread_mutex_unlock(&h->lock);
}

/* A newer session of the same pod is there. */
static bool is_replaced(const struct hub *h, const struct session *s, uint64_t now_ns)
{
    for (unsigned i = 0; i < h->n_sessions; i++) {
        const struct session *o = h->sessions[i];
        if (o != s && memcmp(o->pod, s->pod, POD) == 0 &&
            (session_is_live(o, now_ns) || o->seen_ns > s->seen_ns))
            return true;
    }
    return false;
}

void hub_each(struct hub *h, uint64_t now_ns, void (*fn)(void *ctx, const struct hub_node *n),
              void *ctx)
{
    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        const struct session *s = h->sessions[i];
        bool live = session_is_live(s, now_ns), same_epoch = s->have.epoch == h->feed.epoch;
        struct hub_node n = {
            .host = s->host,
            .version = s->version,
            .error = s->error,
            .token = s->token,
            .revision = s->have,
            .lag = feed_behind(&h->feed, same_epoch ? s->have.n : 0),
            .age_seconds = (double)(now_ns - MIN(now_ns, s->seen_ns)) / 1e9,
            .workers = s->workers,
            .requests = s->requests,
            .in_flight = s->in_flight,
            .spool_bytes = s->spool_bytes,
            .resident_bytes = s->resident_bytes,
            .entities = s->entities,
            .unshipped_bytes = s->unshipped_bytes,
            .unshipped_ms = s->unshipped_ms,
            .spool_is_full = s->spool_is_full,
            .config_matches = s->config_matches,
            .is_draining = s->is_draining,
        };
        if (!live && is_replaced(h, s, now_ns))
            continue;
        n.state = !live ? "gone" : !same_epoch || n.lag ? "lagging" : "current";
        n.id[num_put_hex(n.id, s->pod, POD)] = '\0';
        fn(ctx, &n);
    }
    (void)pthread_mutex_unlock(&h->lock);
}
