/*
 * GET /weir/explain/key/{key}: a request by a key is judged by the key, its team, its place in the
 * team, its user, organization, project and the configuration, each with limits of its own
 * (litellm-controlplane.md 5.1). Which of them says what, and which one decides.
 */

#include "api/explain.h"
#include "config.h"
#include "daemon.h"
#include "store/team.h"

enum { LEVELS_MAX = 12 };

struct level { /* one place where limits stand */
    const char *from;
    struct str id;
    const yyjson_mut_val *row, *metadata; /* NULL: none */
    const yyjson_mut_val *unless;         /* counts only where this row says nothing */
    bool is_idle;                         /* shown, but not asked for this key */
};

enum rule {
    RULE_SHOWN, /* nothing is decided by it alone */
    RULE_LEAST, /* the smallest number */
    RULE_EACH,  /* every one that is not empty */
};

static const struct {
    const char *name;
    enum rule rule;
    enum { IN_ROW, IN_METADATA } place; /* of keys and teams; others have it in their row */
} fields[] = {
    {"blocked", RULE_EACH, IN_ROW},
    {"expires", RULE_EACH, IN_ROW},
    {"models", RULE_EACH, IN_ROW},
    {"allowed_models", RULE_EACH, IN_ROW},
    {"aliases", RULE_SHOWN, IN_ROW},
    {"access_group_ids", RULE_SHOWN, IN_ROW},
    {"allowed_routes", RULE_EACH, IN_ROW},
    {"max_budget", RULE_LEAST, IN_ROW},
    {"soft_budget", RULE_LEAST, IN_ROW},
    {"spend", RULE_SHOWN, IN_ROW},
    {"budget_duration", RULE_SHOWN, IN_ROW},
    {"budget_reset_at", RULE_SHOWN, IN_ROW},
    {"budget_limits", RULE_EACH, IN_ROW},
    {"model_max_budget", RULE_EACH, IN_ROW},
    {"tpm_limit", RULE_LEAST, IN_ROW},
    {"rpm_limit", RULE_LEAST, IN_ROW},
    {"tpd_limit", RULE_LEAST, IN_ROW},
    {"max_parallel_requests", RULE_LEAST, IN_ROW},
    {"model_tpm_limit", RULE_EACH, IN_METADATA},
    {"model_rpm_limit", RULE_EACH, IN_METADATA},
    {"tag_rpm_limit", RULE_EACH, IN_METADATA},
    {"temp_budget_increase", RULE_SHOWN, IN_METADATA},
    {"temp_budget_expiry", RULE_SHOWN, IN_METADATA},
    {"tags", RULE_SHOWN, IN_METADATA},
};

/* Nothing stands there: null, false, "", [], {}. */
static bool is_empty(yyjson_mut_val *v)
{
    return !v || yyjson_mut_is_null(v) || yyjson_mut_is_false(v) ||
           (yyjson_mut_is_str(v) && !yyjson_mut_get_len(v)) ||
           (yyjson_mut_is_ctn(v) && !yyjson_mut_get_len(v));
}

static yyjson_mut_val *value_at(const struct level *l, size_t field)
{
    const char *name = fields[field].name;
    yyjson_mut_val *v = row_val(l->row, name);

    if (is_empty(v) && fields[field].place == IN_METADATA && l->metadata)
        v = row_val(l->metadata, name);
    return is_empty(v) ? NULL : v;
}

static bool is_asked(const struct level *l, size_t field)
{
    return !l->is_idle && !(l->unless && !is_empty(row_val(l->unless, fields[field].name)));
}

/* The first of the smallest; `n` when nobody says anything. */
static unsigned least(const struct level *l, unsigned n, size_t field)
{
    unsigned at = n;
    double best = 0;

    for (unsigned i = 0; i < n; i++) {
        yyjson_mut_val *v = is_asked(&l[i], field) ? value_at(&l[i], field) : NULL;
        if (!yyjson_mut_is_num(v))
            continue;
        double d = yyjson_mut_get_num(v);
        if (at == n || d < best) {
            best = d;
            at = i;
        }
    }
    return at;
}

static void put_field(struct call *c, yyjson_mut_val *list, const struct level *l, unsigned n,
                      size_t field)
{
    unsigned best = fields[field].rule == RULE_LEAST ? least(l, n, field) : n;

    for (unsigned i = 0; i < n; i++) {
        struct explained e = {.field = fields[field].name,
                              .value = value_at(&l[i], field),
                              .from = str_of(l[i].from),
                              .id = l[i].id};
        if (!e.value)
            continue;
        e.decides =
            fields[field].rule == RULE_EACH ? is_asked(&l[i], field) : best == i && best < n;
        explain_put(c, list, &e);
    }
}

/* ---- the levels ---- */

struct levels {
    struct level level[LEVELS_MAX];
    unsigned n;
};

static struct level *level_add(struct levels *all, const char *from, struct str id,
                               const yyjson_mut_val *row)
{
    ASSERT(all->n < LEVELS_MAX);
    struct level *l = &all->level[all->n];

    *l = (struct level){.from = from, .id = id, .row = row, .metadata = row_val(row, "metadata")};
    all->n += row != NULL; /* a row that is not there has no say */
    return l;
}

/* The budget `row` refers to. */
static void level_add_budget(struct call *c, struct levels *all, const char *from,
                             const yyjson_mut_val *row, const yyjson_mut_val *unless)
{
    struct str id = row ? row_text(row, "budget_id") : (struct str){0};

    if (id.n)
        level_add(all, from, id, store_get(&c->store, TABLE_BUDGET, id))->unless = unless;
}

static void add_member(struct call *c, struct levels *all, const yyjson_mut_val *team,
                       struct str user_id)
{
    struct str team_id = row_text(team, "team_id");
    yyjson_mut_val *membership = team_membership(&c->store, team_id, user_id);
    struct str id = membership ? row_text(membership, "budget_id") : (struct str){0};

    (void)level_add(all, "team member", user_id, membership);
    if (!id.n)
        id = row_text(row_val(team, "metadata"), "team_member_budget_id");
    if (id.n)
        (void)level_add(all, "team member's budget", id, store_get(&c->store, TABLE_BUDGET, id));
}

/* litellm_settings of the whole proxy. */
static void add_proxy(struct call *c, struct levels *all)
{
    const struct conf_node *n = c->d->config->file.value[SETTING_LITELLM_max_budget];
    yyjson_mut_val *row = row_new(&c->store);

    if (!n)
        return;
    row_put(&c->store, row, "max_budget", store_json(&c->store, conf_json(&c->arena, n)));
    (void)level_add(all, "config litellm_settings", (struct str){0}, row);
}

static void collect(struct call *c, struct levels *all, const yyjson_mut_val *key)
{
    struct store *s = &c->store;
    struct str team_id = row_text(key, "team_id"), user_id = row_text(key, "user_id");
    struct str org_id = row_text(key, "organization_id"), project = row_text(key, "project_id");
    yyjson_mut_val *team = team_id.n ? store_get(s, TABLE_TEAM, team_id) : NULL, *row;

    (void)level_add(all, "key", row_text(key, "token"), key);
    level_add_budget(c, all, "key's budget", key, key);
    (void)level_add(all, "team", team_id, team);
    if (team && user_id.n)
        add_member(c, all, team, user_id);
    if (user_id.n) /* a key of a team is not asked what its user may spend */
        level_add(all, team ? "user (keys without a team)" : "user", user_id,
                  store_get(s, TABLE_USER, user_id))
            ->is_idle = team != NULL;
    if (!org_id.n && team)
        org_id = row_text(team, "organization_id");
    row = org_id.n ? store_get(s, TABLE_ORGANIZATION, org_id) : NULL;
    (void)level_add(all, "organization", org_id, row);
    level_add_budget(c, all, "organization's budget", row, NULL);
    row = project.n ? store_get(s, TABLE_PROJECT, project) : NULL;
    (void)level_add(all, "project", project, row);
    level_add_budget(c, all, "project's budget", row, NULL);
    add_proxy(c, all);
}

void api_explain_key(struct call *c)
{
    struct store *s = &c->store;
    struct str hash = key_hash_of(&c->arena, in_param(c, 0));
    yyjson_mut_val *key = store_get(s, TABLE_KEY, hash), *out = row_new(s), *list = row_list(s);
    struct levels all = {.n = 0};

    if (!key) {
        refuse(c, 404, "Key not found in database");
        return;
    }
    collect(c, &all, key);
    for (size_t f = 0; f < ARRAY_LEN(fields); f++)
        put_field(c, list, all.level, all.n, f);
    row_put_text(s, out, "key", hash);
    row_put(s, out, "key_name", row_val(key, "key_name"));
    row_put(s, out, "key_alias", row_val(key, "key_alias"));
    row_put(s, out, "fields", list);
    reply(c, out);
}
