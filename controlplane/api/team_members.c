/* Members of teams added, changed and removed. The team's row is locked from its reading to the end
 * of the transaction, so that of two who change the list at once neither is lost. */

#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/teams_priv.h"
#include "audit/audit.h"

/* ---- add ---- */

static bool is_member(const yyjson_mut_val *list, const struct member *m)
{
    yyjson_mut_val *one;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, one)
    {
        if ((m->user_id.n && str_eq(row_text(one, "user_id"), m->user_id)) ||
            (m->user_email.n && str_eq(row_text(one, "user_email"), m->user_email)))
            return true;
    }
    return false;
}

/* The budget a new member begins with: of the request, else the team's for all, else none. */
static struct str budget_of_new(struct call *c, const yyjson_mut_val *team,
                                const yyjson_mut_val *terms)
{
    struct store *s = &c->store;
    struct str shared = row_text(row_val(team, "metadata"), "team_member_budget_id");
    yyjson_mut_val *models = row_val(terms, "allowed_models"),
                   *most = row_val(terms, "max_budget_in_team");
    struct str period = row_text(terms, "budget_duration");
    yyjson_mut_val *dflt = shared.n ? store_get(s, TABLE_BUDGET, shared) : NULL,
                   *budget = row_new(s);
    yyjson_mut_val *of_team = row_val(team, "default_team_member_models");

    if (!models && yyjson_mut_arr_size(of_team))
        models = of_team;
    if (!models && !most && !period.n)
        return row_text(dflt, "budget_id");
    if (!models && !most && dflt)
        budget = row_copy(s, dflt);
    else if (!most && dflt && !period.n)
        period = row_text(dflt, "budget_duration");
    row_put_null(s, budget, "budget_id");
    (void)yyjson_mut_obj_remove_key(budget, "created_at");
    (void)yyjson_mut_obj_remove_key(budget, "updated_at");
    if (most)
        row_put(s, budget, "max_budget", most);
    if (models)
        row_put(s, budget, "allowed_models", models);
    if (period.n) {
        row_put_text(s, budget, "budget_duration", period);
        limit_put_period(c, budget, budget);
    }
    return budget_create(c, budget);
}

yyjson_mut_val *team_add_members(struct call *c, const yyjson_mut_val *team,
                                 struct team_addition *a)
{
    struct store *s = &c->store;
    struct str team_id = row_text(team, "team_id");
    yyjson_mut_val *list = team_members(s, team), *one;

    for (size_t i = 0; i < a->n; i++) {
        struct member *m = &a->members[i];
        if (is_member(list, m))
            continue;
        if (!(c->caller.is_master &&
              str_eq(m->user_id, c->caller.user_id))) { /* the master key is no user */
            member_make_user(c, m);
            team_add_to_user(s, team_id, m->user_id);
            m->user = store_get(s, TABLE_USER, m->user_id);
            row_append(s, a->users, member_shown(c, m->user));
        }
        one = team_join(s, team_id, m->user_id, budget_of_new(c, team, a->terms));
        row_append(s, a->memberships, membership_shown(c, one));
        one = row_new(s);
        row_put_text(s, one, "user_id", m->user_id);
        row_put_text(s, one, "user_email", m->user_email.n ? m->user_email : (struct str){0});
        row_put_text(s, one, "role", m->role);
        row_append(s, list, one);
    }
    return list;
}

static struct str ids_shown(struct call *c, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = team_members(s, team), *ids = row_list(s), *m;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, m)
    {
        if (row_text(m, "user_id").n)
            row_append_text(s, ids, row_text(m, "user_id"));
    }
    return python_list(s, ids);
}

static bool check_new(struct call *c, const yyjson_mut_val *team, const struct team_addition *a,
                      bool is_list)
{
    yyjson_mut_val *list = team_members(&c->store, team);
    const struct member *m = a->members;
    size_t known = 0;

    for (size_t i = 0; i < a->n; i++)
        known += is_member(list, &m[i]);
    if (known < a->n || !a->n)
        return true;
    struct str ids = ids_shown(c, team);
    if (is_list)
        refuse_as(c, 400, "team_member_already_in_team", "member",
                  "All users are already in team. Existing members=" STR_FMT, STR_ARG(ids));
    else
        refuse_as(c, 400, "team_member_already_in_team", "member",
                  "User already in team. Member: user_id=" STR_FMT ", user_email=" STR_FMT
                  ". Existing members=" STR_FMT,
                  STR_ARG(m->user_id.n ? m->user_id : STR("None")),
                  STR_ARG(m->user_email.n ? m->user_email : STR("None")), STR_ARG(ids));
    return false;
}

/* Whoever may join by themselves adds themselves, as a user, on the team's terms. */
static bool check_may_join(struct call *c, const yyjson_mut_val *team,
                           const struct team_addition *a)
{
    if (rbac_runs_team(&c->caller, team))
        return true;
    if (!team_is_available(c, row_text(team, "team_id")))
        return team_check_runs(c, team, "/team/member_add");
    if (row_val(a->terms, "max_budget_in_team") || row_val(a->terms, "budget_duration") ||
        row_val(a->terms, "allowed_models")) {
        refuse(c, 403,
               "Available-team self-join cannot set per-member budget or model controls "
               "(max_budget_in_team, "
               "budget_duration, allowed_models); these are admin-only.");
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (!str_eq(a->members[i].role, STR("user"))) {
            refuse(c, 403,
                   "Available-team self-join cannot assign 'admin' role. Only proxy/team/org "
                   "admins can add admins to "
                   "a team.");
            return false;
        }
        if (!rbac_is_self(&c->caller, a->members[i].user_id)) {
            refuse(c, 403,
                   "Available-team self-join can only add the caller (user_id must match the "
                   "authenticated user's "
                   "user_id).");
            return false;
        }
    }
    return true;
}

/* Ids come from admins; others invite by e-mail address. */
static bool check_known(struct call *c, const struct team_addition *a, size_t i, bool named_by_id)
{
    if (rbac_is_admin(&c->caller) || !named_by_id || a->members[i].user)
        return true;
    refuse(c, 403,
           "Only proxy admins can add a user_id that does not exist yet: " STR_FMT
           ". Add the member by user_email to invite a new user, or ask a proxy admin to create "
           "the user first.",
           STR_ARG(a->members[i].user_id));
    return false;
}

static bool resolve(struct call *c, struct team_addition *a)
{
    for (size_t i = 0; i < a->n; i++) {
        bool by_id = a->members[i].user_id.n;
        if (!member_resolve(c, &a->members[i]) || !check_known(c, a, i, by_id))
            return false;
    }
    return true;
}

/* The team as it is then, or NULL with an answer. */
static yyjson_mut_val *add(struct call *c, const yyjson_mut_val *team, struct team_addition *a,
                           bool is_list)
{
    struct store *s = &c->store;
    struct str id = row_text(team, "team_id");
    yyjson_mut_val *changes = row_new(s), *now;

    if (!check_not_negative(c, a->terms, "max_budget_in_team") ||
        !limit_check_period(c, a->terms, "budget_duration") || !check_may_join(c, team, a) ||
        !check_new(c, team, a, is_list) || !resolve(c, a) || !check_new(c, team, a, is_list))
        return NULL;
    row_put(s, changes, "members_with_roles", team_add_members(c, team, a));
    now = store_update(s, TABLE_TEAM, id, changes);
    if (!now)
        return NULL;
    audit_updated(c, TABLE_TEAM, id, team, changes);
    yyjson_mut_val *out = team_shown(c, now);
    row_put(s, out, "updated_users", a->users);
    row_put(s, out, "updated_team_memberships", a->memberships);
    return out;
}

static yyjson_mut_val *find_to_add(struct call *c)
{
    struct str id = in_text(c, "team_id");
    yyjson_mut_val *team = team_find(c, id, true);

    if (!team)
        refuse(c, 404, "Team not found for team_id=" STR_FMT, STR_ARG(id));
    return team;
}

void api_team_member_add(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *value = in_val(c, "member"), *team, *now;
    struct team_addition a = {
        .terms = row_copy(s, c->in), .users = row_list(s), .memberships = row_list(s)};

    if (!members_read(c, value, FIELDS_MEMBER, &a.members, &a.n))
        return;
    team = find_to_add(c);
    now = team ? add(c, team, &a, yyjson_mut_is_arr(value)) : NULL;
    if (now)
        reply(c, now);
}

/* The first of `list` about that user, or NULL. */
static yyjson_mut_val *about(const yyjson_mut_val *list, struct str user_id)
{
    yyjson_mut_val *one;
    size_t i, n;

    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, one)
    {
        if (user_id.n && str_eq(row_text(one, "user_id"), user_id))
            return one;
    }
    return NULL;
}

static void reply_bulk(struct call *c, const struct team_addition *a, const yyjson_mut_val *now,
                       struct str reason)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *results = row_list(s);

    for (size_t i = 0; i < a->n; i++) {
        const struct member *m = &a->members[i];
        yyjson_mut_val *one = row_new(s);
        row_put_text(s, one, "user_id", m->user_id.n ? m->user_id : (struct str){0});
        row_put_text(s, one, "user_email", m->user_email.n ? m->user_email : (struct str){0});
        row_put_bool(s, one, "success", now != NULL);
        row_put_text(s, one, "error", reason);
        row_put(s, one, "updated_user", now ? about(a->users, m->user_id) : NULL);
        row_put(s, one, "updated_team_membership", now ? about(a->memberships, m->user_id) : NULL);
        row_append(s, results, one);
    }
    row_put_text(s, out, "team_id", in_text(c, "team_id"));
    row_put(s, out, "results", results);
    row_put_int(s, out, "total_requested", (int64_t)a->n);
    row_put_int(s, out, "successful_additions", now ? (int64_t)a->n : 0);
    row_put_int(s, out, "failed_additions", now ? 0 : (int64_t)a->n);
    row_put(s, out, "updated_team", now);
    reply(c, out);
}

/* Everybody there is, if they are not too many. */
static yyjson_mut_val *everybody(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *users = STORE_LIST(
        s, TABLE_USER, "ORDER BY t.created_at DESC, t.user_id LIMIT $1", DB_INT(MEMBERS_MAX + 1));
    yyjson_mut_val *list = row_list(s), *user;
    size_t i, n;

    yyjson_mut_arr_foreach(users, i, n, user)
    {
        yyjson_mut_val *one = row_new(s);
        row_put(s, one, "user_id", row_val(user, "user_id"));
        row_put_text(s, one, "role", STR("user"));
        row_append(s, list, one);
    }
    return list;
}

void api_team_bulk_member_add(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = in_bool(c, "all_users") ? everybody(c) : in_val(c, "members"), *team,
                   *now;
    struct team_addition a = {
        .terms = row_copy(s, c->in), .users = row_list(s), .memberships = row_list(s)};

    if (!yyjson_mut_arr_size(list)) {
        refuse(c, 400, "At least one member is required");
        return;
    }
    if (!members_read(c, list, FIELDS_MEMBER, &a.members, &a.n))
        return;
    team = find_to_add(c);
    if (!team || !check_may_join(c, team, &a))
        return;
    now = add(c, team, &a, true);
    if (now || !c->is_refused) {
        reply_bulk(c, &a, now, (struct str){0});
        return;
    }
    struct str reason = refusal_text(c); /* all or none: nothing was written */
    refusal_clear(c);
    c->is_unchanged = true;
    reply_bulk(c, &a, NULL, reason);
}

/* ---- find one ---- */

static yyjson_mut_val *find_to_change(struct call *c)
{
    struct str id = in_text(c, "team_id");
    yyjson_mut_val *team;

    if (!member_check_named(c))
        return NULL;
    team = team_find(c, id, true);
    if (!team)
        refuse(c, 404, "Team id=" STR_FMT " does not exist in db", STR_ARG(id));
    else if (team_check_runs(c, team, "/team/member_delete")) /* for both, as LiteLLM words it */
        return team;
    return NULL;
}

/* ---- delete ---- */

/* The user leaves with their keys in the team; true when there was something of them. */
static bool leave(struct call *c, struct str team_id, struct str user_id)
{
    struct store *s = &c->store;
    yyjson_mut_val *keys, *key;
    size_t i, n;
    bool was = team_take_from_users(s, team_id, user_id) > 0;

    team_leave(s, team_id, user_id);
    keys = STORE_LIST(s, TABLE_KEY,
                      "WHERE t.team_id = $1 AND t.user_id = $2 ORDER BY t.token FOR UPDATE",
                      DB_TEXT(team_id), DB_TEXT(user_id));
    yyjson_mut_arr_foreach(keys, i, n, key)
    {
        key_remove(c, key);
    }
    return was;
}

void api_team_member_delete(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "team_id"), user_id = in_text(c, "user_id"),
               email = in_text(c, "user_email");
    yyjson_mut_val *team = find_to_change(c), *list, *left = row_list(s), *changes = row_new(s),
                   *now, *m;
    bool found = false;
    size_t i, n;

    if (!team)
        return;
    list = team_members(s, team);
    yyjson_mut_arr_foreach(list, i, n, m)
    {
        struct str member = row_text(m, "user_id");
        if ((user_id.n && str_eq(member, user_id)) ||
            (email.n && str_eq(row_text(m, "user_email"), email))) {
            found = true;
            if (member.n)
                (void)leave(c, id, member);
        } else {
            row_append(s, left, m);
        }
    }
    if (!found && user_id.n)
        found = leave(c, id, user_id); /* the user's row may still name the team */
    if (!found) {
        refuse(c, 400, "User not found in team");
        return;
    }
    row_put(s, changes, "members_with_roles", left);
    now = store_update(s, TABLE_TEAM, id, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_TEAM, id, team, changes);
    reply(c, team_shown(c, now));
}

/* ---- update ---- */

/* Of the request, of the budget's row. */
static const struct {
    const char *sent, *column;
} limits[] = {
    {"max_budget_in_team", "max_budget"},
    {"tpm_limit", "tpm_limit"},
    {"rpm_limit", "rpm_limit"},
    {"budget_duration", "budget_duration"},
    {"allowed_models", "allowed_models"},
    {"temp_budget_increase", "temp_budget_increase"},
    {"temp_budget_expiry", "temp_budget_expiry"},
    {"model_max_budget", "model_max_budget"},
};

static bool has_limit(const yyjson_mut_val *budget)
{
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        yyjson_mut_val *v = row_val(budget, limits[i].column);
        if (v && !(yyjson_mut_is_ctn(v) && yyjson_mut_get_len(v) == 0))
            return true;
    }
    return false;
}

static yyjson_mut_val *limits_sent(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *patch = row_new(s);

    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (in_sent(c, limits[i].sent))
            row_put(s, patch, limits[i].column, in_val(c, limits[i].sent));
    if (row_sent(patch, "allowed_models") && !row_val(patch, "allowed_models"))
        row_put(s, patch, "allowed_models", row_list(s));
    limit_put_period(c, patch, patch);
    return patch;
}

/* The member's own budget changes in place; the team's, which others share, is left for one of
 * their own. */
static void set_limits(struct call *c, const yyjson_mut_val *team, struct str user_id,
                       const yyjson_mut_val *patch)
{
    struct store *s = &c->store;
    struct str team_id = row_text(team, "team_id"), has = {0};
    struct str shared = row_text(row_val(team, "metadata"), "team_member_budget_id");
    yyjson_mut_val *was, *next = row_new(s), *k, *v;
    size_t i, n;

    has = row_text(team_membership(s, team_id, user_id), "budget_id");
    was = has.n ? store_lock(s, TABLE_BUDGET, has) : NULL;
    for (i = 0; was && i < ARRAY_LEN(limits); i++)
        if (row_val(was, limits[i].column))
            row_put(s, next, limits[i].column, row_val(was, limits[i].column));
    row_put(s, next, "budget_reset_at", row_val(was, "budget_reset_at"));
    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)patch, i, n, k, v)
    {
        row_put(s, next, yyjson_mut_get_str(k), v);
    }
    if (!has_limit(next)) {
        team_set_member_budget(s, team_id, user_id, (struct str){0});
    } else if (was && !str_eq(has, shared)) {
        yyjson_mut_val *changes = row_copy(s, patch);
        row_put_text(s, changes, "updated_by", audit_actor(c));
        (void)store_update(s, TABLE_BUDGET, has, changes);
        audit_updated(c, TABLE_BUDGET, has, was, changes);
    } else {
        team_set_member_budget(s, team_id, user_id, budget_create(c, next));
    }
}

static bool check_limits(struct call *c)
{
    static const char *const numbers[] = {"max_budget_in_team", "tpm_limit", "rpm_limit"};

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (!check_not_negative(c, c->in, numbers[i]))
            return false;
    if (in_set(c, "temp_budget_increase") != in_set(c, "temp_budget_expiry")) {
        refuse(c, 400, "temp_budget_increase and temp_budget_expiry must be set together");
        return false;
    }
    return limit_check_period(c, c->in, "budget_duration");
}

/* By id, or by e-mail address: the member's place in the list; NULL with an answer. */
static yyjson_mut_val *member_named(struct call *c, yyjson_mut_val *list, struct str team_id)
{
    struct str user_id = in_text(c, "user_id"), email = in_text(c, "user_email");
    yyjson_mut_val *m;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, m)
    {
        if (user_id.n ? str_eq(row_text(m, "user_id"), user_id)
                      : str_eq(row_text(m, "user_email"), email))
            return m;
    }
    if (user_id.n)
        refuse(c, 404, "User " STR_FMT " is not a member of team " STR_FMT, STR_ARG(user_id),
               STR_ARG(team_id));
    else
        refuse(c, 400, "User id doesn't exist in team table. Data=" STR_FMT, STR_ARG(email));
    return NULL;
}

void api_team_member_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "team_id"), role = in_text(c, "role"), user_id;
    yyjson_mut_val *team = find_to_change(c), *list, *m, *changes = row_new(s), *patch,
                   *out = row_new(s);

    if (!team || !check_limits(c))
        return;
    list = team_members(s, team);
    m = member_named(c, list, id);
    if (!m)
        return;
    user_id = row_text(m, "user_id");
    patch = limits_sent(c);
    if (role.n) {
        row_put_text(s, m, "role", role);
        row_put(s, changes, "members_with_roles", list);
        (void)store_update(s, TABLE_TEAM, id, changes);
    }
    if (yyjson_mut_obj_size(patch)) {
        set_limits(c, team, user_id, patch);
        row_put(s, changes, "member_limits", patch);
    }
    c->is_unchanged = !yyjson_mut_obj_size(changes);
    if (!c->is_unchanged)
        audit_updated(c, TABLE_TEAM, id, team, changes);
    row_put_text(s, out, "team_id", id);
    row_put_text(s, out, "user_id", user_id);
    row_put(s, out, "user_email", in_val(c, "user_email"));
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        row_put(s, out, limits[i].sent, in_val(c, limits[i].sent));
    reply(c, out);
}
