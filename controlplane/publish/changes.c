#include "publish/changes.h"

enum {
    KEPT = 10000, /* revisions: a data plane that missed no more of them needs no full sync */
    CHANGES_MAX = 2 * ENTITIES_TOUCHED,
    TOKENS_MAX = 10000,
};

struct revision changes_advance(struct tx *tx, struct revision known)
{
    struct rows r = TX_QUERY(tx, "SELECT epoch, n FROM weir.advance($1::bigint, $2::bigint)",
                             DB_INT((int64_t)known.epoch), DB_INT((int64_t)known.n));

    return (struct revision){(uint64_t)rows_int(r, 0, 0), (uint64_t)rows_int(r, 0, 1)};
}

struct changes changes_between(struct tx *tx, struct revision from, struct revision to)
{
    struct rows r = TX_QUERY(
        tx,
        "SELECT DISTINCT c.tbl, c.key[1], c.key[2] FROM weir.revision a, weir.revision z,"
        " weir.change c WHERE a.epoch = $1::bigint AND a.n = $2::bigint"
        " AND z.epoch = $1::bigint AND z.n = $3::bigint AND c.xid >= pg_snapshot_xmin(a.seen)"
        " AND NOT pg_visible_in_snapshot(c.xid, a.seen) AND pg_visible_in_snapshot(c.xid, z.seen)"
        " LIMIT $4",
        DB_INT((int64_t)from.epoch), DB_INT((int64_t)from.n), DB_INT((int64_t)to.n),
        DB_INT(CHANGES_MAX + 1));
    struct changed *rows = arena_alloc(tx->arena, ((size_t)r.n + 1) * sizeof *rows);
    struct changes c = {.rows = rows};

    /* a revision that is there holds changes; without any it was forgotten */
    c.is_complete = rows && r.n > 0 && r.n <= CHANGES_MAX;
    for (int i = 0; rows && i < r.n; i++) {
        struct str name = rows_text(r, i, 0);
        bool is_part = str_ends(name, STR("/part"));
        if (is_part)
            name.n -= STR("/part").n;
        enum table t = catalog_table(name);
        c.has_tokens |= str_eq(name, STR("join"));
        if (t < TABLES)
            rows[c.n++] = (struct changed){t, is_part, rows_text(r, i, 1), rows_text(r, i, 2)};
    }
    return c;
}

struct hub_token *changes_tokens(struct tx *tx, size_t *ret_n)
{
    struct rows r = TX_QUERY(tx,
                             "SELECT id, hash, (extract(epoch FROM expires_at) * 1000000)::bigint"
                             " FROM weir.\"join\" WHERE revoked_at IS NULL"
                             " AND (expires_at IS NULL OR expires_at > now())"
                             " ORDER BY created_at DESC LIMIT $1",
                             DB_INT(TOKENS_MAX));
    struct hub_token *tokens = r.n ? calloc((size_t)r.n, sizeof *tokens) : NULL;

    *ret_n = tokens ? (size_t)r.n : 0;
    for (size_t i = 0; i < *ret_n; i++) {
        (void)snprintf(tokens[i].id, sizeof tokens[i].id, STR_FMT,
                       STR_ARG(rows_text(r, (int)i, 0)));
        (void)snprintf(tokens[i].hash, sizeof tokens[i].hash, STR_FMT,
                       STR_ARG(rows_text(r, (int)i, 1)));
        tokens[i].expires_us = rows_int(r, (int)i, 2);
    }
    return tokens;
}

void changes_prune(struct tx *tx)
{
    (void)TX_QUERY(tx, "SELECT weir.prune($1::bigint)", DB_INT(KEPT));
}
