#include "daemon.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/http/server.h"
#include "common/log.h"
#include "common/net/tls.h"

#include "alert/alerts.h"
#include "api/api.h"
#include "api/reply.h"
#include "config.h"
#include "jobs/jobs.h"
#include "lane.h"
#include "opener.h"
#include "publish/publish.h"
#include "store/catalog.h"
#include "stream.h"

enum {
    CRUD_STATEMENT_MS = 1500, /* below DB_WAIT_MS: a slow statement is not a frozen server */
    CRUD_DEADLINE_MS = 10 * 1000,
    CRUD_SLOW_MS = 20, /* then reports make way */
    REPORT_STATEMENT_MS = 30 * 1000,
    REPLICA_STATEMENT_MS = 15 * 1000, /* then the writer is asked, in the same request */
    REPORT_DEADLINE_MS = 60 * 1000,
    CRUD_QUEUE = 512,
    REPORT_QUEUE = 128,
    MAX_CONNECTIONS = 2000,
    MAX_BODY = 4 * 1024 * 1024,
    MAX_MEMORY = 128 * 1024 * 1024,
    DRAIN_MS = 15 * 1000,
    PIECES_AT_ONCE = 16,
};

struct daemon_priv {
    uv_loop_t loop;
    uv_async_t async;
    uv_signal_t term, interrupt;
    uv_timer_t drain;
    struct tls_identity *tls; /* NULL: the port is without TLS */
    pthread_mutex_t lock;     /* of done */
    struct call *done, **done_last;
    struct call *pieces; /* calls that stream_pump() is due for */
    unsigned n_calls;    /* with the lanes */
    uint64_t cut_ns;     /* when a drain has taken long enough */
    bool draining, cut, closed;
    struct opener *opener;
    atomic_bool is_open;
    struct err failed; /* code: the opener's; under `lock` */
};

/* ---- answers ---- */

static void send_answer(struct call *c)
{
    struct arena *a = &c->arena;
    struct str headers =
        arena_printf(a, STR_FMT "x-request-id: %s\r\n", STR_ARG(c->headers), c->request_id);

    if (!arena_ok(a)) { /* too large an answer, or no memory: a fixed one */
        http_answer(c->http, &(struct http_answer){.status = 503,
                                                   .type = STR("application/json"),
                                                   .headers = STR("Retry-After: 1\r\n"),
                                                   .body = STR("{\"detail\":\"Out of memory for "
                                                               "this request.\"}")});
        return;
    }
    http_answer(c->http,
                &(struct http_answer){
                    .status = c->status, .type = c->type, .headers = headers, .body = c->body});
}

static struct str printable(struct str s)
{
    return str_is_printable(s) && s.n <= 128 ? s : STR("?");
}

/* The request is gone; so is the call, and what is still said of it. */
static void end_call(struct daemon *d, struct call *c)
{
    struct daemon_priv *p = d->priv;

    (void)pthread_mutex_lock(&p->lock);
    for (struct call **at = &p->pieces; c->has_piece && *at; at = &(*at)->next_piece)
        if (*at == c) {
            *at = c->next_piece;
            break;
        }
    (void)pthread_mutex_unlock(&p->lock);
    call_free(c);
}

void daemon_answer(struct daemon *d, struct call *c)
{
    if (c->route->lane != LANE_LOOP)
        log_info("request",
                 "id=%s method=%s path=\"" STR_FMT "\" status=%u user=\"" STR_FMT
                 "\" key=%.8s ip=" STR_FMT " ms=%llu",
                 c->request_id, route_method_name((enum route_method)c->route->method),
                 STR_ARG(printable(c->route->path)), c->status,
                 STR_ARG(printable(c->caller.user_id)),
                 c->caller.key_hash.n ? c->caller.key_hash.p : "-", STR_ARG(call_ip(c)),
                 (unsigned long long)((clock_mono_ns() - c->http->at_ns) / 1000000));
    if (!c->stream)
        send_answer(c);
    if (!c->stream || stream_finish(c->stream))
        end_call(d, c);
}

/* ---- between loop and lanes ---- */

/* On a pool thread. */
void daemon_pump(struct daemon *d, struct call *c)
{
    struct daemon_priv *p = d->priv;

    (void)pthread_mutex_lock(&p->lock);
    if (!c->has_piece) {
        c->has_piece = true;
        c->next_piece = p->pieces;
        p->pieces = c;
    }
    (void)pthread_mutex_unlock(&p->lock);
    (void)uv_async_send(&p->async);
}

/* On a pool thread. */
static void on_done(void *ctx, struct call *c)
{
    struct daemon *d = ctx;
    struct daemon_priv *p = d->priv;

    if (c->route->lane == LANE_CRUD && clock_mono_ns() >= c->http->at_ns + clock_ms(CRUD_SLOW_MS))
        lane_make_way(d->lane[LANE_REPORT]);
    (void)pthread_mutex_lock(&p->lock);
    c->next = NULL;
    *p->done_last = c;
    p->done_last = &c->next;
    (void)pthread_mutex_unlock(&p->lock);
    (void)uv_async_send(&p->async);
}

static struct call *next_piece(struct daemon_priv *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct call *c = p->pieces;
    if (c) {
        p->pieces = c->next_piece;
        c->has_piece = false;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return c;
}

static void pump_pieces(struct daemon_priv *p)
{
    struct call *c;
    unsigned i = 0;

    for (; i < PIECES_AT_ONCE && (c = next_piece(p)); i++)
        stream_pump(c->stream);
    if (i == PIECES_AT_ONCE)
        (void)uv_async_send(&p->async); /* others first */
}

static void end(struct daemon *d, unsigned drain_ms);
static void maybe_close(struct daemon *d);

/* On the opener's thread. */
static void on_opened(void *ctx, const struct err *e)
{
    struct daemon *d = ctx;
    struct daemon_priv *p = d->priv;

    if (!e)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->failed = *e;
    (void)pthread_mutex_unlock(&p->lock);
    (void)uv_async_send(&p->async);
}

static void on_async(uv_async_t *async)
{
    struct daemon *d = async->data;
    struct daemon_priv *p = d->priv;
    struct call *c, *next;

    pump_pieces(p);
    (void)pthread_mutex_lock(&p->lock);
    c = p->done;
    p->done = NULL;
    p->done_last = &p->done;
    bool failed = p->failed.code;
    (void)pthread_mutex_unlock(&p->lock);
    if (failed && !p->draining)
        end(d, 0);
    for (; c; c = next) {
        next = c->next;
        p->n_calls--;
        bool changed = c->route->audit == AUDIT_AUDITED && c->n_audits && c->status < 500;
        if (!changed || !publish_park(d, c))
            daemon_answer(d, c);
    }
    maybe_close(d);
}

static void answer_plain(struct http_request *r, unsigned status, struct str body,
                         struct str headers)
{
    http_answer(r, &(struct http_answer){.status = status,
                                         .type = STR("application/json"),
                                         .headers = headers,
                                         .body = body});
}

static void make_request_id(struct call *c)
{
    struct store s = {.arena = &c->arena};
    struct str id = store_uuid(&s);

    if (id.n < sizeof c->request_id)
        memcpy(c->request_id, id.p, id.n);
}

static void on_request(void *ctx, struct http_request *r)
{
    struct daemon *d = ctx;
    struct route_match m;

    switch (route_find(&m, r->method, r->target, d->config->root_path)) {
    case ROUTE_NONE:
        answer_plain(r, 404, STR("{\"detail\":\"Not Found\"}"), (struct str){0});
        return;
    case ROUTE_BAD_METHOD:
        answer_plain(r, 405, STR("{\"detail\":\"Method Not Allowed\"}"), (struct str){0});
        return;
    case ROUTE_BAD_PATH:
        answer_plain(r, 400, STR("{\"detail\":\"Bad Request\"}"), (struct str){0});
        return;
    case ROUTE_FOUND:
        break;
    }
    struct call *c = call_new(d, r);
    if (!c) {
        answer_plain(r, 503, STR("{\"detail\":\"Out of memory.\"}"), STR("Retry-After: 1\r\n"));
        return;
    }
    r->ctx = c;
    c->match = m;
    c->route = &route_rows[m.route];
    make_request_id(c);
    if (c->route->lane == LANE_LOOP) {
        api_run_on_loop(c);
        daemon_answer(d, c);
    } else if (lane_push(d->lane[c->route->lane], c)) {
        d->priv->n_calls++;
    } else {
        call_free(c);
        answer_plain(r, 503, STR("{\"detail\":\"Too many requests are waiting. Please retry.\"}"),
                     STR("Retry-After: 1\r\n"));
    }
}

static void on_gone(void *ctx, struct http_request *r)
{
    struct daemon *d = ctx;
    struct call *c = r->ctx;

    if (c->route->lane == LANE_LOOP)
        return;
    if (c->stream && stream_gone(c->stream))
        end_call(d, c);
    else
        lane_cancel(d->lane[c->route->lane], c);
}

static void on_sent(void *ctx, struct http_request *r)
{
    struct call *c = r->ctx;

    if (stream_sent(c->stream))
        end_call(ctx, c);
}

/* ---- ends ---- */

bool daemon_is_open(const struct daemon *d)
{
    return atomic_load(&d->priv->is_open);
}

void daemon_set_open(struct daemon *d)
{
    atomic_store(&d->priv->is_open, true);
}

bool daemon_is_ending(const struct daemon *d)
{
    return d->priv->draining;
}

static void on_server_closed(void *ctx)
{
    (void)ctx;
}

/* Nothing runs any more, or the time is up. */
static void maybe_close(struct daemon *d)
{
    struct daemon_priv *p = d->priv;

    if (!p->draining || p->closed)
        return;
    if (!p->cut && clock_mono_ns() >= p->cut_ns) {
        p->cut = true;
        http_server_close(d->server); /* what still runs is cancelled */
    }
    if (p->n_calls || (!p->cut && http_server_connections(d->server)))
        return;
    p->closed = true;
    p->opener = opener_free(p->opener);
    http_server_close(d->server);
    publish_close(d->publish);
    uv_close((uv_handle_t *)&p->async, NULL);
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    uv_close((uv_handle_t *)&p->drain, NULL);
}

static void on_drain_tick(uv_timer_t *t)
{
    maybe_close(t->data);
}

static void end(struct daemon *d, unsigned drain_ms)
{
    struct daemon_priv *p = d->priv;

    p->draining = true;
    p->cut_ns = clock_mono_ns() + drain_ms * UINT64_C(1000000);
    http_server_drain(d->server);
    (void)uv_timer_start(&p->drain, on_drain_tick, 20, 20);
    maybe_close(d);
}

static void on_signal(uv_signal_t *s, int signum)
{
    struct daemon *d = s->data;
    struct daemon_priv *p = d->priv;

    if (p->draining) {
        log_warn("stop", "signal=%d consequence=\"running requests are cut\"", signum);
        _exit(1);
    }
    log_info("stop", "signal=%d", signum);
    end(d, DRAIN_MS);
}

/* ---- start ---- */

static struct db_options db_options_of(const struct config *c, const char *name, unsigned max_conns,
                                       unsigned statement_timeout_ms)
{
    return (struct db_options){
        .conninfo = c->db.conninfo.p,
        .schema = c->db.schema.p,
        .name = name,
        .max_conns = max_conns,
        .statement_timeout_ms = statement_timeout_ms,
        .no_prepare = c->db.pgbouncer,
    };
}

static struct db_options lane_db_options(const struct config *c, enum route_lane l)
{
    struct db_options o =
        l == LANE_CRUD ? db_options_of(c, "weir admin", c->crud_conns, CRUD_STATEMENT_MS)
                       : db_options_of(c, "weir report", c->report_threads, REPORT_STATEMENT_MS);

    o.plans_each_time = l == LANE_REPORT; /* what was not asked for must not be read */
    return o;
}

/* Reports read from the replica where there is one. */
static enum errc open_replica(struct daemon *d, struct err *e)
{
    struct db_options o = lane_db_options(d->config, LANE_REPORT);

    if (!d->config->replica.conninfo.n)
        return ERRC_OK;
    o.conninfo = d->config->replica.conninfo.p;
    o.schema = d->config->replica.schema.p;
    o.no_prepare = d->config->replica.pgbouncer;
    o.name = "weir replica";
    o.statement_timeout_ms = REPLICA_STATEMENT_MS;
    o.is_replica = true;
    enum errc rc = db_health_new(&d->replica_health, e);
    if (rc)
        return rc;
    db_health_of_replica(d->replica_health);
    return db_new(&d->replica, &o, d->replica_health, e);
}

static enum errc start_lanes(struct daemon *d, struct err *e)
{
    enum errc rc = ERRC_OK;

    for (enum route_lane l = LANE_CRUD; !rc && l < LANES; l++) {
        struct lane_options o = {
            .name = l == LANE_CRUD ? "weir-crud" : "weir-report",
            .threads = l == LANE_CRUD ? d->config->crud_threads : d->config->report_threads,
            .queue_max = l == LANE_CRUD ? CRUD_QUEUE : REPORT_QUEUE,
            .deadline_ms = l == LANE_CRUD ? CRUD_DEADLINE_MS : REPORT_DEADLINE_MS,
            .makes_way = l == LANE_REPORT,
            .db = d->db[l],
            .run = api_run,
            .done = on_done,
            .ctx = d,
        };
        rc = lane_new(&d->lane[l], &o, e);
    }
    return rc;
}

static enum errc start_loop(struct daemon *d, struct err *e)
{
    struct daemon_priv *p = d->priv;

    int rc = uv_loop_init(&p->loop);
    if (!rc)
        rc = uv_async_init(&p->loop, &p->async, on_async);
    if (!rc)
        rc = uv_signal_init(&p->loop, &p->term);
    if (!rc)
        rc = uv_signal_init(&p->loop, &p->interrupt);
    if (!rc)
        rc = uv_timer_init(&p->loop, &p->drain);
    if (!rc)
        rc = uv_signal_start(&p->term, on_signal, SIGTERM);
    if (!rc)
        rc = uv_signal_start(&p->interrupt, on_signal, SIGINT);
    if (rc)
        return err_set(e, ERRC_SYS, -rc, "event loop");
    d->loop = &p->loop;
    p->async.data = p->term.data = p->interrupt.data = p->drain.data = d;
    return ERRC_OK;
}

static enum errc start_server(struct daemon *d, const struct daemon_options *o, struct err *e)
{
    struct daemon_priv *p = d->priv;
    struct http_server_options so = {
        .loop = &p->loop,
        .tls = p->tls,
        .max_connections = MAX_CONNECTIONS,
        .max_body = MAX_BODY,
        .max_memory = MAX_MEMORY,
        .header_timeout_ms = config_ms(&d->config->file, SETTING_WEIR_header_timeout),
        .body_timeout_ms = config_ms(&d->config->file, SETTING_WEIR_body_timeout),
        .idle_timeout_ms = config_ms(&d->config->file, SETTING_WEIR_idle_timeout),
        .write_timeout_ms = config_ms(&d->config->file, SETTING_WEIR_write_timeout),
        .on_request = on_request,
        .on_gone = on_gone,
        .on_sent = on_sent,
        .on_closed = on_server_closed,
        .ctx = d,
    };
    const char *host = o->host ? o->host : d->config->host;
    uint16_t port = o->port >= 0 ? (uint16_t)o->port : d->config->port;

    enum errc err = http_server_new(&d->server, &so, e);
    if (!err)
        err = http_server_listen(d->server, host, port, &port, e);
    if (!err)
        log_info("listening", "address=%s port=%u", host, port);
    return err;
}

static enum errc start_all(struct daemon *d, const struct daemon_options *o, struct err *e)
{
    struct opener_options oo = {.adopt = o->adopt, .done = on_opened, .ctx = d};
    enum errc rc = start_loop(d, e);

    if (!rc)
        rc = publish_new(&d->publish, d, e);
    if (!rc)
        rc = start_lanes(d, e);
    if (!rc)
        rc = start_server(d, o, e);
    if (!rc)
        rc = opener_new(&d->priv->opener, d, &oo, e);
    return rc;
}

static enum errc daemon_run(struct daemon *d, const struct daemon_options *o,
                            struct config **ret_config, struct arena *arena, struct err *e)
{
    struct daemon_priv *p = d->priv;
    enum errc rc = config_load(ret_config, o->config, e);

    if (rc)
        return rc;
    d->config = *ret_config;
    if (d->config->certfile)
        rc = tls_identity_new(&p->tls, d->config->certfile, d->config->keyfile, e);
    if (rc)
        return rc;
    rc = db_health_new(&d->health, e);
    for (enum route_lane l = LANE_CRUD; !rc && l < LANES; l++) {
        struct db_options dbo = lane_db_options(d->config, l);
        rc = db_new(&d->db[l], &dbo, d->health, e);
    }
    if (!rc)
        rc = open_replica(d, e);
    if (rc)
        return rc;
    if (o->migrate_only)
        return opener_migrate(d, o->adopt, e);
    d->openapi = openapi_json(arena).p;
    if (!d->openapi)
        return err_set(e, ERRC_NOMEM, 0, "openapi.json");
    rc = start_all(d, o, e);
    if (rc)
        return rc;
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    *e = p->failed;
    return e->code;
}

int daemon_main(const struct daemon_options *o)
{
    struct daemon_priv p = {.done_last = &p.done};
    struct daemon d = {.priv = &p};
    struct config *config = NULL;
    struct arena arena;
    struct err e = {0};

    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_mutex_init(&p.lock, NULL);
    arena_init(&arena, NULL, 16 * 1024 * 1024);
    enum errc rc = daemon_run(&d, o, &config, &arena, &e);
    if (rc)
        log_error("start", "what=\"%s\" consequence=\"not started\"", e.msg);
    d.alerts = alerts_free(d.alerts);
    d.jobs = jobs_free(d.jobs);
    for (enum route_lane l = LANE_CRUD; l < LANES; l++)
        d.lane[l] = lane_free(d.lane[l]);
    if (d.loop && !p.closed)
        return 1; /* a loop with open handles: the process ends anyway */
    d.publish = publish_free(d.publish);
    for (enum route_lane l = LANE_CRUD; l < LANES; l++)
        d.db[l] = db_free(d.db[l]);
    d.replica = db_free(d.replica);
    d.replica_health = db_health_free(d.replica_health);
    d.health = db_health_free(d.health);
    d.server = http_server_free(d.server);
    p.tls = tls_identity_unref(p.tls);
    if (d.loop)
        (void)uv_loop_close(d.loop);
    catalog_free(d.catalog);
    config_free(config);
    arena_reset(&arena);
    (void)pthread_mutex_destroy(&p.lock);
    return rc ? 1 : 0;
}
