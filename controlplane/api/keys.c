/* Keys made, changed, replaced, refused and deleted (litellm-controlplane.md 2.1, 3). */

#include <sys/random.h>

#include "common/clock.h"
#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/parts.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"

enum { BULK_MAX = 500, KEY_BYTES_MAX = 64 };

/* Members of a request that are columns of the same name. */
static const char *const columns[] = {
    "key_alias",
    "models",
    "spend",
    "max_budget",
    "user_id",
    "team_id",
    "agent_id",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "allowed_routes",
    "max_parallel_requests",
    "config",
    "permissions",
    "allowed_cache_controls",
    "model_max_budget",
    "aliases",
    "budget_fallbacks",
    "blocked",
    "budget_id",
    "router_settings",
    "organization_id",
    "project_id",
    "access_group_ids",
    "auto_rotate",
    "rotation_interval",
};

/* Members that are kept in the row's metadata. */
static const char *const in_metadata[] = {
    "model_rpm_limit",
    "model_tpm_limit",
    "mcp_rpm_limit",
    "tag_rpm_limit",
    "rpm_limit_type",
    "tpm_limit_type",
    "enforced_params",
    "temp_budget_increase",
    "temp_budget_expiry",
    "guardrails",
    "policies",
    "prompts",
    "tags",
    "disable_global_guardrails",
    "allowed_vector_store_indexes",
    "throttle_on_budget_exceeded",
    "allowed_passthrough_routes",
};

/* Columns that hold an object even when null was sent. */
static const char *const never_null[] = {"aliases", "config", "permissions", "model_max_budget",
                                         "budget_fallbacks"};

/* ---- parts of a row ---- */

static struct str random_key(struct call *c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned n = MIN(config_u32(&c->d->config->file, SETTING_ENV_LENGTH_OF_LITELLM_GENERATED_KEY),
                     KEY_BYTES_MAX);
    unsigned char raw[KEY_BYTES_MAX];
    char *out = arena_alloc(&c->arena, 3 + (size_t)n * 2 + 4), *p = out;
    uint32_t bits = 0;
    unsigned have = 0;

    if (!out)
        return (struct str){0};
    if (getrandom(raw, n, 0) != (ssize_t)n)
        abort(); /* a kernel without entropy makes no keys */
    memcpy(p, "sk-", 3);
    p += 3;
    for (unsigned i = 0; i < n; i++) {
        bits = bits << 8 | raw[i];
        for (have += 8; have >= 6; have -= 6)
            *p++ = digits[bits >> (have - 6) & 63];
    }
    if (have)
        *p++ = digits[bits << (6 - have) & 63];
    *p = '\0';
    return (struct str){out, (size_t)(p - out)};
}

/* Texts of moments, from durations; a key that never expires has none. */
static void put_moments(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    int64_t now = clock_wall_us();
    struct duration d;

    if (yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, "duration")) {
        bool ends = duration_parse(row_text(req, "duration"), &d);
        row_put_text(s, row, "expires",
                     ends ? store_time(s, duration_after(d, now)) : (struct str){0});
    }
    if (yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, "budget_duration")) {
        struct str text = row_text(req, "budget_duration");
        bool resets = duration_parse(text, &d);
        row_put_text(s, row, "budget_duration", resets ? text : (struct str){0});
        row_put_text(s, row, "budget_reset_at",
                     resets ? store_time(s, duration_next_reset(d, now)) : (struct str){0});
    }
    if (row_bool(req, "auto_rotate") && duration_parse(row_text(req, "rotation_interval"), &d))
        row_put_text(s, row, "key_rotation_at", store_time(s, duration_after(d, now)));
}

/* Each window with the moment it begins anew; an empty list is none. */
static void put_windows(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, "budget_limits");
    yyjson_mut_val *list, *w;
    struct duration d;
    size_t i, n;

    if (!sent)
        return;
    list = yyjson_mut_arr_size(sent) ? row_copy(s, sent) : NULL;
    yyjson_mut_arr_foreach(list, i, n, w)
    {
        if (!row_val(w, "reset_at") && duration_parse(row_text(w, "budget_duration"), &d))
            row_put_text(
                s, w, "reset_at",
                arena_printf(&c->arena, STR_FMT "Z",
                             STR_ARG(store_time(s, duration_next_reset(d, clock_wall_us())))));
    }
    row_put(s, row, "budget_limits", list);
}

bool key_put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                      const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = row_val(req, "metadata"), *made;
    yyjson_mut_val *account = row_val(stored, "service_account_id");
    bool changes = yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, "metadata") != NULL;

    made = sent ? row_copy(s, sent) : changes || !stored ? row_new(s) : row_copy(s, stored);
    if (account) {
        if (row_val(made, "service_account_id") &&
            !yyjson_mut_equals(row_val(made, "service_account_id"), account)) {
            refuse_text(c, 400,
                        "service_account_id is immutable once set and cannot be changed via "
                        "update.");
            return false;
        }
        row_put(s, made, "service_account_id", account);
    }
    for (size_t i = 0; i < ARRAY_LEN(in_metadata); i++) {
        yyjson_mut_val *v = row_val(req, in_metadata[i]);
        changes |= v != NULL;
        if (v)
            row_put(s, made, in_metadata[i], v);
    }
    if (changes || !stored)
        row_put(s, row, "metadata", made);
    return true;
}

static void put_columns(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req, bool is_new)
{
    struct store *s = &c->store;

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        yyjson_mut_val *v = yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, columns[i]);
        if (v && !(is_new && yyjson_mut_is_null(v)))
            row_put(s, row, columns[i], v);
    }
    for (size_t i = 0; i < ARRAY_LEN(never_null); i++)
        if (yyjson_mut_is_null(yyjson_mut_obj_get(row, never_null[i])))
            row_put(s, row, never_null[i], row_new(s));
}

static void put_routes_of_type(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    static const struct {
        struct str type;
        const char *group;
    } types[] = {
        {STR_INIT("llm_api"), "llm_api_routes"},
        {STR_INIT("management"), "management_routes"},
        {STR_INIT("read_only"), "info_routes"},
    };
    struct store *s = &c->store;
    struct str type = row_text(req, "key_type");

    if (!type.n)
        return;
    row_put_text(s, row, "key_type", type);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_eq(type, types[i].type))
            continue;
        yyjson_mut_val *list = row_list(s);
        (void)yyjson_mut_arr_add_str(s->doc, list, types[i].group);
        row_put(s, row, "allowed_routes", list);
    }
}

static void put_name(struct call *c, yyjson_mut_val *row, struct str key)
{
    if (!config_bool(&c->d->config->file, SETTING_ENV_DISABLE_KEY_NAME))
        row_put_text(&c->store, row, "key_name", key_masked(&c->arena, key));
}

/* A budget of its own for an alert. */
static void put_soft_budget(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *budget;
    double soft;

    if (!row_num(req, "soft_budget", &soft))
        return;
    budget = row_new(s);
    struct str id = store_uuid(s), by = audit_actor(c);
    row_put_text(s, budget, "budget_id", id);
    row_put_num(s, budget, "soft_budget", soft);
    if (row_val(req, "model_max_budget"))
        row_put(s, budget, "model_max_budget", row_val(req, "model_max_budget"));
    row_put_text(s, budget, "created_by", by);
    row_put_text(s, budget, "updated_by", by);
    (void)store_insert(s, TABLE_BUDGET, budget);
    audit_created(c, TABLE_BUDGET, id, budget);
    row_put_text(s, row, "budget_id", id);
}

/* Who deletes, for the archive. */
static struct key_deletion deletion_of(const struct call *c)
{
    return (struct key_deletion){c->caller.user_id, c->caller.key_hash, c->caller.changed_by};
}

/* ---- answers ---- */

/* A row as the answer to whoever made it: the key itself, once. */
static void reply_generated(struct call *c, const yyjson_mut_val *row, struct str key,
                            const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, row);
    double soft;

    row_put_text(s, out, "key", key);
    row_put(s, out, "token_id", row_val(row, "token"));
    if (row_num(req, "soft_budget", &soft))
        row_put_num(s, out, "soft_budget", soft);
    reply(c, out);
}

/* ---- generate ---- */

static yyjson_mut_val *new_row(struct call *c, const yyjson_mut_val *req, struct str key)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s);

    row_put_text(s, row, "token", key_sha256(&c->arena, key));
    put_name(c, row, key);
    put_columns(c, row, req, true);
    put_moments(c, row, req);
    put_windows(c, row, req);
    put_routes_of_type(c, row, req);
    if (!key_put_metadata(c, row, req, NULL))
        return NULL;
    object_permission_put(c, row, req, (struct str){0});
    put_soft_budget(c, row, req);
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    row_put_text(s, row, "created_by", c->caller.user_id);
    row_put_text(s, row, "updated_by", c->caller.user_id);
    return row;
}

static void generate(struct call *c, yyjson_mut_val *req, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "key");

    if (!key_check_values(c, req))
        return;
    if (!rbac_is_admin(&c->caller) && !key_check_grant(c, req, team))
        return;
    key_fill_defaults(c, req);
    if (!key_check_upper_bounds(c, req, true) || !key_check_throughput(c, req, NULL, team) ||
        !key_check_alias(c, row_text(req, "key_alias"), STR("")) ||
        !key_check_chosen(c, key, true) ||
        !key_check_organization(c, row_text(req, "organization_id"), team))
        return;
    if (!key.p)
        key = random_key(c);
    yyjson_mut_val *row = new_row(c, req, key), *made;
    if (!row)
        return;
    struct str hash = row_text(row, "token");
    made = store_insert(s, TABLE_KEY, row);
    if (made) {
        audit_created(c, TABLE_KEY, hash, made);
    } else if (rbac_is_admin(&c->caller)) {
        made = store_get(s, TABLE_KEY, hash); /* it existed: as it is */
        c->is_unchanged = true;
    } else {
        refuse(c, 400, "This key exists already.");
        return;
    }
    reply_generated(c, made, key, req);
}

yyjson_mut_val *key_create(struct call *c, const yyjson_mut_val *req, struct str *ret_key)
{
    struct str key = random_key(c);
    yyjson_mut_val *row = new_row(c, req, key), *made;

    made = row ? store_insert(&c->store, TABLE_KEY, row) : NULL;
    if (made) {
        audit_created(c, TABLE_KEY, row_text(made, "token"), made);
        *ret_key = key;
    }
    return made;
}

void key_remove(struct call *c, const yyjson_mut_val *row)
{
    struct key_deletion who = deletion_of(c);
    struct str hash = row_text(row, "token");

    key_archive(&c->store, row, &who);
    audit_deleted(c, TABLE_KEY, hash, row);
    (void)TX_QUERY(&c->store.tx, "DELETE FROM \"LiteLLM_JWTKeyMapping\" WHERE token = $1",
                   DB_TEXT(hash));
    (void)store_delete(&c->store, TABLE_KEY, hash);
}

static yyjson_mut_val *team_of(struct call *c, const yyjson_mut_val *req)
{
    struct str id = row_text(req, "team_id");

    return id.n ? store_get(&c->store, TABLE_TEAM, id) : NULL;
}

void api_key_generate(struct call *c)
{
    yyjson_mut_val *req = row_copy(&c->store, c->in), *team = team_of(c, req);

    if (!rbac_is_admin(&c->caller) && !row_val(req, "user_id"))
        row_put_text(&c->store, req, "user_id", c->caller.user_id);
    if (key_check_may_generate(c, req, team, STR("/key/generate")))
        generate(c, req, team);
}

void api_key_generate_service_account(struct call *c)
{
    yyjson_mut_val *req = row_copy(&c->store, c->in), *team = team_of(c, req);

    if (!row_val(req, "team_id")) {
        refuse_text(c, 400,
                    "team_id is required for service account keys. Please specify `team_id` in the "
                    "request body.");
        return;
    }
    if (!team) {
        refuse_text(c, 400,
                    "team_id does not exist in the database. Please specify a valid `team_id` in "
                    "the request body.");
        return;
    }
    row_put_null(&c->store, req, "user_id");
    if (key_check_may_generate(c, req, team, STR("/key/service-account/generate")))
        generate(c, req, team);
}

/* ---- update ---- */

static bool is_budget_change(const yyjson_mut_val *req)
{
    static const char *const names[] = {"max_budget", "budget_limits", "spend", "budget_id",
                                        "soft_budget"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, names[i]))
            return true;
    return false;
}

static bool check_owner_change(struct call *c, const yyjson_mut_val *req,
                               const struct key_target *t)
{
    yyjson_mut_val *sent = yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)req, "user_id");
    struct str now = row_text(req, "user_id"), was = row_text(t->row, "user_id");

    if (!sent || rbac_is_admin(&c->caller) || str_eq(now, was))
        return true;
    if (!now.n)
        refuse_text(c, 403, "Non-admin users cannot remove the user_id from a key.");
    else
        refuse_text(c, 403,
                    "Non-admin caller is not allowed to rebind the key from user=" STR_FMT
                    " to user=" STR_FMT,
                    STR_ARG(was), STR_ARG(now));
    return false;
}

/* May change it at all; budgets only those who run it. */
static bool check_may_update(struct call *c, const yyjson_mut_val *req, const struct key_target *t)
{
    bool budget = is_budget_change(req);

    if (key_is_run(c, t))
        return true;
    if (t->team && team_role_of(t->team, c->caller.user_id).n && !key_is_own(c, t) &&
        !key_check_member(c, t->team, STR("/key/update")))
        return false;
    if (!budget && (key_is_own(c, t) || (t->team && team_role_of(t->team, c->caller.user_id).n)))
        return true;
    refuse(
        c, 403,
        "Only proxy admins, team admins, or org admins can call %s. user_role=%s, user_id=" STR_FMT,
        budget ? "/key/update (max_budget/spend)" : "/key/update", role_name(c->caller.role),
        STR_ARG(c->caller.user_id));
    return false;
}

/* A key that moves to another team fits there. */
static bool check_move(struct call *c, const struct key_target *t, const yyjson_mut_val *to)
{
    struct str team_id = row_text(to, "team_id"), user_id = row_text(t->row, "user_id");
    struct str hash = t->hash, model;
    double own, most;

    model = models_beyond(row_val(t->row, "models"), row_val(to, "models"));
    if (model.n && !str_eq(model, STR("all-team-models"))) {
        refuse_text(c, 403, "Team=" STR_FMT " does not have access to model=" STR_FMT,
                    STR_ARG(team_id), STR_ARG(model));
        return false;
    }
    if (row_num(t->row, "tpm_limit", &own) && row_num(to, "tpm_limit", &most) && own > most) {
        refuse_text(c, 403,
                    "Key=" STR_FMT " has a tpm_limit=%.0f which is greater than the team's "
                    "tpm_limit=%.0f.",
                    STR_ARG(hash), own, most);
        return false;
    }
    if (row_num(t->row, "rpm_limit", &own) && row_num(to, "rpm_limit", &most) && own > most) {
        refuse_text(c, 403,
                    "Key=" STR_FMT " has a rpm_limit=%.0f which is greater than the team's "
                    "rpm_limit=%.0f.",
                    STR_ARG(hash), own, most);
        return false;
    }
    if (user_id.n && !team_role_of(to, user_id).n) {
        refuse_text(c, 403,
                    "User=" STR_FMT " is not a member of the team=" STR_FMT
                    ". Check team members via `/team/info`.",
                    STR_ARG(user_id), STR_ARG(team_id));
        return false;
    }
    if (rbac_runs_team(&c->caller, to) ||
        (team_role_of(to, c->caller.user_id).n && team_permits(to, STR("/key/update"))))
        return true;
    refuse_text(c, 403,
                "User=" STR_FMT " is not a Proxy Admin or Team Admin for team=" STR_FMT
                ". Please ask your Proxy Admin to allow this action under 'Member Permissions' for "
                "this team.",
                STR_ARG(c->caller.user_id), STR_ARG(team_id));
    return false;
}

/* The team the key will be of; false with an answer when it cannot be moved there. */
static bool check_team(struct call *c, const yyjson_mut_val *req, const struct key_target *t,
                       yyjson_mut_val **ret_team)
{
    struct str to = row_text(req, "team_id");

    *ret_team = t->team;
    if (!to.p || str_eq(to, row_text(t->row, "team_id")))
        return true;
    *ret_team = store_get(&c->store, TABLE_TEAM, to);
    if (*ret_team)
        return check_move(c, t, *ret_team);
    refuse_text(c, 400,
                "Team not found for team_id=" STR_FMT
                ". Non-admin users cannot set keys to non-existent teams.",
                STR_ARG(to));
    return false;
}

/* What of the row changes; NULL with an answer. */
static yyjson_mut_val *changes_of(struct call *c, yyjson_mut_val *req, const struct key_target *t)
{
    yyjson_mut_val *row = row_new(&c->store);

    put_columns(c, row, req, false);
    put_moments(c, row, req);
    put_windows(c, row, req);
    if (!key_put_metadata(c, row, req, row_val(t->row, "metadata")))
        return NULL;
    object_permission_put(c, row, req, row_text(t->row, "object_permission_id"));
    row_put_text(&c->store, row, "updated_by", c->caller.user_id);
    return row;
}

static yyjson_mut_val *check_changes(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    yyjson_mut_val *team;

    if (!key_check_values(c, req) || !check_owner_change(c, req, t) ||
        !check_team(c, req, t, &team) || !key_check_grant(c, req, team) ||
        !key_check_upper_bounds(c, req, false) || !key_check_throughput(c, req, t->row, team) ||
        !key_check_organization(c, row_text(req, "organization_id"), team) ||
        !key_check_alias(c, row_text(req, "key_alias"), t->hash))
        return NULL;
    return changes_of(c, req, t);
}

/* Changes it and writes the entry; the row as it is then, or NULL with an answer or a fault. */
static yyjson_mut_val *update(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    yyjson_mut_val *changes = check_changes(c, req, t), *now;

    if (!changes)
        return NULL;
    now = store_update(&c->store, TABLE_KEY, t->hash, changes);
    if (now)
        audit_updated(c, TABLE_KEY, t->hash, t->row, changes);
    return now;
}

/* By key, or by name alone. */
static bool find_to_update(struct call *c, struct key_target *t)
{
    struct store *s = &c->store;
    struct str key = in_text(c, "key"), alias = in_text(c, "key_alias");

    if (key.n)
        return key_find(c, key, true, t, "Key not found.");
    if (!alias.n) {
        refuse_as(c, 400, "bad_request_error", "key", "either key or key_alias must be provided");
        return false;
    }
    yyjson_mut_val *rows = key_lock_named(s, &alias, 1);
    *t = (struct key_target){.row = yyjson_mut_arr_get_first(rows)};
    if (!t->row || !key_is_visible(c, t)) {
        refuse_as(c, 404, "not_found_error", "key_alias",
                  "Key not found. No key with key_alias='" STR_FMT "'.", STR_ARG(alias));
        return false;
    }
    if (yyjson_mut_arr_size(rows) > 1) {
        refuse_as(c, 400, "bad_request_error", "key_alias",
                  "Multiple keys share key_alias='" STR_FMT
                  "', so it cannot be used as an identifier.",
                  STR_ARG(alias));
        return false;
    }
    t->hash = row_text(t->row, "token");
    return true;
}

void api_key_update(struct call *c)
{
    struct key_target t;
    yyjson_mut_val *req = row_copy(&c->store, c->in), *now, *out;

    if (!find_to_update(c, &t) || !check_may_update(c, req, &t))
        return;
    now = update(c, req, &t);
    if (!now)
        return;
    out = row_copy(&c->store, now);
    row_put_text(&c->store, out, "key", in_set(c, "key") ? in_text(c, "key") : t.hash);
    reply(c, out);
}

/* ---- many ---- */

static void add_failure(struct call *c, yyjson_mut_val *list, struct str key, struct str reason)
{
    yyjson_mut_val *one = row_new(&c->store);

    row_put_text(&c->store, one, "key", key);
    row_put_text(&c->store, one, "failed_reason", reason);
    row_append(&c->store, list, one);
}

/* One of them; its refusal becomes its reason. */
static void update_one(struct call *c, yyjson_mut_val *req, yyjson_mut_val *done,
                       yyjson_mut_val *failed)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "key");
    struct key_target t = {.hash = key_hash_of(&c->arena, key)};
    yyjson_mut_val *now = NULL, *one;

    t.row = store_lock(s, TABLE_KEY, t.hash);
    if (t.row && key_is_visible(c, &t))
        now = update(c, req, &t);
    else
        refuse_text(c, 404, "Key not found.");
    if (!now) {
        add_failure(c, failed, key, refusal_text(c));
        refusal_clear(c);
        return;
    }
    one = row_new(s);
    row_put_text(s, one, "key", key);
    row_put(s, one, "key_info", now);
    row_append(s, done, one);
}

void api_key_bulk_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *keys = in_val(c, "keys"), *out = row_new(s), *one;
    yyjson_mut_val *done = row_list(s), *failed = row_list(s);
    size_t i, n, total = yyjson_mut_arr_size(keys);

    if (!total) {
        refuse(c, 400, "No keys provided for update");
        return;
    }
    if (total > BULK_MAX) {
        refuse(c, 400, "Maximum %d keys can be updated at once. Found %zu keys.", BULK_MAX, total);
        return;
    }
    yyjson_mut_arr_foreach(keys, i, n, one)
    {
        update_one(c, row_copy(s, one), done, failed);
    }
    c->is_unchanged = yyjson_mut_arr_size(done) == 0;
    row_put_int(s, out, "total_requested", (int64_t)total);
    row_put(s, out, "successful_updates", done);
    row_put(s, out, "failed_updates", failed);
    reply(c, out);
}

/* ---- delete ---- */

/* May delete or replace it: whoever runs its team, and its owner. */
static bool may_modify(const struct call *c, const struct key_target *t)
{
    return rbac_is_admin(&c->caller) || key_is_own(c, t) ||
           (t->team && rbac_runs_team(&c->caller, t->team));
}

static struct str *texts_of(struct call *c, const yyjson_mut_val *list, bool hashed, size_t *ret_n)
{
    size_t i, n = yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)list);
    struct str *texts = arena_alloc(&c->arena, (n + 1) * sizeof *texts);
    yyjson_mut_val *v;

    *ret_n = texts ? n : 0;
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        struct str one = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (texts)
            texts[i] = hashed ? key_hash_of(&c->arena, one) : one;
    }
    return texts;
}

static bool delete_one(struct call *c, struct key_target *t)
{
    if (!key_is_visible(c, t)) {
        refuse(c, 404, "No keys found");
        return false;
    }
    if (!may_modify(c, t)) {
        refuse(c, 403, "You are not authorized to delete this key");
        return false;
    }
    key_remove(c, t->row);
    return true;
}

void api_key_delete(struct call *c)
{
    struct store *s = &c->store;
    bool by_key = in_set(c, "keys") && yyjson_mut_arr_size(in_val(c, "keys"));
    yyjson_mut_val *named = in_val(c, by_key ? "keys" : "key_aliases"), *rows, *row, *out;
    size_t i, n, n_named;

    if (!yyjson_mut_arr_size(named)) {
        refuse_as(c, 400, "bad_request_error", "keys",
                  "Invalid request: `keys` or `key_aliases` must be provided");
        return;
    }
    struct str *texts = texts_of(c, named, by_key, &n_named);
    rows = by_key ? key_lock_all(s, texts, n_named) : key_lock_named(s, texts, n_named);
    if (!yyjson_mut_arr_size(rows)) {
        refuse(c, 404, "No keys found");
        return;
    }
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        struct key_target t = {.row = row, .hash = row_text(row, "token")};
        if (!delete_one(c, &t))
            return;
    }
    if (yyjson_mut_arr_size(rows) < n_named) {
        refuse(c, 400,
               "Not all keys passed in were deleted. This probably means you don't have access to "
               "delete all the keys passed in. Keys passed in=%zu, Deleted keys =%zu",
               n_named, yyjson_mut_arr_size(rows));
        return;
    }
    out = row_new(s);
    row_put(s, out, "deleted_keys", named);
    reply(c, out);
}

/* ---- regenerate ---- */

/* In the path, in the body, or behind the question mark. */
static struct str key_to_regenerate(struct call *c)
{
    struct str key = c->match.param[0].n ? in_param(c, 0) : in_text(c, "key");

    return key.n ? key : in_query(c, STR("key"));
}

static void deprecate(struct call *c, const yyjson_mut_val *req, struct str was, struct str now)
{
    struct str grace = row_text(req, "grace_period");
    struct duration d;

    if (!grace.n)
        grace = config_text(&c->d->config->file, SETTING_ENV_LITELLM_KEY_ROTATION_GRACE_PERIOD);
    if (duration_parse(grace, &d) && d.n)
        key_deprecate(&c->store, was, now, duration_after(d, clock_wall_us()));
}

static void regenerate(struct call *c, yyjson_mut_val *req, struct key_target *t)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "new_key");
    struct key_deletion who = deletion_of(c);

    if (!key_check_chosen(c, key, false))
        return;
    if (!key.p)
        key = random_key(c);
    yyjson_mut_val *changes = check_changes(c, req, t), *now;
    if (!changes)
        return;
    struct str hash = key_sha256(&c->arena, key);
    if (store_get(s, TABLE_KEY, hash)) {
        refuse(c, 400, "This key exists already.");
        return;
    }
    put_routes_of_type(c, changes, req);
    put_name(c, changes, key);
    row_put_text(s, changes, "token", hash);
    key_archive(s, t->row, &who);
    deprecate(c, req, t->hash, hash);
    now = store_update(s, TABLE_KEY, t->hash, changes);
    if (!now)
        return;
    audit_write(c, AUDIT_ROTATED, TABLE_KEY, t->hash, t->row, changes);
    reply_generated(c, now, key, req);
}

void api_key_regenerate(struct call *c)
{
    yyjson_mut_val *req = row_copy(&c->store, c->in);
    struct str name = key_to_regenerate(c);
    struct key_target t;

    if (in_set(c, "new_master_key")) {
        refuse(c, 501, "The master key is that of the configuration; it is not changed here.");
        return;
    }
    if (!name.n) {
        refuse(c, 400, "No key passed in.");
        return;
    }
    t = (struct key_target){.hash = key_hash_of(&c->arena, name)};
    t.row = store_lock(&c->store, TABLE_KEY, t.hash);
    if (!t.row || !key_is_visible(c, &t)) {
        refuse(c, 404, "Key " STR_FMT " not found.", STR_ARG(key_shown(&c->arena, name)));
        return;
    }
    if (!may_modify(c, &t)) {
        refuse(c, 403, "You are not authorized to regenerate this key");
        return;
    }
    if (t.team && !key_is_own(c, &t) && !key_check_member(c, t.team, STR("/key/regenerate")))
        return;
    if (is_budget_change(req) && !check_may_update(c, req, &t))
        return;
    regenerate(c, req, &t);
}

/* ---- block, unblock, spend ---- */

static void set_blocked(struct call *c, bool blocked)
{
    struct store *s = &c->store;
    struct str key = in_text(c, "key");
    yyjson_mut_val *changes = row_new(s), *now;
    struct key_target t;

    if (!str_starts(key, STR("sk-")) && key.n != 64) {
        refuse_as(c, 400, "bad_request_error", "key", "Invalid key format.");
        return;
    }
    if (!key_find(c, key, true, &t, "Key not found."))
        return;
    if (!key_is_run(c, &t)) {
        refuse(c, 403,
               "Only proxy admins, team admins, or org admins can call " STR_FMT
               ". user_role=%s, user_id=" STR_FMT,
               STR_ARG(c->route->path), role_name(c->caller.role), STR_ARG(c->caller.user_id));
        return;
    }
    row_put_bool(s, changes, "blocked", blocked);
    now = store_update(s, TABLE_KEY, t.hash, changes);
    if (!now)
        return;
    audit_write(c, AUDIT_BLOCKED, TABLE_KEY, t.hash, t.row, changes);
    reply(c, now);
}

void api_key_block(struct call *c)
{
    set_blocked(c, true);
}

void api_key_unblock(struct call *c)
{
    set_blocked(c, false);
}

/* What may be spent: the lesser of the key's own and its budget row's limit. */
static bool limit_of(struct call *c, const yyjson_mut_val *row, double *ret)
{
    struct str id = row_text(row, "budget_id");
    yyjson_mut_val *budget = id.n ? store_get(&c->store, TABLE_BUDGET, id) : NULL;
    double of_budget, own;
    bool has_own = row_num(row, "max_budget", &own);
    bool has_budget = row_num(budget, "max_budget", &of_budget);

    if (has_own || has_budget)
        *ret = !has_own ? of_budget : !has_budget ? own : MIN(own, of_budget);
    return has_own || has_budget;
}

static bool check_reset(struct call *c, const yyjson_mut_val *row, double to, double spent)
{
    struct arena *a = &c->arena;
    double most;

    if (to < 0)
        refuse(c, 400, "reset_to must be >= 0");
    else if (to > spent)
        refuse(c, 400, "reset_to (" STR_FMT ") must be <= current spend (" STR_FMT ")",
               STR_ARG(python_float(a, to)), STR_ARG(python_float(a, spent)));
    else if (limit_of(c, row, &most) && to > most)
        refuse(c, 400, "reset_to (" STR_FMT ") must be <= budget (" STR_FMT ")",
               STR_ARG(python_float(a, to)), STR_ARG(python_float(a, most)));
    else
        return true;
    return false;
}

void api_key_reset_spend(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_param(c, 0);
    double to = in_num(c, "reset_to"), spent = 0;
    yyjson_mut_val *changes = row_new(s), *now, *out;
    struct key_target t = {.hash = key_hash_of(&c->arena, name)};

    t.row = store_lock(s, TABLE_KEY, t.hash);
    if (!t.row || !key_is_visible(c, &t)) {
        refuse(c, 404, "Key " STR_FMT " not found.", STR_ARG(key_shown(&c->arena, name)));
        return;
    }
    if (!key_is_run(c, &t)) {
        refuse(c, 403, "You must be a proxy admin or team admin to reset key spend");
        return;
    }
    (void)row_num(t.row, "spend", &spent);
    if (!check_reset(c, t.row, to, spent))
        return;
    row_put_num(s, changes, "spend", to);
    now = store_update(s, TABLE_KEY, t.hash, changes);
    if (!now)
        return;
    audit_updated(c, TABLE_KEY, t.hash, t.row, changes);
    out = row_new(s);
    row_put_text(s, out, "key_hash", t.hash);
    row_put_num(s, out, "spend", to);
    row_put_num(s, out, "previous_spend", spent);
    row_put(s, out, "max_budget", row_val(now, "max_budget"));
    row_put(s, out, "budget_reset_at", row_val(now, "budget_reset_at"));
    reply(c, out);
}
