/* Users shown: one with keys and teams, one alone, lists. */

#include "api/users_priv.h"
#include "store/access_group.h"
#include "store/filter.h"

enum { COUNT_MAX = 100000 };

/* Dashboards' session keys are nobody's business. */
#define NO_SESSIONS "(t.team_id IS NULL OR t.team_id <> 'litellm-dashboard')"
#define KEY_COUNT                                                                                  \
    "(SELECT count(*) FROM \"LiteLLM_VerificationToken\" k WHERE k.user_id = t.user_id"            \
    " AND k.team_id IS DISTINCT FROM 'litellm-dashboard')"
#define IS_OFF "(CASE WHEN t.metadata->'scim_active' = 'false'::jsonb THEN 1 ELSE 0 END)"

/* ---- who sees whom ---- */

struct str *user_my_orgs(struct call *c, size_t *ret_n)
{
    size_t i, n, k = 0;
    struct str *ids =
        arena_alloc(&c->arena, (yyjson_mut_arr_size(c->caller.orgs) + 1) * sizeof *ids);
    yyjson_mut_val *m;

    yyjson_mut_arr_foreach(c->caller.orgs, i, n, m)
    {
        struct str id = row_text(m, "organization_id");
        if (ids && rbac_is_org_admin(&c->caller, id))
            ids[k++] = id;
    }
    *ret_n = k;
    return ids;
}

bool user_is_visible(struct call *c, const yyjson_mut_val *row)
{
    struct str id = row_text(row, "user_id");
    struct str *mine;
    yyjson_mut_val *teams, *team;
    size_t i, n;

    if (rbac_sees_all(&c->caller) || rbac_is_self(&c->caller, id))
        return true;
    if (!c->caller.user_id.n)
        return false;
    mine = user_my_orgs(c, &n);
    if (n && user_orgs(&c->store, id, mine, n).n_within)
        return true;
    teams = user_teams(&c->store, id);
    yyjson_mut_arr_foreach(teams, i, n, team)
    {
        if (rbac_is_team_admin(&c->caller, team) && team_role_of(team, id).n)
            return true;
    }
    return false;
}

yyjson_mut_val *user_shown(struct call *c, const yyjson_mut_val *row)
{
    static const char *const of_directories[] = {"scim_enterprise", "scim_entitlements",
                                                 "scim_roles"};
    yyjson_mut_val *out = row_copy(&c->store, row);
    yyjson_mut_val *metadata = row_val(out, "metadata");

    (void)yyjson_mut_obj_remove_key(out, "password");
    for (size_t i = 0; yyjson_mut_is_obj(metadata) && i < ARRAY_LEN(of_directories); i++)
        (void)yyjson_mut_obj_remove_key(metadata, of_directories[i]);
    return out;
}

/* ---- one ---- */

/* Ids are addresses often: a '+' stands for itself. */
static struct str asked_id(struct call *c)
{
    struct str id = in_text(c, "user_id");

    return id.n && memchr(id.p, ' ', id.n) ? in_query(c, STR("user_id")) : id;
}

static yyjson_mut_val *with_alias(struct call *c, const yyjson_mut_val *key,
                                  const yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, key), *team;
    struct str team_id = row_text(key, "team_id");
    size_t i, n;

    row_put_text(s, out, "team_alias", team_id.n ? (struct str){0} : STR("None"));
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)teams, i, n, team)
    {
        if (team_id.n && str_eq(row_text(team, "team_id"), team_id))
            row_put(s, out, "team_alias", row_val(team, "team_alias"));
    }
    return out;
}

static void reply_info(struct call *c, struct str id, const yyjson_mut_val *row,
                       const yyjson_mut_val *keys, const yyjson_mut_val *teams)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *list = row_list(s), *key;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)keys, i, n, key)
    {
        row_append(s, list, with_alias(c, key, teams));
    }
    row_put_text(s, out, "user_id", id);
    row_put(s, out, "user_info", row ? user_shown(c, row) : NULL);
    row_put(s, out, "keys", list);
    row_put(s, out, "teams", teams);
    reply(c, out);
}

/* For dashboards: everything, within a bound. */
static void reply_everything(struct call *c)
{
    struct store *s = &c->store;
    struct str id = c->caller.user_id;
    yyjson_mut_val *teams, *keys;

    teams = STORE_LIST(s, TABLE_TEAM, "ORDER BY t.team_alias NULLS FIRST, t.team_id LIMIT $1",
                       DB_INT(USER_ROWS_MAX));
    keys = STORE_LIST(s, TABLE_KEY,
                      "WHERE " NO_SESSIONS " ORDER BY t.created_at DESC, t.token LIMIT $1",
                      DB_INT(USER_ROWS_MAX));
    reply_info(c, id, id.n ? store_get(s, TABLE_USER, id) : NULL, keys, teams);
}

void api_user_info(struct call *c)
{
    struct store *s = &c->store;
    struct str id = asked_id(c);
    yyjson_mut_val *row, *keys;

    if (!id.n && rbac_sees_all(&c->caller)) {
        reply_everything(c);
        return;
    }
    if (!id.n)
        id = c->caller.user_id;
    row = id.n && (rbac_sees_all(&c->caller) || rbac_is_self(&c->caller, id))
              ? store_get(s, TABLE_USER, id)
              : NULL;
    if (!row) {
        refuse_text(c, 404, "User " STR_FMT " not found", STR_ARG(id.p ? id : STR("None")));
        return;
    }
    keys = STORE_LIST(s, TABLE_KEY,
                      "WHERE t.user_id = $1 AND " NO_SESSIONS
                      " ORDER BY t.created_at DESC, t.token LIMIT $2",
                      DB_TEXT(id), DB_INT(USER_ROWS_MAX));
    reply_info(c, id, row, keys, user_teams(s, id));
}

void api_user_info_v2(struct call *c)
{
    struct store *s = &c->store;
    struct str id = asked_id(c);
    yyjson_mut_val *row, *out;

    if (!id.n)
        id = c->caller.user_id;
    if (!id.n) {
        refuse_text(c, 400,
                    "user_id is required. Either pass it as a query parameter or authenticate with "
                    "a user-bound key.");
        return;
    }
    row = store_get(s, TABLE_USER, id);
    if (!row || !user_is_visible(c, row)) {
        refuse_text(c, 404, "User not found: " STR_FMT, STR_ARG(id));
        return;
    }
    out = row_with_parts(c, user_shown(c, row));
    (void)yyjson_mut_obj_remove_key(out, "litellm_budget_table");
    reply(c, out);
}

/* ---- lists ---- */

/* Texts between commas; blank ones left out. */
static struct str *split(struct call *c, struct str text, size_t *ret_n)
{
    size_t n = 1, k = 0;
    struct str *out;

    for (size_t i = 0; i < text.n; i++)
        n += text.p[i] == ',';
    out = arena_alloc(&c->arena, n * sizeof *out);
    while (out && text.n) {
        const char *comma = memchr(text.p, ',', text.n);
        size_t len = comma ? (size_t)(comma - text.p) : text.n;
        struct str one = str_trim((struct str){text.p, len});
        if (one.n)
            out[k++] = one;
        text = str_from(text, comma ? len + 1 : len);
    }
    *ret_n = k;
    return out;
}

static bool is_among(struct str s, const struct str *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

/* Within the organizations asked for; others than admins see only those they administer. */
static bool filter_organizations(struct call *c, struct filter *f)
{
    size_t n, n_mine, k = 0;
    struct str *wanted = split(c, in_text(c, "organization_ids"), &n);

    if (!rbac_sees_all(&c->caller)) {
        struct str *mine = user_my_orgs(c, &n_mine);
        for (size_t i = 0; i < n; i++)
            if (is_among(wanted[i], mine, n_mine))
                wanted[k++] = wanted[i];
        if (n && !k) {
            refuse(c, 403, "You do not have org_admin access to the requested organization(s).");
            return false;
        }
        wanted = n ? wanted : mine;
        n = n ? k : n_mine;
    }
    if (n || !rbac_sees_all(&c->caller))
        FILTER_ADD(f,
                   "EXISTS (SELECT FROM \"LiteLLM_OrganizationMembership\" m"
                   " WHERE m.user_id = t.user_id AND m.organization_id = ANY ($?::text[]))",
                   DB_TEXTS(wanted, n));
    return true;
}

static void filter_rest(struct call *c, struct filter *f)
{
    struct str role = in_text(c, "role"), team = in_text(c, "team"), like;
    struct str email = in_text(c, "user_email"), search = in_text(c, "search");
    size_t n;
    struct str *ids = split(c, in_text(c, "user_ids"), &n);

    if (role.n)
        FILTER_ADD(f, "t.user_role = $?", DB_TEXT(role));
    if (team.n)
        FILTER_ADD(f, "$? = ANY (t.teams)", DB_TEXT(team));
    if (n == 1)
        FILTER_ADD(f, "t.user_id ILIKE $?", DB_TEXT(filter_contains(&c->arena, ids[0])));
    else if (n)
        FILTER_ADD(f, "t.user_id = ANY ($?::text[])", DB_TEXTS(ids, n));
    if (email.n)
        FILTER_ADD(f, "t.user_email ILIKE $?", DB_TEXT(filter_contains(&c->arena, email)));
    ids = split(c, in_text(c, "sso_user_ids"), &n);
    if (in_set(c, "sso_user_ids"))
        FILTER_ADD(f, "t.sso_user_id = ANY ($?::text[])", DB_TEXTS(ids, n));
    if (search.n) {
        like = filter_contains(&c->arena, search);
        FILTER_ADD(f, "t.user_id ILIKE $? OR t.user_email ILIKE $?", DB_TEXT(like), DB_TEXT(like));
    }
}

static const char *order_of(struct call *c)
{
    static const struct sort_column rows[] = {
        {"user_id", "t.user_id", "t.user_id DESC"},
        {"user_email", "t.user_email, t.user_id", "t.user_email DESC, t.user_id"},
        {"created_at", "t.created_at, t.user_id", "t.created_at DESC, t.user_id"},
        {"spend", "t.spend, t.user_id", "t.spend DESC, t.user_id"},
        {"user_alias", "t.user_alias, t.user_id", "t.user_alias DESC, t.user_id"},
        {"user_role", "t.user_role, t.user_id", "t.user_role DESC, t.user_id"},
        {"max_budget", "t.max_budget NULLS LAST, t.user_id",
         "t.max_budget DESC NULLS FIRST, t.user_id"},
        {"updated_at", "t.updated_at NULLS LAST, t.user_id",
         "t.updated_at DESC NULLS LAST, t.user_id"},
        {"sso_user_id", "t.sso_user_id NULLS LAST, t.user_id",
         "t.sso_user_id DESC NULLS LAST, t.user_id"},
        {"status", IS_OFF ", t.user_id", IS_OFF " DESC, t.user_id"},
        {"key_count", KEY_COUNT ", t.user_id", KEY_COUNT " DESC, t.user_id"},
    };
    return sort_order(c, rows, ARRAY_LEN(rows), "t.created_at DESC, t.user_id");
}

static yyjson_mut_val *with_key_counts(struct call *c, const yyjson_mut_val *rows)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_list(s), *row, *one;
    struct rows counts;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)rows, i, n, row)
    {
        counts = TX_QUERY(&s->tx, "SELECT " KEY_COUNT " FROM (SELECT $1::text AS user_id) t",
                          DB_TEXT(row_text(row, "user_id")));
        one = user_shown(c, row);
        row_put_int(s, one, "key_count", rows_int(counts, 0, 0));
        row_append(s, out, one);
    }
    return out;
}

void api_user_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size"), total;
    const char *order = order_of(c);
    yyjson_mut_val *out = row_new(s), *rows;

    if (!order || !filter_organizations(c, &f))
        return;
    filter_rest(c, &f);
    total = filter_count(s, TABLE_USER, &f, COUNT_MAX);
    rows = filter_page(s, TABLE_USER, &f, order, size, (page - 1) * size);
    row_put(s, out, "users", with_key_counts(c, rows));
    row_put_int(s, out, "total", total);
    row_put_int(s, out, "page", page);
    row_put_int(s, out, "page_size", size);
    row_put_int(s, out, "total_pages", (total + size - 1) / size);
    reply(c, out);
}

/* ---- for forms ---- */

void api_user_available_roles(struct call *c)
{
    static const struct {
        enum role role;
        const char *label, *description;
    } rows[] = {
        {ROLE_ADMIN, "Admin (All Permissions)",
         "Everything: keys, teams, users, models, settings."},
        {ROLE_VIEWER, "Admin (View Only)", "Sees everything, changes nothing."},
        {ROLE_USER, "Internal User (Create/Delete/View)",
         "Makes, deletes and sees keys of their own."},
        {ROLE_USER_VIEWER, "Internal User (View Only)", "Sees keys and spend of their own."},
    };
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *one;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        one = row_new(s);
        row_put_text(s, one, "description", str_of(rows[i].description));
        row_put_text(s, one, "ui_label", str_of(rows[i].label));
        row_put(s, out, role_name(rows[i].role), one);
    }
    reply(c, out);
}

/* No licence bounds them. */
void api_user_available_users(struct call *c)
{
    static const char *const bounds[] = {"total_users", "total_teams", "total_users_remaining",
                                         "total_teams_remaining"};
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);
    struct rows r = TX_QUERY0(&s->tx, "SELECT (SELECT count(*) FROM \"LiteLLM_UserTable\"),"
                                      " (SELECT count(*) FROM \"LiteLLM_TeamTable\")");

    for (size_t i = 0; i < ARRAY_LEN(bounds); i++)
        row_put_null(s, out, bounds[i]);
    row_put_int(s, out, "total_users_used", rows_int(r, 0, 0));
    row_put_int(s, out, "total_teams_used", rows_int(r, 0, 1));
    reply(c, out);
}

/* Those user_is_visible() would show: for others than admins, themselves and who is in an
 * organization or a team of theirs. */
static void filter_visible(struct call *c, struct filter *f)
{
    size_t n;
    struct str *orgs, self = c->caller.user_id;
    struct texts teams = store_texts(&c->store, row_val(c->caller.user, "teams"));

    if (rbac_sees_all(&c->caller))
        return;
    orgs = user_my_orgs(c, &n);
    FILTER_ADD(f,
               "t.user_id = $?"
               " OR EXISTS (SELECT FROM \"LiteLLM_OrganizationMembership\" m"
               "  WHERE m.user_id = t.user_id AND m.organization_id = ANY ($?::text[]))"
               " OR EXISTS (SELECT FROM \"LiteLLM_TeamTable\" x WHERE x.team_id = ANY ($?::text[])"
               "  AND x.team_id = ANY (t.teams) AND x.members_with_roles @>"
               "  jsonb_build_array(jsonb_build_object('user_id', $?::text, 'role', 'admin')))",
               DB_TEXT(self.n ? self : STR("")), DB_TEXTS(orgs, n), DB_TEXTS(teams.p, teams.n),
               DB_TEXT(self.n ? self : STR("")));
}

void api_user_filter(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    struct str id = in_text(c, "user_id"), email = in_text(c, "user_email");
    struct str search = in_text(c, "search"), like;
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size");
    yyjson_mut_val *list = row_list(s), *row, *one;
    size_t i, n;

    filter_visible(c, &f);
    if (id.n)
        FILTER_ADD(&f, "t.user_id ILIKE $?", DB_TEXT(filter_contains(&c->arena, id)));
    if (email.n)
        FILTER_ADD(&f, "t.user_email ILIKE $?", DB_TEXT(filter_contains(&c->arena, email)));
    if (search.n) {
        like = filter_contains(&c->arena, search);
        FILTER_ADD(&f, "t.user_id ILIKE $? OR t.user_email ILIKE $?", DB_TEXT(like), DB_TEXT(like));
    }
    yyjson_mut_arr_foreach(
        filter_page(s, TABLE_USER, &f, "t.created_at DESC, t.user_id", size, (page - 1) * size), i,
        n, row)
    {
        one = row_new(s);
        row_put(s, one, "user_id", row_val(row, "user_id"));
        row_put(s, one, "user_email", row_val(row, "user_email"));
        row_append(s, list, one);
    }
    reply(c, list);
}
