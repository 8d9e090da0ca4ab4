/* Many keys changed with one request: one that fails does not stop the others
 * (litellm-controlplane.md 2.1). */

#include "api/keys_priv.h"
#include "api/parts.h"

enum { BULK_MAX = 500 };

struct bulk {
    yyjson_mut_val *done, *failed;
    size_t n;
};

static struct bulk bulk_init(struct call *c)
{
    return (struct bulk){.done = row_list(&c->store), .failed = row_list(&c->store)};
}

/* The refusal just given is why. */
static void bulk_fail(struct call *c, struct bulk *b, struct str key)
{
    yyjson_mut_val *one = row_new(&c->store);

    row_put_text(&c->store, one, "key", key);
    row_put_text(&c->store, one, "failed_reason", refusal_text(c));
    row_append(&c->store, b->failed, one);
    refusal_clear(c);
}

static void bulk_change(struct call *c, struct bulk *b, yyjson_mut_val *req, struct key_target *t)
{
    struct store *s = &c->store;
    struct str key = row_text(req, "key");
    yyjson_mut_val *now = key_change(c, req, t), *one;

    if (!now) {
        bulk_fail(c, b, key);
        return;
    }
    one = row_new(s);
    row_put_text(s, one, "key", key);
    row_put(s, one, "key_info", now);
    row_append(s, b->done, one);
}

static void bulk_reply(struct call *c, const struct bulk *b)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    c->is_unchanged = yyjson_mut_arr_size(b->done) == 0;
    row_put_int(s, out, "total_requested", (int64_t)b->n);
    row_put(s, out, "successful_updates", b->done);
    row_put(s, out, "failed_updates", b->failed);
    reply(c, out);
}

void api_key_bulk_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *keys = in_val(c, "keys"), *one;
    struct bulk b = bulk_init(c);
    size_t i, n;

    b.n = yyjson_mut_arr_size(keys);
    if (!b.n) {
        refuse(c, 400, "No keys provided for update");
        return;
    }
    if (b.n > BULK_MAX) {
        refuse(c, 400, "Maximum %d keys can be updated at once. Found %zu keys.", BULK_MAX, b.n);
        return;
    }
    yyjson_mut_arr_foreach(keys, i, n, one)
    {
        yyjson_mut_val *req = row_copy(s, one);
        struct str key = row_text(req, "key");
        struct key_target t = {.hash = key_hash_of(&c->arena, key)};
        t.row = store_lock(s, TABLE_KEY, t.hash);
        if (t.row && key_is_visible(c, &t)) {
            bulk_change(c, &b, req, &t);
        } else {
            refuse_text(c, 404, "Key not found.");
            bulk_fail(c, &b, key);
        }
    }
    bulk_reply(c, &b);
}

/* ---- those of a team ---- */

/* Names or hashes, each key once; NULL with an answer. Of all keys of the team those that are
 * blocked or expired stay as they are. */
static yyjson_mut_val *asked(struct call *c, struct str team_id)
{
    struct store *s = &c->store;
    yyjson_mut_val *ids = in_val(c, "key_ids"), *out = row_list(s), *seen = row_new(s), *v;
    size_t i, n;

    if (in_bool(c, "all_keys_in_team")) {
        yyjson_mut_arr_foreach(
            STORE_LIST(s, TABLE_KEY,
                       "WHERE t.team_id = $1 AND t.blocked IS NOT TRUE"
                       " AND (t.expires IS NULL OR t.expires > now() AT TIME ZONE 'UTC')"
                       " ORDER BY t.token LIMIT $2",
                       DB_TEXT(team_id), DB_INT(BULK_MAX + 1)),
            i, n, v)
        {
            row_append_text(s, out, row_text(v, "token"));
        }
    } else {
        row_put(s, seen, "keys", row_list(s));
        yyjson_mut_arr_foreach(ids, i, n, v)
        {
            struct str id = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
            struct str hash = key_hash_of(&c->arena, id);
            if (row_has(seen, "keys", hash))
                continue;
            row_append_text(s, row_val(seen, "keys"), hash);
            row_append_text(s, out, id);
        }
    }
    if (yyjson_mut_arr_size(out) <= BULK_MAX)
        return out;
    refuse(c, 400,
           "Team " STR_FMT " has more than %d keys. Use `key_ids` to update in batches of %d.",
           STR_ARG(team_id), BULK_MAX, BULK_MAX);
    return NULL;
}

static bool check_asked(struct call *c)
{
    size_t n_ids = yyjson_mut_arr_size(in_val(c, "key_ids"));

    if (n_ids && in_bool(c, "all_keys_in_team"))
        refuse_value(c, NULL, "Provide either `key_ids` or `all_keys_in_team=True`, not both.");
    else if (!n_ids && !in_bool(c, "all_keys_in_team"))
        refuse_value(c, NULL,
                     "Must provide either `key_ids` (non-empty) or `all_keys_in_team=True`.");
    else if (!yyjson_mut_obj_size(in_val(c, "update_fields")))
        refuse_value(c, "update_fields",
                     "update_fields must specify at least one field to update.");
    else if (n_ids > BULK_MAX)
        refuse(c, 400, "Maximum %d keys can be updated at once. Found %zu key_ids.", BULK_MAX,
               n_ids);
    else
        return true;
    return false;
}

/* The team as the caller may know it; false with an answer. */
static bool check_team(struct call *c, struct str team_id)
{
    yyjson_mut_val *team = store_get(&c->store, TABLE_TEAM, team_id);

    if (!team || !(rbac_runs_team(&c->caller, team) || team_role_of(team, c->caller.user_id).n)) {
        refuse(c, 404, "No keys found for team " STR_FMT, STR_ARG(team_id));
        return false;
    }
    return rbac_runs_team(&c->caller, team) || key_check_member(c, team, STR("/key/update"));
}

void api_team_key_bulk_update(struct call *c)
{
    struct store *s = &c->store;
    struct str team_id = in_text(c, "team_id");
    yyjson_mut_val *list, *v;
    struct bulk b = bulk_init(c);
    size_t i, n;

    if (!check_asked(c) || !check_team(c, team_id) || !(list = asked(c, team_id)))
        return;
    b.n = yyjson_mut_arr_size(list);
    if (!b.n) {
        refuse(c, 404, "No keys found for team " STR_FMT, STR_ARG(team_id));
        return;
    }
    yyjson_mut_arr_foreach(list, i, n, v)
    {
        struct str key = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        struct key_target t = {.hash = key_hash_of(&c->arena, key)};
        yyjson_mut_val *req = row_copy(s, in_val(c, "update_fields"));
        row_put_text(s, req, "key", key);
        t.row = store_lock(s, TABLE_KEY, t.hash);
        if (!t.row || !key_is_visible(c, &t) || !str_eq(row_text(t.row, "team_id"), team_id))
            refuse_text(c, 404, "Key not found in team " STR_FMT, STR_ARG(team_id));
        else if (key_check_may_update(c, req, &t)) {
            bulk_change(c, &b, req, &t);
            continue;
        }
        bulk_fail(c, &b, key);
    }
    bulk_reply(c, &b);
}
