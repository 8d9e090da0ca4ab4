/* The stages up to the decision which deployment serves the request; then attempt.c. */

#include "client/request.h"

#include "common/http/url.h"
#include "common/num.h"

#include "api/health.h"
#include "api/metrics.h"
#include "api/models.h"
#include "client/admit.h"
#include "client/attempt.h"
#include "client/conn.h"
#include "client/counting.h"
#include "client/forward.h"
#include "client/kept.h"
#include "client/mock.h"
#include "client/probe.h"
#include "client/relaying.h"
#include "client/reply.h"
#include "client/upstream_request.h"
#include "policy/auth.h"

enum { REQUEST_ARENA_MAX = 4 << 20, KEYS_RETRY_S = 2 };

/* A version 4 UUID. */
static void request_id_make(struct request *r)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t word[2] = {context_random(r->cx), context_random(r->cx)};
    size_t n = 0;

    for (unsigned i = 0; i < 32; i++) {
        unsigned nibble = (unsigned)(word[i / 16] >> (i % 16 * 4)) & 15;
        if (i == 8 || i == 12 || i == 16 || i == 20)
            r->id[n++] = '-';
        if (i == 12)
            nibble = 4;
        else if (i == 16)
            nibble = 8 | (nibble & 3);
        r->id[n++] = hex[nibble];
    }
}

void request_begin(struct request *r, struct conn *c, struct context *cx)
{
    r->conn = c;
    r->cx = cx;
    r->active = true;
    r->snapshot = snapshot_ref(cx->snapshot);
    r->identities = cx->identities ? identities_ref(cx->identities) : NULL;
    r->key_slot = SNAP_NONE;
    arena_init(&r->arena, &cx->arenas, REQUEST_ARENA_MAX);
    exchange_init(&r->exchange, cx, &r->arena, &relaying_events);
    timer_init(&r->retry, NULL);
    cx->open_requests++;
    metric_add(cx->region, METRIC_IN_FLIGHT, 1);
    request_id_make(r);
}

void request_reset(struct request *r)
{
    struct context *cx = r->cx;

    if (!r->active)
        return;
    attempt_reset(r);
    admit_settle(r, NULL);
    forward_end(r);
    r->probes = probe_run_free(r->probes);
    r->snapshot = snapshot_unref(r->snapshot);
    r->identities = identities_unref(r->identities);
    arena_reset(&r->arena);
    cx->open_requests--;
    metric_add(cx->region, METRIC_IN_FLIGHT, (uint64_t)-1);
    memset(r, 0, offsetof(struct request, scan));
}

/* Remembers a refusal made inside the parser; request_refuse() follows outside. */
static bool head_refuse(struct request *r, enum client_error error, struct str detail)
{
    r->conn->refused = (uint16_t)(error + 1);
    r->detail = detail;
    return false;
}

static enum route_method method_of(const struct conn *c)
{
    switch (c->parser.method) {
    case HTTP_GET:
        return METHOD_GET;
    case HTTP_POST:
        return METHOD_POST;
    case HTTP_DELETE:
        return METHOD_DELETE;
    case HTTP_OPTIONS:
        return METHOD_OPTIONS;
    default:
        return METHOD_OTHER;
    }
}

/* What this plane has no row for the control plane may have. */
static enum route_found head_forwarded(struct request *r, struct route_match *match,
                                       enum route_found here)
{
    const struct snap_settings *s = &r->snapshot->h->settings;
    enum route_found there;

    if (s->admin_origin == SNAP_NONE || (here != ROUTE_NONE && here != ROUTE_BAD_METHOD))
        return here;
    there = route_find_forwarded(&r->forward, str_of(llhttp_method_name(r->conn->parser.method)),
                                 conn_target(r->conn), snap_str(r->snapshot, s->server_root_path));
    if (there == ROUTE_FOUND) {
        match->route = ROUTE_FORWARDED;
        match->placeholder = (struct str){0};
    }
    return there == ROUTE_NONE ? here : there;
}

static bool head_route(struct request *r)
{
    const struct snap_settings *s = &r->snapshot->h->settings;
    struct route_match match;

    enum route_found found = route_find(&match, method_of(r->conn), conn_target(r->conn),
                                        snap_str(r->snapshot, s->server_root_path));
    switch (head_forwarded(r, &match, found)) {
    case ROUTE_FOUND:
        break;
    case ROUTE_NONE:
        return head_refuse(r, ERROR_NO_ROUTE, (struct str){0});
    case ROUTE_BAD_METHOD:
        return head_refuse(r, ERROR_NO_METHOD, (struct str){0});
    case ROUTE_BAD_PATH:
        return head_refuse(r, ERROR_BAD_PATH, (struct str){0});
    }
    r->route = match.route;
    r->routed = true;
    r->query = match.query;
    r->path = match.path;
    if (match.placeholder.n) {
        char *out = arena_alloc(&r->arena, match.placeholder.n);
        size_t n = out ? url_decode(out, match.placeholder) : SIZE_MAX;
        if (n == SIZE_MAX)
            return head_refuse(r, ERROR_BAD_PATH, (struct str){0});
        r->placeholder = (struct str){out, n};
    }
    return true;
}

struct str request_header(const void *ctx, struct str name, bool *ret_repeated)
{
    return conn_header(ctx, name, ret_repeated);
}

/* Refuses by what the policy said. */
static bool head_refuse_by_policy(struct request *r)
{
    return head_refuse(r, r->refusal.error, (struct str){0});
}

/* "sk-1...abcd": enough to recognise, too little to use. */
static struct str key_abbreviated(struct request *r, struct str key)
{
    if (key.n < 12)
        return STR("****");
    return arena_printf(&r->arena, "%.4s****%.4s", key.p, key.p + key.n - 4);
}

static bool head_authorise(struct request *r)
{
    enum route_policy policy = (enum route_policy)route_rows[r->route].policy;
    struct str key;

    if (policy == POLICY_PUBLIC || policy == POLICY_THEIRS ||
        (policy == POLICY_METRICS && !(r->snapshot->h->settings.flags & SNAP_METRICS_AUTH)))
        return true;
    if (!admit_address(r))
        return head_refuse_by_policy(r);
    switch (auth_check(r->snapshot, request_header, r->conn, &key)) {
    case AUTH_OPEN:
        return true;
    case AUTH_MASTER:
        r->authorised = true;
        return true;
    case AUTH_NONE:
        return head_refuse(r, ERROR_NO_KEY, (struct str){0});
    case AUTH_MALFORMED:
        return head_refuse(r, ERROR_MALFORMED_KEY, (struct str){0});
    case AUTH_NOT_A_KEY:
        return head_refuse(r, ERROR_NOT_A_KEY,
                           arena_printf(&r->arena,
                                        "Received=" STR_FMT ", expected to start with 'sk-'.",
                                        STR_ARG(key_abbreviated(r, key))));
    case AUTH_UNKNOWN:
        return admit_head(r, key) || head_refuse_by_policy(r);
    case AUTH_AMBIGUOUS:
        break;
    }
    return head_refuse(r, ERROR_BAD_REQUEST, STR("Two different credentials in one header."));
}

static bool reads_body(const struct request *r)
{
    enum route_handler h = (enum route_handler)route_rows[r->route].handler;

    return h == HANDLER_INFERENCE || h == HANDLER_TOKEN_COUNTER;
}

uint64_t request_body_max(const struct request *r)
{
    uint64_t most = r->snapshot->h->settings.max_body_bytes;

    return r->routed && r->route == ROUTE_FORWARDED ? MIN(most, (uint64_t)FORWARD_BODY_MAX) : most;
}

bool request_head(struct request *r)
{
    const struct snap_settings *s = &r->snapshot->h->settings;
    struct conn *c = r->conn;

    r->head_ns = c->progress_ns;
    metric_observe(r->cx->region, HISTOGRAM_HEAD, r->head_ns - c->begun_ns);
    if (!head_route(r) || !head_authorise(r))
        return false;
    if (!c->chunked && c->body_expected > request_body_max(r))
        return head_refuse(r, ERROR_BODY_TOO_LARGE, (struct str){0});
    if (r->cx->bufs.lent > s->max_inflight_bytes)
        return head_refuse(r, ERROR_OVERLOADED, (struct str){0});
    struct str encoding = str_trim(conn_header(c, STR("content-encoding"), NULL));
    if (encoding.n && !str_ieq(encoding, STR("identity")))
        return head_refuse(r, ERROR_ENCODED_BODY, (struct str){0});
    if (reads_body(r)) {
        if (s->flags & SNAP_DISABLE_LLM_ROUTES)
            return head_refuse(r, ERROR_FORBIDDEN, (struct str){0});
        request_scan_init(&r->scan, &r->arena);
    }
    return true;
}

bool request_body(struct request *r, size_t from)
{
    const struct buf *body = &r->conn->body;

    if (!reads_body(r))
        return true;
    r->scanned = true;
    r->scan_result = request_scan_feed(&r->scan, body->p + from, body->n - from);
    return r->scan_result == REQUEST_SCAN_MORE || r->scan_result == REQUEST_SCAN_DONE;
}

void request_refuse(struct request *r, enum client_error error, struct str detail, bool close)
{
    if (!detail.n)
        detail = r->detail;
    if (error == ERROR_BAD_REQUEST || error == ERROR_HTTP_VERSION)
        metric_add(r->cx->region, METRIC_BAD_REQUESTS, 1);
    if (close)
        r->conn->keep_alive = false;
    struct error_facts f = reply_facts(r, error, detail);
    if (error == r->refusal.error && r->refusal.message.n)
        f.message = r->refusal.message;
    if (error == r->refusal.error && r->refusal.param.n)
        f.param = r->refusal.param;
    uint32_t retry_s = error == ERROR_OVERLOADED   ? 1
                       : error == ERROR_KEYS_STALE ? KEYS_RETRY_S
                                                   : r->refusal.retry_after_s;
    reply_error(r, &f, error_rows[error].code, retry_s);
}

/* The faults of a body that was read; CLIENT_ERRORS when there are none. */
static enum client_error body_fault(struct request *r, struct str *ret_detail)
{
    const struct request_scan *s = &r->scan;
    enum api api = route_rows[r->route].api;

    *ret_detail = (struct str){0};
    if (!r->scanned || r->scan_result != REQUEST_SCAN_DONE)
        return r->scan_result == REQUEST_SCAN_DEEP && r->scanned ? ERROR_DEEP_JSON : ERROR_BAD_JSON;
    if (!str_starts(str_trim((struct str){r->conn->body.p, r->conn->body.n}), STR("{")) &&
        !memchr(r->conn->body.p, '{', r->conn->body.n))
        return ERROR_BAD_JSON;
    if (s->too_many)
        return ERROR_TOO_MANY_FIELDS;
    if (request_scan_repeats(s, r->conn->body.p))
        return ERROR_REPEATED_KEY;
    if (s->bad_value)
        return ERROR_BAD_FIELD;
    for (uint32_t i = 0; i < s->n_members; i++)
        if (field_what((enum field)s->member[i].field, api) == FIELD_REFUSE) {
            *ret_detail = arena_printf(&r->arena, "Remove `" STR_FMT "`.",
                                       STR_ARG(field_name((enum field)s->member[i].field)));
            return ERROR_CLIENT_CREDENTIALS;
        }
    return CLIENT_ERRORS;
}

/* A small whole number the client sent in a member or a header; SNAP_NONE when absent or nonsense.
 */
static uint32_t asked_number(struct request *r, enum field f, struct str header, int scale)
{
    const struct member *m = request_member(&r->scan, f);
    struct str text = m && m->type == JSON_NUMBER
                          ? (struct str){r->conn->body.p + m->at, m->end - m->at}
                          : str_trim(conn_header(r->conn, header, NULL));
    int64_t v;

    return text.n && num_scaled(text, scale, &v) && v >= 0 && v < SNAP_NONE ? (uint32_t)v
                                                                            : SNAP_NONE;
}

static struct str request_model(struct request *r)
{
    enum api api = route_rows[r->route].api;
    struct str forced = snap_str(r->snapshot, r->snapshot->h->settings.default_model[api]);

    if (forced.n)
        return forced;
    if (r->placeholder.n)
        return r->placeholder;
    if (!r->scan.model.n && api == API_MODERATIONS)
        return STR("omni-moderation-latest"); /* the only API where a model is optional */
    return r->scan.model;
}

/* What a previous_response_id of ours says: the deployment that holds it is the only one that may
 * answer. */
static bool pin_response(struct request *r)
{
    const struct member *m = request_member(&r->scan, FIELD_PREVIOUS_RESPONSE_ID);
    struct response_id *id;
    struct snap_found found;

    if (!m || m->type != JSON_STRING || !(id = arena_alloc(&r->arena, sizeof *id)))
        return true;
    struct str text = {r->conn->body.p + m->at + 1, m->end - m->at - 2};
    bool is_ours = response_id_read(id, text);
    enum client_error why = admit_response(r, is_ours ? id : NULL);
    if (why != CLIENT_ERRORS) {
        request_refuse(r, why, (struct str){0}, false);
        return false;
    }
    if (!is_ours)
        return true;
    r->previous_id = id->upstream;
    if (kept_is_id(id->upstream) || !snap_find(r->snapshot, id->deployment, &found) ||
        !found.deployment)
        return true;
    if (!admit_may_reach(r, &found)) {
        request_refuse(r, ERROR_KEY_MODEL, (struct str){0}, false);
        return false;
    }
    r->found = found;
    return true;
}

/* The body has no fault and names a model: r->model. Else the client was refused. */
static bool body_accepted(struct request *r)
{
    struct str detail;
    enum client_error fault = body_fault(r, &detail);

    if (fault != CLIENT_ERRORS) {
        request_refuse(r, fault, detail, !r->conn->whole);
        return false;
    }
    r->model = request_model(r);
    if (!r->model.n)
        request_refuse(r, ERROR_NO_MODEL, (struct str){0}, false);
    return r->model.n != 0;
}

static void infer(struct request *r)
{
    if (!body_accepted(r))
        return;
    bool served = admit_resolve(r);
    if (!admit_request(r))
        return;
    if (!served) {
        struct error_facts f = reply_facts(r, ERROR_UNKNOWN_MODEL, (struct str){0});
        f.message =
            arena_printf(&r->arena,
                         STR_FMT ": Invalid model name passed in model=" STR_FMT
                                 ". Call `/v1/models` to view available models for your key.",
                         STR_ARG(route_rows[r->route].path),
                         STR_ARG(((struct str){r->model.p, MIN(r->model.n, 64)})));
        reply_error(r, &f, error_rows[ERROR_UNKNOWN_MODEL].code, 0);
        return;
    }
    if (route_rows[r->route].api == API_RESPONSES && !pin_response(r))
        return;
    r->is_stream = r->scan.stream;
    r->asked_timeout_ms = asked_number(r, FIELD_TIMEOUT, STR("x-litellm-timeout"), 3);
    r->asked_stream_timeout_ms =
        asked_number(r, FIELD_STREAM_TIMEOUT, STR("x-litellm-stream-timeout"), 3);
    plan_init(&r->plan, r->snapshot, &r->found,
              asked_number(r, FIELD_NUM_RETRIES, STR("x-litellm-num-retries"), 0));
    const struct member *mock = request_member(&r->scan, FIELD_MOCK_RESPONSE);
    if (mock && mock->type == JSON_STRING && admit_may_mock(r))
        mock_reply(r, (struct str){r->conn->body.p + mock->at, mock->end - mock->at});
    else
        attempt_first(r);
}

/* GET, DELETE, cancel and input_items of a response: to the deployment its id names. */
static void response_item(struct request *r)
{
    struct response_id *id = arena_alloc(&r->arena, sizeof *id);
    bool is_ours = id && response_id_read(id, r->placeholder);
    bool is_kept = is_ours && kept_is_id(id->upstream);
    bool is_served = is_ours && snap_find(r->snapshot, id->deployment, &r->found);

    if (is_served)
        r->model = snap_str(r->snapshot, r->found.deployment ? r->found.deployment->group
                                                             : r->found.group->name);
    r->dispatched = r->model;
    if (!admit_request(r))
        return;
    enum client_error why = admit_response(r, is_ours ? id : NULL);
    if (why == CLIENT_ERRORS && !is_kept && (!is_served || segment_is_dots(id->upstream)))
        why = ERROR_NO_SUCH_RESPONSE;
    if (why != CLIENT_ERRORS) {
        request_refuse(r, why, (struct str){0}, false);
        return;
    }
    r->previous_id = id->upstream;
    if (is_kept) {
        kept_item(r, id->upstream);
        return;
    }
    r->is_stream = str_eq(query_get(r->query, STR("stream")), STR("true"));
    r->asked_timeout_ms = r->asked_stream_timeout_ms = SNAP_NONE;
    plan_init(&r->plan, r->snapshot, &r->found, SNAP_NONE);
    attempt_first(r);
}

static void reply_built(struct request *r, struct str json)
{
    if (json.n)
        reply_json(r, 200, json);
    else
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
}

static bool may_use(void *ctx, struct str model, const struct snap_found *f)
{
    return admit_may_use(ctx, model, f);
}

/* Of what the caller may use. */
static void tell_models(struct request *r)
{
    struct models_of of = {r->snapshot, &r->arena, may_use, r};
    struct str json;

    switch ((enum route_handler)route_rows[r->route].handler) {
    case HANDLER_MODELS:
        reply_built(r, models_list(&of));
        return;
    case HANDLER_MODEL_INFO:
        reply_built(r, models_info(&of, query_get(r->query, STR("litellm_model_id"))));
        return;
    case HANDLER_MODEL_GROUP_INFO:
        reply_built(r, models_group_info(&of, query_get(r->query, STR("model_group"))));
        return;
    case HANDLER_MODEL:
        json = models_one(&of, r->placeholder);
        if (json.n)
            reply_json(r, 200, json);
        else
            request_refuse(r, ERROR_NO_SUCH_MODEL, (struct str){0}, false);
        return;
    case HANDLER_INFERENCE:
    case HANDLER_RESPONSE_ITEM:
    case HANDLER_TOKEN_COUNTER:
    case HANDLER_LIVE:
    case HANDLER_READY:
    case HANDLER_HEALTH:
    case HANDLER_METRICS:
    case HANDLER_FORWARD:
        break;
    }
}

void request_complete(struct request *r)
{
    r->body_ns = r->conn->progress_ns; /* when its last byte came */
    r->bytes_in = r->conn->body.n;
    metric_observe(r->cx->region, HISTOGRAM_BODY, r->body_ns - r->head_ns);
    switch ((enum route_handler)route_rows[r->route].handler) {
    case HANDLER_INFERENCE:
        infer(r);
        break;
    case HANDLER_TOKEN_COUNTER:
        if (body_accepted(r)) {
            (void)admit_resolve(r);
            if (admit_request(r))
                counting_utility(r);
        }
        break;
    case HANDLER_RESPONSE_ITEM:
        response_item(r);
        break;
    case HANDLER_MODELS:
    case HANDLER_MODEL:
    case HANDLER_MODEL_INFO:
    case HANDLER_MODEL_GROUP_INFO:
        if (admit_request(r))
            tell_models(r);
        break;
    case HANDLER_LIVE:
        reply_json(r, 200, STR("\"I'm alive!\""));
        break;
    case HANDLER_READY:
        reply_json(r, r->cx->draining ? 503 : 200,
                   health_readiness(r->snapshot, r->cx->draining, &r->arena));
        break;
    case HANDLER_FORWARD:
        forward_start(r);
        break;
    case HANDLER_HEALTH:
        if (admit_request(r))
            probe_start(r);
        break;
    case HANDLER_METRICS: {
        struct arena text; /* as large as the deployments make it, not as a request may be */
        arena_init(&text, NULL, 64 << 20);
        struct str metrics = metrics_text(&r->cx->shared, r->snapshot, &text);
        if (metrics.n)
            reply_text(r, 200, STR("text/plain; version=0.0.4; charset=utf-8"), metrics);
        else
            request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
        arena_reset(&text);
        break;
    }
    }
}

bool request_orphan(struct request *r)
{
    const struct exchange *e = &r->exchange;

    if (!r->active || r->accounted || !r->meter || !(r->meter->record.flags & RECORD_SPOOL) ||
        e->state == EXCHANGE_IDLE || e->state == EXCHANGE_CONNECT || !exchange_is_sent(e) ||
        r->cx->n_gone >= r->snapshot->h->settings.client_gone_drains)
        return false;
    r->is_orphan = true;
    r->meter->record.flags |= RECORD_CLIENT_GONE;
    metric_add(r->cx->region, METRIC_CLIENT_GONE, 1);
    exchange_resume(&r->exchange);
    return true;
}

void request_abandon(struct request *r)
{
    if (r->accounted)
        return; /* its reply is complete, and mostly sent */
    if (!r->is_orphan)
        metric_add(r->cx->region, METRIC_CLIENT_GONE, 1);
    attempt_abandon(r);
}

/* Why the caller may not go on by `i`; CLIENT_ERRORS: it may. An organization is never blocked. */
static enum client_error revoked(const struct request *r, const struct identities *i)
{
    struct str hash = found_id(&r->caller.key); /* slots may be numbered anew */
    struct identity_found key = {0};

    if (hash.n == IDENTITY_HASH)
        key = identities_key(i, (const unsigned char *)hash.p);
    if (!key.identity)
        return ERROR_NO_SUCH_KEY;
    const struct identity *k = key.identity;
    const struct {
        struct identity_found who;
        enum client_error why;
    } rows[] = {
        {key, ERROR_KEY_BLOCKED},
        {identities_get(i, k->team), ERROR_TEAM_BLOCKED},
        {identities_get(i, k->user), ERROR_USER_BLOCKED},
        {identities_get(i, k->project), ERROR_PROJECT_BLOCKED},
        {r->caller.end_user_id.n ? identities_named(i, IDENTITY_END_USER, r->caller.end_user_id)
                                 : (struct identity_found){0},
         ERROR_END_USER_BLOCKED},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++)
        if (found(&rows[n].who) && rows[n].who.identity->flags & IDENTITY_BLOCKED)
            return rows[n].why;
    return CLIENT_ERRORS;
}

void request_recheck(struct request *r, const struct identities *i)
{
    if (!r->active || r->key_slot == SNAP_NONE || r->accounted)
        return;
    enum client_error why = revoked(r, i);
    if (why == CLIENT_ERRORS)
        return;
    if (r->exchange.state == EXCHANGE_IDLE) {
        conn_abort(r->conn);
        return;
    }
    timer_disarm(&r->retry);
    exchange_cancel(&r->exchange);
    attempt_broken(r, why, false);
}
