/*
 * Spend of an entity is that of the period that runs. A record that comes after the period it
 * belongs to adds to what is kept for ever (weir.total, total_spend), and not to that.
 */

#include "ingest/entity.h"

#include "common/clock.h"

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
    "WITH d AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS d"                 \
    " (id, nusd, ever)),"                                                                          \
    " l AS MATERIALIZED (SELECT " key " FROM \"" table "\" WHERE " key " = ANY ($1::text[])"       \
    " ORDER BY " key " FOR NO KEY UPDATE)"                                                         \
    " UPDATE \"" table "\" AS t SET " set " FROM l JOIN d ON d.id = l." key " WHERE t." key        \
    " = l." key

#define UPDATE2(table, one, two, set)                                                              \
    "WITH d AS (SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS d"     \
    " (one, two, nusd, ever)),"                                                                    \
    " l AS MATERIALIZED (SELECT x." one ", x." two " FROM \"" table "\" x JOIN d"                  \
    " ON d.one = x." one " AND d.two = x." two " ORDER BY 1, 2 FOR NO KEY UPDATE OF x)"            \
    " UPDATE \"" table "\" AS t SET " set " FROM l JOIN d ON d.one = l." one " AND d.two = l." two \
    " WHERE t." one " = l." one " AND t." two " = l." two

#define SPEND        DOLLARS("spend", "d.nusd")
#define EVER         DOLLARS("total_spend", "d.ever")
#define ADD_EXCLUDED DOLLARS("spend", "round(excluded.spend * 1e9::float8)")

/* Those who add to rows of these keys wait until this one has ended. The order is that in which
 * they lock: the database's, or that of bytes where an INSERT takes the keys as they come. */
#define BYTES " COLLATE \"C\""
#define LOCK(table, key, order)                                                                    \
    "SELECT FROM \"" table "\" WHERE " key " = ANY ($1::text[]) ORDER BY " key order               \
    " FOR NO KEY UPDATE"
#define LOCK2(table, one, two, order)                                                              \
    "SELECT FROM \"" table "\" t JOIN unnest($1::text[], $2::text[]) AS d (one, two)"              \
    " ON d.one = t." one " AND d.two = t." two " ORDER BY t." one order ", t." two order           \
    " FOR NO KEY UPDATE OF t"

/* Of keys ($1, $2), each with when an exchange of it ended ($3, milliseconds), whose period began
 * after that, and when. $4: the zone. A statement behind LOCK: it sees who held the rows. */
#define BEGAN(from, of)                                                                            \
    "SELECT d.one, d.two, b.ms FROM unnest($1::text[], $2::text[], $3::bigint[])"                  \
    " AS d (one, two, first_ms) JOIN \"" from                                                      \
    " CROSS JOIN LATERAL (SELECT ceil(extract(epoch FROM weir.period_began(" of                    \
    ", (SELECT weir.zone($4)))) * 1000)::bigint AS ms) AS b WHERE b.ms > d.first_ms"
#define OF_BUDGET(on)  " JOIN \"LiteLLM_BudgetTable\" g ON g.budget_id = " on
#define BUDGETS_PERIOD "g.budget_duration, g.budget_reset_at"

/* A table with one key. Its rows have periods of their own, or those of the budget they name. */
#define PLAIN(tbl, key) .key_n = 1, .sql = UPDATE(tbl, key, SPEND), .lock = LOCK(tbl, key, "")
#define OWN(tbl, key)                                                                              \
    PLAIN(tbl, key),                                                                               \
        .began = BEGAN(tbl "\" t ON t." key " = d.one", "t.budget_duration, t.budget_reset_at"),   \
        .period = "budget_reset_at"
#define LINKED(tbl, key)                                                                           \
    PLAIN(tbl, key),                                                                               \
        .began = BEGAN(tbl "\" t ON t." key " = d.one" OF_BUDGET("t.budget_id"), BUDGETS_PERIOD),  \
        .period = "budget_id"

static const struct {
    const char *name;
    enum table table;
    unsigned key_n;
    const char *sql;
    const char *optional, *sql_with; /* a column of newer releases, and the statement then */
    const char *lock, *began;        /* NULL: is never set back */
    const char *period;              /* a column that `began` is about */
} kinds[KINDS] = {
    [KIND_ACCESS_GROUP] = {"access_group", TABLE_MODEL_ACCESS_GROUP_BUDGET,
                           LINKED("LiteLLM_ModelAccessGroupBudgetTable", "access_group_name")},
    [KIND_END_USER] =
        {"end_user", TABLE_END_USER, .key_n = 1,
         .sql = "INSERT INTO \"LiteLLM_EndUserTable\" AS t (user_id, spend, blocked)"
                " SELECT id, nusd / 1e9::float8, false"
                " FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS d (id, nusd, ever)"
                " ON CONFLICT (user_id) DO UPDATE SET " ADD_EXCLUDED,
         .lock = LOCK("LiteLLM_EndUserTable", "user_id", BYTES),
         .began = BEGAN("LiteLLM_EndUserTable\" t ON t.user_id = d.one" OF_BUDGET(
                            "coalesce(t.budget_id, nullif($5, ''))"),
                        BUDGETS_PERIOD),
         .period = "budget_id"},
    [KIND_KEY] = {"key", TABLE_KEY, PLAIN("LiteLLM_VerificationToken", "token"),
                  .optional = "total_spend",
                  .sql_with = UPDATE("LiteLLM_VerificationToken", "token",
                                     SPEND ", " EVER ", last_active = now() AT TIME ZONE 'UTC'"),
                  .began = BEGAN("LiteLLM_VerificationToken\" t ON t.token = d.one LEFT" OF_BUDGET(
                                     "t.budget_id AND t.budget_duration IS NULL"),
                                 "coalesce(t.budget_duration, g.budget_duration),"
                                 " coalesce(t.budget_reset_at, g.budget_reset_at)"),
                  .period = "budget_reset_at"},
    [KIND_MEMBER] =
        {"member", TABLE_TEAM_MEMBERSHIP, .key_n = 2,
         .sql = UPDATE2("LiteLLM_TeamMembership", "team_id", "user_id", SPEND),
         .optional = "total_spend",
         .sql_with = "INSERT INTO \"LiteLLM_TeamMembership\" AS t"
                     " (team_id, user_id, spend, total_spend)"
                     " SELECT d.one, d.two, d.nusd / 1e9::float8, d.ever / 1e9::float8"
                     " FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])"
                     " AS d (one, two, nusd, ever)"
                     " WHERE EXISTS (SELECT FROM \"LiteLLM_TeamMembership\" m"
                     " WHERE m.user_id = d.two AND m.team_id = d.one)"
                     " OR EXISTS (SELECT FROM \"LiteLLM_TeamTable\" x WHERE x.team_id = d.one AND"
                     " x.members_with_roles @> jsonb_build_array(jsonb_build_object('user_id',"
                     " d.two)))"
                     " ON CONFLICT (user_id, team_id) DO UPDATE SET " ADD_EXCLUDED
                     ", total_spend = (round(greatest(t.total_spend, t.spend) * 1e9::float8) +"
                     " round(excluded.total_spend * 1e9::float8)) / 1e9::float8",
         .lock = LOCK2("LiteLLM_TeamMembership", "team_id", "user_id", BYTES),
         .began = BEGAN(
             "LiteLLM_TeamMembership\" t ON t.team_id = d.one AND t.user_id = d.two" OF_BUDGET(
                 "coalesce(t.budget_id, (SELECT x.metadata ->> 'team_member_budget_id'"
                 " FROM \"LiteLLM_TeamTable\" x WHERE x.team_id = t.team_id))"),
             BUDGETS_PERIOD),
         .period = "budget_id"},
    [KIND_ORGANIZATION] = {"organization", TABLE_ORGANIZATION,
                           LINKED("LiteLLM_OrganizationTable", "organization_id")},
    [KIND_ORGANIZATION_MEMBER] = {"organization_member", TABLE_ORGANIZATION_MEMBERSHIP, .key_n = 2,
                                  .sql =
                                      UPDATE2("LiteLLM_OrganizationMembership", "organization_id",
                                              "user_id",
                                              "spend = (round(coalesce(t.spend, 0) * 1e9::float8) +"
                                              " d.nusd) / 1e9::float8")},
    [KIND_PROJECT] = {"project", TABLE_PROJECT, LINKED("LiteLLM_ProjectTable", "project_id")},
    [KIND_TAG] = {"tag", TABLE_TAG, LINKED("LiteLLM_TagTable", "tag_name")},
    [KIND_TEAM] = {"team", TABLE_TEAM, OWN("LiteLLM_TeamTable", "team_id")},
    [KIND_USER] = {"user", TABLE_USER, OWN("LiteLLM_UserTable", "user_id")},
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

void entity_init(struct entity_tables *t, const struct catalog *c, struct str zone,
                 struct str standard_budget)
{
    *t = (struct entity_tables){.zone = zone, .standard_budget = standard_budget};
    for (unsigned i = 0; i < KINDS; i++) {
        enum table of = kinds[i].table;
        if (!catalog_column(c, of, STR("spend")))
            continue;
        t->sql[i] = kinds[i].sql;
        if (kinds[i].optional && catalog_column(c, of, str_of(kinds[i].optional)))
            t->sql[i] = kinds[i].sql_with;
        t->has_period[i] = kinds[i].began && catalog_column(c, of, str_of(kinds[i].period)) &&
                           catalog_column(c, TABLE_BUDGET, STR("budget_reset_at"));
    }
}

/* ---- who is added to ---- */

typedef void (*entity_fn)(void *ctx, const struct spent *s, enum kind k, struct str one,
                          struct str two);

static void each_entity(const struct spent *s, entity_fn each, void *ctx)
{
    const struct str none = {"", 0};

    each(ctx, s, KIND_KEY, s->key, none); /* also of no key: all of these are everything */
    if (s->user.n)
        each(ctx, s, KIND_USER, s->user, none);
    if (s->team.n)
        each(ctx, s, KIND_TEAM, s->team, none);
    if (s->team.n && s->user.n)
        each(ctx, s, KIND_MEMBER, s->team, s->user);
    if (s->organization.n)
        each(ctx, s, KIND_ORGANIZATION, s->organization, none);
    if (s->organization.n && s->user.n)
        each(ctx, s, KIND_ORGANIZATION_MEMBER, s->organization, s->user);
    if (s->end_user.n)
        each(ctx, s, KIND_END_USER, s->end_user, none);
    if (s->project.n)
        each(ctx, s, KIND_PROJECT, s->project, none);
    for (size_t i = 0; i < s->n_tags; i++)
        each(ctx, s, KIND_TAG, s->tags[i], none);
    for (size_t i = 0; i < s->n_budget_groups; i++)
        each(ctx, s, KIND_ACCESS_GROUP, s->budget_groups[i], none);
}

static void tally_one(void *tally, const struct spent *s, enum kind k, struct str one,
                      struct str two)
{
    tally_add(tally, (const struct str[]){str_of(kinds[k].name), one, two}, s);
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

/* ---- what comes after its period ---- */

struct late {
    enum kind kind;
    struct tally_row *rows; /* of the kind, sorted */
    size_t n;
    int64_t *began_ms; /* as many: when the period began, where that matters; else 0 */
};

static size_t row_of(const struct late *l, struct str one, struct str two)
{
    return tally_find(l->rows, l->n, (const struct str[]){l->rows->key[0], one, two}, 3);
}

static void take_off(struct late *l, const struct spent *s, size_t i)
{
    if (s->end_ms < l->began_ms[i])
        l->rows[i].sum[SUM_PERIOD_NUSD] -= s->nusd;
}

static void take_off_one(void *late, const struct spent *s, enum kind k, struct str one,
                         struct str two)
{
    struct late *l = late;

    if (k == l->kind)
        take_off(l, s, row_of(l, one, two));
}

/* Boundaries of periods are whole minutes: one of now, and none can lie between. */
static bool may_be_late(const struct tally_row *rows, size_t n)
{
    enum { MINUTE_MS = 60000 };
    int64_t minute = clock_wall_us() / 1000 / MINUTE_MS;

    for (size_t i = 0; i < n; i++)
        if (rows[i].first_ms / MINUTE_MS < minute)
            return true;
    return false;
}

/* The beginnings of periods that some exchange ended before, into *l; the rows stay locked. False:
 * there are none. */
static bool ask_began(struct tx *tx, const struct entity_tables *t, struct late *l)
{
    struct arena *a = tx->arena;
    const struct db_arg one = tally_keys(a, l->rows, l->n, 1),
                        two = tally_keys(a, l->rows, l->n, 2);

    l->began_ms = arena_zalloc(a, (l->n + 1) * sizeof *l->began_ms);
    if (!l->began_ms)
        return false;
    if (kinds[l->kind].key_n == 2)
        (void)TX_QUERY(tx, kinds[l->kind].lock, one, two);
    else
        (void)TX_QUERY(tx, kinds[l->kind].lock, one);
    const struct db_arg args[] = {one, two, tally_firsts(a, l->rows, l->n), DB_TEXT(t->zone),
                                  DB_TEXT(t->standard_budget)};
    struct rows r = tx_query(tx, kinds[l->kind].began, args, l->kind == KIND_END_USER ? 5 : 4);
    for (int i = 0; i < r.n; i++)
        l->began_ms[row_of(l, rows_text(r, i, 0), rows_text(r, i, 1))] = rows_int(r, i, 2);
    return r.n > 0;
}

/* Whether there is something to take off; the rows stay locked then. */
static bool find_late(struct tx *tx, const struct entity_tables *t, struct late *l)
{
    return t->has_period[l->kind] && may_be_late(l->rows, l->n) && ask_began(tx, t, l);
}

/* ---- adding ---- */

static void add_kind(struct tx *tx, const char *sql, enum kind k, const struct tally_row *rows,
                     size_t n)
{
    struct arena *a = tx->arena;
    const struct db_arg nusd = tally_sums(a, rows, n, SUM_PERIOD_NUSD),
                        ever = tally_sums(a, rows, n, SUM_NUSD), one = tally_keys(a, rows, n, 1);

    bool is_quiet = k == KIND_END_USER; /* no data plane need know of new ones */

    if (is_quiet)
        (void)TX_QUERY0(tx, "SET LOCAL weir.quiet = on");
    if (kinds[k].key_n == 2)
        (void)TX_QUERY(tx, sql, one, tally_keys(a, rows, n, 2), nusd, ever);
    else
        (void)TX_QUERY(tx, sql, one, nusd, ever);
    if (is_quiet)
        (void)TX_QUERY0(tx, "SET LOCAL weir.quiet = off");
}

/* LiteLLM's row of everything, where it keeps one: it has a limit for all. */
static void add_proxy_budget(struct tx *tx, const struct entity_tables *t, struct spent *const *s,
                             size_t n)
{
    const struct str key[] = {str_of(kinds[KIND_USER].name), STR_INIT("litellm-proxy-budget"),
                              STR_INIT("")};
    struct tally all;

    tally_init(&all, tx->arena, ARRAY_LEN(key));
    for (size_t i = 0; i < n; i++)
        tally_add(&all, key, s[i]);
    struct late late = {KIND_USER, all.rows, all.n, NULL};
    if (find_late(tx, t, &late))
        for (size_t i = 0; i < n; i++)
            take_off(&late, s[i], 0);
    add_kind(tx, t->sql[KIND_USER], KIND_USER, all.rows, all.n);
}

void entity_add(struct tx *tx, const struct entity_tables *t, struct spent *const *s, size_t n)
{
    struct arena *a = tx->arena;
    struct tally all;

    tally_init(&all, a, 3);
    for (size_t i = 0; i < n; i++)
        each_entity(s[i], tally_one, &all);
    tally_sort(&all);
    for (size_t i = 0, end; i < all.n && tx_ok(tx); i = end) {
        enum kind k = kind_of(all.rows[i].key[0]);
        end = kind_end(&all, i);
        struct late late = {k, all.rows + i, end - i, NULL};
        if (t->sql[k] && find_late(tx, t, &late))
            for (size_t r = 0; r < n; r++)
                each_entity(s[r], take_off_one, &late);
        if (t->sql[k])
            add_kind(tx, t->sql[k], k, all.rows + i, end - i);
    }
    if (n && t->sql[KIND_USER] && tx_ok(tx))
        add_proxy_budget(tx, t, s, n);
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
