/* Metadata of keys and teams is JSON as it was stored: it is read when it is needed. */

#include "policy/guards.h"

#include "common/num.h"

enum {
    TOOLS_SHOWN = 16, /* in a refusal */
    MILLION = 1000000,
};

bool guards_apply(const struct ask *k)
{
    const struct caller *c = k->caller;
    const struct identity_found *of[] = {&c->key, &c->team, &c->user, &c->member, &c->end_user};
    unsigned flags = 0;

    for (size_t i = 0; i < ARRAY_LEN(of); i++)
        flags |= found(of[i]) ? of[i]->identity->flags : 0u;
    return flags & IDENTITY_GUARDED || (k->group && k->group->access_groups.n) ||
           (c->end_user_id.n && k->s->h->settings.end_user_budget.n);
}

/* ---- members of objects ---- */

static void on_text(void *ctx, const struct json_member *m)
{
    *(bool *)ctx |= m->type == JSON_STRING && m->end - m->at > 2;
}

static void on_any(void *ctx, const struct json_member *m)
{
    (void)m;
    *(bool *)ctx = true;
}

/* One of the members `names` of a top-level object of the body is there, as `fn` says. */
static bool body_has(const struct ask *k, enum field of, const struct str *names, size_t n_names,
                     json_member_fn fn)
{
    struct json_watch child[4], root = {.children = child, .n_children = (uint16_t)n_names};
    const struct member *m = k->scan ? request_member(k->scan, of) : NULL;
    struct json_scan scan;
    bool has = false;

    if (!m || m->type != JSON_OBJECT || n_names > ARRAY_LEN(child))
        return false;
    for (size_t i = 0; i < n_names; i++)
        child[i] = (struct json_watch){.key = names[i], .id = 1};
    json_scan_init(&scan, &root, fn, &has);
    (void)json_scan_feed(&scan, k->body.p + m->at, m->end - m->at); /* it was read once */
    return has;
}

/* ---- {"require_trace_id": true} of a team ---- */

/* 00-<32 digits>-<16 digits>-<2 digits>, not all 0 (W3C Trace Context). */
static bool is_traceparent(struct str s)
{
    bool any = false;

    if (s.n != 55 || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 2 || i == 35 || i == 52)
            continue;
        if (!strchr("0123456789abcdef", char_lower(s.p[i])) || !s.p[i])
            return false;
        any |= i > 2 && i < 35 && s.p[i] != '0';
    }
    return any;
}

const struct str trace_headers[TRACE_HEADERS] = {
    STR_INIT("x-litellm-trace-id"), STR_INIT("x-litellm-session-id"),
    STR_INIT("x-claude-code-session-id"), STR_INIT("x-session-id")};

static bool has_trace_id(const struct ask *k)
{
    static const struct str name = STR_INIT("trace_id");
    const struct member *own = request_member(k->scan, FIELD_LITELLM_TRACE_ID);

    for (size_t i = 0; i < TRACE_HEADERS; i++)
        if (str_trim(k->header(k->header_ctx, trace_headers[i], NULL)).n)
            return true;
    if (own ? own->type == JSON_STRING && own->end - own->at > 2
            : is_traceparent(str_trim(k->header(k->header_ctx, STR("traceparent"), NULL))))
        return true;
    return body_has(k, FIELD_METADATA, &name, 1, on_text) ||
           body_has(k, FIELD_LITELLM_METADATA, &name, 1, on_text);
}

bool guard_trace_id(struct ask *k)
{
    const struct identity_found *f = &k->caller->team;

    if (!k->scan || !str_eq(metadata_member(f, STR("require_trace_id")), STR("true")) ||
        has_trace_id(k))
        return true;
    return ask_refuse(
        k, ERROR_TRACE_ID,
        arena_printf(k->arena,
                     "Team '" STR_FMT
                     "' requires a trace ID on every LLM, MCP and agent request. Send an "
                     "x-litellm-trace-id header. LLM requests can also send a W3C traceparent "
                     "header or set metadata.trace_id in the body.",
                     STR_ARG(found_id(f))));
}

/* ---- {"guardrails": {"modify_guardrails": false}} of a team ---- */

struct finder {
    bool is_false;
};

static void on_modify(void *ctx, const struct json_member *m)
{
    ((struct finder *)ctx)->is_false = m->type == JSON_FALSE;
}

static bool may_modify_guardrails(const struct identity_found *team)
{
    static const struct json_watch child = {.key = STR_INIT("modify_guardrails"), .id = 1};
    static const struct json_watch root = {.children = &child, .n_children = 1};
    struct str text = metadata_member(team, STR("guardrails"));
    struct finder found_it = {false};
    struct json_scan scan;

    if (!text.n || text.p[0] != '{')
        return true;
    json_scan_init(&scan, &root, on_modify, &found_it);
    (void)json_scan_feed(&scan, text.p, text.n); /* checked when it was found */
    return !found_it.is_false;
}

bool guard_guardrails(struct ask *k)
{
    static const struct str names[] = {
        STR_INIT("guardrails"), STR_INIT("disable_global_guardrails"),
        STR_INIT("disable_global_guardrail"), STR_INIT("opted_out_global_guardrails")};

    if (!k->scan || may_modify_guardrails(&k->caller->team))
        return true;
    bool asks = request_member(k->scan, FIELD_GUARDRAILS) ||
                request_member(k->scan, FIELD_DISABLE_GLOBAL_GUARDRAILS) ||
                request_member(k->scan, FIELD_OPTED_OUT_GUARDRAILS) ||
                body_has(k, FIELD_METADATA, names, ARRAY_LEN(names), on_any) ||
                body_has(k, FIELD_LITELLM_METADATA, names, ARRAY_LEN(names), on_any);
    return !asks || ask_refuse(k, ERROR_GUARDRAILS, (struct str){0});
}

/* ---- {"allowed_tools": ["search"]} of a key, else of its team ---- */

struct tools {
    struct ask *k;
    struct str allowed; /* JSON list */
    struct str refused; /* 'a', 'b' */
    unsigned n_refused;
    /* of a look for one name in the list */
    struct str name;
    unsigned n_entries;
    bool is_allowed;
};

static struct str decoded(struct arena *a, const struct json_member *m)
{
    struct str inner = json_text_inner(m->text);
    char *out = arena_alloc(a, inner.n + 1);
    size_t n = out ? json_unescape(out, inner) : SIZE_MAX;

    return n == SIZE_MAX ? (struct str){0} : (struct str){out, n};
}

static void on_allowed(void *ctx, const struct json_member *m)
{
    struct tools *t = ctx;

    t->n_entries++;
    t->is_allowed |=
        m->type == JSON_STRING && t->name.n && str_eq(decoded(t->k->arena, m), t->name);
}

static void look(struct tools *t, struct str list, struct str name)
{
    static const struct json_watch element = {.id = 1};
    static const struct json_watch root = {.elements = &element};
    struct json_scan scan;

    t->n_entries = 0;
    t->is_allowed = false;
    t->name = name;
    if (!list.n || list.p[0] != '[')
        return;
    json_scan_init(&scan, &root, on_allowed, t);
    (void)json_scan_feed(&scan, list.p, list.n); /* checked when it was found */
}

/* A name too long to be reported is on no list. */
static void on_tool(void *ctx, const struct json_member *m)
{
    struct tools *t = ctx;
    struct str name = decoded(t->k->arena, m);

    if (m->type != JSON_STRING || m->end - m->at == 2)
        return;
    look(t, t->allowed, name);
    if (t->is_allowed || t->n_refused++ >= TOOLS_SHOWN)
        return;
    t->refused = arena_printf(t->k->arena, STR_FMT "%s'" STR_FMT "'", STR_ARG(t->refused),
                              t->refused.n ? ", " : "",
                              STR_ARG(((struct str){name.p, MIN(name.n, (size_t)64)})));
}

static void read_tools(struct tools *t, const struct json_watch *root, const struct member *m)
{
    struct ask *k = t->k;
    struct json_scan scan;

    if (!m || m->type != JSON_ARRAY)
        return;
    json_scan_init(&scan, root, on_tool, t);
    (void)json_scan_feed(&scan, k->body.p + m->at, m->end - m->at);
}

bool guard_tools(struct ask *k)
{
    /* a function's name stands in it for Chat, a custom tool's likewise, others' beside the type */
    static const struct json_watch named = {.key = STR_INIT("name"), .id = 1};
    static const struct json_watch of_tool[] = {
        {.key = STR_INIT("name"), .id = 1},
        {.key = STR_INIT("server_label"), .id = 1},
        {.key = STR_INIT("function"), .children = &named, .n_children = 1},
        {.key = STR_INIT("custom"), .children = &named, .n_children = 1},
    };
    static const struct json_watch tool = {JSON_WATCH_CHILDREN(of_tool)};
    static const struct json_watch tools = {.elements = &tool};
    static const struct json_watch of_item[] = {{.key = STR_INIT("tools"), .elements = &tool}};
    static const struct json_watch item = {JSON_WATCH_CHILDREN(of_item)};
    static const struct json_watch input = {.elements = &item};
    const struct identity_found *of[] = {&k->caller->key, &k->caller->team};
    struct tools t = {.k = k};

    for (size_t i = 0; k->scan && i < ARRAY_LEN(of) && !t.n_entries; i++) {
        t.allowed = metadata_member(of[i], STR("allowed_tools"));
        look(&t, t.allowed, (struct str){0});
    }
    if (!t.n_entries)
        return true;
    read_tools(&t, &tools, request_member(k->scan, FIELD_TOOLS));
    read_tools(&t, &tools, request_member(k->scan, FIELD_FUNCTIONS));
    read_tools(&t, &input, request_member(k->scan, FIELD_INPUT)); /* of Responses: more of them */
    return !t.n_refused ||
           ask_refuse(k, ERROR_TOOL,
                      arena_printf(k->arena,
                                   "Tool(s) [" STR_FMT
                                   "] are not in the allowed tools list for this key/team.",
                                   STR_ARG(t.refused)));
}

/* ---- {"throttle_on_budget_exceeded": true} of a key ---- */

bool guard_throttles(const struct ask *k)
{
    const struct identity_found *f = &k->caller->key;

    return k->s->h->settings.throttle_millionths && f->rules &&
           (f->rules->rpm != LIMIT_NONE || f->rules->tpm != LIMIT_NONE) &&
           str_eq(metadata_member(f, STR("throttle_on_budget_exceeded")), STR("true"));
}

int64_t guard_throttled(const struct ask *k, int64_t limit)
{
    int64_t part;

    if (limit == LIMIT_NONE || !k->throttled)
        return limit;
    if (__builtin_mul_overflow(limit, (int64_t)k->s->h->settings.throttle_millionths, &part))
        return limit / MILLION * k->s->h->settings.throttle_millionths;
    return MAX(part / MILLION, (int64_t)1);
}
