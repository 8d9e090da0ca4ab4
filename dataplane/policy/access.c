/*
 * One function decides by a list of models, and five ask it: for the key, its team, the member, the
 * user, the project. All of them look at the same few names: what the client said, the group an
 * alias of the router leads to, or what an alias of the key makes of it, and nothing else then.
 */

#include "policy/access.h"

#include "common/gateway/glob.h"

enum { NAMES_MAX = 2 };

struct wanted {
    const struct snapshot *s;
    struct str name[NAMES_MAX]; /* any of them may be allowed */
    unsigned n;
    struct str as_sent;
    const struct snap_group *group; /* that serves it; NULL: none does */
    bool by_team_alias;             /* the team has an alias of that name */
};

static bool alias_get(const struct identity_found *f, struct str name, struct str *ret)
{
    struct str from, to;

    if (!f->rules)
        return false;
    for (uint32_t i = 0;
         found_name(f, f->rules->aliases, i, &from) && found_name(f, f->rules->aliases, i + 1, &to);
         i += 2)
        if (str_eq(from, name)) {
            *ret = to;
            return true;
        }
    return false;
}

struct str access_dispatched(const struct caller *c, struct str model)
{
    (void)alias_get(&c->team, model, &model);
    (void)alias_get(&c->key, model, &model);
    return model;
}

const struct snap_group *access_group_of(const struct snapshot *s, const struct snap_found *found)
{
    if (found->group || !found->deployment)
        return found->group;
    for (uint32_t i = 0; i < s->h->groups.n; i++) {
        const struct snap_group *g = SNAP_AT(s, s->h->groups, struct snap_group, i);
        if (g && str_eq(snap_str(s, g->name), snap_str(s, found->deployment->group)))
            return g;
    }
    return NULL;
}

static struct wanted want(const struct snapshot *s, const struct caller *c, struct str model,
                          struct str dispatched, const struct snap_group *group)
{
    struct wanted w = {.s = s, .as_sent = model, .group = group};
    struct str after_team = model;

    w.by_team_alias = alias_get(&c->team, model, &after_team);
    if (!str_eq(after_team, dispatched)) { /* the key's alias, or none: it alone counts */
        w.by_team_alias = false;           /* what the team lets through is not what is called */
        w.name[w.n++] = dispatched;
        return w;
    }
    w.name[w.n++] = model;
    struct str of_group = group ? snap_str(s, group->name) : (struct str){0};
    if (of_group.n && !str_eq(of_group, model) && !memchr(of_group.p, '*', of_group.n))
        w.name[w.n++] = of_group; /* an alias of the router, or a deployment's id */
    return w;
}

bool access_group_serves(const struct snapshot *s, const struct snap_group *group, struct str name)
{
    for (uint32_t i = 0; group && i < group->access_groups.n; i++) {
        const struct snap_ref *r = SNAP_AT(s, group->access_groups, struct snap_ref, i);
        if (r && str_eq(snap_str(s, *r), name))
            return true;
    }
    return false;
}

/* "openai/..." for a model whose deployment calls it by just this name. */
static bool provider_matches(const struct wanted *w, struct str pattern, struct str name)
{
    struct str provider, rest;

    if (!w->group || memchr(name.p, '/', name.n) || !str_cut(pattern, '/', &provider, &rest))
        return false;
    const struct snap_member *m = SNAP_AT(w->s, w->group->members, struct snap_member, 0);
    const struct snap_deployment *d =
        m ? SNAP_AT(w->s, w->s->h->deployments, struct snap_deployment, m->deployment) : NULL;
    return d && str_eq(snap_str(w->s, d->provider), provider) &&
           str_eq(snap_str(w->s, d->model), name) && glob_match(rest, name);
}

/* One entry of a list of models. */
static bool entry_allows(const struct wanted *w, struct str entry, bool team_means_all)
{
    if (str_eq(entry, STR("*")) || str_eq(entry, STR("all-proxy-models")) ||
        access_group_serves(w->s, w->group, entry))
        return true;
    if (str_eq(entry, STR("all-team-models")) && team_means_all)
        return w->group != NULL;
    bool pattern = memchr(entry.p, '*', entry.n) != NULL;
    for (unsigned i = 0; i < w->n; i++)
        if (str_eq(entry, w->name[i]) ||
            (pattern && (glob_match(entry, w->name[i]) || provider_matches(w, entry, w->name[i]))))
            return true;
    return false;
}

static bool list_allows(const struct wanted *w, const struct identity_found *f,
                        struct snap_ref list, bool team_means_all)
{
    struct str entry;

    for (uint32_t i = 0; found_name(f, list, i, &entry); i++)
        if (entry.n && entry_allows(w, entry, team_means_all))
            return true;
    return false;
}

/* Through the access groups it is in. */
static bool groups_allow(const struct wanted *w, const struct caller *c,
                         const struct identity_found *f)
{
    for (uint32_t i = 0; f->rules && i < f->rules->access_groups.n; i++) {
        const uint32_t *slot = SNAP_AT(f->s, f->rules->access_groups, uint32_t, i);
        struct identity_found g =
            slot ? identities_get(c->identities, *slot) : (struct identity_found){0};
        if (g.rules && g.identity->kind == IDENTITY_ACCESS_GROUP &&
            list_allows(w, &g, g.rules->models, false))
            return true;
    }
    return false;
}

static bool has_entry(const struct identity_found *f, struct str name)
{
    struct str entry;

    for (uint32_t i = 0; f->rules && found_name(f, f->rules->models, i, &entry); i++)
        if (str_eq(entry, name))
            return true;
    return false;
}

/* What an entity without a list of its own lets through is everything. */
static bool entity_allows(const struct wanted *w, const struct caller *c,
                          const struct identity_found *f, bool team_means_all)
{
    if (!f->rules || !f->rules->models.n || (w->by_team_alias && f == &c->team))
        return true;
    return list_allows(w, f, f->rules->models, team_means_all) || groups_allow(w, c, f);
}

/* Skipped for "all-team-models": the team's own check follows. */
static bool key_allows(const struct wanted *w, const struct caller *c)
{
    return !found(&c->key) || w->by_team_alias || has_entry(&c->key, STR("all-team-models")) ||
           entity_allows(w, c, &c->key, false);
}

/* An access group of the key may open what its team does not have. */
static bool team_allows(const struct wanted *w, const struct caller *c)
{
    return !found(&c->team) || entity_allows(w, c, &c->team, true) || groups_allow(w, c, &c->key);
}

static bool member_allows(const struct wanted *w, const struct caller *c)
{
    return !found(&c->member) || !found(&c->team) || entity_allows(w, c, &c->member, true);
}

/* Of personal keys alone. */
static bool user_allows(const struct wanted *w, const struct caller *c)
{
    if (!found(&c->user) || found(&c->team))
        return true;
    return !has_entry(&c->user, STR("no-default-models")) && entity_allows(w, c, &c->user, false);
}

static bool project_allows(const struct wanted *w, const struct caller *c)
{
    return !found(&c->project) || entity_allows(w, c, &c->project, true);
}

/* No list of theirs lets everything through. */
static bool end_user_allows(const struct wanted *w, const struct caller *c)
{
    return !found(&c->end_user) || entity_allows(w, c, &c->end_user, false);
}

static bool denied(struct ask *k, enum client_error error, struct str model)
{
    return ask_refuse(
        k, error,
        arena_printf(k->arena,
                     "The requested model '" STR_FMT
                     "' is not available for this API key, or the model name is invalid. "
                     "Check the models available to you and try again.",
                     STR_ARG(((struct str){model.p, MIN(model.n, (size_t)128)}))));
}

static struct wanted want_of(const struct ask *k)
{
    return want(k->s, k->caller, k->model, k->dispatched, k->group);
}

static bool decide(struct ask *k, bool (*allows)(const struct wanted *, const struct caller *),
                   enum client_error error)
{
    struct wanted w = want_of(k);

    return !k->model.n || allows(&w, k->caller) || denied(k, error, k->model);
}

/* What the client would fall back to is asked for as well. */
static bool fallbacks_allowed(struct ask *k);

bool access_key(struct ask *k)
{
    return decide(k, key_allows, ERROR_KEY_MODEL) && fallbacks_allowed(k);
}

bool access_team(struct ask *k)
{
    return decide(k, team_allows, ERROR_TEAM_MODEL);
}

bool access_member(struct ask *k)
{
    return decide(k, member_allows, ERROR_TEAM_MODEL);
}

bool access_user(struct ask *k)
{
    bool closed = !found(&k->caller->team) && has_entry(&k->caller->user, STR("no-default-models"));

    return decide(k, user_allows, closed ? ERROR_KEY_MODEL : ERROR_USER_MODEL);
}

bool access_project(struct ask *k)
{
    return decide(k, project_allows, ERROR_PROJECT_MODEL);
}

bool access_end_user(struct ask *k)
{
    return decide(k, end_user_allows, ERROR_END_USER_MODEL);
}

bool access_may_use(const struct snapshot *s, struct caller *c, struct str model,
                    const struct snap_group *group)
{
    return access_may_reach(s, c, model, access_dispatched(c, model), group);
}

bool access_may_reach(const struct snapshot *s, struct caller *c, struct str model,
                      struct str dispatched, const struct snap_group *group)
{
    struct wanted w = want(s, c, model, dispatched, group);

    return key_allows(&w, c) && team_allows(&w, c) && member_allows(&w, c) && user_allows(&w, c) &&
           project_allows(&w, c);
}

/* ---- fallbacks a client sends: names, or objects with a "model" ---- */

enum { FALLBACK_NAME = 1, FALLBACK_MODEL };

struct fallback_reader {
    struct ask *k;
    bool ok;
};

static void on_fallback(void *ctx, const struct json_member *m)
{
    struct fallback_reader *r = ctx;
    struct str inner = json_text_inner(m->text);
    struct snap_found f;

    if (!r->ok || m->type != JSON_STRING || !inner.n)
        return;
    char *out = arena_alloc(r->k->arena, inner.n);
    size_t n = out ? json_unescape(out, inner) : SIZE_MAX;
    if (n == SIZE_MAX)
        return;
    struct str name = {out, n}, to = access_dispatched(r->k->caller, name);
    bool known = snap_find(r->k->s, to, &f);
    struct wanted w =
        want(r->k->s, r->k->caller, name, to, known ? access_group_of(r->k->s, &f) : NULL);
    r->ok = key_allows(&w, r->k->caller) || denied(r->k, ERROR_KEY_MODEL, name);
}

static bool fallbacks_allowed(struct ask *k)
{
    static const enum field fields[] = {FIELD_FALLBACKS, FIELD_CONTEXT_WINDOW_FALLBACKS,
                                        FIELD_CONTENT_POLICY_FALLBACKS};
    static const struct json_watch model = {.key = STR_INIT("model"), .id = FALLBACK_MODEL};
    static const struct json_watch element = {
        .id = FALLBACK_NAME, .children = &model, .n_children = 1};
    static const struct json_watch root = {.elements = &element};
    struct fallback_reader r = {k, true};

    for (size_t i = 0; k->scan && i < ARRAY_LEN(fields) && r.ok; i++) {
        const struct member *m = request_member(k->scan, fields[i]);
        struct json_scan scan;
        if (!m || m->type != JSON_ARRAY)
            continue;
        json_scan_init(&scan, &root, on_fallback, &r);
        (void)json_scan_feed(&scan, k->body.p + m->at, m->end - m->at);
    }
    return r.ok;
}
