/* Teams changed in part: one by a merge patch, the permissions of many. */

#include "api/teams_priv.h"
#include "audit/audit.h"
#include "store/access_group.h"

enum { PATCH_DEPTH = 32, TEAMS_MAX = 1000 };

/* RFC 7386: null takes a member away, objects are merged, anything else replaces. A patch deeper
 * than PATCH_DEPTH replaces from there on: requests are not deeper than twice that. */
static yyjson_mut_val *merged(struct store *s, const yyjson_mut_val *was,
                              const yyjson_mut_val *patch, unsigned depth)
{
    yyjson_mut_val *from = (yyjson_mut_val *)(uintptr_t)patch, *k, *v, *out;
    size_t i, n;

    if (!yyjson_mut_is_obj(from) || depth >= PATCH_DEPTH)
        return row_copy(s, patch);
    out = yyjson_mut_is_obj((yyjson_mut_val *)(uintptr_t)was) ? row_copy(s, was) : row_new(s);
    yyjson_mut_obj_foreach(from, i, n, k, v)
    {
        const char *name = yyjson_mut_get_str(k);
        if (yyjson_mut_is_null(v))
            (void)yyjson_mut_obj_remove_key(out, name);
        else
            row_put(s, out, name, merged(s, row_val(out, name), v, depth + 1));
    }
    return out;
}

void api_team_patch(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_param(c, 0), sent = in_text(c, "team_id");
    yyjson_mut_val *req = row_copy(s, c->in), *team, *now;

    if (sent.p && !str_eq(sent, id)) {
        refuse(c, 400, "team_id in body (" STR_FMT ") does not match team_id in path (" STR_FMT ")",
               STR_ARG(sent), STR_ARG(id));
        return;
    }
    row_put_text(s, req, "team_id", id);
    team = row_sent(req, "metadata") ? team_find(c, id, true) : NULL;
    if (team)
        row_put(s, req, "metadata",
                merged(s, row_val(team, "metadata"), row_sent(req, "metadata"), 0));
    now = team_update(c, id, req);
    if (now)
        reply(c, team_shown(c, now));
}

/* ---- permissions of many ---- */

/* Adds those that are missing; true when there were some. */
static bool permit(struct call *c, const yyjson_mut_val *team, yyjson_mut_val *permissions)
{
    struct store *s = &c->store;
    struct str id = row_text(team, "team_id");
    yyjson_mut_val *changes = row_new(s), *was = row_val(team, "team_member_permissions"), *v;
    size_t i, n, n_added = 0;

    row_put(s, changes, "team_member_permissions", was ? was : row_list(s));
    yyjson_mut_arr_foreach(permissions, i, n, v)
    {
        struct str one = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (row_has(changes, "team_member_permissions", one))
            continue;
        row_append_text(s, row_val(changes, "team_member_permissions"), one);
        n_added++;
    }
    if (!n_added)
        return false;
    if (store_update(s, TABLE_TEAM, id, changes))
        audit_updated(c, TABLE_TEAM, id, team, changes);
    return true;
}

/* Those named, each locked; NULL with an answer. */
static yyjson_mut_val *named(struct call *c, yyjson_mut_val *ids)
{
    struct store *s = &c->store;
    struct texts t = store_texts(s, ids);
    yyjson_mut_val *rows = STORE_LIST(
        s, TABLE_TEAM, "WHERE t.team_id = ANY ($1::text[]) ORDER BY t.team_id FOR UPDATE",
        DB_TEXTS(t.p, t.n));
    yyjson_mut_val *found = row_new(s), *missing = row_list(s), *row;
    size_t i, n;

    row_put(s, found, "ids", row_list(s));
    yyjson_mut_arr_foreach(rows, i, n, row)
    {
        row_append_text(s, row_val(found, "ids"), row_text(row, "team_id"));
    }
    for (i = 0; i < t.n; i++)
        if (!row_has(found, "ids", t.p[i]))
            row_append_text(s, missing, t.p[i]);
    if (!yyjson_mut_arr_size(missing))
        return rows;
    refuse(c, 404, "Team(s) not found: " STR_FMT, STR_ARG(python_list(s, missing)));
    return NULL;
}

/* Page by page: all rows at once would not fit. */
static size_t permit_all(struct call *c, yyjson_mut_val *permissions)
{
    struct store *s = &c->store;
    struct str behind = STR("");
    size_t n_changed = 0, i, n;
    yyjson_mut_val *rows, *row;

    do {
        rows =
            STORE_LIST(s, TABLE_TEAM, "WHERE t.team_id > $1 ORDER BY t.team_id LIMIT $2 FOR UPDATE",
                       DB_TEXT(behind), DB_INT(TEAMS_MAX));
        yyjson_mut_arr_foreach(rows, i, n, row)
        {
            n_changed += permit(c, row, permissions);
            behind = row_text(row, "team_id");
        }
    } while (yyjson_mut_arr_size(rows) == TEAMS_MAX && tx_ok(&s->tx));
    return n_changed;
}

void api_team_permissions_bulk_update(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *permissions = in_val(c, "permissions"), *ids = in_val(c, "team_ids");
    yyjson_mut_val *out = row_new(s), *rows, *row;
    bool all = in_bool(c, "apply_to_all_teams");
    size_t i, n, n_changed = 0;

    if (!team_check_permissions(c, permissions))
        return;
    if (!yyjson_mut_arr_size(permissions)) {
        c->is_unchanged = true;
        row_put_text(s, out, "message", STR("No permissions provided"));
        row_put_int(s, out, "teams_updated", 0);
        reply(c, out);
        return;
    }
    if (all == (yyjson_mut_arr_size(ids) > 0)) {
        refuse(c, 400,
               all ? "Cannot set both apply_to_all_teams=true and team_ids"
                   : "Must provide team_ids or set apply_to_all_teams=true");
        return;
    }
    if (all) {
        n_changed = permit_all(c, permissions);
    } else {
        rows = named(c, ids);
        if (!rows)
            return;
        yyjson_mut_arr_foreach(rows, i, n, row)
        {
            n_changed += permit(c, row, permissions);
        }
    }
    c->is_unchanged = !n_changed;
    row_put_text(s, out, "message", STR("Team permissions updated successfully"));
    row_put_int(s, out, "teams_updated", (int64_t)n_changed);
    row_put(s, out, "permissions_appended", permissions);
    reply(c, out);
}
