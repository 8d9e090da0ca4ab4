/* /v1/access_group: what teams, keys and agents may use, under one name. */

#include "api/reply.h"
#include "audit/audit.h"
#include "store/access_group.h"

static const char *const texts[] = {"access_model_names", "access_mcp_server_ids",
                                    "access_agent_ids",   "access_skill_names",
                                    "assigned_team_ids",  "assigned_key_ids"};

/* The row with lists for nulls, and the names of what it refers to. */
static yyjson_mut_val *shown(struct call *c, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_copy(s, row), *teams;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!row_val(out, texts[i]))
            row_put(s, out, texts[i], row_list(s));
    teams = access_group_teams(s, row_text(row, "access_group_id"),
                               store_texts(s, row_val(row, "assigned_team_ids")));
    row_put(s, out, "assigned_team_ids", teams);
    row_put(s, out, "access_mcp_servers",
            access_group_names(s, NAMED_MCP_SERVERS, row_val(row, "access_mcp_server_ids")));
    row_put(s, out, "access_agents",
            access_group_names(s, NAMED_AGENTS, row_val(row, "access_agent_ids")));
    row_put(s, out, "assigned_teams", access_group_names(s, NAMED_TEAMS, teams));
    row_put(s, out, "assigned_keys",
            access_group_names(s, NAMED_KEYS, row_val(row, "assigned_key_ids")));
    return out;
}

static yyjson_mut_val *find(struct call *c, bool lock)
{
    struct str id = in_param(c, 0);
    yyjson_mut_val *row = lock ? store_lock(&c->store, TABLE_ACCESS_GROUP, id)
                               : store_get(&c->store, TABLE_ACCESS_GROUP, id);

    if (!row)
        refuse_text(c, 404, "Access group '" STR_FMT "' not found", STR_ARG(id));
    return row;
}

static bool check_name(struct call *c, struct str name, struct str except)
{
    if (!access_group_name_is_taken(&c->store, name, except))
        return true;
    refuse_text(c, 409, "Access group '" STR_FMT "' already exists", STR_ARG(name));
    return false;
}

static bool check_teams(struct call *c)
{
    struct str unknown = access_group_unknown_team(
        &c->store, store_texts(&c->store, in_val(c, "assigned_team_ids")));

    if (unknown.n)
        refuse_text(c, 400, "Unknown team ids: " STR_FMT, STR_ARG(unknown));
    return !unknown.n;
}

/* Lists that were sent, null for none. */
static void put_lists(struct call *c, yyjson_mut_val *row, bool all)
{
    struct store *s = &c->store;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (all || in_sent(c, texts[i]))
            row_put(s, row, texts[i], in_set(c, texts[i]) ? in_val(c, texts[i]) : row_list(s));
    for (size_t i = 0; i < 2; i++) {
        const char *name = i ? "mcp_tool_permissions" : "description";
        if (in_sent(c, name))
            row_put(s, row, name, in_val(c, name));
    }
    row_put_text(s, row, "updated_by", c->caller.user_id);
}

void api_access_group_new(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "access_group_name"), id = store_uuid(s);
    yyjson_mut_val *row = row_new(s), *made;

    if (!check_name(c, name, STR("")) || !check_teams(c))
        return;
    row_put_text(s, row, "access_group_id", id);
    row_put_text(s, row, "access_group_name", name);
    put_lists(c, row, true);
    row_put_text(s, row, "created_by", c->caller.user_id);
    made = store_insert(s, TABLE_ACCESS_GROUP, row);
    if (!made)
        return;
    access_group_give_teams(s, id, store_texts(s, row_val(made, "assigned_team_ids")));
    access_group_give_keys(s, id, (struct texts){0},
                           store_texts(s, row_val(made, "assigned_key_ids")));
    audit_created(c, TABLE_ACCESS_GROUP, id, made);
    reply_status(c, 201, shown(c, made));
}

void api_access_group_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_list(s), *row;
    size_t i, n;

    yyjson_mut_arr_foreach(access_group_all(s), i, n, row)
    {
        row_append(s, list, shown(c, row));
    }
    reply(c, list);
}

void api_access_group_info(struct call *c)
{
    yyjson_mut_val *row = find(c, false);

    if (row)
        reply(c, shown(c, row));
}

void api_access_group_update(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "access_group_name");
    yyjson_mut_val *was = find(c, true), *changes = row_new(s), *now;

    if (!was || !check_teams(c))
        return;
    struct str id = row_text(was, "access_group_id");
    if (name.n && !check_name(c, name, id))
        return;
    if (name.n)
        row_put_text(s, changes, "access_group_name", name);
    put_lists(c, changes, false);
    now = store_update(s, TABLE_ACCESS_GROUP, id, changes);
    if (!now)
        return;
    if (in_sent(c, "assigned_team_ids"))
        access_group_give_teams(s, id, store_texts(s, row_val(now, "assigned_team_ids")));
    if (in_sent(c, "assigned_key_ids"))
        access_group_give_keys(s, id, store_texts(s, row_val(was, "assigned_key_ids")),
                               store_texts(s, row_val(now, "assigned_key_ids")));
    audit_updated(c, TABLE_ACCESS_GROUP, id, was, changes);
    reply(c, shown(c, now));
}

void api_access_group_delete(struct call *c)
{
    yyjson_mut_val *was = find(c, true);

    if (!was)
        return;
    struct str id = row_text(was, "access_group_id");
    access_group_detach(&c->store, id);
    (void)store_delete(&c->store, TABLE_ACCESS_GROUP, id);
    audit_deleted(c, TABLE_ACCESS_GROUP, id, was);
    reply_status(c, 204, NULL);
}
