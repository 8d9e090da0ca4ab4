#include "ingest/entity.h"

#include "ingest/tally.h"

/* In the order of their names, which is the order in which they are added to. */
enum kind {
    KIND_ACCESS_GROUP,
    KIND_END_USER,
    KIND_KEY,
    KIND_MEMBER,
    KIND_ORGANIZATION,
    KIND_ORGANIZATION_MEMBER,
    KIND_PROJECT,
    KIND_TAG,
    KIND_TEAM,
    KIND_USER,
    KINDS,
};

static_assert((int)KINDS == ENTITY_KINDS, "one statement for each kind");

#define DOLLARS(column, more)                                                                      \
    column " = (round(t." column " * 1e9::float8) + " more ") / 1e9::float8"

/* Locked in the order of the keys, then written: two planes never wait in a circle. */
#define UPDATE(table, key, set)                                                                    \
    "WITH d AS (SELECT * FROM unnest($1::text[], $2::bigint[]) AS d (id, nusd)),"                  \
    " l AS MATERIALIZED (SELECT " key " FROM \"" table "\" WHERE " key " = ANY ($1::text[])"       \
    " ORDER BY " key " FOR NO KEY UPDATE)"                                                         \
    " UPDATE \"" table "\" AS t SET " set " FROM l JOIN d ON d.id = l." key " WHERE t." key        \
    " = l." key

#define UPDATE2(table, one, two, set)                                                              \
    "WITH d AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d (one, two, "       \
    "nusd)),"                                                                                      \
    " l AS MATERIALIZED (SELECT x." one ", x." two " FROM \"" table "\" x JOIN d"                  \
    " ON d.one = x." one " AND d.two = x." two " ORDER BY 1, 2 FOR NO KEY UPDATE OF x)"            \
    " UPDATE \"" table "\" AS t SET " set " FROM l JOIN d ON d.one = l." one " AND d.two = l." two \
    " WHERE t." one " = l." one " AND t." two " = l." two

#define SPEND DOLLARS("spend", "d.nusd")

static const struct {
    const char *name;
    enum table table;
    unsigned key_n;
    const char *sql;
    const char *optional, *sql_with; /* a column of newer releases, and the statement then */
} kinds[KINDS] = {
    [KIND_ACCESS_GROUP] = {"access_group", TABLE_MODEL_ACCESS_GROUP_BUDGET, 1,
                           UPDATE("LiteLLM_ModelAccessGroupBudgetTable", "access_group_name",
                                  SPEND),
                           NULL, NULL},
    [KIND_END_USER] = {"end_user", TABLE_END_USER, 1,
                       "INSERT INTO \"LiteLLM_EndUserTable\" AS t (user_id, spend, blocked)"
                       " SELECT id, nusd / 1e9::float8, false"
                       " FROM unnest($1::text[], $2::bigint[]) AS d (id, nusd)"
                       " ON CONFLICT (user_id) DO UPDATE SET " DOLLARS(
                           "spend", "round(excluded.spend * 1e9::float8)"),
                       NULL, NULL},
    [KIND_KEY] = {"key", TABLE_KEY, 1, UPDATE("LiteLLM_VerificationToken", "token", SPEND),
                  "total_spend",
                  UPDATE("LiteLLM_VerificationToken", "token",
                         SPEND ", " DOLLARS("total_spend", "d.nusd") ", last_active = now() AT TIME"
                                                                     " ZONE 'UTC'")},
    [KIND_MEMBER] = {"member", TABLE_TEAM_MEMBERSHIP, 2,
                     UPDATE2("LiteLLM_TeamMembership", "team_id", "user_id", SPEND), "total_spend",
                     "INSERT INTO \"LiteLLM_TeamMembership\" AS t"
                     " (team_id, user_id, spend, total_spend)"
                     " SELECT d.one, d.two, d.nusd / 1e9::float8, d.nusd / 1e9::float8"
                     " FROM unnest($1::text[], $2::text[], $3::bigint[]) AS d (one, two, nusd)"
                     " WHERE EXISTS (SELECT FROM \"LiteLLM_TeamMembership\" m"
                     " WHERE m.user_id = d.two AND m.team_id = d.one)"
                     " OR EXISTS (SELECT FROM \"LiteLLM_TeamTable\" x WHERE x.team_id = d.one AND"
                     " x.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id',"
                     " d.two)))"
                     " ON CONFLICT (user_id, team_id) DO UPDATE SET " DOLLARS(
                         "spend",
                         "round(excluded.spend * 1e9::float8)") ", total_spend ="
                                                                " (round(greatest(t.total_spend,"
                                                                " t.spend) * 1e9::float8) +"
                                                                " round(excluded.total_spend *"
                                                                " 1e9::float8)) / 1e9::float8"},
    [KIND_ORGANIZATION] = {"organization", TABLE_ORGANIZATION, 1,
                           UPDATE("LiteLLM_OrganizationTable", "organization_id", SPEND), NULL,
                           NULL},
    [KIND_ORGANIZATION_MEMBER] = {"organization_member", TABLE_ORGANIZATION_MEMBERSHIP, 2,
                                  UPDATE2("LiteLLM_OrganizationMembership", "organization_id",
                                          "user_id",
                                          "spend = (round(coalesce(t.spend, 0) * 1e9::float8) +"
                                          " d.nusd) / 1e9::float8"),
                                  NULL, NULL},
    [KIND_PROJECT] = {"project", TABLE_PROJECT, 1,
                      UPDATE("LiteLLM_ProjectTable", "project_id", SPEND), NULL, NULL},
    [KIND_TAG] = {"tag", TABLE_TAG, 1, UPDATE("LiteLLM_TagTable", "tag_name", SPEND), NULL, NULL},
    [KIND_TEAM] = {"team", TABLE_TEAM, 1, UPDATE("LiteLLM_TeamTable", "team_id", SPEND), NULL,
                   NULL},
    [KIND_USER] = {"user", TABLE_USER, 1, UPDATE("LiteLLM_UserTable", "user_id", SPEND), NULL,
                   NULL},
};

static const char total_sql[] =
    "INSERT INTO weir.total AS t (kind, id, spend_nusd, requests)"
    " SELECT kind, CASE WHEN kind IN ('member', 'organization_member') THEN"
    " CASE kind WHEN 'member' THEN 'team_id' ELSE 'organization_id' END"
    " || '::' || one || '::user_id::' || two ELSE one END, nusd, requests"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])"
    " AS d (kind, one, two, nusd, requests)"
    " ON CONFLICT (kind, id) DO UPDATE SET spend_nusd = t.spend_nusd + excluded.spend_nusd,"
    " requests = t.requests + excluded.requests";

void entity_init(struct entity_tables *t, const struct catalog *c)
{
    *t = (struct entity_tables){0};
    for (unsigned i = 0; i < KINDS; i++) {
        if (!catalog_column(c, kinds[i].table, STR("spend")))
            continue;
        t->sql[i] = kinds[i].sql;
        if (kinds[i].optional && catalog_column(c, kinds[i].table, str_of(kinds[i].optional)))
            t->sql[i] = kinds[i].sql_with;
    }
}

static void tally_one(struct tally *t, const struct spent *s, enum kind k, struct str one,
                      struct str two)
{
    tally_add(t, (const struct str[]){str_of(kinds[k].name), one, two}, s);
}

static void tally_exchange(struct tally *t, const struct spent *s)
{
    const struct str none = {"", 0};

    tally_one(t, s, KIND_KEY, s->key, none); /* also of no key: all of these are everything */
    if (s->user.n)
        tally_one(t, s, KIND_USER, s->user, none);
    if (s->team.n)
        tally_one(t, s, KIND_TEAM, s->team, none);
    if (s->team.n && s->user.n)
        tally_one(t, s, KIND_MEMBER, s->team, s->user);
    if (s->organization.n)
        tally_one(t, s, KIND_ORGANIZATION, s->organization, none);
    if (s->organization.n && s->user.n)
        tally_one(t, s, KIND_ORGANIZATION_MEMBER, s->organization, s->user);
    if (s->end_user.n)
        tally_one(t, s, KIND_END_USER, s->end_user, none);
    if (s->project.n)
        tally_one(t, s, KIND_PROJECT, s->project, none);
    for (size_t i = 0; i < s->n_tags; i++)
        tally_one(t, s, KIND_TAG, s->tags[i], none);
    for (size_t i = 0; i < s->n_budget_groups; i++)
        tally_one(t, s, KIND_ACCESS_GROUP, s->budget_groups[i], none);
}

/* The rows of one kind lie together. */
static size_t kind_end(const struct tally *t, size_t from)
{
    size_t to = from;

    while (to < t->n && str_eq(t->rows[to].key[0], t->rows[from].key[0]))
        to++;
    return to;
}

static enum kind kind_of(struct str name)
{
    unsigned k = 0;

    while (!str_eq(str_of(kinds[k].name), name))
        k++;
    return (enum kind)k;
}

static void add_kind(struct tx *tx, const char *sql, enum kind k, const struct tally_row *rows,
                     size_t n)
{
    struct arena *a = tx->arena;
    const struct db_arg nusd = tally_sums(a, rows, n, SUM_NUSD), one = tally_keys(a, rows, n, 1);

    bool is_quiet = k == KIND_END_USER; /* no data plane need know of new ones */

    if (is_quiet)
        (void)TX_QUERY0(tx, "SET LOCAL weir.quiet = on");
    if (kinds[k].key_n == 2)
        (void)TX_QUERY(tx, sql, one, tally_keys(a, rows, n, 2), nusd);
    else
        (void)TX_QUERY(tx, sql, one, nusd);
    if (is_quiet)
        (void)TX_QUERY0(tx, "SET LOCAL weir.quiet = off");
}

/* LiteLLM's row of everything, where it keeps one: it has a limit for all. */
static void add_proxy_budget(struct tx *tx, const char *user_sql, struct spent *const *s, size_t n)
{
    int64_t nusd = 0;

    for (size_t i = 0; i < n; i++)
        nusd += s[i]->nusd;
    (void)TX_QUERY(tx, user_sql, DB_TEXT(STR("{litellm-proxy-budget}")),
                   DB_TEXT(arena_printf(tx->arena, "{%lld}", (long long)nusd)));
}

void entity_add(struct tx *tx, const struct entity_tables *t, struct spent *const *s, size_t n)
{
    struct arena *a = tx->arena;
    struct tally all;

    tally_init(&all, a, 3);
    for (size_t i = 0; i < n; i++)
        tally_exchange(&all, s[i]);
    tally_sort(&all);
    for (size_t i = 0, end; i < all.n && tx_ok(tx); i = end) {
        enum kind k = kind_of(all.rows[i].key[0]);
        end = kind_end(&all, i);
        if (t->sql[k])
            add_kind(tx, t->sql[k], k, all.rows + i, end - i);
    }
    if (n && t->sql[KIND_USER])
        add_proxy_budget(tx, t->sql[KIND_USER], s, n);
    if (all.n)
        (void)TX_QUERY(tx, total_sql, tally_keys(a, all.rows, all.n, 0),
                       tally_keys(a, all.rows, all.n, 1), tally_keys(a, all.rows, all.n, 2),
                       tally_sums(a, all.rows, all.n, SUM_NUSD),
                       tally_sums(a, all.rows, all.n, SUM_REQUESTS));
    if (!arena_ok(a))
        tx->fault = DB_NOMEM;
    tx_forget(tx);
    arena_reset(a);
}
