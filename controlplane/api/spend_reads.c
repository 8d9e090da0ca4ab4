/* Keys and users by what they spent, tags by what was spent under them. */

#include "api/spend.h"

/* The columns of a table as lists show them. */
static struct str columns_of(struct call *c, enum table t, const char *except)
{
    const struct catalog_table *ct = &c->store.catalog->table[t];
    struct str list = {0};

    for (unsigned i = 0; i < ct->n; i++) {
        const struct column *col = &ct->columns[i];
        const char *comma = list.n ? ", " : "";
        if (str_eq(col->name, str_of(except)))
            continue;
        if (col->kind == COLUMN_TIME)
            list =
                arena_printf(&c->arena, STR_FMT "%s(to_json(t.\"%s\") #>> '{}') || 'Z' AS \"%s\"",
                             STR_ARG(list), comma, col->name.p, col->name.p);
        else
            list = arena_printf(&c->arena, STR_FMT "%st.\"%s\"", STR_ARG(list), comma, col->name.p);
    }
    return list;
}

/* Rows of a table by spend, of one user or of all. */
static void reply_by_spend(struct call *c, enum table t, const char *except, struct str user)
{
    const struct catalog_table *ct = &c->store.catalog->table[t];
    struct db_arg arg = DB_TEXT_OR_NULL(user);
    struct str sql = arena_printf(&c->arena,
                                  "SELECT row_to_json(r) FROM (SELECT " STR_FMT " FROM \"%s\" t"
                                  " WHERE $1::text IS NULL OR t.user_id = $1"
                                  " ORDER BY t.spend DESC, t.\"%s\") r",
                                  STR_ARG(columns_of(c, t, except)), ct->name, ct->key);

    spend_begin(c);
    if (sql.n)
        reply_cursor(c, sql, &arg, 1, TX_PIECE);
}

void api_spend_keys(struct call *c)
{
    struct str user = {0};

    if (!rbac_sees_all(&c->caller))
        user = c->caller.user_id.n ? c->caller.user_id : STR("");
    reply_by_spend(c, TABLE_KEY, "", user);
}

void api_spend_users(struct call *c)
{
    struct str user = in_text(c, "user_id");

    if (!rbac_sees_all(&c->caller)) {
        if (user.p && !rbac_is_self(&c->caller, user)) {
            refuse(c, 403, "Not authorized to view spend for another user.");
            return;
        }
        user = c->caller.user_id.n ? c->caller.user_id : STR("");
    }
    reply_by_spend(c, TABLE_USER, "password", user);
}

void api_spend_tags(struct call *c)
{
    static const char sql[] = "SELECT tag AS individual_request_tag, sum(n) AS log_count,"
                              " sum(spend) AS total_spend FROM " SPEND_TAGS
                              " WHERE $3::boolean OR \"user\" = $4 OR team_id = ANY ($5::text[])"
                              " GROUP BY 1 HAVING sum(n) > 0 ORDER BY 3 DESC, 1";
    struct spend_scope scope = spend_scope_of(c);
    struct days days;

    if (!in_day(c, "start_date", &days.from) || !in_day(c, "end_date", &days.to))
        return;
    REPLY_QUERY(c, sql, DB_TEXT(days.from.p ? days.from : STR("-infinity")),
                DB_TEXT(days.to.p ? days.to : STR("infinity")), DB_BOOL(scope.all),
                DB_TEXT(scope.user_id), DB_TEXTS(scope.teams, scope.n_teams));
}
