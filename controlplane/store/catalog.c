#include "store/catalog.h"

enum { ARENA_MAX = 4 * 1024 * 1024 };

static const struct {
    const char *name, *key;
} names[TABLES] = {
#define TABLE(id, name, key, ignored) [TABLE_##id] = {name, key},
#include "store/tables.def"
#undef TABLE
};

static enum column_kind kind_of(struct str type)
{
    if (str_starts(type, STR("timestamp")))
        return COLUMN_TIME;
    return str_eq(type, STR("jsonb")) ? COLUMN_JSON : COLUMN_PLAIN;
}

/* Only what can stand between quotes without harm; anything else in a catalogue is not ours. */
static bool is_plain(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = char_lower(name.p[i]);
        if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
            return false;
    }
    return name.n > 0;
}

static void read_table(struct catalog *c, enum table t, struct rows r)
{
    struct catalog_table *ct = &c->table[t];
    struct column *columns = arena_alloc(&c->arena, ((size_t)r.n + 1) * sizeof *columns);

    ct->name = names[t].name;
    ct->key = names[t].key;
    ct->columns = columns;
    for (int i = 0; columns && i < r.n; i++) {
        struct str name = rows_text(r, i, 1);
        if (str_eq(rows_text(r, i, 0), str_of(ct->name)) && is_plain(name))
            columns[ct->n++] = (struct column){.name = arena_str(&c->arena, name),
                                               .kind = kind_of(rows_text(r, i, 2))};
    }
}

enum errc catalog_load(struct catalog **ret_c, struct tx *tx, const char *schema, struct err *e)
{
    AUTO_FREE(catalog) struct catalog *c = calloc(1, sizeof *c);
    struct rows r =
        TX_QUERY(tx,
                 "SELECT table_name, column_name, data_type FROM information_schema.columns"
                 " WHERE table_schema = $1 AND table_name LIKE 'LiteLLM\\_%'"
                 " ORDER BY column_name COLLATE \"C\"",
                 DB_TEXT(str_of(schema)));

    if (!c)
        return err_set(e, ERRC_NOMEM, 0, "catalogue");
    arena_init(&c->arena, NULL, ARENA_MAX);
    if (!tx_ok(tx))
        return err_set(e, errc_from_fault(tx->fault), 0, "catalogue: %s", tx->err.msg);
    for (unsigned t = 0; t < TABLES; t++)
        read_table(c, (enum table)t, r);
    if (!arena_ok(&c->arena))
        return err_set(e, ERRC_NOMEM, 0, "catalogue");
    *ret_c = TAKE(c);
    return ERRC_OK;
}

struct catalog *catalog_free(struct catalog *c)
{
    if (c)
        arena_reset(&c->arena);
    free(c);
    return NULL;
}

enum table catalog_table(struct str name)
{
    enum table t = 0;

    while (t < TABLES && !str_eq(name, str_of(names[t].name)))
        t++;
    return t;
}

const struct column *catalog_column(const struct catalog *c, enum table t, struct str name)
{
    const struct catalog_table *ct = &c->table[t];
    unsigned lo = 0, hi = ct->n;

    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        struct str at = ct->columns[mid].name;
        int d = memcmp(at.p, name.p, MIN(at.n, name.n));
        if (d == 0 && at.n == name.n)
            return &ct->columns[mid];
        if (d < 0 || (d == 0 && at.n < name.n))
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
