/* What the policy needs is put together here, and what it says is kept: caller, refusal, charges.
 */

#include "client/admit.h"

#include "common/clock.h"
#include "common/num.h"

#include "client/conn.h"
#include "client/reply.h"
#include "meter/meter.h"
#include "policy/access.h"
#include "policy/auth.h"
#include "policy/budget.h"
#include "policy/checks.h"
#include "policy/guards.h"
#include "policy/owner.h"

enum { NAME_MAX_BYTES = 128 }; /* of a name others choose, in a record */

static bool is_inference(const struct request *r)
{
    switch ((enum route_handler)route_rows[r->route].handler) {
    case HANDLER_INFERENCE:
    case HANDLER_RESPONSE_ITEM:
    case HANDLER_TOKEN_COUNTER:
        return true;
    case HANDLER_MODELS:
    case HANDLER_MODEL:
    case HANDLER_MODEL_INFO:
    case HANDLER_MODEL_GROUP_INFO:
    case HANDLER_LIVE:
    case HANDLER_READY:
    case HANDLER_HEALTH:
    case HANDLER_METRICS:
    case HANDLER_FORWARD:
        break;
    }
    return false;
}

static struct str client_ip(const struct request *r)
{
    return client_address(r->snapshot, str_of(r->conn->ip),
                          conn_header(r->conn, STR("x-forwarded-for"), NULL));
}

/* What is asked; the body's part when it was read. */
static struct ask ask_of(struct request *r)
{
    bool scanned = r->scanned && r->scan_result == REQUEST_SCAN_DONE;

    return (struct ask){
        .s = r->snapshot,
        .caller = &r->caller,
        .counters = &r->cx->counters,
        .arena = &r->arena,
        .is_inference = is_inference(r),
        .api = request_api(r),
        .path = r->path,
        .client_ip = client_ip(r),
        .presented = r->presented,
        .model = r->model,
        .dispatched = r->dispatched,
        .group = r->model.n ? access_group_of(r->snapshot, &r->found) : NULL,
        .scan = scanned ? &r->scan : NULL,
        .body = scanned ? (struct str){r->conn->body.p, r->conn->body.n} : (struct str){0},
        .spool_is_full = counter_get(&r->cx->shared.header->metric[POD_SPOOL_FULL]) != 0,
        .now_us = context_wall_us(r->cx, r->body_ns ? r->body_ns : r->head_ns),
        .header = request_header,
        .header_ctx = r->conn,
        .refusal = {.error = CLIENT_ERRORS},
    };
}

/* ---- the head ---- */

static bool refused(struct request *r, enum client_error error)
{
    r->refusal.error = error;
    return false;
}

bool admit_address(struct request *r)
{
    struct ask k UNINITIALIZED;

    if (!(r->snapshot->h->settings.allowed_ips.n | r->snapshot->h->settings.allowed_routes.n))
        return true;
    k = ask_of(r);
    bool ok = checks_head(&k);
    r->refusal = k.refusal;
    return ok;
}

bool admit_head(struct request *r, struct str credential)
{
    const struct context *cx = r->cx;
    uint64_t session_ns =
        atomic_load_explicit(&cx->shared.header->session_ns, memory_order_relaxed);
    const unsigned char *hash;
    struct identity_found f = auth_look_up(r->identities, &r->conn->auth, credential, &hash);

    switch (
        auth_judge(r->identities, &f, session_ns, r->head_ns, context_wall_us(cx, r->head_ns))) {
    case AUTH_KEY_FOUND:
        break;
    case AUTH_KEY_NONE:
        return refused(r, ERROR_NO_SUCH_KEY);
    case AUTH_KEY_STALE:
        return refused(r, ERROR_KEYS_STALE);
    case AUTH_KEY_NOBODY:
        return refused(r, ERROR_UNKNOWN_KEY);
    }
    r->presented = credential;
    caller_resolve(&r->caller, r->identities, f);
    r->key_slot = found_slot(&r->caller.key);
    if (route_rows[r->route].policy == POLICY_METRICS && !r->caller.is_admin)
        return refused(r, ERROR_ONLY_ADMIN);
    return !(r->caller.key.identity->flags & IDENTITY_BLOCKED) || refused(r, ERROR_KEY_BLOCKED);
}

/* ---- the request ---- */

/* By LiteLLM's order: headers, then the body. */
static struct str end_user(const struct request *r)
{
    static const struct str headers[] = {STR_INIT("x-litellm-customer-id"),
                                         STR_INIT("x-litellm-end-user-id")};
    const struct snapshot *s = r->snapshot;
    struct snap_ref own = s->h->settings.end_user_headers;

    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        struct str value = str_trim(conn_header(r->conn, headers[i], NULL));
        if (value.n)
            return value;
    }
    for (uint32_t i = 0; i < own.n; i++) {
        const struct snap_ref *name = SNAP_AT(s, own, struct snap_ref, i);
        struct str value =
            name ? str_trim(conn_header(r->conn, snap_str(s, *name), NULL)) : (struct str){0};
        if (value.n)
            return value;
    }
    return r->scanned ? str_trim(r->scan.user) : (struct str){0};
}

struct str admit_session(const struct request *r)
{
    for (size_t i = 0; i < TRACE_HEADERS; i++) {
        struct str value = str_trim(conn_header(r->conn, trace_headers[i], NULL));
        if (value.n)
            return value;
    }
    return r->scanned ? str_trim(r->scan.session) : (struct str){0};
}

static void name_tags(struct request *r)
{
    struct caller *c = &r->caller;

    caller_tags_own(c, &r->arena); /* first: no client crowds them out */
    if (r->scanned) {
        const struct member *m = request_member(&r->scan, FIELD_TAGS);
        const char *body = r->conn->body.p;
        caller_tags_json(
            c, (struct str){body + r->scan.tags_at, r->scan.tags_end - r->scan.tags_at}, &r->arena);
        if (m)
            caller_tags_json(c, (struct str){body + m->at, m->end - m->at}, &r->arena);
    }
    caller_tags_header(c, conn_header(r->conn, STR("x-litellm-tags"), NULL), &r->arena);
}

bool admit_resolve(struct request *r)
{
    r->dispatched = found(&r->caller.key) ? access_dispatched(&r->caller, r->model) : r->model;
    return snap_find(r->snapshot, r->dispatched, &r->found);
}

/* A slot of its own holds what runs at once, over all attempts and the waits between them. */
static bool hold(void *ctx, const struct charges *c)
{
    struct request *r = ctx;

    r->hold = meter_open(r->cx, r->body_ns);
    if (!r->hold)
        return false;
    charges_copy(&r->hold->charges, c);
    meter_start(r->cx, r->hold);
    return true;
}

static void hold_end(struct request *r)
{
    if (r->hold)
        meter_drop(r->cx, TAKE(r->hold));
}

static bool refuse(struct request *r, const struct refusal *why)
{
    r->refusal = *why;
    request_refuse(r, why->error, (struct str){0}, false);
    return false;
}

/* Whether there is anybody or anything a limit may be of. */
static bool is_bound(const struct request *r)
{
    const struct caller *c = &r->caller;

    return found(&c->key) || found(&c->end_user) || c->n_tags ||
           r->snapshot->h->settings.flags & SNAP_BINDS_ALL;
}

bool admit_request(struct request *r)
{
    if (!r->caller.identities)
        r->caller.identities = r->identities; /* of the master key: end users and tags are */
    if (is_inference(r)) {
        caller_end_user(&r->caller, end_user(r));
        name_tags(r);
    }
    if (!is_bound(r))
        return true;
    struct ask k = ask_of(r);
    if (!checks_all(&k))
        return refuse(r, &k.refusal);
    if (route_rows[r->route].handler != HANDLER_INFERENCE || request_api(r) == API_COUNT_TOKENS)
        return true;
    struct charges taken UNINITIALIZED;
    k.hold = hold;
    k.hold_ctx = r;
    if (!limits_take(&k, &taken, &r->limits)) {
        hold_end(r);
        return refuse(r, &k.refusal);
    }
    if (!charges_any(&taken))
        return true;
    r->charges = arena_alloc(&r->arena, sizeof taken);
    if (r->charges)
        charges_copy(r->charges, &taken);
    if (r->charges)
        return true;
    charges_undo(&taken, &r->cx->counters, taken.taken_s);
    hold_end(r);
    request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
    return false;
}

bool admit_may_use(struct request *r, struct str model, const struct snap_found *f)
{
    return !found(&r->caller.key) ||
           access_may_use(r->snapshot, &r->caller, model, access_group_of(r->snapshot, f));
}

bool admit_may_reach(struct request *r, const struct snap_found *f)
{
    const struct snap_group *group = access_group_of(r->snapshot, f);
    struct str name = snap_str(r->snapshot, f->deployment->group);

    return !found(&r->caller.key) || access_may_reach(r->snapshot, &r->caller, name, name, group);
}

enum client_error admit_response(struct request *r, const struct response_id *id)
{
    const struct snapshot *s = r->snapshot;
    struct str key = snap_str(s, s->h->settings.response_key);
    struct response_owner *claim = arena_alloc(&r->arena, OWNER_CLAIMS * sizeof *claim);

    if (!claim)
        return ERROR_OVERLOADED;
    unsigned n = owner_claims(&r->caller, claim);
    r->previous_owner = claim;
    if (!key.n)
        return CLIENT_ERRORS;
    for (unsigned i = 0; id && i < n; i++)
        if (response_id_is_of(id, key, &claim[i])) {
            r->previous_owner = &claim[i];
            return CLIENT_ERRORS;
        }
    if (r->authorised || r->caller.is_admin)
        return CLIENT_ERRORS;
    return id                                                ? ERROR_RESPONSE_OWNER
           : s->h->settings.flags & SNAP_UNMANAGED_RESPONSES ? CLIENT_ERRORS
                                                             : ERROR_RESPONSE_UNMANAGED;
}

bool admit_may_mock(const struct request *r)
{
    static const struct str name = STR_INIT("allow_client_mock_response");

    return r->authorised || str_eq(metadata_member(&r->caller.key, name), STR("true")) ||
           str_eq(metadata_member(&r->caller.team, name), STR("true"));
}

/* ---- replies ---- */

/* The names of the headers that say how a limit stands; up to fourteen of them go with each reply.
 */
static const struct limit_headers {
    struct reply_name limit, remaining;
} limit_header_names[LIMIT_DESCRIPTORS][LIMIT_TYPES] = {
#define NAMES(name, type)                                                                          \
    {                                                                                              \
        REPLY_NAME("x-ratelimit-" name "-limit-" type),                                            \
            REPLY_NAME("x-ratelimit-" name "-remaining-" type)                                     \
    }
#define LIMIT(id, name)                                                                            \
    [LIMIT_##id] = {[LIMIT_REQUESTS] = NAMES(name, "requests"),                                    \
                    [LIMIT_TOKENS] = NAMES(name, "tokens"),                                        \
                    [LIMIT_PARALLEL] = NAMES(name, "max_parallel_requests")},
#include "policy/limits.def"
#undef LIMIT
#undef NAMES
};

/* The model's name as part of a header's: as LiteLLM, and without what is no header's name. */
static size_t put_header_word(char *out, size_t max, struct str text)
{
    size_t n = MIN(text.n, max);

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        out[i] = c == '/' || c == ':' || c <= ' ' || c >= 0x7f ? '-' : (char)c;
    }
    return n;
}

/* What is left to the key of one model, by the model's name. */
static void key_model_header(struct request *r, const struct limit_status *s)
{
    static const struct str names[LIMIT_TYPES] = {
        [LIMIT_REQUESTS] = STR_INIT("x-litellm-key-remaining-requests-"),
        [LIMIT_TOKENS] = STR_INIT("x-litellm-key-remaining-tokens-"),
    };
    struct str group =
        r->deployment ? snap_str(r->snapshot, r->deployment->group) : (struct str){0};
    char name[80];
    size_t n = names[s->type].n;

    memcpy(name, names[s->type].p, n);
    n += put_header_word(name + n, sizeof name - n, group);
    reply_header_u64(r, (struct str){name, n}, (uint64_t)s->remaining);
}

static void limit_headers(struct request *r)
{
    for (unsigned i = 0; i < r->limits->n; i++) {
        const struct limit_status *s = &r->limits->status[i];
        const struct limit_headers *names = &limit_header_names[s->descriptor][s->type];

        reply_named_u64(r, &names->limit, (uint64_t)s->limit);
        reply_named_u64(r, &names->remaining, (uint64_t)s->remaining);
        if (s->descriptor == LIMIT_KEY_MODEL)
            key_model_header(r, s);
    }
}

static void money_header(struct request *r, struct str name, int64_t nusd)
{
    char text[NUSD_TEXT];

    reply_header(r, name, (struct str){text, nusd_put(text, nusd)});
}

void admit_headers(struct request *r, int64_t cost_nusd)
{
    static const struct reply_name tpm_limit = REPLY_NAME("x-litellm-key-tpm-limit"),
                                   rpm_limit = REPLY_NAME("x-litellm-key-rpm-limit");
    const struct identity_found *key = &r->caller.key;
    int64_t spend;

    if (r->limits)
        limit_headers(r);
    if (!found(key))
        return;
    int64_t now_us = context_wall_us(r->cx, r->body_ns);
    const struct counter *n = budget_counter(&r->cx->counters, key, now_us);
    if (key->rules) {
        int64_t max = budget_of(key->rules, now_us);
        if (key->rules->tpm != LIMIT_NONE)
            reply_named_u64(r, &tpm_limit, (uint64_t)key->rules->tpm);
        if (key->rules->rpm != LIMIT_NONE)
            reply_named_u64(r, &rpm_limit, (uint64_t)key->rules->rpm);
        if (max != LIMIT_NONE)
            money_header(r, STR("x-litellm-key-max-budget"), max);
    }
    if (__builtin_add_overflow(n ? counter_spend(n) : 0, cost_nusd, &spend))
        spend = INT64_MAX;
    money_header(r, STR("x-litellm-key-spend"), spend);
}

/* ---- books ---- */

static struct str cut(struct str s)
{
    return (struct str){s.p, MIN(s.n, (size_t)NAME_MAX_BYTES)};
}

/* Tags behind each other, a NUL between two. */
static void record_tags(struct record *rec, const struct caller *c)
{
    char text[256];
    size_t n = 0;

    for (unsigned i = 0; i < c->n_tags; i++) {
        struct str name = cut(c->tag[i].name);
        if (n + name.n + 1 > sizeof text)
            break;
        if (n)
            text[n++] = '\0';
        memcpy(text + n, name.p, name.n);
        n += name.n;
    }
    record_set(rec, RS_TAGS, (struct str){text, n});
}

void admit_record(struct request *r, struct inflight *slot)
{
    const struct caller *c = &r->caller;
    struct record *rec = &slot->record;
    struct str id = found_id(&c->key);
    char text[2 * IDENTITY_HASH] UNINITIALIZED;

    if (r->charges)
        charges_copy(&slot->charges, r->charges);
    if (r->authorised) {
        record_set(rec, RS_KEY, auth_master_name);
    } else if (id.n == IDENTITY_HASH) {
        record_set(rec, RS_KEY, (struct str){text, num_put_hex(text, id.p, id.n)});
        record_set(rec, RS_TEAM, cut(found_id(&c->team)));
        record_set(rec, RS_USER, cut(found_id(&c->user)));
        record_set(rec, RS_ORGANIZATION, cut(found_id(&c->organization)));
        record_set(rec, RS_PROJECT, cut(found_id(&c->project)));
        record_set(rec, RS_KEY_ALIAS, cut(found_alias(&c->key)));
    }
    record_set(rec, RS_END_USER, cut(c->end_user_id));
    if (c->n_tags)
        record_tags(rec, c);
    if (r->charges)
        record_set(rec, RS_BUDGET_GROUPS, c->budget_groups);
}

void admit_settle(struct request *r, const struct usage *usage)
{
    if (r->charges) {
        uint32_t now_s = (uint32_t)(context_wall_us(r->cx, clock_mono_ns()) / 1000000);
        charges_tokens(r->charges, &r->cx->counters, now_s,
                       usage ? limits_tokens(r->snapshot, usage) : 0);
        charges_release(r->charges, &r->cx->counters);
        r->charges = NULL;
    }
    hold_end(r);
}
