/* Keys shown: one, several, lists, names. */

#include "common/clock.h"

#include "api/keys_priv.h"
#include "api/parts.h"
#include "store/filter.h"

enum { COUNT_MAX = 100000 };

/* Dashboards' session keys are nobody's business. */
#define NO_SESSIONS "t.team_id IS NULL OR t.team_id <> 'litellm-dashboard'"
#define ALIVE       "t.expires IS NULL OR t.expires >= now()"
#define NOT_BLOCKED "t.blocked IS NOT TRUE"

static const char *status_of(struct store *s, const yyjson_mut_val *row)
{
    struct str expires = row_text(row, "expires"), now = store_time(s, clock_wall_us());

    if (row_bool(row, "blocked"))
        return "revoked";
    if (expires.n && memcmp(expires.p, now.p, MIN(expires.n - 1, now.n)) < 0)
        return "expired";
    return "active";
}

/* The row as /key/info shows it: without the hash, with its budget and permission. */
static yyjson_mut_val *info_of(struct call *c, const yyjson_mut_val *row, const char *status)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, row);
    struct str budget = row_text(row, "budget_id");
    struct str permission = row_text(row, "object_permission_id");

    (void)yyjson_mut_obj_remove_key(out, "token");
    row_put(s, out, "litellm_budget_table", budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL);
    row_put(s, out, "object_permission",
            permission.n ? store_get(s, TABLE_OBJECT_PERMISSION, permission) : NULL);
    row_put_text(s, out, "status", str_of(status));
    return out;
}

void api_key_info(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "key");
    yyjson_mut_val *out = row_new(s);
    struct key_target t = {0};
    const char *status = "deleted";

    if (!name.n && c->caller.is_master) {
        refuse_as(c, 400, "bad_request_error", "key",
                  "No key passed in. Pass ?key= or authenticate with a virtual key.");
        return;
    }
    t.hash = name.n ? key_hash_of(&c->arena, name) : c->caller.key_hash;
    t.row = store_get(s, TABLE_KEY, t.hash);
    if (t.row)
        status = status_of(s, t.row);
    else
        t.row = key_deleted(s, t.hash);
    if (!t.row || !key_is_visible(c, &t)) {
        refuse_as(c, 404, "not_found_error", "key", "Key not found in database");
        return;
    }
    row_put_text(s, out, "key", name.n ? name : t.hash);
    row_put(s, out, "info", info_of(c, t.row, status));
    reply(c, out);
}

void api_keys_info(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *names = in_val(c, "keys"), *out = row_new(s), *list, *v;
    size_t i, n;

    if (!yyjson_mut_arr_size(names)) {
        refuse_text(c, 422, "Malformed request. No keys passed in.");
        return;
    }
    list = row_list(s);
    yyjson_mut_arr_foreach(names, i, n, v)
    {
        struct str name = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        struct key_target t = {.hash = key_hash_of(&c->arena, name)};
        t.row = store_get(s, TABLE_KEY, t.hash);
        if (t.row && key_is_visible(c, &t))
            row_append(s, list, info_of(c, t.row, status_of(s, t.row)));
    }
    row_put(s, out, "key", names);
    row_put(s, out, "info", list);
    reply(c, out);
}

/* ---- lists ---- */

/* The ids of teams the caller is in, by what they are there. */
struct my_teams {
    struct str *all, *run; /* all of them; those whose keys they see */
    size_t n_all, n_run;
};

static struct my_teams my_teams(struct call *c)
{
    struct store *s = &c->store;
    struct str id = c->caller.user_id;
    yyjson_mut_val *rows, *team;
    struct my_teams my = {0};
    size_t i, n;

    rows =
        STORE_LIST(s, TABLE_TEAM,
                   "WHERE t.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id',"
                   " $1::text)) ORDER BY t.team_id LIMIT 1000",
                   DB_TEXT(id));
    n = yyjson_mut_arr_size(rows);
    my.all = arena_alloc(&c->arena, (n + 1) * sizeof *my.all);
    my.run = arena_alloc(&c->arena, (n + 1) * sizeof *my.run);
    if (!my.all || !my.run)
        return (struct my_teams){0};
    yyjson_mut_arr_foreach(rows, i, n, team)
    {
        struct str team_id = row_text(team, "team_id");
        my.all[my.n_all++] = team_id;
        if (rbac_is_team_admin(&c->caller, team) || team_permits(team, STR("/key/list")))
            my.run[my.n_run++] = team_id;
    }
    return my;
}

static bool is_mine(const struct my_teams *my, struct str team_id)
{
    for (size_t i = 0; i < my->n_all; i++)
        if (str_eq(my->all[i], team_id))
            return true;
    return false;
}

static bool list_refuse(struct call *c, const char *param, const char *text)
{
    refuse_as(c, 403, "bad_request_error", param, "%s", text);
    return false;
}

static bool is_org_member(const struct call *c, struct str organization_id)
{
    yyjson_mut_val *m;
    size_t i, n;

    yyjson_mut_arr_foreach(c->caller.orgs, i, n, m)
    {
        if (str_eq(row_text(m, "organization_id"), organization_id))
            return true;
    }
    return false;
}

/* What others may ask for at all. */
static bool check_list(struct call *c, const struct my_teams *my)
{
    struct str user_id = in_text(c, "user_id"), team_id = in_text(c, "team_id");
    struct str org_id = in_text(c, "organization_id"), hash = in_text(c, "key_hash");

    if (rbac_sees_all(&c->caller))
        return true;
    if (!c->caller.user_id.n || !c->caller.user)
        return list_refuse(c, "user_id",
                           "You are not authorized to access this endpoint. No 'user_id' is "
                           "associated with your API key.");
    if (user_id.n && !str_eq(user_id, c->caller.user_id))
        return list_refuse(c, "user_id", "You are not authorized to check another user's keys");
    if (team_id.n && !is_mine(my, team_id))
        return list_refuse(c, "team_id", "You are not authorized to check this team's keys");
    if (org_id.n && !is_org_member(c, org_id))
        return list_refuse(c, "organization_id",
                           "You are not authorized to check this organization's keys");
    if (hash.n) {
        struct key_target t = {.hash = hash, .row = store_get(&c->store, TABLE_KEY, hash)};
        if (!t.row || !key_is_visible(c, &t))
            return list_refuse(c, "key_hash", "Key Hash not found.");
    }
    return true;
}

/* Whose keys: everybody's, or one's own with what one's teams add. */
static void filter_owner(struct call *c, struct filter *f, const struct my_teams *my)
{
    struct str user_id = in_text(c, "user_id"), self = c->caller.user_id;
    bool all = rbac_sees_all(&c->caller);
    size_t n_run = in_bool(c, "include_team_keys") ? my->n_run : 0;
    bool created = in_bool(c, "include_created_by_keys");

    if (all && user_id.n && in_bool(c, "substring_matching"))
        FILTER_ADD(f, "t.user_id ILIKE $?", DB_TEXT(filter_contains(&c->arena, user_id)));
    else if (all && user_id.n)
        FILTER_ADD(f, "t.user_id = $?", DB_TEXT(user_id));
    if (all)
        return;
    FILTER_ADD(f,
               "t.user_id = $? OR t.team_id = ANY ($?::text[])"
               " OR ($?::boolean AND t.team_id = ANY ($?::text[]) AND t.user_id IS NULL)"
               " OR ($?::boolean AND t.created_by = $?"
               "     AND (t.team_id IS NULL OR t.team_id = ANY ($?::text[])))",
               DB_TEXT(self), DB_TEXTS(my->run, n_run),
               DB_BOOL(in_bool(c, "include_team_keys") || created), DB_TEXTS(my->all, my->n_all),
               DB_BOOL(created), DB_TEXT(self), DB_TEXTS(my->all, my->n_all));
}

static void filter_rest(struct call *c, struct filter *f)
{
    static const struct {
        const char *name, *condition;
    } equal[] = {
        {"team_id", "t.team_id = $?"},       {"organization_id", "t.organization_id = $?"},
        {"project_id", "t.project_id = $?"}, {"agent_id", "t.agent_id = $?"},
        {"key_hash", "t.token = $?"},        {"access_group_id", "$? = ANY (t.access_group_ids)"},
    };
    struct str alias = in_text(c, "key_alias"), status = in_text(c, "status");
    struct str expires = in_text(c, "expires");

    FILTER_ADD0(f, NO_SESSIONS);
    for (size_t i = 0; i < ARRAY_LEN(equal); i++)
        if (in_text(c, equal[i].name).n)
            FILTER_ADD(f, equal[i].condition, DB_TEXT(in_text(c, equal[i].name)));
    if (alias.n && in_bool(c, "substring_matching"))
        FILTER_ADD(f, "t.key_alias ILIKE $?", DB_TEXT(filter_contains(&c->arena, alias)));
    else if (alias.n)
        FILTER_ADD(f, "t.key_alias = $?", DB_TEXT(alias));
    if (str_eq(status, STR("revoked")))
        FILTER_ADD0(f, "t.blocked");
    else if (str_eq(status, STR("active")))
        FILTER_ADD0(f, "(" NOT_BLOCKED ") AND (" ALIVE ")");
    else if (str_eq(status, STR("expired")))
        FILTER_ADD0(f, "(" NOT_BLOCKED ") AND t.expires < now()");
    if (str_eq(expires, STR("active")))
        FILTER_ADD0(f, ALIVE);
    else if (str_eq(expires, STR("expired")))
        FILTER_ADD0(f, "t.expires < now()");
}

static const char *order_of(struct call *c)
{
    static const struct sort_column rows[] = {
        {"spend", "t.spend, t.token", "t.spend DESC, t.token"},
        {"max_budget", "t.max_budget, t.token", "t.max_budget DESC, t.token"},
        {"created_at", "t.created_at, t.token", "t.created_at DESC, t.token"},
        {"updated_at", "t.updated_at, t.token", "t.updated_at DESC, t.token"},
        {"token", "t.token", "t.token DESC"},
        {"key_alias", "t.key_alias, t.token", "t.key_alias DESC, t.token"},
        {"expires", "t.expires NULLS LAST, t.token", "t.expires DESC NULLS LAST, t.token"},
        {"last_active", "t.last_active NULLS LAST, t.token",
         "t.last_active DESC NULLS LAST, t.token"},
        {"budget_reset_at", "t.budget_reset_at NULLS LAST, t.token",
         "t.budget_reset_at DESC NULLS LAST, t.token"},
        {"total_spend", "t.total_spend, t.token", "t.total_spend DESC, t.token"},
        {"tpm_limit", "t.tpm_limit NULLS LAST, t.token", "t.tpm_limit DESC NULLS LAST, t.token"},
        {"rpm_limit", "t.rpm_limit NULLS LAST, t.token", "t.rpm_limit DESC NULLS LAST, t.token"},
    };
    return sort_order(c, rows, ARRAY_LEN(rows), "t.created_at DESC, t.token DESC");
}

static bool check_choice(struct call *c, const char *name, const char *values, const char *shown)
{
    struct str v = in_text(c, name);

    if (!v.p || str_is_among(v, str_of(values)))
        return true;
    refuse(c, 400, "Invalid %s value. Supported: %s.", name, shown);
    return false;
}

static bool wants_users(const struct call *c)
{
    yyjson_mut_val *list = in_val(c, "expand"), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (yyjson_mut_equals_str(v, "user"))
            return true;
    }
    return false;
}

/* Hashes, or the rows, with their owners where asked for. */
static yyjson_mut_val *shown(struct call *c, yyjson_mut_val *rows)
{
    struct store *s = &c->store;
    bool users = wants_users(c), full = users || in_bool(c, "return_full_object");
    yyjson_mut_val *list = row_list(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        yyjson_mut_val *one = full ? row_copy(s, row) : row_copy(s, row_val(row, "token"));
        struct str user_id = row_text(row, "user_id");
        if (users && user_id.n) {
            yyjson_mut_val *user = store_get(s, TABLE_USER, user_id);
            if (user)
                (void)yyjson_mut_obj_remove_key(user, "password");
            row_put(s, one, "user", user);
        }
        row_append(s, list, one);
    }
    return list;
}

void api_key_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    enum table t = str_eq(in_text(c, "status"), STR("deleted")) ? TABLE_DELETED_KEY : TABLE_KEY;
    int64_t page = in_int(c, "page"), size = in_int(c, "size"), total;
    struct my_teams my = {0};
    const char *order;
    yyjson_mut_val *out = row_new(s), *rows;

    if (!check_choice(c, "status", "active|expired|revoked|deleted",
                      "'active', 'expired', 'revoked', 'deleted'") ||
        !check_choice(c, "expires", "active|expired", "'active', 'expired'"))
        return;
    if (!rbac_sees_all(&c->caller) && c->caller.user_id.n)
        my = my_teams(c);
    order = order_of(c);
    if (!order || !check_list(c, &my))
        return;
    filter_owner(c, &f, &my);
    filter_rest(c, &f);
    total = filter_count(s, t, &f, COUNT_MAX);
    rows = filter_page(s, t, &f, order, size, (page - 1) * size);
    row_put(s, out, "keys", shown(c, rows));
    row_put_int(s, out, "total_count", total);
    row_put_int(s, out, "current_page", page);
    row_put_int(s, out, "total_pages", (total + size - 1) / size);
    reply(c, out);
}

void api_key_aliases(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    int64_t page = in_int(c, "page"), size = in_int(c, "size"), total;
    struct str search = in_text(c, "search"), team_id = in_text(c, "team_id");
    yyjson_mut_val *out = row_new(s), *names = row_list(s), *rows, *row;
    size_t i, n;

    if (!rbac_sees_all(&c->caller)) {
        struct my_teams my = c->caller.user_id.n ? my_teams(c) : (struct my_teams){0};
        FILTER_ADD(&f, "t.user_id = $? OR t.team_id = ANY ($?::text[])", DB_TEXT(c->caller.user_id),
                   DB_TEXTS(my.all, my.n_all));
    }
    FILTER_ADD0(&f, "t.key_alias <> ''");
    FILTER_ADD0(&f, NO_SESSIONS);
    if (search.n)
        FILTER_ADD(&f, "t.key_alias ILIKE $?", DB_TEXT(filter_contains(&c->arena, search)));
    if (team_id.n)
        FILTER_ADD(&f, "t.team_id = $?", DB_TEXT(team_id));
    total = filter_count(s, TABLE_KEY, &f, COUNT_MAX);
    rows = filter_page(s, TABLE_KEY, &f, "t.key_alias, t.token", size, (page - 1) * size);
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append(s, names, row_val(row, "key_alias"));
    }
    row_put(s, out, "aliases", names);
    row_put_int(s, out, "total_count", total);
    row_put_int(s, out, "current_page", page);
    row_put_int(s, out, "total_pages", (total + size - 1) / size);
    row_put_int(s, out, "size", size);
    reply(c, out);
}

/* Callbacks are not called by this program: a key without any is healthy. */
void api_key_health(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    if (row_val(row_val(c->caller.key, "metadata"), "logging")) {
        refuse_text(c, 501,
                    "Logging callbacks of keys are not built yet, so they cannot be tried.");
        return;
    }
    row_put_text(s, out, "key", STR("healthy"));
    row_put_null(s, out, "logging_callbacks");
    reply(c, out);
}
