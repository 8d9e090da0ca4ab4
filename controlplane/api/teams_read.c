/* Teams shown: one with all that belongs to it, lists. */

#include "api/teams_priv.h"
#include "store/filter.h"

enum { COUNT_MAX = 100000, LIST_MAX = 1000, KEYS_MAX = 10000 };

/* ---- parts ---- */

yyjson_mut_val *membership_shown(struct call *c, const yyjson_mut_val *membership)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, membership);
    struct str budget = row_text(membership, "budget_id");

    if (out)
        row_put(s, out, "litellm_budget_table",
                budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL);
    return out;
}

static yyjson_mut_val *aliases_of(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    yyjson_mut_val *id = row_val(team, "model_id"), *row, *out;

    if (!id)
        return NULL;
    row = STORE_FIRST(s, TABLE_MODEL_ALIASES, "WHERE t.id = $1::integer", DB_TEXT(row_json(s, id)));
    if (!row)
        return NULL;
    out = row_new(s);
    row_put(s, out, "id", id);
    row_put(s, out, "model_aliases", row_val(row, "aliases"));
    row_put(s, out, "created_by", row_val(row, "created_by"));
    row_put(s, out, "updated_by", row_val(row, "updated_by"));
    return out;
}

yyjson_mut_val *team_shown(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, team);

    row_put(s, out, "members_with_roles", team_members(s, team));
    row_put(s, out, "litellm_model_table", aliases_of(c, team));
    return out;
}

/* Keys of the team that the caller may see: all of those who run it or may list them, else their
 * own. */
static bool sees_keys(const struct call *c, const yyjson_mut_val *team)
{
    return rbac_sees_all(&c->caller) || rbac_runs_team(&c->caller, team) ||
           team_permits(team, STR("/key/list"));
}

/* ---- info ---- */

/* The list with the names that users have by now. */
static yyjson_mut_val *members_named(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = team_members(s, team), *m, *out = row_list(s), *one, *user;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, m)
    {
        user = row_text(m, "user_id").n ? store_get(s, TABLE_USER, row_text(m, "user_id")) : NULL;
        one = row_copy(s, m);
        row_put(s, one, "user_email",
                row_val(m, "user_email") ? row_val(m, "user_email") : row_val(user, "user_email"));
        row_put(s, one, "user_alias", row_val(user, "user_alias"));
        row_append(s, out, one);
    }
    return out;
}

/* What the team has through access groups. */
static void put_access_groups(struct call *c, yyjson_mut_val *out, const yyjson_mut_val *team)
{
    static const struct {
        const char *of_team, *of_group;
    } rows[] = {
        {"access_group_models", "access_model_names"},
        {"access_group_mcp_server_ids", "access_mcp_server_ids"},
        {"access_group_agent_ids", "access_agent_ids"},
    };
    struct store *s = &c->store;
    yyjson_mut_val *ids = row_val(team, "access_group_ids"), *id, *v;
    size_t i, n, j, m;

    if (!yyjson_mut_arr_size(ids))
        return;
    for (size_t k = 0; k < ARRAY_LEN(rows); k++)
        row_put(s, out, rows[k].of_team, row_list(s));
    yyjson_mut_arr_foreach(ids, i, n, id)
    {
        yyjson_mut_val *group = store_get(
            s, TABLE_ACCESS_GROUP, (struct str){yyjson_mut_get_str(id), yyjson_mut_get_len(id)});
        for (size_t k = 0; group && k < ARRAY_LEN(rows); k++) {
            yyjson_mut_val *names = row_val(group, rows[k].of_group);
            yyjson_mut_arr_foreach(names, j, m, v)
            {
                struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
                if (!row_has(out, rows[k].of_team, name))
                    row_append_text(s, row_val(out, rows[k].of_team), name);
            }
        }
    }
}

static yyjson_mut_val *info_of(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = team_shown(c, team);
    struct str permission = row_text(team, "object_permission_id");
    struct str budget = row_text(row_val(team, "metadata"), "team_member_budget_id");

    row_put(s, out, "members_with_roles", members_named(c, team));
    row_put(s, out, "object_permission",
            permission.n ? store_get(s, TABLE_OBJECT_PERMISSION, permission) : NULL);
    row_put(s, out, "team_member_budget_table",
            budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL);
    put_access_groups(c, out, team);
    return out;
}

static yyjson_mut_val *keys_of(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    int64_t most = in_set(c, "key_limit") ? MIN(in_int(c, "key_limit"), KEYS_MAX) : KEYS_MAX;
    yyjson_mut_val *keys =
        STORE_LIST(s, TABLE_KEY,
                   "WHERE t.team_id = $1 AND ($2::boolean OR t.user_id = $3)"
                   " AND (t.expires IS NULL OR t.expires > now())"
                   " ORDER BY t.created_at DESC, t.token LIMIT $4",
                   DB_TEXT(row_text(team, "team_id")), DB_BOOL(sees_keys(c, team)),
                   DB_TEXT(c->caller.user_id), DB_INT(most));
    yyjson_mut_val *key;
    size_t i, n;

    yyjson_mut_arr_foreach(keys, i, n, key)
    {
        (void)yyjson_mut_obj_remove_key(key, "token");
    }
    return keys;
}

static yyjson_mut_val *memberships_of(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str shared = row_text(row_val(team, "metadata"), "team_member_budget_id");
    yyjson_mut_val *rows =
        STORE_LIST(s, TABLE_TEAM_MEMBERSHIP, "WHERE t.team_id = $1 ORDER BY t.user_id",
                   DB_TEXT(row_text(team, "team_id")));
    yyjson_mut_val *out = row_list(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        yyjson_mut_val *one = membership_shown(c, row);
        struct str budget = row_text(row, "budget_id");
        row_put_text(s, one, "budget_source",
                     !budget.n                ? (struct str){0}
                     : str_eq(budget, shared) ? STR("team_default")
                                              : STR("member"));
        row_append(s, out, one);
    }
    return out;
}

void api_team_info(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "team_id");
    yyjson_mut_val *team, *out = row_new(s);

    if (!id.p) {
        refuse_text(c, 422, "{'message': 'Malformed request. No team id passed in.'}");
        return;
    }
    team = team_find(c, id, false);
    if (!team) {
        struct str text =
            arena_printf(&c->arena, "Team not found, passed team id: " STR_FMT ".", STR_ARG(id));
        refuse_text(c, 404, "{'message': " STR_FMT "}", STR_ARG(python_repr(&c->arena, text)));
        return;
    }
    row_put_text(s, out, "team_id", id);
    row_put(s, out, "team_info", info_of(c, team));
    row_put(s, out, "keys", keys_of(c, team));
    row_put(s, out, "team_memberships", memberships_of(c, team));
    reply(c, out);
}

/* The caller's own membership. */
void api_team_member_me(struct call *c)
{
    static const char *const of_membership[] = {"spend", "total_spend", "budget_id",
                                                "litellm_budget_table"};
    struct store *s = &c->store;
    struct str id = in_param(c, 0), self = c->caller.user_id;
    yyjson_mut_val *team = store_get(s, TABLE_TEAM, id), *out = row_new(s), *row;
    struct str role = self.n ? team_role_of(team, self) : (struct str){0};

    if (!self.n) {
        refuse(c, 400,
               "API key has no associated user_id; cannot resolve 'me' for team membership.");
        return;
    }
    if (!role.n) {
        refuse(c, 404, "User user_id=" STR_FMT " is not a member of team_id=" STR_FMT ".",
               STR_ARG(self), STR_ARG(id));
        return;
    }
    row = STORE_FIRST(s, TABLE_TEAM_MEMBERSHIP, "WHERE t.team_id = $1 AND t.user_id = $2",
                      DB_TEXT(id), DB_TEXT(self));
    row = row ? membership_shown(c, row) : NULL;
    row_put_text(s, out, "user_id", self);
    row_put_text(s, out, "team_id", id);
    row_put(s, out, "team_alias", row_val(team, "team_alias"));
    row_put_text(s, out, "role", role);
    row_put(s, out, "user_email", row_val(c->caller.user, "user_email"));
    row_put_num(s, out, "spend", 0);
    row_put_num(s, out, "total_spend", 0);
    for (size_t i = 0; i < ARRAY_LEN(of_membership); i++)
        if (row_val(row, of_membership[i]) || i >= 2)
            row_put(s, out, of_membership[i], row_val(row, of_membership[i]));
    reply(c, out);
}

/* ---- lists ---- */

#define HAS_MEMBER                                                                                 \
    "t.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id', $?::text))"

/* Ids of the organizations the caller administers. */
static struct str *my_orgs(struct call *c, size_t *ret_n)
{
    size_t i, n = yyjson_mut_arr_size(c->caller.orgs);
    struct str *ids = arena_alloc(&c->arena, (n + 1) * sizeof *ids);
    yyjson_mut_val *m;

    *ret_n = 0;
    if (!ids)
        return NULL;
    yyjson_mut_arr_foreach(c->caller.orgs, i, n, m)
    {
        if (str_eq(row_text(m, "user_role"), STR("org_admin")))
            ids[(*ret_n)++] = row_text(m, "organization_id");
    }
    return ids;
}

/* Whose teams others may ask for: their own, and those of organizations they administer. */
static bool filter_visible(struct call *c, struct filter *f)
{
    struct str user_id = in_text(c, "user_id"), self = c->caller.user_id;
    size_t n = 0;
    struct str *orgs;

    if (rbac_sees_all(&c->caller))
        return true;
    orgs = my_orgs(c, &n);
    if (!self.n || (!n && user_id.p && !str_eq(user_id, self))) {
        refuse(c, 401, "Only admin users can query all teams/other teams. Your user role=%s",
               c->caller.role == ROLE_NONE ? "None" : role_name(c->caller.role));
        return false;
    }
    if (user_id.n && !str_eq(user_id, self))
        FILTER_ADD(f, "t.organization_id = ANY ($?::text[])", DB_TEXTS(orgs, n));
    else
        FILTER_ADD(f, "t.organization_id = ANY ($?::text[]) OR " HAS_MEMBER, DB_TEXTS(orgs, n),
                   DB_TEXT(self));
    return true;
}

static yyjson_mut_val *list_of(struct store *s, yyjson_mut_val *by_team, struct str team_id)
{
    yyjson_mut_val *list = yyjson_mut_obj_getn(by_team, team_id.p, team_id.n);

    return list ? list : row_list(s);
}

/* An object of arrays: the rows by their team. */
static yyjson_mut_val *by_team(struct store *s, const yyjson_mut_val *rows)
{
    yyjson_mut_val *out = row_new(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)rows, i, n, row)
    {
        struct str id = row_text(row, "team_id");
        yyjson_mut_val *list = yyjson_mut_obj_getn(out, id.p, id.n);
        if (!list) {
            list = row_list(s);
            (void)yyjson_mut_obj_add(out, yyjson_mut_strn(s->doc, id.p, id.n), list);
        }
        row_append(s, list, row);
    }
    return out;
}

static struct str *ids_of(struct call *c, const yyjson_mut_val *teams, size_t *ret_n)
{
    size_t i, n = yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)teams);
    struct str *ids = arena_alloc(&c->arena, (n + 1) * sizeof *ids);
    yyjson_mut_val *team;

    *ret_n = ids ? n : 0;
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)teams, i, n, team)
    {
        if (ids)
            ids[i] = row_text(team, "team_id");
    }
    return ids;
}

static void refuse_too_many(struct call *c)
{
    refuse(c, 400, "Too many teams or keys for one answer. Ask /v2/team/list, page by page.");
}

static yyjson_mut_val *with_keys(struct call *c, const yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    size_t i, n;
    struct str *ids = ids_of(c, teams, &n);
    yyjson_mut_val *keys =
        STORE_LIST(s, TABLE_KEY, "WHERE t.team_id = ANY ($1::text[]) ORDER BY t.token LIMIT $2",
                   DB_TEXTS(ids, n), DB_INT(KEYS_MAX + 1));
    yyjson_mut_val *members =
        STORE_LIST(s, TABLE_TEAM_MEMBERSHIP,
                   "WHERE t.team_id = ANY ($1::text[]) AND ($2::text IS NULL OR t.user_id = $2) "
                   "ORDER BY t.user_id"
                   " LIMIT $3",
                   DB_TEXTS(ids, n), DB_TEXT_OR_NULL(in_text(c, "user_id")), DB_INT(KEYS_MAX + 1));
    yyjson_mut_val *out = row_list(s), *team, *key;

    if (yyjson_mut_arr_size(keys) > KEYS_MAX || yyjson_mut_arr_size(members) > KEYS_MAX) {
        refuse_too_many(c);
        return NULL;
    }
    keys = by_team(s, keys);
    members = by_team(s, members);
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)teams, i, n, team)
    {
        struct str id = row_text(team, "team_id");
        yyjson_mut_val *one = team_shown(c, team), *seen = row_list(s), *of = list_of(s, keys, id);
        size_t j, m;
        yyjson_mut_arr_foreach(of, j, m, key)
        {
            if (sees_keys(c, team) || rbac_is_self(&c->caller, row_text(key, "user_id")))
                row_append(s, seen, key);
        }
        row_put(s, one, "team_memberships", list_of(s, members, id));
        row_put(s, one, "keys", seen);
        row_append(s, out, one);
    }
    return out;
}

void api_team_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str user_id = in_text(c, "user_id"), org = in_text(c, "organization_id");
    yyjson_mut_val *teams;

    if (!rbac_sees_all(&c->caller) && !user_id.p &&
        !rbac_is_org_admin(&c->caller, (struct str){0})) {
        refuse(c, 401, "Only admin users can query all teams/other teams. Your user role=%s",
               c->caller.role == ROLE_NONE ? "None" : role_name(c->caller.role));
        return;
    }
    if (!filter_visible(c, &f))
        return;
    if (user_id.n)
        FILTER_ADD(&f, HAS_MEMBER, DB_TEXT(user_id));
    if (str_eq(org, STR("default_organization")))
        FILTER_ADD0(&f, "t.organization_id IS NULL");
    else if (org.p)
        FILTER_ADD(&f, "t.organization_id = $?", DB_TEXT(org));
    teams =
        filter_page(s, TABLE_TEAM, &f, "coalesce(t.team_alias, ''), t.team_id", LIST_MAX + 1, 0);
    if (yyjson_mut_arr_size(teams) > LIST_MAX) {
        refuse_too_many(c);
        return;
    }
    teams = with_keys(c, teams);
    if (teams)
        reply(c, teams);
}

/* ---- page by page ---- */

static const char *order_of(struct call *c)
{
    static const struct {
        const char *name, *asc, *desc;
    } rows[] = {
        {"team_id", "t.team_id", "t.team_id DESC"},
        {"team_alias", "t.team_alias, t.team_id", "t.team_alias DESC, t.team_id"},
        {"created_at", "t.created_at, t.team_id", "t.created_at DESC, t.team_id"},
        {"updated_at", "t.updated_at, t.team_id", "t.updated_at DESC, t.team_id"},
        {"spend", "t.spend, t.team_id", "t.spend DESC, t.team_id"},
        {"max_budget", "t.max_budget, t.team_id", "t.max_budget DESC, t.team_id"},
        {"tpm_limit", "t.tpm_limit, t.team_id", "t.tpm_limit DESC, t.team_id"},
        {"rpm_limit", "t.rpm_limit, t.team_id", "t.rpm_limit DESC, t.team_id"},
    };
    struct str by = in_text(c, "sort_by");

    for (size_t i = 0; by.n && i < ARRAY_LEN(rows); i++)
        if (str_eq(by, str_of(rows[i].name)))
            return str_ieq(in_text(c, "sort_order"), STR("desc")) ? rows[i].desc : rows[i].asc;
    return "t.created_at DESC, t.team_id";
}

static void filter_asked(struct call *c, struct filter *f)
{
    struct arena *a = &c->arena;
    struct str id = in_text(c, "team_id"), alias = in_text(c, "team_alias"),
               search = in_text(c, "search");
    struct str org = in_text(c, "organization_id"), user_id = in_text(c, "user_id");
    bool prefix = str_eq(in_text(c, "search_team_id_match"), STR("prefix"));

    if (id.n)
        FILTER_ADD(f, "t.team_id = $?", DB_TEXT(id));
    if (org.n)
        FILTER_ADD(f, "t.organization_id = $?", DB_TEXT(org));
    if (alias.n)
        FILTER_ADD(f, "t.team_alias ILIKE $?", DB_TEXT(filter_contains(a, alias)));
    if (search.n)
        FILTER_ADD(f,
                   "t.team_id = $? OR t.team_alias ILIKE $? OR ($?::boolean AND "
                   "starts_with(t.team_id, $?))",
                   DB_TEXT(search), DB_TEXT(filter_contains(a, search)), DB_BOOL(prefix),
                   DB_TEXT(search));
    if (user_id.n)
        FILTER_ADD(f, HAS_MEMBER, DB_TEXT(user_id));
}

/* How many keys each has; 0 for those without a row. */
static yyjson_mut_val *key_counts(struct call *c, const yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    size_t n;
    struct str *ids = ids_of(c, teams, &n);
    struct rows r = TX_QUERY(&s->tx,
                             "SELECT team_id, count(*) FROM \"LiteLLM_VerificationToken\""
                             " WHERE team_id = ANY ($1::text[]) GROUP BY team_id",
                             DB_TEXTS(ids, n));
    yyjson_mut_val *out = row_new(s);

    for (int i = 0; i < r.n; i++) {
        struct str id = rows_text(r, i, 0);
        (void)yyjson_mut_obj_add(out, yyjson_mut_strncpy(s->doc, id.p, id.n),
                                 yyjson_mut_sint(s->doc, rows_int(r, i, 1)));
    }
    return out;
}

static yyjson_mut_val *page_shown(struct call *c, const yyjson_mut_val *teams, bool deleted)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_list(s), *counts = deleted ? NULL : key_counts(c, teams), *team;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)teams, i, n, team)
    {
        struct str id = row_text(team, "team_id");
        yyjson_mut_val *one = team_shown(c, team);
        if (!deleted) {
            row_put_int(s, one, "members_count",
                        (int64_t)yyjson_mut_arr_size(row_val(one, "members_with_roles")));
            row_put_int(s, one, "keys_count",
                        yyjson_mut_get_sint(yyjson_mut_obj_getn(counts, id.p, id.n)));
            put_access_groups(c, one, team);
        }
        row_append(s, out, one);
    }
    return out;
}

/* Somebody asked for by name exists. */
static bool check_user(struct call *c)
{
    struct str user_id = in_text(c, "user_id");

    if (!user_id.n || !rbac_sees_all(&c->caller) || store_get(&c->store, TABLE_USER, user_id))
        return true;
    refuse(c, 404, "User not found, passed user_id=" STR_FMT, STR_ARG(user_id));
    return false;
}

void api_team_list_v2(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str status = in_text(c, "status"), org = in_text(c, "organization_id");
    bool deleted = str_eq(status, STR("deleted"));
    enum table t = deleted ? TABLE_DELETED_TEAM : TABLE_TEAM;
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size"), total;
    yyjson_mut_val *out = row_new(s), *rows;

    if (!filter_visible(c, &f))
        return;
    if (org.n && !rbac_sees_all(&c->caller) && rbac_is_org_admin(&c->caller, (struct str){0}) &&
        !rbac_is_org_admin(&c->caller, org)) {
        refuse(c, 403, "You can only view teams within your organizations.");
        return;
    }
    if (status.p && !deleted) {
        refuse(c, 400, "Invalid status value. Currently only 'deleted' is supported.");
        return;
    }
    if (!check_user(c))
        return;
    filter_asked(c, &f);
    total = filter_count(s, t, &f, COUNT_MAX);
    rows = filter_page(s, t, &f, order_of(c), size, (page - 1) * size);
    row_put(s, out, "teams", page_shown(c, rows, deleted));
    row_put_int(s, out, "total", total);
    row_put_int(s, out, "page", page);
    row_put_int(s, out, "page_size", size);
    row_put_int(s, out, "total_pages", (total + size - 1) / size);
    reply(c, out);
}

void api_team_available(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = teams_available(c), *out = row_list(s), *team, *v;
    size_t i, n;

    if (list && !c->caller.user) {
        refuse(c, 404, "User not found");
        return;
    }
    yyjson_mut_arr_foreach(list, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (!name.p || row_has(c->caller.user, "teams", name))
            continue;
        team = store_get(s, TABLE_TEAM, name);
        if (team)
            row_append(s, out, team_shown(c, team));
    }
    reply(c, out);
}

/* What a search box asks for. */
void api_team_filter(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str id = in_text(c, "team_id"), alias = in_text(c, "team_alias");
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");

    if (id.n)
        FILTER_ADD(&f, "t.team_id ILIKE $?", DB_TEXT(filter_contains(&c->arena, id)));
    if (alias.n)
        FILTER_ADD(&f, "t.team_alias ILIKE $?", DB_TEXT(filter_contains(&c->arena, alias)));
    reply(c,
          filter_page(s, TABLE_TEAM, &f, "t.created_at DESC, t.team_id", size, (page - 1) * size));
}
