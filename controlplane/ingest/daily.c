/* A table of the tables, and one statement made of each row. */

#include "ingest/daily.h"

#include "ingest/tally.h"

/* What a key's column holds. */
enum part {
    PART_USER,
    PART_TEAM,
    PART_ORGANIZATION,
    PART_END_USER,
    PART_TAG,
    PART_DATE,
    PART_API_KEY,
    PART_MODEL,
    PART_GROUP,
    PART_PROVIDER,
    PART_ENDPOINT,
    PART_TASK,
    PARTS,
};

static const char *const part_columns[PARTS] = {
    [PART_USER] = "user_id",
    [PART_TEAM] = "team_id",
    [PART_ORGANIZATION] = "organization_id",
    [PART_END_USER] = "end_user_id",
    [PART_TAG] = "tag",
    [PART_DATE] = "date",
    [PART_API_KEY] = "api_key",
    [PART_MODEL] = "model",
    [PART_GROUP] = "model_group",
    [PART_PROVIDER] = "custom_llm_provider",
    [PART_ENDPOINT] = "endpoint",
    [PART_TASK] = "task_type",
};

#define ENTITY_KEY(part)                                                                           \
    {part, PART_DATE, PART_API_KEY, PART_MODEL, PART_PROVIDER, PART_ENDPOINT}, 6

static const struct {
    enum table table;
    enum part key[TALLY_KEY_MAX];
    unsigned key_n;
    bool needs_entity; /* none: no row; otherwise the row of '' */
} tables[DAILY_TABLES] = {
    [DAILY_USER] = {TABLE_DAILY_USER, ENTITY_KEY(PART_USER), false},
    [DAILY_TEAM] = {TABLE_DAILY_TEAM, ENTITY_KEY(PART_TEAM), false},
    [DAILY_ORGANIZATION] = {TABLE_DAILY_ORGANIZATION, ENTITY_KEY(PART_ORGANIZATION), true},
    [DAILY_END_USER] = {TABLE_DAILY_END_USER, ENTITY_KEY(PART_END_USER), true},
    [DAILY_TAG] = {TABLE_DAILY_TAG, ENTITY_KEY(PART_TAG), true},
    [DAILY_GLOBAL] = {TABLE_DAILY_GLOBAL,
                      {PART_DATE, PART_MODEL, PART_GROUP, PART_PROVIDER, PART_ENDPOINT},
                      5,
                      false},
    [DAILY_MODEL] = {TABLE_DAILY_MODEL,
                     {PART_DATE, PART_GROUP, PART_MODEL, PART_PROVIDER, PART_TASK},
                     5,
                     false},
};

static const struct {
    const char *column;
    enum sum sum;
} sums[] = {
    {"prompt_tokens", SUM_PROMPT},
    {"completion_tokens", SUM_COMPLETION},
    {"cache_read_input_tokens", SUM_CACHE_READ},
    {"cache_creation_input_tokens", SUM_CACHE_WRITTEN},
    {"api_requests", SUM_REQUESTS},
    {"request_count", SUM_REQUESTS}, /* of DailyModelUsage */
    {"successful_requests", SUM_SUCCEEDED},
    {"failed_requests", SUM_FAILED},
    {"total_response_time_ms", SUM_DURATION_MS},
    {"timed_requests", SUM_TIMED},
};

#define BIT_GROUP      BIT(30)
#define BIT_REQUEST_ID BIT(31)

/* ---- statements ---- */

struct sql { /* lists that grow together */
    struct arena *a;
    struct str columns, values, arrays, names, conflict, set;
    unsigned n; /* arrays */
};

static void add(struct arena *a, struct str *list, const char *item)
{
    *list = arena_printf(a, STR_FMT "%s%s", STR_ARG(*list), list->n ? ", " : "", item);
}

static void add_array(struct sql *q, const char *column, const char *type)
{
    q->n++;
    add(q->a, &q->columns, arena_printf(q->a, "\"%s\"", column).p);
    add(q->a, &q->arrays, arena_printf(q->a, "$%u::%s[]", q->n, type).p);
    add(q->a, &q->names, arena_printf(q->a, "a%u", q->n).p);
}

static void add_key(struct sql *q, const char *column)
{
    add_array(q, column, "text");
    add(q->a, &q->values, arena_printf(q->a, "a%u", q->n).p);
    add(q->a, &q->conflict, arena_printf(q->a, "\"%s\"", column).p);
}

static void add_constant(struct sql *q, const char *column, const char *value)
{
    add(q->a, &q->columns, arena_printf(q->a, "\"%s\"", column).p);
    add(q->a, &q->values, value);
}

static void add_sum(struct sql *q, const char *column)
{
    add_array(q, column, "bigint");
    add(q->a, &q->values, arena_printf(q->a, "a%u", q->n).p);
    add(q->a, &q->set,
        arena_printf(q->a, "\"%s\" = t.\"%s\" + excluded.\"%s\"", column, column, column).p);
}

/* A double that stays the nearest to a whole number of nano-dollars. */
static void add_spend(struct sql *q)
{
    add_array(q, "spend", "bigint");
    add(q->a, &q->values, arena_printf(q->a, "a%u / 1e9::float8", q->n).p);
    add(q->a, &q->set,
        "spend = (round(t.spend * 1e9::float8) + round(excluded.spend * 1e9::float8)) / "
        "1e9::float8");
}

static bool has(const struct catalog *c, enum daily d, const char *column)
{
    return catalog_column(c, tables[d].table, str_of(column)) != NULL;
}

/* The arrays are: the key's, the group (where no key), a request's id (tags), sums, spend. */
static void table_init(struct daily_table *t, const struct catalog *c, enum daily d,
                       struct arena *a)
{
    struct sql q = {.a = a};
    unsigned bit = 0;

    if (!c->table[tables[d].table].n)
        return;
    for (unsigned i = 0; i < tables[d].key_n; i++, bit++)
        if (has(c, d, part_columns[tables[d].key[i]])) {
            t->columns |= UINT32_C(1) << bit;
            add_key(&q, part_columns[tables[d].key[i]]);
        }
    if (has(c, d, "mcp_namespaced_tool_name")) {
        add_constant(&q, "mcp_namespaced_tool_name", "''");
        add(a, &q.conflict, "mcp_namespaced_tool_name");
    }
    if (has(c, d, "id"))
        add_constant(&q, "id", "gen_random_uuid()::text");
    if (has(c, d, "updated_at")) {
        add_constant(&q, "updated_at", "now() AT TIME ZONE 'UTC'");
        add(a, &q.set, "updated_at = excluded.updated_at");
    }
    if (has(c, d, "model_group") && tables[d].key[0] != PART_DATE) {
        t->columns |= BIT_GROUP;
        add_array(&q, "model_group", "text");
        add(a, &q.values, arena_printf(a, "a%u", q.n).p);
    }
    if (has(c, d, "request_id")) {
        t->columns |= BIT_REQUEST_ID;
        add_array(&q, "request_id", "text");
        add(a, &q.values, arena_printf(a, "a%u", q.n).p);
        add(a, &q.set, "request_id = excluded.request_id");
    }
    for (unsigned i = 0; i < ARRAY_LEN(sums); i++, bit++)
        if (has(c, d, sums[i].column)) {
            t->columns |= UINT32_C(1) << bit;
            add_sum(&q, sums[i].column);
        }
    add_spend(&q);
    t->sql =
        arena_printf(a,
                     "INSERT INTO \"%s\" AS t (" STR_FMT ") SELECT " STR_FMT " FROM unnest(" STR_FMT
                     ") AS u (" STR_FMT ") ON CONFLICT (" STR_FMT ") DO UPDATE SET " STR_FMT,
                     c->table[tables[d].table].name, STR_ARG(q.columns), STR_ARG(q.values),
                     STR_ARG(q.arrays), STR_ARG(q.names), STR_ARG(q.conflict), STR_ARG(q.set))
            .p;
}

void daily_init(struct daily_tables *d, const struct catalog *c, struct arena *a)
{
    *d = (struct daily_tables){0};
    for (unsigned i = 0; i < DAILY_TABLES; i++)
        table_init(&d->table[i], c, (enum daily)i, a);
}

/* ---- rows ---- */

static struct str or_unknown(struct str s)
{
    return s.n ? s : STR("unknown");
}

static struct str part_of(const struct spent *s, enum daily d, enum part p)
{
    bool by_model = d == DAILY_MODEL; /* has no empty names */

    switch (p) {
    case PART_USER:
        return s->user;
    case PART_TEAM:
        return s->team;
    case PART_ORGANIZATION:
        return s->organization;
    case PART_END_USER:
        return s->end_user;
    case PART_DATE:
        return (struct str){s->date, DATE_TEXT};
    case PART_API_KEY:
        return s->key;
    case PART_MODEL:
        return by_model ? or_unknown(s->model) : s->model;
    case PART_GROUP:
        return by_model && !s->group.n ? or_unknown(s->model) : s->group;
    case PART_PROVIDER:
        return by_model ? or_unknown(s->provider) : s->provider;
    case PART_ENDPOINT:
        return spent_endpoint(s);
    case PART_TASK:
        return STR("uncategorized");
    case PART_TAG: /* several: tally_exchange() */
    case PARTS:
        break;
    }
    return (struct str){"", 0};
}

static bool has_row(enum daily d, const struct spent *s)
{
    if (d == DAILY_TAG)
        return s->n_tags;
    return !tables[d].needs_entity || part_of(s, d, tables[d].key[0]).n;
}

static void tally_exchange(struct tally *t, enum daily d, uint32_t columns, const struct spent *s)
{
    struct str key[TALLY_KEY_MAX];
    unsigned n = 0;

    for (unsigned i = 0; i < tables[d].key_n; i++)
        if (columns & UINT32_C(1) << i)
            key[n++] = part_of(s, d, tables[d].key[i]);
    for (size_t i = 0; d == DAILY_TAG && i < s->n_tags; i++) {
        key[0] = s->tags[i];
        tally_add(t, key, s);
    }
    if (d != DAILY_TAG && has_row(d, s))
        tally_add(t, key, s);
}

static struct db_arg groups_of(struct arena *a, const struct tally *t, bool ids)
{
    struct str *texts = arena_alloc(a, (t->n + 1) * sizeof *texts);

    for (size_t r = 0; texts && r < t->n; r++)
        texts[r] = ids ? t->rows[r].last->id : t->rows[r].last->group;
    return array_of_texts(a, texts, texts ? t->n : 0);
}

static void table_add(struct tx *tx, const struct daily_table *dt, enum daily d,
                      struct spent *const *s, size_t n)
{
    enum { ARGS = TALLY_KEY_MAX + 2 + ARRAY_LEN(sums) + 1 };
    struct db_arg args[ARGS];
    struct arena *a = tx->arena;
    struct tally t;
    unsigned keys = 0, n_args = 0, bit = tables[d].key_n;

    for (unsigned i = 0; i < tables[d].key_n; i++)
        keys += (dt->columns >> i) & 1;
    tally_init(&t, a, keys);
    for (size_t i = 0; i < n; i++)
        tally_exchange(&t, d, dt->columns, s[i]);
    if (!t.n)
        return;
    tally_sort(&t);
    for (unsigned i = 0; i < keys; i++)
        args[n_args++] = tally_keys(a, t.rows, t.n, i);
    if (dt->columns & BIT_GROUP)
        args[n_args++] = groups_of(a, &t, false);
    if (dt->columns & BIT_REQUEST_ID)
        args[n_args++] = groups_of(a, &t, true);
    for (unsigned i = 0; i < ARRAY_LEN(sums); i++, bit++)
        if (dt->columns & UINT32_C(1) << bit)
            args[n_args++] = tally_sums(a, t.rows, t.n, sums[i].sum);
    args[n_args++] = tally_sums(a, t.rows, t.n, SUM_NUSD);
    (void)tx_query(tx, dt->sql, args, (int)n_args);
}

/* ---- days that are over ---- */

/* Kinds of weir.daily_kinds(). */
static const struct {
    struct str name;
    enum daily table;
} kinds[] = {
    {STR_INIT("user"), DAILY_USER},
    {STR_INIT("team"), DAILY_TEAM},
    {STR_INIT("organization"), DAILY_ORGANIZATION},
    {STR_INIT("customer"), DAILY_END_USER},
    {STR_INIT("tag"), DAILY_TAG},
};

void daily_note(struct tx *tx, struct spent *const *s, size_t n)
{
    struct arena *a = tx->arena;
    struct tally t;

    tally_init(&t, a, 2);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
            const struct str key[] = {kinds[k].name, {s[i]->date, DATE_TEXT}};
            if (has_row(kinds[k].table, s[i]))
                (void)tally_add(&t, key, s[i]);
        }
    (void)TX_QUERY(tx, "SELECT weir.daily_note($1::text[], $2::text[])",
                   tally_keys(a, t.rows, t.n, 0), tally_keys(a, t.rows, t.n, 1));
    if (!arena_ok(a))
        tx->fault = DB_NOMEM;
    tx_forget(tx);
    arena_reset(a);
}

void daily_add(struct tx *tx, const struct daily_tables *d, struct spent *const *s, size_t n)
{
    for (unsigned i = 0; i < DAILY_TABLES && tx_ok(tx); i++) {
        if (!d->table[i].sql)
            continue;
        table_add(tx, &d->table[i], (enum daily)i, s, n);
        if (!arena_ok(tx->arena))
            tx->fault = DB_NOMEM;
        tx_forget(tx);
        arena_reset(tx->arena);
    }
}
