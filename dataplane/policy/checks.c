/*
 * A row per check, asked from the top until one refuses. What a row says beside its function is
 * when it is asked at all.
 */

#include "policy/checks.h"

#include "common/gateway/route_group.h"

#include "policy/access.h"
#include "policy/budget.h"
#include "policy/budget_model.h"
#include "policy/guards.h"
#include "policy/ledger.h"

enum check_when {
    OF_KEYS = BIT(0),   /* not for the master key, nor where anybody may call */
    INFERENCE = BIT(1), /* only where a model is called */
    COSTS = BIT(2),     /* not where nothing can be spent */
};

/* ---- the head ---- */

static bool list_has(const struct snapshot *s, struct snap_ref list, struct str text)
{
    for (uint32_t i = 0; i < list.n; i++) {
        const struct snap_ref *r = SNAP_AT(s, list, struct snap_ref, i);
        if (r && str_eq(snap_str(s, *r), text))
            return true;
    }
    return false;
}

struct str client_address(const struct snapshot *s, struct str connection_ip,
                          struct str forwarded_for)
{
    struct str first, rest;

    if (!(s->h->settings.flags & SNAP_FORWARDED_FOR) || !forwarded_for.n)
        return connection_ip;
    (void)str_cut(forwarded_for, ',', &first, &rest);
    return str_trim(first);
}

static bool ip_forbidden(struct ask *k)
{
    struct str ip = {k->client_ip.p, MIN(k->client_ip.n, (size_t)64)};

    return ask_refuse(k, ERROR_IP_FORBIDDEN,
                      arena_printf(k->arena,
                                   "Access forbidden: IP address " STR_FMT " not allowed.",
                                   STR_ARG(ip)));
}

bool checks_head(struct ask *k)
{
    const struct snap_settings *s = &k->s->h->settings;

    if (s->allowed_ips.n && !list_has(k->s, s->allowed_ips, k->client_ip))
        return ip_forbidden(k);
    if (s->allowed_routes.n && !list_has(k->s, s->allowed_routes, k->path))
        return ask_refuse(k, ERROR_ROUTE_OFF,
                          arena_printf(k->arena, "Access forbidden: Route " STR_FMT " not allowed",
                                       STR_ARG(k->path)));
    return true;
}

/* ---- the key ---- */

static bool check_key(struct ask *k)
{
    const struct identity_found *f = &k->caller->key;

    return !(f->identity->flags & IDENTITY_BLOCKED) ||
           ask_refuse(k, ERROR_KEY_BLOCKED, (struct str){0});
}

/* As Python prints a moment of UTC. */
static struct str moment(struct arena *a, int64_t us)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;
    char fraction[10] = "";

    (void)gmtime_r(&t, &tm);
    if (us % 1000000)
        (void)snprintf(fraction, sizeof fraction, ".%06d", (int)(us % 1000000));
    return arena_printf(a, "%04d-%02d-%02d %02d:%02d:%02d%s+00:00", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, fraction);
}

static bool check_expiry(struct ask *k)
{
    int64_t expires_us = k->caller->key.identity->expires_us;
    struct str shown = k->presented;

    if (!expires_us || expires_us >= k->now_us)
        return true;
    k->refusal.param = arena_printf(k->arena, "sk-..." STR_FMT,
                                    STR_ARG(str_from(shown, shown.n > 4 ? shown.n - 4 : shown.n)));
    return ask_refuse(k, ERROR_KEY_EXPIRED,
                      arena_printf(k->arena,
                                   "Authentication Error - Expired Key. Key Expiry time " STR_FMT
                                   " and current time " STR_FMT,
                                   STR_ARG(moment(k->arena, expires_us)),
                                   STR_ARG(moment(k->arena, k->now_us))));
}

/* ['a', 'b'], as Python prints a list. */
static struct str names_text(struct arena *a, const struct identity_found *f, struct snap_ref list)
{
    struct str out = STR("["), one;

    for (uint32_t i = 0; found_name(f, list, i, &one) && i < 32; i++)
        out = arena_printf(a, STR_FMT "%s'" STR_FMT "'", STR_ARG(out), i ? ", " : "", STR_ARG(one));
    return arena_printf(a, STR_FMT "]", STR_ARG(out));
}

static bool check_routes(struct ask *k)
{
    const struct identity_found *f = &k->caller->key;
    struct str entry;

    if (!f->rules || !f->rules->routes.n)
        return true;
    for (uint32_t i = 0; found_name(f, f->rules->routes, i, &entry); i++)
        if (route_allows(entry, k->path))
            return true;
    return ask_refuse(
        k, ERROR_KEY_ROUTE,
        arena_printf(
            k->arena,
            "Virtual key is not allowed to call this route. Only allowed to call routes: " STR_FMT
            ". Tried to call route: " STR_FMT,
            STR_ARG(names_text(k->arena, f, f->rules->routes)), STR_ARG(k->path)));
}

static bool check_ips(struct ask *k)
{
    const struct identity_found *f = &k->caller->key;
    struct str entry;

    if (!f->rules || !f->rules->ips.n)
        return true;
    for (uint32_t i = 0; found_name(f, f->rules->ips, i, &entry); i++)
        if (str_eq(entry, k->client_ip))
            return true;
    return ip_forbidden(k);
}

static bool check_admin_routes(struct ask *k)
{
    return k->caller->is_admin || !list_has(k->s, k->s->h->settings.admin_routes, k->path) ||
           ask_refuse(k, ERROR_ADMIN_ROUTE,
                      arena_printf(k->arena,
                                   "user not allowed to access this route. Route=" STR_FMT
                                   " is an admin only route",
                                   STR_ARG(k->path)));
}

/* ---- who stands behind it ---- */

static bool check_team(struct ask *k)
{
    const struct identity_found *f = &k->caller->team;

    return !found(f) || !(f->identity->flags & IDENTITY_BLOCKED) ||
           ask_refuse(k, ERROR_TEAM_BLOCKED,
                      arena_printf(k->arena,
                                   "Authentication Error, Team=" STR_FMT
                                   " is blocked. Update via `/team/unblock` if you're an admin.",
                                   STR_ARG(found_id(f))));
}

static bool check_user(struct ask *k)
{
    const struct identity_found *f = &k->caller->user;

    return !found(f) || !(f->identity->flags & IDENTITY_BLOCKED) ||
           ask_refuse(k, ERROR_USER_BLOCKED,
                      arena_printf(k->arena,
                                   "Authentication Error, User=" STR_FMT
                                   " has been deactivated via SCIM. Keys owned by this user cannot "
                                   "be used.",
                                   STR_ARG(found_id(f))));
}

static bool check_project(struct ask *k)
{
    const struct identity_found *f = &k->caller->project;

    return !found(f) || !(f->identity->flags & IDENTITY_BLOCKED) ||
           ask_refuse(k, ERROR_PROJECT_BLOCKED,
                      arena_printf(k->arena,
                                   "Authentication Error, Project=" STR_FMT
                                   " is blocked. Update via `/project/update` if you're an admin.",
                                   STR_ARG(found_id(f))));
}

static bool check_end_user(struct ask *k)
{
    const struct identity_found *f = &k->caller->end_user;

    return !found(f) || !(f->identity->flags & IDENTITY_BLOCKED) ||
           ask_refuse(k, ERROR_END_USER_BLOCKED,
                      arena_printf(k->arena,
                                   "User blocked from making LLM API Calls. User=" STR_FMT,
                                   STR_ARG(k->caller->end_user_id)));
}

/* ---- what the body must have, and must not ---- */

static bool check_client_tags(struct ask *k)
{
    return !(k->s->h->settings.flags & SNAP_REJECT_CLIENT_TAGS) || !k->scan ||
           !k->scan->has_metadata_tags || ask_refuse(k, ERROR_CLIENT_TAGS, (struct str){0});
}

static bool check_user_param(struct ask *k)
{
    return !(k->s->h->settings.flags & SNAP_ENFORCE_USER) || !k->scan ||
           request_member(k->scan, FIELD_USER) ||
           ask_refuse(k, ERROR_NO_USER_PARAM, (struct str){0});
}

/* A member of the body by name; NULL: it has none. */
static const struct member *body_member(const struct ask *k, struct str name)
{
    for (uint32_t i = 0; i < k->scan->n_members; i++) {
        const struct member *m = &k->scan->member[i];
        if (str_eq(member_name(m, k->body.p, k->arena), name))
            return m;
    }
    return NULL;
}

static void on_any(void *ctx, const struct json_member *m)
{
    (void)m;
    *(bool *)ctx = true;
}

static bool member_has(const struct ask *k, const struct member *m, struct str name)
{
    struct json_watch child = {.key = name, .id = 1};
    struct json_watch root = {.children = &child, .n_children = 1};
    struct json_scan scan UNINITIALIZED;
    bool has = false;

    if (m->type != JSON_OBJECT)
        return false;
    json_scan_init(&scan, &root, on_any, &has);
    (void)json_scan_feed(&scan, k->body.p + m->at, m->end - m->at);
    return has;
}

/* `param`: a member, or a.b: one of a member. */
static bool param_given(struct ask *k, struct str param)
{
    struct str name = param, below = {0};
    bool nested = str_cut(param, '.', &name, &below);
    const struct member *m = body_member(k, name);

    if (m && (!nested || member_has(k, m, below)))
        return true;
    struct str shown =
        m ? arena_printf(k->arena, "[" STR_FMT "][" STR_FMT "]", STR_ARG(name), STR_ARG(below))
          : name;
    return ask_refuse(k, ERROR_MISSING_PARAM,
                      arena_printf(k->arena,
                                   "BadRequest please pass param=" STR_FMT
                                   " in request body. This is a required param",
                                   STR_ARG(shown)));
}

static bool params_given(struct ask *k, struct snap_ref list)
{
    for (uint32_t i = 0; i < list.n; i++) {
        const struct snap_ref *r = SNAP_AT(k->s, list, struct snap_ref, i);
        if (r && !param_given(k, snap_str(k->s, *r)))
            return false;
    }
    return true;
}

struct param_reader {
    struct ask *k;
    bool ok;
};

static void on_param(void *ctx, const struct json_member *m)
{
    struct param_reader *r = ctx;
    struct str inner = json_text_inner(m->text);

    if (r->ok && inner.n)
        r->ok = param_given(r->k, arena_str(r->k->arena, inner));
}

static bool check_params(struct ask *k)
{
    static const struct json_watch element = {.id = 1};
    static const struct json_watch root = {.elements = &element};
    const struct snap_settings *s = &k->s->h->settings;
    const struct identity_found *key = &k->caller->key;
    struct param_reader r = {k, true};

    if (!k->scan)
        return true;
    if (!params_given(k, s->enforced_params))
        return false;
    if (s->service_params.n && metadata_member(key, STR("service_account_id")).n &&
        !params_given(k, s->service_params))
        return false;
    struct str own = metadata_member(key, STR("enforced_params"));
    if (own.n && own.p[0] == '[') {
        struct json_scan scan UNINITIALIZED;
        json_scan_init(&scan, &root, on_param, &r);
        (void)json_scan_feed(&scan, own.p, own.n);
    }
    return r.ok;
}

/* ---- the order ---- */

/* ROW(check, when); GUARD(check, when): of guarded requests alone. */
#define CHECKS(ROW, GUARD)                                                                         \
    ROW(check_key, OF_KEYS)                                                                        \
    ROW(check_ips, OF_KEYS)                                                                        \
    ROW(access_key, OF_KEYS)                                                                       \
    ROW(check_user, OF_KEYS)                                                                       \
    ROW(ledger_keeps, OF_KEYS | COSTS)                                                             \
    ROW(budget_member, OF_KEYS | COSTS)                                                            \
    ROW(check_expiry, OF_KEYS)                                                                     \
    ROW(budget_key, OF_KEYS | COSTS)                                                               \
    GUARD(budget_key_model, OF_KEYS | COSTS)                                                       \
    GUARD(budget_user_model, OF_KEYS | COSTS)                                                      \
    ROW(check_routes, OF_KEYS)                                                                     \
    ROW(check_team, OF_KEYS)                                                                       \
    ROW(access_team, OF_KEYS)                                                                      \
    ROW(access_member, OF_KEYS)                                                                    \
    GUARD(guard_trace_id, OF_KEYS | INFERENCE)                                                     \
    ROW(access_user, OF_KEYS)                                                                      \
    GUARD(access_end_user, OF_KEYS)                                                                \
    ROW(check_project, OF_KEYS)                                                                    \
    ROW(access_project, OF_KEYS)                                                                   \
    ROW(budget_project, OF_KEYS | COSTS)                                                           \
    ROW(check_client_tags, INFERENCE)                                                              \
    ROW(budget_team, OF_KEYS | COSTS)                                                              \
    GUARD(budget_team_windows, OF_KEYS | COSTS)                                                    \
    GUARD(budget_key_windows, OF_KEYS | COSTS)                                                     \
    ROW(budget_organization, OF_KEYS | COSTS)                                                      \
    ROW(budget_tags, COSTS)                                                                        \
    GUARD(budget_model_groups, OF_KEYS | COSTS)                                                    \
    ROW(budget_user, OF_KEYS | COSTS)                                                              \
    ROW(budget_end_user, INFERENCE | COSTS)                                                        \
    ROW(check_user_param, INFERENCE)                                                               \
    ROW(budget_pod, COSTS)                                                                         \
    GUARD(guard_guardrails, OF_KEYS | INFERENCE)                                                   \
    ROW(check_admin_routes, OF_KEYS)                                                               \
    GUARD(guard_tools, OF_KEYS | INFERENCE)                                                        \
    GUARD(budget_team_model, OF_KEYS | COSTS)                                                      \
    GUARD(budget_member_model, OF_KEYS | COSTS)                                                    \
    GUARD(budget_end_user_model, INFERENCE | COSTS)                                                \
    ROW(check_end_user, INFERENCE)                                                                 \
    ROW(check_params, INFERENCE)

struct check {
    bool (*check)(struct ask *k);
    unsigned when; /* enum check_when, bits */
};

#define ROW(check, when) {check, when},
#define NO_ROW(check, when)
static const struct check checks[] = {CHECKS(ROW, NO_ROW)};
static const struct check guarded_checks[] = {CHECKS(ROW, ROW)};

bool checks_all(struct ask *k)
{
    bool spends = k->is_inference && !(k->group && k->group->flags & SNAP_GROUP_FREE);
    unsigned holds = (found(&k->caller->key) ? OF_KEYS : 0u) | (k->is_inference ? INFERENCE : 0u) |
                     (spends ? COSTS : 0u);

    k->refusal = (struct refusal){.error = CLIENT_ERRORS};
    k->guarded = guards_apply(k);
    const struct check *of = k->guarded ? guarded_checks : checks;
    size_t n = k->guarded ? ARRAY_LEN(guarded_checks) : ARRAY_LEN(checks);
    for (size_t i = 0; i < n; i++) {
        if (of[i].when & ~holds)
            continue;
        if (!of[i].check(k))
            return false;
    }
    return true;
}
