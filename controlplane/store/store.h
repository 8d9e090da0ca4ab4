#pragma once

/*
 * Rows of LiteLLM's tables as JSON objects, read and written whole or in part inside a unit of
 * work. The database tells which columns there are (catalog.h); times leave as ISO 8601 in UTC with
 * a Z. What needs more than one row's key has SQL of its own in store/<entity>.c.
 */

#include <yyjson.h>

#include "store/catalog.h"

struct store {
    struct tx tx;
    struct arena *arena;
    const struct catalog *catalog;
    yyjson_mut_doc *doc; /* in the arena: every row below belongs to it */
    bool has_conflict;   /* an insert met a row that is there already */
};

MUST_CHECK bool store_init(struct store *s, struct db *db, const struct catalog *catalog,
                           struct arena *arena, const struct db_wait *w);
void store_end(struct store *s); /* ends the unit of work; rows live as long as the arena */

/* The row of that key; NULL: none, or a fault. */
yyjson_mut_val *store_get(struct store *s, enum table t, struct str key);

/* The same, locked against other writers until the end of the transaction. */
yyjson_mut_val *store_lock(struct store *s, enum table t, struct str key);
/* The same, only that nobody deletes it until the transaction ends. */
yyjson_mut_val *store_hold(struct store *s, enum table t, struct str key);

/* Writes a new row of those of `values` that are columns here; gives it as it is then. NULL: a row
 * of that key exists already, or a fault. */
yyjson_mut_val *store_insert(struct store *s, enum table t, const yyjson_mut_val *values);

/* Changes the given columns, and updated_at; gives the row as it is then, or NULL. */
yyjson_mut_val *store_update(struct store *s, enum table t, struct str key,
                             const yyjson_mut_val *changes);

/* The row that went, or NULL. */
yyjson_mut_val *store_delete(struct store *s, enum table t, struct str key);

/* An array of the rows of "SELECT t FROM <table> t <tail>": `tail` is a constant ("WHERE t.x = $1
 * ORDER BY ... LIMIT $2"). */
yyjson_mut_val *store_list(struct store *s, enum table t, const char *tail,
                           const struct db_arg *args, int n_args);
#define STORE_LIST(s, t, tail, ...)                                                                \
    store_list((s), (t), (tail), (const struct db_arg[]){__VA_ARGS__},                             \
               (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
/* The first of them, or NULL. */
yyjson_mut_val *store_first(struct store *s, enum table t, const char *tail,
                            const struct db_arg *args, int n_args);
#define STORE_FIRST(s, t, tail, ...)                                                               \
    store_first((s), (t), (tail), (const struct db_arg[]){__VA_ARGS__},                            \
                (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))

/* JSON text of the database (to_jsonb of a row of `t`) as a row. */
yyjson_mut_val *store_row(struct store *s, enum table t, struct str json);
/* Any JSON text; NULL when it is none. */
yyjson_mut_val *store_json(struct store *s, struct str json);

/* ---- members of a row ---- */
yyjson_mut_val *row_val(const yyjson_mut_val *row, const char *name); /* NULL: absent or null */
/* The member whatever it holds, null included; NULL: there is none. */
static inline yyjson_mut_val *row_sent(const yyjson_mut_val *row, const char *name)
{
    return yyjson_mut_obj_get((yyjson_mut_val *)(uintptr_t)row, name);
}
struct str row_text(const yyjson_mut_val *row, const char *name);       /* p NULL: absent, null */
bool row_num(const yyjson_mut_val *row, const char *name, double *ret); /* false: absent, null */
bool row_bool(const yyjson_mut_val *row, const char *name);             /* false: absent, null */
/* An array's text `s` is among its texts. */
bool row_has(const yyjson_mut_val *row, const char *name, struct str s);

/*
 * ---- making them ----
 *
 * Values are copied in: one can stand in one place only, and the list of a container runs through
 * its values. So build a list first, then put it. Texts are borrowed until the row is written: what
 * rows_text() gave goes with tx_forget() and tx_end(), and is put as a copy (arena_str()) before.
 */
yyjson_mut_val *row_new(struct store *s);
yyjson_mut_val *row_list(struct store *s); /* an empty array */
void row_append(struct store *s, yyjson_mut_val *list, const yyjson_mut_val *v);
void row_append_text(struct store *s, yyjson_mut_val *list, struct str v);
void row_put(struct store *s, yyjson_mut_val *row, const char *name, const yyjson_mut_val *v);
void row_put_text(struct store *s, yyjson_mut_val *row, const char *name, struct str v);
void row_put_num(struct store *s, yyjson_mut_val *row, const char *name, double v);
void row_put_int(struct store *s, yyjson_mut_val *row, const char *name, int64_t v);
void row_put_bool(struct store *s, yyjson_mut_val *row, const char *name, bool v);
void row_put_null(struct store *s, yyjson_mut_val *row, const char *name);
yyjson_mut_val *row_copy(struct store *s, const yyjson_mut_val *row);
struct str row_json(struct store *s, const yyjson_mut_val *v); /* as text, in the arena */

/* ---- values every table needs ---- */
struct str store_uuid(struct store *s);
/* Microseconds since 1970 as "2026-01-02T03:04:05.678". */
struct str store_time(struct store *s, int64_t wall_us);
