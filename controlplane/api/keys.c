/* Keys made and deleted (litellm-controlplane.md 2.1, 3.3, 3.7). */

#include "api/keys_priv.h"
#include "api/parts.h"
#include "audit/audit.h"

/* A row as the answer to whoever made it: the key itself, once. */
void key_reply_generated(struct call *c, const yyjson_mut_val *row, struct str key,
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

static void generate(struct call *c, yyjson_mut_val *req, const yyjson_mut_val *team)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "key");

    if (!key_check_values(c, req))
        return;
    if (!rbac_is_admin(&c->caller) && !key_check_grant(c, req, NULL, team))
        return;
    key_fill_defaults(c, req);
    if (!key_check_upper_bounds(c, req, true) || !key_check_throughput(c, req, NULL, team) ||
        !key_check_alias(c, row_text(req, "key_alias"), STR("")) ||
        !key_check_chosen(c, key, true) ||
        !key_check_organization(c, row_text(req, "organization_id"), team) ||
        !key_check_project(c, req, NULL, team))
        return;
    if (!key.p)
        key = key_random(c);
    yyjson_mut_val *row = key_new_row(c, req, key), *made;
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
    key_reply_generated(c, made, key, req);
}

yyjson_mut_val *key_create(struct call *c, const yyjson_mut_val *req, struct str *ret_key)
{
    struct str key = key_random(c);
    yyjson_mut_val *row = key_new_row(c, req, key), *made;

    made = row ? store_insert(&c->store, TABLE_KEY, row) : NULL;
    if (made) {
        audit_created(c, TABLE_KEY, row_text(made, "token"), made);
        *ret_key = key;
    }
    return made;
}

static yyjson_mut_val *team_of(struct call *c, const yyjson_mut_val *req)
{
    struct str id = row_text(req, "team_id");

    return id.n ? store_hold(&c->store, TABLE_TEAM, id) : NULL;
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
    if (!team && rbac_is_admin(&c->caller)) {
        refuse_text(c, 400,
                    "team_id does not exist in the database. Please specify a valid `team_id` in "
                    "the request body.");
        return;
    }
    row_put_null(&c->store, req, "user_id");
    if (key_check_may_generate(c, req, team, STR("/key/service-account/generate")))
        generate(c, req, team);
}

/* ---- delete ---- */

/* Who deletes, for the archive. */
struct key_deletion key_deletion(const struct call *c)
{
    return (struct key_deletion){c->caller.user_id, c->caller.key_hash, c->caller.changed_by};
}

void key_remove(struct call *c, const yyjson_mut_val *row)
{
    struct key_deletion who = key_deletion(c);
    struct str hash = row_text(row, "token");

    key_archive(&c->store, row, &who);
    audit_deleted(c, TABLE_KEY, hash, row);
    (void)TX_QUERY(&c->store.tx, "DELETE FROM \"LiteLLM_JWTKeyMapping\" WHERE token = $1",
                   DB_TEXT(hash));
    (void)store_delete(&c->store, TABLE_KEY, hash);
}

/* May delete or replace it: whoever runs its team, and its owner. */
bool key_may_modify(const struct call *c, const struct key_target *t)
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
    if (!key_may_modify(c, t)) {
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
