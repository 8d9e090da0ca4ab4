/*
 * Entities of proto/weir.proto as struct identity and struct identity_rules: one function for each
 * kind, texts and lists in a scratch image, names of other entities as slots.
 */

#include "snapshot/directory_priv.h"

static const struct {
    const char *name;
    enum identity_role role;
} roles[] = {
    {"proxy_admin", ROLE_PROXY_ADMIN},
    {"proxy_admin_viewer", ROLE_PROXY_ADMIN_VIEWER},
    {"org_admin", ROLE_ORG_ADMIN},
    {"internal_user", ROLE_INTERNAL_USER},
    {"internal_user_viewer", ROLE_INTERNAL_USER_VIEWER},
    {"team", ROLE_TEAM},
    {"customer", ROLE_CUSTOMER},
};

static struct str bytes_of(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}

static enum identity_role role_of(ProtobufCBinaryData role)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (str_eq(bytes_of(role), str_of(roles[i].name)))
            return roles[i].role;
    return role.len ? ROLE_OTHER : ROLE_NONE;
}

/* ---- texts ---- */

static struct snap_ref put(struct image *m, struct str s)
{
    uint32_t off = s.n ? image_text(m, s.n, 1) : SNAP_NONE;

    if (off == SNAP_NONE)
        return (struct snap_ref){0};
    memcpy(image_at(m, off), s.p, s.n);
    return (struct snap_ref){off, (uint32_t)s.n};
}

static struct snap_ref put_array(struct image *m, size_t n, size_t size)
{
    uint32_t off = n ? image_text(m, n * size, 8) : SNAP_NONE;

    if (off == SNAP_NONE)
        return (struct snap_ref){0};
    memset(image_at(m, off), 0, n * size);
    return (struct snap_ref){off, (uint32_t)n};
}

static void put_item(struct image *m, struct snap_ref list, size_t i, struct str s)
{
    struct snap_ref text = put(m, s);

    if (!m->failed)
        ((struct snap_ref *)image_at(m, list.off))[i] = text;
}

static struct snap_ref put_texts(struct image *m, size_t n, const ProtobufCBinaryData *items)
{
    struct snap_ref list = put_array(m, n, sizeof(struct snap_ref));

    for (size_t i = 0; i < list.n; i++)
        put_item(m, list, i, bytes_of(items[i]));
    return list;
}

static struct snap_ref put_aliases(struct image *m, size_t n, Weir__Alias *const *items)
{
    struct snap_ref list = put_array(m, 2 * n, sizeof(struct snap_ref));

    for (size_t i = 0; 2 * i < list.n; i++) {
        put_item(m, list, 2 * i, bytes_of(items[i]->name));
        put_item(m, list, 2 * i + 1, bytes_of(items[i]->model));
    }
    return list;
}

/* Id, name and alias behind each other. */
static enum errc put_names(struct image *m, struct identity *it, enum identity_kind kind,
                           const struct str id[2], struct str name, struct str alias, struct err *e)
{
    const struct str parts[] = {id[0], STR("\0"), id[1], name, alias};
    bool is_pair = kind == IDENTITY_MEMBER;
    size_t id_n = id[0].n + (is_pair ? 1 + id[1].n : 0);

    if (kind == IDENTITY_KEY && id_n != IDENTITY_HASH)
        return err_set(e, ERRC_INVALID, 0, "a key whose hash has %zu bytes", id_n);
    if (!id[0].n || (is_pair && !id[1].n))
        return err_set(e, ERRC_INVALID, 0, "an entity without id");
    if (is_pair && (memchr(id[0].p, '\0', id[0].n) || memchr(id[1].p, '\0', id[1].n)))
        return err_set(e, ERRC_INVALID, 0, "a member with a NUL in its id");
    if (id_n > UINT16_MAX || name.n > UINT16_MAX || alias.n > UINT16_MAX)
        return err_set(e, ERRC_INVALID, 0, "an entity with a name of more than 64 KiB");
    uint32_t off = image_text(m, id_n + name.n + alias.n, 1);
    if (off == SNAP_NONE)
        return err_set(e, ERRC_NOMEM, 0, "an entity");
    char *at = image_at(m, off);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!parts[i].n || (!is_pair && (i == 1 || i == 2)))
            continue;
        memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    it->text = off;
    it->id_n = (uint16_t)id_n;
    it->name_n = (uint16_t)name.n;
    it->alias_n = (uint16_t)alias.n;
    it->kind = (uint8_t)kind;
    return ERRC_OK;
}

/* ---- limits ---- */

/* What is below zero allows nothing, as zero does. */
static int64_t bound(const Weir__Bound *b)
{
    return !b ? LIMIT_NONE : MAX(b->value, 0);
}

static void put_limits(struct image *m, struct entity *en, const Weir__Limits *l)
{
    struct identity_rules *r = &en->rules;

    if (!l)
        return;
    r->max_budget_nusd = bound(l->max_budget_nusd);
    r->soft_budget_nusd = bound(l->soft_budget_nusd);
    r->tpm = bound(l->tpm);
    r->rpm = bound(l->rpm);
    r->parallel = bound(l->parallel);
    r->extra_budget_nusd = l->extra_budget_nusd;
    r->extra_until_us = l->extra_until_us;
    r->budget_duration = put(m, str_of(l->budget_duration));
    en->it.budget_reset_us = l->budget_reset_us;
    r->model_limits = put_array(m, l->n_models, sizeof(struct identity_model_limit));
    for (uint32_t i = 0; i < r->model_limits.n; i++) {
        const Weir__ModelLimit *from = l->models[i];
        struct identity_model_limit limit = {.model = put(m, bytes_of(from->model)),
                                             .tpm = bound(from->tpm),
                                             .rpm = bound(from->rpm),
                                             .max_budget_nusd = bound(from->max_budget_nusd),
                                             .reset_us = from->reset_us,
                                             .budget_duration =
                                                 put(m, str_of(from->budget_duration))};
        if (!m->failed)
            ((struct identity_model_limit *)image_at(m, r->model_limits.off))[i] = limit;
    }
    if (r->max_budget_nusd != LIMIT_NONE || r->tpm != LIMIT_NONE || r->rpm != LIMIT_NONE ||
        r->parallel != LIMIT_NONE || r->model_limits.n)
        en->it.flags |= IDENTITY_LIMITED;
}

/* ---- what others are named ---- */

static enum errc name(struct directory *d, enum identity_kind kind, ProtobufCBinaryData id,
                      uint32_t *ret_slot, struct err *e)
{
    return directory_slot(d, kind, bytes_of(id), ret_slot, e);
}

static enum errc name_groups(struct directory *d, struct entity *en, size_t n,
                             const ProtobufCBinaryData *ids, struct err *e)
{
    struct image *m = &d->entity;
    enum errc rc = ERRC_OK;

    en->rules.access_groups = put_array(m, n, sizeof(uint32_t));
    for (uint32_t i = 0; i < en->rules.access_groups.n && !rc; i++) {
        uint32_t *slots = image_at(m, en->rules.access_groups.off);
        rc = name(d, IDENTITY_ACCESS_GROUP, ids[i], &slots[i], e);
    }
    return rc;
}

/* The member a key with a team and a user belongs to, if there is one yet. */
static uint32_t member_of(struct directory *d, struct str team, struct str user)
{
    struct image *m = &d->entity;
    size_t n = team.n + 1 + user.n;
    uint32_t off = team.n && user.n ? image_text(m, n, 1) : SNAP_NONE;

    if (off == SNAP_NONE)
        return SNAP_NONE;
    char *id = image_at(m, off);
    memcpy(id, team.p, team.n);
    id[team.n] = '\0';
    memcpy(id + team.n + 1, user.p, user.n);
    return directory_slot_known(d, IDENTITY_MEMBER, (struct str){id, n});
}

static enum errc read_key(struct directory *d, const Weir__Key *k, struct entity *en, struct err *e)
{
    struct image *m = &d->entity;
    struct identity *it = &en->it;
    struct identity_rules *r = &en->rules;
    enum errc rc = name(d, IDENTITY_TEAM, k->team, &it->team, e);

    rc = rc ? rc : name(d, IDENTITY_USER, k->user, &it->user, e);
    rc = rc ? rc : name(d, IDENTITY_ORGANIZATION, k->organization, &it->organization, e);
    rc = rc ? rc : name(d, IDENTITY_PROJECT, k->project, &it->project, e);
    rc = rc ? rc : name_groups(d, en, k->n_access_groups, k->access_groups, e);
    if (!rc && k->successor.len == IDENTITY_HASH) {
        rc = name(d, IDENTITY_KEY, k->successor, &it->successor, e);
        it->flags |= IDENTITY_SUCCEEDED;
    }
    if (rc)
        return rc;
    it->member = member_of(d, bytes_of(k->team), bytes_of(k->user));
    it->expires_us = k->expires_us;
    it->flags |= k->blocked ? IDENTITY_BLOCKED : 0;
    r->models = put_texts(m, k->n_models, k->models);
    r->aliases = put_aliases(m, k->n_aliases, k->aliases);
    r->routes = put_texts(m, k->n_allowed_routes, k->allowed_routes);
    r->ips = put_texts(m, k->n_allowed_ips, k->allowed_ips);
    r->tags = put_texts(m, k->n_tags, k->tags);
    r->metadata = put(m, bytes_of(k->metadata));
    put_limits(m, en, k->limits);
    en->spend_nusd = k->spend_nusd;
    return ERRC_OK;
}

static enum errc read_team(struct directory *d, const Weir__Team *t, struct entity *en,
                           struct err *e)
{
    struct image *m = &d->entity;
    enum errc rc = name(d, IDENTITY_ORGANIZATION, t->organization, &en->it.organization, e);

    rc = rc ? rc : name_groups(d, en, t->n_access_groups, t->access_groups, e);
    if (rc)
        return rc;
    en->it.flags |= t->blocked ? IDENTITY_BLOCKED : 0;
    en->rules.models = put_texts(m, t->n_models, t->models);
    en->rules.aliases = put_aliases(m, t->n_aliases, t->aliases);
    en->rules.tags = put_texts(m, t->n_tags, t->tags);
    en->rules.metadata = put(m, bytes_of(t->metadata));
    put_limits(m, en, t->limits);
    en->spend_nusd = t->spend_nusd;
    return ERRC_OK;
}

static enum errc read_user(struct directory *d, const Weir__User *u, struct entity *en)
{
    en->it.role = (uint8_t)role_of(u->role);
    en->it.flags |= u->blocked ? IDENTITY_BLOCKED : 0;
    en->rules.models = put_texts(&d->entity, u->n_models, u->models);
    put_limits(&d->entity, en, u->limits);
    en->spend_nusd = u->spend_nusd;
    return ERRC_OK;
}

static enum errc read_member(struct directory *d, const Weir__Member *m, struct entity *en,
                             struct err *e)
{
    enum errc rc = name(d, IDENTITY_TEAM, m->team, &en->it.team, e);

    rc = rc ? rc : name(d, IDENTITY_USER, m->user, &en->it.user, e);
    if (rc)
        return rc;
    en->rules.models = put_texts(&d->entity, m->n_models, m->models);
    put_limits(&d->entity, en, m->limits);
    en->spend_nusd = m->spend_nusd;
    return ERRC_OK;
}

static enum errc read_organization(struct directory *d, const Weir__Organization *o,
                                   struct entity *en)
{
    en->rules.models = put_texts(&d->entity, o->n_models, o->models);
    put_limits(&d->entity, en, o->limits);
    en->spend_nusd = o->spend_nusd;
    return ERRC_OK;
}

static enum errc read_project(struct directory *d, const Weir__Project *p, struct entity *en,
                              struct err *e)
{
    enum errc rc = name(d, IDENTITY_TEAM, p->team, &en->it.team, e);

    if (rc)
        return rc;
    en->it.flags |= p->blocked ? IDENTITY_BLOCKED : 0;
    en->rules.models = put_texts(&d->entity, p->n_models, p->models);
    put_limits(&d->entity, en, p->limits);
    en->spend_nusd = p->spend_nusd;
    return ERRC_OK;
}

static enum errc read_end_user(struct directory *d, const Weir__EndUser *u, struct entity *en)
{
    en->it.flags |= u->blocked ? IDENTITY_BLOCKED : 0;
    en->rules.default_model = put(&d->entity, bytes_of(u->default_model));
    en->rules.models = put_texts(&d->entity, u->n_models, u->models);
    put_limits(&d->entity, en, u->limits);
    en->spend_nusd = u->spend_nusd;
    return ERRC_OK;
}

static enum errc read_group_budget(struct directory *d, const Weir__GroupBudget *g,
                                   struct entity *en)
{
    put_limits(&d->entity, en, g->limits);
    en->spend_nusd = g->spend_nusd;
    return ERRC_OK;
}

static enum errc read_tag(struct directory *d, const Weir__Tag *t, struct entity *en)
{
    en->rules.models = put_texts(&d->entity, t->n_models, t->models);
    put_limits(&d->entity, en, t->limits);
    en->spend_nusd = t->spend_nusd;
    return ERRC_OK;
}

/* Kind, id, name and alias. */
static enum errc read_names(struct directory *d, const Weir__Entity *en, struct identity *it,
                            struct err *e)
{
    struct image *m = &d->entity;
    const struct str none = {0};

    switch ((int)en->is_case) { /* a newer control plane may know more */
    case WEIR__ENTITY__IS_KEY:
        return put_names(m, it, IDENTITY_KEY, (struct str[2]){bytes_of(en->key->hash)},
                         bytes_of(en->key->name), bytes_of(en->key->alias), e);
    case WEIR__ENTITY__IS_TEAM:
        return put_names(m, it, IDENTITY_TEAM, (struct str[2]){bytes_of(en->team->id)}, none,
                         bytes_of(en->team->alias), e);
    case WEIR__ENTITY__IS_USER:
        return put_names(m, it, IDENTITY_USER, (struct str[2]){bytes_of(en->user->id)},
                         bytes_of(en->user->email), bytes_of(en->user->alias), e);
    case WEIR__ENTITY__IS_MEMBER:
        return put_names(m, it, IDENTITY_MEMBER,
                         (struct str[2]){bytes_of(en->member->team), bytes_of(en->member->user)},
                         none, none, e);
    case WEIR__ENTITY__IS_ORGANIZATION:
        return put_names(m, it, IDENTITY_ORGANIZATION,
                         (struct str[2]){bytes_of(en->organization->id)}, none,
                         bytes_of(en->organization->alias), e);
    case WEIR__ENTITY__IS_PROJECT:
        return put_names(m, it, IDENTITY_PROJECT, (struct str[2]){bytes_of(en->project->id)}, none,
                         bytes_of(en->project->alias), e);
    case WEIR__ENTITY__IS_END_USER:
        return put_names(m, it, IDENTITY_END_USER, (struct str[2]){bytes_of(en->end_user->id)},
                         none, bytes_of(en->end_user->alias), e);
    case WEIR__ENTITY__IS_TAG:
        return put_names(m, it, IDENTITY_TAG, (struct str[2]){bytes_of(en->tag->name)}, none, none,
                         e);
    case WEIR__ENTITY__IS_ACCESS_GROUP:
        return put_names(m, it, IDENTITY_ACCESS_GROUP,
                         (struct str[2]){bytes_of(en->access_group->id)},
                         bytes_of(en->access_group->name), none, e);
    case WEIR__ENTITY__IS_BUDGET:
        return put_names(m, it, IDENTITY_BUDGET, (struct str[2]){bytes_of(en->budget->id)}, none,
                         none, e);
    case WEIR__ENTITY__IS_GROUP_BUDGET:
        return put_names(m, it, IDENTITY_GROUP_BUDGET,
                         (struct str[2]){bytes_of(en->group_budget->name)}, none, none, e);
    default:
        return err_set(e, ERRC_INVALID, 0, "an entity of no known kind");
    }
}

static enum errc read_rest(struct directory *d, const Weir__Entity *en, struct entity *ret,
                           struct err *e)
{
    switch ((enum identity_kind)ret->it.kind) {
    case IDENTITY_KEY:
        return read_key(d, en->key, ret, e);
    case IDENTITY_TEAM:
        return read_team(d, en->team, ret, e);
    case IDENTITY_USER:
        return read_user(d, en->user, ret);
    case IDENTITY_MEMBER:
        return read_member(d, en->member, ret, e);
    case IDENTITY_ORGANIZATION:
        return read_organization(d, en->organization, ret);
    case IDENTITY_PROJECT:
        return read_project(d, en->project, ret, e);
    case IDENTITY_END_USER:
        return read_end_user(d, en->end_user, ret);
    case IDENTITY_TAG:
        return read_tag(d, en->tag, ret);
    case IDENTITY_ACCESS_GROUP:
        ret->rules.models =
            put_texts(&d->entity, en->access_group->n_models, en->access_group->models);
        return ERRC_OK;
    case IDENTITY_BUDGET:
        put_limits(&d->entity, ret, en->budget->limits);
        return ERRC_OK;
    case IDENTITY_GROUP_BUDGET:
        return read_group_budget(d, en->group_budget, ret);
    case IDENTITY_KINDS:
        break;
    }
    return ERRC_INVALID;
}

/* What its rules hold that policy/guards.h has to look at; by the name alone: seldom too often. */
static enum errc find_guards(struct directory *d, struct entity *en, struct err *e)
{
    static const struct str names[] = {
        STR_INIT("allowed_tools"), STR_INIT("require_trace_id"), STR_INIT("end_user_budget_id"),
        STR_INIT("modify_guardrails"), STR_INIT("throttle_on_budget_exceeded")};
    const struct identity_rules *r = &en->rules;
    unsigned n_windows = 0;
    bool guarded = en->it.kind == IDENTITY_END_USER && r->models.n;

    if (d->entity.failed)
        return ERRC_OK; /* told by the caller */
    for (uint32_t i = 0; i < r->model_limits.n; i++) {
        const struct identity_model_limit *l = image_at(&d->entity, r->model_limits.off);
        guarded |= l[i].max_budget_nusd != LIMIT_NONE;
        n_windows += !l[i].model.n;
    }
    for (size_t i = 0; i < ARRAY_LEN(names) && r->metadata.n; i++)
        guarded |= str_find((struct str){image_at(&d->entity, r->metadata.off), r->metadata.n},
                            names[i]) != SIZE_MAX;
    if (guarded)
        en->it.flags |= IDENTITY_GUARDED;
    return n_windows <= IDENTITY_WINDOWS
               ? ERRC_OK
               : err_set(e, ERRC_INVALID, 0, "more than %d budget_limits", IDENTITY_WINDOWS);
}

enum errc entity_read(struct directory *d, const Weir__Entity *en, struct entity *ret,
                      struct err *e)
{
    d->entity.texts.size = sizeof(struct identity_header); /* of the one before nothing stays */
    d->entity.failed = false;
    *ret = (struct entity){.it = {.team = SNAP_NONE,
                                  .user = SNAP_NONE,
                                  .member = SNAP_NONE,
                                  .organization = SNAP_NONE,
                                  .project = SNAP_NONE,
                                  .successor = SNAP_NONE},
                           .rules = rules_none()};
    enum errc rc = read_names(d, en, &ret->it, e);
    if (!rc && en->gone)
        ret->it.flags = IDENTITY_GONE;
    else if (!rc)
        rc = read_rest(d, en, ret, e);
    if (!rc)
        rc = find_guards(d, ret, e);
    if (!rc && d->entity.failed)
        rc = err_set(e, ERRC_NOMEM, 0, "an entity");
    return rc;
}
