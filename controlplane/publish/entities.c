/* Statements composed of constants and the catalogue's names. */

#include "publish/entities.h"

enum {
    SQL_MAX = 1024 * 1024,
    CELLS_MAX = 48,
    LOOK_ROWS = 100, /* of the first look at a table: how large are they? */
    PAGE_ROWS = 500, /* then at once: about what a socket holds while others are packed */
    ROW_ARENA = 64 * 1024 * 1024,
    SPARE_BLOCKS = 8,
    TOTALS_TOUCHED = 500000, /* more at once: a full sync costs less */
};

static const struct kind {
    enum table table;
    const char *from, *key1, *key2, *filter;
} kinds[ENTITY_KINDS] = {
#define ENTITY(kind, table, struct_, member, from, key1, key2, filter)                             \
    [ENTITY_##kind] = {TABLE_##table, from, key1, key2, filter},
#include "publish/entities.def"
};

static const struct touch {
    enum table table;
    enum entity_kind kind;
    const char *keys;
    bool of_part;
} touches[] = {
#define TOUCH(table, kind, keys) {TABLE_##table, ENTITY_##kind, keys, false},
#define PART(table, kind, keys)  {TABLE_##table, ENTITY_##kind, keys, true},
#include "publish/entities.def"
};

/* Kinds that look in another table for what one does not find. */
static enum entity_kind fallback(enum entity_kind k)
{
    return k == ENTITY_KEY ? ENTITY_GRACE : ENTITY_KINDS;
}

struct statements {
    const char *by_keys, *page;      /* NULL: there is no such table */
    const char *totals;              /* NULL: nor anything that is spent */
    unsigned char column[CELLS_MAX]; /* of each cell; cells of one expression share theirs */
};

struct entities {
    const struct seal_key *seal;
    const struct catalog *catalog;
    struct arena arena;
    struct statements sql[ENTITY_KINDS];
};

/* ---- composing ---- */

static bool is_name(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static enum table table_of(char alias, enum entity_kind k)
{
    switch (alias) {
    case 't':
        return kinds[k].table;
    case 'b':
        return TABLE_BUDGET;
    case 'm':
        return TABLE_MODEL_ALIASES;
    case 'g':
        return TABLE_TEAM;
    default:
        return TABLES;
    }
}

/* `sql` with the columns that are not there replaced by NULL. */
static struct str with_columns(const struct entities *en, enum entity_kind k, const char *sql,
                               struct arena *a)
{
    size_t n = strlen(sql), o = 0;
    char *out = arena_alloc(a, 2 * n + 1); /* "t.x" becomes no more than "NULL" */

    for (size_t i = 0; out && i < n;) {
        size_t end = i + 2;
        bool is_column = i + 2 < n && sql[i + 1] == '.' && is_name(sql[i + 2]) &&
                         (i == 0 || (!is_name(sql[i - 1]) && sql[i - 1] != '"')) &&
                         table_of(sql[i], k) < TABLES;
        while (is_column && end < n && is_name(sql[end]))
            end++;
        if (!is_column) {
            out[o++] = sql[i++];
            continue;
        }
        struct str column = {sql + i + 2, end - i - 2};
        bool is_there = catalog_column(en->catalog, table_of(sql[i], k), column) != NULL;
        memcpy(out + o, is_there ? sql + i : "NULL", is_there ? end - i : 4);
        o += is_there ? end - i : 4;
        i = end;
    }
    if (!out)
        return (struct str){0};
    out[o] = '\0';
    return (struct str){out, o};
}

static struct str expression(const struct entities *en, const struct cell *c, struct arena *a)
{
    struct str sql = with_columns(en, c->kind, c->expression, a);

    if (c->type == CELL_TIME)
        return arena_printf(a,
                            "CASE WHEN isfinite((%s)::timestamp) THEN"
                            " (extract(epoch FROM (%s)::timestamp) * 1000000)::bigint END",
                            sql.p, sql.p);
    return sql;
}

/* The statements of one list of columns, by keys. */
static const char *by_keys(const struct kind *kind, struct str head, struct arena *a)
{
    if (kind->key2)
        return arena_printf(a, STR_FMT "(%s, %s) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
                            STR_ARG(head), kind->key1, kind->key2)
            .p;
    return arena_printf(a, STR_FMT "%s = ANY ($1::text[]) AND cardinality($2::text[]) >= 0",
                        STR_ARG(head), kind->key1)
        .p;
}

static struct str head_of(const struct entities *en, enum entity_kind k, struct str list,
                          struct arena *a)
{
    const struct kind *kind = &kinds[k];
    struct str from = with_columns(en, k, kind->from, a);

    return arena_printf(a, STR_FMT " FROM " STR_FMT " WHERE %s%s", STR_ARG(list), STR_ARG(from),
                        kind->filter ? with_columns(en, k, kind->filter, a).p : "",
                        kind->filter ? " AND " : "");
}

/* Spend and the end of its period, of a kind that has them. */
static void compose_totals(struct entities *en, enum entity_kind k)
{
    const struct kind *kind = &kinds[k];
    struct arena *a = &en->arena;
    struct str spend = {0}, reset = STR("NULL");
    size_t n;
    const struct cell *c = entity_cells(k, &n);

    for (size_t i = 0; i < n; i++)
        if (c[i].type == CELL_MONEY && !c[i].in_limits)
            spend = expression(en, &c[i], a);
        else if (c[i].in_limits && c[i].at == offsetof(Weir__Limits, budget_reset_us))
            reset = expression(en, &c[i], a);
    if (!spend.p || str_eq(spend, STR("NULL")))
        return;
    struct str list = arena_printf(a, "SELECT %s, %s, " STR_FMT ", " STR_FMT, kind->key1,
                                   kind->key2 ? kind->key2 : "''", STR_ARG(spend), STR_ARG(reset));
    en->sql[k].totals = by_keys(kind, head_of(en, k, list, a), a);
}

static void compose(struct entities *en, enum entity_kind k)
{
    const struct kind *kind = &kinds[k];
    struct arena *a = &en->arena;
    const char *key2 = kind->key2 ? kind->key2 : "''";
    struct str select[2 + CELLS_MAX] = {str_of(kind->key1), str_of(key2)};
    unsigned char n_select = 2;
    size_t n;
    const struct cell *c = entity_cells(k, &n);

    if (!en->catalog->table[kind->table].n)
        return;
    ASSERT(n <= CELLS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct str one = expression(en, &c[i], a);
        unsigned char at = 0;
        while (at < n_select && !str_eq(select[at], one))
            at++;
        if (at == n_select)
            select[n_select++] = one;
        en->sql[k].column[i] = at;
    }
    struct str list = arena_printf(a, "SELECT %s, %s", kind->key1, key2);
    for (unsigned char i = 2; i < n_select; i++)
        list = arena_printf(a, STR_FMT ", " STR_FMT, STR_ARG(list), STR_ARG(select[i]));
    struct str head = head_of(en, k, list, a);
    en->sql[k].by_keys = by_keys(kind, head, a);
    if (kind->key2)
        en->sql[k].page = arena_printf(a,
                                       STR_FMT "(%s, %s) > ($1::text, $2::text)"
                                               " ORDER BY 1, 2 LIMIT $3",
                                       STR_ARG(head), kind->key1, key2)
                              .p;
    else
        en->sql[k].page = arena_printf(a,
                                       STR_FMT "%s > $1::text AND $2::text IS NOT NULL"
                                               " ORDER BY 1 LIMIT $3",
                                       STR_ARG(head), kind->key1)
                              .p;
    compose_totals(en, k);
}

enum errc entities_new(struct entities **ret_en, const struct catalog *catalog,
                       const struct seal_key *seal, struct err *e)
{
    struct entities *en = calloc(1, sizeof *en);

    if (!en)
        return err_set(e, ERRC_NOMEM, 0, "entities");
    en->catalog = catalog;
    en->seal = seal;
    arena_init(&en->arena, NULL, SQL_MAX);
    for (enum entity_kind k = 0; k < ENTITY_KINDS; k++)
        compose(en, k);
    if (!arena_ok(&en->arena)) {
        entities_free(en);
        return err_set(e, ERRC_NOMEM, 0, "entities");
    }
    *ret_en = en;
    return ERRC_OK;
}

struct entities *entities_free(struct entities *en)
{
    if (en)
        arena_reset(&en->arena);
    free(en);
    return NULL;
}

/* ---- reading ---- */

struct keys {
    struct str *key1, *key2;
    size_t n;
};

/* Row i into `out`, if it is an entity. */
static void put_row(const struct entities *en, enum entity_kind k, struct rows r, int i,
                    struct arena *a, struct packed *out)
{
    struct str texts[CELLS_MAX];
    size_t n;

    (void)entity_cells(k, &n);
    for (size_t c = 0; c < n; c++)
        texts[c] = rows_text(r, i, en->sql[k].column[c]);
    arena_reset(a);
    const Weir__Entity *entity = entity_read(k, texts, en->seal, a);
    if (entity)
        packed_entity(out, entity);
}

static int text_order(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int d = n ? memcmp(a.p, b.p, n) : 0;

    return d ? d : (a.n > b.n) - (a.n < b.n);
}

static int by_key(const void *pa, const void *pb)
{
    const struct str *a = pa, *b = pb;
    int d = text_order(a[0], b[0]);

    return d ? d : text_order(a[1], b[1]);
}

static struct keys keys_new(size_t n, struct arena *a)
{
    return (struct keys){arena_alloc(a, (n + 1) * sizeof(struct str)),
                         arena_alloc(a, (n + 1) * sizeof(struct str)), 0};
}

/* `k` sorted, each once. */
static void keys_sort(struct keys *k, struct arena *a)
{
    struct str(*pairs)[2] = arena_alloc(a, (k->n + 1) * sizeof *pairs);
    size_t n = 0;

    for (size_t i = 0; pairs && i < k->n; i++) {
        pairs[i][0] = k->key1[i];
        pairs[i][1] = k->key2[i];
    }
    if (!pairs)
        return;
    qsort(pairs, k->n, sizeof *pairs, by_key);
    for (size_t i = 0; i < k->n; i++)
        if (!n || by_key(pairs[i], pairs[n - 1]) != 0)
            memcpy(pairs[n++], pairs[i], sizeof *pairs);
    for (size_t i = 0; i < n; i++) {
        k->key1[i] = pairs[i][0];
        k->key2[i] = pairs[i][1];
    }
    k->n = n;
}

/* Those of `keys` (sorted) that no row of `r` has. */
static struct keys missing(const struct keys *keys, struct rows r, struct arena *a)
{
    struct keys found = keys_new((size_t)r.n, a), left = keys_new(keys->n, a);
    size_t at = 0;

    if (!found.key2 || !left.key2)
        return left;
    for (int i = 0; i < r.n; i++) {
        found.key1[found.n] = rows_text(r, i, 0);
        found.key2[found.n++] = rows_text(r, i, 1);
    }
    keys_sort(&found, a);
    for (size_t i = 0; i < keys->n; i++) {
        struct str want[2] = {keys->key1[i], keys->key2[i]};
        int d = 1;
        while (at < found.n) {
            struct str have[2] = {found.key1[at], found.key2[at]};
            d = by_key(have, want);
            if (d >= 0)
                break;
            at++;
        }
        if (at < found.n && d == 0)
            continue;
        left.key1[left.n] = want[0];
        left.key2[left.n++] = want[1];
    }
    return left;
}

static void load(const struct entities *en, struct tx *tx, enum entity_kind k, struct keys keys,
                 struct packed *out)
{
    struct arena_pool pool = {.max_spare = SPARE_BLOCKS};
    struct arena a;

    arena_init(&a, &pool, ROW_ARENA);
    keys_sort(&keys, tx->arena);
    for (enum entity_kind at = k; at < ENTITY_KINDS && keys.n && tx_ok(tx); at = fallback(at)) {
        if (!en->sql[at].by_keys)
            continue;
        struct rows r = TX_QUERY(tx, en->sql[at].by_keys, DB_TEXTS(keys.key1, keys.n),
                                 DB_TEXTS(keys.key2, keys.n));
        for (int i = 0; i < r.n; i++)
            put_row(en, at, r, i, &a, out);
        keys = missing(&keys, r, tx->arena);
    }
    for (size_t i = 0; i < keys.n && tx_ok(tx); i++) {
        arena_reset(&a);
        const Weir__Entity *gone = entity_gone(k, keys.key1[i], keys.key2[i], &a);
        if (gone)
            packed_entity(out, gone);
    }
    arena_reset(&a);
    arena_pool_deinit(&pool);
}

/* Keys of rows of a table that changed, or whose part did, in their order. */
static struct keys changed_keys(const struct changed *changes, size_t n, const struct touch *t,
                                struct arena *a)
{
    struct keys k = keys_new(n, a);

    for (size_t i = 0; k.key2 && i < n; i++)
        if (changes[i].table == t->table && changes[i].is_part == t->of_part) {
            k.key1[k.n] = changes[i].key1;
            k.key2[k.n++] = changes[i].key2;
        }
    return k;
}

/* Adds the keys of `kind` that changes of one table touch. */
static bool follow(struct tx *tx, const struct touch *t, const struct keys *changed,
                   struct keys *all)
{
    struct rows r = {.n = (int)changed->n};
    struct keys more;

    if (t->keys)
        r = TX_QUERY(tx, t->keys, DB_TEXTS(changed->key1, changed->n));
    if (all->n + (size_t)r.n > ENTITIES_TOUCHED)
        return false;
    more = keys_new(all->n + (size_t)r.n, tx->arena);
    if (!more.key2)
        return true;
    for (size_t i = 0; i < all->n; i++) {
        more.key1[more.n] = all->key1[i];
        more.key2[more.n++] = all->key2[i];
    }
    for (int i = 0; i < r.n; i++) {
        more.key1[more.n] = t->keys ? rows_text(r, i, 0) : changed->key1[i];
        more.key2[more.n++] = t->keys ? rows_text(r, i, 1) : changed->key2[i];
    }
    *all = more;
    return true;
}

bool entities_touched(const struct entities *en, struct tx *tx, const struct changed *changes,
                      size_t n, struct packed *out)
{
    for (enum entity_kind k = 0; k < ENTITY_KINDS && tx_ok(tx); k++) {
        struct keys all = {0};
        if (!en->sql[k].by_keys)
            continue;
        for (size_t i = 0; i < ARRAY_LEN(touches) && tx_ok(tx); i++) {
            if (touches[i].kind != k)
                continue;
            struct keys changed = changed_keys(changes, n, &touches[i], tx->arena);
            if (changed.n && !follow(tx, &touches[i], &changed, &all))
                return false;
        }
        if (all.n)
            load(en, tx, k, all, out);
    }
    return true;
}

bool entities_totals(const struct entities *en, struct tx *tx, const struct changed *changes,
                     size_t n, struct packed *out)
{
    struct arena a;
    Weir__Total total;

    if (n > TOTALS_TOUCHED)
        return false;
    arena_init(&a, NULL, ROW_ARENA);
    for (enum entity_kind k = 0; k < ENTITY_KINDS && tx_ok(tx); k++) {
        const struct touch own = {.table = kinds[k].table, .kind = k};
        struct keys keys = {0};
        if (en->sql[k].totals)
            keys = changed_keys(changes, n, &own, tx->arena);
        keys_sort(&keys, tx->arena);
        if (!keys.n)
            continue;
        struct rows r = TX_QUERY(tx, en->sql[k].totals, DB_TEXTS(keys.key1, keys.n),
                                 DB_TEXTS(keys.key2, keys.n));
        for (int i = 0; i < r.n; i++) {
            if (entity_total(&total, k, rows_text(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2),
                             rows_text(r, i, 3), &a))
                packed_total(out, &total);
        }
        arena_reset(&a);
    }
    arena_reset(&a);
    return true;
}

/* How many of the size of these `rows` fit the page behind `more` of them; 0: it will be full. */
static int64_t rows_wanted(size_t filled, size_t bytes, int rows, int more)
{
    size_t each = bytes / (size_t)MAX(rows, 1) + 1, at = filled + each * (size_t)more;

    return at < ENTITIES_PAGE ? MIN((int64_t)((ENTITIES_PAGE - at) / each) + 8, PAGE_ROWS) : 0;
}

bool entities_page(const struct entities *en, struct tx *tx, struct entities_place *at,
                   struct packed *out)
{
    struct arena_pool pool = {.max_spare = SPARE_BLOCKS};
    struct arena a;
    int64_t want = LOOK_ROWS, asked = 0;
    size_t begun = out->n; /* those of the kind lie behind it: `packed` */
    int packed = 0;

    arena_init(&a, &pool, ROW_ARENA);
    while (at->kind < ENTITY_KINDS && out->n < ENTITIES_PAGE && tx_ok(tx)) {
        enum entity_kind k = (enum entity_kind)at->kind;
        const char *sql = en->sql[k].page;
        struct rows r = {0};
        int i = 0;
        if (asked)
            r = tx_answer(tx);
        else if (sql)
            r = TX_QUERY(tx, sql, DB_TEXT(at->key1), DB_TEXT(at->key2), DB_INT(want));
        bool is_end = r.n < want;
        asked = is_end || !packed ? 0 : rows_wanted(out->n, out->n - begun, packed, r.n);
        if (asked) /* the database goes on while these are packed */
            TX_ASK(tx, sql, DB_TEXT(rows_text(r, r.n - 1, 0)), DB_TEXT(rows_text(r, r.n - 1, 1)),
                   DB_INT(asked));
        for (; i < r.n && out->n < ENTITIES_PAGE; i++, packed++) {
            size_t before = out->n;
            put_row(en, k, r, i, &a, out);
            if (out->n > ENTITIES_PAGE && before) { /* it opens the next page */
                out->n = before;
                out->count--;
                break;
            }
        }
        if (i > 0) {
            at->key1 = rows_text(r, i - 1, 0);
            at->key2 = rows_text(r, i - 1, 1);
        }
        if (i < r.n)
            break;
        want = asked ? asked : rows_wanted(out->n, out->n - begun, packed, 0);
        if (is_end) {
            *at = (struct entities_place){.kind = at->kind + 1};
            want = LOOK_ROWS;
            begun = out->n;
            packed = 0;
        }
    }
    (void)tx_answer(tx); /* the page was full earlier than expected */
    arena_reset(&a);
    arena_pool_deinit(&pool);
    return at->kind >= ENTITY_KINDS;
}
