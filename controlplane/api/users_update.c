/* Users changed, one or many (litellm-controlplane.md 2.3). */

#include "api/users_priv.h"
#include "audit/audit.h"
#include "auth/password.h"

/* Columns that are changed where they were sent and are not empty, and those that null clears. */
static const char *const columns[] = {"user_alias",
                                      "user_email",
                                      "user_role",
                                      "spend",
                                      "models",
                                      "max_parallel_requests",
                                      "allowed_cache_controls"};
static const char *const nullable[] = {"max_budget", "tpm_limit", "rpm_limit"};

/* What users change of themselves. */
static const char *const own[] = {"user_id", "user_email", "user_alias"};

/* ---- who ---- */

static bool check_own(struct call *c, const yyjson_mut_val *req)
{
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)req, i, n, k, v)
    {
        bool is_own = false;
        for (size_t x = 0; x < ARRAY_LEN(own); x++)
            is_own |= yyjson_mut_equals_str(k, own[x]);
        if (is_own)
            continue;
        refuse(c, 403,
               "Non-admin users cannot modify '%s' on their own record. Contact your proxy admin.",
               yyjson_mut_get_str(k));
        return false;
    }
    return true;
}

/* `was` NULL: there is none, or none the caller may know of. */
static bool check_may_update(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *was)
{
    if (rbac_is_admin(&c->caller))
        return true;
    if (row_val(req, "user_role")) {
        refuse_text(c, 403, "Only proxy admins can modify user roles.");
        return false;
    }
    if (!was || !user_is_visible(c, was)) {
        refuse(c, 404,
               "User not found. Only PROXY_ADMIN can create users via /user/update; use /user/new "
               "instead.");
        return false;
    }
    if (rbac_is_self(&c->caller, row_text(was, "user_id")))
        return check_own(c, req);
    refuse(c, 403,
           "User does not have permission to update this user. Only PROXY_ADMIN can update other "
           "users.");
    return false;
}

static bool check_password(struct call *c, struct str password)
{
    struct str faults = password.p ? password_faults(&c->arena, password) : (struct str){0};

    if (!faults.n)
        return true;
    refuse_as(c, 400, "validation_error", "password",
              "Password does not meet the required policy: must " STR_FMT ".", STR_ARG(faults));
    return false;
}

static bool check_request(struct call *c, const yyjson_mut_val *req)
{
    if (!row_text(req, "user_id").n && !row_text(req, "user_email").n) {
        refuse_value(c, NULL, "Either user id or user email must be provided");
        return false;
    }
    return user_check_values(c, req) && check_password(c, row_text(req, "password"));
}

/* Users are found by their address: it stays one user's. */
static bool check_email(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *was)
{
    struct str email = row_text(req, "user_email"), id = row_text(was, "user_id");

    if (!email.n || !user_email_is_taken(&c->store, email, id.p ? id : STR("")))
        return true;
    refuse(c, 409, "User with email " STR_FMT " already exists", STR_ARG(email));
    return false;
}

/* ---- what ---- */

static bool is_empty(yyjson_mut_val *v)
{
    return yyjson_mut_is_ctn(v) && !yyjson_mut_get_len(v);
}

/* Whoever sets it knows it: it is to be changed at the next login. */
static void put_password(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    struct str password = row_text(req, "password");

    if (!password.p)
        return;
    row_put_text(s, row, "password", password_hash(&c->arena, password));
    row_put_bool(s, row, "password_reset_required", true);
    row_put_null(s, row, "last_breach_check_at");
}

/* The old one may be known: whoever is logged in with it is no more. */
static void end_sessions(struct call *c, struct str id)
{
    yyjson_mut_val *keys = user_lock_keys(&c->store, id), *key;
    size_t i, n;

    yyjson_mut_arr_foreach(keys, i, n, key)
    {
        if (str_eq(row_text(key, "team_id"), STR("litellm-dashboard")))
            key_remove(c, key);
    }
}

static void put_permission(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                           const yyjson_mut_val *was)
{
    yyjson_mut_val *wanted = row_sent(req, "object_permission");

    if (wanted && (yyjson_mut_is_null(wanted) || is_empty(wanted)))
        row_put_null(&c->store, row, "object_permission_id");
    else
        object_permission_put(c, row, req, row_text(was, "object_permission_id"));
}

/* What of the row changes; NULL with an answer. */
static yyjson_mut_val *changes_of(struct call *c, const yyjson_mut_val *asked,
                                  const yyjson_mut_val *was)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s), *req = row_copy(s, asked), *v;

    if (!row_sent(req, "max_budget") || !row_sent(req, "budget_duration")) {
        yyjson_mut_val *filled = row_copy(s, req);
        user_fill_limits(c, filled);
        if (!row_sent(req, "max_budget"))
            row_take(s, req, filled, (const char *const[]){"max_budget"}, 1);
        if (!row_sent(req, "budget_duration"))
            row_take(s, req, filled, (const char *const[]){"budget_duration"}, 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        v = row_val(req, columns[i]);
        if (v && !is_empty(v))
            row_put(s, row, columns[i], v);
    }
    for (size_t i = 0; i < ARRAY_LEN(nullable); i++)
        if ((v = row_sent(req, nullable[i])))
            row_put(s, row, nullable[i], v);
    if ((v = row_sent(req, "model_max_budget")))
        row_put(s, row, "model_max_budget", yyjson_mut_is_null(v) ? row_new(s) : v);
    limit_put_period(c, row, req);
    if (!key_put_metadata(c, row, req, was ? row_val(was, "metadata") : NULL))
        return NULL;
    put_permission(c, row, req, was);
    put_password(c, row, req);
    return row;
}

static yyjson_mut_val *create(struct call *c, const yyjson_mut_val *req, yyjson_mut_val *row)
{
    struct store *s = &c->store;
    struct str id = row_text(req, "user_id");
    yyjson_mut_val *made;

    if (!id.n)
        id = store_uuid(s);
    row_put_text(s, row, "user_id", id);
    made = store_insert(s, TABLE_USER, row);
    if (made)
        audit_created(c, TABLE_USER, id, made);
    return made;
}

/* Changes the user, or makes the one an admin named; the row as it is then, or NULL with an answer
 * or a fault. */
static yyjson_mut_val *update(struct call *c, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    struct str id = row_text(req, "user_id"), email = row_text(req, "user_email");
    yyjson_mut_val *was, *changes, *now;

    if (!check_request(c, req))
        return NULL;
    was = id.n ? store_lock(s, TABLE_USER, id) : user_lock_email(s, email);
    if (!check_may_update(c, req, was) || !check_email(c, req, was))
        return NULL;
    changes = changes_of(c, req, was);
    if (!changes)
        return NULL;
    if (!was)
        return create(c, req, changes);
    id = row_text(was, "user_id");
    now = store_update(s, TABLE_USER, id, changes);
    if (now)
        audit_updated(c, TABLE_USER, id, was, changes);
    if (now && row_val(req, "password"))
        end_sessions(c, id);
    return now;
}

void api_user_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *now = update(c, c->in), *out = row_new(s);

    if (!now)
        return;
    row_put(s, out, "user_id", row_val(now, "user_id"));
    row_put(s, out, "data", user_shown(c, now));
    reply(c, out);
}

/* ---- many ---- */

/* Of everybody: each a request of their own. */
static yyjson_mut_val *requests_for_all(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *rows = STORE_LIST(s, TABLE_USER, "ORDER BY t.user_id LIMIT $1",
                                      DB_INT(USERS_MAX + 1)),
                   *list = row_list(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        yyjson_mut_val *one = row_copy(s, in_val(c, "user_updates"));
        row_put(s, one, "user_id", row_val(row, "user_id"));
        row_append(s, list, one);
    }
    return list;
}

/* The requests; NULL with an answer. */
static yyjson_mut_val *requests_of(struct call *c)
{
    bool all = in_bool(c, "all_users") && in_set(c, "user_updates");
    yyjson_mut_val *list = in_val(c, "users");
    size_t n = yyjson_mut_arr_size(list);

    if (n && in_bool(c, "all_users")) {
        refuse_value(c, NULL,
                     "Cannot specify both 'users' and 'all_users=True'. Choose one approach.");
        return NULL;
    }
    if (!n && !all) {
        refuse(c, 400,
               "Must specify either 'users' for individual updates or 'all_users=True' with "
               "'user_updates' for bulk updates");
        return NULL;
    }
    if (all && row_val(in_val(c, "user_updates"), "password")) {
        refuse(c, 400,
               "Setting one password for all users is not supported. Use per-user updates via the "
               "'users' list instead.");
        return NULL;
    }
    if (all) {
        list = requests_for_all(c);
        n = yyjson_mut_arr_size(list);
    }
    if (n && n <= USERS_MAX)
        return list;
    if (n)
        refuse(c, 400, "Maximum %d users can be updated at once. Found %zu users.", USERS_MAX, n);
    else
        refuse(c, 400, "No users found to update");
    return NULL;
}

/* One of them; a refusal becomes its error. */
static bool update_one(struct call *c, const yyjson_mut_val *req, yyjson_mut_val *results)
{
    struct store *s = &c->store;
    yyjson_mut_val *now = update(c, req), *one = row_new(s);

    row_put(s, one, "user_id", now ? row_val(now, "user_id") : row_val(req, "user_id"));
    row_put(s, one, "user_email", row_val(req, "user_email"));
    row_put_bool(s, one, "success", now != NULL);
    row_put_text(s, one, "error", now ? (struct str){0} : refusal_text(c));
    row_put(s, one, "updated_user", now ? user_shown(c, now) : NULL);
    row_append(s, results, one);
    refusal_clear(c);
    return now != NULL;
}

void api_user_bulk_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = requests_of(c), *results = row_list(s), *out = row_new(s), *req;
    int64_t done = 0;
    size_t i, n;

    if (!list)
        return;
    yyjson_mut_arr_foreach(list, i, n, req)
    {
        done += update_one(c, req, results);
    }
    c->is_unchanged = !done;
    row_put(s, out, "results", results);
    row_put_int(s, out, "total_requested", (int64_t)n);
    row_put_int(s, out, "successful_updates", done);
    row_put_int(s, out, "failed_updates", (int64_t)n - done);
    reply(c, out);
}
