#include "store/access_group.h"

struct texts store_texts(struct store *s, const yyjson_mut_val *list)
{
    yyjson_mut_val *v;
    size_t i, n = yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)list);
    struct str *p = arena_alloc(s->arena, (n + 1) * sizeof *p);
    struct texts t = {.p = p};

    if (!p)
        return t;
    yyjson_mut_arr_foreach((yyjson_mut_val *)(uintptr_t)list, i, n, v)
    {
        if (yyjson_mut_is_str(v))
            p[t.n++] = (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
    }
    return t;
}

bool access_group_name_is_taken(struct store *s, struct str name, struct str except)
{
    return TX_QUERY(&s->tx,
                    "SELECT 1 FROM \"LiteLLM_AccessGroupTable\""
                    " WHERE access_group_name = $1 AND access_group_id <> $2",
                    DB_TEXT(name), DB_TEXT(except))
               .n > 0;
}

yyjson_mut_val *access_group_all(struct store *s)
{
    return STORE_LIST(s, TABLE_ACCESS_GROUP,
                      "ORDER BY t.created_at DESC, t.access_group_id LIMIT $1", DB_INT(1000));
}

struct str access_group_unknown_team(struct store *s, struct texts teams)
{
    struct rows r = TX_QUERY(&s->tx,
                             "SELECT x FROM unnest($1::text[]) AS x WHERE NOT EXISTS (SELECT FROM"
                             " \"LiteLLM_TeamTable\" WHERE team_id = x) ORDER BY x LIMIT 1",
                             DB_TEXTS(teams.p, teams.n));

    return r.n ? rows_text(r, 0, 0) : (struct str){0};
}

yyjson_mut_val *access_group_teams(struct store *s, struct str id, struct texts stored)
{
    struct rows r = TX_QUERY(&s->tx,
                             "SELECT team_id FROM \"LiteLLM_TeamTable\" WHERE team_id = ANY"
                             " ($1::text[]) OR $2 = ANY (access_group_ids)"
                             " ORDER BY array_position($1::text[], team_id), team_id LIMIT 10000",
                             DB_TEXTS(stored.p, stored.n), DB_TEXT(id));
    yyjson_mut_val *list = row_list(s);

    for (int i = 0; i < r.n; i++)
        row_append_text(s, list, arena_str(s->arena, rows_text(r, i, 0)));
    return list;
}

yyjson_mut_val *access_group_names(struct store *s, enum named what, const yyjson_mut_val *ids)
{
    static const char *const sql[] = {
        [NAMED_TEAMS] = "SELECT x, (SELECT team_alias FROM \"LiteLLM_TeamTable\" WHERE team_id = x)"
                        " FROM unnest($1::text[]) WITH ORDINALITY AS a(x, n) ORDER BY n",
        [NAMED_KEYS] = "SELECT x, (SELECT coalesce(key_alias, key_name) FROM"
                       " \"LiteLLM_VerificationToken\" WHERE token = x)"
                       " FROM unnest($1::text[]) WITH ORDINALITY AS a(x, n) ORDER BY n",
        [NAMED_AGENTS] = "SELECT x, (SELECT agent_name FROM \"LiteLLM_AgentsTable\" WHERE"
                         " agent_id = x)"
                         " FROM unnest($1::text[]) WITH ORDINALITY AS a(x, n) ORDER BY n",
        [NAMED_MCP_SERVERS] = "SELECT x, (SELECT server_name FROM \"LiteLLM_MCPServerTable\" WHERE"
                              " server_id = x)"
                              " FROM unnest($1::text[]) WITH ORDINALITY AS a(x, n) ORDER BY n",
    };
    struct texts t = store_texts(s, ids);
    yyjson_mut_val *list = row_list(s);

    if (!t.n)
        return list;
    struct rows r = TX_QUERY(&s->tx, sql[what], DB_TEXTS(t.p, t.n));
    for (int i = 0; i < r.n; i++) {
        yyjson_mut_val *one = row_new(s);
        row_put_text(s, one, "id", rows_text(r, i, 0));
        row_put_text(s, one, "name", rows_is_null(r, i, 1) ? (struct str){0} : rows_text(r, i, 1));
        row_append(s, list, one);
    }
    return list;
}

void access_group_give_teams(struct store *s, struct str id, struct texts now)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_TeamTable\" SET access_group_ids ="
                   " array_remove(access_group_ids, $1)"
                   " WHERE $1 = ANY (access_group_ids) AND NOT team_id = ANY ($2::text[])",
                   DB_TEXT(id), DB_TEXTS(now.p, now.n));
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_TeamTable\" SET access_group_ids ="
                   " array_append(access_group_ids, $1)"
                   " WHERE team_id = ANY ($2::text[])"
                   " AND NOT $1 = ANY (coalesce(access_group_ids, '{}'))",
                   DB_TEXT(id), DB_TEXTS(now.p, now.n));
}

void access_group_give_keys(struct store *s, struct str id, struct texts was, struct texts now)
{
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_VerificationToken\" SET access_group_ids ="
                   " array_remove(access_group_ids, $1)"
                   " WHERE token = ANY ($2::text[]) AND NOT token = ANY ($3::text[])"
                   " AND $1 = ANY (access_group_ids)",
                   DB_TEXT(id), DB_TEXTS(was.p, was.n), DB_TEXTS(now.p, now.n));
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_VerificationToken\" SET access_group_ids ="
                   " array_append(access_group_ids, $1)"
                   " WHERE token = ANY ($2::text[])"
                   " AND NOT $1 = ANY (coalesce(access_group_ids, '{}'))",
                   DB_TEXT(id), DB_TEXTS(now.p, now.n));
}

void access_group_detach(struct store *s, struct str id)
{
    access_group_give_teams(s, id, (struct texts){0});
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_VerificationToken\" SET access_group_ids ="
                   " array_remove(access_group_ids, $1) WHERE $1 = ANY (access_group_ids)",
                   DB_TEXT(id));
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_AgentsTable\" SET access_group_ids ="
                   " array_remove(access_group_ids, $1) WHERE $1 = ANY (access_group_ids)",
                   DB_TEXT(id));
}
