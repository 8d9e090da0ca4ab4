/* A call's way, the same for every route. */

#include <arpa/inet.h>

#include "common/clock.h"
#include "common/http/server.h"
#include "common/http/url.h"
#include "common/log.h"

#include "api/api.h"
#include "api/reply.h"
#include "api/settings.h"
#include "api/validate.h"
#include "config.h"
#include "daemon.h"
#include "lane.h"
#include "publish/publish.h"
#include "stream.h"

enum {
    ATTEMPTS = 4, /* of a transaction that met others */
    ARENA_CEILING = 64 * 1024 * 1024,
};

struct str in_header(const struct call *c, struct str lower_name)
{
    return http_header(c->http, lower_name, NULL);
}

static bool is_address(struct str s)
{
    unsigned char any[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (!s.n || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return inet_pton(AF_INET, text, any) == 1 || inet_pton(AF_INET6, text, any) == 1;
}

struct str call_ip(const struct call *c)
{
    struct str peer = str_of(c->http->ip), rest = in_header(c, STR("x-forwarded-for")), one = {0};

    if (!str_starts(peer, STR("127.")) && !str_eq(peer, STR("::1")))
        return peer;
    while (str_cut(rest, ',', &one, &rest)) {
    } /* the last one, which the neighbour wrote */
    return is_address(str_trim(one)) ? str_trim(one) : peer;
}

struct str call_body(const struct call *c)
{
    return c->http->body;
}

static struct str decoded(struct call *c, struct str raw)
{
    char *out = arena_alloc(&c->arena, raw.n + 1);
    size_t n = out ? url_decode(out, raw) : SIZE_MAX;

    if (n == SIZE_MAX)
        return (struct str){0};
    out[n] = '\0';
    return (struct str){out, n};
}

struct str in_param(struct call *c, unsigned i)
{
    return decoded(c, c->match.param[i]);
}

struct str in_query(struct call *c, struct str name)
{
    return decoded(c, query_get(c->match.query, name));
}

static struct str header_of(const void *ctx, struct str lower_name, bool *ret_repeated)
{
    return http_header(ctx, lower_name, ret_repeated);
}

void refuse_gate(struct call *c)
{
    const struct caller *who = &c->caller;
    struct arena *a = &c->arena;

    if (policy_who((enum policy)c->route->policy) & WHO_MASTER)
        refuse_as(c, 401, "auth_error", "None",
                  "Tried to access route=" STR_FMT ", which is only for MASTER KEY",
                  STR_ARG(c->route->path));
    else if (who->role == ROLE_VIEWER)
        refuse_as(c, 403, "auth_error", "None",
                  "Authentication Error, user not allowed to access this route, role= "
                  "proxy_admin_viewer. Trying to access: " STR_FMT,
                  STR_ARG(c->route->path));
    else
        refuse_as(
            c, 401, "auth_error", "None",
            "Authentication Error, Only proxy admin can be used to generate, delete, update "
            "info for new keys/users/teams. Route=" STR_FMT ". Your role=%s. Your user_id=" STR_FMT,
            STR_ARG(c->route->path), who->role == ROLE_NONE ? "unknown" : role_name(who->role),
            STR_ARG(who->user_id.n ? key_masked(a, who->user_id) : STR("unknown")));
}

/* litellm-controlplane.md 4.2: what the routes of a key allow, then the gate. */
static bool check_gate(struct call *c)
{
    if (rbac_gate(&c->caller, (enum policy)c->route->policy))
        return true;
    refuse_gate(c);
    return false;
}

static bool authenticate(struct call *c)
{
    const struct config *config = c->d->config;
    struct caller_header h = {header_of, c->http, config->key_header, config->master_key};
    struct caller_refusal r;

    if (policy_who((enum policy)c->route->policy) & WHO_PUBLIC)
        return true;
    if (!caller_find(&c->caller, &c->store, &h, &r)) {
        if (tx_ok(&c->store.tx))
            refuse_as(c, r.status, r.type, r.param, STR_FMT, STR_ARG(r.message));
        return false;
    }
    if (!key_may_call(&c->caller, c->match.path)) {
        yyjson_mut_val *allowed = row_val(c->caller.key, "allowed_routes");
        refuse_as(
            c, 403, "auth_error", "None",
            "Virtual key is not allowed to call this route. Only allowed to call routes: " STR_FMT
            ". Tried to call route: " STR_FMT,
            STR_ARG(python_list(&c->store, allowed)), STR_ARG(c->route->path));
        return false;
    }
    return true;
}

/* A report: of one user one at a time, the others behind it. */
static bool take_turn(struct call *c)
{
    const struct caller *who = &c->caller;

    if (c->route->lane != LANE_REPORT)
        return true;
    switch (lane_turn(c, str_hash(who->user_id.n ? who->user_id : who->key_hash, 0) | 1)) {
    case LANE_GO:
        return true;
    case LANE_ASIDE:
        return false;
    case LANE_FULL:
        refuse_as(c, 429, "rate_limit_error", NULL,
                  "Too many reports of yours are waiting. One runs at a time; please retry.");
        c->headers = STR("Retry-After: 5\r\n");
        return false;
    }
    return false;
}

/* The handler, in the transaction of an audited route. */
static void handle(struct call *c)
{
    struct tx *tx = &c->store.tx;
    bool writes = c->route->audit == AUDIT_AUDITED;

    if (writes) {
        tx_begin(tx);
        (void)settings_are_stored(c); /* most ask, and would while they hold others up */
    }
    if (tx_ok(tx))
        c->route->handler(c);
    if (!writes || !tx_ok(tx) || (c->is_refused && !c->commits_refused))
        return;
    if (c->store.has_conflict && (!c->status || (!c->n_audits && !c->is_unchanged))) {
        tx->fault = DB_UNIQUE; /* another made it in the meantime */
        return;
    }
    if (!c->status) {
        tx->fault = DB_BUG;
        return;
    }
    if (!c->n_audits && !c->is_unchanged && tx->n_changed) {
        log_error("unaudited", "route=%s consequence=\"undone\"", c->route->name);
        tx->fault = DB_BUG; /* no change without its entry */
        return;
    }
    (void)tx_commit(tx); /* the fault sticks */
}

/* A transaction that met others; a replica that went away, took its rows back, or is slow. */
static bool may_run_again(struct call *c, enum db_fault fault)
{
    bool is_in_time = clock_mono_ns() < c->wait.deadline_ns;

    if (c->on_replica && is_in_time &&
        (fault == DB_AWAY || fault == DB_RETRY || fault == DB_SLOW)) {
        c->avoid_replica = true;
        return true;
    }
    return fault == DB_RETRY;
}

/* One attempt; true: the answer stands. */
static bool attempt(struct call *c, struct db *db, bool is_last)
{
    arena_reset(&c->arena);
    c->status = 0;
    c->is_refused = c->commits_refused = c->is_unchanged = c->on_replica = false;
    c->n_audits = 0;
    c->headers = c->body = (struct str){0};
    memset(c->settings, 0, sizeof c->settings);
    if (!store_init(&c->store, db, c->d->catalog, &c->arena, &c->wait)) {
        reply_fault(c, DB_NOMEM);
        return true;
    }
    if (authenticate(c) && check_gate(c) && validate(c) && take_turn(c))
        handle(c);
    if (c->is_aside) { /* not yet */
        store_end(&c->store);
        return true;
    }
    if (c->store.tx.n_changed)
        c->kick = publish_kick(c->d); /* also where nobody knows whether it was committed */
    enum db_fault fault = c->store.tx.fault;
    if (!fault && !arena_ok(&c->arena))
        fault = DB_NOMEM;
    if (!is_last && !c->stream && may_run_again(c, fault)) {
        store_end(&c->store);
        return false;
    }
    if (fault == DB_BUG)
        log_error("statement", "route=%s fault=%s what=\"%s\"", c->route->name,
                  db_fault_name(fault), c->store.tx.err.msg);
    if (fault == DB_DATA) /* the client's; its text quotes the value */
        log_info("value", "route=%s sqlstate=%s", c->route->name, c->store.tx.sqlstate);
    if (fault || !c->status)
        reply_fault(c, fault);
    store_end(&c->store);
    return true;
}

void api_run(struct call *c, struct db *db)
{
    if (clock_mono_ns() >= c->wait.deadline_ns) {
        reply_fault(c, DB_SLOW); /* it waited too long to be begun */
        return;
    }
    if (!daemon_is_open(c->d)) {
        reply_fault(c, DB_AWAY);
        return;
    }
    for (unsigned i = 1; i <= ATTEMPTS; i++)
        if (attempt(c, db, i == ATTEMPTS))
            break;
}

void api_run_on_loop(struct call *c)
{
    struct db_wait w = {.wake_fd = -1};

    if (store_init(&c->store, NULL, NULL, &c->arena, &w))
        c->route->handler(c);
    if (!c->status || !arena_ok(&c->arena))
        reply_fault(c, DB_NOMEM);
}

void api_not_built(struct call *c)
{
    refuse_text(c, 501, "%s " STR_FMT " is a route of LiteLLM that is not built yet.",
                route_method_name((enum route_method)c->route->method), STR_ARG(c->route->path));
}

struct call *call_free(struct call *c)
{
    if (c) {
        stream_free(c->stream);
        arena_reset(&c->arena);
    }
    free(c);
    return NULL;
}

struct call *call_new(struct daemon *d, struct http_request *http)
{
    struct call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->d = d;
    c->http = http;
    arena_init(&c->arena, NULL, ARENA_CEILING);
    return c;
}
