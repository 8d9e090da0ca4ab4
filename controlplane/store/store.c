/* Statements composed of constants and the catalogue's names; one JSON text carries the values. */

#include "store/store.h"

#include <sys/random.h>

#include "common/clock.h"

/* ---- yyjson in an arena ---- */

static void *json_malloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void *json_realloc(void *ctx, void *p, size_t old, size_t n)
{
    void *more = arena_alloc(ctx, n);

    if (more && old)
        memcpy(more, p, MIN(old, n));
    return more;
}

static void json_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

static yyjson_alc json_alc(struct arena *a)
{
    return (yyjson_alc){json_malloc, json_realloc, json_free, a};
}

bool store_init(struct store *s, struct db *db, const struct catalog *catalog, struct arena *arena,
                const struct db_wait *w)
{
    yyjson_alc alc = json_alc(arena);

    *s = (struct store){.arena = arena, .catalog = catalog};
    tx_init(&s->tx, db, arena, w);
    s->doc = yyjson_mut_doc_new(&alc);
    return s->doc != NULL;
}

void store_end(struct store *s)
{
    tx_end(&s->tx);
}

/* ---- making and reading rows ---- */

yyjson_mut_val *row_val(const yyjson_mut_val *row, const char *name)
{
    yyjson_mut_val *v = yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)row, name);

    return yyjson_mut_is_null(v) ? NULL : v;
}

struct str row_text(const yyjson_mut_val *row, const char *name)
{
    yyjson_mut_val *v = row_val(row, name);

    return yyjson_mut_is_str(v) ? (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}
                                : (struct str){0};
}

bool row_num(const yyjson_mut_val *row, const char *name, double *ret)
{
    yyjson_mut_val *v = row_val(row, name);

    if (!yyjson_mut_is_num(v))
        return false;
    *ret = yyjson_mut_get_num(v);
    return true;
}

bool row_bool(const yyjson_mut_val *row, const char *name)
{
    return yyjson_mut_is_true(row_val(row, name));
}

bool row_has(const yyjson_mut_val *row, const char *name, struct str s)
{
    yyjson_mut_val *list = row_val(row, name), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (yyjson_mut_equals_strn(v, s.p, s.n))
            return true;
    }
    return false;
}

yyjson_mut_val *row_new(struct store *s)
{
    return yyjson_mut_obj(s->doc);
}

yyjson_mut_val *row_list(struct store *s)
{
    return yyjson_mut_arr(s->doc);
}

yyjson_mut_val *row_copy(struct store *s, const yyjson_mut_val *row)
{
    return yyjson_mut_val_mut_copy(s->doc, (yyjson_mut_val *)(uintptr_t)row);
}

/* Takes `v`, which is in no container yet. A failed arena shows at the end. */
static void put(struct store *s, yyjson_mut_val *row, const char *name, yyjson_mut_val *v)
{
    (void)yyjson_mut_obj_put(row, yyjson_mut_str(s->doc, name), v);
}

void row_put(struct store *s, yyjson_mut_val *row, const char *name, const yyjson_mut_val *v)
{
    put(s, row, name, v ? row_copy(s, v) : yyjson_mut_null(s->doc));
}

void row_append(struct store *s, yyjson_mut_val *list, const yyjson_mut_val *v)
{
    (void)yyjson_mut_arr_append(list, v ? row_copy(s, v) : yyjson_mut_null(s->doc));
}

void row_append_text(struct store *s, yyjson_mut_val *list, struct str v)
{
    (void)yyjson_mut_arr_add_strn(s->doc, list, v.p, v.n);
}

void row_put_text(struct store *s, yyjson_mut_val *row, const char *name, struct str v)
{
    put(s, row, name, v.p ? yyjson_mut_strn(s->doc, v.p, v.n) : yyjson_mut_null(s->doc));
}

void row_put_num(struct store *s, yyjson_mut_val *row, const char *name, double v)
{
    put(s, row, name, yyjson_mut_real(s->doc, v));
}

void row_put_int(struct store *s, yyjson_mut_val *row, const char *name, int64_t v)
{
    put(s, row, name, yyjson_mut_sint(s->doc, v));
}

void row_put_bool(struct store *s, yyjson_mut_val *row, const char *name, bool v)
{
    put(s, row, name, yyjson_mut_bool(s->doc, v));
}

void row_put_null(struct store *s, yyjson_mut_val *row, const char *name)
{
    row_put(s, row, name, NULL);
}

struct str row_json(struct store *s, const yyjson_mut_val *v)
{
    yyjson_alc alc = json_alc(s->arena);
    size_t n = 0;
    const char *p = yyjson_mut_val_write_opts((yyjson_mut_val *)(uintptr_t)v, 0, &alc, &n, NULL);

    return p ? (struct str){p, n} : (struct str){0};
}

yyjson_mut_val *store_json(struct store *s, struct str json)
{
    yyjson_alc alc = json_alc(s->arena);
    yyjson_doc *doc =
        json.n ? yyjson_read_opts((char *)(uintptr_t)json.p, json.n, 0, &alc, NULL) : NULL;

    return doc ? yyjson_val_mut_copy(s->doc, yyjson_doc_get_root(doc)) : NULL;
}

/* Times get their zone; JSON that some writers of LiteLLM put twice into JSON is taken out. */
yyjson_mut_val *store_row(struct store *s, enum table t, struct str json)
{
    yyjson_mut_val *row = store_json(s, json), *key, *v;
    const struct catalog_table *ct = &s->catalog->table[t];

    for (unsigned i = 0; row && i < ct->n; i++) {
        const struct column *c = &ct->columns[i];
        if (c->kind == COLUMN_PLAIN)
            continue;
        key = yyjson_mut_strn(s->doc, c->name.p, c->name.n);
        v = yyjson_mut_obj_getn(row, c->name.p, c->name.n);
        if (!yyjson_mut_is_str(v))
            continue;
        struct str text = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (c->kind == COLUMN_TIME) {
            text = arena_printf(s->arena, STR_FMT "Z", STR_ARG(text));
            (void)yyjson_mut_obj_replace(row, key, yyjson_mut_strn(s->doc, text.p, text.n));
        } else if (text.n && (text.p[0] == '{' || text.p[0] == '[')) {
            yyjson_mut_val *inner = store_json(s, text);
            if (inner)
                (void)yyjson_mut_obj_replace(row, key, inner);
        }
    }
    return row;
}

/* ---- statements ---- */

/* "a","b" of those members of `values` that are columns; *ret_set beside it as a filtered copy. */
static struct str column_list(struct store *s, enum table t, const yyjson_mut_val *values,
                              const char *prefix)
{
    struct str list = {0};
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)values, i, n, k, v)
    {
        const struct column *c = catalog_column(
            s->catalog, t, (struct str){yyjson_mut_get_str(k), yyjson_mut_get_len(k)});
        if (c)
            list = arena_printf(s->arena, STR_FMT "%s%s\"" STR_FMT "\"", STR_ARG(list),
                                list.n ? "," : "", prefix, STR_ARG(c->name));
    }
    return list;
}

static yyjson_mut_val *first_row(struct store *s, enum table t, struct rows r)
{
    return r.n ? store_row(s, t, rows_text(r, 0, 0)) : NULL;
}

static yyjson_mut_val *by_key(struct store *s, enum table t, struct str key, const char *verb,
                              const char *tail)
{
    const struct catalog_table *ct = &s->catalog->table[t];
    struct str sql =
        arena_printf(s->arena, "%s \"%s\" t WHERE t.\"%s\" = $1%s", verb, ct->name, ct->key, tail);

    return sql.n ? first_row(s, t, TX_QUERY(&s->tx, sql.p, DB_TEXT(key))) : NULL;
}

yyjson_mut_val *store_get(struct store *s, enum table t, struct str key)
{
    return by_key(s, t, key, "SELECT to_jsonb(t) FROM", "");
}

yyjson_mut_val *store_lock(struct store *s, enum table t, struct str key)
{
    return by_key(s, t, key, "SELECT to_jsonb(t) FROM", " FOR UPDATE");
}

yyjson_mut_val *store_hold(struct store *s, enum table t, struct str key)
{
    return by_key(s, t, key, "SELECT to_jsonb(t) FROM", " FOR KEY SHARE");
}

yyjson_mut_val *store_delete(struct store *s, enum table t, struct str key)
{
    return by_key(s, t, key, "DELETE FROM", " RETURNING to_jsonb(t)");
}

yyjson_mut_val *store_insert(struct store *s, enum table t, const yyjson_mut_val *values)
{
    const char *name = s->catalog->table[t].name;
    struct str columns = column_list(s, t, values, "");
    struct str sql = arena_printf(s->arena,
                                  "INSERT INTO \"%s\" AS t (" STR_FMT ") SELECT " STR_FMT
                                  " FROM jsonb_populate_record(NULL::\"%s\", $1::jsonb)"
                                  " ON CONFLICT DO NOTHING RETURNING to_jsonb(t)",
                                  name, STR_ARG(columns), STR_ARG(columns), name);

    yyjson_mut_val *row =
        sql.n ? first_row(s, t, TX_QUERY(&s->tx, sql.p, DB_TEXT(row_json(s, values)))) : NULL;
    s->has_conflict |= !row && tx_ok(&s->tx);
    return row;
}

yyjson_mut_val *store_update(struct store *s, enum table t, struct str key,
                             const yyjson_mut_val *changes)
{
    const struct catalog_table *ct = &s->catalog->table[t];
    yyjson_mut_val *values = row_copy(s, changes);

    if (catalog_column(s->catalog, t, STR("updated_at")))
        row_put_text(s, values, "updated_at", store_time(s, clock_wall_us()));
    struct str columns = column_list(s, t, values, "");
    struct str sql = arena_printf(s->arena,
                                  "UPDATE \"%s\" t SET (" STR_FMT ") = (SELECT " STR_FMT
                                  " FROM jsonb_populate_record(NULL::\"%s\", $2::jsonb) r)"
                                  " WHERE t.\"%s\" = $1 RETURNING to_jsonb(t)",
                                  ct->name, STR_ARG(columns),
                                  STR_ARG(column_list(s, t, values, "r.")), ct->name, ct->key);

    if (!sql.n)
        return NULL;
    return first_row(s, t, TX_QUERY(&s->tx, sql.p, DB_TEXT(key), DB_TEXT(row_json(s, values))));
}

static struct rows select_rows(struct store *s, enum table t, const char *tail,
                               const struct db_arg *args, int n_args)
{
    struct str sql = arena_printf(s->arena, "SELECT to_jsonb(t) FROM \"%s\" t %s",
                                  s->catalog->table[t].name, tail);

    return sql.n ? tx_query(&s->tx, sql.p, args, n_args) : (struct rows){0};
}

yyjson_mut_val *store_list(struct store *s, enum table t, const char *tail,
                           const struct db_arg *args, int n_args)
{
    struct rows r = select_rows(s, t, tail, args, n_args);
    yyjson_mut_val *list = yyjson_mut_arr(s->doc);

    for (int i = 0; i < r.n; i++)
        (void)yyjson_mut_arr_append(list, store_row(s, t, rows_text(r, i, 0))); /* fresh: no copy */
    return list;
}

yyjson_mut_val *store_first(struct store *s, enum table t, const char *tail,
                            const struct db_arg *args, int n_args)
{
    return first_row(s, t, select_rows(s, t, tail, args, n_args));
}

/* ---- values ---- */

struct str store_uuid(struct store *s)
{
    unsigned char b[16];

    if (getrandom(b, sizeof b, 0) != sizeof b)
        abort();                                  /* a kernel without entropy makes no ids */
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40); /* RFC 9562 5.4 */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    return arena_printf(s->arena,
                        "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11],
                        b[12], b[13], b[14], b[15]);
}

struct str store_time(struct store *s, int64_t wall_us)
{
    time_t t = (time_t)(wall_us / 1000000);
    struct tm tm;

    if (!gmtime_r(&t, &tm))
        return (struct str){0};
    return arena_printf(s->arena, "%04d-%02d-%02dT%02d:%02d:%02d.%03d", tm.tm_year + 1900,
                        tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                        (int)(wall_us / 1000 % 1000));
}
