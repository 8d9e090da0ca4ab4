/* One exchange per deployment, PROBES_AT_ONCE of them at a time, their results side by side in one
 * answer. */

#include "client/probe.h"

#include "common/clock.h"
#include "common/http/url.h"
#include "common/jw.h"
#include "common/num.h"

#include "client/admit.h"
#include "client/conn.h"
#include "client/reply.h"

enum { PROBES_AT_ONCE = 8, PROBES_MAX = 512, PROBE_ARENA_MAX = 8 << 20, PROBE_TIMEOUT_MS = 60000 };

enum probe_state { PROBE_WAITING, PROBE_RUNNING, PROBE_HEALTHY, PROBE_UNHEALTHY };

struct probe {
    struct probe_run *run;
    const struct snap_deployment *d;
    enum probe_state state;
    struct str error;
    struct upconn_buf piece;
    struct exchange exchange;
};

struct probe_run {
    struct request *r;
    struct arena arena;
    struct probe **probe;
    uint32_t n, next;
    unsigned running;
    uint32_t deadline_ms;
};

static void probes_go_on(struct probe_run *run);

static void probe_done(struct probe *p, bool healthy, struct str error)
{
    p->state = healthy ? PROBE_HEALTHY : PROBE_UNHEALTHY;
    p->error = error;
}

static void probe_on_head(struct exchange *e)
{
    (void)e;
}

static void probe_on_body(struct exchange *e, const char *bytes, size_t n)
{
    (void)e;
    (void)bytes;
    (void)n;
}

static void probe_on_end(struct exchange *e, enum exchange_end how)
{
    static const char *const words[] = {
        [EXCHANGE_DONE] = "",
        [EXCHANGE_NO_ROOM] = "no connection free",
        [EXCHANGE_DNS] = "name not resolved",
        [EXCHANGE_FORBIDDEN] = "address forbidden",
        [EXCHANGE_REFUSED] = "could not connect",
        [EXCHANGE_TLS] = "no trusted connection",
        [EXCHANGE_TIMEOUT] = "timed out",
        [EXCHANGE_CUT] = "connection closed",
        [EXCHANGE_PROTOCOL] = "no HTTP/1.1",
    };
    struct probe *p = container_of(e, struct probe, exchange);
    struct probe_run *run = p->run;
    bool ok = how == EXCHANGE_DONE && e->status >= 200 && e->status < 300;

    run->running--;
    probe_done(p, ok,
               ok                     ? (struct str){0}
               : how == EXCHANGE_DONE ? arena_printf(&run->arena, "status %u", e->status)
                                      : str_of(words[how]));
    probes_go_on(run);
}

static const struct exchange_events probe_events = {
    .on_head = probe_on_head,
    .on_body = probe_on_body,
    .on_end = probe_on_end,
};

/* What is asked of a deployment, by its mode. */
static const struct {
    enum snap_mode mode;
    enum dialect dialect;
    enum api api;
    const char *body; /* %.*s: the model as a JSON string */
} probe_bodies[] = {
    {SNAP_MODE_CHAT, DIALECT_OPENAI, API_CHAT,
     "{\"model\":%.*s,\"messages\":[{\"role\":\"user\",\"content\":\"test from "
     "litellm\"}],\"max_tokens\":5}"},
    {SNAP_MODE_CHAT, DIALECT_ANTHROPIC, API_MESSAGES,
     "{\"model\":%.*s,\"messages\":[{\"role\":\"user\",\"content\":\"test from "
     "litellm\"}],\"max_tokens\":5}"},
    {SNAP_MODE_COMPLETION, DIALECT_OPENAI, API_COMPLETIONS,
     "{\"model\":%.*s,\"prompt\":\"test from litellm\",\"max_tokens\":5}"},
    {SNAP_MODE_EMBEDDING, DIALECT_OPENAI, API_EMBEDDINGS,
     "{\"model\":%.*s,\"input\":[\"test from litellm\"]}"},
    {SNAP_MODE_MODERATION, DIALECT_OPENAI, API_MODERATIONS,
     "{\"model\":%.*s,\"input\":\"test from litellm\"}"},
    {SNAP_MODE_RESPONSES, DIALECT_OPENAI, API_RESPONSES,
     "{\"model\":%.*s,\"input\":\"test from litellm\",\"max_output_tokens\":16}"},
};

/* Builds the request of a probe; false with the reason in the probe when there is none to make. */
static bool probe_build(struct probe *p)
{
    const struct snapshot *s = p->run->r->snapshot;
    struct arena *a = &p->run->arena;
    const struct snap_deployment *d = p->d;
    struct str model = snap_str(s, d->model);

    if (d->flags & SNAP_MOCK) {
        probe_done(p, true, (struct str){0});
        return false;
    }
    if (d->unsupported.n || d->flags & (SNAP_NO_KEY | SNAP_WILDCARD)) {
        probe_done(p, false,
                   d->unsupported.n           ? snap_str(s, d->unsupported)
                   : d->flags & SNAP_WILDCARD ? STR("a wildcard needs health_check_model")
                                              : STR("no credential is configured"));
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(probe_bodies); i++) {
        if (probe_bodies[i].mode != d->mode || probe_bodies[i].dialect != d->dialect)
            continue;
        const struct snap_path *path = &d->path[probe_bodies[i].api];
        struct jw w = jw_init(a);
        jw_put_str(&w, model);
        struct str name = jw_finish(&w);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the formats stand in the table above */
        struct str body = arena_printf(a, probe_bodies[i].body, STR_ARG(name));
#pragma GCC diagnostic pop
        struct str in_path = d->flags & SNAP_MODEL_IN_PATH ? model : (struct str){0};
        struct str text =
            arena_printf(a,
                         "POST " STR_FMT STR_FMT STR_FMT " HTTP/1.1\r\n" STR_FMT
                         "%scontent-length: %zu\r\n\r\n" STR_FMT,
                         STR_ARG(snap_str(s, path->before)), STR_ARG(in_path),
                         STR_ARG(snap_str(s, path->after)), STR_ARG(snap_str(s, d->headers)),
                         d->dialect == DIALECT_ANTHROPIC ? "anthropic-version: 2023-06-01\r\n" : "",
                         body.n, STR_ARG(body));
        p->piece = (struct upconn_buf){text.p, text.n};
        return text.n != 0;
    }
    probe_done(p, false, STR("no probe for this mode"));
    return false;
}

static void probe_go(struct probe *p)
{
    struct probe_run *run = p->run;
    struct request *r = run->r;
    uint64_t ns = run->deadline_ms * UINT64_C(1000000);
    const struct exchange_timeouts limits = {ns, ns, ns};

    p->state = PROBE_RUNNING;
    if (!probe_build(p))
        return;
    struct origin *origin = pool_origin(r->cx->pool, r->snapshot, p->d->origin);
    exchange_init(&p->exchange, r->cx, &run->arena, &probe_events);
    if (!origin || exchange_start(&p->exchange, origin, &p->piece, 1, &limits))
        probe_done(p, false, STR("no connection free"));
    else
        run->running++;
}

static void put_results(struct probe_run *run, struct jw *w, struct str key, enum probe_state state,
                        uint32_t *ret_n)
{
    const struct snapshot *s = run->r->snapshot;

    *ret_n = 0;
    jw_key(w, key);
    jw_arr(w);
    for (uint32_t i = 0; i < run->n; i++) {
        const struct probe *p = run->probe[i];
        if (p->state != state)
            continue;
        ++*ret_n;
        jw_obj(w);
        jw_key(w, STR("model"));
        jw_put_str(w, snap_str(s, p->d->litellm_model));
        if (s->h->settings.flags & SNAP_HEALTH_DETAILS) {
            jw_key(w, STR("model_name"));
            jw_put_str(w, snap_str(s, p->d->group));
            jw_key(w, STR("model_id"));
            jw_put_str(w, snap_str(s, p->d->id));
            jw_key(w, STR("api_base"));
            jw_put_str(w, snap_str(s, p->d->api_base));
        }
        if (state == PROBE_UNHEALTHY) {
            jw_key(w, STR("error"));
            jw_put_str(w, p->error);
        }
        jw_end(w);
    }
    jw_end(w);
}

static void probes_answer(struct probe_run *run)
{
    struct request *r = run->r;
    struct jw w = jw_init(&r->arena);
    uint32_t healthy, unhealthy;

    jw_obj(&w);
    put_results(run, &w, STR("healthy_endpoints"), PROBE_HEALTHY, &healthy);
    put_results(run, &w, STR("unhealthy_endpoints"), PROBE_UNHEALTHY, &unhealthy);
    jw_key(&w, STR("healthy_count"));
    jw_put_u64(&w, healthy);
    jw_key(&w, STR("unhealthy_count"));
    jw_put_u64(&w, unhealthy);
    jw_end(&w);
    struct str json = jw_finish(&w);
    reply_json(r, json.n ? 200 : 503, json.n ? json : STR("{}"));
}

/* Starts what may start; answers when nothing is left. The run ends with the request. */
static void probes_go_on(struct probe_run *run)
{
    while (run->next < run->n && run->running < PROBES_AT_ONCE)
        probe_go(run->probe[run->next++]);
    if (run->next == run->n && !run->running)
        probes_answer(run);
}

static bool probe_is_asked(struct request *r, const struct snap_deployment *d)
{
    struct str model = query_get(r->query, STR("model")), id = query_get(r->query, STR("model_id"));

    struct snap_found found;
    struct str group = snap_str(r->snapshot, d->group);

    if (!snap_find(r->snapshot, group, &found) || !admit_may_use(r, group, &found))
        return false;
    return (!model.n || str_eq(model, snap_str(r->snapshot, d->group))) &&
           (!id.n || str_eq(id, snap_str(r->snapshot, d->id)));
}

void probe_start(struct request *r)
{
    const struct snapshot *s = r->snapshot;
    uint32_t limit = MIN(s->h->deployments.n, (uint32_t)PROBES_MAX);
    struct probe_run *run = calloc(1, sizeof *run);

    if (!run) {
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        return;
    }
    run->r = r;
    run->deadline_ms = s->h->settings.health_probe_timeout_ms
                           ? s->h->settings.health_probe_timeout_ms
                           : PROBE_TIMEOUT_MS;
    arena_init(&run->arena, NULL, PROBE_ARENA_MAX);
    r->probes = run;
    run->probe = arena_alloc(&run->arena, (limit + 1) * sizeof *run->probe);
    for (uint32_t i = 0; i < limit && run->probe; i++) {
        const struct snap_deployment *d = SNAP_AT(s, s->h->deployments, struct snap_deployment, i);
        struct probe *p = d && probe_is_asked(r, d) ? arena_zalloc(&run->arena, sizeof *p) : NULL;
        if (!p)
            continue;
        p->run = run;
        p->d = d;
        exchange_init(&p->exchange, r->cx, &run->arena, &probe_events);
        run->probe[run->n++] = p;
    }
    probes_go_on(run);
}

struct probe_run *probe_run_free(struct probe_run *run)
{
    if (!run)
        return NULL;
    for (uint32_t i = 0; i < run->n; i++)
        exchange_cancel(&run->probe[i]->exchange);
    arena_reset(&run->arena);
    free(run);
    return NULL;
}
